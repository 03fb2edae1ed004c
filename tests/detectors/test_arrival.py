"""How predictions come: duplicates, stale ones, and how that is told."""

from random import Random

import pytest

from detectors.config import ModelConfig
from schemas.events import AlertEvent, Kind, Severity
from tests.detectors.events import SECOND, START, Event, chances, prediction, run

CONFIG = ModelConfig(baseline_rows=300, silence_after="off")


def stream(rows: int, seed: int, twice: range = range(0), stale: range = range(0), share: float = 0.5) -> list[Event]:
    """A second apart. In ``twice`` a share of predictions comes again at once; in ``stale`` one is an hour old."""
    draw = Random(seed)
    events = []
    for row in range(rows):
        at = row * SECOND
        lag = 3_600 * SECOND if row in stale and draw.random() < share else draw.randrange(3 * SECOND)
        event = prediction(row, {"age": draw.gauss(0, 1)}, ts=START + at - lag)
        events.append(event)
        if row in twice and draw.random() < share:
            events.append(dict(event))
    return events


def test_predictions_that_come_twice_are_told_of_and_are_no_emergency() -> None:
    result = run(stream(3_000, 1, twice=range(1_500, 3_000)), CONFIG)
    (opened,) = result.alerts
    assert (opened.kind, opened.signal) == (Kind.DATA_QUALITY, "duplicates")
    assert opened.severity is not Severity.CRITICAL
    assert START + 1_500 * SECOND < opened.ts < START + 1_900 * SECOND
    assert "predictions that were followed by one of the same id" in opened.summary
    assert sum(count.duplicate for count in result.counts.values()) > 600


def test_a_retry_of_a_few_is_not_worth_a_page() -> None:
    assert run(stream(3_000, 2, twice=range(1_500, 1_520), share=1.0), CONFIG).alerts == []


def test_stale_predictions_are_told_of_and_closed_when_they_are_fresh_again() -> None:
    opened, resolved = run(stream(6_000, 3, stale=range(1_500, 3_000)), CONFIG).alerts
    assert (opened.kind, opened.signal, opened.severity) == (Kind.DATA_QUALITY, "stale", Severity.CRITICAL)
    assert opened.evidence.effect is not None
    assert 0.4 < opened.evidence.effect < 0.6
    assert resolved.event is AlertEvent.RESOLVED


def test_what_was_rare_is_told_in_full_once_it_is_not() -> None:
    rare = stream(3_000, 3, stale=range(1_500, 3_000), share=0.25)
    for row in range(7, 1_500, 250):
        rare[row]["ts"] -= 3_600 * SECOND
    (opened,) = run(rare, CONFIG).alerts
    assert (opened.signal, opened.severity) == ("stale", Severity.CRITICAL)
    assert opened.evidence.baseline == pytest.approx(0.005, abs=0.001)
    assert opened.evidence.detail["after"] == pytest.approx(0.25, abs=0.05)


def test_what_always_comes_late_or_twice_is_usual() -> None:
    always = range(6_000)
    assert run(stream(6_000, 4, twice=always, stale=always), CONFIG).alerts == []


def test_a_clock_that_is_ahead_is_stale_too() -> None:
    events = stream(3_000, 5)
    ahead = [
        event | {"ts": event["ts"] + 3_600 * SECOND} if row >= 1_500 else event for row, event in enumerate(events)
    ]
    assert [alert.signal for alert in run(ahead, CONFIG).alerts] == ["stale"]


def test_without_the_detector_that_keeps_to_the_budget_they_are_only_counted() -> None:
    config = ModelConfig(detectors=("adwin",), silence_after="off")
    assert run(stream(3_000, 1, twice=range(1_500, 3_000)), config).alerts == []


def test_batches_and_restarts_make_no_difference() -> None:
    events = stream(2_500, 6, twice=range(1_000, 2_500), stale=range(1_500, 2_500))
    slow = chances(7, len(events), 0.5)
    events = [event | {"latency_ms": 500.0 if row > 1_800 and slow[row] else 20.0} for row, event in enumerate(events)]
    whole = run(events, CONFIG, (len(events),))
    assert {alert.signal for alert in whole.alerts} == {"duplicates", "stale", "latency"}
    for sizes in ((1_001, 3, 2), (97, 64)):
        assert run(events, CONFIG, sizes, restoring=True) == whole
