"""What was paid for, kept: replies, who asked for them, and what a budget allows."""
