"""One connection for many control events: brokers that hang are an error in time, and are used again later."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from aiokafka.errors import KafkaError
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from schemas.codec import encode
from schemas.events import Control, ControlAction
from schemas.signatures import HEADER, signature
from schemas.topics import Stream
from streams.control import ControlSender
from streams.errors import BrokerError
from streams.secrets import Secret
from streams.sections import KafkaSettings
from streams.signing import Signer
from tests.transport.mock_cluster import Cluster, mock_cluster
from tests.transport.workers import settings_for

WITHIN_S = 10.0
SHORT_S = 0.3


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with mock_cluster() as cluster:
        yield cluster


def control(name: str) -> Control:
    ts = int(time.time() * 1000)
    return Control(v=1, id=name, ts=ts, action=ControlAction.ACKNOWLEDGE, model="churn", incident="inc-1")


def prepared(cluster: Cluster) -> KafkaSettings:
    kafka = settings_for(cluster.bootstrap).kafka
    Producer({"bootstrap.servers": cluster.bootstrap}).list_topics(kafka.topics.of(Stream.CONTROL), timeout=10)
    return kafka


def written(kafka: KafkaSettings) -> list[bytes]:
    return [message.value() for message in messages(kafka)]


def messages(kafka: KafkaSettings) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "verifier", "enable.partition.eof": True})
    try:
        topic = kafka.topics.of(Stream.CONTROL)
        places = [TopicPartition(topic, number, 0) for number in consumer.list_topics(topic).topics[topic].partitions]
        consumer.assign(places)
        found, ended = list[Message](), 0
        while ended < len(places):
            message = consumer.poll(WITHIN_S)
            assert message is not None
            ended += message.error() is not None
            found += [message] if message.error() is None else []
        return found
    finally:
        consumer.close()


async def test_it_connects_once_and_each_event_is_there_when_it_returns(cluster: Cluster) -> None:
    kafka, events = prepared(cluster), [control(f"one-{number}") for number in range(5)]
    sender = ControlSender(kafka)
    try:
        await sender.connect()
        connection = sender._producer
        await asyncio.gather(*(sender.send(event, WITHIN_S) for event in events))
        assert sender._producer is connection is not None
    finally:
        await sender.stop()
    assert sorted(written(kafka)) == sorted(map(encode, events))


async def test_each_event_is_signed_with_the_key_that_holds_then(cluster: Cluster) -> None:
    kafka, keys = prepared(cluster), iter([Signer("old", Secret("s" * 16)), Signer("new", Secret("t" * 16)), None])
    sender = ControlSender(kafka, lambda: next(keys))
    try:
        for number in range(3):
            await sender.send(control(f"one-{number}"), WITHIN_S)
    finally:
        await sender.stop()
    signers = (("old", b"s" * 16), ("new", b"t" * 16))
    for message, signer in zip(messages(kafka), (*signers, None), strict=True):
        expected = [(HEADER, signature(*signer, message.key(), message.value()))] if signer else None
        assert message.headers() == expected


@pytest.mark.parametrize("error", [KafkaError("canary"), RuntimeError("canary")])
async def test_a_connection_that_is_broken_is_made_anew(error: Exception, cluster: Cluster) -> None:
    """What ends aiokafka's sending task is raised by each send from then on."""
    kafka = prepared(cluster)
    sender = ControlSender(kafka)
    try:
        await sender.connect()
        sender._producer._message_accumulator.fail_all(error)  # type: ignore[union-attr]
        with pytest.raises((BrokerError, RuntimeError), match="canary"):
            await sender.send(control("lost"), WITHIN_S)
        await sender.send(control("last"), WITHIN_S)
    finally:
        await sender.stop()


async def test_brokers_that_hang_are_an_error_in_time_and_are_used_again_when_they_are_back(cluster: Cluster) -> None:
    kafka = prepared(cluster)
    first, lost, last = control("first"), control("lost"), control("last")
    sender = ControlSender(kafka)
    try:
        await sender.send(first, WITHIN_S)
        cluster.hang()
        with pytest.raises(BrokerError, match=r"did not acknowledge lost within 0\.3 s"):
            await sender.send(lost, SHORT_S)
        cluster.go_on()
        await sender.send(last, WITHIN_S)
    finally:
        await sender.stop()
    # What timed out may lie there all the same: it has an id, and is delivered again under that.
    assert set(written(kafka)) - {encode(lost)} == {encode(first), encode(last)}


async def test_a_start_that_hangs_ends_in_time_and_leaves_room_for_the_next(cluster: Cluster) -> None:
    kafka = prepared(cluster)
    sender = ControlSender(kafka)
    try:
        cluster.hang()
        with pytest.raises(BrokerError, match="did not acknowledge lost"):
            await sender.send(control("lost"), SHORT_S)
        cluster.go_on()
        await sender.send(control("last"), WITHIN_S)
    finally:
        await sender.stop()


async def test_brokers_that_are_not_there_are_an_error() -> None:
    sender = ControlSender(KafkaSettings(bootstrap="127.0.0.1:1"))
    with pytest.raises(BrokerError, match="did not take the event"):
        await sender.send(control("lost"), WITHIN_S)
    with pytest.raises(BrokerError):
        await sender.connect()
