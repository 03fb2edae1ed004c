"""Policies of retraining run on recorded history, each with the engine that works live, and compared in money."""
