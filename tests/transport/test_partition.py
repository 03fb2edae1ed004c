"""The way of a batch through an owned partition, and where a passed generation stops it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Generator, Mapping, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from detectors.kept import Changes
from schemas.records import Record, RecordLike
from schemas.topics import TopicNames
from streams import cuts
from streams.errors import BrokerError, GroupSilentError
from streams.merge import Cut, Reached
from streams.pace import Pace
from streams.partition import OwnedPartition
from streams.reading import Batch
from streams.sender import Sender, destinations, headers_of
from streams.state import MemoryState
from streams.telemetry import Dropped, NoTelemetry, Telemetry
from tests.transport.chain import Applied, ChainEngine, Told
from tests.transport.test_sender import Kafka

INPUT = "driftline.predictions"


class Topics:
    """Output topics that hold what the test says; the input ends where nobody gets to."""

    def __init__(self, *ids: str) -> None:
        self._ids = ids
        self.reads = 0

    async def read(self, _start: Mapping[Any, Any]) -> AsyncIterator[list[Record]]:
        self.reads += 1
        for place, event_id in enumerate(self._ids):
            yield [Record("driftline.alerts", 0, place, 0, None, b"", headers_of(event_id, b"", 0))]

    async def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 1_000)


class Group:
    """The consumer group's present generation, which the engine's work may outlast."""

    def __init__(self) -> None:
        self.generation = 1
        self.counts_us_in = True
        self.meets = False
        self.silence: Exception | None = None

    async def is_member(self, _number: int) -> bool:
        if self.silence:
            raise self.silence
        return self.counts_us_in

    def is_current(self, generation: int) -> bool:
        return generation == self.generation


def every(records: int) -> Any:
    return lambda partition, kept: ChainEngine(partition, kept, every=records)


def batch(first: int, count: int, generation: int = 1, effects: tuple[Told, ...] = ()) -> Batch:
    records = [Record(INPUT, 0, first + n, 0, None, b"") for n in range(count)]
    return Batch(0, records, {INPUT: first + count}, generation, effects)


def partition_of(
    engine_of: Any,
    kafka: Kafka,
    topics: Topics,
    group: Group,
    timeout_s: float = 5,
    interval_s: float = 0,
    telemetry: Telemetry = NoTelemetry(),  # noqa: B008 - it holds nothing
) -> OwnedPartition:
    return OwnedPartition(
        0,
        MemoryState(0, engine_of),
        sender=Sender(kafka, destinations(TopicNames()), telemetry, bytes_max=10_000, timeout_s=timeout_s),
        offsets=topics,
        inputs=(INPUT,),
        outputs=("driftline.alerts",),
        pace=Pace(interval_s),
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
    partition = partition_of(every(2), kafka, topics, Group())
    for first in (0, 5):
        assert await partition.take(batch(first, 5)) is None
        assert await partition.flush() is None
    assert sent(kafka) == ["0-6", "0-8", "0-10"]
    assert topics.reads == 1
    assert partition.state.positions == {INPUT: 10}
    assert partition.state.already_sent == 2


async def test_nothing_is_sent_before_it_is_committed():
    kafka = Kafka()
    partition = partition_of(every(1), kafka, Topics(), Group())
    await partition.take(batch(0, 3))
    assert (sent(kafka), partition.state.positions, partition.state.applied) == ([], {}, {INPUT: 3})
    assert partition.due
    await partition.flush()
    assert (sent(kafka), partition.state.positions) == (["0-1", "0-2", "0-3"], {INPUT: 3})
    assert not partition.due


async def test_an_alert_is_due_at_once_and_other_events_wait_for_the_interval():
    partition = partition_of(every(3), Kafka(), Topics(), Group(), interval_s=60)
    await partition.take(batch(0, 2, effects=(Told("metrics", "window", b"k", b"v"),)))
    assert not partition.due
    await partition.take(batch(2, 1))
    assert partition.due


async def test_what_the_reading_decided_goes_with_its_batch_also_where_that_holds_no_record():
    kafka = Kafka()
    partition = partition_of(every(1), kafka, Topics(), Group())
    await partition.take(batch(7, 0, effects=(Told("alerts", "gap", b"k", b"v"),)))
    await partition.flush()
    assert (sent(kafka), partition.state.positions) == (["gap"], {INPUT: 7})


async def test_a_batch_of_a_passed_generation_is_dropped_before_the_engine_sees_it():
    kafka, group = Kafka(), Group()
    group.generation = 2
    partition = partition_of(every(1), kafka, Topics(), group)
    assert await partition.take(batch(0, 3)) is Dropped.GENERATION_PASSED
    assert partition.state.applied == {}


async def test_a_rebalance_breaks_off_the_reading_back_and_it_begins_anew_afterwards():
    kafka, topics, group = Kafka(), Topics("0-1", "0-2"), Group()
    partition = partition_of(every(1), kafka, topics, group)
    group.meets = True
    assert await partition.take(batch(0, 3)) is Dropped.GENERATION_PASSED
    group.meets = False
    assert await partition.take(batch(0, 3)) is None
    await partition.flush()
    assert sent(kafka) == ["0-3"]
    assert topics.reads == 2


async def test_a_worker_that_the_group_has_given_up_sends_nothing():
    kafka, group = Kafka(), Group()
    group.counts_us_in = False
    partition = partition_of(every(2), kafka, Topics(), group)
    await partition.take(batch(0, 1))
    assert await partition.flush() is None, "there was nothing to send, so nobody was asked"
    await partition.take(batch(1, 3))
    assert await partition.flush() is Dropped.NOT_A_MEMBER
    assert sent(kafka) == []


async def test_a_commit_waits_until_the_effects_of_the_one_before_are_acknowledged():
    kafka = Kafka(acknowledges=False)
    partition = partition_of(every(1), kafka, Topics(), Group())
    await partition.take(batch(0, 1))
    await partition.commit()
    await kafka.has_records.wait()
    await partition.take(batch(1, 1))
    committing = asyncio.create_task(partition.commit())
    done, _ = await asyncio.wait([committing], timeout=0.05)
    assert not done
    assert partition.state.positions == {INPUT: 1}
    kafka.acknowledge()
    await committing
    assert partition.state.positions == {INPUT: 2}


class Crowded(ChainEngine):
    """Has many models to write."""

    parts = 5

    def make_ready(self, models: int) -> bool:
        self.parts -= 1
        return self.parts > 0

    def changes(self) -> Changes:
        assert not self.parts
        return super().changes()


async def test_between_the_parts_of_a_commit_others_have_their_turn():
    partition = partition_of(Crowded, Kafka(), Topics(), Group())
    await partition.take(batch(0, 1))
    turns = 0
    committing = asyncio.create_task(partition.commit())
    while not committing.done():
        turns += partition.state.positions == {}
        await asyncio.sleep(0)
    assert turns >= 5
    assert partition.state.positions == {INPUT: 1}


class Patient(ChainEngine):
    """Takes a batch in many parts, the first of which counts already."""

    parts = 5

    def applying(self, records: Sequence[RecordLike]) -> Generator[None, None, Applied]:
        applied = self.apply(records)
        for _ in range(self.parts):
            yield
        return applied


async def test_between_the_parts_of_a_batch_others_have_their_turn():
    partition = partition_of(Patient, Kafka(), Topics(), Group())
    turns = 0
    taking = asyncio.create_task(partition.take(batch(0, 1)))
    while not taking.done():
        turns += partition.state.applied == {}
        await asyncio.sleep(0)
    assert turns >= Patient.parts
    assert partition.state.applied == {INPUT: 1}


async def test_what_a_broken_off_task_left_half_applied_is_neither_written_nor_gone_on_with():
    kafka = Kafka()
    partition = partition_of(Patient, kafka, Topics(), Group())
    await partition.take(batch(0, 1))
    taking = asyncio.create_task(partition.take(batch(1, 1)))
    for _ in range(Patient.parts - 1):
        await asyncio.sleep(0)
    taking.cancel()
    await asyncio.wait([taking])
    assert partition.due
    for way in (partition.commit, partition.flush, partition.leave):
        assert await way() is Dropped.TORN
    assert await partition.take(batch(1, 1)) is Dropped.TORN
    assert (sent(kafka), partition.state.positions) == ([], {})


async def test_effects_that_are_not_acknowledged_are_an_error_also_at_the_end_of_a_generation():
    """In the producer they could wait until somebody else has sent them."""
    kafka = Kafka(acknowledges=False)
    for ending in (OwnedPartition.flush, OwnedPartition.leave):
        partition = partition_of(every(1), kafka, Topics(), Group(), timeout_s=0.01)
        await partition.take(batch(0, 1))
        with pytest.raises(BrokerError, match="1 events were not acknowledged"):
            await ending(partition)


async def test_a_refused_event_is_an_error_also_at_the_end_of_a_generation():
    """Others of its batch are in the producer, and could arrive after somebody else has sent them."""

    class Refusing(Kafka):
        async def send(self, *record: Any) -> Any:
            await super().send(*record)
            raise TopicAuthorizationFailedError

    partition = partition_of(every(1), Refusing(), Topics(), Group())
    await partition.take(batch(0, 1))
    with pytest.raises(TopicAuthorizationFailedError):
        await partition.leave()


async def test_a_group_that_does_not_answer_at_the_end_of_a_generation_is_not_waited_for():
    for silence in (KafkaConnectionError(), GroupSilentError("it did not say")):
        kafka, group = Kafka(), Group()
        group.silence = silence
        partition = partition_of(every(1), kafka, Topics(), group)
        await partition.take(batch(0, 1))
        assert await partition.leave() is Dropped.NOT_SENT
        assert sent(kafka) == []


async def test_a_cut_is_counted_and_told_before_what_the_late_record_decides():
    kafka, counted = Kafka(), Counted()
    partition = partition_of(every(1), kafka, Topics(), Group(), telemetry=counted)
    late = batch(4, 1)
    cut = Cut({INPUT: 4}, Reached(9, 1), late.records[0])
    assert await partition.take(late._replace(cut=cut, reached=Reached(0, 0))) is None
    assert await partition.flush() is None
    assert sent(kafka) == [cuts.told(0, cut).id, "0-1"]
    assert (counted.cuts, partition.state.reached) == ([0], Reached(0, 0))


@pytest.fixture
def late() -> Batch:
    first = batch(4, 1)
    return first._replace(cut=Cut({INPUT: 4}, Reached(9, 1), first.records[0]), reached=Reached(0, 0))


async def test_what_was_read_in_an_order_is_committed_and_sent_once_the_order_is_on_its_topic(late: Batch):
    """A process that ends in between has told what follows from it to nobody, and remembers nothing of it."""
    kafka = Kafka(acknowledges=False)
    partition = partition_of(every(1), kafka, Topics(), Group())
    await partition.take(late)
    committing = asyncio.create_task(partition.commit())
    await kafka.has_records.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert sent(kafka) == [cuts.told(0, late.cut).id]
    assert partition.state.positions == {}
    kafka.acknowledge()
    assert await committing is None
    assert partition.state.positions == {INPUT: 5}
    assert await partition.settle() is None
    assert sent(kafka) == [cuts.told(0, late.cut).id, "0-1"]


async def test_an_order_that_somebody_has_told_is_not_told_again(late: Batch):
    kafka = Kafka()
    partition = partition_of(every(1), kafka, Topics(cuts.told(0, late.cut).id), Group())
    await partition.take(late)
    assert await partition.flush() is None
    assert sent(kafka) == ["0-1"]


async def test_the_group_is_asked_again_once_the_order_is_on_its_topic(late: Batch):
    kafka, group = Kafka(acknowledges=False), Group()
    partition = partition_of(every(1), kafka, Topics(), group)
    await partition.take(late)
    committing = asyncio.create_task(partition.commit())
    await kafka.has_records.wait()
    group.counts_us_in = False
    kafka.acknowledge()
    assert await committing or await partition.settle() is Dropped.NOT_A_MEMBER
    assert sent(kafka) == [cuts.told(0, late.cut).id]


async def test_an_order_that_the_group_does_not_let_us_tell_is_not_committed(late: Batch):
    kafka, group = Kafka(), Group()
    group.counts_us_in = False
    partition = partition_of(every(1), kafka, Topics(), group)
    await partition.take(late)
    assert await partition.commit() is Dropped.NOT_A_MEMBER
    assert partition.state.positions == {}


class Counted(NoTelemetry):
    def __init__(self) -> None:
        self.cuts: list[int] = []

    def cut(self, partition: int) -> None:
        self.cuts.append(partition)
