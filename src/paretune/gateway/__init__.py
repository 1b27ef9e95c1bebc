"""OpenAI's protocol on loopback over the ledger, and programs of one's own that call it: see docs/decisions/017."""
