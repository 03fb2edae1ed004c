"""Counts as they stood at one record of a batch, though the whole batch has been counted already.

Detectors run over a batch as columns, so what they find is lived through after the counting. A decision must see only
what came before its record, or the place where a batch was cut would show.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

from detectors.columns import Places

DELAYS = 101  # label delays kept for their median


class Labels:
    """How many labels have met their prediction, and how long they took."""

    def __init__(self) -> None:
        self.joined = 0  # before this batch
        self.delays: deque[int] = deque(maxlen=DELAYS)
        self._indices: list[int] = []
        self._new: list[int] = []

    @property
    def news(self) -> bool:
        """Whether any came in this batch."""
        return bool(self._indices)

    def add(self, indices: Iterable[int], delays: Iterable[int]) -> None:
        self._indices += indices
        self._new += delays

    def joined_at(self, index: int) -> int:
        return self.joined + bisect_right(self._indices, index)

    def median_delay_at(self, index: int) -> int | None:
        new = self._new[: bisect_right(self._indices, index)]
        delays = sorted([*self.delays, *new][-DELAYS:])
        return delays[len(delays) // 2] if delays else None

    def delay(self, share: float) -> int:
        """Of so much of those before this batch, the longest."""
        delays = sorted(self.delays)
        return delays[min(len(delays) - 1, int(share * len(delays)))] if delays else 0

    def settle(self) -> None:
        """The batch is over."""
        self.joined += len(self._new)
        self.delays.extend(self._new)
        self._indices.clear()
        self._new.clear()

    @classmethod
    def of(cls, joined: int, delays: list[int]) -> "Labels":
        labels = cls()
        labels.joined = joined
        labels.delays.extend(delays)
        return labels


class Level:
    """A number that moves up and down, such as the predictions that wait."""

    def __init__(self) -> None:
        self._indices: list[int] = []
        self._values: list[int] = []
        self._runs: dict[int, tuple[Places, Places]] = {}  # by the number of their first, notes of many records

    def note(self, index: int, value: int) -> None:
        self._indices.append(index)
        self._values.append(value)

    def note_each(self, indices: Iterable[int], values: Iterable[int]) -> None:
        """The same of some records."""
        self._indices += indices
        self._values += values

    def note_all(self, indices: Places, values: Places) -> None:
        """What it was at each of these records."""
        self._runs[len(self._values)] = indices, values
        self.note(int(indices[0]), int(values[0]))

    def at(self, index: int) -> int:
        """The value noted at the record, which must have been noted."""
        note = bisect_right(self._indices, index) - 1
        if note not in self._runs:
            return self._values[note]
        indices, values = self._runs[note]
        return int(values[bisect_right(indices, index) - 1])

    def settle(self) -> None:
        self._indices.clear()
        self._values.clear()
        self._runs.clear()
