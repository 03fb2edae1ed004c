"""Remembers when and where rows stood, finely for recent ones and coarsely for old ones, in fixed space."""

from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import StateError
from detectors.banks.packed import pack_steps, unpack_steps

STRIDE = 16  # rows between marks on the finest level
FACTOR = 4  # each level is so many times coarser than the one below
LEVELS = 8  # the coarsest: a mark each 16 * 4**7 = 262,144 rows, which go 16 million rows back
KEPT = 64  # marks on the finest level; a row's mark is at most a tenth of its age away
COARSEST_PART = 10  # or STRIDE rows
OLD_AMONG_NEW = 3  # so many times as wrong as a new one among the old
KEPT_ABOVE = KEPT - KEPT // FACTOR  # on the others, which begin where the one below ends

TimelineState = bytes
Numbers = NDArray[np.int64]

_PAIR = 2  # a mark is held as its time and its offset; its row follows from its place


class Mark(msgspec.Struct, frozen=True, array_like=True, gc=False):
    row: int
    time: int
    offset: int


class _Marked(NamedTuple):
    """All marks, the oldest first; ``strides``: how many rows each stands for."""

    rows: Numbers
    times: Numbers
    offsets: Numbers
    strides: Numbers

    @property
    def rise(self) -> bool:
        return bool((np.diff(self.times) >= 0).all())


