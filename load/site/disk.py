"""What directories take up on their disk."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MIB = 1024 * 1024
BLOCK_BYTES = 512  # of ``st_blocks``, whatever the disk's own blocks are


def bytes_in(*folders: Path) -> int:
    """A file with several names counts once; one that goes away meanwhile counts or not."""
    return sum({inode: size for folder in folders for inode, size in _files(folder)}.values())


def mib_in(*folders: Path) -> float:
    return round(bytes_in(*folders) / MIB, 1)


def _files(folder: Path) -> Iterator[tuple[int, int]]:
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                found = os.lstat(os.path.join(place, name))
                yield found.st_ino, found.st_blocks * BLOCK_BYTES
