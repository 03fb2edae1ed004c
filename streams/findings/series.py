"""A model's metrics over time as a bounded number of stretches of equal length, whatever the windows were."""

from array import array
from collections.abc import Mapping, Sequence
from enum import Enum
from math import isfinite
from typing import NamedTuple

from schemas.events import Metrics
from schemas.times import UNIT_MS

STRETCHES_MAX = 360  # points a line is drawn from: one for two to three pixels of a figure
_STEPS = tuple(
    count * UNIT_MS[unit]
    for unit, counts in (("s", (1, 5, 15, 30)), ("m", (1, 2, 5, 10, 15, 30)), ("h", (1, 2, 3, 6, 12)), ("d", (1, 2, 7)))
    for count in counts
)


class How(Enum):
    """What becomes of several windows' values in one stretch."""

    SUM = "sum"
    MEAN = "mean"  # weighted by what the values are means of
    MAX = "max"
    LAST = "last"  # of what stands at a window's end


class Grid(NamedTuple):
    """Stretches of time, counted from ``first``."""

    first: int
    step: int
    size: int

    @property
    def end(self) -> int:
        return self.first + self.step * self.size

    def place(self, ts: int) -> int:
        return min(max((ts - self.first) // self.step, 0), self.size - 1)


def grid(from_ts: int, to_ts: int, least_step: int) -> Grid:
    """Steps that people count in: minutes, hours, days, weeks."""
    needed = max(least_step, -(-(to_ts - from_ts + 1) // (STRETCHES_MAX - 1)), 1)
    step = next((step for step in _STEPS if step >= needed), None)
    if step is None:  # years
        step = -(-needed // _STEPS[-1]) * _STEPS[-1]
    first = from_ts // step * step
    return Grid(first, step, (to_ts - first) // step + 1)


def how(name: str) -> How:
    """By the name, so that a metric that comes later needs nothing here."""
    if name in ("predictions", "joined", "corrected") or name.endswith("_sum"):
        return How.SUM
    if name == "pending" or name.endswith("_total"):
        return How.LAST
    return How.MAX if name.endswith("_max") else How.MEAN


class Series:
    def __init__(self, names: Sequence[str], over: Grid) -> None:
        self.grid, self.names = over, names
        self._how = {name: how(name) for name in names}
        self._values = {name: array("d", bytes(8 * over.size)) for name in names}
        self._weights = {name: array("d", bytes(8 * over.size)) for name in names}

    def add(self, window: Metrics) -> None:
        place, values = self.grid.place(window.window_start), window.values
        for name, value in values.items():
            if value is None or not isfinite(value) or (combined := self._how.get(name)) is None:
                continue
            sums, weights = self._values[name], self._weights[name]
            if combined is How.MEAN:
                weight = _weight(name, values)
                sums[place] += value * weight
                weights[place] += weight
                continue
            if combined is How.SUM:
                sums[place] += value
            elif combined is How.LAST or not weights[place] or value > sums[place]:
                sums[place] = value
            weights[place] = 1.0

    def of(self, name: str) -> list[float | None]:
        """A value a stretch; none where nothing was told."""
        if name not in self._how:
            return [None] * self.grid.size
        told = zip(self._values[name], self._weights[name], strict=True)
        if self._how[name] is How.MEAN:
            return [value / weight if weight else None for value, weight in told]
        return [value if weight else None for value, weight in told]

    def has(self, name: str) -> bool:
        return name in self._how and any(self._weights[name])

    def total(self, name: str) -> float:
        return sum(value for value in self.of(name) if value is not None)

    def last(self, name: str) -> float | None:
        return next((value for value in reversed(self.of(name)) if value is not None), None)


def _weight(name: str, values: Mapping[str, float | int | None]) -> float:
    """A mean of losses rests on labels, any other on predictions."""
    return float(values.get("joined" if "loss" in name else "predictions") or 1)
