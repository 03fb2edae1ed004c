"""The programs that Driftline is measured beside, each as its own documentation would write it, in its own process."""
