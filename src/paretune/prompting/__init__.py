"""Asking a language model for a record: the prompt, the call, the reply, and the trace of it all."""
