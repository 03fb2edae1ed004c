"""Columns of one family with their baseline and their detectors: numbers in, findings out."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.banks import registry
from detectors.banks.contract import Bank, Finding, Matrix, StateError
from detectors.banks.packed import pack, unpack
from detectors.banks.shiryaev import CELLS, WATCH, ShiryaevBank
from detectors.banks.shiryaev_steps import BIT_CELLS, CHUNK
from detectors.banks.standing import Standing
from detectors.banks.standing import of as standing_of
from detectors.baseline import BLOCK, HALF, Baseline, Blocks, Row
from detectors.budget import Allowance
from detectors.config import ModelConfig
from detectors.distances import rounded, told, wasserstein
from detectors.encoding import ONE_SIDED, Column
from detectors.history import HISTORY, History, Seen
from detectors.shapes import CHUNKS, Shapes
from schemas.events import JsonScalar

# Page-Hinkley's own defaults alarm 66 times in 100,000 rows of N(0, 1). Half of the smallest shift worth a page as
# allowance leaves one false report in millions there, and finds one standard deviation in about 60 rows.
PARAMETERS: dict[str, dict[str, float | int | str | bool]] = {"page_hinkley": {"delta": 0.15, "threshold": 50.0}}


_NOTHING: Matrix = np.empty((0, 0))
_NO_NUMBERS = bytes(4)  # packed


class Found(NamedTuple):
    """A finding in the signal's own terms."""

    row: int
    column: int
    detector: str
    finding: Finding
    effect: float  # of a value: standard deviations from the baseline; of a rate: the difference
    after: float  # the mean since the change, in the signal's unit
    before: float  # and before it
    base: float = 0.0  # what was normal before, where it is not the baseline any more; in the unit of ``effect``
    spread: bool = False  # it is the standard deviation that changed: the effect is by how many of the baseline's


class Recent(NamedTuple):
    """What the last rows of a column were like. All in the unit of ``Found.effect``."""

    effect: float
    rows: int
    error: float  # one standard error where nothing has changed, the rows' and the baseline's: it decides
    skewness: float  # of a mean of so many rows
    spread: float  # the standard deviation less the baseline's
    doubt: float = math.inf  # one standard error of the effect that there is: between which values it lies

    def of(self, *, spread: bool) -> float:
        return self.spread if spread else self.effect


class GroupState(msgspec.Struct, array_like=True, frozen=True):
    columns: int
    rows: int
    blocks: int
    wanted: int
    numbers: bytes  # of the baseline, then of the history
    banks: list[bytes]


