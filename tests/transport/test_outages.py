"""Rebalances and brokers that hang: every event once, and the worker goes on by itself."""

import time
from collections import Counter
from pathlib import Path

import pytest
from confluent_kafka import Producer

from schemas.topics import Stream
from streams.settings import Settings
from streams.worker import EXIT_UNEXPECTED
from tests.transport.mock_cluster import Cluster, mock_cluster
from tests.transport.workers import Input, header, read, settings_for, wait_for_told, workers

SMALL = 20  # bytes: a mock partition forgets what lies 5 MB back
EVERY = 50  # records of a partition for each event, as ChainEngine has it


@pytest.fixture
def cluster():
    with mock_cluster() as cluster:
        yield cluster


def prepared(cluster: Cluster) -> Settings:
    settings = settings_for(cluster.bootstrap)
    producer = Producer({"bootstrap.servers": cluster.bootstrap})
    for stream in Stream:
        producer.list_topics(settings.kafka.topics.of(stream), timeout=10)  # asking makes it
    return settings


def expected_ids(settings: Settings) -> list[str]:
    counts = Counter(m.partition() for stream in settings.kafka.topics.inputs.values() for m in read(settings, stream))
    return sorted(f"{number}-{n * EVERY}" for number, count in counts.items() for n in range(1, count // EVERY + 1))


def ids(settings: Settings, expected: int) -> list[str]:
    return [event_id for event_id, _ in wait_for_told(settings, expected)]


def test_a_broker_that_hangs_in_full_flight_costs_nothing_but_a_start(cluster: Cluster, tmp_path: Path):
    settings = prepared(cluster)
    source = Input(settings, SMALL)
    with workers(settings, tmp_path, "--unverified") as group:
        worker = group.start()
        source.send(2_000)
        assert wait_for_told(settings, 1)
        source.send(2_000)
        cluster.hang()
        time.sleep(8)  # longer than the session lasts
        if worker.process.poll() is not None:  # it had events under way, which somebody else could have sent meanwhile
            assert worker.process.returncode == EXIT_UNEXPECTED
            worker = group.start()
        cluster.go_on()
        source.send(2_000)
        expected = expected_ids(settings)
        assert ids(settings, len(expected)) == expected
        assert worker.process.poll() is None


def test_workers_that_join_and_leave_send_each_event_once(cluster: Cluster, tmp_path: Path):
    settings = prepared(cluster)
    source = Input(settings, SMALL)
    with workers(settings, tmp_path, "--unverified") as group:
        first = group.start()
        source.send(2_000)
        assert wait_for_told(settings, 1)
        second = group.start()
        source.send(2_000, per_second=1_000)
        first.kill()
        source.send(2_000, per_second=1_000)
        expected = expected_ids(settings)
        assert ids(settings, len(expected)) == expected
        assert second.process.poll() is None
        assert len({header(m, "ce_source") for m in read(settings, Stream.ALERTS)}) == 4
