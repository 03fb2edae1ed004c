"""What operators and deployments say, in stream order."""

import pytest

from detectors.banks.shiryaev import WATCH
from detectors.config import ModelConfig
from schemas.events import AlertEvent, Kind
from tests.detectors.events import (
    HOUR,
    SECOND,
    START,
    Event,
    Run,
    control,
    labelled,
    normal,
    of_feature,
    prediction,
    run,
    summary,
    tick,
)

WARM = ModelConfig(baseline_rows=200)
# Age is 0 ± 1 and 2 from row 400 on.
AGE = [*normal(1, 400), *normal(2, 600, 2.0)]
OPENED = ("opened", "feature:age")


def with_control(word: Event, row: int, age: list[float] = AGE) -> Run:
    """The same stream with one word in it, just before a row."""
    events = of_feature("age", age)
    return run([*events[:row], word | {"at": row * SECOND}, *events[row:]], WARM)


def first_alarm() -> tuple[str, int]:
    (alert,) = run(of_feature("age", AGE), WARM).alerts
    return alert.incident, alert.position.offset


# -- deployments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "why"), [("deploy", "deployed"), ("rollback", "rolled_back"), ("baseline", "new_baseline")]
)
def test_a_turn_closes_what_is_open_and_starts_afresh(action: str, why: str) -> None:
    told = with_control(control(action, "c", version="2"), 700)
    opened, closed = told.alerts
    assert (closed.event, closed.incident, closed.evidence.detail["why"]) == (
        AlertEvent.RESOLVED,
        opened.incident,
        why,
    )
    assert (closed.position.topic, closed.ts) == ("driftline.control", START + 700 * SECOND)


@pytest.mark.parametrize(("action", "version"), [("deploy", "2"), ("rollback", "2"), ("baseline", None)])
def test_alarms_of_a_challenger_end_when_it_is_one_no_more_or_begins_anew(action: str, version: str | None) -> None:
    """Its monitor hears nothing from then on: it would never see that they are over."""
    events = of_feature("age", AGE[:700])
    events = [event | {"version": "2", "role": "challenger"} for event in events]
    told = run([*events, control(action, "c", version=version, at=700 * SECOND)], WARM)
    assert summary(told.alerts) == [OPENED, ("resolved", "feature:age")]
    other = run([*events, control("deploy", "c", version="3", at=700 * SECOND)], WARM)
    assert summary(other.alerts) == [OPENED]  # it goes on beside another one


def test_after_a_deployment_what_comes_first_is_normal_and_versions_are_named() -> None:
    told = with_control(control("deploy", "c", version="2"), 700, [*AGE, *normal(3, 400, 5.0)])
    before, closed, after = told.alerts
    assert (before.version, closed.version, after.version) == (None, None, "2")
    assert after.evidence.baseline == pytest.approx(2.0, abs=0.2)


def test_a_new_baseline_is_learned_by_the_same_version() -> None:
    told = with_control(control("baseline", "c"), 700, [*AGE, *normal(3, 400, 5.0)])
    assert [alert.evidence.baseline for alert in told.began] == pytest.approx([0.0, 2.0], abs=0.2)
    assert {alert.version for alert in told.alerts} == {None}


def test_versions_warm_up_on_their_own() -> None:
    """Each has its own normal: to one, the other would be a drift."""
    calm = [
        prediction(number, {"age": age + 9 * (number % 2)}, version=str(number % 2))
        for number, age in enumerate(normal(1, 2_000))
    ]
    assert run(calm, WARM).alerts == []
    moved = [event | {"id": f"m{number}"} for number, event in enumerate(of_feature("age", normal(2, 300, 3.0), 2_000))]
    (alert,) = run([*calm, *(event | {"version": "0"} for event in moved)], WARM).alerts
    assert alert.version == "0"


def test_labels_of_a_version_that_is_gone_still_count_in_its_metrics() -> None:
    config = ModelConfig(metrics_window="1m", task="binary", positive=1)
    late = labelled([False, True])
    events = [late[0], late[2], control("deploy", "c", version="2", at=90 * SECOND)]
    told = run([*events, late[1] | {"at": 100 * SECOND}, late[3] | {"at": 100 * SECOND}, tick(HOUR)], config)
    assert [(event.version, event.values["joined"], event.values["loss_mean"]) for event in told.metrics] == [
        (None, 0, None),
        (None, 2, 0.5),
    ]


