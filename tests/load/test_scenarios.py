"""The generated day: the same each time, true to what it says was injected, and still where it says nothing was."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from load.scenarios import DAY_MS, DAY_STARTS_MS, HEALTHY, DriftKind, Scenario, Traffic, scenario
from load.scenarios.time import Flags
from schemas.topics import Stream, TopicNames

SEED = 7


@pytest.fixture(scope="module")
def day() -> Scenario:
    return scenario(SEED)


def digest(day: Scenario) -> str:
    sha = hashlib.sha256()
    for record in day.records(TopicNames()):
        sha.update(repr(record).encode())
    return sha.hexdigest()


def of(day: Scenario, model: str) -> Traffic:
    return next(traffic for traffic in day.traffic if traffic.model == model)


def errors(traffic: Traffic) -> np.ndarray:
    pairs = zip(traffic.predictions, traffic.labels, strict=True)
    if traffic.model == "eta":
        return np.array([abs(guess - truth) for guess, truth in pairs])  # type: ignore[operator]
    return np.array([float(guess != truth) for guess, truth in pairs])


def during(traffic: Traffic, kind: DriftKind, which: int = 0) -> Flags:
    drift = [drift for drift in traffic.truth if drift.kind is kind][which]
    ends_ms = drift.ends_ms or DAY_STARTS_MS + DAY_MS
    return (traffic.made_ms >= drift.starts_ms) & (traffic.made_ms < ends_ms)


def test_the_same_seed_gives_the_same_bytes(day: Scenario) -> None:
    assert digest(scenario(SEED)) == digest(day)


def test_another_seed_gives_another_day_with_other_moments_of_change(day: Scenario) -> None:
    other = scenario(SEED + 1)
    assert digest(other) != digest(day)
    assert [drift.starts_ms for drift in other.truth] != [drift.starts_ms for drift in day.truth]


def test_every_kind_of_drift_is_there_and_the_healthy_model_has_none(day: Scenario) -> None:
    assert {drift.kind for drift in day.truth} == set(DriftKind)
    assert {drift.model for drift in day.truth} == set(day.models) - HEALTHY
    assert set(day.models) > HEALTHY


def test_every_drift_starts_and_ends_within_the_day(day: Scenario) -> None:
    for drift in day.truth:
        ends_ms = drift.ends_ms or DAY_STARTS_MS + DAY_MS
        assert DAY_STARTS_MS < drift.starts_ms < ends_ms <= DAY_STARTS_MS + DAY_MS


def test_drifts_that_share_a_signal_never_overlap(day: Scenario) -> None:
    spans = [(drift.model, signal, drift) for drift in day.truth for signal in (*drift.signals, *drift.consequences)]
    for model, signal, drift in spans:
        others = [other for at, name, other in spans if (at, name) == (model, signal) and other is not drift]
        for other in others:
            first, second = sorted((drift, other), key=lambda each: each.starts_ms)
            assert first.ends_ms is not None
            assert first.ends_ms + first.echo_ms < second.starts_ms


def test_records_come_in_order_of_time_with_their_own_offsets(day: Scenario) -> None:
    records = list(day.records(TopicNames()))
    assert [record.timestamp for record in records] == sorted(record.timestamp for record in records)
    for topic in {record.topic for record in records}:
        offsets = [record.offset for record in records if record.topic == topic]
        assert offsets == list(range(len(offsets)))
    assert len(records) == day.event_count()


def test_every_outcome_follows_a_prediction_by_minutes_to_hours(day: Scenario) -> None:
    made: dict[str, int] = {}
    delays = []
    for event in day.events():
        if event.stream is Stream.PREDICTIONS:
            made[event.fields["id"]] = event.at_ms
        elif event.stream is Stream.OUTCOMES:
            delays.append(event.at_ms - made.pop(event.fields["id"]))
    assert min(delays) > 0
    assert np.median(delays) > 10 * 60_000
    assert max(delays) > 3 * 3_600_000


def test_volume_follows_the_hour_and_no_value_does(day: Scenario) -> None:
    traffic = of(day, *HEALTHY)
    hours = Counter(((traffic.made_ms - DAY_STARTS_MS) // 3_600_000).tolist())
    assert hours[15] > 3 * hours[3]
    assert_same_everywhere(np.log(np.array(traffic.features["amount"], dtype=np.float64)))


def test_the_healthy_model_is_the_same_all_day(day: Scenario) -> None:
    traffic = of(day, *HEALTHY)
    assert traffic.score is not None
    assert_same_everywhere(traffic.score)
    assert_same_everywhere(errors(traffic))
    for column in traffic.features.values():
        if isinstance(column[0], str):
            for name in set(column):
                assert_same_everywhere(np.array([value == name for value in column], dtype=np.float64))
        else:
            assert_same_everywhere(np.array([value is None for value in column], dtype=np.float64))
            assert_same_everywhere(np.array([np.nan if value is None else value for value in column], dtype=np.float64))


def assert_same_everywhere(values: np.ndarray) -> None:
    """No quarter of the day is further from the rest than five standard errors."""
    quarters = np.array_split(values, 4)
    errors_of = [float(np.nanstd(values)) / np.sqrt(len(quarter)) for quarter in quarters]
    means = [float(np.nanmean(quarter)) for quarter in quarters]
    for mean, error in zip(means, errors_of, strict=True):
        assert abs(mean - float(np.nanmean(values))) <= 5 * error


@pytest.mark.parametrize(
    ("model", "kind", "feature", "least"),
    [
        ("churn", DriftKind.ABRUPT, "sessions_7d", 0.7),
        ("intent", DriftKind.RECURRING, "message_length", 0.7),
        ("eta", DriftKind.GRADUAL, "traffic_index", 0.7),
    ],
)
def test_a_numeric_feature_moves_as_said(
    day: Scenario, model: str, kind: DriftKind, feature: str, least: float
) -> None:
    traffic = of(day, model)
    values = np.array(traffic.features[feature], dtype=np.float64)
    spans = [during(traffic, kind, which) for which, drift in enumerate(d for d in traffic.truth if d.kind is kind)]
    calm = values[~np.any(spans, axis=0)]
    for span in spans:
        assert least < (values[span].mean() - calm.mean()) / calm.std() < 1.1


def test_a_category_mix_moves_by_fifteen_points(day: Scenario) -> None:
    traffic = of(day, "churn")
    north = np.array([value == "north" for value in traffic.features["region"]])
    moved = during(traffic, DriftKind.CATEGORY_MIX)
    assert north[~moved].mean() - north[moved].mean() == pytest.approx(0.15, abs=0.02)


def test_a_new_category_is_new(day: Scenario) -> None:
    traffic = of(day, "intent")
    unknown = np.array([value == "unknown" for value in traffic.features["channel"]])
    floods = during(traffic, DriftKind.NEW_CATEGORY)
    assert not unknown[~floods].any()
    assert unknown[floods].mean() == pytest.approx(0.15, abs=0.02)


def test_nulls_and_text_break_a_feature_only_while_said(day: Scenario) -> None:
    traffic = of(day, "eta")
    nulls = np.array([value is None for value in traffic.features["basket_items"]])
    texts = np.array([isinstance(value, str) for value in traffic.features["courier_rating"]])
    broken, mistyped = during(traffic, DriftKind.NULLS), during(traffic, DriftKind.WRONG_TYPE)
    assert nulls[broken].mean() == pytest.approx(0.2, abs=0.03)
    assert nulls[~broken].mean() < 0.01
    assert texts[mistyped].mean() == pytest.approx(0.2, abs=0.03)
    assert not texts[~mistyped].any()


def deployed(traffic: Traffic) -> Flags:
    assert traffic.deployment is not None
    return traffic.made_ms >= traffic.deployment.at_ms


def test_one_new_version_is_as_good_as_the_first_was_and_one_is_worse_than_what_it_replaces(day: Scenario) -> None:
    for model, low, high in (("churn", 0.7, 1.1), ("eta", 2.4, 3.5)):
        traffic = of(day, model)
        wrong = errors(traffic)
        usual = wrong[~during(traffic, DriftKind.CONCEPT)].mean()
        assert low < wrong[deployed(traffic)].mean() / usual < high


def test_a_deployment_comes_before_the_first_prediction_of_its_version_and_after_the_drift(day: Scenario) -> None:
    for traffic in (of(day, "churn"), of(day, "eta")):
        deployment = traffic.deployment
        assert deployment is not None
        versions = [
            (str(event.stream), event.fields["version"]) for event in traffic.events() if "version" in event.fields
        ]
        turn = versions.index(("control", deployment.version))
        assert {version for _, version in versions[:turn]} == {traffic.version}
        assert {version for _, version in versions[turn:]} == {deployment.version}
        assert deployment.at_ms > max(drift.starts_ms for drift in traffic.truth if drift.kind is DriftKind.CONCEPT)


@pytest.mark.parametrize("model", ["churn", "eta"])
def test_concept_drift_doubles_the_error_and_moves_nothing_else(day: Scenario, model: str) -> None:
    traffic = of(day, model)
    later = during(traffic, DriftKind.CONCEPT) & ~deployed(traffic)
    before = ~during(traffic, DriftKind.CONCEPT) & (
        traffic.made_ms > DAY_STARTS_MS + 10 * 3_600_000
    )  # when the earlier drifts have settled
    wrong = errors(traffic)
    assert 1.7 < wrong[later].mean() / wrong[before].mean() < 2.3
    answers = np.array(traffic.predictions, dtype=np.float64)
    error = answers.std() * np.sqrt(1 / later.sum() + 1 / before.sum())
    assert abs(answers[later].mean() - answers[before].mean()) < 5 * error


def test_prediction_drift_leaves_the_error_alone(day: Scenario) -> None:
    traffic = of(day, "intent")
    later = during(traffic, DriftKind.PREDICTION)
    delivery = np.array([value == "delivery" for value in traffic.predictions])
    assert delivery[later].mean() - delivery[~later].mean() == pytest.approx(0.14, abs=0.03)
    assert errors(traffic)[later].mean() == pytest.approx(errors(traffic)[~later].mean(), abs=0.015)


def test_a_days_labels_are_those_that_come_before_midnight(day: Scenario) -> None:
    traffic = of(day, "churn")
    arrived, made = traffic.label_arrivals()
    assert (np.diff(arrived) >= 0).all()
    assert (arrived > made).all()
    assert arrived.max() < DAY_STARTS_MS + DAY_MS
    assert 0.85 * len(traffic.made_ms) < len(arrived) < 0.95 * len(traffic.made_ms)
