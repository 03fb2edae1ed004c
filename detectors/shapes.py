"""How the values of the last few hundred rows are distributed over the cells of their baseline, in fixed space."""

import numpy as np
from numpy.typing import NDArray

from detectors.banks.room import longer
from detectors.banks.shiryaev_steps import CHUNK
from detectors.baseline import Cube, Row

CHUNKS = 4  # kept: enough to compare with a baseline, and no more to write than a hundred bytes a column
_HEAD = 2


class Shapes:
    """Counts by cell of the last chunks of rows of all columns, in a ring."""

    __slots__ = ("_end", "_held")

    def __init__(self, cells: int) -> None:
        self._end = 0  # the row with which the next chunk begins
        self._held: NDArray[np.uint8] = np.zeros((CHUNKS, 0, cells), dtype=np.uint8)

    def add(self, end: int, counts: Cube) -> None:
        """By column and cell, of the chunk before the row ``end``."""
        more = len(counts) - self._held.shape[1]
        if more:
            self._held = longer(self._held, more, axis=1)
        self._held[end // CHUNK % CHUNKS] = counts
        self._end = end

    def since(self, column: int, row: int) -> Row:
        """The counts of one column over the chunks that begin at this row or after it, as far as there are any."""
        whole = self._end // CHUNK - -(-row // CHUNK)
        if column >= self._held.shape[1] or whole <= 0:
            return np.zeros(self._held.shape[2])
        places = [(self._end // CHUNK - back) % CHUNKS for back in range(min(whole, CHUNKS))]
        total: Row = self._held[places, column].sum(axis=0, dtype=np.float64)
        return total

    def numbers(self) -> Row:
        return np.concatenate(([self._end, self._held.shape[1]], self._held.ravel().astype(np.float64)))

    def restore(self, numbers: Row) -> Row:
        """Takes what gave these numbers, and gives back those after them; ``ValueError`` where there are too few."""
        columns, cells = int(numbers[1]) if len(numbers) > 1 else -1, self._held.shape[2]
        end = _HEAD + CHUNKS * max(columns, 0) * cells
        if columns < 0 or end > len(numbers):
            raise ValueError(f"{len(numbers)} numbers are no chunks of {columns} columns")
        self._end = int(numbers[0])
        self._held = numbers[_HEAD:end].reshape(CHUNKS, columns, cells).astype(np.uint8)
        return numbers[end:]
