"""Alerts, read back: from their topic, without a group and without a trace, or from the files of a replay.

Where whoever asks names another stream of results, it is that one's events.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import decode_output
from schemas.events import Alert, Output
from schemas.topics import Stream
from streams.connection import client_settings, start_client
from streams.errors import BrokerError, SourceError
from streams.offsets import Offsets
from streams.partition_counts import partition_counts
from streams.sections import KafkaSettings
from streams.sinks import FILES
from streams.sources import open_files

# Of the newest: at 500 bytes to 2 KiB each a minute of reading, and more than a budget of pages gives in years.
ALERTS_READ_MAX = 1_000_000
STRETCH = 10_000  # of the newest that are looked at first where only one is wanted; then as many before them
UNREADABLE_SHOWN_MAX = 20  # of foreign records on the topic; the rest is passed over
RECENT_MAX = 10_000  # ids that tell a repeat while following: repeats come within one commit of a worker
STALL_S = 60.0  # a broker that gives nothing for so long, though there is more, has stopped answering
QUIET_S = 30.0  # after so long without a record, the brokers are asked whether they are still there
ANSWER_S = 20.0
POLL_MS = 1_000

E = TypeVar("E", bound=Output)
Tell = Callable[[str], None]
Alerts = AsyncGenerator[Alert, None]


async def in_directory(directory: Path) -> Alerts:
    for alert in events_in(directory, Stream.ALERTS, Alert):
        yield alert


def events_in(directory: Path, stream: Stream, kind: type[E]) -> Iterator[E]:
    path = directory / FILES[stream]
    with open_files([str(path)]) as (lines,):
        for record in lines:
            event = _read(record.value or b"", kind)
            if isinstance(event, str):
                raise SourceError(f"is no {_called(kind)}: {event}", where=f"{path} line {record.offset + 1}")
            yield event


async def on_topic(kafka: KafkaSettings, tell: Tell, most: int = ALERTS_READ_MAX) -> Alerts:
    """What the topic holds now, of each partition the oldest first."""
    async with aclosing(events_on(kafka, tell, Stream.ALERTS, Alert, most)) as alerts:
        async for alert in alerts:
            yield alert


async def events_on(
    kafka: KafkaSettings, tell: Tell, stream: Stream, kind: type[E], most: int = ALERTS_READ_MAX
) -> AsyncGenerator[E, None]:
    topic = await _Topic.asked(kafka, tell, stream, kind)
    async with Offsets(client_settings(kafka)) as offsets:
        starts, ends = await topic.range(offsets, most)
        async with aclosing(topic.read(offsets, starts, ends)) as alerts:
            async for alert in alerts:
                yield alert


async def newest_first(kafka: KafkaSettings, tell: Tell, stretch: int = STRETCH) -> AsyncGenerator[list[Alert], None]:
    """Stretch by stretch of each partition, from the end of the topic to its beginning; in one, the oldest first."""
    topic = await _Topic.asked(kafka, tell, Stream.ALERTS, Alert)
    async with Offsets(client_settings(kafka)) as offsets:
        starts, ends = await topic.range(offsets, ALERTS_READ_MAX)
        while any(ends[tp] > starts[tp] for tp in ends):
            begins = {tp: max(starts[tp], ends[tp] - stretch) for tp in ends if ends[tp] > starts[tp]}
            yield [alert async for alert in topic.read(offsets, begins, ends)]
            ends |= begins


async def live(kafka: KafkaSettings, since: int | None, tell: Tell) -> Alerts:
    """Those that come from now on, each once; with ``since``, those that were appended since then before them."""
    topic = await _Topic.asked(kafka, tell, Stream.ALERTS, Alert)
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
        raise _failed(kafka, error) from error
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


class _Topic(Generic[E]):
    """The topic of a stream of results, and what on it is none."""

    def __init__(self, kafka: KafkaSettings, partitions: int, tell: Tell, stream: Stream, kind: type[E]) -> None:
        self.name, self._kind = kafka.topics.of(stream), kind
        self.partitions = [TopicPartition(self.name, number) for number in range(partitions)]
        self._kafka, self._tell = kafka, tell
        self._unreadable = 0

    @classmethod
    async def asked(cls, kafka: KafkaSettings, tell: Tell, stream: Stream, kind: type[E]) -> "_Topic[E]":
        topic = kafka.topics.of(stream)
        return cls(kafka, (await partition_counts(kafka, [topic]))[topic], tell, stream, kind)

    async def range(self, offsets: Offsets, most: int) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """Where to begin and to end in each partition, so that there are no more than so many."""
        try:
            starts, ends = await offsets.beginnings(self.partitions), await offsets.ends(self.partitions)
        except KafkaError as error:
            raise _failed(self._kafka, error) from error
        if sum(ends[tp] - starts[tp] for tp in ends) <= most:
            return starts, ends
        share = most // len(ends)
        what = f"{self.name} holds more than {most:,} {_called(self._kind)}s"
        self._tell(f"{what}: only the newest of each partition are looked at")
        return {tp: max(starts[tp], ends[tp] - share) for tp in ends}, ends

    async def read(
        self, offsets: Offsets, start: Mapping[TopicPartition, int], until: Mapping[TopicPartition, int]
    ) -> AsyncGenerator[E, None]:
        try:
            async with aclosing(offsets.read(start, until)) as pieces:
                while True:
                    async with asyncio.timeout(STALL_S):
                        records = await anext(pieces, None)
                    if records is None:
                        return
                    for event in self.events(_before(until, records)):
                        yield event
        except TimeoutError as error:
            raise BrokerError(f"gave nothing for {STALL_S:.0f} s, though there is more", where=self.name) from error
        except KafkaError as error:
            raise _failed(self._kafka, error) from error

    def events(self, records: Iterable[Any]) -> Iterator[E]:
        for record in records:
            event = _read(record.value or b"", self._kind)
            if not isinstance(event, str):
                yield event
                continue
            self._unreadable += 1
            if self._unreadable <= UNREADABLE_SHOWN_MAX:
                self._tell(f"{record.topic}[{record.partition}]@{record.offset} is no {_called(self._kind)}: {event}")


def _called(kind: type[E]) -> str:
    return kind.__name__.lower()


def _before(ends: Mapping[TopicPartition, int], records: Iterable[Any]) -> Iterator[Any]:
    return (record for record in records if record.offset < ends[TopicPartition(record.topic, record.partition)])


def _read(value: bytes, kind: type[E]) -> E | str:
    """The event, or what is wrong with it."""
    try:
        event = decode_output(value)
    except ValueError as error:  # msgspec's own, and bytes that are no UTF-8
        return str(error)
    return event if isinstance(event, kind) else f"it is a {type(event).__name__}"


def _failed(kafka: KafkaSettings, error: KafkaError) -> BrokerError:
    return BrokerError(f"does not answer as it should: {error!r}", where=kafka.bootstrap)
