"""Refused records, read back: counted, looked at, and sent again once their cause is mended.

A record is sent as it was: bytes, key, headers, topic and partition. One header more counts how often that was done, so
that a record which is refused again and again does not go round for ever.
"""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.codec import UNREADABLE
from schemas.events import DeadLetter
from schemas.topics import CATALOGUE
from streams.connection import client_settings, start_client
from streams.errors import BrokerError, SourceError, UsageError
from streams.offsets import Offsets
from streams.partition_counts import partition_counts
from streams.sections import KafkaSettings
from streams.sources import open_files

RESENT_HEADER = "driftline-resent"
RESENDS_MAX = 3  # what three repairs did not mend, a fourth in the same way will not
_IN_FLIGHT_MAX = 500  # letters of 64 KiB each: 32 MiB
_REQUEST_BYTES_MAX = max(topic.max_message_bytes for topic in CATALOGUE.values())

Letters = AsyncIterator[DeadLetter]
_letter = msgspec.json.Decoder(DeadLetter).decode


class Choice(NamedTuple):
    """Which letters are meant; what is empty excludes none."""

    ids: Sequence[str] = ()  # or how they begin
    reason: str | None = None

    def includes(self, letter: DeadLetter) -> bool:
        by_id = not self.ids or letter.id.startswith(tuple(self.ids))
        return by_id and self.reason in (None, letter.reason)


class Kind(NamedTuple):
    """What letters are counted by."""

    reason: str
    topic: str


class Count(NamedTuple):
    letters: int
    first_ts: int
    last_ts: int
    example: DeadLetter


async def in_file(path: Path) -> Letters:
    with open_files([str(path)]) as (lines,):
        for record in lines:
            try:
                yield _letter(record.value or b"")
            except UNREADABLE as error:
                where = f"{path} line {record.offset + 1}"
                raise SourceError(f"is no dead letter: {error}", where=where) from error


async def on_topic(kafka: KafkaSettings, unreadable: Callable[[str], None]) -> Letters:
    """What the topic holds now. Foreign records on it are told and passed over."""
    topic = kafka.topics.dead_letters
    partitions = (await partition_counts(kafka, [topic]))[topic]
    start: dict[TopicPartition, int | None] = {TopicPartition(topic, number): None for number in range(partitions)}
    async with Offsets(client_settings(kafka)) as offsets:
        async for records in offsets.read(start):
            for record in records:
                try:
                    yield _letter(record.value or b"")
                except UNREADABLE as error:
                    unreadable(f"{topic}[{record.partition}]@{record.offset} is no dead letter: {error}")


async def chosen(letters: Letters, choice: Choice) -> Letters:
    async for letter in letters:
        if choice.includes(letter):
            yield letter


async def counted(letters: Letters) -> dict[Kind, Count]:
    counts: dict[Kind, Count] = {}
    async for letter in letters:
        kind = Kind(letter.reason.value, letter.topic)
        so_far = counts.get(kind, Count(0, letter.ts, letter.ts, letter))
        first, last = min(so_far.first_ts, letter.ts), max(so_far.last_ts, letter.ts)
        counts[kind] = Count(so_far.letters + 1, first, last, so_far.example)
    return counts


class Again(NamedTuple):
    """A record as it will be sent."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class _Model(msgspec.Struct):
    model: str | None = None


def again(letter: DeadLetter, inputs: Collection[str], to: str | None = None) -> Again | str:
    """The record to send, or why it cannot be. ``to``: the topic, for letters of a file's lines."""
    resent = times_resent(letter)
    if letter.truncated:
        return "it was not kept whole; send it from its source"
    if resent >= RESENDS_MAX:
        return f"it was sent again {resent} times already"
    if to is None and letter.topic not in inputs:
        return f"{letter.topic} is no input topic; name one with --to"
    headers = [(name, b64decode(value)) for name, value in letter.headers if name != RESENT_HEADER]
    headers.append((RESENT_HEADER, str(resent + 1).encode()))
    key, value = _bytes(letter.key), _bytes(letter.value)
    if to is None:
        return Again(letter.topic, letter.partition, key, value, headers)
    return Again(to, None, key or _model_of(value), value, headers)


def times_resent(letter: DeadLetter) -> int:
    counts = [b64decode(value) for name, value in letter.headers if name == RESENT_HEADER]
    return max((int(count) for count in counts if count.isdigit()), default=0)


@asynccontextmanager
async def resender(kafka: KafkaSettings) -> AsyncIterator["Resender"]:
    producer = AIOKafkaProducer(
        **client_settings(kafka), acks="all", enable_idempotence=True, max_request_size=_REQUEST_BYTES_MAX
    )
    try:
        await start_client(producer)
        sender = Resender(producer)
        yield sender
        await sender.settled()
    except KafkaError as error:
        raise BrokerError(f"did not take the records: {error!r}", where=kafka.bootstrap) from error
    finally:
        await producer.stop()


class Resender:
    """Sends, with a bound on what is under way; ``sent`` counts what the brokers acknowledged."""

    def __init__(self, producer: Any) -> None:
        self.sent = 0
        self._producer = producer
        self._under_way: list[asyncio.Future[Any]] = []

    async def send(self, record: Again) -> None:
        acknowledged = await self._producer.send(
            record.topic, record.value, record.key, record.partition, headers=record.headers
        )
        self._under_way.append(acknowledged)
        if len(self._under_way) >= _IN_FLIGHT_MAX:
            await self.settled()

    async def settled(self) -> None:
        under_way, self._under_way = self._under_way, []
        await asyncio.gather(*under_way)
        self.sent += len(under_way)


def checked_topic(to: str | None, inputs: Collection[str]) -> str | None:
    if to is not None and to not in inputs:
        raise UsageError(f"{to} is no input topic", where="--to", advice=f"they are {', '.join(inputs)}")
    return to


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)


def _model_of(value: bytes | None) -> bytes | None:
    """The key that the contract asks for, where the line says its model."""
    try:
        model = msgspec.json.decode(value or b"", type=_Model).model
    except UNREADABLE:
        return None
    return model.encode() if model else None
