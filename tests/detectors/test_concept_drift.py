"""The model is wrong more often, or about other things: labels show it, people are woken, a retrain is asked for."""

from random import Random

import pytest

from detectors.banks.shiryaev import WATCH
from detectors.config import ModelConfig, RetrainConfig
from schemas.events import Kind, Severity
from tests.detectors.events import (
    DAY,
    HOUR,
    SECOND,
    START,
    SUSPICIOUS,
    Event,
    Run,
    balanced,
    chances,
    normal,
    outcome,
    prediction,
    run,
    summary,
    tick,
)

WORSE = [*chances(1, 2_000, 0.1), *chances(2, 1_500, 0.35)]  # each row has two records: the change is at offset 4,000


@pytest.fixture(scope="module", params=[ModelConfig(), SUSPICIOUS], ids=["watched", "suspected"])
def worse(request: pytest.FixtureRequest) -> Run:
    return run(balanced(WORSE), request.param)


def test_a_rising_error_rate_opens_one_critical_alarm(worse: Run) -> None:
    (alert,) = worse.alerts
    assert (alert.kind, alert.signal, alert.severity) == (Kind.CONCEPT_DRIFT, "loss", Severity.CRITICAL)
    assert 4_000 < alert.position.offset < 4_600
    assert alert.evidence.baseline == pytest.approx(0.1, abs=0.02)
    assert alert.evidence.effect == pytest.approx(0.25, abs=0.15)
    assert "wrong more often" in alert.summary


def test_harm_asks_for_one_retrain_on_the_data_since_the_change(worse: Run) -> None:
    (asked,), (alert,) = worse.retrains, worse.alerts
    change = alert.evidence.change_point
    assert change is not None
    assert (asked.reason, asked.alerts) == ("concept_drift_confirmed", [alert.id])
    assert (asked.data.topic, asked.data.partition) == ("driftline.predictions", 0)
    assert asked.data.from_offset == change.offset == pytest.approx(4_000, abs=400)
    assert asked.data.from_ts == change.ts
    assert asked.data.to_ts == asked.ts >= alert.ts
    assert asked.data.to_offset == pytest.approx((asked.ts - START) / SECOND * 2, abs=2)
    assert asked.labels.joined >= 200
    assert asked.labels.pending <= 1  # at most the record that decided
    assert asked.labels.median_delay_ms == 0


def test_it_is_found_within_some_hundred_labels_and_held_against_the_budget() -> None:
    (alert,) = run(balanced(WORSE)).alerts
    assert (alert.detector, alert.signal) == (WATCH, "loss")
    assert alert.position.offset < 4_000 + 2 * 120
    low, high = alert.evidence.detail["effect_low"], alert.evidence.detail["effect_high"]
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert 0.0 < low < 0.25 < high
    assert alert.evidence.threshold_origin == (
        "days without a change for each false alarm of this signal, which has 12.50% of 1 false pages a month"
    )


def test_what_a_retrain_may_gain_is_held_against_what_was_before_the_change() -> None:
    errors = [*chances(1, 600, 0.3), *chances(2, 4_000, 0.08), *chances(3, 600, 0.4)]
    found = run(balanced(errors), ModelConfig(baseline_rows=400, retrain=RetrainConfig(cooldown="10m")))
    (alert,), (asked,) = found.opened, found.retrains
    gain, before = asked.expected_gain, alert.evidence.baseline
    assert before is not None
    assert before < 0.15
    assert gain is not None
    assert gain.low < 0.4 - before < gain.high


@pytest.mark.parametrize("usual", [0.005, 0.01, 0.1])
def test_a_model_that_is_always_wrong_cannot_be_more_wrong_than_that(usual: float) -> None:
    found = run(balanced([*chances(1, 2_000, usual), *[True] * 600]), ModelConfig(baseline_rows=1_000))
    (alert,), (asked,) = found.opened, found.retrains
    detail, before = alert.evidence.detail, alert.evidence.baseline
    low, high = detail["effect_low"], detail["effect_high"]
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert before is not None
    assert low < 1.0 - before < high <= 1.0
    gain = asked.expected_gain
    assert gain is not None
    assert gain.value == pytest.approx(1.0 - before, abs=0.05)
    assert gain.low < gain.value < gain.high <= 1.0


