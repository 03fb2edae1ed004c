"""A worker that slept must not send in the moment in which it wakes up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.lease import Lease
from streams.transport import Consumer
from tests.transport.mock_cluster import mock_cluster

SESSION_S = 6.0
ASKED_AT = 100.0


class Clock:
    def __init__(self) -> None:
        self.now = ASKED_AT

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> Lease:
    return Lease(SESSION_S, clock)


@pytest.mark.parametrize(
    ("after_s", "wants_asking", "over"),
    [(0.0, False, False), (1.9, False, False), (2.1, True, False), (5.7, True, True)],
)
def test_an_answer_holds_for_less_than_a_session(
    after_s: float, wants_asking: bool, over: bool, lease: Lease, clock: Clock
):
    lease.answered(ASKED_AT)
    clock.now += after_s
    assert (lease.wants_asking, lease.over) == (wants_asking, over)


def test_a_question_that_is_answered_late_takes_nothing_back(lease: Lease, clock: Clock):
    clock.now += 5.0
    lease.answered(clock.now)
    lease.answered(ASKED_AT)
    assert not lease.wants_asking


def test_without_any_answer_it_never_began(lease: Lease):
    assert lease.wants_asking
    assert lease.over


@pytest.mark.parametrize("session_s", [6.0, 45.0, 300.0])
def test_what_was_begun_at_the_last_moment_is_acknowledged_before_it_is_over(session_s: float, clock: Clock):
    lease = Lease(session_s, clock)
    lease.answered(ASKED_AT)
    clock.now += session_s / 3 - 0.001  # nobody asks again before this
    clock.now += lease.send_s
    assert not lease.over
    clock.now += 0.1
    assert lease.over
    assert clock.now < ASKED_AT + session_s


def test_when_the_group_meets_no_answer_holds_longer_than_it_waits(clock: Clock):
    lease = Lease(45.0, clock, meets_s=60.0, heartbeat_s=3.0)
    lease.group_meets()
    clock.now += 24.9
    lease.answered(clock.now)
    assert not lease.is_too_short
    clock.now += 0.2
    lease.answered(clock.now)
    assert lease.is_too_short
    assert not lease.over
    clock.now += 27.0
    lease.answered(clock.now)
    assert lease.over, "the group may have counted us out, and has taken our commit a moment ago"
    lease.group_has_met()
    assert not lease.over
    assert not lease.is_too_short


async def test_what_cannot_arrive_before_the_group_goes_on_without_us_is_not_sent(clock: Clock):
    lease = Lease(45.0, clock, meets_s=60.0, heartbeat_s=3.0)
    consumer: Any = SimpleNamespace(_lease=lease)
    lease.answered(clock.now)
    lease.group_meets()
    assert await Consumer.is_member(consumer, {})
    clock.now += 26.0
    lease.answered(clock.now)
    assert not await Consumer.is_member(consumer, {})


@asynccontextmanager
async def producer(bootstrap: str, lease: Lease) -> AsyncIterator[AIOKafkaProducer]:
    client = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await client.start()
    lease.guard(client.client)
    yield client
    lease.answered(float("inf"))  # an end waits for what is queued
    await client.stop()


async def records(bootstrap: str, topic: str) -> int:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        ends = await consumer.end_offsets([TopicPartition(topic, 0)])
        return sum(ends.values())


async def test_what_was_queued_before_a_sleep_is_not_written_after_it(lease: Lease, clock: Clock):
    topic = f"t{uuid4().hex[:8]}"
    with mock_cluster() as cluster:
        async with producer(cluster.bootstrap, lease) as client:
            lease.answered(clock.now)
            await client.send_and_wait(topic, b"before", partition=0)
            queued = await client.send(topic, b"asleep", partition=0)
            clock.now += SESSION_S
            refused = await _refusal_of(client, lease)
            assert refused >= 2, "it was not tried again"
            assert not queued.done()
            assert await records(cluster.bootstrap, topic) == 1
            lease.answered(clock.now)  # the group says that it still counts us in
            await queued
            assert await records(cluster.bootstrap, topic) == 2


async def _refusal_of(client: AIOKafkaProducer, lease: Lease) -> int:
    """Returns after requests were refused: how many."""
    guarded, refused, twice = client.client.send, 0, asyncio.Event()

    async def counted(*args: object, **more: object) -> object:
        nonlocal refused
        try:
            return await guarded(*args, **more)
        except Exception:
            assert lease.over
            refused += 1
            if refused == 2:
                twice.set()
            raise

    client.client.send = counted
    async with asyncio.timeout(20):
        await twice.wait()
    return refused