# -- mutes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [{}, {"signal": "feature:age"}, {"signal": "feature:*"}, {"signal": "*age"}])
def test_a_mute_holds_alarms_back_and_says_so(what: Event) -> None:
    told = with_control(control("mute", "c", **what), 300)
    assert told.alerts == []
    assert {signal.disposition for signal in told.signals if signal.detector == WATCH} == {"muted"}
    assert {signal.disposition for signal in told.signals if signal.detector != WATCH} == {"noted"}


def test_a_mute_holds_back_what_would_be_suspected() -> None:
    events, mute = of_feature("age", AGE), control("mute", "c", at=300 * SECOND)
    config = ModelConfig(baseline_rows=200, detectors=("adwin", "page_hinkley"))
    told = run([*events[:300], mute, *events[300:]], config)
    assert (told.alerts, {signal.disposition for signal in told.signals}) == ([], {"muted"})


@pytest.mark.parametrize(
    "what",
    [
        {"signal": "feature:height"},
        {"signal": "missing:*"},
        {"signal": "feature:.*"},
        {"model": "other"},
        {"segment": "country=de"},
        {"segment": "country=*"},
    ],
)
def test_a_mute_of_something_else_does_not(what: Event) -> None:
    assert summary(with_control(control("mute", "c", **what), 300).alerts) == [OPENED]


def test_a_drift_that_lasts_opens_when_the_mute_is_lifted() -> None:
    events = of_feature("age", AGE)
    mute, unmute = control("mute", "m", at=300 * SECOND), control("unmute", "u", at=900 * SECOND)
    (alert,) = run([*events[:300], mute, *events[300:900], unmute, *events[900:]], WARM).alerts
    assert 900 < alert.position.offset < 970
    assert alert.evidence.change_point is not None
    assert alert.evidence.change_point.offset == pytest.approx(400, abs=40)


def test_a_drift_that_is_over_when_the_mute_is_lifted_does_not_open() -> None:
    events = of_feature("age", [*AGE, *normal(3, 2_000)])
    mute, unmute = control("mute", "m", at=300 * SECOND), control("unmute", "u", at=2_900 * SECOND)
    told = run([*events[:300], mute, *events[300:2_900], unmute, *events[2_900:]], WARM)
    assert told.alerts == []


def test_a_mute_ends_by_itself() -> None:
    told = with_control(control("mute", "c", until=START + 800 * SECOND), 300)
    (alert,) = told.alerts
    assert START + 800 * SECOND <= alert.ts < START + 870 * SECOND


# -- hands -------------------------------------------------------------------------------------------------------------


def test_an_alarm_is_acknowledged_by_name_and_stays_open() -> None:
    incident, _ = first_alarm()
    told = with_control(control("acknowledge", "c", incident=incident, by="Ada"), 800)
    opened, acknowledged = told.alerts
    assert (acknowledged.event, acknowledged.incident) == (AlertEvent.ACKNOWLEDGED, opened.incident)
    assert acknowledged.id != opened.id
    assert acknowledged.summary.endswith("by Ada.")


def test_an_alarm_is_resolved_by_hand() -> None:
    incident, _ = first_alarm()
    over = [*AGE[:800], *normal(3, 400)]  # what was wrong has been put right
    _, resolved = with_control(control("resolve", "c", incident=incident), 800, over).alerts
    assert (resolved.event, resolved.evidence.detail["why"]) == (AlertEvent.RESOLVED, "resolved_by_hand")


