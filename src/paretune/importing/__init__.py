"""Results that other programs have recorded, as the trials of a search: tables, inspect's logs, promptfoo's output."""
