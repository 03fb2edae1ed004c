"""Between which times an alarm dates its change: nine times in ten that must be right."""

import numpy as np
import pytest

from detectors.config import ModelConfig
from schemas.events import Alert
from tests.detectors.banks.watched import bank
from tests.detectors.events import SECOND, START, Event, balanced, chances, outcome, prediction, run

STREAMS, CHANGE = 300, 1_500


def changed(kind: str, size: float, seed: int, rows: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    if kind == "bits":
        shares = np.where(np.arange(rows) < CHANGE, 0.1, 0.1 + size)[:, None]
        return (draw.random((rows, STREAMS)) < shares).astype(float)
    values = draw.normal(size=(rows, STREAMS))
    values[CHANGE:] = values[CHANGE:] + size if kind == "shift" else values[CHANGE:] * size
    return values


@pytest.mark.parametrize(
    ("kind", "size", "widest"),
    [
        ("shift", 0.4, 400),
        ("shift", 1.0, 60),
        ("shift", 3.0, 10),
        ("spread", 0.5, 60),
        ("spread", 2.0, 60),
        ("bits", 0.1, 400),
        ("bits", 0.5, 60),
    ],
)
def test_the_dates_between_which_a_change_began_are_right_and_not_wide(kind: str, size: float, widest: int) -> None:
    """As many values since as lie between the true change and the report, which comes soon after it."""
    watching = bank(STREAMS, bits=kind == "bits", sided=kind == "bits", asked=3e5)
    found = [each for each in watching.update(changed(kind, size, 17, 4_000)) if each.row >= CHANGE]
    right = [each.since_low <= each.row - CHANGE + 1 <= each.since_high for each in found]
    widths = [each.since_high - each.since_low for each in found]
    print(f"seed 17, {kind} {size}: {np.mean(right):.3f} of {len(found)} are right, {np.median(widths)} wide")  # noqa: T201
    assert len(found) > 0.95 * STREAMS
    assert np.mean(right) >= 0.85
    assert np.median(widths) <= widest
    assert all(1 <= each.since_low <= each.since <= each.since_high for each in found)


def test_what_got_better_has_no_dates() -> None:
    values = np.array([*chances(1, 1_500, 0.4), *chances(2, 800, 0.1)], dtype=float)[:, None]
    (found,) = bank(bits=True, sided=True).update(values)
    assert (found.since_low, found.since_high) == (-1, -1)


def in_its_dates(alert: Alert, change: int) -> bool:
    detail = alert.evidence.detail
    low, high = detail["change_point_low"], detail["change_point_high"]
    assert isinstance(low, int)
    assert isinstance(high, int)
    assert alert.evidence.change_point is not None
    assert low <= alert.evidence.change_point.ts <= high <= alert.ts
    return low <= START + change * SECOND <= high


def test_an_alarm_has_them_as_times() -> None:
    """Each feature changes at a time of its own, by a size of its own."""
    draw, features, rows = np.random.default_rng(23), 40, 2_600
    changes, sizes = draw.integers(1_200, 2_200, features), draw.uniform(0.5, 3.0, features)
    values = draw.normal(size=(rows, features)) + np.where(np.arange(rows)[:, None] >= changes, sizes, 0.0)
    events = [
        prediction(number, {f"f{each}": float(value) for each, value in enumerate(row)})
        for number, row in enumerate(values)
    ]
    opened = run(events, ModelConfig(metrics_window="1d"), (200,)).began
    own = [alert for alert in opened if alert.signal.startswith("feature:f")]
    right = [in_its_dates(alert, int(changes[int(alert.signal.removeprefix("feature:f"))])) for alert in own]
    print(f"seed 23: {np.mean(right):.3f} of {len(right)} are right")  # noqa: T201
    assert len(right) > 0.9 * features
    assert np.mean(right) >= 0.85


def test_of_losses_they_are_the_times_of_the_predictions() -> None:
    """Labels come ten minutes late; what is wrong are predictions, and they have their own time."""
    errors = [*chances(5, 1_800, 0.1), *chances(6, 900, 0.5)]
    events: list[Event] = []
    for number, event in enumerate(balanced(errors)):
        asked, told = divmod(number, 2)
        events.append(event if not told else outcome(asked, event["label"], at=(asked + 600) * SECOND))
    events.sort(key=lambda event: event.get("at", 0))
    (alert,) = [alert for alert in run(events, ModelConfig(metrics_window="1d")).began if alert.signal == "loss"]
    low = alert.evidence.detail["change_point_low"]
    assert isinstance(low, int)
    assert START + 1_700 * SECOND <= low <= START + 1_800 * SECOND


def test_the_date_of_a_loss_lies_between_them_where_labels_take_differently_long() -> None:
    delays = np.random.default_rng(3).integers(0, 1_500, 3_600)
    for seed in range(6):
        events: list[Event] = []
        for number, event in enumerate(balanced([*chances(seed, 2_400, 0.1), *chances(seed + 9, 1_200, 0.5)])):
            asked, told = divmod(number, 2)
            at = (asked + int(delays[asked])) * SECOND + 1
            events.append(outcome(asked, event["label"], at=at) if told else event)
        events.sort(key=lambda event: event.get("at", 0))
        (alert, *_) = [one for one in run(events, ModelConfig(metrics_window="1d")).began if one.signal == "loss"]
        in_its_dates(alert, 2_400)
