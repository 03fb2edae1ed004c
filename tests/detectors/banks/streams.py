"""Streams that others have published detector reports for, made from their definitions, and odd ones of our own."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Stream = NDArray[np.float64]


def two_ranges() -> Stream:
    """0 or 1, then 0 to 7."""
    draw = np.random.RandomState(12345)
    return np.concatenate((draw.randint(2, size=1000), draw.randint(8, size=1000))).astype(float)


def two_error_rates() -> Stream:
    """Errors at 20 %, then at 80 %, drawn one by one."""
    draw = np.random.RandomState(12345)
    return np.array([draw.binomial(1, rate) for rate in [0.2] * 1000 + [0.8] * 1000], dtype=float)


def there_and_back() -> Stream:
    """Errors at 50 %, then nearly always, then the same again."""
    draw = np.random.RandomState(12345)
    parts = [draw.normal(middle, 0.1, 500) > 0 for middle in (0, 0.25, 0, 0.25)]
    return np.concatenate(parts).astype(float)


def far_apart() -> Stream:
    """0 or 1, then 6 to 11."""
    draw = np.random.default_rng(42)
    stream = draw.integers(0, 2, 2000).astype(float)
    stream[1000:] = draw.integers(6, 12, 1000)
    return stream


def steps(rows: int, columns: int, seed: int, *, bits: bool) -> Stream:
    """Every column changes twice, each at rows of its own; a tenth of the values is missing."""
    draw = np.random.default_rng(seed)
    stream = np.empty((rows, columns))
    for column in range(columns):
        first, second = rows // 4 + 11 * column, 2 * rows // 3 - 7 * column
        high = (np.arange(rows) >= first) & (np.arange(rows) < second)
        stream[:, column] = draw.random(rows) < np.where(high, 0.9, 0.1) if bits else draw.normal(5.0 * high)
    stream[draw.random((rows, columns)) < 0.1] = np.nan
    return stream


EXTREME = [0.0, -0.0, 1.0, -1.0, 0.1, 1e15, 5e-324, -5e-324, 1e-310, 1e-160, 1e160, 1e300, -1e300, 1.7e308, -1.7e308]
_VALUES = st.sampled_from(EXTREME) | st.floats(allow_nan=False, allow_infinity=False)
_LENGTHS = st.integers(0, 150)
_SEEDS = st.integers(0, 2**32 - 1)


def _noise(seed: int, length: int, middle: float, spread: float) -> Stream:
    with np.errstate(over="ignore"):
        return np.clip(np.random.default_rng(seed).normal(size=length) * spread + middle, -1.7e308, 1.7e308)


def _bits(seed: int, length: int, rate: float) -> Stream:
    return (np.random.default_rng(seed).random(length) < rate).astype(float)


_MODERATE = st.floats(-100, 100)
_PARTS = st.one_of(
    st.builds(lambda value, length: np.full(length, value), _VALUES, _LENGTHS),
    st.builds(lambda one, other, length: np.resize([one, other], length), _VALUES, _VALUES, _LENGTHS),
    st.builds(np.linspace, _MODERATE, _MODERATE, _LENGTHS),
    st.builds(_noise, _SEEDS, _LENGTHS, _MODERATE, st.sampled_from([1e-15, 1e-3, 1.0, 10.0])),
    st.builds(_noise, _SEEDS, _LENGTHS, _VALUES, _VALUES.map(abs)),
    st.builds(_bits, _SEEDS, _LENGTHS, st.floats(0, 1)),
    st.lists(_VALUES, max_size=20).map(np.array),
)


def odd_streams() -> st.SearchStrategy[Stream]:
    """Constant, alternating, rising, noisy, huge and tiny stretches in any order."""
    return st.lists(_PARTS, min_size=1, max_size=6).map(lambda parts: np.concatenate([np.empty(0), *parts]))
