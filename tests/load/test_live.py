"""Events sent live: of now, under ids of their own run, still what the contract says."""

from datetime import datetime
from itertools import islice

import orjson
import pytest

from load.live import Days, live, sped_up, steadily
from load.scenarios import DAY_MS, DAY_STARTS_MS, Event, InjectedDrift, scenario
from schemas.times import to_ms
from schemas.topics import Stream

SEED = 3
NOW_MS = 1_800_000_000_123


def an_event(at_ms: int = DAY_STARTS_MS, ts: int | str = DAY_STARTS_MS) -> Event:
    return Event(at_ms, Stream.OUTCOMES, "churn", {"type": "outcome", "id": "churn-000001", "ts": ts, "label": True})


def test_an_event_sent_live_is_of_now_and_of_its_run() -> None:
    sent = orjson.loads(live(an_event(), NOW_MS, "run"))
    assert sent == {"type": "outcome", "id": "run-churn-000001", "ts": NOW_MS, "label": True}


def test_a_model_that_writes_times_as_text_goes_on_doing_so() -> None:
    sent = orjson.loads(live(an_event(ts="2026-01-05T00:00:00.000Z"), NOW_MS, "run"))
    assert sent["ts"] == "2027-01-15T08:00:00.123+00:00"


def test_a_steady_pace_knows_no_hour() -> None:
    assert [steadily(500)(number, an_event()) for number in (0, 500, 750)] == [0.0, 1.0, 1.5]


def test_a_sped_up_day_keeps_its_own_curve() -> None:
    assert sped_up(3_600)(99, an_event(DAY_STARTS_MS + 7_200_000)) == 2.0


def test_one_day_tells_of_every_drift_as_it_begins() -> None:
    told: list[InjectedDrift] = []
    events = Days(SEED).events(told.append)
    first = next(events)
    assert told == []
    last = max(event.at_ms for event in events)
    assert sorted(told, key=lambda drift: drift.starts_ms) == told
    assert set(told) == set(scenario(SEED).truth)
    assert first.at_ms < told[0].starts_ms <= last < DAY_STARTS_MS + DAY_MS


def test_an_endless_run_goes_on_with_the_next_seeds_day_under_other_ids() -> None:
    count = scenario(SEED).event_count()
    before, after = islice(Days(SEED, endless=True).events(lambda _drift: None), count - 1, count + 1)
    assert before.fields["id"].startswith(f"{SEED}-")
    assert after.fields["id"].startswith(f"{SEED + 1}-")
    assert before.at_ms < DAY_STARTS_MS + DAY_MS <= after.at_ms


@pytest.mark.parametrize("stream", [Stream.PREDICTIONS, Stream.OUTCOMES])
def test_the_time_in_an_event_is_its_time_of_arrival(stream: Stream) -> None:
    events = (event for event in scenario(SEED).events() if event.stream is stream)
    for event in islice(events, 500):
        assert to_ms_of(event.fields["ts"]) == event.at_ms


def to_ms_of(ts: int | str) -> int:
    return ts if isinstance(ts, int) else to_ms(datetime.fromisoformat(ts))
