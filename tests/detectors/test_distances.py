"""How far distributions lie apart, beside what NumPy and SciPy make of the same values."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from detectors.banks.shiryaev import WATCH
from detectors.banks.shiryaev_steps import CHUNK
from detectors.baseline import BLOCK
from detectors.budget import Allowance
from detectors.config import ModelConfig
from detectors.distances import chi_square_p, jensen_shannon, psi, told, upper_gamma, wasserstein
from detectors.encoding import Column
from detectors.group import Group
from detectors.shapes import CHUNKS
from schemas.events import Kind
from tests.detectors.events import chances, normal, of_feature, run

COUNTS = st.lists(st.integers(0, 300), min_size=12, max_size=12).map(np.array).filter(lambda counts: counts.sum() > 0)


@given(COUNTS, COUNTS)
def test_of_counts_they_are_what_scipy_says(before: np.ndarray, since: np.ndarray) -> None:
    plain = distance.jensenshannon(before, since, base=2)
    assert jensen_shannon(before, since) == pytest.approx(0.0 if np.isnan(plain) else plain**2, abs=1e-9)
    there = before + since > 0
    if there.sum() > 1:
        expected = stats.chi2_contingency([before[there], since[there]], correction=False).pvalue
        assert chi_square_p(before, since) == pytest.approx(expected, rel=1e-6, abs=1e-290)
    p, q = before[there] + 0.5, since[there] + 0.5  # which SciPy makes shares of
    assert psi(before, since) == pytest.approx(stats.entropy(p, q) + stats.entropy(q, p), abs=1e-9)


@given(st.integers(1, 60), st.floats(1e-6, 400))
def test_the_tail_of_chi_square_is_that_of_scipy(degrees: int, value: float) -> None:
    assert upper_gamma(degrees / 2, value / 2) == pytest.approx(stats.chi2.sf(value, degrees), rel=1e-8, abs=1e-290)


@given(COUNTS, COUNTS, st.integers(0, 2**32 - 1))
def test_the_area_between_two_distributions(before: np.ndarray, since: np.ndarray, seed: int) -> None:
    """Values spread evenly over their cells, and cells of any width, beside the area summed up in small steps."""
    ends = np.cumsum(np.random.default_rng(seed).uniform(0.1, 2.0, 13))
    fine = np.linspace(ends[0], ends[-1], 20_001)
    both = [np.interp(fine, ends, np.concatenate(([0], np.cumsum(c))) / c.sum()) for c in (before, since)]
    expected = np.trapezoid(np.abs(both[0] - both[1]), fine)
    assert wasserstein(before, since, ends[1:-1], ends[0], ends[-1]) == pytest.approx(expected, abs=1e-3)


def test_of_few_values_nothing_is_said() -> None:
    assert told(np.full(12, 50.0), np.full(12, 8.0)) == {}
    assert told(np.full(12, 50.0), np.full(12, 9.0))["shape_n"] == 108


@pytest.mark.parametrize("n", [100, 250, 500])
def test_of_values_that_have_not_changed_psi_is_what_chance_alone_shows(n: int) -> None:
    draw = np.random.default_rng(n)
    shares = np.diff(np.concatenate(([0.0], np.linspace(0.01, 0.99, 11), [1.0])))
    both = [(draw.multinomial(1_000, shares), draw.multinomial(n, shares)) for _ in range(400)]
    found = [told(before.astype(float), since.astype(float)) for before, since in both]
    mean = float(np.mean([each["psi"] for each in found]))
    print(f"{n} values: psi {mean:.4f}, expected {found[0]['psi_by_chance']}")  # noqa: T201
    assert mean == pytest.approx(found[0]["psi_by_chance"], rel=0.15)
    assert np.mean([each["chi_square_p"] < 0.05 for each in found]) < 0.09


def test_of_a_number_with_two_values_cells_that_are_always_empty_are_no_distance() -> None:
    before, since = np.zeros(12), np.zeros(12)
    before[[0, 11]], since[[0, 11]] = (5_000.0, 5_000.0), (195.0, 189.0)
    found = told(before, since)
    assert found["psi"] == told(before[[0, 11]], since[[0, 11]])["psi"] == pytest.approx(0.00025, rel=0.1)
    assert found["psi_by_chance"] == pytest.approx(1 / 384 + 1 / 10_000, rel=1e-3)


def fed(rows: np.ndarray, *, rate: bool = False, size: int = 70) -> Group:
    group = Group(ModelConfig(baseline_rows=400), (WATCH,), rate=rate)
    columns = [Column(f"f{number}", Kind.FEATURE_DRIFT) for number in range(rows.shape[1])]
    for start in range(0, len(rows), size):
        group.grow(columns, Allowance(share=0.5, time_per_alarm=1e5, head=1e2, in_rows=True))
        part = rows[start : start + size]
        found, blocks = group.update(part, start, np.arange(start, start + len(part)) * 1_000.0)
        assert len(found) <= 2
        for number in range(len(blocks.ends)):
            group.remember(blocks, range(number, number + 1))
    return group


@pytest.mark.parametrize(("shift", "spread"), [(0.0, 1.5), (1.0, 1.0), (3.0, 0.5), (6.0, 1.0)])
def test_a_column_lies_as_far_from_its_baseline_as_its_values_do(shift: float, spread: float) -> None:
    draw = np.random.default_rng(3)
    changed = 19 * CHUNK + 5  # the chunk that it falls into is left out
    rows = np.concatenate((draw.normal(50, 4, (changed, 1)), draw.normal(50 + 4 * shift, 4 * spread, (540, 1))))
    group = fed(rows)
    before, since = group.shape(0, changed) or (np.empty(0), np.empty(0))
    edges = [-np.inf, *group._watch.edges(0), np.inf]  # type: ignore[union-attr]
    assert since.tolist() == np.histogram(rows[20 * CHUNK : 23 * CHUNK, 0], edges)[0].tolist()
    assert before == pytest.approx(np.histogram(rows[:changed, 0], edges)[0], abs=80)  # the last teach nothing
    far = group.distances(0, changed)
    exact = stats.wasserstein_distance(rows[:changed, 0], rows[20 * CHUNK : 23 * CHUNK, 0]) / group.baseline.scale[0]
    assert far["wasserstein"] == pytest.approx(exact, rel=0.1)
    assert (far["psi"], far["jensen_shannon"]) == pytest.approx(
        (psi(before, since), jensen_shannon(before, since)), rel=1e-3
    )


def test_of_bits_their_order_does_not_matter() -> None:
    bits = np.array([*chances(1, 1_200, 0.2), *chances(2, 600, 0.6)], dtype=float)[:, None]
    before, since = fed(bits, rate=True).shape(0, 1_200) or (np.empty(0), np.empty(0))
    ones = bits[10 * CHUNK : 14 * CHUNK].sum()
    assert since.tolist() == [CHUNKS * CHUNK - ones, ones]
    assert before[1] / before.sum() == pytest.approx(0.2, abs=0.04)


def test_there_is_nothing_to_compare_before_a_chunk_since_the_change_is_full() -> None:
    group = fed(np.random.default_rng(5).normal(size=(10 * CHUNK + BLOCK, 1)))
    assert group.distances(0, 9 * CHUNK + 1) == {}
    assert group.distances(0, 9 * CHUNK)["shape_n"] == CHUNK


@settings(max_examples=20)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=9), st.integers(0, 2**32 - 1))
def test_no_cut_changes_a_count(sizes: list[int], seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(sum(sizes) + 900, 2))
    whole = fed(rows, size=len(rows))
    cut = fed(rows, size=max(sizes))
    for column in range(2):
        for row in (0, 400, 900):
            assert repr(whole.shape(column, row)) == repr(cut.shape(column, row))


def test_an_alarm_says_how_far_the_distribution_has_moved() -> None:
    (alert,) = run(of_feature("x", [*normal(1, 2_000), *normal(2, 900, 0.3)])).alerts
    detail = alert.evidence.detail
    assert detail["shape_n"] in {128, 256, 384, 512}
    assert detail["wasserstein"] == pytest.approx(0.3, abs=0.15)
    assert isinstance(detail["psi"], float)
    assert detail["psi"] > detail["psi_by_chance"]


def test_categories_are_compared_together() -> None:
    draw = Random(4)
    values = [*draw.choices("abc", (6, 3, 1), k=2_000), *draw.choices("abc", (5, 3, 2), k=900)]
    first = run(of_feature("plan", values)).opened[0]
    draws = np.array([[600, 300, 100, 0], [128, 77, 51, 0]], dtype=float)
    assert first.evidence.detail["psi"] == pytest.approx(psi(*draws), rel=0.6)
    assert 0.0 < float(first.evidence.detail["chi_square_p"] or 0.0) < 0.02