class Timeline:
    """Row numbers to time and offset. Rows are numbered from 0 in stream order."""

    __slots__ = ("_ahead", "_levels", "_marks", "rows")

    def __init__(self) -> None:
        self.rows = 0
        self._marks = 0  # that were ever set
        # Level by level as far as there are any, the finest first; in each the oldest mark first. A mark that leaves a
        # level moves up to the next where it stands on one of its rows, and is gone otherwise.
        self._levels: list[array[int]] = []
        # Marks of the batch at hand. They take their places only as the batch is lived through, so that a later row
        # never pushes out the mark that an earlier one asks for.
        self._ahead: array[int] = array("q")

    def extend(self, rows: int, marks: Callable[[range], Iterable[int]]) -> None:
        """So many more rows; ``marks`` gives the times and offsets of some of them, counted from the first of these."""
        first = self.rows
        self.rows += rows
        self._ahead.extend(marks(range(-first % STRIDE, rows, STRIDE)))

    def settle(self, row: int | None = None) -> None:
        """Everything up to the row, or all there is, has been lived through."""
        lived = len(self._ahead) if row is None else _PAIR * max(0, row // STRIDE + 1 - self._marks)
        if lived and self._ahead:
            self._set(self._ahead[:lived])
            del self._ahead[:lived]

    def _set(self, marks: "array[int]") -> None:
        number, kept = self._marks, KEPT  # ``number``: of the first, among all there ever were on its level
        self._marks += len(marks) // _PAIR
        for level in range(LEVELS):
            if level == len(self._levels):
                self._levels.append(array("q"))
            held = self._levels[level]
            oldest = number - len(held) // _PAIR
            held.extend(marks)
            gone = held[: max(0, len(held) - _PAIR * kept)]
            del held[: len(gone)]
            up = -oldest % FACTOR
            times, offsets = gone[_PAIR * up :: _PAIR * FACTOR], gone[_PAIR * up + 1 :: _PAIR * FACTOR]
            if not times:
                return
            marks = array("q", times + offsets)
            marks[::_PAIR], marks[1::_PAIR] = times, offsets
            number, kept = (oldest + up) // FACTOR, KEPT_ABOVE

    def at(self, row: int, now: int) -> Mark | None:
        """The last mark at or before the row, or the oldest there is, as remembered when ``now`` was the newest row."""
        self.settle(now)
        oldest: Mark | None = None
        for first, stride, held in self._by_level():
            if first <= row:
                place = min((row - first) // stride, len(held) // _PAIR - 1)
                return Mark(first + place * stride, held[_PAIR * place], held[_PAIR * place + 1])
            oldest = Mark(first, held[0], held[1])
        return oldest

    def parting(self, row: int, now: int) -> Mark | None:
        """The mark whose time parts the rows before this one from the others best: that of the row, where times rise.

        Labels that take differently long come in another order than their predictions. Then one row says little of
        when those since it were predicted, and many do. New ones only begin to come where a change shows: a time that
        leaves out some of them is nearer to it than one that has as many old ones.
        """
        own = self.at(row, now)
        marks = self._marked()
        if own is None or marks.rise:
            return own
        order = np.lexsort((marks.offsets, marks.times))
        # Wrong is a row since this one that lies before the time; and more so one before it that lies after.
        wrong = np.where(marks.rows >= own.row, marks.strides, -OLD_AMONG_NEW * marks.strides)[order].cumsum()
        place = int(order[np.argmin(np.concatenate(([0], wrong[:-1])))])
        return Mark(int(marks.rows[place]), int(marks.times[place]), int(marks.offsets[place]))

    def between(self, first: int, last: int, now: int) -> tuple[int, int] | None:
        """Of the marks of two rows and those between them the earliest time and the latest."""
        begin, end = self.at(first, now), self.at(last, now)
        if begin is None or end is None:
            return None
        marks = self._marked()
        times = marks.times[(marks.rows >= begin.row) & (marks.rows <= end.row)]
        return int(times.min()), int(times.max())

    def since(self, time: int, now: int) -> int:
        """The row from which on rows are since a time, as remembered when ``now`` was the newest; or the oldest.

        Where times do not rise with rows, it has the most of them after it and the fewest earlier ones. The row after
        ``now`` where none is.
        """
        self.settle(now)
        marks = self._marked()
        since = np.where(marks.times >= time, marks.strides, -marks.strides)
        of_rest = np.concatenate((np.cumsum(since[::-1])[::-1], [0]))  # from each mark on, and from none
        rows = np.concatenate((marks.rows, [now + 1]))
        return int(rows[np.argmax(of_rest)])

    def counted_since(self, time: int, now: int) -> tuple[int, int]:
        """How many rows are since a time, at least and at most; where times do not rise with rows, roughly as many."""
        self.settle(now)
        marks, rows = self._marked(), now + 1
        if not marks.rise:
            about = min(int(marks.strides[marks.times >= time].sum()), rows)
            return about, about
        first = int(np.searchsorted(marks.times, time))
        fewest = rows - int(marks.rows[first]) if first < len(marks.rows) else 0
        return fewest, rows - int(marks.rows[first - 1]) - 1 if first else rows

    def _marked(self) -> _Marked:
        rows, times, offsets, strides = array("q"), array("q"), array("q"), array("q")
        for first, stride, held in reversed(list(self._by_level())):
            times += held[::_PAIR]
            offsets += held[1::_PAIR]
            rows.extend(range(first, first + stride * (len(held) // _PAIR), stride))
            strides.extend([stride] * (len(held) // _PAIR))
        return _Marked(*[np.array(each, dtype=np.int64) for each in (rows, times, offsets, strides)])

    def _by_level(self) -> Iterator[tuple[int, int, "array[int]"]]:
        """The finest first: the row of a level's oldest mark, how many rows lie between two, and the marks."""
        first, stride = self._marks * STRIDE, STRIDE
        for held in self._levels:
            newest = (first - 1) // stride * stride  # the last of this level's rows before those of the level below
            first = newest - (len(held) // _PAIR - 1) * stride
            yield first, stride, held
            stride *= FACTOR

    def state(self) -> TimelineState:
        """Between two batches: nothing is ahead."""
        assert not self._ahead
        flat = array("q", (self.rows, 0))
        for held in reversed(self._levels):
            flat += held  # the oldest first, so that each mark is close to the one before
        return pack_steps(np.frombuffer(flat, dtype=np.int64), _PAIR)

    @classmethod
    def of(cls, state: TimelineState) -> "Timeline":
        flat = unpack_steps(state, _PAIR)
        timeline = cls()
        timeline.rows = int(flat[0]) if len(flat) else 0
        timeline._marks = -(-timeline.rows // STRIDE)
        counts = list(_counts(timeline._marks))
        if timeline.rows < 0 or len(flat) != _PAIR * (1 + sum(counts)):
            raise StateError(f"{len(flat)} numbers are no timeline of {timeline.rows} rows")
        end = len(flat)
        for count in counts:
            timeline._levels.append(array("q", flat[end - _PAIR * count : end].tobytes()))
            end -= _PAIR * count
        return timeline


def _counts(marks: int) -> Iterator[int]:
    """How many marks stand on each level when so many were set."""
    kept = KEPT
    for _ in range(LEVELS):
        if marks <= 0:
            return
        yield min(marks, kept)
        marks = -(-(marks - kept) // FACTOR)
        kept = KEPT_ABOVE
