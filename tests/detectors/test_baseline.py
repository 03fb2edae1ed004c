"""What is normal, and each value against it."""

import math
from statistics import fmean, pstdev, stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.baseline import BLOCK, CENTRES, CLIP, COUNTS, FARTHEST, LEVELS, OUTSIDE, SUMS, WIDTHS, Baseline
from tests.detectors.events import normal


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64).reshape(-1, 1)


def learned(*values: float) -> Baseline:
    baseline = Baseline()
    baseline.learn(len(values))
    baseline.measure(column(*values))
    return baseline


def test_the_first_values_teach_mean_and_spread() -> None:
    values = normal(1, 500, 40, 3)
    baseline = learned(*values)
    assert baseline.mean[0] == pytest.approx(fmean(values))
    assert baseline.scale[0] == pytest.approx(stdev(values))
    assert baseline.skewness(0) == pytest.approx(0, abs=0.3)


def test_what_teaches_is_not_measured_and_what_comes_after_is_and_teaches_no_more() -> None:
    baseline = Baseline()
    baseline.learn(3)
    z, _ = baseline.measure(column(1, 2, 3, 4, 100))
    assert np.isnan(z[:3]).all()
    assert z[3:].ravel().tolist() == [2.0, CLIP]
    assert (baseline.mean[0], baseline.scale[0]) == (2.0, 1.0)


def test_missing_values_teach_nothing_and_stay_missing() -> None:
    baseline = Baseline()
    baseline.learn(2)
    z, _ = baseline.measure(column(1, math.nan, 3, math.nan, 2))
    assert np.isnan(z[:4]).all()
    assert z[4, 0] == 0.0


@pytest.mark.parametrize(("constant", "next_one", "measured"), [(0.0, 1.0, 1.0), (5.0, 10.0, 1.0), (-5.0, -5.0, 0.0)])
def test_a_constant_column_is_measured_by_its_own_size_or_one(
    constant: float, next_one: float, measured: float
) -> None:
    baseline = learned(*[constant] * 10)
    assert baseline.measure(column(next_one))[0].tolist() == [[measured]]


def test_values_are_clipped_far_out() -> None:
    baseline = learned(*normal(1, 100))
    assert baseline.measure(column(1e308, -1e308))[0].ravel().tolist() == [CLIP, -CLIP]


@pytest.mark.parametrize(
    "values", [(1e308, -1e308), (1e150, -1e150), (1e200, 1e201, -1e200), (1e308, 1e308, 1e308), (5e-324, -5e-324)]
)
def test_a_warm_up_that_overflows_gives_no_infinity(values: tuple[float, ...]) -> None:
    baseline = learned(*values)
    z, _ = baseline.measure(column(*values, 1.0))
    assert not np.isinf(z).any()
    assert math.isfinite(baseline.skewness(0))


def test_a_given_baseline_measures_from_the_first_value() -> None:
    baseline = Baseline()
    baseline.given(40.0, 5.0)
    assert baseline.ready(0)
    assert baseline.measure(column(45, 40))[0].ravel().tolist() == [1.0, 0.0]


def test_a_column_that_comes_later_learns_on_its_own() -> None:
    baseline = learned(1, 2, 3)
    baseline.learn(2)
    z, _ = baseline.measure(np.array([[4.0, 10.0], [4.0, 12.0], [4.0, 11.0]]))
    assert z[:, 0].tolist() == [2.0] * 3
    assert np.isnan(z[:2, 1]).all()
    assert z[2, 1] == 0.0
    assert (baseline.ready(0), baseline.ready(1), baseline.columns) == (True, True, 2)


def test_blocks_sum_what_was_measured_and_say_where_they_end() -> None:
    baseline = Baseline()
    baseline.given(0.0, 1.0)
    _, none = baseline.measure(column(*[1.0] * (BLOCK - 1)))
    assert none.ends == []
    _, blocks = baseline.measure(column(*[2.0, math.nan, *[1.0] * BLOCK]))
    assert blocks.ends == [0, BLOCK]
    assert blocks.sums[:, SUMS].ravel().tolist() == [BLOCK + 1, BLOCK - 1]
    assert blocks.counts[:, COUNTS].ravel().tolist() == [BLOCK, BLOCK - 1]


