"""What a live run wrote is what a replay of its topics says, byte for byte, whatever happened to the workers."""

from pathlib import Path

import pytest

from schemas.topics import Stream
from tests.kafka.live import Site, Traffic, fates_add_up, live_equals_replay, running, wait_until_read

pytestmark = pytest.mark.broker

EVENTS = 18_000  # 3,000 a model: warm-up, a drift, its confirmation and the retrain after it
SEED = 20_260_101


def said_something(sizes: dict[Stream, int]) -> bool:
    return all(sizes[stream] > 0 for stream in (Stream.ALERTS, Stream.RETRAIN, Stream.SIGNALS, Stream.METRICS))


def test_one_worker_writes_what_a_replay_says(bootstrap: str, tmp_path: Path):
    site = Site(bootstrap, tmp_path)
    with running() as start:
        worker = start(site)
        Traffic(site, SEED, EVENTS).send(1.0)
        wait_until_read([worker])
        fates = fates_add_up(worker)
        assert sum(sum(ends.values()) for ends in fates.values()) == site.sent
        assert sum(ends["duplicate"] for ends in fates.values()) == EVENTS / 50
        assert said_something(live_equals_replay(site))
        assert worker.stop() == 0


def test_a_worker_killed_half_way_and_started_again_writes_what_a_replay_says(bootstrap: str, tmp_path: Path):
    site = Site(bootstrap, tmp_path)
    traffic = Traffic(site, SEED + 1, EVENTS)
    with running() as start:
        first = start(site)
        traffic.send(0.7)
        first.kill()
        traffic.send(0.3)
        second = start(site)
        wait_until_read([second])
        fates_add_up(second)
        assert said_something(live_equals_replay(site))


def test_two_workers_one_joining_and_one_leaving_write_what_a_replay_says(bootstrap: str, tmp_path: Path):
    site = Site(bootstrap, tmp_path)
    traffic = Traffic(site, SEED + 2, EVENTS)
    with running() as start:
        first = start(site)
        traffic.send(0.4)
        second = start(site)
        traffic.send(0.3, per_second=2_000)
        wait_until_read([first, second])
        for worker in (first, second):
            fates_add_up(worker)
        assert first.stop() == 0
        traffic.send(0.3)
        wait_until_read([second])
        fates_add_up(second)
        assert said_something(live_equals_replay(site))
