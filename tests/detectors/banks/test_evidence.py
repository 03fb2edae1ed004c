"""What a report says of itself: the numbers a person gets to see."""

import math
from itertools import pairwise

import numpy as np
import pytest

from detectors.banks import registry, standing
from detectors.banks.contract import Bank, Finding
from detectors.config import Scalar
from tests.detectors.banks.streams import two_error_rates
from tests.detectors.banks.watched import bank, chances, clocked, normal

STEP = np.repeat([0.0, 1.0], [200, 200])[:, None]  # no chance in it, so every number can be worked out by hand


def report(name: str, **parameters: Scalar) -> Finding:
    return registry.build(name, parameters, 1).update(STEP)[0]


def test_adwin_dates_a_step_to_the_row_where_every_row_is_a_bucket() -> None:
    found = report("adwin", max_buckets=100)
    assert found.row - found.since == 199
    assert (found.mean_before, found.mean_after, found.value) == (0.0, 1.0, 1.0)
    assert found.n == found.row + 1


def test_adwin_dates_a_step_to_the_nearest_border_between_buckets() -> None:
    found = report("adwin", clock=1)
    assert abs(found.row - found.since - 199) <= 4  # the width of the bucket that the step is in
    assert found.mean_before == 0.0
    assert found.mean_after > 0.75


def test_adwins_epsilon_is_the_formula_of_the_paper() -> None:
    found = report("adwin", clock=1, min_window_length=1)
    older, newer = found.n - found.since, found.since
    variance = older * newer / found.n**2  # of zeros and ones
    confidence = math.log(2 * math.log(found.n) / 0.002)
    parts = 1 / older + 1 / newer
    epsilon = math.sqrt(2 * parts * variance * confidence) + 2 / 3 * confidence * parts
    assert found.threshold == pytest.approx(epsilon, rel=1e-12)
    assert found.value > found.threshold


def test_page_hinkley_counts_from_the_lowest_point_of_its_sum() -> None:
    found = report("page_hinkley", delta=0.005, threshold=10.0)
    assert found.row - found.since == 199  # the sum went down by delta at each zero, and up from the first one on
    assert (found.mean_before, found.mean_after, found.threshold) == (0.0, 1.0, 10.0)
    assert 10.0 < found.value < 11.0


def test_page_hinkley_shows_a_fall_as_well() -> None:
    (found, *_) = registry.build("page_hinkley", {"threshold": 10.0}, 1).update(1.0 - STEP)
    assert found.row - found.since == 199
    assert (found.mean_before, found.mean_after) == (1.0, 0.0)


def test_page_hinkley_with_one_side_is_blind_to_the_other() -> None:
    assert registry.build("page_hinkley", {"threshold": 10.0, "mode": "down"}, 1).update(STEP) == []


def test_hddm_a_knows_the_cut_and_both_error_rates() -> None:
    found = report("hddm_a")
    assert found.row - found.since == 199
    assert (found.mean_before, found.mean_after) == (0.0, pytest.approx(1.0))
    assert found.value >= found.threshold


def test_hddm_w_knows_both_weighted_error_rates() -> None:
    found = report("hddm_w")
    assert found.value > found.threshold
    assert found.mean_before < 0.1 < found.mean_after
    assert found.since == -1


def test_ddm_gives_its_statistic_and_the_lowest_error_rate() -> None:
    errors = np.concatenate((np.resize([0.0, 0.0, 0.0, 1.0], 200), np.ones(100)))
    (found, *_) = registry.build("ddm", {}, 1).update(errors[:, None])
    assert found.row >= 200
    assert found.value > found.threshold
    assert found.mean_before == pytest.approx(0.25, abs=0.05)


def test_eddm_reports_below_its_threshold() -> None:
    (found, *_) = registry.build("eddm", {}, 1).update(two_error_rates()[:, None])
    assert found.value < found.threshold == 0.9


def test_kswin_reports_a_p_value_and_the_newest_mean() -> None:
    found = report("kswin", window_size=100, stat_size=30)
    assert found.value <= found.threshold == 0.005
    assert (found.n, found.since) == (100, 30)
    assert 0.0 < found.mean_after <= 1.0


def test_rivers_own_adwin_knows_what_is_left_of_its_window() -> None:
    found = report("river.drift.ADWIN")
    ones = found.row + 1 - 200
    assert found.n == found.row + 1
    assert ones <= found.since < found.n
    assert found.mean_after == ones / found.since
    assert math.isnan(found.value)


def test_rivers_own_page_hinkley_gives_its_statistic() -> None:
    found = report("river.drift.PageHinkley")
    assert found.value > found.threshold == 50.0
    assert found.mean_before > 0.0


def test_a_detector_that_nobody_knows_from_inside_says_how_many_values_it_saw() -> None:
    found = report("river.drift.DummyDriftDetector", t_0=60)
    assert found.n == 60
    assert math.isnan(found.value)
    assert math.isnan(found.mean_after)
    assert found.since == -1


@pytest.mark.parametrize("bits", [True, False])
@pytest.mark.parametrize("sided", [True, False])
def test_what_the_watch_stands_at_crosses_its_threshold_with_the_row_that_it_reports(bits: bool, sided: bool) -> None:
    calm, other = (chances(3, 1_500, 0.2), chances(4, 300, 0.6)) if bits else (normal(3, 1_500), normal(4, 300) + 1.0)
    watching, found, stood = bank(bits=bits, sided=sided), [], []
    for row, value in enumerate(np.concatenate((calm, other))):
        found += clocked(watching, value[None, :], row)
        stood.append(standing.of(watching, 0))
    (report,) = found
    assert [each is not None and each.value > each.threshold for each in stood[: report.row + 1]] == [
        False
    ] * report.row + [True]
    last = stood[report.row]
    assert last is not None
    assert math.isclose(last.value, report.value)
    assert last.threshold == report.threshold


def stands(watching: Bank) -> float:
    known = standing.of(watching, 0)
    assert known is not None
    return known.value


def test_what_page_hinkley_stands_at_is_what_it_reports_with_the_next_row() -> None:
    watching = registry.build("page_hinkley", {"threshold": 5.0, "delta": 0.1}, 1)
    stood = []
    for value in STEP:
        found = watching.update(value[None, :])
        if found:
            break
        stood.append(stands(watching))
    assert set(stood[:200]) == {0.0}  # the sums are at their extremes
    assert all(before < now <= 5.0 for before, now in pairwise(stood[199:]))
    assert found[0].value > 5.0
    assert stands(watching) == 0.0  # it begins anew


def test_a_detector_that_is_not_known_from_inside_stands_nowhere() -> None:
    assert standing.of(registry.build("adwin", {}, 1), 0) is None
    assert standing.of(registry.build("page_hinkley", {}, 1), 1) is None
