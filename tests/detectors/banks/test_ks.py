"""The incremental Kolmogorov-Smirnov distance: equal to a full recomputation, ties and all, however it is cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from detectors.banks.contract import StateError
from detectors.banks.ks import KsBank

Stream = NDArray[np.float64]


def recomputed(values: Stream, reference: int, window: int) -> float:
    """As scipy has it."""
    return float(stats.ks_2samp(values[:reference], values[-window:], method="asymp").statistic)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), ties=st.booleans(), rows=st.integers(30, 120))
def test_the_distance_is_that_of_all_kept_values_anew(seed: int, ties: bool, rows: int) -> None:
    draw = np.random.default_rng(seed)
    values = draw.normal(size=rows).round(0 if ties else 8)
    bank = KsBank(1, reference=20, window=10, alpha=1e-9)  # so that it does not report and begin afresh
    for row, value in enumerate(values):
        bank.update(np.array([[value]]))
        if row >= 29:
            assert bank.distance(0) == pytest.approx(recomputed(values[: row + 1], 20, 10), abs=1e-12)
        else:
            assert np.isnan(bank.distance(0))


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(1, 60), min_size=1, max_size=30))
def test_batches_cut_anywhere_and_states_taken_anywhere_change_nothing(seed: int, sizes: list[int]) -> None:
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(sum(sizes), 3)) + (np.arange(sum(sizes)) > sum(sizes) // 2)[:, None]
    values[draw.random(values.shape) < 0.1] = np.nan
    whole, cut, found, row = KsBank(3, reference=40, window=15), KsBank(3, reference=40, window=15), [], 0
    for size in sizes:
        found += [each._replace(row=each.row + row) for each in cut.update(values[row : row + size])]
        again = cut.fresh(0)
        again.restore(cut.snapshot())
        cut, row = again, row + size
    assert repr(found) == repr(whole.update(values))
    assert cut.snapshot() == whole.snapshot()


def test_a_change_of_shape_that_leaves_mean_and_spread_is_found() -> None:
    draw = np.random.default_rng(1)
    normal, two_humps = draw.normal(size=1_500), draw.choice([-1.0, 1.0], 500) + 0.05 * draw.normal(size=500)
    bank = KsBank(1)
    found = bank.update(np.concatenate((normal, two_humps))[:, None])
    assert [each.row > 1_500 for each in found] == [True]
    assert found[0].value > found[0].threshold == bank.threshold


@pytest.mark.parametrize("changed", [b"", b"\x00" * 12])
def test_a_state_that_does_not_fit_is_refused(changed: bytes) -> None:
    bank = KsBank(1)
    bank.update(np.zeros((10, 1)))
    with pytest.raises(StateError):
        bank.restore(changed)
    with pytest.raises(StateError):
        KsBank(1, window=20).restore(bank.snapshot())
