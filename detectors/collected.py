"""The predictions that one monitor has taken in, batch by batch."""

from bisect import bisect_left, bisect_right
from itertools import accumulate, groupby

import msgspec

from detectors.gathered import joined
from detectors.moment import Item, position_of
from detectors.rows import Items, Rows, Stretch
from detectors.windows import Window
from schemas.events import Position


class _Part(msgspec.Struct):
    rows: Rows
    repeated: list[int]  # before which of them one that was taken came again
    start: int  # from here to there
    stop: int
    seen: int = 0  # by a window: those before it

    @property
    def own(self) -> Rows:
        rows = self.rows
        if isinstance(rows, Stretch) and self.stop - self.start < len(rows):
            return rows.taken(slice(self.start, self.stop))
        return rows


class Collected:
    """``repeats``: whether one that was taken before came again since the newest prediction."""

    def __init__(self) -> None:
        self.repeats = False
        self.last: Position | None = None  # of the newest one before this batch
        self._items: list[Item] = []
        self._repeated: list[int] = []
        self._parts: list[_Part] = []  # what came before these
        self._handed: list[_Part] = []  # all of this batch, once they are handed out
        self._first = 0  # the number of the first of them

    @property
    def waits(self) -> bool:
        """Whether any were not handed out yet."""
        return bool(self._items or self._parts)

    def add(self, item: Item) -> None:
        if self._items and self._items[-1][2].topic != item[2].topic:
            self._close_part()  # where rows stand is known by the topic of the first
        if self.repeats:
            self._repeated.append(len(self._items))
            self.repeats = False
        self._items.append(item)

    def add_rows(self, rows: Stretch, start: int, stop: int) -> None:
        """Many at once."""
        before = self._parts[-1] if self._parts and not self._items else None
        if before is not None and before.rows is rows and before.stop == start and not self.repeats:
            before.stop = stop
            return
        self._close_part()
        self._parts.append(_Part(rows, [0] if self.repeats else [], start, stop))
        self.repeats = False

    def _close_part(self) -> None:
        if self._items:
            self._parts.append(_Part(Items(self._items), self._repeated, 0, len(self._items)))
            self._items, self._repeated = [], []

    def _close_parts(self) -> None:
        """Detectors like them long: those that may be one become one."""
        self._close_part()
        for part in self._parts:
            part.rows, part.start, part.stop = part.own, 0, part.stop - part.start
        self._parts = [_joined(list(parts)) for _, parts in groupby(self._parts, key=_place)]

    @property
    def waiting(self) -> list[Rows]:
        self._close_parts()
        return [part.rows for part in self._parts]

    def hand_out(self, first: int) -> list[tuple[Rows, list[int]]]:
        """Those that wait, with which of them had one come again before them. ``first``: the number of the first."""
        self._close_parts()
        parts, self._parts = self._parts, []
        self._handed, self._first = parts, first
        return [(part.rows, part.repeated) for part in parts]

    def see(self, window: Window, until: int | None = None) -> None:
        """Tells a window of what was handed out, as far as it came before this place in the batch."""
        for part in self._handed:
            stop = part.stop if until is None else bisect_left(part.rows.places(), until)
            if stop > part.seen:
                window.saw(part.rows, slice(part.seen, stop))
                part.seen = stop

    def newest(self, at: int, rows: int) -> tuple[Position | None, int]:
        """At this place of the batch: where the newest prediction stands, and how many there were; ``rows`` by now."""
        newest, count = self.last, self._first if self._handed else rows
        for part in self._handed:
            seen = bisect_right(part.rows.places(), at)
            newest, count = _position(part.rows, seen - 1) if seen else newest, count + seen
        return newest, count

    def settle(self) -> None:
        """The batch has been lived through."""
        if self._handed:
            self.last = _position(self._handed[-1].rows, self._handed[-1].stop - 1)
            self._handed = []


def _place(part: _Part) -> tuple[str, int]:
    record = part.rows.place(0)[2]
    return record.topic, record.partition


def _joined(parts: list[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    firsts = accumulate((part.stop for part in parts), initial=0)
    repeated = [first + row for first, part in zip(firsts, parts, strict=False) for row in part.repeated]
    rows = joined([part.rows for part in parts])
    return _Part(rows, repeated, 0, len(rows))


def _position(rows: Rows, row: int) -> Position:
    return position_of(rows.place(row)[2])
