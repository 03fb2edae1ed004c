"""What is normal for each column, learned in warm-up or given; and each new value measured against it.

The first ``need`` values of a column teach its mean and standard deviation (Welford), wild ones as far as they are
believed. Later ones come out standardised.
Values are clipped far out: one broken reading of 1e300 must not blind a detector that squares what it sees, and a value
twelve standard deviations off says what it has to say. But a 1 of a rare share lies as far out and is no wild value:
shares are learned, and blocks of them summed, as they are.
"""

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import Matrix
from detectors.banks.jit import compiled

CLIP = 12.0  # standard deviations
WILD = 8.0  # standard deviations; of the first values, from their median
BLOCK = 32  # rows whose mean is handed on: what confirms an alarm and what ends it
FARTHEST = 1e15  # standard deviations: what is told of values as they came ends here
LEVELS_A_UNIT = 16  # steps in which a block's level is kept, of a standard deviation or of half a share
HALF = 0.5 + 1e-6  # counts are rounded up from there: where the usual one is a half, sums are a little beside it
_LEVEL_MAX = CLIP * LEVELS_A_UNIT

# The lines of blocks: of sums, of what lies far, of counts.
SUMS, SQUARES = 0, 1
CENTRES, WIDTHS = 0, 1
COUNTS, LEVELS, OUTSIDE = 0, 1, 2


# What is known of a column, a line each: how many values teach it, how many have, their moments, the unit that it is
# measured in, and the block at hand.
_NEED, _N, _MEAN, _M2, _M3, _SCALE, _BLOCK_SUM, _BLOCK_N, _BLOCK_SQUARES = range(9)
# The range of what taught it. And of the block at hand what clipping hides: how many lie outside that range, the first
# value, and the sums of distances from it, as they are exact even where all values are nearly the same.
_LOW, _HIGH, _OUTSIDE, _SHIFT, _FAR_SUM, _FAR_SQUARES = range(9, 15)
# And as long as there are no more, the first values themselves.
_FIRST, TRUSTED = 15, 16
_LINES = _FIRST + TRUSTED

Row = NDArray[np.float64]
Cube = NDArray[Any]


@compiled
def _scale(n: float, mean: float, m2: float) -> float:
    sd = math.sqrt(m2 / (n - 1.0)) if n > 1.0 else 0.0
    if sd > 1e-9 * abs(mean):
        return sd
    # A constant has no spread to measure by: its own size, or 1, is the unit then.
    return max(abs(mean), 1.0)


@compiled
def _add(known: Matrix, j: int, v: float) -> None:
    """Welford's way to the moments."""
    before = known[_N, j]
    n = known[_N, j] = before + 1.0
    step = (v - known[_MEAN, j]) / n
    square = step * step * n * before
    known[_M3, j] += step * square * (n - 2.0) - 3.0 * step * known[_M2, j]
    known[_M2, j] += square
    known[_MEAN, j] += step