@settings(max_examples=40)
@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=150),
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
)
def test_no_cut_and_no_restore_changes_a_bit(values: list[float], sizes: list[int]) -> None:
    whole, cut = Baseline(), Baseline()
    for baseline in (whole, cut):
        baseline.learn(20)
    expected, _ = whole.measure(column(*values))
    parts, start = [], 0
    while start < len(values):
        stop = start + sizes[start % len(sizes)]
        cut = Baseline.of(cut.rows, cut.numbers())
        parts.append(cut.measure(column(*values[start:stop]))[0])
        start = stop
    assert np.vstack(parts).tobytes() == expected.tobytes()
    assert (cut.rows, cut.numbers().tobytes()) == (whole.rows, whole.numbers().tobytes())


def test_taught_elsewhere_rows_and_blocks_are_counted_anew_and_what_is_not_known_yet_is_learned_anew() -> None:
    baseline = Baseline()
    baseline.learn(20)
    baseline.learn(20)
    taught = np.column_stack((normal(1, 40), np.where(np.arange(40) < 19, 1e6, np.nan)))
    baseline.measure(taught)
    assert (baseline.ready(0), baseline.ready(1)) == (True, False)
    baseline.begin(10)
    values, blocks = baseline.measure(np.full((BLOCK, 2), 5.0))
    assert blocks.ends == [BLOCK - 1]
    assert blocks.counts[0, COUNTS].tolist() == [BLOCK, BLOCK - 10]
    assert np.isnan(values[:, 1]).sum() == 10
    assert baseline.mean[1] == 5.0


def test_blocks_tell_what_a_clip_hides() -> None:
    learning = normal(3, 200, 40, 5)
    baseline = learned(*learning)
    baseline.measure(column(*[40.0] * (BLOCK - 200 % BLOCK)))
    far = normal(4, BLOCK, 40_000, 5_000)
    _, blocks = baseline.measure(column(*far))
    assert baseline.mean[0] + baseline.scale[0] * blocks.far[0, CENTRES, 0] == pytest.approx(fmean(far), rel=1e-5)
    assert baseline.scale[0] * blocks.far[0, WIDTHS, 0] == pytest.approx(pstdev(far), rel=1e-5)
    assert blocks.counts[0, :, 0].tolist() == [BLOCK, 12 * 16, BLOCK]
    _, blocks = baseline.measure(column(*[1e300] * BLOCK, *[4.2] * BLOCK))
    assert blocks.far[:, CENTRES, 0] == pytest.approx([FARTHEST, (4.2 - baseline.mean[0]) / baseline.scale[0]])
    assert blocks.far[:, WIDTHS, 0].tolist() == [0.0, 0.0]


def test_a_rare_share_is_learned_and_summed_as_it_is_and_handed_on_clipped() -> None:
    baseline = Baseline()
    baseline.learn(1_000)
    baseline.measure(column(*[float(row % 250 == 7) for row in range(1_000)]), rate=True)
    assert baseline.mean[0] == pytest.approx(0.004)
    baseline.measure(column(*[0.0] * (BLOCK - 1_000 % BLOCK)), rate=True)
    z, blocks = baseline.measure(column(*[1.0, 0.0, 0.0, 0.0] * (BLOCK // 4)), rate=True)
    assert z.max() == CLIP
    share = baseline.mean[0] + baseline.scale[0] * blocks.sums[0, SUMS, 0] / BLOCK
    assert share == pytest.approx(0.25)
    assert blocks.counts[0, LEVELS, 0] == 8  # a quarter of 32


def test_only_what_lies_beyond_the_first_values_is_outside() -> None:
    baseline = learned(*normal(5, 100), -4.0, 4.5)
    baseline.measure(column(*[0.0] * (BLOCK - 102 % BLOCK)))
    _, blocks = baseline.measure(column(-4.1, 4.6, math.nan, *[4.5] * (BLOCK - 3)))
    assert blocks.counts[0, [COUNTS, OUTSIDE], 0].tolist() == [BLOCK - 1, 2]


@pytest.mark.parametrize(("rate", "steps"), [(False, 8), (True, 8)])
def test_a_level_is_in_steps_of_a_sixteenth_of_an_sd_or_of_one_value_of_a_block(rate: bool, steps: int) -> None:
    baseline = Baseline()
    baseline.given(0.25, 0.5)
    _, blocks = baseline.measure(column(*[0.5, 0.5] * (BLOCK // 2)), rate=rate)
    assert blocks.counts[0, LEVELS, 0] == steps  # half a standard deviation, a quarter of all
