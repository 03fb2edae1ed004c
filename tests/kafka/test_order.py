"""Live order against an offline sort of the topics, on a real broker, whatever happens to the workers."""

from pathlib import Path

import pytest

from tests.transport.workers import Input, make_topics, settings_for, told, truth, wait_for_told, workers

pytestmark = pytest.mark.broker

RECORDS = 6_000  # 30 events for each partition: enough to see a wrong order, few enough for a test


def test_one_worker_applies_the_topics_in_their_sorted_order(bootstrap: str, tmp_path: Path):
    settings = settings_for(bootstrap)
    make_topics(settings)
    with workers(settings, tmp_path) as group:
        worker = group.start()
        Input(settings).send(RECORDS, per_second=3_000)
        expected = truth(settings)
        assert wait_for_told(settings, len(expected)) == expected
        assert worker.stop() == 0


def test_a_worker_killed_half_way_and_started_again_repeats_nothing_and_loses_nothing(bootstrap: str, tmp_path: Path):
    settings = settings_for(bootstrap)
    make_topics(settings)
    source = Input(settings)
    with workers(settings, tmp_path) as group:
        first = group.start()
        source.send(RECORDS // 2, per_second=2_000)
        assert wait_for_told(settings, 1)
        first.kill()
        source.send(RECORDS // 2)
        group.start()
        expected = truth(settings)
        assert wait_for_told(settings, len(expected)) == expected


def test_a_second_worker_that_joins_and_a_first_that_is_killed_leave_each_event_once(bootstrap: str, tmp_path: Path):
    settings = settings_for(bootstrap)
    make_topics(settings)
    source = Input(settings)
    with workers(settings, tmp_path) as group:
        first = group.start()
        source.send(RECORDS // 3, per_second=2_000)
        assert wait_for_told(settings, 1)
        group.start()
        source.send(RECORDS // 3, per_second=1_000)
        first.kill()
        source.send(RECORDS // 3)
        expected = truth(settings)
        assert wait_for_told(settings, len(expected)) == expected
        assert told(settings) == expected
