"""Silence and volume: records that do not come, too few and too many."""

from random import Random

import msgspec
import pytest

from detectors.calendar import slot
from detectors.config import ModelConfig
from detectors.silence import Pauses
from schemas.codec import decode_output
from schemas.events import Alert, AlertEvent, Kind, Severity
from tests.detectors.events import (
    DAY,
    HOUR,
    SECOND,
    START,
    Event,
    control,
    engine,
    outcome,
    prediction,
    records,
    run,
    summary,
    tick,
)
from tests.detectors.kept import Memory

MINUTE = 60 * SECOND
PLAIN = ModelConfig(detectors=("adwin",), loss_detectors=("adwin",), metrics_window="1d")
DAYTIME = range(8, 20)  # hours; START is a Thursday


def every(step: int, start: int, stop: int) -> list[Event]:
    return [prediction(f"p{at}", at=at) for at in range(start, stop, step)]


def in_working_hours(days: int, step: int = 5 * MINUTE, first_day: int = 0) -> list[Event]:
    """From Monday to Friday, by day."""
    return [
        event
        for day in range(first_day, first_day + days)
        if slot(START + day * DAY) < 24
        for event in every(step, day * DAY + DAYTIME.start * HOUR, day * DAY + DAYTIME.stop * HOUR)
    ]


def with_ticks(events: list[Event], until: int, step: int = 10 * MINUTE) -> list[Event]:
    return sorted([*events, *[tick(at) for at in range(0, until, step)]], key=lambda event: event["at"])


def told(events: list[Event], config: ModelConfig = PLAIN) -> list[Alert]:
    return run(events, config).alerts


# -- hours -------------------------------------------------------------------------------------------------------------


def test_hours_of_working_days_and_of_weekends_are_apart() -> None:
    assert [slot(START + day * DAY + 5 * HOUR) for day in range(7)] == [5, 5, 29, 29, 5, 5, 5]


# -- silence -----------------------------------------------------------------------------------------------------------


def test_a_model_that_falls_silent_by_day_is_told_of_within_its_own_measure_and_closed_when_it_speaks() -> None:
    busy = every(MINUTE, 0, 3 * DAY)
    events = with_ticks([*busy, *every(MINUTE, 4 * DAY, 4 * DAY + HOUR)], 4 * DAY + HOUR, MINUTE)
    opened, resolved = told(events)
    assert (opened.kind, opened.signal, opened.severity) == (Kind.SILENCE, "predictions", Severity.CRITICAL)
    # Twelve times the mean pause.
    assert opened.ts == START + 3 * DAY - MINUTE + 13 * MINUTE
    assert opened.evidence.change_point is not None
    assert opened.evidence.change_point.ts == START + 3 * DAY - MINUTE
    assert (opened.evidence.baseline, opened.evidence.threshold) == (60.0, 720.0)
    assert "no predictions for 13 minutes" in opened.summary
    assert (resolved.event, resolved.incident, resolved.ts) == (AlertEvent.RESOLVED, opened.incident, START + 4 * DAY)


def test_nights_and_weekends_are_usual() -> None:
    assert told(with_ticks(in_working_hours(28), 28 * DAY)) == []


@pytest.mark.parametrize(("from_hour", "told_by"), [(0, 10), (9, 10.5), (13, 14.1)])
def test_silence_by_day_is_told_of_soon_though_nights_are_silent(from_hour: int, told_by: float) -> None:
    """On a Thursday, after three weeks; nobody comes before eight on other days."""
    day, comes_back = 21 * DAY, 21 * DAY + 18 * HOUR
    quiet = [event for event in in_working_hours(28) if not day + from_hour * HOUR <= event["at"] < comes_back]
    opened, resolved = told(with_ticks(quiet, 28 * DAY))
    assert opened.kind is Kind.SILENCE
    assert day < opened.ts - START <= day + told_by * HOUR
    assert resolved.ts == START + comes_back


def test_a_nightly_job_is_usual() -> None:
    events = [event for day in range(20) for event in every(SECOND, day * DAY, day * DAY + 50 * SECOND)]
    assert told(with_ticks(events, 20 * DAY)) == []


def test_without_ticks_a_silence_is_told_when_it_ends() -> None:
    events = [*every(MINUTE, 0, 3 * DAY), *every(MINUTE, 4 * DAY, 4 * DAY + HOUR)]
    alerts = told(events)
    assert summary(alerts) == [("opened", "predictions"), ("resolved", "predictions")]
    assert {alert.ts for alert in alerts} == {START + 4 * DAY}
    assert len({alert.id for alert in alerts}) == 2


