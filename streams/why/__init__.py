"""Why an alert was told: the state around it rebuilt, and what the detector saw."""
