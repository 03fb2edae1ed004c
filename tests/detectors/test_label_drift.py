"""What the labels are changes, and how the values of a feature scatter: both are watched, and told in their words."""

from random import Random

import pytest

from detectors.banks.shiryaev import WATCH
from detectors.config import ModelConfig, RetrainConfig
from schemas.events import Alert, Kind, Severity
from tests.detectors.events import (
    HOUR,
    SECOND,
    SUSPICIOUS,
    Event,
    chances,
    labelled,
    normal,
    of_feature,
    outcome,
    prediction,
    run,
    summary,
    tick,
)

CHANGE = 1_500  # the row


def classes(rows: int, after: tuple[int, int, int], seed: int = 7) -> list[Event]:
    """Nine in ten are right, whatever the mix of the classes: answers follow the labels."""
    draw = Random(seed)
    events: list[Event] = []
    for number in range(rows):
        truth = draw.choices("abc", (6, 3, 1) if number < CHANGE else after)[0]
        answer = truth if draw.random() < 0.9 else draw.choice("abc".replace(truth, ""))
        events += [prediction(number, prediction=answer), outcome(number, truth)]
    return events


def numbers() -> list[Event]:
    """Two standard deviations up, and the model right about each."""
    events: list[Event] = []
    for number, truth in enumerate([*normal(1, CHANGE, 20, 3), *normal(2, 500, 26, 3)]):
        events += [prediction(number, prediction=truth + 0.1 * (-1) ** number), outcome(number, truth)]
    return events


def of_labels(alerts: list[Alert]) -> list[Alert]:
    return [alert for alert in alerts if alert.signal.startswith("label")]


def test_another_mix_of_labels_opens_an_alarm_for_each_class_that_it_is_seen_in() -> None:
    opened = run(classes(2_300, (3, 6, 1))).began
    labels = {alert.signal: alert for alert in of_labels(opened)}
    assert labels.keys() == {"label=a", "label=b"}
    assert {(alert.kind, alert.detector) for alert in labels.values()} == {(Kind.LABEL_DRIFT, WATCH)}
    assert "loss" not in {alert.signal for alert in opened}
    for signal, before, after in (("label=a", 0.6, 0.3), ("label=b", 0.3, 0.6)):
        evidence = labels[signal].evidence
        assert evidence.baseline == pytest.approx(before, abs=0.05)
        assert evidence.effect == pytest.approx(after - before, abs=0.12)
        assert evidence.change_point is not None
        assert evidence.change_point.offset == pytest.approx(2 * CHANGE, abs=2 * 60)  # two records a row
        assert labels[signal].position.topic == "driftline.outcomes"


def test_it_says_what_to_look_at() -> None:
    (alert,) = of_labels(run(labelled([*chances(1, CHANGE, 0.1), *chances(2, 500, 0.6)])).began)
    assert (alert.signal, alert.kind, alert.severity) == ("label", Kind.LABEL_DRIFT, Severity.WARNING)
    assert "label fell from" in alert.summary
    assert "look at who labels" in alert.summary


def test_labels_that_are_numbers_are_watched_as_numbers() -> None:
    (alert,) = of_labels(run(numbers()).began)
    assert (alert.signal, alert.kind) == ("label", Kind.LABEL_DRIFT)
    assert alert.evidence.baseline == pytest.approx(20, abs=0.5)
    assert alert.evidence.effect == pytest.approx(2.0, abs=0.6)
    assert alert.evidence.change_point is not None
    assert alert.evidence.change_point.offset == pytest.approx(2 * CHANGE, abs=2 * 60)


@pytest.mark.parametrize("events", [classes(4_000, (6, 3, 1)), labelled(chances(3, 4_000, 0.2))], ids=["abc", "01"])
def test_labels_that_stay_as_they_are_open_none(events: list[Event]) -> None:
    told = run(events)
    assert (told.alerts, told.retrains) == ([], [])


@pytest.mark.parametrize("events", [classes(2_300, (3, 6, 1)), numbers()], ids=["abc", "numbers"])
def test_labels_are_not_watched_where_nothing_keeps_to_the_budget(events: list[Event]) -> None:
    told = run(events, SUSPICIOUS)
    assert of_labels(told.alerts) == []
    assert not [signal for signal in told.signals if signal.signal.startswith("label")]


def test_a_label_drift_that_lasts_asks_for_a_retrain() -> None:
    """Answers stay as they are: only the labels differ, among those that are wrong anyhow."""
    draw = Random(11)
    events: list[Event] = []
    for number in range(2_500):
        wrong = draw.choices("bc", (9, 1) if number < CHANGE else (1, 9))[0]
        events += [prediction(number, prediction="a"), outcome(number, "a" if draw.random() < 0.5 else wrong)]
    last = 2_500 * SECOND
    told = run([*events, tick(last + 5 * HOUR), tick(last + 6 * HOUR)], ModelConfig(retrain=RetrainConfig()))
    assert {alert.kind for alert in told.alerts} == {Kind.LABEL_DRIFT}
    (asked,) = told.retrains
    assert asked.reason == "drift_lasts"
    assert asked.alerts == [told.opened[0].id]
    assert len(told.began) > 1  # more than one class says so, and that is one incident
    assert asked.labels.joined >= 200


# -- spread ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(1_000,), (1,), (333,)])
def test_values_that_scatter_twice_as_much_open_one_alarm_until_they_are_back(sizes: tuple[int, ...]) -> None:
    age = [*normal(1, CHANGE, 40, 5), *normal(2, 1_000, 40, 10), *normal(3, 2_000, 40, 5)]
    told = run(of_feature("age", age), sizes=sizes)
    assert summary(told.alerts) == [("opened", "feature:age"), ("resolved", "feature:age")]
    alert, back = told.alerts
    assert (alert.kind, alert.detector) == (Kind.FEATURE_DRIFT, WATCH)
    assert CHANGE < alert.position.offset < CHANGE + 100
    assert alert.evidence.effect == pytest.approx(1.0, abs=0.4)  # one standard deviation more than the one before
    spread = alert.evidence.detail["spread"]
    assert spread == pytest.approx(2.0, abs=0.4)
    assert f"has {spread:.2g} times the spread that it had" in alert.summary
    assert alert.evidence.detail["after"] == pytest.approx(40, abs=4)
    assert alert.evidence.change_point is not None
    assert alert.evidence.change_point.offset == pytest.approx(CHANGE, abs=64)
    assert CHANGE + 1_000 + 500 < back.position.offset < len(age)
    assert back.evidence.detail["why"] == "recovered"
    assert back.evidence.effect == pytest.approx(0.0, abs=0.125)


def test_values_that_scatter_less_are_another_spread_too() -> None:
    age = [*normal(1, CHANGE, 40, 5), *normal(2, 600, 40, 2)]
    (alert,) = run(of_feature("age", age)).alerts
    assert alert.evidence.effect == pytest.approx(-0.6, abs=0.2)
    assert alert.evidence.detail["spread"] == pytest.approx(0.4, abs=0.2)


@pytest.mark.parametrize("shift", [2.0, 4.0, 7.0])
def test_a_shift_of_the_mean_is_no_change_of_spread_and_lasts_as_long_as_it_does(shift: float) -> None:
    """Rows before and after a shift scatter more than either: a wrong date would make a spread of it."""
    told = run(of_feature("age", [*normal(1, CHANGE), *normal(2, 1_500, shift)]))
    (alert,) = told.began
    assert "spread" not in alert.evidence.detail
    assert alert.evidence.effect == pytest.approx(shift, rel=0.3)
