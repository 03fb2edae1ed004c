"""What an alarm says may have caused it, and whom it harms: as of its record, wherever batches are cut."""

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
import pytest

from detectors.banks.shiryaev import WATCH
from detectors.causes import (
    LABELS_MIN,
    TOLD,
    Cause,
    Dated,
    Part,
    Turn,
    harm,
    of_inputs,
    of_segments,
    of_turn,
    told,
)
from detectors.config import ModelConfig
from detectors.encoding import Column
from detectors.lifecycle import Lifecycle, Suspect
from detectors.rise import Rise
from detectors.timeline import Timeline
from detectors.wording import NONE_SEEN
from schemas.events import Alert, AlertEvent, ChangePoint, Evidence, Kind, Position, Severity
from tests.detectors.events import HOUR, SECOND, START, Event, control, outcome, prediction, run
from tests.detectors.recordings import later, learned, recordings

CONFIG = ModelConfig(baseline_rows=600, metrics_window="1d")
BY_COUNTRY = ModelConfig(baseline_rows=300, metrics_window="1d", segments=("country",))
WARM, SINCE = 1_500, 900
MINUTE = 60 * SECOND


def answered(
    rows: Sequence[dict[str, Any]], errors: Sequence[float], delay: int = 2, seed: int = 1, **more: Any
) -> list[Event]:
    """A row a second with these features, wrong as likely as said; its label comes so many seconds later."""
    draw = Random(seed)
    events: list[Event] = []
    for number, (row, error) in enumerate(zip(rows, errors, strict=True)):
        said, wrong = draw.random() < 0.5, draw.random() < error
        events.append(
            prediction(number, row.get("features", {}), prediction=float(said), **{**more, **row.get("more", {})})
        )
        events.append(outcome(number, float(said is not wrong), at=(number + delay) * SECOND + 1))
    return sorted(events, key=lambda event: int(event.get("at", 0)))


def alarms(events: Sequence[Event], config: ModelConfig = CONFIG) -> list[Alert]:
    whole = run(events, config, (len(events),))
    assert run(events, config, (61,), restoring=True) == whole
    assert run(events, config, (1_000, 7)) == whole
    return whole.alerts


def of(alerts: Sequence[Alert], signal: str = "loss") -> list[Alert]:
    """Of the whole model."""
    return [alert for alert in alerts if alert.signal == signal and alert.segment is None]


def causes(alert: Alert) -> list[str]:
    numbered = (alert.evidence.detail.get(f"cause_{number}") for number in range(1, TOLD + 1))
    return [str(text) for text in numbered if text is not None]


def ages(shift: float, since: int = WARM, rows: int = WARM + SINCE, seed: int = 3) -> list[dict[str, Any]]:
    draw = Random(seed)
    return [
        {"features": {"age": draw.gauss(shift if number >= since else 0.0, 1), "other": draw.gauss(0, 1)}}
        for number in range(rows)
    ]


def step(before: float, after: float, rows: int = WARM + SINCE) -> list[float]:
    return [before if number < WARM else after for number in range(rows)]


def test_a_feature_that_changed_at_the_same_time() -> None:
    opened, *_ = of(alarms(answered(ages(2.0), step(0.1, 0.4))))
    assert causes(opened) == ["feature age changed at the same time"]
    assert ", likely cause: feature age changed at the same time; the model is wrong" in opened.summary


def test_what_the_model_answers_follows_what_it_is_asked() -> None:
    draw, events = Random(8), []
    for number, row in enumerate(ages(2.0)):
        events.append(prediction(number, row["features"], prediction=row["features"]["age"] + draw.gauss(0, 1)))
    opened, *_ = of(alarms(events), "prediction")
    assert causes(opened) == ["feature age changed at the same time"]
    assert opened.evidence.detail["harm"] == "not known yet"


def test_where_inputs_are_quiet_it_is_the_relation_that_changed() -> None:
    opened, *_ = of(alarms(answered(ages(0.0), step(0.1, 0.4))))
    assert causes(opened) == [NONE_SEEN]
    assert "while no change is seen in its inputs" in opened.summary


