"""What directories take up on their disk."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MIB = 1024 * 1024
BLOCK_BYTES = 512  # of ``st_blocks``, whatever the disk's own blocks are


def bytes_in(*folders: Path, untouched_s: float = 0.0) -> int:
    """A file with several names counts once; one that goes away meanwhile counts or not.

    ``untouched_s``: only files whose content has stood for so long.
    """
    before = time.time() - untouched_s
    files = (file for folder in folders for file in _files(folder))
    return sum({inode: size for inode, size, changed in files if changed <= before}.values())


def mib_in(*folders: Path, untouched_s: float = 0.0) -> float:
    return round(bytes_in(*folders, untouched_s=untouched_s) / MIB, 1)


def _files(folder: Path) -> Iterator[tuple[int, int, float]]:
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                found = os.lstat(os.path.join(place, name))
                yield found.st_ino, found.st_blocks * BLOCK_BYTES, found.st_mtime