def test_a_silence_that_comes_again_becomes_usual_step_by_step_and_not_at_once() -> None:
    parts = [every(MINUTE, day * DAY, day * DAY + 20 * HOUR) for day in range(4, 7)]  # from Monday on
    events = with_ticks([*every(MINUTE, 0, 4 * DAY), *[event for part in parts for event in part]], 7 * DAY, MINUTE)
    waited = [alert.evidence.threshold for alert in told(events) if alert.event is AlertEvent.OPENED]
    assert waited == [720.0, 8 * 720.0]


def test_as_configured() -> None:
    config = ModelConfig(silence_after="10m", metrics_window="1d")
    events = with_ticks(every(MINUTE, 0, HOUR), 2 * HOUR, MINUTE)
    (opened,) = told(events, config)
    assert (opened.ts, opened.evidence.threshold) == (START + HOUR + 10 * MINUTE, 600.0)
    assert opened.evidence.threshold_origin == "configured: silence_after"
    assert told(events, ModelConfig(silence_after="off")) == []


def test_nothing_is_said_before_two_days_or_of_a_handful() -> None:
    assert told(with_ticks(every(MINUTE, 0, DAY), 3 * DAY)) == []
    assert told(with_ticks(every(6 * HOUR, 0, 10 * DAY), 200 * DAY, HOUR)) == []


def test_labels_that_stop_while_predictions_go_on_are_told_of() -> None:
    predictions = every(MINUTE, 0, 4 * DAY)
    labels = [outcome(f"p{at}", at=at + 1) for at in range(0, 3 * DAY, MINUTE)]
    (opened,) = told(with_ticks([*predictions, *labels], 4 * DAY))
    assert (opened.kind, opened.signal, opened.severity) == (Kind.LABEL_DELAY, "labels", Severity.WARNING)
    # Where predictions stop as well, that is what is told.
    both = [event for event in [*predictions, *labels] if event["at"] < 3 * DAY]
    assert summary(told(with_ticks(both, 4 * DAY))) == [("opened", "predictions")]


def test_a_mute_holds_it_back_and_its_end_tells() -> None:
    mute = control("mute", "m", at=0, signal="predictions", until=START + 3 * DAY + 5 * HOUR)
    result = run(with_ticks([*every(MINUTE, 0, 3 * DAY), mute], 4 * DAY), PLAIN)
    (opened,) = result.alerts
    assert opened.ts == START + 3 * DAY + 5 * HOUR
    assert [signal.disposition for signal in result.signals if signal.signal == "predictions"] == ["muted", "opened"]


@pytest.mark.parametrize(("word", "event"), [("acknowledge", "acknowledged"), ("resolve", "resolved")])
def test_it_is_dealt_with_by_hand(word: str, event: str) -> None:
    events = with_ticks(every(MINUTE, 0, 3 * DAY), 4 * DAY)
    incident = told(events)[0].incident
    word_at = 3 * DAY + 5 * HOUR + 1
    alerts = told(sorted([*events, control(word, "c", incident=incident, at=word_at)], key=lambda e: e["at"]))
    assert str(alerts[1].event) == event
    assert alerts[1].incident == incident


# -- volume ------------------------------------------------------------------------------------------------------------


def traffic(days: int, per_hour: float, seed: int, change: dict[int, float] | None = None) -> list[Event]:
    """By day three times as much as by night, a third at weekends, and noise; ``change``: a factor by hour."""
    draw = Random(seed)
    events = []
    for hour in range(24 * days):
        here = slot(START + hour * HOUR)
        rate = per_hour * (3.0 if here % 24 in DAYTIME else 1.0) * (1 / 3 if here >= 24 else 1.0)
        rate *= draw.uniform(0.8, 1.25) * (change or {}).get(hour, 1.0)
        times = sorted(draw.randrange(hour * HOUR, hour * HOUR + HOUR) for _ in range(round(rate)))
        events += [prediction(f"v{hour}-{number}", at=at) for number, at in enumerate(times)]
    return events


NO_SILENCE = ModelConfig(detectors=("adwin",), loss_detectors=("adwin",), metrics_window="1d", silence_after="off")


@pytest.mark.parametrize("seed", range(3))
def test_traffic_that_follows_the_week_is_usual(seed: int) -> None:
    assert told(traffic(42, 60, seed), NO_SILENCE) == []