def test_where_no_inputs_are_watched_nothing_is_said_of_them() -> None:
    opened, *_ = of(alarms(answered([{}] * (WARM + SINCE), step(0.1, 0.4))))
    assert causes(opened) == []


def seen_since(began: int, doubt: int = 0) -> Evidence:
    change = ChangePoint(ts=began, offset=1)
    seen = Evidence(value=1.0, threshold=1.0, threshold_origin="", n=1, baseline=0.0, effect=1.0, change_point=change)
    detail: dict[str, Any] = {"change_point_low": began - doubt, "change_point_high": began + doubt}
    return msgspec.structs.replace(seen, detail=detail if doubt else {})


def told_of(ago: int, doubt: int, took: int, *, suspected: bool) -> bool:
    """Whether a change so long before the one of the loss is told; both are in doubt by so much."""
    lifecycle, now = Lifecycle(), START + 100 * HOUR
    cause = Suspect(WATCH, 0, seen_since(now - ago, doubt))
    if suspected:
        lifecycle.suspects["feature:age"] = cause
    else:
        column, position = Column("feature:age", Kind.FEATURE_DRIFT), Position(topic="t", partition=0, offset=1)
        lifecycle.open(column, cause, Severity.INFO, cause.evidence, now, 0, 0, "", position)
    since = Dated(now - doubt, now, now + doubt)
    return bool(of_inputs(Column("loss", Kind.CONCEPT_DRIFT), lifecycle, since, now + took))


@pytest.mark.parametrize("suspected", [True, False])
@pytest.mark.parametrize("took", [MINUTE, 5 * HOUR])
@pytest.mark.parametrize(("ago", "expected"), [(HOUR, True), (HOUR + 1, False), (-MINUTE, True), (-HOUR, False)])
def test_what_changed_long_before_or_after_is_no_cause_however_long_it_took_to_be_found(
    ago: int, expected: bool, took: int, suspected: bool
) -> None:
    assert told_of(ago, 0, took, suspected=suspected) is expected


@pytest.mark.parametrize(
    ("ago", "doubt", "expected"),
    [
        (100 * MINUTE, 20 * MINUTE, True),
        (101 * MINUTE, 20 * MINUTE, False),
        (2 * HOUR, 5 * HOUR, True),
        (2 * HOUR + 1, 5 * HOUR, False),
        (-41 * MINUTE, 20 * MINUTE, True),
        (-42 * MINUTE, 20 * MINUTE, False),
    ],
)
def test_when_a_change_began_is_uncertain_which_counts_for_alarms_and_not_for_suspicions(
    ago: int, doubt: int, expected: bool
) -> None:
    assert told_of(ago, doubt, HOUR, suspected=False) is expected
    assert not told_of(ago, doubt, HOUR, suspected=True)


def test_what_is_broken_comes_first() -> None:
    rows = ages(3.0)
    for row in rows[WARM:]:
        row["features"]["other"] = None
    opened, *_ = of(alarms(answered(rows, step(0.1, 0.5))))
    first, second, *_ = causes(opened)
    assert first.startswith("missing values of other changed")
    assert second.startswith("feature age changed")


def test_a_cause_that_shows_later_is_told_later() -> None:
    opened, *later = of(alarms(answered(ages(0.35), step(0.05, 0.6))))
    assert causes(opened) == [NONE_SEEN]
    assert later[0].event is AlertEvent.UPDATED
    assert causes(later[0])[0].startswith("feature age ")


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ("deploy", "version 2 was deployed 4 minutes before"),
        ("rollback", "the model was rolled back to version 2 4 minutes before"),
    ],
)
def test_a_deployment_or_a_rollback_before_it(action: str, text: str) -> None:
    """The traffic still names the version before. Where rows lie in time is known to a tenth: five minutes are four."""
    events = answered(ages(0.0), step(0.1, 0.4), version="1")
    events.append(control(action, "c", version="2", at=(WARM - 300) * SECOND))
    opened, *_ = of(alarms(sorted(events, key=lambda event: int(event.get("at", 0)))))
    assert causes(opened) == [text]


