"""The sections of params.yaml, one module each, by the section's name."""
