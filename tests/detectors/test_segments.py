"""Monitors of their own for the segments that the configuration names."""

from random import Random

from detectors.config import ModelConfig
from detectors.versions import VERSIONS_MAX
from tests.detectors.events import SECOND, Event, control, normal, prediction, run, summary

BY_COUNTRY = ModelConfig(baseline_rows=200, segments=("country",))


def traffic(rows: int, drifting: str, since: int, share: float = 1.0) -> list[Event]:
    """Three countries alike; in one the age shifts, by half a standard deviation of the whole at most."""
    draw = Random(5)
    events = []
    for number, age in enumerate(normal(6, rows)):
        country = draw.choice(("de", "fr", "it"))
        shift = 3.0 * share if country == drifting and number >= since else 0.0
        events.append(prediction(number, {"age": age + shift}, segments={"country": country}))
    return events


def test_only_the_segment_that_drifts_is_named_besides_the_whole_model() -> None:
    opened = run(traffic(2_400, "de", 1_500), BY_COUNTRY).began
    assert {(alert.segment, alert.signal) for alert in opened} == {
        (None, "feature:age"),
        ("country=de", "feature:age"),
    }


def test_a_drift_too_small_for_the_whole_shows_in_its_segment() -> None:
    opened = run(traffic(3_000, "de", 1_500, share=0.2), BY_COUNTRY).began
    assert [alert.segment for alert in opened] == ["country=de"]


def test_segments_that_nobody_declared_are_not_watched() -> None:
    opened = run(traffic(2_400, "de", 1_500), ModelConfig(baseline_rows=200)).began
    assert [alert.segment for alert in opened] == [None]


def test_values_beyond_the_limit_share_one_monitor() -> None:
    draw = Random(1)
    events = []
    for number, age in enumerate(normal(2, 3_000)):
        country = draw.choice(("de", "fr", "it", "es"))
        shift = 3.0 if country in ("it", "es") and number >= 2_000 else 0.0
        events.append(prediction(number, {"age": age + shift}, segments={"country": country}))
    first_two = {event["segments"]["country"] for event in events[:2]}
    assert len(first_two) == 2
    config = ModelConfig(baseline_rows=200, segments=("country",), segment_values_max=2)
    segments = {alert.segment for alert in run(events, config).began} - {None}
    assert segments == {"country=*"} | {f"country={value}" for value in first_two & {"it", "es"}}


def test_after_a_new_baseline_segment_values_are_counted_anew() -> None:
    config = ModelConfig(baseline_rows=50, segments=("country",), segment_values_max=3)
    events = traffic(2_400, "it", 1_500)
    words = [*events[:300], control("baseline", "b", at=300_000), *events[300:]]
    assert {alert.segment for alert in run(words, config).began} == {None, "country=it"}


def test_a_mute_of_one_segment_leaves_the_others_awake() -> None:
    events = traffic(2_400, "de", 1_500)
    muted = [control("mute", "m", segment="country=de", at=0), *events]
    assert [alert.segment for alert in run(muted, BY_COUNTRY).began] == [None]


def test_a_segment_asks_for_no_retrain_of_its_own() -> None:
    assert {asked.model for asked in run(traffic(2_400, "de", 1_500), BY_COUNTRY).retrains} == set()


def test_the_version_not_asked_for_longest_makes_room_and_its_alarms_are_closed() -> None:
    moved = [*normal(1, 1_100, 0, 1), *normal(2, 300, 3, 1)]
    first = [prediction(number, features={"x": value}, version="v0") for number, value in enumerate(moved)]
    later = [
        prediction(10_000 + number, features={"x": 0.0}, version=f"v{1 + number}", at=(len(moved) + number) * SECOND)
        for number in range(VERSIONS_MAX)
    ]
    told = run([*first, *later])
    assert summary(told.alerts) == [("opened", "feature:x"), ("resolved", "feature:x")]
    assert told.alerts[-1].evidence.detail["why"] == "replaced"
    assert told.alerts[-1].version == "v0"


def test_challengers_beyond_the_limit_never_reach_the_champions_monitor() -> None:
    champion = [prediction(number, features={"x": value}) for number, value in enumerate(normal(1, 1_500, 0, 1))]
    shadows = [
        prediction(
            50_000 + number, features={"x": 50.0}, version=f"c{number}", role="challenger", at=(1_500 + number) * SECOND
        )
        for number in range(3 * VERSIONS_MAX)
    ]
    assert run([*champion, *shadows]).alerts == []
