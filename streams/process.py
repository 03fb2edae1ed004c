"""What a process does once before its first record, so that no record waits for it, and how it ends."""

import ctypes
import os
import sys
from typing import Never

from streams import collector, loops

# glibc gives every thread an arena of its own, up to eight a core, and each keeps what it once needed. Two hold the
# same work in a third of the growth and take no longer.
M_ARENA_MAX = -8  # glibc's malloc.h
ARENAS_MAX = 2

# What is larger than a threshold, glibc takes from the system and gives back at once, and so it does with what is free
# at the end of an arena: each page is a fault again for the next batch. A batch's largest columns are below these.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
FREE_BYTES_MAX = 32 << 20
FROM_ARENA_BYTES_MAX = 8 << 20


def prepare(say: loops.Say = loops.on_terminal, *, waits_quietly: bool = False) -> None:
    """Compiles the detectors' loops or loads them, and has the collector look seldom and past what is loaded now."""
    collector.look_seldom()
    _set_up_malloc()
    _load_numba()
    loops.load(say, waits_quietly=waits_quietly)
    collector.look_past_what_is_there()


def end(status: int) -> Never:
    """At once, where all is written and closed.

    Python takes apart what is left before a process ends: of 20,000 models, for longer than whoever asked it to stop
    mostly waits before he kills.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _load_numba() -> None:
    """Without SciPy, which numba looks into for products of matrices: no loop here has one, and it is slow to load."""
    asked_for = "scipy.linalg.cython_blas"
    if asked_for not in sys.modules:
        sys.modules[asked_for] = None  # type: ignore[assignment]  # the import system's way to say that there is none
        try:
            import numba.np.arraymath  # noqa: F401, PLC0415 - it asks when it is loaded
        finally:
            del sys.modules[asked_for]


def _set_up_malloc() -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none, and no arenas
    if mallopt is not None:
        mallopt(M_ARENA_MAX, ARENAS_MAX)
        mallopt(M_TRIM_THRESHOLD, FREE_BYTES_MAX)
        mallopt(M_MMAP_THRESHOLD, FROM_ARENA_BYTES_MAX)
