"""Windows of stream time: what they count, and when they close."""

import pytest

from detectors.config import ModelConfig
from detectors.windows import AMENDABLE
from schemas.events import Kind, Metrics
from tests.detectors.events import HOUR, SECOND, START, Event, outcome, prediction, run, tick

MINUTE = 60 * SECOND
BY_MINUTE = ModelConfig(metrics_window="1m", task="binary", positive=1)


def values(events: list[Event], config: ModelConfig = BY_MINUTE) -> list[Metrics]:
    return run(events, config).metrics


def test_a_window_holds_what_happened_in_it() -> None:
    events = [
        prediction(1, score=0.8, latency_ms=10.0, cost=0.5, at=0),
        prediction(2, score=0.8, latency_ms=30.0, cost=1.0, at=10),
        prediction(3, score=0.5, at=20),
        outcome(1, 1.0, at=30),
        outcome(2, 0.0, weight=3.0, at=40),
        outcome(1, 0.0, revision=1, at=50),
        tick(MINUTE),
    ]
    (window,) = values(events)
    assert (window.model, window.version, window.segment) == ("churn", None, None)
    assert (window.window_start, window.window_end, window.ts) == (START, START + MINUTE, START + MINUTE)
    assert window.values == {
        "predictions": 3,
        "joined": 2,
        "corrected": 1,
        "pending": 1,
        "unlabelled_total": 0,
        "orphans_total": 0,
        "evicted_total": 0,
        "loss_mean": 1.0,  # both were wrong, as it turned out
        "log_loss_mean": pytest.approx(1.60944, abs=1e-4),
        "latency_ms_mean": 20.0,
        "latency_ms_max": 30.0,
        "cost_sum": 1.5,
    }


def test_a_corrected_label_amends_the_window_that_counted_it() -> None:
    events = [
        prediction(1, score=0.8, at=0),
        prediction(2, score=0.8, at=1),
        outcome(1, 0.0, at=2),
        outcome(2, 0.0, at=3),
        prediction(3, at=MINUTE),
        outcome(1, 1.0, revision=1, at=MINUTE + 1),
        outcome(2, 1.0, revision=1, at=MINUTE + 2),
        outcome(2, 0.0, revision=2, at=2 * MINUTE),
        tick(3 * MINUTE),
    ]
    told = [(one.window_start - START, one.revision, one.values["loss_mean"]) for one in values(events)]
    assert told == [(0, None, 1.0), (0, 1, 0.0), (MINUTE, None, None), (0, 2, 0.5)]
    first, again, _, last = values(events)
    assert len({first.id, again.id, last.id}) == 3
    assert [one.values["corrected"] for one in (first, again, last)] == [0, 2, 3]
    assert (again.values["predictions"], again.values["joined"]) == (2, 2)


def test_a_correction_of_what_can_no_longer_be_amended_is_told_by_the_window_it_comes_in() -> None:
    config = ModelConfig(metrics_window="1s", task="binary", positive=1, label_horizon="1d")
    late = (AMENDABLE + 10) * SECOND
    events = [prediction(1, at=0), outcome(1, at=1), prediction(2, at=late), outcome(1, 0.0, revision=1, at=late + 1)]
    told = [(one.window_start - START, one.values["corrected"]) for one in values([*events, tick(late + HOUR)], config)]
    assert told == [(0, 0), (late, 1)]


def test_what_a_limit_ended_is_told_as_a_signal_with_the_next_window() -> None:
    config = ModelConfig(metrics_window="1m", pending_max=2)
    signals = run(
        [*[prediction(number, at=number) for number in range(5)], tick(MINUTE), tick(2 * MINUTE)], config
    ).signals
    assert [(one.signal, one.kind, one.evidence.value, one.evidence.threshold) for one in signals] == [
        ("pending_max", Kind.SYSTEM, 3.0, 2.0)
    ]


def test_what_there_was_none_of_is_null_and_not_nought() -> None:
    (window,) = values([prediction(1, at=0), tick(MINUTE)])
    names = ("loss_mean", "log_loss_mean", "latency_ms_mean", "latency_ms_max", "cost_sum")
    assert [window.values[name] for name in names] == [None] * 5


def test_a_window_closes_with_the_first_record_after_it_of_any_kind() -> None:
    for last in (prediction(2, at=MINUTE), outcome(2, at=MINUTE), tick(MINUTE)):
        (window,) = values([prediction(1, at=0), last])
        assert window.values["predictions"] == 1


def test_a_window_does_not_close_before_its_end() -> None:
    assert values([prediction(1, at=0), prediction(2, at=MINUTE - 1)]) == []


def test_windows_lie_on_the_clock_and_empty_ones_are_left_out() -> None:
    events = [prediction(1, at=90 * SECOND), prediction(2, at=HOUR + 5), tick(2 * HOUR)]
    assert [(window.window_start - START, window.values["predictions"]) for window in values(events)] == [
        (MINUTE, 1),
        (HOUR, 1),
    ]


def test_each_version_and_segment_has_its_own() -> None:
    config = ModelConfig(metrics_window="1m", segments=("country",))
    events = [
        prediction(1, at=0, version="1", segments={"country": "de"}),
        prediction(2, at=1, version="2", segments={"country": "de"}),
        prediction(3, at=2, version="2"),
        tick(MINUTE),
    ]
    told = [(one.version, one.segment, one.values["predictions"]) for one in values(events, config)]
    assert told == [("1", None, 1), ("1", "country=de", 1), ("2", None, 2), ("2", "country=de", 1)]


def test_windows_add_up_to_what_came() -> None:
    events = [prediction(number, at=number * 700) for number in range(2_000)]
    windows = values([*events, tick(HOUR)])
    assert sum(int(window.values["predictions"] or 0) for window in windows) == 2_000
    assert {window.values["predictions"] for window in windows[1:-1]} <= {85, 86}


def test_predictions_past_their_horizon_are_counted_as_unlabelled() -> None:
    config = ModelConfig(metrics_window="1m", label_horizon="10m")
    events = [prediction(1, at=0), prediction(2, at=HOUR), tick(2 * HOUR)]
    first, second = values(events, config)
    assert (first.values["unlabelled_total"], second.values["unlabelled_total"]) == (0, 2)


def test_time_that_steps_back_changes_no_window() -> None:
    events = [prediction(1, at=MINUTE), prediction(2, at=0), prediction(3, at=MINUTE + 1), tick(HOUR)]
    assert [(one.window_start - START, one.values["predictions"]) for one in values(events)] == [(MINUTE, 3)]
