"""How the program that measures latencies judges what it finds on the topics and at the endpoint."""

import argparse

import pytest

from load.breaks import REHEARSED, Plan, Traffic
from load.latency import add_arguments, run
from load.latency_report import Arrivals, Decided, Told, figures, judge, place_of, spread
from schemas.events import Alert, AlertEvent, Evidence, Kind, Position, Severity
from schemas.topics import Stream

PLAN = Plan(per_second=100, models=REHEARSED + 4, alarms=3, seconds=3, seed=1)
EVIDENCE = Evidence(value=2.0, threshold=1.0, threshold_origin="budget", n=9, baseline=0.0, effect=1.0)


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Traffic(PLAN)


def opened(model: str, offset: int, event: AlertEvent = AlertEvent.OPENED) -> Alert:
    return Alert(
        id=f"{model}-{offset}-{event}",
        incident=f"incident-{model}-{offset}",
        event=event,
        severity=Severity.WARNING,
        kind=Kind.FEATURE_DRIFT,
        model=model,
        signal="feature:a",
        detector="shiryaev_roberts",
        ts=0,
        evidence=EVIDENCE,
        position=Position(topic="p", partition=0, offset=offset),
        summary=f"{model}: a shifted",
    )


def decided(traffic: Traffic, alert: Alert, after_break: int, at_ms: float = 1_000, due_ms: float = 990) -> Decided:
    return Decided(Stream.PREDICTIONS, traffic.breaks.get(alert.model, 0) + after_break, due_ms, at_ms)


def test_an_alarm_is_timed_from_the_record_that_decided_and_from_when_that_was_due(traffic: Traffic) -> None:
    alert = opened("breaks-21", 7)
    judged = judge(
        traffic,
        [Told(alert, 1_120)],
        {place_of(alert.position): decided(traffic, alert, 2)},
        {alert.incident: 1_300.5},
    )
    (alarm,) = judged.alarms.values()
    assert (alarm.alert_ms, alarm.since_due_ms, alarm.page_ms) == (120, 130, 300.5)


def test_the_first_incident_of_a_model_counts_and_later_steps_do_not(traffic: Traffic) -> None:
    first, step, second = opened("breaks-20", 7), opened("breaks-20", 8, AlertEvent.UPDATED), opened("breaks-20", 9)
    places = {place_of(alert.position): decided(traffic, alert, 0) for alert in (first, step, second)}
    judged = judge(traffic, [Told(step, 1_010), Told(first, 1_020), Told(second, 1_030)], places, {})
    assert [alarm.alert_ms for alarm in judged.alarms.values()] == [20]
    assert judged.false == []


@pytest.mark.parametrize(("model", "after_break"), [("breaks-21", -1), ("calm-0", 10_000)])
def test_an_incident_of_a_model_that_has_not_broken_is_false_and_no_alarm(
    traffic: Traffic, model: str, after_break: int
) -> None:
    alert = opened(model, 7)
    judged = judge(traffic, [Told(alert, 1_001)], {place_of(alert.position): decided(traffic, alert, after_break)}, {})
    assert (judged.alarms, judged.false) == ({}, [alert])


def test_what_is_missing_is_counted_and_what_was_rehearsed_is_not_timed(traffic: Traffic) -> None:
    alerts = [opened(model, place) for place, model in enumerate(list(traffic.breaks)[:-1])]
    places = {place_of(alert.position): decided(traffic, alert, 0) for alert in alerts}
    told = [Told(alert, 9_000 if place < REHEARSED else 1_010 + place) for place, alert in enumerate(alerts)]
    paged = {alert.incident: 1_050.0 for alert in alerts[:-1]}
    found = figures(traffic, judge(traffic, told, places, paged))
    assert found["alarms_expected"] == REHEARSED + 3
    assert (found["alarms_seen"], found["alarms_missing"], found["pages_missing"]) == (REHEARSED + 2, 1, 2)
    assert (found["n"], found["alert_max_ms"], found["page_max_ms"]) == (2, 10 + REHEARSED + 1, 50)
    assert found["by_stream"]["outcomes"]["alert_p99_ms"] is None


def test_a_model_that_had_a_false_alarm_is_not_waited_for(traffic: Traffic) -> None:
    alert = opened("breaks-21", 7)
    judged = judge(traffic, [Told(alert, 1_001)], {place_of(alert.position): decided(traffic, alert, -1)}, {})
    found = figures(traffic, judged)
    assert (found["alarms_expected"], found["alarms_missing"]) == (REHEARSED + 2, REHEARSED + 2)
    assert found["false_alarms"] == 1


def test_a_share_is_a_value_that_was_measured_and_nothing_is_smoothed() -> None:
    assert spread("x", [*range(1, 100), 5_000]) == {
        "x_p50_ms": 50,
        "x_p95_ms": 95,
        "x_p99_ms": 99,
        "x_max_ms": 5_000,
    }
    assert spread("x", [7.04]) == {"x_p50_ms": 7.0, "x_p95_ms": 7.0, "x_p99_ms": 7.0, "x_max_ms": 7.0}


def test_the_rate_is_what_the_broker_got_and_a_second_without_anything_shows() -> None:
    arrivals = Arrivals(range(100, 600))
    for number in range(700):
        at_ms = number * 10 + (1_900 if number >= 350 else 0)
        arrivals.add(number, due_ms=number * 10, at_ms=at_ms)
    assert arrivals.figures() == {
        "events_per_s": round(500 / 6.89),
        "slowest_second": 0,
        "late_p50_ms": 0.0,
        "late_p95_ms": 1_900,
        "late_p99_ms": 1_900,
        "late_max_ms": 1_900,
    }


def test_more_alarms_than_there_are_models_for_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert run(parser.parse_args(["--models", "30", "--alarms", "10"])) == 2
    assert "--alarms must be from 1 to 9" in capsys.readouterr().err