@pytest.mark.parametrize(("factor", "word"), [(0.2, "only "), (5.0, "")])
def test_far_less_or_more_than_usual_is_told_within_two_hours_and_closed(factor: float, word: str) -> None:
    at = 24 * 20 + 10  # a Wednesday
    opened, resolved = told(traffic(22, 60, 1, dict.fromkeys(range(at, at + 8), factor)), NO_SILENCE)
    assert (opened.kind, opened.signal) == (Kind.VOLUME, "volume")
    assert START + at * HOUR < opened.ts <= START + (at + 2) * HOUR
    assert ("only " in opened.summary) is (word == "only ")
    assert "predictions in the last" in opened.summary
    assert opened.evidence.value is not None
    assert opened.evidence.threshold is not None
    assert (opened.evidence.value > opened.evidence.threshold) is (factor > 1)
    assert resolved.event is AlertEvent.RESOLVED
    assert START + (at + 8) * HOUR < resolved.ts <= START + (at + 10) * HOUR


def test_a_nightly_job_that_brings_less_is_told_of_though_no_hour_is_as_the_one_before() -> None:
    nights = [every(SECOND, day * DAY, day * DAY + (150 if day < 24 else 90) * SECOND) for day in range(26)]
    opened, *_ = told(with_ticks([event for night in nights for event in night], 26 * DAY))
    assert (opened.signal, opened.evidence.detail["window_minutes"]) == ("volume", 1_440)
    assert START + 24 * DAY < opened.ts <= START + 24 * DAY + 2 * HOUR
    assert "only 90 predictions in the last day, where 15" in opened.summary


def test_volume_can_be_left_alone() -> None:
    at = 24 * 20 + 10
    changed = traffic(22, 60, 1, dict.fromkeys(range(at, at + 8), 0.2))
    assert told(changed, ModelConfig(detectors=("adwin",), silence_after="off", volume="off")) == []


def test_an_outage_is_told_as_silence_alone() -> None:
    at = 24 * 20 + 10
    events = with_ticks(traffic(22, 60, 1, dict.fromkeys(range(at, at + 5), 0.0)), 22 * DAY)
    assert summary(told(events)) == [("opened", "predictions"), ("resolved", "predictions")]


# -- the laws ----------------------------------------------------------------------------------------------------------


def test_batches_and_restarts_make_no_difference() -> None:
    at = 24 * 20 + 10
    change = {**dict.fromkeys(range(at, at + 4), 0.2), **dict.fromkeys(range(at + 30, at + 36), 0.0)}
    events = with_ticks(traffic(22, 30, 1, change), 22 * DAY)
    whole = run(events, PLAIN, (len(events),))
    assert {alert.signal for alert in whole.alerts} == {"volume", "predictions"}
    for sizes in ((997,), (4_000, 3)):
        assert run(events, PLAIN, sizes, restoring=True) == whole


def test_a_new_baseline_begins_anew() -> None:
    events = with_ticks(every(MINUTE, 0, 3 * DAY), 4 * DAY)
    word = control("baseline", "b", at=3 * DAY + 5 * HOUR + 1)
    assert summary(told([*events, word])) == [("opened", "predictions"), ("resolved", "predictions")]


def reconfigured(events: list[Event], at: int, after: ModelConfig) -> list[Alert]:
    """Those that come under another configuration, which begins there."""
    kept = Memory()
    lying = records(events)
    before = engine(PLAIN, kept)
    before.apply(lying[:at])
    kept.take(before.changes())
    effects = engine(after, kept).apply(lying[at:]).effects
    return [event for event in (decode_output(effect.value) for effect in effects) if isinstance(event, Alert)]


def test_another_configuration_knows_what_is_usual() -> None:
    events = with_ticks(every(MINUTE, 0, 3 * DAY), 4 * DAY)
    at = next(place for place, event in enumerate(events) if event["at"] >= 2 * DAY)
    (opened,) = reconfigured(events, at, msgspec.structs.replace(PLAIN, baseline_rows=77))
    assert opened.ts == START + 3 * DAY - MINUTE + 13 * MINUTE + 8 * MINUTE  # with the next tick


@pytest.mark.parametrize(("signal", "off"), [("volume", {"volume": "off"}), ("predictions", {"silence_after": "off"})])
def test_what_is_open_and_watched_no_more_is_closed(signal: str, off: dict[str, str]) -> None:
    at = 24 * 20 + 10
    change = dict.fromkeys(range(at, at + 12), 0.2 if signal == "volume" else 0.0)
    events = with_ticks(traffic(22, 60, 1, change), 22 * DAY)
    place = next(place for place, event in enumerate(events) if event["at"] >= (at + 6) * HOUR)
    alerts = reconfigured(events, place, msgspec.structs.replace(PLAIN, **off))
    assert (str(alerts[0].event), alerts[0].signal, alerts[0].evidence.detail["why"]) == (
        "resolved",
        signal,
        "reconfigured",
    )
    assert signal not in {alert.signal for alert in alerts[1:]}


# -- what was found wrong once -----------------------------------------------------------------------------------------


