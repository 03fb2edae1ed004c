"""Ids of rows that nobody has asked for since they came: known by their hashes until somebody does.

Most predictions of a table without labels are never asked for, and to look each id up in a dictionary takes half as
long as all detectors: its texts lie all over the memory.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.banks.jit import compiled

Hashes = NDArray[np.int64]

_ROOM_MIN = 1_024  # hashes; there is always room for twice as many as there are


def hashes_of(names: Sequence[str]) -> Hashes:
    return np.fromiter(map(hash, names), dtype=np.int64, count=len(names))


class Unasked:
    """Runs of rows, each with the place of its first."""

    __slots__ = ("_entered", "_runs", "_table", "many")

    def __init__(self) -> None:
        self._runs: list[tuple[Sequence[str], int]] = []
        self._table: Hashes = np.zeros(0, dtype=np.int64)  # 0 where there is none
        self._entered = 0  # hashes in it
        self.many = 0  # ids in the runs, whether their hashes are known or not

    def enter(self, hashes: Hashes) -> int:
        """How many of the ids with these, from the first on, are certain to be new: so many are to be put."""
        if 2 * (self._entered + len(hashes)) > len(self._table):
            self._grow(self._entered + len(hashes))
        new: int = _enter(self._table, hashes)
        self._entered += new
        return new

    def put(self, names: Sequence[str], place: int) -> None:
        self._runs.append((names, place))
        self.many += len(names)

    def forget_hashes(self) -> None:
        """It is known elsewhere that these are not new."""
        self._table, self._entered = np.zeros(0, dtype=np.int64), 0

    def taken(self) -> Iterator[tuple[str, int]]:
        """All of them with their places: they are asked for."""
        runs, self._runs, self.many = self._runs, [], 0
        self.forget_hashes()
        for names, place in runs:
            yield from zip(names, range(place, place + len(names)), strict=True)

    def _grow(self, wanted: int) -> None:
        held = self._table[self._table != 0]
        self._table = np.zeros(max(_ROOM_MIN, 1 << (2 * wanted - 1).bit_length()), dtype=np.int64)
        _enter(self._table, held)


@compiled
def _enter(table: Hashes, hashes: Hashes) -> int:
    """Until one that is there: it may be that of another id, and then its row goes the longer way."""
    for number in range(len(hashes)):
        entered = hashes[number] if hashes[number] != 0 else np.int64(1)
        place = entered & (len(table) - 1)
        while table[place] != 0:
            if table[place] == entered:
                return number
            place = (place + 1) & (len(table) - 1)
        table[place] = entered
    return len(hashes)
