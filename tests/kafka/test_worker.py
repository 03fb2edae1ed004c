"""What a worker says and does around its work: before it starts, when it is paused, when it is asked to end."""

import asyncio
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions

from load.site.workers import wait_until
from schemas.topics import Stream
from streams.connection import Permissions
from streams.sections import KafkaSettings
from streams.topics import Made, TopicsError, create, verify
from tests.transport.workers import PARTITIONS, Input, make_topics, settings_for, told, truth, wait_for_told, workers

pytestmark = pytest.mark.broker


def let_producers_stamp(admin: AdminClient, topic: str) -> None:
    stamps = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[stamps])
    admin.incremental_alter_configs([changed])[changed].result(20)


def said_about(kafka: KafkaSettings, lines: int, within_s: float = 20) -> Sequence[str]:
    """What is wrong, once the broker has taken in what the test changed."""
    said: Sequence[str] = ()
    until = time.monotonic() + within_s
    while len(said) < lines and time.monotonic() < until:
        try:
            asyncio.run(verify(kafka))
        except TopicsError as error:
            said = error.lines
    return said


def test_topics_are_made_once_and_are_then_as_a_worker_needs_them(bootstrap: str):
    kafka = settings_for(bootstrap).kafka
    assert set(asyncio.run(create(kafka)).values()) == {Made.CREATED}
    assert set(asyncio.run(create(kafka)).values()) == {Made.EXISTS}
    asyncio.run(verify(kafka))


def test_everything_that_is_wrong_with_the_topics_is_said_at_once(bootstrap: str):
    settings = settings_for(bootstrap)
    make_topics(settings)
    names = settings.kafka.topics
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.delete_topics([names.control])[names.control].result(20)
    admin.create_partitions([NewPartitions(names.outcomes, 6)])[names.outcomes].result(20)
    let_producers_stamp(admin, names.predictions)

    lines = said_about(settings.kafka, 3)
    said = "\n".join(lines)
    assert f"{names.control}: is not there" in said
    assert f"6 in {names.outcomes}" in said
    assert f"{names.predictions}: message.timestamp.type is CreateTime" in said
    assert len(lines) == 3


def test_producers_clocks_can_be_allowed_on_a_real_topic(bootstrap: str):
    settings = settings_for(bootstrap)
    make_topics(settings)
    name = settings.kafka.topics.predictions
    let_producers_stamp(AdminClient({"bootstrap.servers": bootstrap}), name)
    asyncio.run(verify(settings.kafka, Permissions(create_time=True)))


def test_a_worker_that_is_asked_to_end_leaves_the_group_and_ends_well(bootstrap: str, tmp_path: Path):
    settings = settings_for(bootstrap)
    make_topics(settings)
    source = Input(settings)
    with workers(settings, tmp_path) as group:
        first = group.start()
        source.send(600)
        assert wait_for_told(settings, 1)
        assert first.stop() == 0
        admin = AdminClient({"bootstrap.servers": bootstrap})
        group_id = settings.kafka.group
        assert admin.describe_consumer_groups([group_id])[group_id].result(20).members == []
        source.send(600)
        group.start()
        expected = truth(settings)
        assert wait_for_told(settings, len(expected)) == expected


def test_a_worker_that_slept_through_its_session_repeats_at_most_the_same_events(bootstrap: str, tmp_path: Path):
    settings = settings_for(bootstrap)
    make_topics(settings)
    source = Input(settings)
    with workers(settings, tmp_path) as group:
        first = group.start()
        source.send(1_500)
        assert wait_for_told(settings, 1)
        group.start()
        source.send(1_500, per_second=1_500)
        first.process.send_signal(signal.SIGSTOP)
        source.send(1_500)
        expected = truth(settings)
        assert wait_for_told(settings, len(expected))
        first.process.send_signal(signal.SIGCONT)
        source.send(1_500, per_second=1_500)
        expected = truth(settings)
        wait_for_told(settings, len(expected))
        assert sorted(set(told(settings))) == expected


def test_an_unexpected_error_ends_the_worker_at_once_and_the_next_one_applies_what_it_had_in_hand(
    bootstrap: str, tmp_path: Path
):
    settings = settings_for(bootstrap)
    make_topics(settings)
    with workers(settings, tmp_path, "--broken") as group:
        broken = group.start()
        Input(settings).send(600)
        assert broken.process.wait(20) == 70
        assert str(broken).count("ZeroDivisionError('with") == 1
    with workers(settings, tmp_path) as group:
        group.start()
        expected = truth(settings)
        assert wait_for_told(settings, len(expected)) == expected


def test_the_watchdog_ends_a_worker_whose_loop_is_blocked_with_one_clear_line(bootstrap: str, tmp_path: Path):
    settings = settings_for(bootstrap, watchdog_stall="10s")
    make_topics(settings)
    with workers(settings, tmp_path, "--stuck") as group:
        stuck = group.start()
        # What waits while a worker begins would be noticed before its loop is blocked.
        wait_until(lambda: str(stuck).count("began without state") == PARTITIONS, "it can begin")
        Input(settings).send(600)
        assert stuck.process.wait(60) == 75
        assert "driftline: ended by the watchdog: the event loop does not turn for 10 s; start it again" in str(stuck)


def test_a_topic_that_vanishes_ends_the_worker_with_its_name(bootstrap: str, tmp_path: Path):
    settings = settings_for(bootstrap)
    make_topics(settings)
    name = settings.kafka.topics.of(Stream.CONTROL)
    with workers(settings, tmp_path) as group:
        worker = group.start()
        Input(settings).send(600)
        assert wait_for_told(settings, 1)
        admin = AdminClient({"bootstrap.servers": bootstrap})
        admin.delete_topics([name])[name].result(20)
        assert worker.process.wait(28) == 70
        assert name in str(worker)
