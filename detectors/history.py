"""The last blocks of rows of many columns: what bears an alarm out, what ends it, and what tells what it looks like."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.banks.room import longer
from detectors.baseline import CENTRES, COUNTS, LEVELS, LEVELS_A_UNIT, OUTSIDE, SQUARES, SUMS, WIDTHS, Blocks, Cube, Row

HISTORY = 32  # blocks kept: about a thousand rows decide that something is over


class Seen(NamedTuple):
    """Blocks of one column in which there are values, oldest first, without a clip and in units of the baseline."""

    counts: Row
    centres: Row
    widths: Row
    outside: Row  # how many values lie outside the range of the baseline


class History:
    """The last blocks of all columns, in a ring. A column that came later has nothing in the blocks before."""

    __slots__ = ("_counts", "_far", "_sums", "blocks")

    def __init__(self, columns: int = 0) -> None:
        self.blocks = 0  # ever
        empty = Blocks.of([0] * HISTORY, columns)
        self._sums, self._far, self._counts = empty.sums, empty.far, empty.counts

    def add(self, blocks: Blocks, numbers: range) -> None:
        """Some of these."""
        more = blocks.counts.shape[2] - self._counts.shape[2]
        if more:
            lines = (self._sums, self._far, self._counts)
            self._sums, self._far, self._counts = (longer(held, more, axis=2) for held in lines)
        self.blocks += len(numbers)
        kept = numbers[-HISTORY:]
        place = (self.blocks - len(kept)) % HISTORY
        ahead = min(len(kept), HISTORY - place)  # the others begin the ring anew
        for first, here, many in ((kept.start, place, ahead), (kept.start + ahead, 0, len(kept) - ahead)):
            if many:
                self._sums[here : here + many] = blocks.sums[first : first + many]
                self._far[here : here + many] = blocks.far[first : first + many]
                self._counts[here : here + many] = blocks.counts[first : first + many]

    def last(self, column: int, blocks: int) -> Iterator[tuple[float, float, int]]:
        """Sums, sums of squares and counts of one column, oldest first."""
        sums, counts = self._of(self._sums, column, blocks), self._of(self._counts, column, blocks)
        return zip(sums[:, SUMS].tolist(), sums[:, SQUARES].tolist(), counts[:, COUNTS].tolist(), strict=True)

    def seen(self, column: int, blocks: int) -> Seen:
        far, counts = self._of(self._far, column, blocks), self._of(self._counts, column, blocks)
        there = counts[:, COUNTS] > 0
        kinds = (counts[:, COUNTS], far[:, CENTRES], far[:, WIDTHS], counts[:, OUTSIDE])
        return Seen(*[each[there].astype(np.float64) for each in kinds])

    def levels(self, column: int) -> tuple[Row, Row]:
        """How far the mean of each block lies from the baseline, roughly, and of how many values it is."""
        counts = self._of(self._counts, column, HISTORY).astype(np.float64)
        return counts[:, LEVELS] / LEVELS_A_UNIT, counts[:, COUNTS]

    def _of(self, held: Cube, column: int, blocks: int) -> NDArray[Any]:
        """By block and line."""
        if column >= held.shape[2]:
            return np.zeros((0, held.shape[1]))
        line: NDArray[Any] = held[self._places(min(blocks, HISTORY, self.blocks)), :, column]
        return line

    def _places(self, wanted: int) -> list[int]:
        return [block % HISTORY for block in range(self.blocks - wanted, self.blocks)]

    def numbers(self, wanted: int) -> tuple[NDArray[np.number[Any]], ...]:
        """All there is to know but for ``blocks``: counts and levels, and of so many last blocks the rest."""
        counts = self._counts[: self.blocks, :OUTSIDE].ravel()
        if not wanted:
            return (counts,)
        places = self._places(wanted)
        return counts, self._sums[places].ravel(), self._far[places].ravel(), self._counts[places, OUTSIDE].ravel()

    @classmethod
    def of(cls, blocks: int, wanted: int, numbers: Row) -> "History":
        """What gave these numbers; ``ValueError`` where there are too many or too few."""
        if not blocks:
            return cls()
        used = min(blocks, HISTORY)
        rows = numbers.reshape(OUTSIDE * used + 5 * wanted, -1)
        columns = rows.shape[1]
        history = cls(columns)
        history.blocks = blocks
        parts = np.split(rows, np.cumsum([OUTSIDE * used, 2 * wanted, 2 * wanted]))
        history._counts[:used, :OUTSIDE] = parts[0].reshape(used, OUTSIDE, columns)
        if wanted:
            places = history._places(wanted)
            history._sums[places] = parts[1].reshape(wanted, 2, columns)
            history._far[places] = parts[2].reshape(wanted, 2, columns)
            history._counts[places, OUTSIDE] = parts[3]
        return history
