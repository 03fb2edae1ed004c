"""Nothing drifts, nobody is paged."""

from random import Random

import pytest

from detectors.config import ModelConfig
from tests.detectors.events import Event, outcome, prediction, records, run_records

ROWS = 100_000


def healthy(seed: int) -> list[Event]:
    """Inputs of each kind, a lopsided one among them; one prediction in 25 gets its outcome, one of ten is wrong."""
    draw = Random(seed)
    events: list[Event] = []
    for number in range(ROWS):
        features = {
            "age": draw.gauss(40, 12),
            "spend": draw.expovariate(0.01) if draw.random() > 0.01 else None,
            "plan": draw.choices(("free", "pro", "team"), (6, 3, 1))[0],
            "paid": draw.random() < 0.3,
        }
        events.append(prediction(number, features, prediction="yes", score=draw.betavariate(2, 5)))
        if number % 25 == 0:
            events.append(outcome(number, "no" if draw.random() < 0.1 else "yes"))
    return events


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_healthy_stream_opens_no_alarm_in_a_hundred_thousand_rows(seed: int) -> None:
    told = run_records(records(healthy(seed)), ModelConfig(task="binary", positive="yes"), (5_000,))
    assert [alert.summary for alert in told.alerts] == []
    assert told.retrains == []
