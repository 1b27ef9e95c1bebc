"""What a trial is, and how trials compare: pure functions of their records."""
