"""What is normal for each column, learned in warm-up or given; and each new value measured against it.

The first ``need`` values of a column teach its mean and standard deviation (Welford). Later ones come out standardised.
Values are clipped far out: one broken reading of 1e300 must not blind a detector that squares what it sees, and a value
twelve standard deviations off says what it has to say.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import Matrix
from detectors.banks.jit import compiled

CLIP = 12.0  # standard deviations
BLOCK = 32  # rows whose mean is handed on: what confirms an alarm and what ends it


Row = NDArray[np.float64]


@compiled
def _scale(n: float, mean: float, m2: float) -> float:
    sd = math.sqrt(m2 / (n - 1.0)) if n > 1.0 else 0.0
    if sd > 1e-9 * abs(mean):
        return sd
    # A constant has no spread to measure by: its own size, or 1, is the unit then.
    return max(abs(mean), 1.0)


@compiled
def _measure(
    x: Matrix,
    need: Row,
    n: Row,
    mean: Row,
    m2: Row,
    m3: Row,
    scale: Row,
    z: Matrix,
    block_sum: Row,
    block_n: Row,
    rows: int,
    sums: Matrix,
    counts: Matrix,
) -> None:
    """Row by row, so that no cut of the rows can change the order of an addition."""
    done = 0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            v = x[i, j]
            z[i, j] = np.nan
            if np.isnan(v):
                continue
            if n[j] < need[j]:
                before = n[j]
                n[j] += 1.0
                step = (v - mean[j]) / n[j]
                square = step * step * n[j] * before
                m3[j] += step * square * (n[j] - 2.0) - 3.0 * step * m2[j]
                m2[j] += square
                mean[j] += step
                if n[j] == need[j]:
                    scale[j] = _scale(n[j], mean[j], m2[j])
                continue
            s = (v - mean[j]) / scale[j]
            if np.isnan(s):
                continue
            if s > CLIP:
                s = CLIP
            elif s < -CLIP:
                s = -CLIP
            z[i, j] = s
            block_sum[j] += s
            block_n[j] += 1.0
        rows += 1
        if rows % BLOCK == 0:
            for j in range(x.shape[1]):
                sums[done, j] = block_sum[j]
                counts[done, j] = block_n[j]
                block_sum[j] = 0.0
                block_n[j] = 0.0
            done += 1


class Blocks(msgspec.Struct, frozen=True):
    """Sums of standardised values, a row for each full block; ``ends`` are rows of the matrix given."""

    ends: list[int]
    sums: Matrix
    counts: Matrix


class BaselineState(msgspec.Struct, array_like=True, frozen=True):
    rows: int
    arrays: list[bytes]


class Baseline:
    """Columns side by side, as in the banks."""

    _ARRAYS = ("need", "n", "mean", "m2", "m3", "scale", "block_sum", "block_n")

    def __init__(self) -> None:
        self.rows = 0
        self.need: NDArray[np.float64] = np.zeros(0)
        self.n: NDArray[np.float64] = np.zeros(0)
        self.mean: NDArray[np.float64] = np.zeros(0)
        self.m2: NDArray[np.float64] = np.zeros(0)
        self.m3: NDArray[np.float64] = np.zeros(0)
        self.scale: NDArray[np.float64] = np.zeros(0)
        self.block_sum: NDArray[np.float64] = np.zeros(0)
        self.block_n: NDArray[np.float64] = np.zeros(0)

    @property
    def columns(self) -> int:
        return len(self.need)

    def learn(self, rows: int) -> None:
        """One more column, which learns from its first ``rows`` values."""
        self._append(need=float(max(rows, 2)), mean=0.0, scale=math.nan)

    def given(self, mean: float, scale: float) -> None:
        """One more column, whose baseline is known."""
        self._append(need=0.0, mean=mean, scale=scale)

    def _append(self, need: float, mean: float, scale: float) -> None:
        new = {"need": need, "mean": mean, "scale": scale}
        for name in self._ARRAYS:
            setattr(self, name, np.append(getattr(self, name), new.get(name, 0.0)))

    def ready(self, column: int) -> bool:
        return bool(self.n[column] >= self.need[column] and math.isfinite(self.scale[column]))

    def skewness(self, column: int) -> float:
        """How lopsided the warm-up was: what a mean of few rows does by chance depends on it."""
        m2, m3 = float(self.m2[column]), float(self.m3[column])
        spread = m2**1.5 if m2 > 0 else 0.0
        skewness = float(self.n[column]) ** 0.5 * m3 / spread if spread > 0 else 0.0
        return skewness if math.isfinite(skewness) else 0.0

    def measure(self, x: Matrix) -> tuple[Matrix, Blocks]:
        """Standardised values (NaN where the baseline is still learning), and the blocks that were filled."""
        full = (self.rows + len(x)) // BLOCK - self.rows // BLOCK
        z = np.empty_like(x)
        sums, counts = np.empty((full, self.columns)), np.empty((full, self.columns))
        _measure(
            x,
            self.need,
            self.n,
            self.mean,
            self.m2,
            self.m3,
            self.scale,
            z,
            self.block_sum,
            self.block_n,
            self.rows,
            sums,
            counts,
        )
        first = BLOCK - self.rows % BLOCK - 1
        self.rows += len(x)
        return z, Blocks([first + BLOCK * i for i in range(full)], sums, counts)

    def state(self) -> BaselineState:
        return BaselineState(self.rows, [getattr(self, name).tobytes() for name in self._ARRAYS])

    @classmethod
    def of(cls, state: BaselineState) -> "Baseline":
        baseline = cls()
        baseline.rows = state.rows
        for name, raw in zip(cls._ARRAYS, state.arrays, strict=True):
            setattr(baseline, name, np.frombuffer(raw, dtype=np.float64).copy())
        return baseline
