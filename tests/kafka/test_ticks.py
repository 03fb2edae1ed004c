"""Ticks on the control topic: who writes them, what they are, and that a replay sees time pass by them."""

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest
from confluent_kafka import Message, Producer
from structlog.testing import capture_logs

from detectors.config import ModelConfig, MonitorConfig
from schemas.codec import Decoder
from schemas.events import Control, ControlAction
from schemas.records import Record
from schemas.topics import Stream
from streams import embedded
from streams.connection import client_settings
from streams.settings import Settings
from streams.state import EffectLike
from streams.telemetry import NoTelemetry
from streams.ticks import Ticks
from streams.topic_range import TopicRange
from tests.transport.mock_cluster import mock_cluster
from tests.transport.workers import PARTITIONS, make_topics, read, settings_for

pytestmark = pytest.mark.broker

NOW_S = 1_760_000_000.5
PATIENCE_S = 60.0


class Counted(NoTelemetry):
    def __init__(self) -> None:
        self.ticks: list[int] = []

    def tick(self, partition: int) -> None:
        self.ticks.append(partition)


def ticks_of(
    settings: Settings, counted: Counted, partitions: Callable[[], Collection[int]], every_s: float = 0.05
) -> Ticks:
    return Ticks(
        client_settings(settings.kafka),
        settings.kafka.topics.control,
        partitions,
        counted,
        every_s=every_s,
        clock=lambda: NOW_S,
    )


@asynccontextmanager
async def running(ticks: Ticks) -> AsyncIterator[None]:
    task = asyncio.create_task(ticks.run())
    try:
        yield
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def run_until(ticks: Ticks, done: Callable[[], bool]) -> None:
    async with running(ticks):
        await until(done)


def taken(message: Message) -> object:
    record = Record(
        message.topic(), message.partition(), message.offset(), message.timestamp()[1], message.key(), message.value()
    )
    return Decoder().decode(Stream.CONTROL, record)


def test_each_partition_of_a_worker_is_told_in_its_own_partition_that_time_passes(bootstrap: str):
    settings, counted = settings_for(bootstrap), Counted()
    make_topics(settings)
    asyncio.run(run_until(ticks_of(settings, counted, lambda: (1, 3)), lambda: len(counted.ticks) >= 6))
    messages = read(settings, Stream.CONTROL)
    assert {message.partition() for message in messages} == {1, 3}
    events = [taken(message) for message in messages]
    assert [event for event in events if not isinstance(event, Control) or event.action is not ControlAction.TICK] == []
    assert [event.partition for event in events] == [message.partition() for message in messages]  # type: ignore[attr-defined]
    assert {message.key() for message in messages} == {None}
    assert {event.ts for event in events} == {int(NOW_S * 1000)}  # type: ignore[attr-defined]
    assert len({event.id for event in events}) == len(events)  # type: ignore[attr-defined]
    assert max(len(message.value()) for message in messages) < 150


def test_nothing_is_written_while_a_rebalance_runs(bootstrap: str):
    settings, counted = settings_for(bootstrap), Counted()
    make_topics(settings)
    owned: list[int] = [0]

    async def with_a_rebalance() -> bool:
        ticks = ticks_of(settings, counted, lambda: tuple(owned))
        async with running(ticks):
            await until(lambda: len(counted.ticks) > 0)
            owned.clear()
            await until(lambda: not ticks.under_way)
            before = len(counted.ticks)
            await asyncio.sleep(0.3)  # six ticks' time: only a wait can show that nothing comes
            quiet = len(counted.ticks) == before
            owned.append(2)
            await until(lambda: counted.ticks[-1] == 2)
        return quiet

    assert asyncio.run(with_a_rebalance())


def test_ticks_can_be_off():
    ticks = ticks_of(settings_for("127.0.0.1:9"), Counted(), lambda: (0,), every_s=0.0)
    asyncio.run(asyncio.wait_for(ticks.run(), PATIENCE_S))


def test_brokers_that_are_not_there_are_said_once_and_end_nothing():
    ticks = ticks_of(settings_for("127.0.0.1:9"), Counted(), lambda: (0,), every_s=0.01)

    async def for_a_while() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(ticks.run(), 1.0)

    with capture_logs() as lines:
        asyncio.run(for_a_while())
    assert [line["event"] for line in lines] == ["no ticks can be written"]


def test_an_end_while_brokers_are_still_asked_leaves_no_connection_open():
    with mock_cluster() as cluster:
        cluster.hang()
        ticks = ticks_of(settings_for(cluster.bootstrap), Counted(), lambda: (0,))

        async def broken_off() -> None:
            with suppress(TimeoutError):
                await asyncio.wait_for(ticks.run(), 0.5)

        asyncio.run(broken_off())
        gc.collect()  # what is left open is complained of when it goes, and a warning is an error
        cluster.go_on()


def test_brokers_that_hang_leave_one_tick_waiting_and_get_more_when_they_go_on():
    with mock_cluster() as cluster:
        settings, counted = settings_for(cluster.bootstrap), Counted()

        async def through_a_hang() -> int:
            ticks = ticks_of(settings, counted, lambda: range(PARTITIONS))
            async with running(ticks):
                await until(lambda: len(counted.ticks) > PARTITIONS)
                cluster.hang()
                await asyncio.sleep(1.0)  # twenty ticks' time
                waiting, before = len(ticks.under_way), len(counted.ticks)
                cluster.go_on()
                await until(lambda: len(counted.ticks) > before + 2 * PARTITIONS)
            return waiting

        assert asyncio.run(through_a_hang()) == PARTITIONS


def test_a_replay_of_the_topics_sees_time_pass_by_the_ticks(bootstrap: str):
    monitor = MonitorConfig(defaults=ModelConfig(metrics_window="2s"))
    settings = msgspec.structs.replace(settings_for(bootstrap), monitor=monitor)
    make_topics(settings)
    event = {"type": "prediction", "v": 1, "id": "p", "model": "amber", "ts": 1, "features": {"a": 1}, "prediction": 1}
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(settings.kafka.topics.predictions, json.dumps(event).encode(), key=b"amber", partition=0)
    assert producer.flush(20) == 0
    assert replayed(settings) == []
    time.sleep(4.0)  # the brokers' clock counts, and nobody can set it
    counted = Counted()
    asyncio.run(run_until(ticks_of(settings, counted, lambda: range(PARTITIONS)), lambda: len(counted.ticks) >= 8))
    assert {json.loads(effect.value)["model"] for effect in replayed(settings)} == {"amber"}


def replayed(settings: Settings) -> list[EffectLike]:
    """The metrics events of a replay of what lies on the topics."""
    effects: list[EffectLike] = []
    embedded.run(TopicRange(settings.kafka), settings, sinks=[effects.append], any_stream=False)
    return [effect for effect in effects if effect.stream == Stream.METRICS]