def test_a_retrain_waits_for_enough_labels() -> None:
    patient = ModelConfig(retrain=RetrainConfig(min_labels=1_000))
    (early,), (late,) = run(balanced(WORSE)).retrains, run(balanced(WORSE), patient).retrains
    assert early.labels.joined < 1_000 <= late.labels.joined
    assert run(balanced(WORSE[:2_500]), patient).retrains == []


def test_the_labels_of_a_retrain_are_counted_and_timed() -> None:
    """Outcomes come a hundred predictions later: so many wait, and each has waited so long."""
    events: list[Event] = []
    for number in range(len(WORSE)):
        events.append(prediction(number))
        if number >= 100:
            late = number - 100
            events.append(outcome(late, 0.0 if WORSE[late] else 1.0, at=number * SECOND))
    (asked,) = run(events).retrains
    assert asked.labels.pending == pytest.approx(100, abs=1)
    assert asked.labels.median_delay_ms == 100 * SECOND


@pytest.mark.parametrize(("cooldown", "times"), [("24h", 1), ("10m", 2)])
def test_a_second_retrain_waits_for_the_cooldown(cooldown: str, times: int) -> None:
    """Wrong, right again long enough to be over, wrong again; about an hour between the two."""
    errors = [*WORSE[:2_800], *chances(3, 2_500, 0.1), *chances(4, 800, 0.35)]
    told = run(balanced(errors), ModelConfig(retrain=RetrainConfig(cooldown=cooldown)))
    opened, closed = ("opened", "loss"), ("resolved", "loss")
    assert summary(told.alerts) == [opened, closed, ("reopened", "loss")]
    assert len(told.retrains) == times
    assert [asked.alerts for asked in told.retrains] == [[alert.id] for alert in told.began][:times]


def test_a_falling_error_rate_harms_nobody() -> None:
    told = run(balanced([*chances(1, 2_000, 0.3), *chances(2, 1_000, 0.05)]))
    assert (told.alerts, told.retrains) == ([], [])
    assert {(signal.signal, signal.disposition) for signal in told.signals} == {("loss", "improvement")}


@pytest.mark.parametrize("days", [0, 3])
def test_labels_of_predictions_from_before_a_feature_changed_are_none_to_train_on(days: int) -> None:
    """All labels take equally long."""
    events: list[Event] = []
    for number, age in enumerate([*normal(1, 1_000), *normal(2, 300, 3.0)]):
        at = number * HOUR // 4
        events += [prediction(number, {"age": age}, at=at), outcome(number, at=at + days * DAY)]
    events = [event for event in sorted(events, key=lambda event: event["at"]) if event["at"] <= events[-2]["at"]]
    found = run(events, ModelConfig(baseline_rows=400, retrain=RetrainConfig(min_labels=5)))
    since = found.opened[0].evidence.change_point
    (asked,) = found.retrains
    assert since is not None
    when = [START + event["at"] for event in events if event["type"] == "outcome"]
    labelled = sum(since.ts + days * DAY <= at <= asked.ts for at in when)
    assert 5 <= asked.labels.joined <= labelled < asked.labels.joined + 16


def test_feature_drift_that_lasts_asks_for_a_retrain_when_time_has_passed() -> None:
    events: list[Event] = []
    for number, age in enumerate([*normal(1, 1_500), *normal(2, 800, 2.0)]):
        events += [prediction(number, {"age": age}), outcome(number)]
    waiting = run(events)
    assert (summary(waiting.alerts), waiting.retrains) == ([("opened", "feature:age")], [])
    (asked,) = run([*events, tick(2_300 * SECOND + 5 * HOUR), tick(2_300 * SECOND + 6 * HOUR)]).retrains
    assert (asked.reason, asked.alerts) == ("drift_lasts", [waiting.alerts[0].id])
    assert asked.ts == START + 2_300 * SECOND + 6 * HOUR
    assert asked.data.to_offset == len(events) - 2  # the last prediction


def test_a_regression_is_found_out_and_its_error_watched() -> None:
    events: list[Event] = []
    noise = zip(normal(1, 2_500, 20, 30), [*normal(2, 2_000), *normal(3, 500, 0, 3)], strict=True)
    for number, (truth, error) in enumerate(noise):
        events += [prediction(number, prediction=truth + error), outcome(number, truth)]
    (alert,) = run(events).alerts
    assert (alert.signal, alert.kind) == ("loss", Kind.CONCEPT_DRIFT)
    assert alert.evidence.baseline == pytest.approx(0.8, abs=0.1)  # the mean distance of a normal error of 1
    assert "standard deviations" in alert.summary