def test_a_deployment_of_long_ago_or_after_it_is_none() -> None:
    turn = Turn(START, "2", False)
    assert of_turn(turn, START + 10 * 60 * SECOND) != []
    assert of_turn(turn, START + 30 * HOUR) == []
    assert of_turn(turn, START - 10 * 60 * SECOND) == []


def deployed_before() -> list[Event]:
    """Version 2 and nothing else from the beginning; its errors begin 25 minutes later."""
    events = answered(ages(0.0), step(0.1, 0.4), version="2")
    return [control("deploy", "c", version="2", at=0), *events]


def test_a_deployment_that_came_before_all_that_is_known_to_be_normal_is_none() -> None:
    """What is normal was learned from the new version itself: whatever it changed is in there."""
    assert causes(of(alarms(deployed_before()))[0]) == [NONE_SEEN]


@pytest.mark.parametrize("labelled", [True, False])
def test_a_deployment_after_which_a_recorded_baseline_is_held_against_the_new_version(labelled: bool) -> None:
    """Of a signal that the recording does not have, what is normal is learned from the stream after all."""
    base = answered(ages(0.0, rows=WARM), [0.1] * WARM, seed=5)
    config = msgspec.structs.replace(CONFIG, baseline="q1")
    held = recordings(learned([event for event in base if labelled or event["type"] != "outcome"], config))
    events = later(deployed_before(), HOUR)
    whole = run(events, config, (len(events),), recordings=held)
    assert run(events, config, (61,), restoring=True, recordings=held) == whole
    expected = ["version 2 was deployed 24 minutes before"] if labelled else [NONE_SEEN]
    assert causes(of(whole.alerts)[0]) == expected


def by_country(shares: Sequence[tuple[float, float]], errors: dict[str, tuple[float, float]]) -> list[Event]:
    """Of countries de, fr and it; shares and errors before and since."""
    draw, rows, wrong = Random(9), [], []
    for number in range(3 * WARM):
        since = number >= 2 * WARM
        country = draw.choices(("de", "fr", "it"), [share[since] for share in shares])[0]
        rows.append({"features": {"age": draw.gauss(0, 1)}, "more": {"segments": {"country": country}}})
        wrong.append(errors[country][since])
    return answered(rows, wrong)


def test_one_segment_that_got_worse_alone() -> None:
    events = by_country([(1, 1)] * 3, {"de": (0.1, 0.6), "fr": (0.1, 0.1), "it": (0.1, 0.1)})
    told_last = of(alarms(events, BY_COUNTRY))[-1]
    assert causes(told_last)[0].startswith("change within country=de alone: loss up by ")


def test_a_mix_of_segments_that_are_each_as_they_were() -> None:
    events = by_country([(1, 8), (2, 1), (2, 1)], {"de": (0.5, 0.5), "fr": (0.05, 0.05), "it": (0.05, 0.05)})
    told_last = of(alarms(events, BY_COUNTRY))[-1]
    assert causes(told_last)[0].startswith("mix shift: country=de, which is harder, went from 2")


def test_all_segments_that_got_worse_are_no_cause_of_it() -> None:
    events = by_country([(1, 1)] * 3, {"de": (0.1, 0.5), "fr": (0.1, 0.5), "it": (0.1, 0.5)})
    assert causes(of(alarms(events, BY_COUNTRY))[-1]) == [NONE_SEEN]


def part(name: str, before: int, since: int, usual: float, effect: float, values: int = 500) -> Part:
    return Part(name, before, since, usual, Rise(effect, values, 0.01))


def test_segments_of_whom_too_little_is_known_say_nothing() -> None:
    lone = [part("a=x", 500, 500, 0.1, 0.2)]
    assert of_segments(lone, 0.03, rate=True) == []
    unsure = [part("a=x", 500, 500, 0.1, 0.2), part("a=y", 500, 500, 0.1, 0.025)]
    assert of_segments(unsure, 0.03, rate=True) == []
    few = [part("a=x", 500, 500, 0.1, 0.2), part("a=y", 500, 500, 0.1, 0.0, LABELS_MIN - 1)]
    assert of_segments(few, 0.03, rate=True) == []


