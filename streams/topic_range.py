"""History from Kafka: what the input topics hold now, all or of some time, in the worker's own order with its cuts."""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.records import RecordLike
from streams.connection import client_settings, start_client
from streams.cuts import Positions, read_cuts, within
from streams.errors import BrokerError, SourceError, UsageError
from streams.merge import Merge
from streams.offsets import Offsets
from streams.partition_counts import partition_counts
from streams.sections import KafkaSettings

KAFKA = "kafka:"
_STRETCH = re.compile(r"(.+)/(\d+)=(\d*)-(\d*)", re.ASCII)
_HELD_RECORDS_MAX = 10_000  # of one topic before the others are asked instead: memory, against more round trips
_RUN_RECORDS_MAX = 4_000
_FETCH_WAIT_MS = 200
_STALL_S = 60.0  # a broker that gives nothing for so long, though there is more, has stopped answering

Runs = AsyncGenerator[Sequence[RecordLike], None]


class Stretch(NamedTuple):
    """Of one partition of a topic: offsets, the last one excluded. ``None``: as far as there is something."""

    topic: str
    partition: int
    first: int | None
    end: int | None

    @classmethod
    def of(cls, text: str) -> "Stretch":
        """``TOPIC/PARTITION=FIRST-END``, either of which may be left out."""
        match = _STRETCH.fullmatch(text)
        if match is None:
            advice = "write TOPIC/PARTITION=FIRST-END, such as driftline.predictions/0=1000-2000"
            raise UsageError(f"{text!r} is no stretch of a topic", where="--offsets", advice=advice)
        first, end = (int(number) if number else None for number in match.group(3, 4))
        return cls(match[1], int(match[2]), first, end)


class Between(NamedTuple):
    """Append times in epoch milliseconds, the end excluded. ``None``: as far as there is something.

    With ``stretches`` only their partition numbers are read; of a topic that none names, all.
    """

    since: int | None = None
    until: int | None = None
    stretches: Sequence[Stretch] = ()


class TopicRange:
    """Partition number after partition number, up to where the topics ended when reading began."""

    def __init__(self, kafka: KafkaSettings, between: Between = Between()) -> None:  # noqa: B008 - it cannot change
        self._kafka, self._between = kafka, between
        self._read = self._all = 0

    @property
    def fraction(self) -> float | None:
        return self._read / self._all if self._all else None

    def __iter__(self) -> Generator[RecordLike, None, None]:
        with asyncio.Runner() as runner:
            runs = self._runs()
            try:
                while (records := _step(runner, runs)) is not None:
                    self._read += len(records)
                    yield from records
            finally:
                runner.run(runs.aclose())

    async def _runs(self) -> Runs:
        sides = _chosen(await _sides(self._kafka), self._between.stretches)
        async with _consumer(self._kafka) as asked:
            every = [side for numbered in sides for side in numbered]
            starts, ends = await _range(asked, every, self._between)
        cuts = await _cuts(self._kafka, sides[-1][0].partition + 1)
        self._all = sum(ends[side] - starts[side] for side in every)
        for numbered in sides:
            number = numbered[0].partition
            # A consumer of its own for each: aiokafka can lose the cancellation that ends it once it was assigned anew.
            async with _consumer(self._kafka) as consumer:
                async for records in _partition(
                    consumer, numbered, starts, ends, within(cuts.get(number, ()), number, ends)
                ):
                    yield records


def _step(runner: asyncio.Runner, runs: Runs) -> Sequence[RecordLike] | None:
    async def step() -> Sequence[RecordLike] | None:
        return await anext(runs, None)

    try:
        return runner.run(step())
    except KafkaError as error:
        raise SourceError(f"reading failed: {error!r}", where=KAFKA, advice="what came before it counts") from error


