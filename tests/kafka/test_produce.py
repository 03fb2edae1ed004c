"""The producer of generated traffic on a real broker: all arrives, keyed so that an outcome can meet its prediction."""

import asyncio
import os
import re
import signal
import sys
import uuid
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from load.live import Days, Report, send, steadily
from schemas.codec import Decoder
from schemas.events import Control, Outcome, Prediction
from schemas.topics import Stream, TopicNames
from streams.errors import BrokerError
from streams.sections import KafkaSettings
from streams.topics import create

pytestmark = pytest.mark.broker

QUIET = Report(lambda _events: None, lambda _line: None)
FASTER_THAN_ANY_BROKER = steadily(1e9)


def settings(bootstrap: str) -> KafkaSettings:
    mark = uuid.uuid4().hex
    return KafkaSettings(
        bootstrap=bootstrap, topics=TopicNames(**{stream.value: f"{stream.value}-{mark}" for stream in Stream})
    )


async def everything_on(kafka: KafkaSettings) -> Sequence[ConsumerRecord]:
    records: list[ConsumerRecord] = []
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as consumer:
        names = tuple(kafka.topics.inputs)
        parts = [TopicPartition(name, number) for name in names for number in range(kafka.partitions)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        while len(records) < sum(ends.values()):
            for batch in (await consumer.getmany(timeout_ms=1_000)).values():
                records.extend(batch)
    return records


async def test_all_that_was_sent_is_there_and_an_outcome_lies_where_its_prediction_does(bootstrap: str) -> None:
    kafka = settings(bootstrap)
    await create(kafka)
    sent = await send(kafka, Days(1, endless=True), FASTER_THAN_ANY_BROKER, QUIET, asyncio.Event(), seconds_max=1.0)
    records = await everything_on(kafka)
    assert len(records) == sent.events > 0
    decoder, streams, lies = Decoder(), kafka.topics.inputs, {}
    for record in sorted(records, key=lambda record: record.topic, reverse=True):  # predictions first
        event = decoder.decode(streams[record.topic], record)
        if isinstance(event, Prediction):
            assert (event.model, event.id) not in lies
            lies[event.model, event.id] = record.partition
        elif not isinstance(event, Control):
            assert isinstance(event, Outcome)
            assert lies[event.model, event.id] == record.partition


async def test_without_topics_nothing_is_sent_and_the_remedy_is_named(bootstrap: str) -> None:
    kafka = settings(bootstrap)
    with pytest.raises(BrokerError, match=r"no topic .* run `driftline topics create` first"):
        await send(kafka, Days(1), FASTER_THAN_ANY_BROKER, QUIET, asyncio.Event())


async def test_told_to_stop_it_ends_in_good_order_with_all_acknowledged(bootstrap: str) -> None:
    kafka = settings(bootstrap)
    await create(kafka)
    names = {f"DRIFTLINE_KAFKA__TOPICS__{name.upper()}": kafka.topics.of(Stream(name)) for name in Stream}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "streams.cli", "produce", "--bootstrap", bootstrap, "--rate", "200", "--loop"),
        env={**os.environ, **names},
        stderr=asyncio.subprocess.PIPE,
    )
    async with AIOKafkaConsumer(
        kafka.topics.predictions, bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    ) as consumer:
        await asyncio.wait_for(consumer.getone(), 30)
    process.send_signal(signal.SIGTERM)
    _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    told = re.search(r"sent ([\d,]+) events .* all acknowledged", said.decode())
    assert told is not None
    assert len(await everything_on(kafka)) == int(told[1].replace(",", ""))
