"""The two programs of docs/events.md do on a real broker what the page says."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from load.site.offsets import end_of
from schemas.codec import Decoder, decode_output
from schemas.events import Alert, Outcome, Prediction
from schemas.records import Record
from schemas.topics import Stream, TopicNames
from streams.sections import KafkaSettings
from streams.topics import create

pytestmark = pytest.mark.broker

ROOT = Path(__file__).resolve().parents[2]
PRODUCER, CONSUMER = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "events.md").read_text(), re.DOTALL)
NAMES = TopicNames()  # the page uses the default names
PARTITIONS = 4


def program(code: str, bootstrap: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "BOOTSTRAP": bootstrap}, stdout=subprocess.PIPE, text=True
    )


def newest(bootstrap: str, stream: Stream) -> Iterator[Record]:
    """Everything on a topic, read in one go."""
    topic = NAMES.of(stream)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "examples", "enable.auto.commit": False})
    try:
        places = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]
        wanted = sum(end_of(consumer, place) for place in places)
        consumer.assign(places)
        for _ in range(wanted):
            message = consumer.poll(20)
            assert message is not None
            yield Record(topic, message.partition(), message.offset(), 0, message.key(), message.value())
    finally:
        consumer.close()


def test_the_producers_prediction_and_outcome_are_accepted_and_meet(bootstrap: str) -> None:
    asyncio.run(create(KafkaSettings(bootstrap=bootstrap, partitions=PARTITIONS)))
    with program(PRODUCER, bootstrap) as producer:
        assert producer.wait(30) == 0
    decoder = Decoder()
    predictions = [decoder.decode(Stream.PREDICTIONS, record) for record in newest(bootstrap, Stream.PREDICTIONS)]
    outcomes = [decoder.decode(Stream.OUTCOMES, record) for record in newest(bootstrap, Stream.OUTCOMES)]
    assert isinstance(predictions[-1], Prediction)
    assert isinstance(outcomes[-1], Outcome)
    assert outcomes[-1].id == predictions[-1].id


def test_the_consumer_prints_what_a_person_is_paged_with(bootstrap: str) -> None:
    asyncio.run(create(KafkaSettings(bootstrap=bootstrap, partitions=PARTITIONS)))
    value = (ROOT / "schemas" / "golden" / "alert-opened.json").read_bytes()
    alert = decode_output(value)
    assert isinstance(alert, Alert)
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(NAMES.alerts, json.dumps(json.loads(value)).encode(), key=alert.model)
    producer.flush(20)
    with program(CONSUMER, bootstrap) as consumer:
        assert consumer.stdout is not None
        line = consumer.stdout.readline()
        consumer.kill()
    assert line == f"{alert.incident} {alert.event} {alert.severity} {alert.summary}\n"
