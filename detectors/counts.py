"""What became of the records of a batch, and what is to be sent because of them."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from detectors.effects import Effect
from detectors.join import Fate

_APPLIED = Fate.APPLIED  # a look into an enum costs more than most of what a record needs


class Counts(msgspec.Struct):
    """How the records of one topic ended. ``consumed`` is always the sum of the four fates."""

    consumed: int = 0
    applied: int = 0
    duplicate: int = 0
    late: int = 0
    dead_lettered: int = 0
    conflicts: int = 0  # duplicates with other content
    unknown_fields: int = 0  # taken, with fields left aside

    def add_ends(self, fate: Fate, ended: int = 1) -> None:
        """Counts so many records."""
        if fate is _APPLIED:
            self.applied += ended
        elif fate is Fate.LATE:
            self.late += ended
        else:
            self.duplicate += ended
            self.conflicts += ended if fate is Fate.CONFLICT else 0

    def add_fates(self, fates: Mapping[Fate, int]) -> None:
        for fate, ended in fates.items():
            self.add_ends(fate, ended)

    def add(self, other: object) -> None:
        """Adds what anything with these fields has counted."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Applied(NamedTuple):
    """``places``: of each effect, the place in the batch of the record that caused it."""

    effects: list[Effect]
    counts: dict[str, Counts]  # by topic
    places: list[int]