def multiclass(right_after: float) -> list[Event]:
    draw = Random(4)
    events: list[Event] = []
    for number in range(2_600):
        answer, sure = draw.choice("abc"), draw.uniform(0.6, 0.9)
        right = draw.random() < (0.9 if number < 2_000 else right_after)
        scores = {name: sure if name == answer else (1 - sure) / 2 for name in "abc"}
        truth = answer if right else draw.choice([name for name in "abc" if name != answer])
        events += [prediction(number, prediction=answer, scores=scores), outcome(number, truth)]
    return events


def test_many_classes_are_watched_by_error_and_by_log_loss() -> None:
    told = run(multiclass(0.5))
    assert {alert.signal for alert in told.began} == {"loss", "log_loss"}
    assert len(told.retrains) == 1
    assert run(multiclass(0.9)).alerts == []


def test_a_sure_and_wrong_model_shows_in_the_log_loss_alone() -> None:
    events: list[Event] = []
    for number, wrong in enumerate(chances(5, 3_000, 0.2)):
        sure = 0.8 if number < 2_000 else 0.999
        events += [prediction(number, score=sure), outcome(number, 0.0 if wrong else 1.0)]
    told = run(events)
    assert {alert.signal for alert in told.began if alert.kind is Kind.CONCEPT_DRIFT} == {"log_loss"}


def test_the_positive_class_may_be_a_configured_whole_number() -> None:
    right = [event for number in range(60) for event in (prediction(number, score=0.9), outcome(number, 1.0))]
    told = run([*right, tick(HOUR)], ModelConfig(task="binary", positive=1, metrics_window="1h"))
    assert told.metrics[0].values["log_loss_mean"] == pytest.approx(0.10536, abs=1e-4)  # -ln 0.9


@pytest.mark.parametrize(("label", "loss"), [(True, 0.0), ("1", 0.0), (1.0, 0.0), (0.0, 1.0), (False, 1.0), ("0", 1.0)])
def test_one_and_true_and_their_names_are_one_class(label: bool | str | float, loss: float) -> None:
    config = ModelConfig(task="binary", positive=1, metrics_window="1m")
    (metrics,) = run([prediction(1), outcome(1, label), tick(HOUR)], config).metrics
    assert metrics.values["loss_mean"] == loss


def test_a_provisional_label_is_not_judged_and_its_final_one_is() -> None:
    config = ModelConfig(task="binary", positive=1, metrics_window="1m")
    events = [prediction(1, at=0), outcome(1, 0.0, provisional=True, at=1), outcome(1, 1.0, revision=1, at=2)]
    first, (both,) = run([*events[:2], tick(HOUR)], config).metrics[0], run([*events, tick(HOUR)], config).metrics
    assert (first.values["joined"], first.values["loss_mean"]) == (0, None)
    assert (both.values["joined"], both.values["loss_mean"]) == (1, 0.0)


def test_labels_that_weigh_nothing_say_nothing_to_a_detector() -> None:
    weightless = [event | ({"weight": 0.0} if event["type"] == "outcome" else {}) for event in balanced(WORSE)]
    told = run(weightless)
    assert (told.alerts, told.signals) == ([], [])


def test_a_challenger_drifts_for_information_only() -> None:
    told = run([event | ({"role": "challenger"} if event["type"] == "prediction" else {}) for event in balanced(WORSE)])
    assert {(alert.kind, alert.severity) for alert in told.alerts} == {(Kind.CHALLENGER, Severity.INFO)}
    assert told.retrains == []


@pytest.mark.parametrize("detector", ["ddm", "eddm", "hddm_a", "hddm_w", "page_hinkley", "adwin"])
def test_each_detector_finds_a_rising_error_rate(detector: str) -> None:
    told = run(balanced(WORSE), ModelConfig(loss_detectors=(detector,)))
    assert [(alert.signal, alert.detector) for alert in told.began] == [("loss", detector)]


def test_a_detector_that_does_not_know_the_direction_leaves_it_to_the_rows_that_follow() -> None:
    better = run(balanced([*chances(1, 2_000, 0.35), *chances(2, 1_500, 0.1)]), ModelConfig(loss_detectors=("eddm",)))
    assert {(signal.disposition, signal.evidence.effect) for signal in better.signals} == {("suspected", None)}
    assert better.alerts == []
