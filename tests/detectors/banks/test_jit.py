"""Where no folder can be written, the banks still work; they only compile anew in every process."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import numpy as np
from detectors.banks import jit, matrix
assert matrix.checked(np.zeros((2, 1)), 1).tolist() == [[0.0], [0.0]]
print(matrix._infinite.stats.cache_path)
"""


def run(**environment: str) -> str:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_machine_code_is_kept_in_the_folder_that_was_asked_for(tmp_path: Path) -> None:
    assert run(NUMBA_CACHE_DIR=str(tmp_path)).startswith(str(tmp_path))
    assert list(tmp_path.rglob("matrix._infinite*.nbi"))


def test_without_a_folder_to_write_to_everything_works_uncached(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()  # a folder below a file cannot be made, not even by root
    assert run(NUMBA_CACHE_LOCATOR_CLASSES="UserProvidedCacheLocator", NUMBA_CACHE_DIR=str(blocked)) == "None"
