"""A deployment while the loss is alarmed: labels tell whether it has cured that, and what they tell is acted on."""

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

from detectors.config import FeatureConfig, ModelConfig, RetrainConfig
from detectors.cure import CERTAIN, CERTAIN_AT_LAST, LOOKS
from detectors.timeline import STRIDE
from schemas.events import Alert, AlertEvent, Kind, Rollback, Severity
from tests.detectors.events import (
    HOUR,
    SECOND,
    START,
    Event,
    Run,
    balanced,
    chances,
    control,
    normal,
    outcome,
    prediction,
    record,
    run,
    run_records,
    summary,
    tick,
)

USUAL, HARMED, WORSE = 0.1, 0.35, 0.6
DEPLOYED = 2_800  # the row before which the new version is deployed
OPENED, RESOLVED, ESCALATED = ("opened", "loss"), ("resolved", "loss"), ("escalated", "loss")
CONFIG = ModelConfig(retrain=RetrainConfig(cooldown="10m"))


def before(version: str | None = "1", **more: Any) -> list[Event]:
    """Wrong one time in ten, and from row 2,000 on one in three."""
    return balanced([*chances(1, 2_000, USUAL), *chances(2, DEPLOYED - 2_000, HARMED)], version=version, **more)


def deploy(version: str = "2", row: int = DEPLOYED, action: str = "deploy") -> Event:
    return control(action, f"{action}-{version}", version=version, at=row * SECOND)


def after(
    share: float, rows: int = 2_500, version: str | None = "2", first: int = DEPLOYED, **more: Any
) -> list[Event]:
    return balanced(chances(3, rows, share), first, version=version, **more)


def deployed(share: float, rows: int = 2_500) -> list[Event]:
    return [*before(), deploy(), *after(share, rows)]


def rollbacks(told: Run) -> list[Rollback]:
    return [event for event in told.events if isinstance(event, Rollback)]


def held(told: Run) -> list[str]:
    return [signal.disposition for signal in told.signals if signal.detector == "retrain_policy"]


def judged(told: Run) -> list[Alert]:
    return [alert for alert in told.alerts if "answer" in alert.evidence.detail]


def later(events: Iterable[Event], rows: int) -> list[Event]:
    """Outcomes come so many rows after their predictions."""
    late = [event | {"at": event["at"] + rows * SECOND} if event["type"] == "outcome" else event for event in events]
    return sorted(late, key=lambda event: event["at"])  # stable


# -- the answers -------------------------------------------------------------------------------------------------------


def test_a_version_that_cures_resolves_the_alarm_with_the_numbers_that_show_it() -> None:
    told = run(deployed(USUAL), CONFIG)
    assert summary(told.alerts) == [OPENED, RESOLVED]
    opened, resolved = told.alerts
    detail = resolved.evidence.detail
    assert (resolved.incident, resolved.version) == (opened.incident, "1")
    assert (detail["why"], detail["answer"], detail["new_version"]) == ("cured", "cured", "2")
    assert (detail["labels_now"], detail["labels_during"], detail["labels_before"]) == (64, 768, 1_000)
    losses = [detail[f"loss_{when}"] for when in ("before", "during", "now")]
    assert losses == pytest.approx([USUAL, HARMED, USUAL], abs=0.05)
    low, high = detail["loss_now_low"], detail["loss_now_high"]
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert low < USUAL < high
    assert resolved.ts == START + (DEPLOYED + 63) * SECOND
    assert "is cured by version 2: 7.8% in 64 labels" in resolved.summary
    assert rollbacks(told) == []


