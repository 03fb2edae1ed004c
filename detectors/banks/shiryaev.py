"""A Shiryaev-Roberts mixture for many columns at once: the earliest alarm that a budget of false ones allows.

Shiryaev, A. N. (1963): On optimum methods in quickest detection problems. Theory Probab. Appl. 8, 22-46.
Shin, J., Ramdas, A. and Rinaldo, A. (2023): E-detectors. New England Journal of Statistics in Data Science.

A column's values fall into cells: four of a bit and the one before it, ``CELLS`` of a number, cut at the quantiles of
its first values. How often each cell comes up is the baseline. An alternative tilts these shares: up or down, a little
or much, narrower or wider. ``q(cell) / p(cell)`` is its likelihood ratio, with mean 1 as long as nothing has changed,
and

    R  <-  (R + time passed) * likelihood ratio

is the evidence that its change began at any time until now. The mean of R over alternatives, less the time passed, is a
martingale while nothing changes. So an alarm at R >= A comes after a time of A or more in the mean, whatever the values
are distributed like: the threshold *is* the budget, and nothing has to be tabulated. Time may be rows or milliseconds.

What makes the mean-1 promise true is done here too: a daily pattern found in the first half of the baseline, and then a
lag-one correlation, are taken out of numbers before they are put in cells, and what is left of correlation is paid for
by tempering the ratios. As long as the evidence is low, rows go on teaching the baseline, up to ``learn_max`` of them,
so that it need not be long to be exact.
"""

import math
from functools import partial
from itertools import accumulate, pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.banks import daily
from detectors.banks.contract import Finding, Matrix, StateError
from detectors.banks.matrix import checked, checked_column, findings
from detectors.banks.packed import pack, unpack
from detectors.banks.room import longer
from detectors.banks.sealed import Parameters, name_of, unseal
from detectors.banks.shiryaev_learning import FIRST_MAX, settle
from detectors.banks.shiryaev_steps import (
    BIT_CELLS,
    BLOCK_N,
    BLOCK_SQUARES,
    BLOCK_SUM,
    BLOCKS,
    CHUNK,
    CLOCK,
    FIRST,
    GOOD_PART,
    HEAD,
    LATCHED,
    LIMIT,
    LINE,
    MOMENTS,
    MOMENTS_OF_BITS,
    NEED,
    PHASE,
    PHI,
    PREVIOUS,
    RENEWING,
    SCORES,
    SECOND,
    SEEN,
    SIDED,
    SQUARES,
    TEMPER,
    WATCHED,
    WHOLE,
    Cube,
    N,
    Row,
    calm,
    likelier_of,
    look,
    normalise,
)

# What the first values are cut at. Tails are thin: what lies outside of all that was seen says most.
_TAIL = (0.0025, 0.0075, 0.02, 0.03, 0.04)
_INNER = 14
_CELL_SHARES = (*_TAIL, *[(1.0 - 2.0 * sum(_TAIL)) / _INNER] * _INNER, *reversed(_TAIL))
CELLS = len(_CELL_SHARES)

SHIFTS = (0.25, 0.5, 1.0, 2.0)  # of a number's mean, in standard deviations; either way
SPREADS = (0.5, 0.7, 1.4, 2.5)  # of its standard deviation, as a factor
ODDS = (1.35, 1.8, 2.6, 4.5, 9.0, 30.0, 150.0, 3_000.0)  # of a bit, as a factor; either way
TEMPERS = (1.0, 0.5, 0.25, 0.125, 0.0625)  # what a row counts where rows repeat each other

# In the end the evidence jumps beyond A, which makes alarms rarer than A says; a baseline of finite length makes them
# more frequent. What is left of both, measured for bits and numbers.
LIMIT_FACTORS = {True: 0.9, False: 0.8}
# Where evidence starts, as a part of A. It costs as much of the time between alarms, and saves a third of the delay.
HEAD_SHARE = 1e-3
DAY_MS = 86_400_000.0
DAY_PARTS = 48.0  # in each of which a bit's share is the same
Counts = NDArray[np.uint8]
DATED = 2.5  # nats by which an alternative may be wrong about when its change began: nine dates in ten are right