def test_the_next_prediction_ends_a_silence_whatever_is_usual_at_its_hour() -> None:
    """By day nobody is silent for long, by night for hours: the outage begins by day and ends by night."""
    day, comes_back = 21 * DAY, 21 * DAY + 21 * HOUR
    quiet = [event for event in in_working_hours(28) if not day + 10 * HOUR <= event["at"] < comes_back]
    events = with_ticks([*quiet, prediction("late", at=comes_back)], 28 * DAY)
    opened, resolved = told(events)
    assert (resolved.incident, resolved.ts) == (opened.incident, START + comes_back)
    assert "predictions come again, after 11 hours without any" in resolved.summary


def test_labels_that_come_late_are_not_missed_after_an_outage() -> None:
    hours = [hour for hour in range(24 * 6) if not 24 * 4 <= hour < 24 * 4 + 5]
    predictions = [event for hour in hours for event in every(MINUTE, hour * HOUR, hour * HOUR + HOUR)]
    labels = [outcome(event["id"].removeprefix("e"), at=event["at"] + HOUR) for event in predictions]
    alerts = told(with_ticks([*predictions, *labels], 6 * DAY))
    assert summary(alerts) == [("opened", "predictions"), ("resolved", "predictions")]


def test_a_volume_that_fell_for_good_is_usual_at_last_and_does_not_stay_open() -> None:
    """Less than what is looked at otherwise is left of it."""
    fallen = dict.fromkeys(range(24 * 20 + 10, 24 * 90), 0.05)
    opened, resolved, *_ = told(traffic(90, 60, 1, fallen), NO_SILENCE)
    assert (opened.signal, resolved.event) == ("volume", AlertEvent.RESOLVED)
    assert resolved.ts - opened.ts < 60 * DAY


def test_a_silence_that_was_resolved_by_hand_is_dealt_with_until_somebody_speaks() -> None:
    events = with_ticks([*every(MINUTE, 0, 3 * DAY), *every(MINUTE, 5 * DAY, 8 * DAY)], 9 * DAY)
    incident = told(events)[0].incident
    word = control("resolve", "c", incident=incident, at=3 * DAY + 5 * HOUR + 1)
    alerts = told(sorted([*events, word], key=lambda event: event["at"]))
    assert [(str(alert.event), alert.ts - START >= 8 * DAY) for alert in alerts] == [
        ("opened", False),
        ("resolved", False),
        ("opened", True),
    ]


def test_where_silence_is_left_alone_an_outage_is_told_as_volume() -> None:
    at = 24 * 20 + 10
    events = with_ticks(traffic(22, 60, 1, dict.fromkeys(range(at, at + 8), 0.0)), 22 * DAY)
    opened, _ = told(events, NO_SILENCE)
    assert (opened.signal, opened.evidence.n) == ("volume", opened.evidence.detail["after"])
    assert opened.ts <= START + (at + 2) * HOUR


@pytest.mark.parametrize("config", [PLAIN, NO_SILENCE])
def test_a_model_that_is_silent_for_good_is_not_written_at_every_tick(config: ModelConfig) -> None:
    kept = Memory()
    working = engine(config, kept)
    working.apply(records(with_ticks([*every(MINUTE, 0, 16 * DAY), outcome("p0", at=1)], 18 * DAY + 1)))
    working.changes()
    working.apply(records([tick(18 * DAY + 5 * SECOND)]))
    assert [key for key, _ in working.changes().puts] == [b"E"]


@pytest.mark.parametrize("start", range(7))
def test_the_first_weekend_is_not_told_of_where_nights_are_sparse(start: int) -> None:
    draw = Random(start)
    events = []
    for hour in range(24 * start, 24 * (start + 16)):
        rate = 600 if slot(START + hour * HOUR) % 24 in DAYTIME and slot(START + hour * HOUR) < 24 else 1
        times = sorted(draw.randrange(HOUR) for _ in range(rate if rate > 1 else draw.choice((0, 1, 1, 2))))
        events += [prediction(f"s{hour}-{n}", at=hour * HOUR + at) for n, at in enumerate(times)]
    assert told(with_ticks(events, 24 * (start + 16) * HOUR)) == []


def test_an_excuse_that_reaches_into_another_hour_is_remembered_by_a_restart() -> None:
    learned = []
    for restarts in (False, True):
        pauses, began = Pauses(), 1_767_225_600_000 + 3 * HOUR
        for number, later in enumerate((100, 200_100, *range(201_100, 210_100, 1_000))):
            pauses.saw(began + later, number)
        pauses.excuse(2 * HOUR)
        if restarts:
            state, pauses = pauses.state(), Pauses()
            pauses.restore(state)
        pauses.saw(began + 2 * HOUR + 360_000, 20)
        learned.append(pauses.state())
    assert learned[0] == learned[1]
