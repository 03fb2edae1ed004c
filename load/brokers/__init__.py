"""The ways to a broker that is not there yet."""
