"""What a replay found, read back from its files: in one pass after another, into a bounded picture of all of it."""