def test_an_alarm_that_was_resolved_by_hand_opens_again_where_the_drift_goes_on() -> None:
    incident, _ = first_alarm()
    opened, _, again = with_control(control("resolve", "c", incident=incident), 800).alerts
    assert (again.event, again.signal) == (AlertEvent.REOPENED, opened.signal)
    assert again.incident == opened.incident
    assert 800 < again.position.offset < 850


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_an_incident_that_is_not_open_is_left_alone(action: str) -> None:
    told = with_control(control(action, "c", incident="nobody's"), 800)
    assert summary(told.alerts) == [OPENED]
    assert told.counts["driftline.control"].applied == 1


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_a_word_for_an_incident_that_is_not_open_is_told(action: str) -> None:
    events, word = of_feature("age", AGE), control(action, "c", incident="nobody's" * 100, at=800 * SECOND)
    told = run([*events[:800], word, *events[800:]], WARM)
    (signal,) = [signal for signal in told.signals if signal.detector == "control"]
    assert (signal.kind, signal.signal, signal.disposition) == (Kind.SYSTEM, "incident", "unknown")
    assert (signal.position.topic, signal.ts) == ("driftline.control", START + 800 * SECOND)
    why = str(signal.evidence.detail["why"])
    assert why.startswith(f"{action}: this model has no open incident \"nobody'snobody's")
    assert len(why) < 400
    for sizes in ((1,), (7, 130)):
        assert run([*events[:800], word, *events[800:]], WARM, sizes) == told
    assert run([*events[:800], word, *events[800:]], WARM, (100,), restoring=True) == told


def test_what_is_said_a_second_time_is_told_and_what_is_open_is_not() -> None:
    incident, _ = first_alarm()
    events = of_feature("age", AGE)
    words = [control(action, action, incident=incident, at=800 * SECOND) for action in ("acknowledge", "resolve")]
    once = run([*events[:800], *words, *events[800:]], WARM).signals
    assert [signal for signal in once if signal.detector == "control"] == []
    again = control("resolve", "again", incident=incident, at=800 * SECOND)
    twice = run([*events[:800], *words, again, *events[800:]], WARM).signals
    assert len([signal for signal in twice if signal.detector == "control"]) == 1


def test_a_word_for_another_model_is_not_heard() -> None:
    incident, _ = first_alarm()
    told = with_control(control("resolve", "c", incident=incident, model="other"), 800)
    assert summary(told.alerts) == [OPENED]


@pytest.mark.parametrize("action", ["mute", "deploy", "baseline", "resolve"])
def test_what_is_said_holds_from_its_record_on_and_not_before_in_the_same_batch(action: str) -> None:
    """No window closes: the whole stream is one batch, and the word comes after the alarm was opened in it."""
    incident, row = first_alarm()
    events = of_feature("age", AGE)
    word = control(action, "c", version="2", incident=incident, at=(row + 50) * SECOND)
    config = ModelConfig(baseline_rows=200, metrics_window="1d")
    words = [*events[: row + 50], word, *events[row + 50 :]]
    whole = run(words, config, (len(words),))
    assert whole.alerts[0].position.offset == row
    assert "opened" not in {signal.disposition for signal in whole.signals if signal.ts < whole.alerts[0].ts}
    assert "opened" in {signal.disposition for signal in whole.signals if signal.ts <= whole.alerts[0].ts}
    assert whole == run(words, config, (1,))


# -- many deployments --------------------------------------------------------------------------------------------------


def deployments(times: int, version: str) -> list[Event]:
    """Each followed by a prediction for fifty countries. ``{}`` in the version is the number of the deployment."""
    events: list[Event] = []
    for turn in range(times):
        events.append(control("deploy", f"d{turn}", version=version.format(turn)))
        countries = [{"country": f"c{number}"} for number in range(50)]
        events += [prediction(f"{turn}-{one['country']}", {"age": 0.0}, segments=one) for one in countries]
    return events


@pytest.mark.parametrize("version", ["2", "v{}"])
def test_the_hundredth_deployment_is_watched_like_the_first(version: str) -> None:
    config = ModelConfig(baseline_rows=200, segments=("country",))
    drift = [event | {"segments": {"country": "c7"}} for event in of_feature("age", AGE)]
    opened = run([*deployments(100, version), *drift], config).began
    last = version.format(99)
    assert [(alert.version, alert.segment) for alert in opened] == [(last, None), (last, "country=c7")]


def test_many_deployments_give_the_same_bytes_when_the_engine_is_restored_between() -> None:
    config = ModelConfig(baseline_rows=20, segments=("country",), segment_values_max=3, metrics_window="1m")
    events = [*deployments(30, "v{}"), *of_feature("age", AGE)]
    assert run(events, config, (300,), restoring=True) == run(events, config, (len(events),))
