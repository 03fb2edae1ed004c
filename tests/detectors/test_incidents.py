"""What people are told of alarms: what belongs together, how loud it is, and what their answers change."""

from random import Random

import msgspec
import pytest

from detectors.config import IncidentConfig, ModelConfig
from schemas.events import AlertEvent, Kind, Severity
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
    of_feature,
    outcome,
    prediction,
    run,
    summary,
    tick,
)

WARM = ModelConfig(baseline_rows=200, metrics_window="1m")
CHANGE, ROWS = 400, 700


def several(features: int, change: int = CHANGE, rows: int = ROWS, first: int | None = None) -> list[Event]:
    """Features that all change at one row; the first one at another where it is said."""
    columns = [
        [*normal(number, at := change if number or first is None else first), *normal(100 + number, rows - at, 3.0)]
        for number in range(features)
    ]
    return [
        prediction(row, {f"f{number}": column[row] for number, column in enumerate(columns)}) for row in range(rows)
    ]


def told(events: list[Event], config: ModelConfig = WARM) -> Run:
    """However it is cut, and with a new engine for each batch."""
    whole = run(events, config)
    assert run(events, config, (61, 7), restoring=True) == whole
    return whole


def timed(*events: Event) -> list[Event]:
    return sorted(events, key=lambda event: event["at"])


# -- what belongs together ---------------------------------------------------------------------------------------------


def test_what_changes_at_one_moment_is_one_incident_and_no_signal_is_hidden() -> None:
    found = told(several(20))
    (opened,) = found.opened
    assert {alert.incident for alert in found.alerts} == {opened.incident}
    single = {one.signal for one in found.began if one.signal != "features together"}
    assert single == {f"feature:f{number}" for number in range(20)}
    joined = [signal for signal in found.signals if signal.disposition == "grouped"]
    assert {signal.evidence.detail["incident"] for signal in joined} == {opened.incident}


def test_of_many_signals_people_are_told_at_two_and_four_and_eight() -> None:
    found = told(several(20))
    first = found.alerts[0].signal
    joins = [alert for alert in found.alerts if "signals" in alert.evidence.detail and alert.signal != first]
    assert [alert.evidence.detail["signals"] for alert in joins][:3] == [2, 4, 8]
    assert joins[-1].evidence.detail["signal_1"] == first
    assert len(found.alerts) < 12


def test_changes_that_lie_apart_are_incidents_of_their_own() -> None:
    found = told(several(2, change=600, rows=800, first=300))
    assert [alert.signal for alert in found.opened] == ["feature:f0", "feature:f1"]
    assert len({alert.incident for alert in found.opened}) == 2


