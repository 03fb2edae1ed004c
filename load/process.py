"""What a process holds now, as Linux tells it."""

import os
from pathlib import Path

KIB_PER_MIB = 1024


def memory_mib(field: str, process: int | str = "self") -> float:
    """``VmRSS``: resident now; ``VmHWM``: the most that ever was."""
    return round(_status(field, process) / KIB_PER_MIB, 1)


def threads(process: int | str = "self") -> int:
    return _status("Threads", process)


def handles(process: int | str = "self") -> int:
    """Open files, sockets and the like."""
    return len(os.listdir(f"/proc/{process}/fd"))


def cpu_s(process: int | str = "self") -> float:
    """Seconds of processor time so far, its own and the system's for it."""
    after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[11:13])) / os.sysconf("SC_CLK_TCK")


def _status(field: str, process: int | str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
