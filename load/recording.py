"""Predictions, and their outcomes where wanted, written to Kafka once, for every measured program to read.

Numeric features, eight where not said, and sixteen models, drawn from a seed, in the form of the contract. Nothing
drifts: what is measured is the steady work, and no program gains from alarms that it does not see.
"""

import asyncio
import functools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.partitioner import murmur2

from load.output import say
from schemas.topics import CATALOGUE, Stream

MODELS = 16
FEATURES = 8
PARTITIONS = 4
EVENT_EVERY_MS = 10  # event time: 300,000 predictions are fifty minutes
STARTS_MS = 1_700_000_000_000  # a moment long past, so that no event lies in the future
CHUNK = 5_000  # predictions between two looks at acknowledgements; an outcome comes one chunk after its prediction
BATCH_BYTES = 65_536  # a producer tuned for throughput; the default of 16 KiB costs all readers the same
POSITIVE_SHARE = 0.3  # of labels; any share that is neither rare nor even


class Recording(NamedTuple):
    """What to write, and where it lies."""

    predictions: str
    outcomes: str | None
    records: int
    seed: int
    poison: int = 0  # records that no contract allows, spread evenly among the predictions
    features: int = FEATURES


class Event(NamedTuple):
    model: str
    value: bytes


def record(bootstrap: str, recording: Recording) -> None:
    """Makes the topics and fills them; returns when the broker has acknowledged everything."""
    say(f"recording {recording.records:,} predictions{' and their outcomes' if recording.outcomes else ''}")
    asyncio.run(_record(bootstrap, recording))


async def _record(bootstrap: str, recording: Recording) -> None:
    await _create_topics(bootstrap, recording)
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, compression_type="lz4", max_batch_size=BATCH_BYTES, acks="all"
    ) as producer:
        waiting: list[Event] = []
        for chunk, outcomes in _chunks(recording):
            await _send(producer, recording.predictions, [*_with_poison(chunk, recording)])
            if recording.outcomes is not None:
                await _send(producer, recording.outcomes, waiting)
                waiting = outcomes
        if recording.outcomes is not None:
            await _send(producer, recording.outcomes, waiting)


async def _create_topics(bootstrap: str, recording: Recording) -> None:
    wanted = {recording.predictions: Stream.PREDICTIONS}
    if recording.outcomes is not None:
        wanted[recording.outcomes] = Stream.OUTCOMES
    topics = [
        NewTopic(name, PARTITIONS, 1, topic_configs=CATALOGUE[stream].config()) for name, stream in wanted.items()
    ]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics(topics)
    finally:
        await admin.close()


def _chunks(recording: Recording) -> Iterator[tuple[list[Event], list[Event]]]:
    """Predictions and, shuffled, their outcomes."""
    draw = np.random.default_rng(recording.seed)
    cuts = [*range(0, recording.records, CHUNK), recording.records]
    for first, end in pairwise(cuts):
        features = draw.standard_normal((end - first, recording.features)).tolist()
        scores = draw.random(end - first).tolist()
        labels = (draw.random(end - first) < POSITIVE_SHARE).tolist()
        numbers = range(first, end)
        predictions = [prediction(*parts) for parts in zip(numbers, features, scores, strict=True)]
        outcomes = [_outcome(*parts) for parts in zip(numbers, labels, strict=True)]
        draw.shuffle(outcomes)  # in place
        yield predictions, outcomes


def _with_poison(events: Sequence[Event], recording: Recording) -> Iterator[Event]:
    """After every so many good ones a bad one, made of the good one before it."""
    if not recording.poison:
        yield from events
        return
    every = recording.records // recording.poison
    for number, event in enumerate(events, 1):
        yield event
        if number % every == 0:
            yield Event(event.model, POISONS[number // every % len(POISONS)](event.value))


# How producers really fail: cut off, a wrong encoding, a number that is none, a field missing or of another type.
POISONS: Sequence[Callable[[bytes], bytes]] = (
    lambda value: value[: len(value) // 2],
    lambda value: value.replace(b'"model":"', b'"model":"\xff'),
    lambda value: value.replace(b'"score":', b'"score":NaN,"was":'),
    lambda value: value.replace(b'"prediction":', b'"answer":'),
    lambda value: value.replace(b'"v":1', b'"v":2'),
    lambda value: value.replace(b'"ts":', b'"ts":"soon","was":'),
    lambda value: value.replace(b'"features":{', b'"features":[],"was":{'),
    lambda value: b"[" * 20_000,
)


def prediction(number: int, features: Sequence[float], score: float) -> Event:
    """One in the form of the contract; its model is its number's."""
    model = f"m{number % MODELS}"
    fields = {
        "type": "prediction",
        "v": 1,
        "id": f"p-{number:09d}",
        "model": model,
        "version": "1",
        "ts": STARTS_MS + number * EVENT_EVERY_MS,
        "features": {f"f{column}": value for column, value in enumerate(features)},
        "prediction": int(score > 1 - POSITIVE_SHARE),
        "score": score,
    }
    return Event(model, orjson.dumps(fields))


def _outcome(number: int, label: bool) -> Event:
    model = f"m{number % MODELS}"
    ts = STARTS_MS + (number + CHUNK) * EVENT_EVERY_MS
    fields = {"type": "outcome", "v": 1, "id": f"p-{number:09d}", "model": model, "ts": ts, "label": int(label)}
    return Event(model, orjson.dumps(fields))


async def _send(producer: AIOKafkaProducer, topic: str, events: Sequence[Event]) -> None:
    """Whole batches, made here: several times as fast as a call for each record."""
    by_partition: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        by_partition[_partition(event.model)].append(event)
    acknowledged = [
        await producer.send_batch(batch, topic, partition=partition)
        for partition, part in by_partition.items()
        for batch in _batches(producer, part)
    ]
    await asyncio.gather(*acknowledged)


def _batches(producer: AIOKafkaProducer, events: Sequence[Event]) -> Iterator[Any]:
    batch = producer.create_batch()
    for event in events:
        key = event.model.encode()
        if batch.append(key=key, value=event.value, timestamp=None) is None:  # full
            yield batch
            batch = producer.create_batch()
            batch.append(key=key, value=event.value, timestamp=None)
    if batch.record_count():
        yield batch


@functools.cache
def _partition(model: str) -> int:
    """Kafka's own default, so that a key lies where any producer would put it."""
    spread: int = murmur2(model.encode()) & 0x7FFFFFFF
    return spread % PARTITIONS