def test_the_harm_that_follows_from_an_input_escalates_its_incident() -> None:
    ages = [*normal(1, 800), *normal(2, 1_200, 0.45)]
    answers = balanced([*chances(3, 1_500, 0.05), *chances(4, 500, 0.5)])
    events = [
        event | ({"features": {"age": ages[row // 2]}} if event["type"] == "prediction" else {})
        for row, event in enumerate(answers)
    ]
    found = told(events, ModelConfig(baseline_rows=600))
    opened, *_ = found.opened
    assert (opened.signal, opened.severity) == ("feature:age", Severity.WARNING)
    (escalated,) = [alert for alert in found.alerts if alert.event is AlertEvent.ESCALATED]
    assert (escalated.incident, escalated.kind, escalated.severity) == (
        opened.incident,
        Kind.CONCEPT_DRIFT,
        Severity.CRITICAL,
    )
    assert escalated.evidence.detail["severity_because"] == "labels show harm"


def test_an_incident_is_over_when_nothing_of_it_is_on() -> None:
    rows = [*normal(1, 400), *normal(2, 300, 3.0), *normal(3, 2_000)]
    other = [*normal(4, 400), *normal(5, 900, 3.0), *normal(6, 1_400)]
    events = [prediction(row, {"a": a, "b": b}) for row, (a, b) in enumerate(zip(rows, other, strict=True))]
    found = told(events)
    (resolved,) = [alert for alert in found.alerts if alert.event is AlertEvent.RESOLVED]
    over = {signal.signal: signal.ts for signal in found.signals if signal.disposition == "over"}
    assert over["feature:a"] < resolved.ts
    assert resolved.evidence.detail["why"] == "recovered"
    assert "further signal" in resolved.summary


def test_changes_that_follow_one_another_do_not_lead_from_the_first_to_the_last() -> None:
    """Twelve features, each 20 minutes after the one before, and none of them dated closer than to 20 minutes."""
    gap, rows = 20, 400
    features = [[*normal(n, 300 + gap * n), *normal(50 + n, rows - gap * n + 200, 1.2)] for n in range(12)]
    events = [
        prediction(row, {f"f{n}": column[row] for n, column in enumerate(features)}, at=row * 60 * SECOND)
        for row in range(rows + 100)
    ]
    found = told(events, msgspec.structs.replace(WARM, metrics_window="1h"))
    assert len({alert.incident for alert in found.opened}) > 2


# -- what comes back ---------------------------------------------------------------------------------------------------


def flapping(turns: int, on: int = 300, off: int = 1_400) -> list[Event]:
    values = normal(1, 400)
    for turn in range(turns):
        values += [*normal(10 + turn, on, 3.0), *normal(60 + turn, off)]
    return of_feature("x", values)


def test_what_comes_and_goes_is_one_incident_which_must_stay_away_before_it_is_over() -> None:
    config = msgspec.structs.replace(WARM, incidents=IncidentConfig(reopen_within="2h"))
    found = told([*flapping(6), tick(20 * HOUR)], config)
    assert summary(found.alerts) == [
        ("opened", "feature:x"),
        ("resolved", "feature:x"),
        ("reopened", "feature:x"),
        ("resolved", "feature:x"),
    ]
    assert len({alert.incident for alert in found.alerts}) == 1
    again, last = found.alerts[2:]
    assert again.evidence.detail["reopened"] == 1
    assert "it is back" in again.summary
    assert last.ts == START + 20 * HOUR


def test_what_comes_back_later_is_another_incident() -> None:
    config = msgspec.structs.replace(WARM, incidents=IncidentConfig(reopen_within="1m"))
    assert [str(alert.event) for alert in told(flapping(2), config).alerts[:3]] == ["opened", "resolved", "opened"]


def test_what_does_not_last_is_told_to_nobody() -> None:
    config = msgspec.structs.replace(WARM, incidents=IncidentConfig(lasts="1h"))
    found = told([*flapping(1), tick(2 * HOUR)], config)
    assert found.alerts == []
    assert [s.disposition for s in found.signals if s.disposition in ("waiting", "passed")] == ["waiting", "passed"]


def test_what_lasts_is_told_then_with_all_that_has_joined_it() -> None:
    config = msgspec.structs.replace(WARM, incidents=IncidentConfig(lasts="30m"))
    found = told([*several(3), tick(HOUR)], config)
    (opened,) = found.alerts
    assert opened.ts == START + HOUR
    assert opened.evidence.detail["signals"] == len(found.began) + 1 - 1
    assert "minutes now since" in opened.summary


# -- how loud ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "severity", "because"),
    [
        (ModelConfig(), Severity.WARNING, "kind and size of the change"),
        (ModelConfig(severity={"feature_drift": "critical"}), Severity.CRITICAL, "configured for feature_drift"),
        (ModelConfig(severity={"silence": "critical"}), Severity.WARNING, "kind and size of the change"),
        (
            ModelConfig(importance="high"),
            Severity.CRITICAL,
            "kind and size of the change; the model's importance is high",
        ),
        (ModelConfig(importance="low"), Severity.INFO, "kind and size of the change; the model's importance is low"),
    ],
)
def test_severity_follows_the_configuration_and_says_why(config: ModelConfig, severity: Severity, because: str) -> None:
    config = msgspec.structs.replace(config, baseline_rows=200)
    (alert, *_) = run(of_feature("x", [*normal(1, 400), *normal(2, 100, 3.0)]), config).alerts
    assert (alert.severity, alert.evidence.detail["severity_because"]) == (severity, because)


# -- what people say ---------------------------------------------------------------------------------------------------


DRIFT = of_feature("x", [*normal(1, 400), *normal(2, 600, 3.0)])


def answered(*words: Event) -> Run:
    (opened, *_) = run(DRIFT, WARM).alerts
    return told(timed(*DRIFT, *(word | {"incident": opened.incident} for word in words)))


def test_a_mute_of_an_incident_has_an_end_and_a_reason() -> None:
    word = control("mute", "m", at=500 * SECOND, until=START + 800 * SECOND, reason="a backfill is running")
    found = answered(word)
    _, muted, unmuted = found.alerts
    assert (muted.event, unmuted.event) == (AlertEvent.MUTED, AlertEvent.UNMUTED)
    assert muted.evidence.detail["until"] == START + 800 * SECOND
    assert muted.evidence.detail["reason"] == "a backfill is running"
    assert muted.summary == "churn: feature:x is muted until 2026-01-01 00:13 UTC: a backfill is running."
    assert START + 800 * SECOND <= unmuted.ts < START + 900 * SECOND


def test_an_unmute_ends_it_before() -> None:
    words = control("mute", "m", at=500 * SECOND), control("unmute", "u", at=600 * SECOND)
    assert [(str(alert.event), alert.ts - START) for alert in answered(*words).alerts[1:]] == [
        ("muted", 500 * SECOND),
        ("unmuted", 600 * SECOND),
    ]


def test_a_false_alarm_is_retracted_and_makes_the_model_stricter() -> None:
    found = answered(control("verdict", "v", at=500 * SECOND, verdict="false_alarm"))
    retracted = found.alerts[1]
    assert (retracted.event, retracted.evidence.detail["why"]) == (AlertEvent.RETRACTED, "false_alarm")
    (moved,) = [signal for signal in found.signals if signal.detector == "verdict"]
    assert (moved.kind, moved.disposition, moved.evidence.value) == (Kind.SYSTEM, "thresholds_moved", 2.0)


def of_drift(found: Run) -> list[float]:
    """The thresholds of what was found by the detector that keeps to the budget."""
    return [
        signal.evidence.threshold or 0.0
        for signal in found.signals
        if signal.detector == "shiryaev_roberts" and signal.disposition != "grouped"
    ]


def test_thresholds_follow_verdicts_within_bounds() -> None:
    """Each false alarm doubles the time between two that are allowed, each true one halves it again."""
    (opened, *_) = run(DRIFT, WARM).alerts
    config = msgspec.structs.replace(WARM, incidents=IncidentConfig(reopen_within="30d"))
    words = [
        control("verdict", f"v{number}", incident=opened.incident, verdict=verdict, at=(500 + number) * SECOND)
        for number, verdict in enumerate(["false_alarm", "true_alarm", "true_alarm", "false_alarm", "false_alarm"])
    ]
    found = told(timed(*DRIFT[:501], *words), config)
    moved = [signal.evidence.value for signal in found.signals if signal.detector == "verdict"]
    assert moved == [2.0, 1.0, 2.0]
    once = told(timed(*DRIFT, words[0]), config)
    assert of_drift(once)[-1] == pytest.approx(2 * of_drift(once)[0])
    origins = {signal.evidence.threshold_origin for signal in once.signals if signal.detector == "shiryaev_roberts"}
    assert any(origin.endswith("2 times as strict after verdicts") for origin in origins)


def test_a_verdict_may_come_when_it_is_over() -> None:
    events = of_feature("x", [*normal(1, 400), *normal(2, 300, 3.0), *normal(3, 1_500)])
    opened, resolved = run(events, WARM).alerts
    late = control(
        "verdict", "v", incident=opened.incident, verdict="false_alarm", at=resolved.ts - START + 60 * SECOND
    )
    assert [str(alert.event) for alert in told(timed(*events, late)).alerts] == ["opened", "resolved", "retracted"]


def test_an_incident_that_nobody_was_told_of_takes_no_answer() -> None:
    config = msgspec.structs.replace(WARM, incidents=IncidentConfig(lasts="1h"))
    waiting = run(DRIFT, config)
    (name,) = {s.evidence.detail["incident"] for s in waiting.signals if s.disposition == "waiting"}
    found = told(timed(*DRIFT, control("acknowledge", "a", incident=name, at=900 * SECOND)), config)
    assert [signal.disposition for signal in found.signals if signal.kind is Kind.SYSTEM] == ["unknown"]


# -- labels that were wrong --------------------------------------------------------------------------------------------


def mislabelled(corrected: float) -> list[Event]:
    """Right 19 times in 20; then labels say otherwise for a while, and so large a part of those is corrected later."""
    right = balanced(chances(1, 800, 0.05))
    wrong = balanced(chances(2, 120, 0.6), first=800)
    events = [*right, *wrong]
    for number, event in enumerate(wrong[1::2]):
        if number % 10 < 10 * corrected:
            said = wrong[2 * number]["prediction"]
            events.append(event | {"label": said, "revision": 1, "at": (960 + number) * SECOND})
    return [*events, tick(1_200 * SECOND)]


def test_corrected_labels_amend_the_numbers_of_an_open_incident() -> None:
    found = told(mislabelled(0.4), ModelConfig(baseline_rows=400, metrics_window="1m"))
    amended = [alert for alert in found.alerts if alert.event is AlertEvent.AMENDED]
    assert amended
    before, after = found.opened[0].evidence, amended[-1].evidence
    assert after.effect is not None
    assert before.effect is not None
    assert 0.015 < after.effect < before.effect - 0.03
    assert "corrected labels, loss rose from" in amended[-1].summary


def test_what_corrected_labels_show_to_be_nothing_is_retracted() -> None:
    found = told(mislabelled(1.0), ModelConfig(baseline_rows=400, metrics_window="1m"))
    last = found.alerts[-1]
    assert (last.event, last.evidence.detail["why"]) == (AlertEvent.RETRACTED, "labels_corrected")


def test_corrected_labels_that_weigh_nothing_amend_nothing() -> None:
    """Detectors never saw them, so there is nothing of them in what the alarm rests on."""
    asked = [prediction(f"n{row}", prediction=float(row % 2), at=row * SECOND) for row in range(800, 920)]
    wrong = [outcome(f"n{row}", float(1 - row % 2), weight=0.0, at=row * SECOND) for row in range(800, 920)]
    right = [
        outcome(f"n{row}", float(row % 2), weight=0.0, revision=1, at=(row + 160) * SECOND) for row in range(800, 920)
    ]
    events = timed(*mislabelled(0.0), *asked, *wrong, *right)
    found = told(events, ModelConfig(baseline_rows=400, metrics_window="1m"))
    assert any(window.values["corrected"] for window in found.metrics if window.revision)
    assert "loss" in {one.signal for one in found.began}
    assert found.opened
    assert {AlertEvent.AMENDED, AlertEvent.RETRACTED}.isdisjoint(alert.event for alert in found.alerts)


def out_of_order() -> tuple[list[Event], list[Event]]:
    """Labels take up to half an hour. What they say more of what is wrong from a time on is corrected in the end."""
    draw, events, corrected = Random(4), list[Event](), list[Event]()
    for number in range(3_000):
        said, wrong = float(draw.random() < 0.5), draw.random() < (0.1 if number < 2_000 else 0.4)
        label = outcome(number, 1.0 - said if wrong else said, at=(number + draw.randrange(1_800)) * SECOND)
        events += [prediction(number, prediction=said), label]
        if wrong and number >= 2_000:
            corrected.append(label)
    again = [label | {"label": 1.0 - label["label"], "revision": 1, "at": 4_900 * SECOND} for label in corrected]
    return [*timed(*events, *again), tick(5_400 * SECOND)], corrected


def test_corrected_labels_count_for_an_alarm_that_rests_on_them_in_whatever_order_they_came() -> None:
    events, corrected = out_of_order()
    opened, retracted = run(events).alerts
    assert (retracted.event, retracted.evidence.detail["why"]) == (AlertEvent.RETRACTED, "labels_corrected")
    came = [event for event in events if event["type"] == "outcome" and START + event["at"] <= opened.ts]
    rests_on = came[-int(str(opened.evidence.detail["rows_since_change"])) :]
    assert retracted.evidence.detail["corrected_labels"] == sum(event in corrected for event in rests_on) > 0
    assert run(events, sizes=(400, 7), restoring=True).effects == run(events).effects


def wrong_for_a_while() -> tuple[list[Event], list[Event]]:
    """From row 1,500 on labels say that half is wrong. Those of them that say so in the first hundred rows."""
    draw, events, wrong = Random(3), list[Event](), list[Event]()
    for row in range(4_200):
        said, fails = float(row % 2), draw.random() < (0.1 if row < 1_500 else 0.5)
        label = outcome(row, 1.0 - said if fails else said)
        events += [prediction(row, prediction=said), label]
        if fails and 1_500 <= row < 1_600:
            wrong.append(label)
    return events, wrong


def again(label: Event, revision: int, at: int, *, right: bool, weight: float = 1.0) -> Event:
    said = 1.0 - label["label"] if right else label["label"]
    return label | {"label": said, "revision": revision, "weight": weight, "at": at * SECOND}


def test_labels_that_come_again_as_they_were_take_back_no_correction() -> None:
    events, wrong = wrong_for_a_while()
    corrected = [again(label, 1, 1_610, right=True) for label in wrong[::2]]
    same = [event | {"revision": 1, "at": event["at"] + SECOND} for event in events if event["type"] == "outcome"]
    config = ModelConfig(baseline_rows=600, metrics_window="1m")
    found = run(timed(*events, *corrected, *same[1_700:3_200], tick(4_300 * SECOND)), config)
    (amended,) = [alert for alert in found.alerts if alert.event is AlertEvent.AMENDED]
    assert amended.evidence.detail["corrected_labels"] > 0  # type: ignore[operator]


def test_a_label_that_weighed_nothing_in_between_is_corrected_all_the_same() -> None:
    events, wrong = wrong_for_a_while()
    nothing = [again(label, 1, 1_610, right=False, weight=0.0) for label in wrong]
    right = [again(label, 2, 1_611, right=True) for label in wrong]
    config = ModelConfig(baseline_rows=600, metrics_window="1m")
    found = run(timed(*events, *nothing, *right, tick(4_300 * SECOND)), config)
    assert [alert.event for alert in found.alerts if alert.signal == "loss"][:2] == [
        AlertEvent.OPENED,
        AlertEvent.RETRACTED,
    ]
