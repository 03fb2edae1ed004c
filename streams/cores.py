"""How many processes of a command run at once. Every command asks as it starts, so nothing heavy is imported here."""

import os

PROCESSES_MAX = 64


def cores() -> int:
    """Those that this process may run on, where the system can say that: macOS and Windows cannot."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
