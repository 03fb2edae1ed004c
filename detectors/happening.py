"""What rows make happen: a finding, or a block of them that is full."""

from operator import attrgetter
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

    def happenings(self, rows: Rows, first: int, start: int, timeline: Timeline) -> list[Happening]:
        """``start``: with which of the rows it began; ``first``: the number of the first of all."""
        group, found, blocks = self
        if not found and not blocks.ends:
            return []
        at = rows.places()
        happenings = [
            Happening(at[start + it.row], rows, start + it.row, group, first + start + it.row, timeline, it, blocks)
            for it in found
        ]
        happenings += [
            Happening(at[start + row], rows, start + row, group, first + start + row, timeline, None, blocks, number)
            for number, row in enumerate(blocks.ends)
        ]
        happenings.sort(key=attrgetter("row"))  # stable: findings before the block they fall in
        return happenings