def _cells(shares: Row) -> Row:
    """The mean of a standard normal value in each cell."""
    normal = NormalDist()
    ends = [0.0, *np.cumsum(shares)[:-1].tolist(), 1.0]
    heights = [0.0 if end in (0.0, 1.0) else normal.pdf(normal.inv_cdf(end)) for end in ends]
    return np.array([(low - high) / share for low, high, share in zip(heights, heights[1:], shares, strict=False)])


def _tilted(exponents: Matrix) -> Cube:
    """For each temper, cell and alternative: how much likelier the cell is, before shares are made to sum to 1."""
    return np.array([np.exp(temper * exponents) for temper in TEMPERS])


def _numbers() -> tuple[Row, Row, Cube, Matrix]:
    shares = np.array(_CELL_SHARES)
    scores = _cells(shares)
    up = [shift * scores for shift in SHIFTS]
    spread = [(1.0 - factor**-2.0) / 2.0 * scores**2 for factor in SPREADS]
    exponents = np.array([*up, *[-each for each in up], *spread]).T
    each, several = len(up), len(spread)
    # What counts where any change matters; where a rise is damage; and where a fall is looked for.
    weights = np.zeros((3, 2 * each + several))
    weights[0] = 1.0 / (2 * each + several)
    weights[2, each : 2 * each] = 1.0 / each
    # Of a loss, what was sure and is wrong may cost much while all the rest costs less: wider is a rise too.
    wider = [2 * each + number for number, factor in enumerate(SPREADS) if factor > 1.0]
    weights[1, :each] = weights[1, wider] = 1.0 / (each + len(wider))
    return scores, shares, _tilted(exponents), weights


def _bits() -> tuple[Row, Row, Cube, Matrix]:
    up = np.log(np.array(ODDS))
    exponents = np.zeros((BIT_CELLS, 2 * len(up)))
    exponents[1::2, : len(up)], exponents[1::2, len(up) :] = up, -up
    weights = np.zeros((3, 2 * len(up)))
    # Large changes need little evidence to begin with: most of it is kept for the small ones.
    each = np.array([0.2, 0.2, 0.19, 0.16, 0.12, 0.08, 0.04, 0.01])
    weights[0, : len(up)] = weights[0, len(up) :] = each / 2.0
    weights[1, : len(up)] = weights[2, len(up) :] = each
    return np.array([0.0, 1.0, 0.0, 1.0]), np.full(BIT_CELLS, 0.25), _tilted(exponents), weights


_NUMBERS, _BITS = _numbers(), _bits()
_NO_SHIFTS: Matrix = np.empty((0, 0))
_TEMPERS = frozenset(range(len(TEMPERS)))
WATCH = "shiryaev_roberts"


