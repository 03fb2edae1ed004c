"""Effects on their way: where they go, what they carry, and when they count as sent."""

import asyncio
from typing import Any, NamedTuple

import pytest

from schemas.topics import TopicNames
from streams.errors import BrokerError
from streams.sender import EffectTooLargeError, Sender, destinations, id_of
from streams.telemetry import NoTelemetry
from tests.transport.chain import Told


class Place(NamedTuple):
    """As much of what a broker answers as is looked at."""

    offset: int


class Kafka:
    """Takes records as Faust's producer does, and acknowledges them when the test says so."""

    def __init__(self, *, acknowledges: bool = True) -> None:
        self.records: list[tuple[Any, ...]] = []
        self.has_records = asyncio.Event()
        self._acknowledges = acknowledges
        self._waiting: list[tuple[asyncio.Future[Place], Place]] = []
        self.first_offset = 0

    async def send(self, *record: Any) -> "asyncio.Future[Place]":
        self.records.append(record)
        self.has_records.set()
        acknowledged = asyncio.get_running_loop().create_future()
        self._waiting.append((acknowledged, Place(self.first_offset + len(self.records) - 1)))
        if self._acknowledges:
            self.acknowledge()
        return acknowledged

    def acknowledge(self) -> None:
        self._acknowledges = True
        while self._waiting:
            acknowledged, place = self._waiting.pop()
            acknowledged.set_result(place)


def sender_to(kafka: Kafka, timeout_s: float = 5) -> Sender:
    return Sender(kafka, destinations(TopicNames()), NoTelemetry(), bytes_max=10_000, timeout_s=timeout_s)


async def test_an_effect_goes_to_its_topic_and_the_partition_it_came_from_as_a_cloud_event():
    kafka = Kafka()
    await sender_to(kafka).send(3, [Told("dead_letters", "e1", b"churn", b"{}")])
    ((topic, key, value, partition, timestamp, headers),) = kafka.records
    assert (topic, key, value, partition, timestamp) == ("driftline.dead-letters", b"churn", b"{}", 3, None)
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"e1",
        "ce_type": b"driftline.dead_letter.v1",
        "ce_source": b"driftline/3",
        "content-type": b"application/json",
    }
    assert id_of(headers) == "e1"


async def test_what_was_sent_is_told_with_the_offset_after_the_last_of_each_topic():
    effects = [Told("alerts", "a1", b"k", b"v"), Told("metrics", "m1", b"k", b"v"), Told("alerts", "a2", b"k", b"v")]
    assert await sender_to(Kafka()).send(0, effects) == {"driftline.alerts": 3, "driftline.metrics": 2}
    assert await sender_to(Kafka()).send(0, []) == {}


async def test_a_place_that_the_broker_does_not_know_any_more_is_none():
    kafka = Kafka()
    kafka.first_offset = -1
    assert await sender_to(kafka).send(0, [Told("alerts", "a1", b"k", b"v")]) == {}


async def test_an_effect_that_is_never_acknowledged_is_an_error():
    with pytest.raises(
        BrokerError, match=r"driftline.alerts, partition 1: 1 events were not acknowledged within 0.01 s"
    ):
        await sender_to(Kafka(acknowledges=False), timeout_s=0.01).send(1, [Told("alerts", "e1", b"k", b"v")])


async def test_an_effect_that_is_too_large_is_refused_before_anything_of_the_batch_is_sent():
    kafka = Kafka()
    effects = [Told("alerts", "small", b"k", b"v"), Told("metrics", "huge", b"k", b"v" * 10_000)]
    with pytest.raises(EffectTooLargeError, match=r"driftline.metrics\[0\]: huge is 14,097 bytes"):
        await sender_to(kafka).send(0, effects)
    assert kafka.records == []


def test_a_record_without_our_header_has_no_id():
    assert id_of([("traceparent", b"00")]) is None
