"""The soonest that errors alone can tell of a change: a detector that knows what no detector knows.

It is told how often errors come before and after, and over how many rows the one becomes the other, and asks only when
that began: Shiryaev and Roberts' sum over all beginnings, which no procedure of the same mean time between false alarms
betters by more than a trifle (Pollak, 1985: Optimal detection of a change in distribution. Ann. Statist. 13, 206-227).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.banks.jit import compiled
from detectors.banks.shiryaev import LIMIT_FACTORS

TRIALS = 1_000
STILL = 500  # rows before the change: the sum has forgotten how it began
Row = NDArray[np.float64]
Matrix = NDArray[np.float64]


class Change(NamedTuple):
    before: float  # the share of errors
    after: float
    rows: int  # over which the one becomes the other, evenly


def change_at(errors: Sequence[Row], starts: Sequence[int], rows: int, around: int = 1_000) -> Change:
    """The mean of what some streams show at these rows."""
    before = np.mean([each[start - around : start] for each in errors for start in starts])
    after = np.mean([each[start + rows : start + rows + around] for each in errors for start in starts])
    return Change(float(before), float(after), rows)


def optimum(change: Change, rows_per_alarm: float, seed: int = 1) -> float:
    """Its median delay in rows, counted from the first row that is not as before."""
    ages = np.arange(1, change.rows + 1) / change.rows
    shares = change.before + (change.after - change.before) * ages
    likelier = np.array([(1.0 - shares) / (1.0 - change.before), shares / change.before])
    lasting = 5 * change.rows + 5_000
    p = np.concatenate((np.full(STILL, change.before), shares, np.full(lasting, change.after)))
    draw = np.random.default_rng(seed)
    wrong = np.array([draw.random(len(p)) < p for _ in range(TRIALS)])
    return float(np.median(_delays(wrong, likelier, rows_per_alarm * LIMIT_FACTORS[True])))


@compiled
def _delays(wrong: NDArray[np.bool_], likelier: Matrix, limit: float) -> Row:
    """Of each trial; a false alarm before the change begins the sum afresh."""
    ages = likelier.shape[1]
    delays = np.full(len(wrong), np.inf)
    for trial in range(len(wrong)):
        evidence = np.zeros(ages)  # by how many rows ago the change began; the last are all older ones
        for row in range(wrong.shape[1]):
            told = likelier[1] if wrong[trial, row] else likelier[0]
            total = 0.0
            for age in range(ages - 1, -1, -1):
                older = evidence[age] if age == ages - 1 else 0.0
                evidence[age] = (older + (evidence[age - 1] if age > 0 else 1.0)) * told[age]
                total += evidence[age]
            if total < limit:
                continue
            if row >= STILL:
                delays[trial] = row - STILL
                break
            evidence[:] = 0.0
    return delays
