"""A run on a real broker: its own topics, traffic that drifts, workers as processes, a verdict on what was written."""
