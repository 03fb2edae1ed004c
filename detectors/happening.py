"""What rows make happen: a finding, or a block of them that is full."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import NamedTuple

from detectors.banks.shiryaev import WATCH
from detectors.baseline import Blocks
from detectors.group import Found, Group
from detectors.moment import Item
from detectors.rows import Rows
from detectors.timeline import Timeline


class Happening(NamedTuple):
    """A finding, or a block that is full. ``row`` is the group's, counted from the beginning of time."""

    at: int  # in the batch
    rows: Rows
    number: int  # of the row among these
    group: Group
    row: int
    timeline: Timeline
    found: Found | None
    blocks: Blocks
    block: int = -1

    @property
    def item(self) -> Item:
        return self.rows.place(self.number)

    @property
    def now(self) -> int:
        return self.rows.at(self.number)[0]


class Detected(NamedTuple):
    """What a group makes of some rows, from the row ``start`` on."""

    group: Group
    start: int
    found: list[Found]
    blocks: Blocks
    numbers: range  # of the blocks among these

    @classmethod
    def all_of(cls, group: Group, start: int, found: list[Found], blocks: Blocks) -> "Detected":
        return cls(group, start, found, blocks, range(len(blocks.ends)))

    def part(self, rows: slice) -> "Detected":
        """Of some of the rows."""
        first, end = rows.start - self.start, rows.stop - self.start
        found = [it for it in self.found if first <= it.row < end] if self.found else self.found
        numbers = range(bisect_left(self.blocks.ends, first), bisect_left(self.blocks.ends, end))
        return self._replace(found=found, numbers=numbers)


class Piece(NamedTuple):
    """What all groups make of some rows; ``first``: the number of the first of all rows.

    At one record comes first what a group before another makes; and of a group what it finds before the block it ends.
    """

    detected: list[Detected]
    rows: Rows
    first: int
    timeline: Timeline

    def happenings(self) -> Iterator[Happening]:
        """One by one."""
        return self.but_for_quiet(lambda: True)

    def but_for_quiet(self, is_restless: Callable[[], bool]) -> Iterator[Happening]:
        """As long as nothing is open or suspected, blocks say nothing: they are remembered, many at once."""
        done = [one.numbers.start for one in self.detected]  # the next block of each
        found = [(self._at(one, it.row), place, it) for place, one in enumerate(self.detected) for it in one.found]
        for at, place, it in sorted(found, key=itemgetter(0, 1)):  # stable: of a group by row
            yield from self._blocks(done, is_restless, at, place, it.row)
            yield self._happening(at, it.row, place, it)
        yield from self._blocks(done, is_restless)

    def _blocks(
        self,
        done: list[int],
        is_restless: Callable[[], bool],
        at: float = math.inf,
        place: int = 0,
        row: float = math.inf,
    ) -> Iterator[Happening]:
        """Those that come before what a group finds at a record. One record may bring many rows: of labels it may."""
        ahead: list[tuple[int, int, int]] = []
        one_by_one = is_restless()
        for other, one in enumerate(self.detected):
            before, ends, end = done[other], one.blocks.ends, one.numbers.stop
            if other == place:
                done[other] = bisect_left(ends, row, before, end)
            else:
                done[other] = bisect_left(ends, at + (other < place), before, end, key=partial(self._at, one))
            if one_by_one:
                ahead += [(self._at(one, ends[number]), other, number) for number in range(before, done[other])]
            elif before < done[other]:
                one.group.remember(one.blocks, range(before, done[other]))
        for its, other, number in sorted(ahead):
            yield self._happening(its, self.detected[other].blocks.ends[number], other, None, number)

    def _at(self, one: Detected, row: int) -> int:
        return self.rows.places()[one.start + row]

    def _happening(self, at: int, row: int, place: int, found: Found | None, block: int = -1) -> Happening:
        one = self.detected[place]
        number = one.start + row
        return Happening(at, self.rows, number, one.group, self.first + number, self.timeline, found, one.blocks, block)


def first_by_watch(ahead: Sequence[Sequence[Detected]], none: int) -> int:
    """The first row in which a watch finds something."""
    all_found = (one.start + it.row for known in ahead for one in known for it in one.found if it.detector == WATCH)
    return min(all_found, default=none)
