"""Alerts against the truth, on timelines short enough to follow by eye."""

import numpy as np

from load.scenarios import DriftKind, InjectedDrift
from load.score import SETTLES_MS, Score, Timeline, score
from schemas.events import Alert, AlertEvent, Evidence, Kind, Position, Severity

# A prediction at 0, 10, … 990; its label comes 100 later.
MADE = np.arange(0, 1_000, 10)
TIMELINES = {"m": Timeline(MADE, MADE + 100, MADE), "healthy": Timeline(MADE, MADE + 100, MADE)}


def drift(
    starts_ms: int,
    ends_ms: int | None = None,
    *,
    signal: str = "feature:age",
    then: tuple[str, ...] = (),
    echo: int = 0,
) -> InjectedDrift:
    return InjectedDrift(
        model="m",
        kind=DriftKind.ABRUPT,
        signals=(signal,),
        consequences=then,
        starts_ms=starts_ms,
        ends_ms=ends_ms,
        echo_ms=echo,
        description="age moves",
    )


def alert(
    ts: int,
    signal: str = "feature:age",
    *,
    model: str = "m",
    event: AlertEvent = AlertEvent.OPENED,
    incident: str = "i",
) -> Alert:
    return Alert(
        id=f"{incident}-{ts}",
        incident=incident,
        event=event,
        severity=Severity.WARNING,
        kind=Kind.FEATURE_DRIFT,
        model=model,
        signal=signal,
        detector="adwin",
        ts=ts,
        evidence=Evidence(value=1.0, threshold=0.5, threshold_origin="default", n=10, baseline=0.0, effect=1.0),
        position=Position(topic="predictions", partition=0, offset=ts),
        summary="age moved",
    )


def outcome_of(truth: list[InjectedDrift], *alerts: Alert) -> Score:
    return score(truth, alerts, TIMELINES)


def test_an_alert_while_the_drift_lasts_finds_it_with_its_delay_counted_three_ways() -> None:
    find = outcome_of([drift(300)], alert(450)).results[0].find
    assert find is not None
    assert (find.delay_ms, find.predictions, find.labels) == (150, 16, 6)


def test_without_an_alert_the_drift_is_missed() -> None:
    assert outcome_of([drift(300)]).missed == (drift(300),)


def test_an_alert_before_the_start_is_false_and_finds_nothing() -> None:
    result = outcome_of([drift(300)], alert(299))
    assert result.missed == (drift(300),)
    assert result.false_alarms == (alert(299),)


def test_an_alert_on_a_signal_that_is_not_affected_is_false() -> None:
    assert outcome_of([drift(300)], alert(400, "score")).false_alarms == (alert(400, "score"),)


def test_any_alert_on_a_healthy_model_is_false() -> None:
    false = alert(400, model="healthy")
    result = outcome_of([drift(300)], false)
    assert result.false_on(["healthy"]) == (false,)
    assert result.false_on(["m"]) == ()


def test_a_consequence_is_neither_false_nor_a_find() -> None:
    result = outcome_of([drift(300, then=("score",))], alert(400, "score"))
    assert result.false_alarms == ()
    assert result.results[0].find is None
    assert result.results[0].consequences == (alert(400, "score"),)


def test_a_consequence_before_the_start_is_false() -> None:
    assert outcome_of([drift(300, then=("score",))], alert(200, "score")).false_alarms == (alert(200, "score"),)


def test_a_second_opening_while_the_drift_lasts_is_told_apart_from_the_find() -> None:
    result = outcome_of([drift(300)], alert(400), alert(500, incident="j"))
    assert result.results[0].again == (alert(500, incident="j"),)
    assert result.false_alarms == ()


def test_of_two_episodes_each_needs_an_opening_of_its_own() -> None:
    episodes = [drift(100, 200), drift(500 + SETTLES_MS, 600 + SETTLES_MS)]
    once = outcome_of(episodes, alert(150))
    assert once.missed == (episodes[1],)
    twice = outcome_of(episodes, alert(150), alert(550 + SETTLES_MS, incident="j"))
    assert twice.missed == ()


def test_an_opening_after_the_end_is_an_echo_for_a_while_and_false_later() -> None:
    echo, false = alert(250), alert(200 + SETTLES_MS, incident="j")
    result = outcome_of([drift(100, 200)], echo, false)
    assert result.results[0].echoes == (echo,)
    assert result.false_alarms == (false,)
    assert result.missed == (drift(100, 200),)


def test_a_drift_that_only_labels_show_cannot_be_found_before_the_first_of_them() -> None:
    lucky, found = alert(399, "loss"), alert(400, "loss", incident="j")
    result = outcome_of([drift(300, signal="loss")], lucky, found)
    assert result.false_alarms == (lucky,)
    assert result.results[0].find is not None
    assert result.results[0].find.labels == 1


def test_labels_that_are_still_on_their_way_lengthen_the_echo() -> None:
    late = alert(200 + SETTLES_MS + 49, "loss")
    assert outcome_of([drift(100, 200, signal="loss", echo=50)], late).false_alarms == ()


def test_only_openings_count_and_a_resolution_is_remembered() -> None:
    result = outcome_of(
        [drift(300)],
        alert(400),
        alert(450, event=AlertEvent.UPDATED),
        alert(460, event=AlertEvent.ESCALATED),
        alert(700, event=AlertEvent.RESOLVED),
    )
    find = result.results[0].find
    assert find is not None
    assert find.resolved_ms == 700
    assert result.results[0].again == ()


def test_what_finds_one_drift_is_not_held_against_it_as_the_consequence_of_another() -> None:
    truth = [drift(100, then=("score",)), drift(300, signal="score")]
    result = outcome_of(truth, alert(400, "score"))
    assert result.results[0].consequences == ()
    assert result.results[1].find is not None


def test_every_opened_alert_gets_exactly_one_verdict() -> None:
    truth = [drift(100, 200, then=("score",)), drift(500 + SETTLES_MS, signal="loss")]
    alerts = [
        alert(90),
        alert(120),
        alert(130),
        alert(140, "score"),
        alert(230),
        alert(600, model="healthy"),
        alert(900, "loss"),
    ]
    result = outcome_of(truth, *alerts)
    finds = [each.find.alert for each in result.results if each.find is not None]
    others = [kept for each in result.results for kept in (*each.again, *each.consequences, *each.echoes)]
    assert sorted([*finds, *others, *result.false_alarms], key=lambda each: each.ts) == alerts