def test_a_mix_is_looked_at_by_one_name_at_a_time() -> None:
    parts = [part("a=x", 900, 500, 0.1, 0.0), part("a=y", 100, 500, 0.5, 0.0), part("b=z", 1_000, 1_000, 0.1, 0.0)]
    (cause,) = of_segments(parts, 0.03, rate=True)
    assert cause.text.startswith("mix shift: a=y, which is harder, went from 10% to 50% of labels")


def test_the_likeliest_come_first_and_not_more_than_three() -> None:
    many = [Cause(float(weight), f"c{weight}") for weight in range(6)]
    assert told(many, None) == {"cause_1": "c5", "cause_2": "c4", "cause_3": "c3"}
    assert told([], None) == {}


def last_harm(alerts: Sequence[Alert]) -> object:
    return of(alerts, "feature:age")[-1].evidence.detail["harm"]


def test_a_drift_that_labels_show_no_harm_of() -> None:
    rows = ages(1.0)
    for row in rows[WARM + 500 :]:
        row["features"]["age"] -= 1.0
    rows += ages(0.0, rows=900, seed=4)
    alerts = of(alarms(answered(rows, [0.02] * len(rows))), "feature:age")
    assert [str(alert.event) for alert in alerts] == ["opened", "resolved"]
    assert alerts[0].evidence.detail["harm"] == "not known yet"
    assert str(alerts[1].evidence.detail["harm"]).startswith("none seen in ")


def test_a_drift_that_does_harm() -> None:
    """Another unit: what it looks like is told later, and what labels have shown until then."""
    rows = ages(0.0)
    for number, row in enumerate(rows):
        row["features"]["age"] = (50 + row["features"]["age"]) * (1_000 if number >= WARM else 1)
    updated = of(alarms(answered(rows, step(0.1, 0.6), delay=0)), "feature:age")[-1]
    assert updated.evidence.detail["looks_like"] == "unit change"
    assert str(updated.evidence.detail["harm"]).startswith("loss up by ")
    assert f", with {updated.evidence.detail['harm']}; look" in updated.summary


def test_labels_that_are_yet_to_come_say_nothing() -> None:
    rows = ages(1.5)
    assert last_harm(alarms(answered(rows, step(0.1, 0.6), delay=2_000))) == "not known yet"


def test_a_first_label_that_weighs_nothing_says_nothing() -> None:
    events = [prediction(number, row["features"]) for number, row in enumerate(ages(1.5))]
    events.insert(12, outcome(10, weight=0.0, at=11 * SECOND))
    assert last_harm(alarms(events, msgspec.structs.replace(CONFIG, task="multiclass"))) == "not known yet"


def test_harm_is_told_of_a_loss_of_either_sort() -> None:
    assert harm(Rise(0.2, 500, 0.01), 0.03, rate=True) == "loss up by 20.0%"
    assert harm(Rise(0.8, 500, 0.05), 0.25, rate=False) == "loss up by 0.8 standard deviations"
    cut = Rise(12.0, 500, 0.05, at_least=True)
    assert harm(cut, 0.25, rate=False) == "loss up by at least 12.0 standard deviations"
    assert harm(Rise(0.01, 700, 0.01), 0.03, rate=True) == "none seen in 700 labels since"
    assert harm(Rise(0.01, 700, 0.0101), 0.03, rate=True) == "not known yet"
    assert harm(Rise(0.0, 96, 0.03), 0.03, rate=True) == "not known yet"
    assert harm(Rise(0.0, 200, 0.08), 0.25, rate=False) == "none seen in 200 labels since"
    assert harm(Rise(0.9, LABELS_MIN - 1, 0.01), 0.03, rate=True) == "not known yet"


@pytest.mark.parametrize("rows", [0, 1, 500, 5_000, 40_000])
def test_since_when_rows_came_after_a_time_is_known_as_well_as_when_a_row_came(rows: int) -> None:
    timeline = Timeline()
    timeline.extend(rows, lambda some: [factor * row for row in some for factor in (10, 1)])
    for row in {0, rows // 3, max(0, rows - 40), max(0, rows - 1)}:
        found = timeline.since(row * 10, rows - 1)
        assert row <= found or found == rows == 0 or found >= row - 16
        assert abs(found - row) <= max(16, (rows - row) // 8)
