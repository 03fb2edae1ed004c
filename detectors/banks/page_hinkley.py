"""Page-Hinkley for many columns at once, decision for decision the one of River 0.26.1.

Page, E. S. (1954): Continuous Inspection Schemes. Biometrika 41, 100-115.

Two cumulative sums of the deviations from the running mean, one leaning down by ``delta`` to show a rise, one leaning
up to show a fall. A change is reported when a sum is further than ``threshold`` from its extremum. The extremum is also
where the change is dated, so a count and a sum of the values since then, and the mean before, are kept as evidence.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import Finding, Matrix, StateError
from detectors.banks.jit import compiled
from detectors.banks.matrix import checked, checked_column, findings
from detectors.banks.packed import pack, unpack
from detectors.banks.sealed import Parameters, name_of, unseal

Row = NDArray[np.float64]

# One line of floats a column: the running mean and how many values it rests on, then the same five for each side.
_MEAN, _COUNT = 0, 1
_RISE, _FALL = 2, 7  # where the five of a side begin
_SUM, _EXTREME, _SINCE, _TOTAL, _BEFORE = 0, 1, 2, 3, 4
# A column that has seen nothing. River starts the maximum at -1, not at minus infinity: with delta below -1 a fall is
# measured from -1 until a sum passes it. With any other delta the first sum is delta itself and no trace is left.
_BLANK = np.array([0.0, 0.0, 0.0, np.inf, 0.0, 0.0, np.nan, 0.0, -1.0, 0.0, 0.0, np.nan])

_MODES = {"up": (True, False), "down": (False, True), "both": (True, True)}


class PageHinkleyBank:
    """``mode`` says which change counts: ``up``, ``down`` or ``both``. The other parameters are River's as well."""

    kind = "page_hinkley"
    __slots__ = ("_limits", "_name", "_parameters", "_sides", "_state")

    def __init__(
        self,
        columns: int = 0,
        *,
        min_instances: int = 30,
        delta: float = 0.005,
        threshold: float = 50.0,
        alpha: float = 1 - 0.0001,
        mode: str = "both",
    ) -> None:
        self._limits = float(min_instances), float(delta), float(threshold), float(alpha)
        self._sides = _MODES[mode]
        self._parameters: Parameters = {
            "min_instances": min_instances,
            "delta": float(delta),
            "threshold": float(threshold),
            "alpha": float(alpha),
            "mode": mode,
        }
        self._name = name_of(self.kind, self._parameters)
        self._state = _fresh(columns)

    @property
    def columns(self) -> int:
        return len(self._state)

    @property
    def parameters(self) -> Mapping[str, float | int | str | bool]:
        return self._parameters

    def sums(self, column: int) -> tuple[float, ...]:
        """Values seen, their mean, the sum for a rise and its minimum, the sum for a fall and its maximum."""
        own = self._state[checked_column(column, self.columns)]
        fields = (_COUNT, _MEAN, _RISE + _SUM, _RISE + _EXTREME, _FALL + _SUM, _FALL + _EXTREME)
        return tuple(float(own[field]) for field in fields)

    def fresh(self, columns: int) -> "PageHinkleyBank":
        other = PageHinkleyBank.__new__(PageHinkleyBank)
        other._limits, other._sides, other._parameters = self._limits, self._sides, self._parameters
        other._name = self._name
        other._state = _fresh(columns)
        return other

    def grow(self, columns: int) -> None:
        self._state = np.concatenate((self._state, _fresh(max(0, columns - self.columns))))

    def update(self, values: Matrix) -> list[Finding]:
        return findings(_advance(self._state, checked(values, self.columns), *self._limits, *self._sides))

    def reset(self, column: int) -> None:
        self._state[checked_column(column, self.columns)] = _BLANK

    def snapshot(self) -> bytes:
        return self._name + pack(self._state.ravel())

    def restore(self, state: bytes) -> None:
        values = unpack(unseal(state, self._name, self.kind, self._parameters))
        if len(values) % len(_BLANK):
            raise StateError(f"{self.kind}: {len(values)} numbers are no whole columns")
        self._state = values.reshape(-1, len(_BLANK))


def _fresh(columns: int) -> Matrix:
    state = np.empty((columns, len(_BLANK)))
    state[:] = _BLANK
    return state


@compiled
def _advance(
    state: Matrix,
    values: Matrix,
    min_instances: float,
    delta: float,
    threshold: float,
    alpha: float,
    up: bool,
    down: bool,
) -> Matrix:
    """A column at a time, with all that is known of it in registers and hardly a branch: four times as fast."""
    found = np.empty((4, 8))  # reports are rare; it doubles when they are not
    done = 0
    threshold_up, threshold_down = threshold if up else np.inf, threshold if down else np.inf
    for column in range(values.shape[1]):
        own = state[column]
        mean, count = own[0], own[1]
        rise, lowest, rise_since, rise_total, rise_before = own[2], own[3], own[4], own[5], own[6]
        fall, highest, fall_since, fall_total, fall_before = own[7], own[8], own[9], own[10], own[11]
        for row in range(values.shape[0]):
            value = values[row, column]
            if np.isnan(value):
                continue
            # Every line in River's order of operations: floating-point addition is not associative.
            count += 1.0
            mean += (1.0 / count) * (value - mean)
            deviation = value - mean
            rise = alpha * rise + deviation - delta
            fall = alpha * fall + deviation + delta
            lower, higher = rise < lowest, fall > highest
            lowest = rise if lower else lowest
            rise_since = 0.0 if lower else rise_since + 1.0
            rise_total = 0.0 if lower else rise_total + value
            rise_before = mean if lower else rise_before
            highest = fall if higher else highest
            fall_since = 0.0 if higher else fall_since + 1.0
            fall_total = 0.0 if higher else fall_total + value
            fall_before = mean if higher else fall_before
            up_by, down_by = rise - lowest, highest - fall
            if count < min_instances or not (up_by > threshold_up or down_by > threshold_down):
                continue
            if done == len(found):
                found = np.concatenate((found, np.empty_like(found)))
            if down_by > threshold_down and not up_by >= max(down_by, threshold_up):
                _tell(found[done], row, column, down_by, threshold, count, fall_before, fall_total, fall_since)
            else:
                _tell(found[done], row, column, up_by, threshold, count, rise_before, rise_total, rise_since)
            done += 1
            # River starts afresh at the update after a report; nothing happens in between, so it may as well be now.
            # These are ``_BLANK``; from an array they would cost every value four times the time.
            mean = count = rise = rise_since = rise_total = fall = fall_since = fall_total = 0.0
            lowest, highest = np.inf, -1.0
            rise_before = fall_before = np.nan
        # One by one: what fills an array from another one is compiled for seconds.
        own[0], own[1] = mean, count
        own[2], own[3], own[4], own[5], own[6] = rise, lowest, rise_since, rise_total, rise_before
        own[7], own[8], own[9], own[10], own[11] = fall, highest, fall_since, fall_total, fall_before
    return found[:done]


@compiled
def _tell(
    line: Row,
    row: int,
    column: int,
    statistic: float,
    threshold: float,
    count: float,
    before: float,
    total: float,
    since: float,
) -> None:
    line[0], line[1], line[2], line[3], line[4] = row, column, statistic, threshold, count
    line[5], line[6], line[7] = before, total / since, since