class Group:
    """``rate`` columns are 0/1 and measured in shares; others are measured in standard deviations of their baseline."""

    __slots__ = (
        "_allowance",
        "_banks",
        "_config",
        "_detectors",
        "_end",
        "_history",
        "_shapes",
        "_standardised",
        "_watch",
        "baseline",
        "columns",
        "rate",
    )

    def __init__(self, config: ModelConfig, detectors: Sequence[str], *, rate: bool) -> None:
        self.rate = rate
        self.columns: list[Column] = []
        self.baseline = Baseline()
        self._config = config
        self._detectors = detectors
        self._banks: list[tuple[str, Bank]] = []  # none before there is a column: many groups never have one
        self._watch: ShiryaevBank | None = None
        self._allowance: Allowance | None = None
        self._history = History()
        self._end = 0  # the row after the last block that is remembered
        self._shapes = Shapes(BIT_CELLS if rate else CELLS // 2)
        self._standardised: Matrix = _NOTHING

    @property
    def watched(self) -> bool:
        """Whether there is a detector here that keeps to the budget: then the others only signal."""
        return WATCH in self._detectors

    @property
    def share(self) -> float:
        """What part of the model's budget each column has."""
        return self._allowance.share if self._allowance else 0.0

    @property
    def stricter(self) -> int:
        return self._allowance.stricter if self._allowance else 1

    def grow(self, columns: Sequence[Column], allowance: Allowance) -> None:
        """Opens what has been added to ``columns`` since. The budget is shared out anew whenever there are more."""
        first = len(self.columns)
        for column in columns[first:]:
            self.columns.append(column)
            if column.given_share is not None:
                self.baseline.given(column.given_share, 1.0)
            elif column.given_mean is not None and column.given_sd:
                self.baseline.given(column.given_mean, column.given_sd)
            else:
                self.baseline.learn(column.learns or self._config.baseline_rows)
        if self.columns and not self._banks and self._watch is None:
            self._banks, self._watch = self._built(), self._built_watch()
        for _, bank in self._banks:
            if bank.columns < len(self.columns):
                bank.grow(len(self.columns))
        if self._watch is not None and (allowance != self._allowance or len(self.columns) > first):
            self._allow(self._watch, allowance, first)
        self._allowance = allowance

    def _allow(self, watch: ShiryaevBank, allowance: Allowance, first: int) -> None:
        if watch.columns < len(self.columns):
            watch.grow(len(self.columns))
        for index, column in enumerate(self.columns):
            watch.allow(index, allowance.time_per_alarm, allowance.head, sided=column.kind in ONE_SIDED)
            if index >= first:
                rows = column.learns or self._config.baseline_rows
                # A share may be known well already; how its values follow one another is not, and half of them show it.
                watch.learn_from(index, rows // 2 if column.given_share is not None else rows)

    def _built_watch(self) -> ShiryaevBank | None:
        if not self.watched:
            return None
        watch = ShiryaevBank(bits=self.rate, rows=self._config.baseline_rows)
        watch.begin_at(self.baseline.rows)
        return watch

    def _built(self) -> list[tuple[str, Bank]]:
        given = self._config.parameters
        return [
            (name, registry.build(name, {**PARAMETERS.get(name, {}), **given.get(name, {})}))
            for name in self._detectors
            if name != WATCH
            if self.rate or registry.accepts(name) is registry.Accepts.NUMBERS
        ]

    def update(self, x: Matrix, first: int, times: Row) -> tuple[list[Found], Blocks]:
        """``first`` is the number of the first row, and ``times`` says when each came."""
        if not self.columns:
            self.baseline.rows += len(x)  # so that blocks end at the same rows in every group
            self._standardised = np.empty((len(x), 0))
            return [], Blocks.of([], 0)
        z, blocks = self.baseline.measure(x, rate=self.rate)
        self._standardised = z
        raw = z
        if self.rate and self._banks:
            learning = np.isnan(z)
            raw = np.where(learning, np.nan, x) if learning.any() else x
        found: list[Found] = []
        for name, bank in self._banks:
            standardised = name == "page_hinkley" or not self.rate
            reports = bank.update(z if standardised else raw)
            found.extend(self._found(name, report, standardised) for report in reports)
        if self._watch is not None and self._allowance is not None:
            clock = np.arange(first, first + len(x), dtype=float) if self._allowance.in_rows else times
            reports = self._watch.update(x, clock, z, times)
            if blocks.ends:
                blocks.chunks = self._watch.chunks
            found.extend(map(self._found_by_watch, reports))
        if len(found) > 1:
            found.sort(key=lambda item: (item.row, item.column))
        return found, blocks

    def changing(self) -> Iterator[object]:
        """What rows change before they are lived through."""
        yield self.baseline
        yield from (bank for _, bank in self._banks)
        if self._watch is not None:
            yield self._watch

    def last_standardised(self) -> Matrix:
        """The rows of the last update in units of the baseline; they are kept no longer than until they are taken."""
        standardised, self._standardised = self._standardised, _NOTHING
        return standardised

    def _found(self, detector: str, finding: Finding, standardised: bool) -> Found:
        column = finding.column
        mean, scale = float(self.baseline.mean[column]), float(self.baseline.scale[column])
        after = mean + finding.mean_after * scale if standardised else finding.mean_after
        effect = after - mean if self.rate else finding.mean_after
        return Found(finding.row, column, detector, finding, effect, after, mean)

    def _found_by_watch(self, finding: Finding) -> Found:
        """Its baseline is its own: it learns on, and begins anew where things got better."""
        column = finding.column
        mean, scale = float(self.baseline.mean[column]), float(self.baseline.scale[column])
        before, after = finding.mean_before, finding.mean_after
        if self.rate:
            return Found(finding.row, column, WATCH, finding, after - before, after, before, base=before - mean)
        wider = finding.spread - self.baseline.spread(column)
        spread = self.columns[column].kind not in ONE_SIDED and abs(wider) > abs(after - before)
        effect, base = (wider, 0.0) if spread else (after - before, before)
        return Found(
            finding.row, column, WATCH, finding, effect, mean + after * scale, mean + before * scale, base, spread
        )

    def watch_again(self, column: int) -> None:
        """What was found is dealt with."""
        if self._watch is not None:
            self._watch.reset(column)

    def begin(self) -> None:
        """What taught the columns lies elsewhere: what they have learned holds from the next row on.

        Detectors that know no budget go on as they are: what they have seen is what they compare with.
        """
        self.baseline.begin(self._config.baseline_rows)
        self._history = History()
        if self._watch is not None:
            self._watch.begin()

    def ready(self, column: int) -> bool:
        """Whether a column has learned what is normal."""
        return self.baseline.ready(column) and (self._watch is None or self._watch.ready(column))

    def standings(self, column: int) -> Iterator[tuple[str, Standing]]:
        """By detector, what it stands at, as far as that is known between reports."""
        banks: list[tuple[str, Bank]] = [*self._banks]
        if self._watch is not None:
            banks.append((WATCH, self._watch))
        for name, bank in banks:
            standing = standing_of(bank, column)
            if standing is not None:
                yield name, standing

    # -- blocks: what the rows since then were like -----------------------------------------------------------------

    def remember(self, blocks: Blocks, numbers: range) -> None:
        self._history.add(blocks, numbers)
        self._end = blocks.first + blocks.ends[numbers[-1]] + 1
        if blocks.chunks is not None:
            before, chunk = blocks.first + blocks.ends[numbers[0]] + 1 - BLOCK, blocks.first // CHUNK
            for number in range(before // CHUNK, self._end // CHUNK)[-CHUNKS:]:
                self._shapes.add(CHUNK * (number + 1), blocks.chunks[number - chunk])

    def shape(self, column: int, row: int) -> tuple[Row, Row] | None:
        """How many values fell into each cell: of what taught the watch's baseline, and since this row.

        To be asked of a column that the watch has reported: its baseline learns no more.
        """
        if self._watch is None:
            return None
        before, since = self._watch.usual(column), self._shapes.since(column, row)
        return (_of_bits(before), _of_bits(since)) if self.rate else (before, since)

    def distances(self, column: int, row: int) -> dict[str, JsonScalar]:
        """How far apart these are, as evidence."""
        shape = self.shape(column, row)
        if shape is None or self._watch is None:
            return {}
        distances, (low, high) = told(*shape), self.baseline.range(column)
        if distances and not self.rate and math.isfinite(high - low):
            inside = wasserstein(*shape, self._watch.edges(column), low, high) / float(self.baseline.scale[column])
            levels, counts = self.levels_since(column, row)
            moved = abs(float((levels * counts).sum())) / max(1.0, float(counts.sum()))
            distances["wasserstein"] = rounded(max(inside, moved))  # what lies outside has moved by its mean at least
        return distances

    def levels(self, column: int) -> tuple[Row, Row]:
        """How far the mean of each block lies from the baseline, roughly, and of how many values.

        Of a share exactly: a level is a count rounded up from a half, which can be had back.
        """
        levels, counts = self._history.levels(column)
        if not self.rate or not len(levels):  # nor is there a column where no value has come
            return levels, counts
        share = float(self.baseline.mean[column])
        ones = np.ceil((levels / 2.0 + share) * counts - HALF)
        return np.where(counts > 0.0, 2.0 * (ones / np.maximum(counts, 1.0) - share), 0.0), counts

    def levels_since(self, column: int, row: int) -> tuple[Row, Row]:
        """Of the blocks that begin with this row or after it, as far as they are remembered."""
        levels, counts = self.levels(column)
        lately = self._begins(len(levels)) >= row
        return levels[lately], counts[lately]

    def levels_before(self, column: int, row: int) -> tuple[Row, Row]:
        """Of the blocks that ended before this row, as far as they are remembered."""
        levels, counts = self.levels(column)
        earlier = self._begins(len(levels)) + BLOCK <= row
        return levels[earlier], counts[earlier]

    def _begins(self, blocks: int) -> NDArray[np.int64]:
        """With which rows the last blocks begin."""
        return self._end - BLOCK * np.arange(blocks, 0, -1)

    def ones(self, column: int, row: int) -> float:
        """How many of a share's values since this row are 1."""
        return float(_of_bits(self._shapes.since(column, row))[1])

    def seen(self, column: int, blocks: int) -> Seen:
        """The last blocks of one column as they were."""
        return self._history.seen(column, max(0, blocks))

    def recent(self, column: int, blocks: int, base: float = 0.0) -> Recent:
        """The mean of one column over the last blocks, against its baseline; ``base``: or what became normal since."""
        total, squares, rows = 0.0, 0.0, 0
        for block_sum, block_squares, count in self._history.last(column, max(0, blocks)):
            total += block_sum
            squares += block_squares
            rows += count
        if not rows:
            return Recent(0.0, 0, math.inf, 0.0, 0.0)
        mean, learned = total / rows, float(self.baseline.n[column])
        effect, sd, skewness = mean - base, 1.0, self.baseline.skewness(column)
        apart = max(0.0, squares - rows * mean * mean)
        variance = (apart + 1.0) / rows  # as if one more had been as usual: few that are alike do not show that all are
        if self.rate:
            share = float(self.baseline.mean[column]) + base
            effect = mean * float(self.baseline.scale[column]) - base
            sd = _sd(share)
            skewness = (1.0 - 2.0 * share) / sd
            seen = ((share + effect) * rows + 1.0) / (rows + 2.0)
            variance = seen * (1.0 - seen)
        error = sd * (1.0 / rows + (1.0 / learned if learned else 0.0)) ** 0.5
        doubt = (variance / rows + (sd * sd / learned if learned else 0.0)) ** 0.5
        spread = max(0.0, squares / rows - mean * mean) ** 0.5 - self.baseline.spread(column)
        return Recent(effect, rows, error, skewness / rows**0.5, spread, doubt)

    def rows_spanned(self, column: int, values: int) -> int:
        """About how many rows the last so many values of a column lie back: some are not there in every row."""
        counts = [count for _, _, count in self._history.last(column, HISTORY)]
        first = next((block for block, count in enumerate(counts) if count), len(counts))
        counted = counts[first + 1 :]  # the first one may have been spent on warm-up
        return round(values * BLOCK * len(counted) / sum(counted)) if sum(counted) else values

    # -- state ------------------------------------------------------------------------------------------------------

    def state(self, wanted: int) -> GroupState:
        """``wanted``: so many of the last blocks may still be asked for by ``recent``."""
        if not self.columns:  # as a third of the groups never have one
            return GroupState(0, self.baseline.rows, 0, 0, _NO_NUMBERS, [])
        blocks = self._history.blocks
        wanted = min(wanted, blocks, HISTORY)
        known = self.baseline.numbers(), self._shapes.numbers(), *self._history.numbers(wanted)
        numbers = pack(np.concatenate(known))
        banks = [bank.snapshot() for _, bank in self._banks]
        if self._watch is not None:
            banks.append(self._watch.snapshot())
        return GroupState(len(self.columns), self.baseline.rows, blocks, wanted, numbers, banks)

    def restore(self, columns: Sequence[Column], state: GroupState) -> None:
        """Columns that the encoder has opened and no row has reached yet are grown with the next row, as ever."""
        self.columns = list(columns[: state.columns])
        numbers, first = unpack(state.numbers), Baseline.size(state.columns)
        self.baseline = Baseline.of(state.rows, numbers[:first])
        self._end = state.rows // BLOCK * BLOCK
        rest = self._shapes.restore(numbers[first:]) if state.columns else numbers[first:]
        self._history = History.of(state.blocks, state.wanted, rest)
        self._banks = self._built() if self.columns else []
        self._watch = self._built_watch() if self.columns else None
        banks: list[Bank] = [bank for _, bank in self._banks]
        if self._watch is not None:
            banks.append(self._watch)
        for bank, held in zip(banks, state.banks, strict=True):
            bank.restore(held)
        if any(count != state.columns for count in (len(self.columns), *(bank.columns for bank in banks))):
            raise StateError(f"a state of {state.columns} columns does not fit the columns that are watched")


def _of_bits(cells: Row) -> Row:
    """Zeros and ones, whatever came before them."""
    return np.array([cells[0] + cells[2], cells[1] + cells[3]])


def _sd(share: float) -> float:
    """Of one 0 or 1. A share that was never seen is taken for one in a hundred."""
    share = min(max(share, 0.01), 0.99)
    return float((share * (1.0 - share)) ** 0.5)