class ShiryaevBank:
    """``bits``: the columns are 0 and 1. A column that has alarmed is silent until it is ``reset``."""

    kind = WATCH
    __slots__ = (
        "_buffer", "_chunk", "_chunks", "_counts", "_cuts", "_evidence", "_halves", "_lines", "_made", "_name",
        "_norms", "_parameters", "_patterns", "_pending", "_row", "_sees_days",
    )  # fmt: skip

    def __init__(
        self, columns: int = 0, *, bits: bool, rows: int = 1_000, learn_max: int = 25_000, day: float = DAY_MS
    ) -> None:
        self._parameters: Parameters = {"bits": bits, "rows": rows, "learn_max": learn_max, "day": day}
        self._name = name_of(self.kind, self._parameters)
        self._made = _BITS if bits else _NUMBERS
        self._halves = 1 if bits else 2  # a number's day is found in the first half of what teaches it, and taken out
        cells, alternatives = self._made[2].shape[1:]
        self._sees_days = True  # whether the time of the day is looked for, or known to matter
        self._row = 0.0  # how many there have been: the time, where no other is given
        self._lines: Matrix = np.zeros((0, LINE))
        self._buffer: Matrix = np.zeros((0, 0))  # of those columns' first values, as long as one is at them
        self._patterns: Matrix = np.zeros((0, daily.LINE))
        self._cuts: Matrix = np.zeros((0, 1 if bits else cells - 1))
        self._counts: Matrix = np.zeros((0, cells))
        self._pending: Matrix = np.zeros((0, cells))
        # How many values of the chunk at hand fell where; and of those that the last rows have filled.
        self._chunk: Counts = np.zeros((0, cells if bits else cells // 2), dtype=np.uint8)
        self._chunks: Counts = np.zeros((0, *self._chunk.shape), dtype=np.uint8)
        self._evidence: Matrix = np.zeros((0, (MOMENTS_OF_BITS if bits else MOMENTS) * alternatives))
        self._norms: Matrix = np.ones((0, 2 * alternatives if bits else alternatives))  # of bits, after a 0 and a 1
        self.grow(columns)

    def _learned(self) -> int:
        return max(4, int(self._parameters["rows"]))

    @property
    def columns(self) -> int:
        return len(self._lines)

    def fresh(self, columns: int) -> "ShiryaevBank":
        return ShiryaevBank(columns, **self._parameters)  # type: ignore[arg-type]

    def grow(self, columns: int) -> None:
        more = max(0, columns - self.columns)
        if not more:  # as in every bank that is about to be restored
            return
        self._sees_days = True
        lines = np.zeros((more, LINE))
        lines[:, NEED] = lines[:, WHOLE] = self._learned()
        lines[:, PHASE] = SECOND if self._parameters["bits"] else FIRST
        lines[:, PREVIOUS] = lines[:, CLOCK] = np.nan
        lines[:, LIMIT] = np.inf
        self._lines = np.concatenate((self._lines, lines))
        if not self._parameters["bits"]:
            held, self._buffer = self._buffer, self._empty_buffer(self.columns)
            self._buffer[: len(held), : held.shape[1]] = held
        self._patterns = np.concatenate((self._patterns, daily.fresh(more, self._learned() // self._halves)))
        cut = 0.5 if self._parameters["bits"] else 0.0
        self._cuts = np.concatenate((self._cuts, np.full((more, self._cuts.shape[1]), cut)))
        self._counts = longer(self._counts, more)
        self._pending = longer(self._pending, more)
        self._chunk = longer(self._chunk, more)
        self._evidence = longer(self._evidence, more)
        self._norms = np.concatenate((self._norms, np.ones((more, self._norms.shape[1]))))

    def allow(self, column: int, time_per_alarm: float, head: float, *, sided: bool) -> None:
        """How much time shall pass between false alarms of a column, in the unit of ``clock``."""
        line = self._lines[checked_column(column, self.columns)]
        line[LIMIT], line[SIDED] = time_per_alarm * LIMIT_FACTORS[bool(self._parameters["bits"])], float(sided)
        line[HEAD] = min(head, line[LIMIT] / 2.0)

    def allow_all(self, time_per_alarm: float, head: float, *, sided: bool) -> "ShiryaevBank":
        """The same for every column there is."""
        for column in range(self.columns):
            self.allow(column, time_per_alarm, head, sided=sided)
        return self

    def sided(self, column: int) -> bool:
        """Whether only a rise is damage."""
        return bool(self._lines[checked_column(column, self.columns)][SIDED])

    def learn_from(self, column: int, rows: int) -> None:
        """Another number of values teaches this column, of which none has come yet."""
        line = self._lines[checked_column(column, self.columns)]
        line[NEED] = line[WHOLE] = max(4, min(rows, self._learned()))
        self._sees_days = True
        self._patterns[column] = daily.fresh(1, int(line[WHOLE]) // self._halves)

    def update(
        self,
        values: Matrix,
        clock: Row | None = None,
        standardised: Matrix | None = None,
        times: Row | None = None,
    ) -> list[Finding]:
        """``clock`` is what the budget is counted in, and never falls; without it a row is a unit of time.

        Findings give the means of bits as they are, and those of numbers as ``standardised`` has them. ``times`` says
        at which time of the day each row came; it is the same as ``clock`` where it is not given.
        """
        matrix = checked(values, self.columns)
        clock = np.arange(self._row, self._row + len(matrix)) if clock is None else clock
        ahead = int(self._row % CHUNK)
        self._row += len(matrix)
        chunks = np.zeros(((ahead + len(matrix)) // CHUNK + 1, *self._chunk.shape))
        chunks[0] = self._chunk
        measured = matrix if standardised is None or self._parameters["bits"] else np.ascontiguousarray(standardised)
        learn_max, shifts = float(self._parameters["learn_max"]), _NO_SHIFTS
        if self._sees_days:
            days = (clock if times is None else times) / float(self._parameters["day"])
            if self._parameters["bits"]:
                # What a value says is made ready for each part of a day.
                shifts = daily.expected(matrix, 2.0 * math.pi * np.floor(DAY_PARTS * days) / DAY_PARTS, self._patterns)
            else:
                matrix = daily.removed(matrix, 2.0 * math.pi * days, self._patterns)
                self._lines[:, NEED] = self._lines[:, WHOLE] - daily.taken(self._patterns)
            self._sees_days = daily.seen(self._patterns)
        own = (self._lines, self._cuts, self._counts, self._pending, self._evidence, self._norms)
        places = np.zeros(self.columns, dtype=np.int64)
        on = partial(look, places, matrix, measured, clock, *own, *self._made, learn_max, chunks, ahead, shifts)
        found, ended = on()
        while not ended:
            settle(places, matrix, clock, self._buffer, *own[:3], *self._made[:2], chunks, ahead)
            more, ended = on()
            found = np.concatenate((found, more))
        self._chunks, self._chunk = chunks[:-1].astype(np.uint8), chunks[-1].astype(np.uint8)
        if self._buffer.size and not _buffering(self._lines):
            self._buffer = self._empty_buffer(0)
        return self._dated(findings(found))

    def _dated(self, found: list[Finding]) -> list[Finding]:
        """Those with which a column fell silent, of each the last: what they rest on is still there."""
        last = {finding.column: place for place, finding in enumerate(found)}
        for column, place in last.items():
            if self._lines[column, PHASE] == LATCHED:
                with np.errstate(all="ignore"):
                    low, high = self._between(column)
                if math.isfinite(low + high):
                    found[place] = found[place]._replace(since_low=int(low), since_high=int(high))
        return found

    def _between(self, column: int) -> tuple[float, float]:
        """The youngest and the oldest change of alternatives that have a part of the evidence, and some doubt.

        An alternative of whom a value says little is the less certain of when its change began.
        """
        line, own = self._lines[column], self._evidence[column]
        _, shares, tilts, weights = self._made
        weight = weights[1 if line[SIDED] else 0]
        evidence, ages = own[: len(weight)], own[len(weight) : 2 * len(weight)]
        told = weight * evidence >= GOOD_PART * (weight @ evidence)
        likelier = likelier_of(tilts[int(line[TEMPER])], self._norms[column])[:, told]
        usual = (self._counts[column] + shares) / (line[N] + 1.0)
        said = (usual[:, None] * likelier * np.log(likelier)).sum(axis=0)  # by a value, in the mean
        since, reach = ages[told] / evidence[told], DATED / said
        return max(1.0, np.floor((since - reach).min()) - 1.0), np.ceil((since + reach).max()) + 1.0

    def begin_at(self, row: int) -> None:
        """Chunks are counted from the row 0, and this is to be the next."""
        self._row = float(row)

    @property
    def chunks(self) -> Counts:
        """Of the chunks that the last rows filled: how many values of a column fell into each cell, or each two."""
        return self._chunks

    def usual(self, column: int) -> Row:
        """The same of all that taught the baseline."""
        counts: Row = self._counts[checked_column(column, self.columns)].copy()
        return counts if self._parameters["bits"] else counts[::2] + counts[1::2]

    def edges(self, column: int) -> Row:
        """Where one such cell of a number ends and the next begins."""
        return self._cuts[checked_column(column, self.columns), 1::2].copy()

    def _empty_buffer(self, columns: int) -> Matrix:
        return np.zeros((columns, min(FIRST_MAX, self._learned() // 2) if columns else 0))

    def reset(self, column: int) -> None:
        """Watches again from now on, with the baseline there is."""
        line = self._lines[checked_column(column, self.columns)]
        if line[PHASE] == LATCHED:
            line[PHASE] = WATCHED
        calm(line, self._pending[column], self._evidence[column], 0.0)

    def begin(self) -> None:
        """What taught the columns lies elsewhere: from the next value on they are watched with what they have learned.

        A column that has not learned enough forgets that, and learns from the values to come.
        """
        for column, line in enumerate(self._lines):
            if line[PHASE] >= WATCHED:
                line[PHASE] = WATCHED
                line[RENEWING] = 0.0
                calm(line, self._pending[column], self._evidence[column], line[HEAD])
            else:
                line[[N, PHI, BLOCK_SUM, BLOCK_N, BLOCKS, BLOCK_SQUARES, SCORES, SQUARES]] = 0.0
                line[PHASE] = SECOND if self._parameters["bits"] else FIRST
                self._counts[column] = 0.0
                self.learn_from(column, self._learned())
            line[PREVIOUS] = line[CLOCK] = np.nan
            line[SEEN] = 0.0
        self._buffer = self._empty_buffer(self.columns if _buffering(self._lines) else 0)
        self._chunk[:] = 0
        self.begin_at(0)

    def ready(self, column: int) -> bool:
        """Whether it has learned what is normal."""
        return bool(self._lines[checked_column(column, self.columns), PHASE] >= WATCHED)

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self._lines, self._patterns, self._cuts, self._counts, self._pending, self._evidence, self._chunk

    def _sound(self, lines: Matrix, buffered: int) -> bool:
        """Whether all that machine code finds its place by is a place."""
        phases = {SECOND, WATCHED, LATCHED} if self._parameters["bits"] else {FIRST, SECOND, WATCHED, LATCHED}
        places = all(n.is_integer() and 0 <= n < buffered for n in lines[lines[:, PHASE] == FIRST, N].tolist())
        return places and phases.issuperset(lines[:, PHASE].tolist()) and _TEMPERS.issuperset(lines[:, TEMPER].tolist())

    def snapshot(self) -> bytes:
        flat = [array.ravel() for array in (*self._arrays(), self._buffer)]
        return self._name + pack(np.concatenate([[self._row, self.columns], *flat]))

    def restore(self, state: bytes) -> None:
        flat = unpack(unseal(state, self._name, self.kind, self._parameters))
        widths = [array.shape[1] for array in self._arrays()]
        columns = int(flat[1]) if len(flat) > 1 and 0 <= flat[1] <= len(flat) else -1
        ends = list(accumulate((columns * width for width in widths), initial=2))
        if columns < 0 or ends[-1] > len(flat) or not 0.0 <= flat[0] < 2.0**53:
            raise StateError(f"{self.kind}: {len(flat)} numbers are no whole columns")
        cut = zip(pairwise(ends), widths, strict=True)
        parts = [flat[first:end].reshape(columns, width).copy() for (first, end), width in cut]
        buffered = self._empty_buffer(columns).shape
        if not self._sound(parts[0], buffered[1]):
            raise StateError(f"{self.kind}: a column is in no state that there is")
        shape = buffered if _buffering(parts[0]) else (0, 0)
        if ends[-1] + math.prod(shape) != len(flat):
            raise StateError(f"{self.kind}: {len(flat)} numbers are no whole columns")
        self._row = float(flat[0])
        self._sees_days = True
        self._lines, self._patterns, self._cuts, self._counts, self._pending, self._evidence, chunk = parts
        self._chunk = np.fmin(np.fmax(chunk, 0.0), CHUNK).astype(np.uint8)
        self._chunks = np.zeros((0, *self._chunk.shape), dtype=np.uint8)
        self._buffer = flat[ends[-1] :].reshape(shape).copy()
        self._norms = np.ones((columns, self._norms.shape[1]))
        for line, counts, norms in zip(self._lines, self._counts, self._norms, strict=True):
            if line[PHASE] >= WATCHED:
                normalise(line, counts, self._made[1], self._made[2], norms, 0.0)


def _buffering(lines: Matrix) -> bool:
    """Whether a column is still at its first values. Bits never are: they have nothing to be cut at."""
    return bool((lines[:, PHASE] == FIRST).any())
