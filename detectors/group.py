"""Columns of one family with their baseline and their detectors: numbers in, findings out."""

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from detectors.banks import registry
from detectors.banks.contract import Bank, Finding, Matrix
from detectors.baseline import BLOCK, Baseline, BaselineState, Blocks
from detectors.config import ModelConfig
from detectors.encoding import Column

HISTORY = 32  # blocks kept: about a thousand rows decide that something is over

# Page-Hinkley's own defaults alarm 66 times in 100,000 rows of N(0, 1). Half of the smallest shift worth a page as
# allowance leaves one false report in millions there, and finds one standard deviation in about 60 rows.
PARAMETERS: dict[str, dict[str, float | int | str | bool]] = {"page_hinkley": {"delta": 0.15, "threshold": 50.0}}


class Found(NamedTuple):
    """A finding in the signal's own terms."""

    row: int
    column: int
    detector: str
    finding: Finding
    effect: float  # of a value: standard deviations from the baseline; of a rate: the difference
    after: float  # the mean since the change, in the signal's unit


class Recent(NamedTuple):
    """What the last rows of a column were like. All in the unit of ``Found.effect``."""

    effect: float
    rows: int
    error: float  # one standard error of the effect where nothing has changed: the rows' and the baseline's
    skewness: float  # of a mean of so many rows


class GroupState(msgspec.Struct, array_like=True, frozen=True):
    baseline: BaselineState
    banks: list[bytes]
    history: list[tuple[bytes, bytes]]


class Group:
    """``rate`` columns are 0/1 and measured in shares; others are measured in standard deviations of their baseline."""

    def __init__(self, config: ModelConfig, detectors: Sequence[str], *, rate: bool) -> None:
        self.rate = rate
        self.columns: list[Column] = []
        self.baseline = Baseline()
        self._rows_to_learn = config.baseline_rows
        self._banks: list[tuple[str, Bank]] = [
            (name, registry.build(name, {**PARAMETERS.get(name, {}), **config.parameters.get(name, {})}))
            for name in detectors
            if rate or registry.accepts(name) is registry.Accepts.NUMBERS
        ]
        self._history: deque[tuple[Matrix, Matrix]] = deque(maxlen=HISTORY)

    def grow(self, columns: Sequence[Column]) -> None:
        """Opens what has been added to ``columns`` since."""
        for column in columns[len(self.columns) :]:
            self.columns.append(column)
            if column.given_share is not None:
                self.baseline.given(column.given_share, 1.0)
            elif column.given_mean is not None and column.given_sd:
                self.baseline.given(column.given_mean, column.given_sd)
            else:
                self.baseline.learn(self._rows_to_learn)
        for _, bank in self._banks:
            if bank.columns < len(self.columns):
                bank.grow(len(self.columns))

    def update(self, x: Matrix) -> tuple[list[Found], Blocks]:
        if not self.columns:
            self.baseline.rows += len(x)  # so that blocks end at the same rows in every group
            return [], Blocks([], np.empty((0, 0)), np.empty((0, 0)))
        z, blocks = self.baseline.measure(x)
        raw = np.where(np.isnan(z), np.nan, x) if self.rate else z
        found: list[Found] = []
        for name, bank in self._banks:
            standardised = name == "page_hinkley" or not self.rate
            reports = bank.update(z if standardised else raw)
            found.extend(self._found(name, report, standardised) for report in reports)
        if len(self._banks) > 1 and len(found) > 1:
            found.sort(key=lambda item: (item.row, item.column))
        return found, blocks

    def _found(self, detector: str, finding: Finding, standardised: bool) -> Found:
        column = finding.column
        mean, scale = float(self.baseline.mean[column]), float(self.baseline.scale[column])
        after = mean + finding.mean_after * scale if standardised else finding.mean_after
        effect = after - mean if self.rate else finding.mean_after
        return Found(finding.row, column, detector, finding, effect, after)

    # -- blocks: what the rows since then were like -----------------------------------------------------------------

    def remember(self, blocks: Blocks, number: int) -> None:
        self._history.append((blocks.sums[number], blocks.counts[number]))

    def recent(self, column: int, blocks: int) -> Recent:
        """The mean of one column over the last blocks, against its baseline."""
        total = rows = 0.0
        for sums, counts in list(self._history)[-blocks:] if blocks > 0 else ():
            if column < len(sums):
                total += float(sums[column])
                rows += float(counts[column])
        if not rows:
            return Recent(0.0, 0, math.inf, 0.0)
        mean, learned = total / rows, float(self.baseline.n[column])
        effect, sd, skewness = mean, 1.0, self.baseline.skewness(column)
        if self.rate:
            share = float(self.baseline.mean[column])
            effect = mean * float(self.baseline.scale[column])
            sd = _sd(share)
            skewness = (1.0 - 2.0 * share) / sd
        error = sd * (1.0 / rows + (1.0 / learned if learned else 0.0)) ** 0.5
        return Recent(effect, int(rows), error, skewness / rows**0.5)

    def rows_spanned(self, column: int, values: int) -> int:
        """About how many rows the last so many values of a column lie back: some are not there in every row."""
        counts = [float(counts[column]) if column < len(counts) else 0.0 for _, counts in self._history]
        first = next((block for block, count in enumerate(counts) if count), len(counts))
        counted = counts[first + 1 :]  # the first one may have been spent on warm-up
        return round(values * BLOCK * len(counted) / sum(counted)) if sum(counted) else values

    # -- state ------------------------------------------------------------------------------------------------------

    def state(self) -> GroupState:
        history = [(sums.tobytes(), counts.tobytes()) for sums, counts in self._history]
        return GroupState(self.baseline.state(), [bank.snapshot() for _, bank in self._banks], history)

    def restore(self, columns: Sequence[Column], state: GroupState) -> None:
        self.baseline = Baseline.of(state.baseline)
        # Columns that the encoder has opened and no row has reached yet are grown with the next row, as ever.
        self.columns = list(columns[: self.baseline.columns])
        for (_, bank), held in zip(self._banks, state.banks, strict=True):
            bank.restore(held)
        for sums, counts in state.history:
            self._history.append((np.frombuffer(sums), np.frombuffer(counts)))


def _sd(share: float) -> float:
    """Of one 0 or 1. A share that was never seen is taken for one in a hundred."""
    share = min(max(share, 0.01), 0.99)
    return float((share * (1.0 - share)) ** 0.5)
