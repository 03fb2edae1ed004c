"""Alerts, read back: from their topic, without a group and without a trace, or from the files of a replay."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.events import Alert
from streams import written
from streams.connection import client_settings, start_client
from streams.offsets import Offsets
from streams.sections import KafkaSettings
from streams.written import ALERTS, EVENTS_READ_MAX, Tell, WrittenTopic

STRETCH = 10_000  # of the newest that are looked at first where only one is wanted; then as many before them
RECENT_MAX = 10_000  # ids that tell a repeat while following: repeats come within one commit of a worker
QUIET_S = 30.0  # after so long without a record, the brokers are asked whether they are still there
ANSWER_S = 20.0
POLL_MS = 1_000

Alerts = AsyncGenerator[Alert, None]


async def in_directory(directory: Path) -> Alerts:
    for _, alert in written.lines_in(directory, ALERTS):
        yield alert


def on_topic(kafka: KafkaSettings, tell: Tell, most: int = EVENTS_READ_MAX) -> Alerts:
    return written.on_topic(kafka, ALERTS, tell, most)


async def newest_first(kafka: KafkaSettings, tell: Tell, stretch: int = STRETCH) -> AsyncGenerator[list[Alert], None]:
    """Stretch by stretch of each partition, from the end of the topic to its beginning; in one, the oldest first."""
    topic = await WrittenTopic.asked(kafka, ALERTS, tell)
    async with Offsets(client_settings(kafka)) as offsets:
        starts, ends = await topic.range(offsets, EVENTS_READ_MAX)
        while any(ends[tp] > starts[tp] for tp in ends):
            begins = {tp: max(starts[tp], ends[tp] - stretch) for tp in ends if ends[tp] > starts[tp]}
            pieces = topic.read(offsets, begins, ends)
            yield [alert async for records in pieces for alert in topic.events(records)]
            ends = {**ends, **begins}


async def live(kafka: KafkaSettings, since: int | None, tell: Tell) -> Alerts:
    """Those that come from now on, each once; with ``since``, those that were appended since then before them."""
    topic = await WrittenTopic.asked(kafka, ALERTS, tell)
    consumer = AIOKafkaConsumer(**client_settings(kafka), enable_auto_commit=False, auto_offset_reset="earliest")
    recent: dict[str, None] = {}
    try:
        await start_client(consumer)
        consumer.assign(topic.partitions)
        for tp, place in (await _places(consumer, topic.partitions, since)).items():
            consumer.seek(tp, place)
        tell(f"following {topic.name}; Ctrl-C ends it")
        async for records in fetched(consumer, topic.partitions, tell):
            for alert in topic.events(records):
                if alert.id not in recent:
                    recent[alert.id] = None
                    yield alert
                if len(recent) > RECENT_MAX:
                    del recent[next(iter(recent))]
    except KafkaError as error:
        raise written.failed(kafka, error) from error
    finally:
        await consumer.stop()


async def _places(
    consumer: Any, partitions: Iterable[TopicPartition], since: int | None
) -> Mapping[TopicPartition, int]:
    places: dict[TopicPartition, int] = await consumer.end_offsets(list(partitions))
    if since is None:
        return places
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, max(0, since)))
    return places | {tp: place.offset for tp, place in found.items() if place is not None}


async def fetched(consumer: Any, partitions: list[TopicPartition], tell: Tell) -> AsyncIterator[list[Any]]:
    """Records for ever. That the brokers are away is said once, and again when they answer."""
    away, empty = False, 0
    while True:
        by_partition = await consumer.getmany(*partitions, timeout_ms=POLL_MS)
        empty = 0 if by_partition else empty + 1
        for records in by_partition.values():
            yield records
        if empty * POLL_MS < QUIET_S * 1_000:
            continue
        empty, answered = 0, False
        with suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(consumer.end_offsets(partitions), ANSWER_S)
            answered = True
        if answered is away:
            tell("brokers answer again" if answered else "brokers do not answer; it goes on when they do")
            away = not answered
