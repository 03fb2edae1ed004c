"""Rows against what the features were like together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.banks.contract import StateError
from detectors.config import ModelConfig
from detectors.together import FEATURES_MAX, SIGNAL, Together
from schemas.events import Kind
from tests.detectors.events import Run, prediction, run

Matrix = NDArray[np.float64]


def correlated(seed: int, rows: int, features: int, correlation: float) -> Matrix:
    draw = np.random.default_rng(seed)
    common = draw.normal(size=(rows, 1))
    return correlation**0.5 * common + (1.0 - correlation) ** 0.5 * draw.normal(size=(rows, features))


def learned(seed: int, features: int, correlation: float) -> Together:
    together = Together(500)
    together.begin(features)
    assert np.isnan(together.distances(correlated(seed, 500, features, correlation))).all()
    return together


def test_distances_are_those_of_mahalanobis() -> None:
    rows = correlated(1, 500, 4, 0.5)
    together = Together(500)
    together.begin(4)
    together.distances(rows)
    covariance = np.cov(rows.T)
    covariance -= 0.02 * (covariance - np.diag(np.diag(covariance)))
    new = correlated(2, 50, 4, 0.5)
    away = new - rows.mean(axis=0)
    expected = np.log(np.einsum("ij,jk,ik->i", away, np.linalg.inv(covariance), away))
    assert together.distances(new)[:, 0] == pytest.approx(expected)


def test_they_stay_where_nothing_changes_and_move_where_features_part_or_join() -> None:
    for before, after in ((0.8, 0.0), (0.0, 0.8)):
        together = learned(3, 6, before)
        usual, changed = (together.distances(correlated(4, 2_000, 6, share)) for share in (before, after))
        again = together.distances(correlated(5, 2_000, 6, before))
        assert abs(again.mean() - usual.mean()) < 0.1
        assert abs(changed.mean() - usual.mean()) > 0.5 or changed.std() > 1.5 * usual.std()


def test_a_row_that_lacks_a_value_has_none() -> None:
    together = learned(6, 3, 0.3)
    rows = correlated(7, 4, 3, 0.3)
    rows[1, 2] = np.nan
    assert np.isnan(together.distances(rows)[:, 0]).tolist() == [False, True, False, False]


def test_features_that_are_sums_of_others_or_constant_are_borne() -> None:
    rows = correlated(8, 600, 4, 0.0)
    rows[:, 2], rows[:, 3] = rows[:, 0] + rows[:, 1], 0.0
    together = Together(500)
    together.begin(4)
    assert np.isfinite(together.distances(rows)[500:]).all()


def test_of_many_features_the_first_are_looked_at_together() -> None:
    together = Together(100)
    together.begin(FEATURES_MAX + 10)
    assert together.width == FEATURES_MAX
    rows = correlated(9, 600, FEATURES_MAX, 0.2)
    assert np.isfinite(together.distances(rows)[-1, 0])


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), sizes=st.lists(st.integers(0, 70), min_size=1, max_size=12))
def test_batches_cut_anywhere_and_states_taken_anywhere_change_nothing(seed: int, sizes: list[int]) -> None:
    rows = correlated(seed, sum(sizes), 3, 0.5)
    rows[np.random.default_rng(seed).random(rows.shape) < 0.05] = np.nan
    whole, cut, parts, at = Together(60), Together(60), [np.empty((0, 1))], 0
    whole.begin(3)
    cut.begin(3)
    for size in sizes:
        parts.append(cut.distances(rows[at : at + size]))
        again = Together(60)
        again.restore(cut.numbers())
        cut, at = again, at + size
    assert np.concatenate(parts).tobytes() == whole.distances(rows).tobytes()
    assert cut.numbers().tobytes() == whole.numbers().tobytes()


@pytest.mark.parametrize("numbers", [[], [1.0], [-1.0], [99.0], [2.0, 0.0]])
def test_a_state_that_does_not_fit_is_refused(numbers: list[float]) -> None:
    with pytest.raises(StateError):
        Together(60).restore(np.array(numbers))


def of_rows(rows: Matrix, latency_ms: float = 20.0, slow_from: int = 10**9) -> Run:
    return run(
        [
            prediction(
                number,
                {f"f{column}": float(value) for column, value in enumerate(row)},
                latency_ms=300.0 if number >= slow_from and number % 5 == 0 else latency_ms,
            )
            for number, row in enumerate(rows)
        ],
        ModelConfig(baseline_rows=500),
    )


def test_features_that_part_open_an_alarm_that_none_of_them_would() -> None:
    told = of_rows(np.concatenate((correlated(1, 3_000, 5, 0.7), correlated(2, 1_000, 5, 0.0))))
    (alert,) = told.opened
    assert (alert.signal, alert.kind) == (SIGNAL, Kind.FEATURE_DRIFT)
    assert 3_000 < alert.position.offset < 3_200
    assert "what they were like together" in alert.summary


def test_what_one_feature_explains_is_told_of_that_feature_alone() -> None:
    rows = correlated(3, 4_000, 5, 0.7)
    rows[3_000:, 2] += 2.0
    assert {alert.signal for alert in of_rows(rows).opened} == {"feature:f2"}


def test_slow_predictions_open_an_alarm_of_their_own() -> None:
    told = of_rows(correlated(4, 3_000, 2, 0.0), slow_from=2_000)
    (alert,) = told.opened
    assert (alert.signal, alert.kind) == ("latency", Kind.LATENCY)
    assert 2_000 < alert.position.offset < 2_100
    assert "share of slow predictions rose" in alert.summary
