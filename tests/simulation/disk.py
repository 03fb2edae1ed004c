"""A disk that remembers what it was told, and how much of that would be left if the machine went down now.

``Platter`` is the disk itself: it outlives processes. ``OpenDisk`` is one process's hand on it, as a state asks for it.
A batch is written whole or not at all, and every write is a place where the process can die, before it and after it.
What was written is seen by the next process on the machine; only what was also synced outlives the machine.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

Crash = Callable[[str], None]  # a place where the process may die: raises when it does


class Died(BaseException):
    """The process is no more. Not an ``Exception``: nothing in it may go on."""


class _Batch(NamedTuple):
    puts: Sequence[tuple[bytes, bytes]]
    deletes: Sequence[bytes]


class Platter:
    def __init__(self, image: dict[bytes, bytes] | None = None) -> None:
        self.image = dict(image or {})  # as a process sees it
        self._synced = dict(self.image)
        self._unsynced: list[_Batch] = []

    def write(self, batch: _Batch) -> None:
        _apply(self.image, batch)
        self._unsynced.append(batch)

    def sync(self) -> None:
        self._synced = dict(self.image)
        self._unsynced.clear()

    def lose_power(self, draw: Random) -> int:
        """Some of the writes that were not synced are gone, the newest first. Says how many."""
        kept = draw.randrange(len(self._unsynced) + 1)
        lost = len(self._unsynced) - kept
        for batch in self._unsynced[:kept]:
            _apply(self._synced, batch)
        self.image = dict(self._synced)
        self._unsynced.clear()
        return lost

    def copy(self) -> "Platter":
        return Platter(self.image)


def _apply(image: dict[bytes, bytes], batch: _Batch) -> None:
    image.update(batch.puts)
    for key in batch.deletes:
        image.pop(key, None)


class OpenDisk:
    """One process's hand on a platter."""

    def __init__(self, platter: Platter, crash: Crash) -> None:
        self.platter = platter
        self._crash = crash
        self.writes = 0

    def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return [self.platter.image.get(key) for key in keys]

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        keys = sorted(self.platter.image)
        for key in keys[bisect_left(keys, prefix + start) :]:
            if not key.startswith(prefix):
                return
            yield key, self.platter.image[key]

    def last(self, prefix: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        keys = sorted(self.platter.image)
        place = bisect_right(keys, prefix + end)
        if not place or not keys[place - 1].startswith(prefix):
            return None
        return keys[place - 1], self.platter.image[keys[place - 1]]

    def write(self, puts: Sequence[tuple[bytes, bytes]], deletes: Sequence[bytes]) -> None:
        puts, deletes = list(puts), list(deletes)
        both = {key for key, _ in puts} & set(deletes)
        assert not both, f"{sorted(both)} are put and deleted in one batch: which one wins is chance"
        self._crash("before a write")
        self.platter.write(_Batch(puts, deletes))
        self.writes += 1
        self._crash("after a write")

    def close(self) -> None:
        """What was written stays."""
