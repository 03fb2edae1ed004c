"""Columns of one family with their baseline and their detectors: numbers in, findings out."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.banks import registry
from detectors.banks.contract import Bank, Finding, Matrix, StateError
from detectors.banks.packed import pack, unpack
from detectors.baseline import BLOCK, Baseline, Blocks, Row
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


class History:
    """The last blocks of all columns, in a ring. A column that came later has nothing in the blocks before."""

    __slots__ = ("_counts", "_sums", "blocks")

    def __init__(self) -> None:
        self.blocks = 0  # ever
        self._sums: Matrix = np.zeros((HISTORY, 0))
        self._counts: NDArray[np.uint8] = np.zeros((HISTORY, 0), dtype=np.uint8)  # at most BLOCK each

    def add(self, sums: Row, counts: Row) -> None:
        more = len(sums) - self._sums.shape[1]
        if more:
            self._sums = np.pad(self._sums, ((0, 0), (0, more)))
            self._counts = np.pad(self._counts, ((0, 0), (0, more)))
        place = self.blocks % HISTORY
        self._sums[place] = sums
        self._counts[place] = counts
        self.blocks += 1

    def last(self, column: int, blocks: int) -> Iterator[tuple[float, int]]:
        """Sums and counts of one column, oldest first."""
        if column >= self._sums.shape[1]:
            return
        sums, counts = self._sums[:, column].tolist(), self._counts[:, column].tolist()
        for block in range(max(0, self.blocks - min(blocks, HISTORY)), self.blocks):
            yield sums[block % HISTORY], counts[block % HISTORY]

    def numbers(self, wanted: int) -> tuple[NDArray[np.number[Any]], ...]:
        """All there is to know but for ``blocks``: the counts, and of so many last blocks the sums."""
        counts = self._counts[: self.blocks].ravel()
        return (counts, self._sums[self._places(wanted)].ravel()) if wanted else (counts,)

    def _places(self, wanted: int) -> list[int]:
        return [block % HISTORY for block in range(self.blocks - wanted, self.blocks)]

    @classmethod
    def of(cls, blocks: int, wanted: int, numbers: Row) -> "History":
        """What gave these numbers; ``ValueError`` where there are too many or too few."""
        history = cls()
        history.blocks = blocks
        if blocks:
            used = min(blocks, HISTORY)
            rows = numbers.reshape(used + wanted, -1)
            history._sums = np.zeros((HISTORY, rows.shape[1]))
            history._counts = np.zeros(history._sums.shape, dtype=np.uint8)
            history._counts[:used] = rows[:used]
            if wanted:
                history._sums[history._places(wanted)] = rows[used:]
        return history


class GroupState(msgspec.Struct, array_like=True, frozen=True):
    columns: int
    rows: int
    blocks: int
    wanted: int
    numbers: bytes  # of the baseline, then of the history
    banks: list[bytes]


class Group:
    """``rate`` columns are 0/1 and measured in shares; others are measured in standard deviations of their baseline."""

    __slots__ = ("_banks", "_config", "_detectors", "_history", "baseline", "columns", "rate")

    def __init__(self, config: ModelConfig, detectors: Sequence[str], *, rate: bool) -> None:
        self.rate = rate
        self.columns: list[Column] = []
        self.baseline = Baseline()
        self._config = config
        self._detectors = detectors
        self._banks: list[tuple[str, Bank]] = []  # none before there is a column: many groups never have one
        self._history = History()

    def grow(self, columns: Sequence[Column]) -> None:
        """Opens what has been added to ``columns`` since."""
        for column in columns[len(self.columns) :]:
            self.columns.append(column)
            if column.given_share is not None:
                self.baseline.given(column.given_share, 1.0)
            elif column.given_mean is not None and column.given_sd:
                self.baseline.given(column.given_mean, column.given_sd)
            else:
                self.baseline.learn(self._config.baseline_rows)
        if self.columns and not self._banks:
            self._banks = self._built()
        for _, bank in self._banks:
            if bank.columns < len(self.columns):
                bank.grow(len(self.columns))

    def _built(self) -> list[tuple[str, Bank]]:
        given = self._config.parameters
        return [
            (name, registry.build(name, {**PARAMETERS.get(name, {}), **given.get(name, {})}))
            for name in self._detectors
            if self.rate or registry.accepts(name) is registry.Accepts.NUMBERS
        ]

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
        self._history.add(blocks.sums[number], blocks.counts[number])

    def recent(self, column: int, blocks: int) -> Recent:
        """The mean of one column over the last blocks, against its baseline."""
        total, rows = 0.0, 0
        for block_sum, count in self._history.last(column, max(0, blocks)):
            total += block_sum
            rows += count
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
        return Recent(effect, rows, error, skewness / rows**0.5)

    def rows_spanned(self, column: int, values: int) -> int:
        """About how many rows the last so many values of a column lie back: some are not there in every row."""
        counts = [count for _, count in self._history.last(column, HISTORY)]
        first = next((block for block, count in enumerate(counts) if count), len(counts))
        counted = counts[first + 1 :]  # the first one may have been spent on warm-up
        return round(values * BLOCK * len(counted) / sum(counted)) if sum(counted) else values

    # -- state ------------------------------------------------------------------------------------------------------

    def state(self, wanted: int) -> GroupState:
        """``wanted``: so many of the last blocks may still be asked for by ``recent``."""
        blocks = self._history.blocks
        wanted = min(wanted, blocks, HISTORY)
        numbers = pack(np.concatenate((self.baseline.numbers(), *self._history.numbers(wanted))))
        banks = [bank.snapshot() for _, bank in self._banks]
        return GroupState(len(self.columns), self.baseline.rows, blocks, wanted, numbers, banks)

    def restore(self, columns: Sequence[Column], state: GroupState) -> None:
        """Columns that the encoder has opened and no row has reached yet are grown with the next row, as ever."""
        self.columns = list(columns[: state.columns])
        numbers, first = unpack(state.numbers), Baseline.size(state.columns)
        self.baseline = Baseline.of(state.rows, numbers[:first])
        self._history = History.of(state.blocks, state.wanted, numbers[first:])
        self._banks = self._built() if self.columns else []
        for (_, bank), held in zip(self._banks, state.banks, strict=True):
            bank.restore(held)
        if any(count != state.columns for count in (len(self.columns), *(bank.columns for _, bank in self._banks))):
            raise StateError(f"a state of {state.columns} columns does not fit the columns that are watched")


def _sd(share: float) -> float:
    """Of one 0 or 1. A share that was never seen is taken for one in a hundred."""
    share = min(max(share, 0.01), 0.99)
    return float((share * (1.0 - share)) ** 0.5)
