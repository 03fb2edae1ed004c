"""What a process does before its first record."""

import subprocess
import sys

READY = """
import sys
from streams.process import prepare
prepare()
print(sorted(name for name in sys.modules if name.startswith("scipy.linalg") or name == "river"))
import scipy.linalg.cython_blas
"""


def test_neither_scipy_nor_river_is_waited_for() -> None:
    """Whoever wants SciPy later finds it."""
    done = subprocess.run([sys.executable, "-c", READY], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


ENDS = """
import atexit
from streams import process
atexit.register(print, "taken apart")
print("said")
process.end(3)
"""


def test_a_process_ends_with_all_that_it_said_and_is_not_taken_apart() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "said\n")
