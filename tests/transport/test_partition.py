"""The way of a batch through an owned partition, and where a passed generation stops it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from schemas.records import Record
from schemas.topics import TopicNames
from streams.partition import OwnedPartition
from streams.reading import Batch
from streams.sender import Sender, destinations, headers_of
from streams.state import MemoryState
from streams.telemetry import Dropped, NoTelemetry
from tests.transport.chain import Applied, ChainEngine
from tests.transport.test_sender import Kafka


class Topics:
    """Output topics that hold what the test says."""

    def __init__(self, *ids: str) -> None:
        self._ids = ids
        self.reads = 0

    async def read(self, _start: Mapping[Any, Any]) -> AsyncIterator[list[Record]]:
        self.reads += 1
        for place, event_id in enumerate(self._ids):
            yield [Record("driftline.alerts", 0, place, 0, None, b"", headers_of(event_id, b"", 0))]


class Group:
    """The consumer group's present generation, which the engine's work may outlast."""

    def __init__(self) -> None:
        self.generation = 1
        self.counts_us_in = True
        self.meets = False

    async def is_member(self, _number: int) -> bool:
        return self.counts_us_in

    def is_current(self, generation: int) -> bool:
        return generation == self.generation


def batch(first: int, count: int, generation: int = 1) -> Batch:
    records = [Record("driftline.predictions", 0, first + n, 0, None, b"") for n in range(count)]
    return Batch(0, records, {"driftline.predictions": first + count}, generation)


def partition_of(engine: Any, kafka: Kafka, topics: Topics, group: Group) -> OwnedPartition:
    telemetry = NoTelemetry()
    return OwnedPartition(
        0,
        MemoryState(0, engine),
        sender=Sender(kafka, destinations(TopicNames()), telemetry, bytes_max=10_000, timeout_s=5),
        offsets=topics,
        outputs=("driftline.alerts",),
        telemetry=telemetry,
        is_current=group.is_current,
        is_member=group.is_member,
        is_leaving=lambda: group.meets,
        moved=lambda: None,
    )


def sent(kafka: Kafka) -> list[str]:
    return [dict(record[5])["ce_id"].decode() for record in kafka.records]


async def test_what_the_topics_hold_is_read_once_and_not_sent_again():
    kafka, topics = Kafka(), Topics("0-2", "0-4")
    partition = partition_of(ChainEngine(0, every=2), kafka, topics, Group())
    assert await partition.take(batch(0, 5)) is None
    assert await partition.take(batch(5, 5)) is None
    assert sent(kafka) == ["0-6", "0-8", "0-10"]
    assert topics.reads == 1
    assert partition.state.positions == {"driftline.predictions": 10}


async def test_a_batch_of_a_passed_generation_is_dropped_before_the_engine_sees_it():
    kafka, group = Kafka(), Group()
    group.generation = 2
    partition = partition_of(ChainEngine(0, every=1), kafka, Topics(), group)
    assert await partition.take(batch(0, 3)) is Dropped.GENERATION_PASSED
    assert sent(kafka) == []
    assert partition.state.positions == {}


async def test_a_generation_that_passes_during_the_work_sends_and_commits_nothing():
    kafka, group = Kafka(), Group()

    class SlowEngine(ChainEngine):
        def apply(self, records: Any) -> Applied:
            group.generation = 2
            return super().apply(records)

    partition = partition_of(SlowEngine(0, every=1), kafka, Topics(), group)
    assert await partition.take(batch(0, 3)) is Dropped.GENERATION_PASSED_IN_WORK
    assert sent(kafka) == []
    assert partition.state.positions == {}


async def test_a_rebalance_breaks_off_the_reading_back_and_it_begins_anew_afterwards():
    kafka, topics, group = Kafka(), Topics("0-1", "0-2"), Group()
    partition = partition_of(ChainEngine(0, every=1), kafka, topics, group)
    group.meets = True
    assert await partition.take(batch(0, 3)) is Dropped.GENERATION_PASSED
    group.meets = False
    assert await partition.take(batch(0, 3)) is None
    assert sent(kafka) == ["0-3"]
    assert topics.reads == 2


async def test_a_worker_that_the_group_has_given_up_sends_nothing():
    kafka, group = Kafka(), Group()
    group.counts_us_in = False
    partition = partition_of(ChainEngine(0, every=2), kafka, Topics(), group)
    assert await partition.take(batch(0, 1)) is None
    assert await partition.take(batch(1, 3)) is Dropped.NOT_A_MEMBER
    assert sent(kafka) == []
    assert partition.state.positions == {"driftline.predictions": 1}


async def test_positions_do_not_move_before_the_effects_are_acknowledged():
    kafka = Kafka(acknowledges=False)
    partition = partition_of(ChainEngine(0, every=1), kafka, Topics(), Group())
    taking = asyncio.create_task(partition.take(batch(0, 1)))
    await kafka.has_records.wait()
    assert partition.state.positions == {}
    taking.cancel()
