"""What rows make happen: a finding, or a block of them that is full."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import NamedTuple

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


class Detected(NamedTuple):
    """What a group makes of some rows."""

    group: Group
    found: list[Found]
    blocks: Blocks


class Piece(NamedTuple):
    """What all groups make of some rows, from the row ``start`` of them on; ``first``: the number of the first of all.

    At one record comes first what a group before another makes; and of a group what it finds before the block it ends.
    """

    detected: list[Detected]
    rows: Rows
    first: int
    start: int
    timeline: Timeline

    def happenings(self) -> Iterator[Happening]:
        """One by one."""
        return self.but_for_quiet(lambda: True)

    def but_for_quiet(self, is_restless: Callable[[], bool]) -> Iterator[Happening]:
        """As long as nothing is open or suspected, blocks say nothing: they are remembered, many at once."""
        done = [0] * len(self.detected)  # how many blocks of each
        found = [(self._at(it.row), place, it) for place, one in enumerate(self.detected) for it in one.found]
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
        for other, (group, _, blocks) in enumerate(self.detected):
            before, ends = done[other], blocks.ends
            if other == place:
                done[other] = bisect_left(ends, row, before)
            else:
                done[other] = bisect_left(ends, at + (other < place), before, key=self._at)
            if one_by_one:
                ahead += [(self._at(ends[number]), other, number) for number in range(before, done[other])]
            elif before < done[other]:
                group.remember(blocks, range(before, done[other]))
        for its, other, number in sorted(ahead):
            yield self._happening(its, self.detected[other].blocks.ends[number], other, None, number)

    def _at(self, row: int) -> int:
        return self.rows.places()[self.start + row]

    def _happening(self, at: int, row: int, place: int, found: Found | None, block: int = -1) -> Happening:
        number, one = self.start + row, self.detected[place]
        return Happening(at, self.rows, number, one.group, self.first + number, self.timeline, found, one.blocks, block)
