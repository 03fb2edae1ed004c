"""Remembers when and where rows stood, finely for recent ones and coarsely for old ones, in fixed space."""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable

import msgspec

STRIDE = 16  # rows between marks on the finest level
FACTOR = 4  # each level is so many times coarser than the one below
LEVELS = 8  # the coarsest: a mark each 16 * 4**7 = 262,144 rows, 64 of them: 16 million rows back
KEPT = 64  # marks a level; a row's mark is at most a tenth of its age away


class Mark(msgspec.Struct, frozen=True, array_like=True, gc=False):
    row: int
    time: int
    offset: int


class TimelineState(msgspec.Struct, frozen=True, array_like=True):
    rows: int
    levels: list[list[Mark]]


class Timeline:
    """Row numbers to time and offset. Rows are numbered from 0 in stream order."""

    def __init__(self) -> None:
        self.rows = 0
        self._levels: list[deque[Mark]] = [deque(maxlen=KEPT) for _ in range(LEVELS)]
        # Marks of the batch at hand. They take their places only as the batch is lived through, so that a later row
        # never pushes out the mark that an earlier one asks for.
        self._ahead: deque[Mark] = deque()

    def extend(self, rows: int, mark: Callable[[int], Mark]) -> None:
        """So many more rows; ``mark`` gives the mark of one of them, counted from the first of these."""
        first = self.rows
        self.rows += rows
        self._ahead.extend(mark(row) for row in range(-first % STRIDE, rows, STRIDE))

    def settle(self, row: int | None = None) -> None:
        """Everything up to the row, or all there is, has been lived through."""
        while self._ahead and (row is None or self._ahead[0].row <= row):
            self._mark(self._ahead.popleft())

    def _mark(self, mark: Mark) -> None:
        step = mark.row // STRIDE
        for level in self._levels:
            level.append(mark)
            if step % FACTOR:
                return
            step //= FACTOR

    def at(self, row: int, now: int) -> Mark | None:
        """The last mark at or before the row, or the oldest there is, as remembered when ``now`` was the newest row."""
        self.settle(now)
        oldest: Mark | None = None
        for level in self._levels:
            if not level:
                break
            oldest = level[0]
            if oldest.row <= row:
                return level[bisect_right(level, row, key=lambda mark: mark.row) - 1]
        return oldest

    def state(self) -> TimelineState:
        return TimelineState(self.rows, [list(level) for level in self._levels])

    @classmethod
    def of(cls, state: TimelineState) -> "Timeline":
        timeline = cls()
        timeline.rows = state.rows
        for level, marks in zip(timeline._levels, state.levels, strict=True):
            level.extend(marks)
        return timeline