def test_errors_of_whole_blocks_are_counted_where_their_level_lies_between_two_steps() -> None:
    """Half an error a block is usual."""
    usual = [row < 64 and row % 4 == 0 for row in range(1_024)] + [row % 64 == 0 for row in range(1_024)]
    harmed = [row % 32 < 11 + row // 32 % 2 for row in range(832)]
    old = balanced([*usual, *harmed], version="1")
    told = run([*old, deploy(row=2_880), *after(USUAL, 600, first=2_880)], ModelConfig(baseline_rows=1_024))
    (resolved,) = judged(told)
    detail = resolved.evidence.detail
    assert detail["labels_during"] == 832
    assert detail["loss_during"] == sum(harmed) / len(harmed)


def test_a_loss_of_errors_falls_by_no_more_than_all_there_are() -> None:
    old = balanced([*chances(1, 1_500, USUAL), *[True] * 800], version="1")
    told = run([*old, deploy(row=2_300), *after(0.0, 600, first=2_300)], CONFIG)
    (resolved,) = judged(told)
    assert resolved.evidence.detail["loss_change"] == -1.0
    assert resolved.evidence.detail["loss_change_low"] == -1.0


def test_a_version_that_is_as_bad_escalates_and_is_asked_to_be_trained_again() -> None:
    told = run(deployed(HARMED), CONFIG)
    assert summary(told.alerts) == [OPENED, ESCALATED]
    escalated = told.alerts[-1]
    assert (escalated.evidence.detail["answer"], escalated.severity) == ("not_cured", Severity.CRITICAL)
    assert escalated.summary.endswith("train on newer data, or look by hand.")
    first, again = told.retrains
    assert (first.version, first.reason) == ("1", "concept_drift_confirmed")
    assert (again.version, again.reason, again.incidents) == ("2", "retrain_did_not_cure", [escalated.incident])
    assert again.ts > escalated.ts
    assert again.data.from_ts == first.data.from_ts
    assert 200 <= again.labels.joined <= (again.ts - START) // SECOND - DEPLOYED
    assert rollbacks(told) == []


def test_a_version_that_is_worse_escalates_and_a_rollback_is_recommended() -> None:
    told = run(deployed(WORSE), CONFIG)
    assert summary(told.alerts) == [OPENED, ESCALATED]
    escalated = told.alerts[-1]
    (recommended,) = rollbacks(told)
    assert (escalated.evidence.detail["answer"], escalated.severity) == ("worse", Severity.CRITICAL)
    assert (recommended.version, recommended.to_version, recommended.reason) == ("2", "1", "worse_than_replaced")
    assert (recommended.incidents, recommended.ts) == ([escalated.incident], escalated.ts)
    assert recommended.position == escalated.position
    evidence = recommended.evidence
    assert (evidence.n, evidence.baseline) == (128, pytest.approx(HARMED, abs=0.03))
    assert evidence.effect == pytest.approx(WORSE - HARMED, abs=0.15)
    assert (evidence.value or 0.0) > (evidence.threshold or 0.0) > 3.0
    assert len(told.retrains) == 1  # to go back comes first


def test_a_version_is_not_worse_where_the_loss_was_rare_and_is_now_as_it_was_before_it() -> None:
    rare = [row % 250 == 7 for row in range(2_000)]
    old = balanced([*rare, *chances(2, DEPLOYED - 2_000, 0.2)], version="1")
    told = run([*old, deploy(), *after(0.2, 1_500)], CONFIG)
    (answered,) = judged(told)
    assert answered.evidence.detail["answer"] == "not_cured"
    assert answered.evidence.detail["loss_during"] == pytest.approx(0.2, abs=0.03)
    assert rollbacks(told) == []
    gain = told.retrains[0].expected_gain
    assert gain is not None
    assert gain.value == pytest.approx(0.2, abs=0.03)


def test_a_rollback_names_the_threshold_of_the_look_that_showed_it() -> None:
    """There is no further one to be wrong at after the last: then fewer standard errors are certain."""
    harmed = sum(chances(2, DEPLOYED - 2_000, HARMED)) / (DEPLOYED - 2_000)
    wrong = [int((row + 1) * (harmed + 0.057)) > int(row * (harmed + 0.057)) for row in range(LOOKS[-1])]
    (back,) = rollbacks(run([*before(), deploy(), *balanced(wrong, DEPLOYED, version="2")], CONFIG))
    assert back.evidence.detail["labels_now"] == LOOKS[-1]
    assert back.evidence.threshold == CERTAIN_AT_LAST
    assert back.evidence.value is not None
    assert CERTAIN_AT_LAST < back.evidence.value < CERTAIN


def off(first: int, rows: int, by: float, version: str) -> list[Event]:
    """A regression whose predictions are off by about so much."""
    draw, events = Random(first), list[Event]()
    for row in range(first, first + rows):
        label = draw.gauss(50, 5)
        guess = label + by + draw.gauss(0, 1)
        events += [prediction(row, prediction=guess, version=version), outcome(row, label)]
    return events


@pytest.mark.parametrize("first", [1_999, 2_000])
def test_a_loss_beyond_what_is_looked_at_is_at_least_so_large_and_a_version_that_loses_as_much_is_not_worse(
    first: int,
) -> None:
    """Times are known of every sixteenth row, and one that is wrong may be the last of a block."""
    regression = ModelConfig(task="regression", retrain=RetrainConfig(cooldown="10m"))
    harmed = off(first, DEPLOYED - first, 20, "1")
    told = run([*off(0, first, 0, "1"), *harmed, deploy(), *off(DEPLOYED, 1_500, 20, "2")], regression)
    answered = next(alert for alert in judged(told) if alert.signal == "loss")
    detail = answered.evidence.detail
    assert detail["answer"] == "not_cured"
    assert detail["loss_during"] == pytest.approx(detail["loss_now"], rel=1e-9)
    assert detail["loss_during_at_least"] is detail["loss_now_at_least"] is True
    assert not {"loss_during_high", "loss_now_high", "loss_change", "loss_before_at_least"} & set(detail)
    assert "at least 8.1" in answered.summary
    assert rollbacks(told) == []
    assert told.retrains[0].expected_gain is None


def test_a_version_whose_loss_goes_beyond_what_is_looked_at_is_worse_by_so_much_at_least() -> None:
    regression = ModelConfig(task="regression", retrain=RetrainConfig(cooldown="10m"))
    events = [*off(0, 2_000, 0, "1"), *off(2_000, 800, 2, "1"), deploy(), *off(DEPLOYED, 1_500, 20, "2")]
    (back,) = rollbacks(run(events, regression))
    assert (back.evidence.detail["at_least"], back.evidence.detail["loss_now_at_least"]) == (True, True)
    assert back.evidence.effect == pytest.approx(6.0, abs=0.5)
    assert back.evidence.detail["loss_during_high"] == pytest.approx(2.1, abs=0.2)


def test_where_labels_do_not_come_the_alarm_ends_with_the_deployment() -> None:
    config = ModelConfig(label_horizon="2h")
    events = [*deployed(USUAL, 40), tick((DEPLOYED + 40) * SECOND + HOUR), tick((DEPLOYED + 40) * SECOND + 2 * HOUR)]
    assert summary(run(events[:-1], config).alerts) == [OPENED]
    resolved = run(events, config).alerts[-1]
    detail = resolved.evidence.detail
    assert (detail["why"], detail["answer"], detail["labels_now"]) == ("deployed", "not_shown", 40)
    assert "labels do not show whether it cures" in resolved.summary


def test_labels_that_had_time_count_though_none_came_after_them() -> None:
    end = (DEPLOYED + 40) * SECOND
    resolved = run([*later(deployed(USUAL, 40), 500), tick(end + 4 * HOUR)], ModelConfig(label_horizon="2h")).alerts[-1]
    assert (resolved.evidence.detail["answer"], resolved.evidence.detail["labels_now"]) == ("not_shown", 40)


def test_without_a_single_label_the_numbers_of_the_new_version_are_left_out() -> None:
    events = [*before(), deploy(), tick((DEPLOYED + 1) * SECOND + 2 * HOUR)]
    detail = run(events, ModelConfig(label_horizon="2h")).alerts[-1].evidence.detail
    assert detail["labels_now"] == 0
    assert "loss_now" not in detail
    assert "loss_change" not in detail


# -- what is compared --------------------------------------------------------------------------------------------------


def test_labels_of_the_replaced_version_that_come_late_count_and_open_nothing() -> None:
    """Of eight hundred predictions of the harmed time, five hundred have their label only after the deployment."""
    told = run(later(deployed(USUAL), 500), CONFIG)
    assert summary(told.alerts) == [OPENED, RESOLVED]
    detail = told.alerts[-1].evidence.detail
    assert detail["why"] == "cured"
    assert 700 < int(detail["labels_during"] or 0) <= 800


def test_what_was_replaced_is_not_alarmed_again_by_labels_that_come_after_the_answer() -> None:
    """One label in twelve takes an hour: as bad as they were, and of a version that is answered for."""
    old = balanced([*chances(1, 2_000, USUAL), *chances(2, DEPLOYED - 2_000, WORSE)], version="1")
    slow = [event for event in old if event["type"] == "outcome" and int(event["id"][1:]) % 12 == 0]
    events = [event for event in [*old, deploy(), *after(USUAL)] if event not in slow]
    events += [event | {"at": event["at"] + HOUR} for event in slow]
    told = run(sorted(events, key=lambda event: event["at"]), CONFIG)
    assert summary(told.alerts) == [OPENED, RESOLVED]
    assert told.alerts[-1].ts < START + HOUR + 2_000 * SECOND


def test_labels_that_come_first_are_not_taken_for_all() -> None:
    """What was wrong is known at once, what was right after some time: at first all of the new version is wrong."""
    events = [*deployed(USUAL)]
    said = {event["id"]: event["prediction"] for event in events if event["type"] == "prediction"}
    late = [
        event | {"at": event["at"] + 300 * SECOND}
        if event["type"] == "outcome" and event["label"] == said[event["id"]]
        else event
        for event in events
    ]
    told = run(sorted(late, key=lambda event: event["at"]), CONFIG)
    (resolved,) = judged(told)
    assert resolved.evidence.detail["why"] == "cured"
    assert resolved.evidence.detail["loss_now"] == pytest.approx(USUAL, abs=0.07)
    assert resolved.ts > START + (DEPLOYED + 300) * SECOND


@pytest.mark.parametrize("version", [None, "1"])
def test_versions_need_no_names_and_may_keep_theirs(version: str | None) -> None:
    """Without names a deployment divides them; and a model that is trained again may be deployed as what it was."""
    again = "2" if version is None else version
    told = run([*before(version), deploy(again), *after(USUAL, version=version)], CONFIG)
    assert summary(told.alerts) == [OPENED, RESOLVED]
    assert told.alerts[-1].evidence.detail["why"] == "cured"


def test_a_version_deployed_as_what_it_was_may_go_wrong_beside_what_it_has_not_cured() -> None:
    """Both alarms have one name, and are one incident: it is over when both are, whichever ends first."""
    config = ModelConfig(baseline_rows=200, metrics_window="1m", label_horizon="1h")
    events = balanced([*chances(1, 600, 0.05), *chances(2, 400, 0.4)], version="1")
    events += [deploy("1", 1_000), *balanced([*chances(13, 900, 0.4), *chances(4, 600, 0.95)], 1_001, version="1")]
    events.append(control("baseline", "last", at=2_600 * SECOND))
    told = run(events, config)
    assert run(events, config, (61, 7), restoring=True) == told
    assert [each.signal for each in told.signals if each.disposition == "grouped"] == ["loss"]
    assert summary(told.alerts) == [OPENED, ESCALATED, RESOLVED]
    assert len({alert.incident for alert in told.alerts}) == 1


def test_a_version_that_ran_before_it_was_deployed_is_judged_from_then_on() -> None:
    """Half of the traffic was its own already, and went wrong."""
    canary = balanced(chances(7, 1_000, WORSE), version="2")
    canary = [event | {"id": f"c{event['id']}", "at": event["at"] + 1_700 * SECOND} for event in canary]
    events = sorted([*before(), *canary], key=lambda event: event["at"])
    told = run([*events, deploy(), *after(USUAL)], CONFIG)
    assert told.alerts[-1].evidence.detail["why"] == "cured"


def in_countries(events: list[Event], hard: float, draw: Random) -> list[Event]:
    """Predictions of two countries, of which one is as often as said."""
    countries = {event["id"]: "hard" if draw.random() < hard else "easy" for event in events}
    return [
        event | {"segments": {"country": countries[event["id"]]}} if event["type"] == "prediction" else event
        for event in events
    ]


def of_mix(draw: Random, first: int, rows: int, hard: float, shares: tuple[float, float], version: str) -> list[Event]:
    """Wrong as often as these shares say of the easy and the hard country."""
    events: list[Event] = []
    for number in range(first, first + rows):
        country = draw.random() < hard
        said, wrong = draw.random() < 0.5, draw.random() < shares[country]
        segments = {"country": "hard" if country else "easy"}
        events += [
            prediction(number, prediction=float(said), version=version, segments=segments),
            outcome(number, float(said is not wrong)),
        ]
    return events


def test_traffic_that_has_become_harder_is_not_held_against_a_version_that_cures() -> None:
    draw = Random(5)
    events = of_mix(draw, 0, 2_000, 0.3, (0.05, 0.3), "1") + of_mix(draw, 2_000, 800, 0.3, (0.3, 0.6), "1")
    events += [deploy(), *of_mix(draw, DEPLOYED, 2_500, 0.9, (0.05, 0.3), "2")]
    by_country = ModelConfig(segments=("country",), baseline_rows=500, false_pages_per_month=0.001)
    together = ModelConfig(baseline_rows=500, false_pages_per_month=0.001)
    cured, seen = whole(run(events, by_country)), whole(run(events, together))
    assert cured[-1].evidence.detail["why"] == "cured"
    assert cured[-1].evidence.detail["compared"] == "by country"
    assert seen[-1].evidence.detail["answer"] != "cured"


@pytest.mark.parametrize("at_first", [0.0, 0.5])
def test_what_has_become_usual_is_known_of_each_country_though_their_baselines_are_of_other_times(
    at_first: float,
) -> None:
    """The whole has learned while it was very wrong, one country before and one after it got better."""
    draw = Random(5)
    events = of_mix(draw, 0, 120, at_first, (0.6, 0.6), "1") + of_mix(draw, 120, 1_880, 0.3, (0.05, 0.3), "1")
    events += of_mix(draw, 2_000, 800, 0.3, (0.35, 0.65), "1")
    events += [deploy(), *of_mix(draw, DEPLOYED, 2_500, 0.9, (0.05, 0.3), "2")]
    told = whole(run(events, ModelConfig(segments=("country",), baseline_rows=100, false_pages_per_month=0.001)))
    detail = told[-1].evidence.detail
    assert (detail["why"], detail["compared"]) == ("cured", "by country")
    assert detail["loss_before"] == pytest.approx(0.9 * 0.3 + 0.1 * 0.05, abs=0.06)


def whole(told: Run) -> list[Alert]:
    return [alert for alert in told.alerts if alert.segment is None and alert.version == "1"]


def test_an_alarm_of_a_segment_is_judged_by_that_segment() -> None:
    """One country is cured, the other never was harmed."""
    draw = Random(6)
    events = of_mix(draw, 0, 3_000, 0.5, (0.1, 0.1), "1") + of_mix(draw, 3_000, 1_000, 0.5, (0.1, 0.5), "1")
    events += [deploy(row=4_000), *of_mix(draw, 4_000, 1_500, 0.5, (0.1, 0.1), "2")]
    told = run(events, ModelConfig(segments=("country",), baseline_rows=500))
    of_segment = [alert for alert in told.alerts if alert.segment == "country=hard"]
    assert summary(of_segment) == [OPENED, RESOLVED]
    assert of_segment[-1].evidence.detail["why"] == "cured"
    assert of_segment[-1].evidence.detail["labels_now"] == 64
    assert of_segment[-1].ts > START + (4_000 + 100) * SECOND  # every other label is of that country


def shadowed(noise: float) -> list[Event]:
    """A regression whose replaced version answers on as a challenger: both are wrong about the same predictions."""
    draw = Random(8)
    events: list[Event] = []
    for number in range(4_500):
        hard = draw.expovariate(1.0) * (1.0 if number < 2_000 else 3.0)
        sign = draw.choice((-1, 1))
        if number == DEPLOYED:
            events.append(deploy())
        if number < DEPLOYED:
            events.append(prediction(number, prediction=hard * sign, version="1"))
        else:
            worse = hard + draw.gauss(noise, 0.1)
            events.append(prediction(number, prediction=hard * sign, version="1", role="challenger"))
            events.append(prediction(number, prediction=worse * sign, version="2"))
        events.append(outcome(number, 0.0))
    return events


def test_a_version_that_goes_on_as_a_challenger_is_compared_prediction_by_prediction() -> None:
    config = ModelConfig(task="regression", detectors=("shiryaev_roberts",))
    told = run(shadowed(0.6), config)
    (escalated,) = judged(told)
    detail = escalated.evidence.detail
    assert (detail["answer"], detail["compared"]) == ("worse", "same predictions")
    assert detail["labels_now"] == 64
    assert detail["loss_change"] == pytest.approx(0.6, abs=0.1)
    alone = [event for event in shadowed(0.6) if event.get("role") != "challenger"]
    (unpaired,) = judged(run(alone, config))
    assert int(unpaired.evidence.detail["labels_now"] or 0) > 64


def test_more_segments_than_are_kept_for_late_labels_do_not_end_a_trial() -> None:
    """Without versions, a deployment retires all monitors; those that wait for an answer stay."""
    many = ModelConfig(segments=("shop",), segment_values_max=300)
    events = [
        event | {"segments": {"shop": f"s{event['at'] // SECOND % 210}"}} if event["type"] == "prediction" else event
        for event in before(None)
    ]
    told = run([*events, deploy(), *after(USUAL, 200, None)], many)
    assert summary(told.alerts) == [OPENED, RESOLVED]
    assert told.alerts[-1].evidence.detail["why"] == "cured"


# -- what ends a trial -------------------------------------------------------------------------------------------------


def test_other_alarms_end_with_the_deployment_as_ever() -> None:
    drifted = [*normal(5, 2_000), *normal(6, 800, 3.0)]
    events = [
        event | {"features": {"age": drifted[event["at"] // SECOND]}} if event["type"] == "prediction" else event
        for event in before()
    ]
    told = run([*events, deploy(), *after(USUAL, 60)], CONFIG)
    ended = [signal for signal in told.signals if signal.disposition == "over"]
    assert [(signal.signal, signal.evidence.detail["why"]) for signal in ended] == [("feature:age", "deployed")]
    assert AlertEvent.RESOLVED not in {alert.event for alert in told.alerts}  # the loss is on, and part of it


@pytest.mark.parametrize(("action", "why"), [("rollback", "rolled_back"), ("baseline", "new_baseline")])
def test_who_goes_back_or_sets_a_baseline_ends_the_trial(action: str, why: str) -> None:
    events = [*deployed(WORSE, 30), deploy("1", DEPLOYED + 30, action), *after(WORSE, 500, "2", DEPLOYED + 30)]
    told = run(events, CONFIG)
    assert summary(told.alerts) == [OPENED, RESOLVED]
    assert told.alerts[-1].evidence.detail["why"] == why
    assert rollbacks(told) == []


def test_who_resolves_by_hand_ends_the_trial() -> None:
    incident = run(before(), CONFIG).alerts[0].incident
    word = control("resolve", "r", incident=incident, at=(DEPLOYED + 30) * SECOND)
    told = run([*deployed(WORSE, 30), word, *after(WORSE, 500, "2", DEPLOYED + 30)], CONFIG)
    assert told.alerts[1].evidence.detail["why"] == "resolved_by_hand"
    assert rollbacks(told) == []


def test_a_further_deployment_is_judged_anew_against_what_was_harmed_first() -> None:
    row = DEPLOYED + 600
    told = run([*deployed(HARMED, 600), deploy("3", row), *after(USUAL, 600, "3", row)], CONFIG)
    assert summary(told.alerts) == [OPENED, ESCALATED, RESOLVED]
    detail = told.alerts[-1].evidence.detail
    assert (detail["why"], detail["new_version"]) == ("cured", "3")
    assert detail["loss_during"] == pytest.approx(HARMED, abs=0.03)


def scored(events: list[Event]) -> list[Event]:
    """With how sure the model is, which is always the same: the log loss shows what the error shows."""
    sure = {"score": 0.9}, {"score": 0.1}
    return [event | sure[not event["prediction"]] if "prediction" in event else event for event in events]


def test_what_two_signals_showed_ends_once_with_the_numbers_of_the_last() -> None:
    told = run(scored(deployed(USUAL)), ModelConfig(task="binary", positive=1))
    (resolved,) = judged(told)
    assert (resolved.event, resolved.evidence.detail["why"]) == (AlertEvent.RESOLVED, "cured")
    assert "is cured by version 2: " in resolved.summary
    assert resolved.summary.endswith(" usually; with 1 further signal.")
    ended = [signal for signal in told.signals if signal.disposition == "over"]
    assert {"loss", "log_loss"} == {signal.signal for signal in ended} | {resolved.summary.split()[1]}


def test_a_rollback_is_recommended_once_for_a_deployment() -> None:
    """Both the error and the log loss say that it is worse."""
    told = run(scored(deployed(WORSE)), ModelConfig(task="binary", positive=1))
    (escalated,), (recommended,) = judged(told), rollbacks(told)
    assert (escalated.evidence.detail["answer"], recommended.incidents) == ("worse", [escalated.incident])
    beside = [signal for signal in told.signals if signal.evidence.detail.get("answer") == "worse"]
    assert {escalated.signal, *(signal.signal for signal in beside)} == {"loss", "log_loss"}


def after_a_precaution(share: float, asked: bool = True) -> Run:
    """A feature drifts and asks for a retrain, and the loss is as ever until the deployment."""
    ages = [*normal(5, 2_000), *normal(6, 4_000, 3.0)]
    calm = balanced(chances(1, DEPLOYED, USUAL), version="1")
    events = [
        event | {"features": {"age": ages[event["at"] // SECOND]}} if event["type"] == "prediction" else event
        for event in [*calm, deploy(), *after(share, 900)]
    ]
    return run(events, ModelConfig(retrain=RetrainConfig(feature_drift_lasts="1m" if asked else "9h")))


def test_after_a_retrain_without_harm_a_version_that_is_worse_is_told_as_well() -> None:
    told = after_a_precaution(HARMED)
    assert [asked.reason for asked in told.retrains] == ["drift_lasts"]
    (recommended,) = rollbacks(told)
    assert (recommended.version, recommended.to_version, recommended.incidents) == ("2", "1", [])
    assert recommended.evidence.effect == pytest.approx(HARMED - USUAL, abs=0.15)


def test_a_rollback_is_recommended_once_also_where_a_segment_alone_was_harmed() -> None:
    """A retrain for a drifting feature, while one country goes wrong and the other better; then both are bad."""
    draw, ages = Random(5), [*normal(5, 2_000), *normal(6, 1_400, 3.0)]
    events: list[Event] = []
    for shares, rows, version in (((0.1, 0.1), 1_500, "1"), ((0.04, 0.35), 1_300, "1"), ((0.6, 0.95), 600, "2")):
        events += of_mix(draw, len(events) // 2, rows, 0.2, shares, version)
    for event in events[::2]:
        event["features"] = {"age": ages[event["at"] // SECOND]}
    retrain = RetrainConfig(feature_drift_lasts="1m", min_labels=20)
    config = ModelConfig(segments=("country",), baseline_rows=60, retrain=retrain)
    told = run([*events[: 2 * DEPLOYED], deploy(), *events[2 * DEPLOYED :]], config)
    assert [asked.reason for asked in told.retrains] == ["drift_lasts"]
    assert [alert.segment for alert in judged(told)] == ["country=hard"]
    assert [recommended.version for recommended in rollbacks(told)] == ["2"]


def test_after_a_retrain_without_harm_there_is_nothing_to_cure_and_nothing_is_told() -> None:
    told = after_a_precaution(USUAL)
    assert (judged(told), rollbacks(told)) == ([], [])


def test_a_deployment_that_nobody_asked_for_is_not_on_trial() -> None:
    assert rollbacks(after_a_precaution(HARMED, asked=False)) == []


# -- retrains in vain --------------------------------------------------------------------------------------------------


def in_vain(times: int, *words: Event, last: float = HARMED) -> list[Event]:
    """One deployment after the other, each after a retrain, none of which helps; words come before the last of them."""
    events, row = before(), DEPLOYED
    for turn in range(times):
        version = str(turn + 2)
        if turn == times - 1:
            events += [word | {"at": row * SECOND} for word in words]
        events += [deploy(version, row), *after(last if turn == times - 1 else HARMED, 1_500, version, row)]
        row += 1_500
    return events


VAIN = ModelConfig(retrain=RetrainConfig(cooldown="10m", give_up_after=2))


def test_after_so_many_retrains_in_vain_no_further_one_is_asked_for_and_that_is_said_once() -> None:
    told = run(in_vain(4), VAIN)
    assert [asked.reason for asked in told.retrains] == ["concept_drift_confirmed", "retrain_did_not_cure"]
    assert held(told).count("circuit_open") == 1
    (said,) = [signal for signal in told.signals if signal.disposition == "circuit_open"]
    assert said.kind is Kind.SYSTEM
    assert str(said.evidence.detail["why"]).startswith("2 retrains one after the other did not cure")


def test_without_a_limit_it_goes_on_asking() -> None:
    patient = ModelConfig(retrain=RetrainConfig(cooldown="10m", give_up_after=0))
    assert len(run(in_vain(4), patient).retrains) == 5


def test_a_verdict_lets_it_ask_again() -> None:
    word = control("verdict", "v", incident="any", verdict="true_alarm")
    assert len(run(in_vain(4, word), VAIN).retrains) == 3


def test_a_cure_lets_it_ask_again_when_the_next_harm_comes() -> None:
    events = in_vain(3, last=USUAL)
    row = DEPLOYED + 4_500
    events += after(HARMED, 800, "4", row)
    told = run(events, VAIN)
    assert [asked.reason for asked in told.retrains] == [
        "concept_drift_confirmed",
        "retrain_did_not_cure",
        "concept_drift_confirmed",
    ]


def test_no_retrain_is_asked_for_what_a_version_is_on_trial_for() -> None:
    """Labels enough for it come only when the version is deployed."""
    config = ModelConfig(retrain=RetrainConfig(min_labels=500))
    told = run(later(deployed(USUAL, 900), 500), config)
    assert summary(told.alerts) == [OPENED, RESOLVED]
    assert (told.retrains, held(told)) == ([], ["too_few_labels"])


def test_what_holds_a_retrain_back_is_told_once_for_each_reason() -> None:
    impatient = ModelConfig(retrain=RetrainConfig(cooldown="24h"))
    assert held(run(deployed(HARMED), impatient)) == ["too_few_labels", "cooldown"]


def test_a_budget_holds_for_all_versions_together() -> None:
    spent = ModelConfig(retrain=RetrainConfig(cooldown="0s", per_month=1))
    told = run(deployed(HARMED), spent)
    assert (len(told.retrains), held(told)[-1]) == (1, "budget_spent")


def test_a_retrain_waits_for_its_share_of_labels() -> None:
    """Only every fourth label comes."""
    seldom = [event for event in before() if event["type"] == "prediction" or int(event["id"][1:]) % 4 == 0]
    impatient, patient = (
        ModelConfig(baseline_rows=300, retrain=RetrainConfig(min_labels=50, labels_share=share)) for share in (0.2, 0.9)
    )
    assert len(run(seldom, impatient).retrains) == 1
    waits = run(seldom, patient)
    assert (waits.retrains, held(waits)[-1]) == ([], "immature_labels")
    (asked,) = run([*seldom, tick(DEPLOYED * SECOND + 25 * HOUR)], patient).retrains
    assert asked.ts == START + DEPLOYED * SECOND + 25 * HOUR


def test_a_retrain_says_what_it_is_to_cure_and_what_that_is_worth() -> None:
    told = run(before(), CONFIG)
    (asked,), (alert,) = told.retrains, told.alerts
    assert (asked.incidents, asked.window) == ([alert.incident], "since_change")
    gain = asked.expected_gain
    assert gain is not None
    assert gain.low < HARMED - USUAL < gain.high
    assert gain.low < gain.value < gain.high


def test_data_of_an_alarm_that_dates_no_change_begin_when_it_opened() -> None:
    """What is not as was given from the first row on has not changed."""
    rows = [prediction(row, {"x": value}, at=row * 30 * SECOND) for row, value in enumerate(normal(3, 2_000, 1.0))]
    labels = [outcome(row, at=row * 30 * SECOND) for row in range(2_000)]
    events = [event for pair in zip(rows, labels, strict=True) for event in pair]
    lying = [record(event, 1_000_000 + number) for number, event in enumerate(events)]
    told = run_records(lying, ModelConfig(features={"x": FeatureConfig(mean=0.0, sd=1.0)}))
    (opened,), (asked,) = told.opened, told.retrains
    assert opened.evidence.change_point is None
    assert asked.data.from_offset == 1_000_000 + 2 * (asked.data.from_ts - START) // (30 * SECOND)
    assert 0 <= asked.data.from_ts - opened.ts < STRIDE * 30 * SECOND


def test_what_came_little_by_little_is_to_be_trained_on_its_newest_rows() -> None:
    draw = Random(4)
    errors = [draw.random() < 0.1 + max(0, row - 2_000) * 0.4 / 2_000 for row in range(4_500)]
    config = ModelConfig(retrain=RetrainConfig(labels_share=1.0, labels_wait="15m"))
    told = run(later(balanced(errors, version="1"), 100), config)
    (asked,), change = told.retrains, told.alerts[0].evidence.change_point
    assert change is not None
    assert asked.window == "recent"
    labelled = asked.data.to_ts - 100 * SECOND  # and a second apart
    assert asked.labels.joined == pytest.approx((labelled - asked.data.from_ts) / SECOND, abs=2)
    assert labelled - asked.data.from_ts == pytest.approx((labelled - change.ts) / 2, abs=60 * SECOND)
    assert asked.data.from_ts > change.ts + 300 * SECOND
    assert asked.data.topic == "driftline.predictions"


# -- however it is run -------------------------------------------------------------------------------------------------

STREAMS = {
    "cured": deployed(USUAL, 300),
    "not cured": deployed(HARMED, 900),
    "worse": deployed(WORSE, 300),
    "late": later(deployed(USUAL, 900), 500),
    "in vain": in_vain(2),
    "in pairs": shadowed(0.6)[: 2 * DEPLOYED + 1_500],
    "by country": [
        *in_countries(before(), 0.3, Random(1)),
        deploy(),
        *in_countries(after(USUAL, 400), 0.8, Random(2)),
    ],
}


def test_what_comes_before_an_answer_in_its_batch_does_not_know_it() -> None:
    """The new version has a drift of its own and asks for a retrain; some rows later it is one too many in vain."""
    impatient = RetrainConfig(cooldown="0s", min_labels=20, feature_drift_lasts="10s", give_up_after=1)
    config = ModelConfig(baseline_rows=100, metrics_window="1d", retrain=impatient)
    ages = [*normal(5, DEPLOYED + 150), *normal(6, 500, 3.0)]
    events = [
        event | {"features": {"age": ages[event["at"] // SECOND]}} if event["type"] == "prediction" else event
        for event in [*before(), deploy(), *after(HARMED, 500)]
    ]
    whole = run(events, config, (len(events),))
    (escalated,) = judged(whole)
    assert [asked.reason for asked in whole.retrains] == ["concept_drift_confirmed", "drift_lasts"]
    assert whole.retrains[1].ts < escalated.ts
    assert run(events, config, (1,)) == whole


@pytest.mark.parametrize("name", STREAMS)
def test_however_it_is_cut_and_restored_the_same_is_said(name: str) -> None:
    events, config = STREAMS[name], ModelConfig(segments=("country",), retrain=RetrainConfig(cooldown="10m"))
    whole = run(events, config, (len(events),))
    assert {alert.evidence.detail.get("answer") for alert in whole.alerts} > {None}
    assert run(events, config, (1,)) == whole
    assert run(events, config, (97, 3, 350), restoring=True) == whole