@asynccontextmanager
async def _consumer(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    # No reset policy: where retention overtakes the reading, a silent jump would make another history of it.
    consumer = AIOKafkaConsumer(**client_settings(kafka), enable_auto_commit=False, auto_offset_reset="none")
    try:
        await start_client(consumer)
    except BaseException as error:
        await consumer.stop()
        if not isinstance(error, KafkaError):
            raise
        advice = "is it running, and is kafka.bootstrap right?"
        raise BrokerError(f"does not answer: {error}", where=kafka.bootstrap, advice=advice) from error
    await asyncio.sleep(0)  # a task of aiokafka's that is cancelled before it began would raise out of the stop
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _sides(kafka: KafkaSettings) -> list[list[TopicPartition]]:
    """By partition number, the topics in rank order."""
    counts = await partition_counts(kafka, list(kafka.topics.inputs))
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{topic} {count}" for topic, count in counts.items())
        raise UsageError(f"the input topics differ in their partitions: {told}", advice="they need the same count")
    return [[TopicPartition(topic, number) for topic in counts] for number in range(max(counts.values()))]


def _chosen(sides: list[list[TopicPartition]], stretches: Sequence[Stretch]) -> list[list[TopicPartition]]:
    known = {side for numbered in sides for side in numbered}
    for stretch in stretches:
        if TopicPartition(stretch.topic, stretch.partition) not in known:
            advice = f"there are {', '.join(side.topic for side in sides[0])}, each with {len(sides)} partitions"
            raise UsageError(f"{stretch.topic}/{stretch.partition} is no input", where="--offsets", advice=advice)
    wanted = {stretch.partition for stretch in stretches}
    return [numbered for numbered in sides if not wanted or numbered[0].partition in wanted]


async def _range(
    asked: AIOKafkaConsumer, sides: Sequence[TopicPartition], between: Between
) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
    """Where to begin, and where to end. What was appended at a time begins with the first record of that time."""
    starts, ends = dict(await asked.beginning_offsets(sides)), dict(await asked.end_offsets(sides))

    async def first_at(time: int) -> dict[TopicPartition, int]:
        found = await asked.offsets_for_times(dict.fromkeys(sides, time))
        return {side: ends[side] if place is None else min(place.offset, ends[side]) for side, place in found.items()}

    for topic, partition, first, end in between.stretches:
        side = TopicPartition(topic, partition)
        starts[side] = max(starts[side], first or 0)
        ends[side] = max(starts[side], ends[side] if end is None else min(ends[side], end))
    if between.since is not None:
        starts = {
            side: min(max(starts[side], place), ends[side]) for side, place in (await first_at(between.since)).items()
        }
    if between.until is not None:
        ends = {
            side: max(starts[side], min(ends[side], place)) for side, place in (await first_at(between.until)).items()
        }
    return starts, ends


async def _cuts(kafka: KafkaSettings, numbers: int) -> Mapping[int, Sequence[Positions]]:
    """Where the group's workers cut the order. No worker has been there where there is no topic that tells of it."""
    signals = kafka.topics.signals
    async with Offsets(client_settings(kafka)) as offsets:
        if signals not in await offsets.topics():
            return {}
        told = min(numbers, (await partition_counts(kafka, [signals]))[signals])
        return await read_cuts(offsets, signals, dict.fromkeys(range(told)), list(kafka.topics.inputs))


async def _partition(
    consumer: AIOKafkaConsumer,
    sides: Sequence[TopicPartition],
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    cuts: Sequence[Positions],
) -> AsyncIterator[Sequence[RecordLike]]:
    """The worker's own merge. Its evidence is at hand from the start: nothing after the ends is wanted."""
    merge = Merge([side.topic for side in sides], {side.topic: starts[side] for side in sides}, grace_s=0, cuts=cuts)
    end_of = {side.topic: ends[side] for side in sides}
    consumer.assign(sides)
    for side in sides:
        consumer.seek(side, starts[side])
    moved = time.monotonic()
    while unread := [side for side in sides if merge.position(side.topic) < ends[side]]:
        if await _fetch(consumer, merge, unread, ends):
            moved = time.monotonic()
        elif time.monotonic() - moved > _STALL_S:
            raise SourceError(f"nothing came for {_STALL_S:.0f} s, though there is more", where=KAFKA)
        for records in _released(merge, end_of):
            yield records
    for records in _released(merge, end_of):
        yield records


async def _fetch(
    consumer: AIOKafkaConsumer, merge: Merge, unread: Sequence[TopicPartition], ends: Mapping[TopicPartition, int]
) -> bool:
    """Asks for the topics of which little is held; says whether anything moved."""
    # Never none: a side that is full while another is read to its end has just been released.
    wanted = [side for side in unread if merge.held(side.topic) < _HELD_RECORDS_MAX] or list(unread)
    before = [merge.position(side.topic) for side in wanted]
    fetched = await consumer.getmany(*wanted, timeout_ms=_FETCH_WAIT_MS, max_records=_HELD_RECORDS_MAX)
    for side in wanted:
        merge.offer(side.topic, [record for record in fetched.get(side, ()) if record.offset < ends[side]], now=0)
        # The position also passes markers and what compaction left out, which no record would show.
        merge.advance(side.topic, min(await consumer.position(side), ends[side]))
    return before != [merge.position(side.topic) for side in wanted]


def _released(merge: Merge, ends: Mapping[str, int]) -> Iterator[Sequence[RecordLike]]:
    """Everything that can go now. A side that runs empty on the way is a new question each time."""
    while True:
        if question := merge.question(now=0):
            merge.answer(question, ends)
        run = merge.take(_RUN_RECORDS_MAX)
        if run is None:
            return
        yield run.records
