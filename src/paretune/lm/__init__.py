"""Calling language models: one client, one ledger, one place for retries and limits."""
