"""Settings searched for on a history's own data, with drifts that are known."""