@compiled
def _begin_again(known: Matrix, j: int) -> None:
    """The first values at once, of which a wild one is believed as far as the others reach."""
    first = known[_FIRST:, j].copy()
    values = np.sort(first)
    middle = 0.5 * (values[TRUSTED // 2 - 1] + values[TRUSTED // 2])
    away = np.sort(np.abs(values - middle))
    reach = WILD * 1.4826 * 0.5 * (away[TRUSTED // 2 - 1] + away[TRUSTED // 2])  # a median away is 1 / 1.4826 of an sd
    known[_N, j] = known[_MEAN, j] = known[_M2, j] = known[_M3, j] = 0.0
    known[_FIRST:, j] = 0.0
    for value in first:
        _add(known, j, min(max(value, middle - reach), middle + reach) if reach > 0.0 else value)


@compiled
def _learn(known: Matrix, j: int, v: float, rate: bool) -> None:
    """One wild value must not widen the unit that all effects are measured in."""
    n = known[_N, j]
    known[_LOW, j] = min(known[_LOW, j], v) if n > 0.0 else v
    known[_HIGH, j] = max(known[_HIGH, j], v) if n > 0.0 else v
    if n < TRUSTED:
        known[_FIRST + int(n), j] = v
    elif not rate:
        reach = WILD * math.sqrt(known[_M2, j] / (n - 1.0))
        if reach > 0.0:
            v = min(max(v, known[_MEAN, j] - reach), known[_MEAN, j] + reach)
    _add(known, j, v)
    if known[_N, j] == TRUSTED:
        _begin_again(known, j)
    if known[_N, j] == known[_NEED, j]:
        known[_SCALE, j] = _scale(known[_N, j], known[_MEAN, j], known[_M2, j])


@compiled
def _measure(
    x: Matrix, known: Matrix, z: Matrix, rows: int, rate: bool, sums: Cube, far: Cube, counts: Cube
) -> None:  # fmt: skip
    """Row by row, so that no cut of the rows can change the order of an addition."""
    need, n, mean, scale = known[_NEED], known[_N], known[_MEAN], known[_SCALE]
    block_sum, block_n, block_squares = known[_BLOCK_SUM], known[_BLOCK_N], known[_BLOCK_SQUARES]
    low, high, beyond, shift = known[_LOW], known[_HIGH], known[_OUTSIDE], known[_SHIFT]
    far_sum, far_squares = known[_FAR_SUM], known[_FAR_SQUARES]
    done = 0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            v = x[i, j]
            z[i, j] = np.nan
            if np.isnan(v):
                continue
            if n[j] < need[j]:
                _learn(known, j, v, rate)
                continue
            s = (v - mean[j]) / scale[j]
            if np.isnan(s):
                continue
            away = min(max(s, -FARTHEST), FARTHEST)
            if block_n[j] == 0.0:
                shift[j] = away
            away -= shift[j]
            far_sum[j] += away
            far_squares[j] += away * away
            beyond[j] += (v < low[j]) | (v > high[j])
            z[i, j] = min(max(s, -CLIP), CLIP)
            if not rate:
                s = z[i, j]
            block_sum[j] += s
            block_squares[j] += s * s
            block_n[j] += 1.0
        rows += 1
        if rows % BLOCK == 0:
            for j in range(x.shape[1]):
                _end(known, j, rate, sums[done], far[done], counts[done])
            done += 1


@compiled
def _end(known: Matrix, j: int, rate: bool, sums: Matrix, far: Matrix, counts: Matrix) -> None:
    """Hands a block on, and begins the next."""
    n = max(known[_BLOCK_N, j], 1.0)
    unit = (2.0 * known[_SCALE, j] if rate else 1.0) if known[_BLOCK_N, j] > 0.0 else 0.0
    away = known[_FAR_SUM, j] / n
    sums[SUMS, j], sums[SQUARES, j] = known[_BLOCK_SUM, j], known[_BLOCK_SQUARES, j]
    far[CENTRES, j] = known[_SHIFT, j] + away
    far[WIDTHS, j] = math.sqrt(max(0.0, known[_FAR_SQUARES, j] / n - away * away))
    level = LEVELS_A_UNIT * unit * known[_BLOCK_SUM, j] / n
    level = np.floor(level + HALF) if rate else np.rint(level)
    counts[COUNTS, j] = known[_BLOCK_N, j]
    counts[LEVELS, j] = min(max(level, -_LEVEL_MAX), _LEVEL_MAX)
    counts[OUTSIDE, j] = known[_OUTSIDE, j]
    for line in (_BLOCK_SUM, _BLOCK_N, _BLOCK_SQUARES, _OUTSIDE, _SHIFT, _FAR_SUM, _FAR_SQUARES):
        known[line, j] = 0.0


def mostly_clipped(level: float, spread: float) -> bool:
    """Whether so many values lie at the clip that their mean is told as less than it is; in standard deviations.

    Mean and spread are so large together only then. Below half of it values may be clipped on both sides.
    """
    return level >= CLIP / 2.0 and level + spread >= CLIP


class Blocks(msgspec.Struct):
    """What full blocks were like; ``ends``: their last rows in the matrix. By block, line and column.

    Sums of standardised values and of their squares; without a clip the mean and the standard deviation, in the same
    unit; and how many values there were, at what level, and how many outside the range of the baseline.
    """

    ends: list[int]
    sums: Cube
    far: Cube
    counts: Cube
    first: int = 0  # the matrix begins with this row
    chunks: Cube | None = None  # of the chunks of blocks that are full: counts by column and cell

    @classmethod
    def of(cls, ends: list[int], columns: int, first: int = 0) -> "Blocks":
        if not ends:  # most batches of one of many models fill none
            return cls(ends, *_NO_BLOCKS, first)
        return cls(ends, *_lines(len(ends), columns), first)


def _lines(blocks: int, columns: int) -> tuple[Cube, Cube, Cube]:
    lines = ((2, np.float64), (2, np.float32), (3, np.int16))
    sums, far, counts = (np.zeros((blocks, count, columns), dtype=kind) for count, kind in lines)
    return sums, far, counts


_NO_BLOCKS = _lines(0, 0)


class Baseline:
    """Columns side by side, as in the banks."""

    __slots__ = ("_known", "rows")

    def __init__(self) -> None:
        self.rows = 0
        self._known: Matrix = np.zeros((_LINES, 0))

    @property
    def columns(self) -> int:
        return len(self._known[_NEED])

    @property
    def n(self) -> Row:
        """How many values each column has learned from."""
        line: Row = self._known[_N]
        return line

    @property
    def mean(self) -> Row:
        line: Row = self._known[_MEAN]
        return line

    @property
    def scale(self) -> Row:
        """The unit each column is measured in: the standard deviation of what it learned from."""
        line: Row = self._known[_SCALE]
        return line

    def learn(self, rows: int) -> None:
        """One more column, which learns from its first ``rows`` values."""
        self._append(need=float(max(rows, 2)), mean=0.0, scale=math.nan)

    def given(self, mean: float, scale: float) -> None:
        """One more column, whose baseline is known."""
        self._append(need=0.0, mean=mean, scale=scale)

    def _append(self, need: float, mean: float, scale: float) -> None:
        column = np.zeros((_LINES, 1))
        column[_LOW], column[_HIGH] = -math.inf, math.inf  # no value is outside of what was not seen
        column[_NEED], column[_MEAN], column[_SCALE] = need, mean, scale
        self._known = np.concatenate((self._known, column), axis=1)

    def begin(self, rows: int) -> None:
        """What taught the columns lies elsewhere: rows and blocks are counted anew.

        A column that has not learned enough forgets that, and learns from the first ``rows`` values to come.
        """
        self.rows = 0
        self._known[[_BLOCK_SUM, _BLOCK_N, _BLOCK_SQUARES]] = 0.0
        for column in range(self.columns):
            if not self.ready(column):
                self._known[:, column] = 0.0
                self._known[_NEED, column], self._known[_SCALE, column] = max(rows, 2), math.nan

    def ready(self, column: int) -> bool:
        known = self._known[:, column]
        return bool(known[_N] >= known[_NEED] and math.isfinite(known[_SCALE]))

    def spread(self, column: int) -> float:
        """The standard deviation in units of ``scale``: 1, but for what was constant."""
        n, m2 = self._known[[_N, _M2], column].tolist()
        return 0.0 if n > 1 and self.scale[column] > (m2 / (n - 1.0)) ** 0.5 * (1.0 + 1e-9) else 1.0

    def skewness(self, column: int) -> float:
        """How lopsided the warm-up was: what a mean of few rows does by chance depends on it."""
        n, m2, m3 = self._known[[_N, _M2, _M3], column].tolist()
        spread = m2 * math.sqrt(m2) if m2 > 0 else 0.0  # a power would raise where this is infinite
        skewness = n**0.5 * m3 / spread if spread > 0 else 0.0
        return skewness if math.isfinite(skewness) else 0.0

    def measure(self, x: Matrix, *, rate: bool = False) -> tuple[Matrix, Blocks]:
        """Standardised values (NaN where the baseline is still learning), and the blocks that were filled."""
        full = (self.rows + len(x)) // BLOCK - self.rows // BLOCK
        z = np.empty_like(x)
        first = BLOCK - self.rows % BLOCK - 1
        blocks = Blocks.of([first + BLOCK * i for i in range(full)], self.columns, self.rows)
        _measure(x, self._known, z, self.rows, rate, blocks.sums, blocks.far, blocks.counts)
        self.rows += len(x)
        return z, blocks

    def range(self, column: int) -> tuple[float, float]:
        """Of the values that it learned from."""
        low, high = self._known[[_LOW, _HIGH], column].tolist()
        return low, high

    def at_hand(self, column: int) -> tuple[float, int]:
        """Of the block that is being filled: the sum, without a clip and in units of the baseline, and how many."""
        n, shift, away = self._known[[_BLOCK_N, _SHIFT, _FAR_SUM], column].tolist()
        return n * shift + away, int(n)

    def numbers(self) -> Row:
        """All there is to know but for ``rows``."""
        return self._known.ravel()

    @staticmethod
    def size(columns: int) -> int:
        """How many numbers there are of so many columns."""
        return _LINES * columns

    @classmethod
    def of(cls, rows: int, numbers: Row) -> "Baseline":
        """What gave these numbers; ``ValueError`` where there are too many or too few."""
        baseline = cls()
        baseline.rows = rows
        baseline._known = numbers.reshape(_LINES, len(numbers) // _LINES).copy()
        return baseline
