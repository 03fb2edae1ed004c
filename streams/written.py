"""What Driftline wrote, read back: from a topic, without a group and without a trace, or from files of a replay."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import UnionType
from typing import Any, Generic, NamedTuple, Self, TypeVar, cast

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import decode_output
from schemas.events import Alert, Audit, Output, Retrain, Rollback, Signal
from schemas.records import Record
from schemas.topics import Stream
from streams.connection import client_settings
from streams.errors import BrokerError, SourceError
from streams.offsets import Offsets
from streams.partition_counts import partition_counts
from streams.sections import KafkaSettings
from streams.sinks import FILES
from streams.sources import open_files

# Of the newest: at 500 bytes to 2 KiB each a minute of reading, and more than people and budgets make in years.
EVENTS_READ_MAX = 1_000_000
UNREADABLE_SHOWN_MAX = 20  # of foreign records on a topic; the rest is passed over
STALL_S = 60.0  # a broker that gives nothing for so long, though there is more, has stopped answering

Tell = Callable[[str], None]
Places = Mapping[TopicPartition, int]
Advice = Retrain | Rollback
E = TypeVar("E", bound=Output)


class Kind(NamedTuple, Generic[E]):
    """What is read, and what people call one of it and many."""

    stream: Stream
    event: type[E] | UnionType
    one: str
    many: str

    def read(self, value: bytes) -> E | str:
        """The event, or what is wrong with it."""
        try:
            event = decode_output(value)
        except ValueError as error:  # msgspec's own, and bytes that are no UTF-8
            return f"is no {self.one}: {error}"
        return cast(E, event) if isinstance(event, self.event) else f"is no {self.one}: it is a {type(event).__name__}"


ALERTS = Kind(Stream.ALERTS, Alert, "alert", "alerts")
ENTRIES = Kind(Stream.AUDIT, Audit, "audit entry", "audit entries")
SIGNALS = Kind(Stream.SIGNALS, Signal, "signal", "signals")
ADVICE: Kind[Advice] = Kind(Stream.RETRAIN, Advice, "retrain or rollback event", "retrain and rollback events")


def lines_in(directory: Path, kind: Kind[E]) -> Iterator[tuple[Record, E]]:
    """Raises ``SourceError`` at the first line that is none."""
    path = directory / FILES[kind.stream]
    with open_files([str(path)]) as (lines,):
        for record in lines:
            event = kind.read(record.value or b"")
            if isinstance(event, str):
                raise SourceError(event, where=f"{path} line {record.offset + 1}")
            yield record, event


async def on_topic(kafka: KafkaSettings, kind: Kind[E], tell: Tell, most: int) -> AsyncGenerator[E, None]:
    """What the topic holds now, of each partition the oldest first."""
    topic = await WrittenTopic.asked(kafka, kind, tell)
    async with Offsets(client_settings(kafka)) as offsets:
        starts, ends = await topic.range(offsets, most)
        async with aclosing(topic.read(offsets, starts, ends)) as pieces:
            async for records in pieces:
                for event in topic.events(records):
                    yield event


class WrittenTopic(Generic[E]):
    """An output topic, and what on it is not what belongs there."""

    def __init__(self, kafka: KafkaSettings, kind: Kind[E], partitions: int, tell: Tell) -> None:
        self.name = kafka.topics.of(kind.stream)
        self.partitions = [TopicPartition(self.name, number) for number in range(partitions)]
        self._kafka, self._kind, self._tell = kafka, kind, tell
        self._unreadable = 0

    @classmethod
    async def asked(cls, kafka: KafkaSettings, kind: Kind[E], tell: Tell) -> Self:
        topic = kafka.topics.of(kind.stream)
        return cls(kafka, kind, (await partition_counts(kafka, [topic]))[topic], tell)

    async def whole_range(self, offsets: Offsets) -> tuple[Places, Places]:
        """Where each partition begins and ends now."""
        try:
            return await offsets.beginnings(self.partitions), await offsets.ends(self.partitions)
        except KafkaError as error:
            raise failed(self._kafka, error) from error

    async def range(self, offsets: Offsets, most: int) -> tuple[Places, Places]:
        """Where to begin and to end in each partition, so that there are no more than so many."""
        starts, ends = await self.whole_range(offsets)
        if sum(ends[tp] - starts[tp] for tp in ends) <= most:
            return starts, ends
        share, many = most // len(ends), f"{most:,} {self._kind.many}"
        self._tell(f"{self.name} holds more than {many}: only the newest of each partition are looked at")
        return {tp: max(starts[tp], ends[tp] - share) for tp in ends}, ends

    async def read(self, offsets: Offsets, start: Places, until: Places) -> AsyncGenerator[Sequence[Any], None]:
        """Records, in pieces."""
        try:
            async with aclosing(offsets.read(start, until)) as pieces:
                while True:
                    async with asyncio.timeout(STALL_S):
                        records = await anext(pieces, None)
                    if records is None:
                        return
                    yield [one for one in records if one.offset < until[TopicPartition(one.topic, one.partition)]]
        except TimeoutError as error:
            raise BrokerError(f"gave nothing for {STALL_S:.0f} s, though there is more", where=self.name) from error
        except KafkaError as error:
            raise failed(self._kafka, error) from error

    def events(self, records: Iterable[Any]) -> Iterator[E]:
        """Foreign records are told and passed over."""
        for record in records:
            event = self._kind.read(record.value or b"")
            if not isinstance(event, str):
                yield event
                continue
            self._unreadable += 1
            if self._unreadable <= UNREADABLE_SHOWN_MAX:
                self._tell(f"{record.topic}[{record.partition}]@{record.offset} {event}")


def failed(kafka: KafkaSettings, error: KafkaError) -> BrokerError:
    return BrokerError(f"does not answer as it should: {error!r}", where=kafka.bootstrap)
