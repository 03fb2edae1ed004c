"""Topics of a test's own, workers as processes, and the truth recomputed from the topics alone."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from load.site.offsets import end_of
from schemas.records import Record
from schemas.topics import Stream, TopicNames
from streams.sections import KafkaSettings, StateSettings, WorkerSettings
from streams.settings import Settings
from streams.topics import create
from tests.transport.chain import ChainEngine

PARTITIONS = 4
# Large enough that a backlog of predictions takes several fetches and its outcomes one: who does not wait for evidence
# then applies outcomes before predictions that are older.
PREDICTION_BYTES = 4_000
READ_WITHIN_S = 20.0
REPOSITORY = Path(__file__).resolve().parents[2]


def settings_for(bootstrap: str, **worker: object) -> Settings:
    """Names that no other test has; quick to notice a worker that is gone."""
    prefix = f"t{uuid4().hex[:8]}"
    names = TopicNames(**{stream.value: f"{prefix}.{stream.value}" for stream in Stream})
    kafka = KafkaSettings(
        bootstrap=bootstrap,
        group=prefix,
        topics=names,
        partitions=PARTITIONS,
        session_timeout="6s",
        heartbeat_interval="500ms",
        request_timeout="20s",
    )
    return Settings(kafka=kafka, worker=WorkerSettings(batch_records_max=200, **worker))


def make_topics(settings: Settings) -> None:
    asyncio.run(create(settings.kafka))


class Input:
    """Predictions, then their outcomes, and now and then a word of control, over all partitions."""

    def __init__(self, settings: Settings, prediction_bytes: int = PREDICTION_BYTES) -> None:
        self._prediction_bytes = prediction_bytes
        self._chance = random.Random(7)
        self._names = settings.kafka.topics
        self._producer = Producer({"bootstrap.servers": settings.kafka.bootstrap, "linger.ms": 1})
        self.sent = 0

    def send(self, records: int, per_second: float = 20_000) -> None:
        start = time.monotonic()
        for number in range(records):
            stream = Stream.CONTROL if number % 97 == 0 else Stream.PREDICTIONS if number % 2 else Stream.OUTCOMES
            partition = self._chance.randrange(PARTITIONS)
            padding = self._prediction_bytes if stream is Stream.PREDICTIONS else 0
            self._producer.produce(self._names.of(stream), b"%*d" % (padding, self.sent), partition=partition)
            self.sent += 1
            if number % 100 == 0:
                self._producer.poll(0)
                # Spread over time, so that reads, questions and appends of all kinds meet.
                time.sleep(max(0.0, start + number / per_second - time.monotonic()))
        self._producer.flush(20)


def read(settings: Settings, stream: Stream) -> list[Message]:
    """Everything that is on a topic now."""
    topic = settings.kafka.topics.of(stream)
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka.bootstrap, "group.id": "verifier", "enable.auto.commit": False}
    )
    try:
        ends = [end_of(consumer, TopicPartition(topic, number)) for number in range(PARTITIONS)]
        consumer.assign([TopicPartition(topic, n, 0) for n in range(PARTITIONS)])
        messages: list[Message] = []
        until = time.monotonic() + READ_WITHIN_S
        while len(messages) < sum(ends):
            if time.monotonic() > until:
                raise TimeoutError(f"{topic}: read {len(messages)} records of {sum(ends)}")
            messages += [message for message in consumer.consume(1000, 0.2) if not message.error()]
        return messages
    finally:
        consumer.close()


def header(message: Message, name: str) -> str:
    return dict(message.headers())[name].decode()


def told(settings: Settings) -> list[tuple[str, str]]:
    """The ids on the alerts topic with what they say, repeats and all."""
    return sorted((header(m, "ce_id"), m.value().decode()) for m in read(settings, Stream.ALERTS))


def truth(settings: Settings) -> list[tuple[str, str]]:
    """What one engine for each partition says when it is handed the topics sorted, in one piece."""
    names = settings.kafka.topics
    rank = {name: place for place, name in enumerate(names.inputs)}
    records = sorted(
        (
            Record(m.topic(), m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value())
            for stream in names.inputs.values()
            for m in read(settings, stream)
        ),
        key=lambda r: (r.timestamp, rank[r.topic], r.offset),
    )
    told = []
    for partition in range(PARTITIONS):
        own = [record for record in records if record.partition == partition]
        told += [(effect.id, effect.value.decode()) for effect in ChainEngine(partition).apply(own).effects]
    return sorted(told)


def wait_for_told(settings: Settings, expected: int, within_s: float = 25) -> list[tuple[str, str]]:
    """Returns when at least so many events are on the alerts topic, or with what there is when time is up."""
    until = time.monotonic() + within_s
    while len(found := told(settings)) < expected and time.monotonic() < until:
        time.sleep(0.2)
    return found


class Worker:
    def __init__(self, settings: Settings, log: Path, *options: str) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.transport.chain", msgspec.json.encode(settings).decode(), *options],
                cwd=REPOSITORY,
                stdout=out,
                stderr=out,
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self, within_s: float = 15) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def __str__(self) -> str:
        return self.log.read_text()


class Workers:
    """The workers of a test. What is left of them ends with it."""

    def __init__(self, settings: Settings, folder: Path, *options: str) -> None:
        self._settings, self._folder, self._options = settings, folder, options
        self.started: list[Worker] = []

    def start(self, folder: str = "") -> Worker:
        """Each has a state of its own, unless it is told whose it takes up."""
        number = len(self.started)
        state = StateSettings(
            dir=str(self._folder / (folder or f"state-{number}")), checkpoints=str(self._folder / "checkpoints")
        )
        worker = Worker(
            msgspec.structs.replace(self._settings, state=state), self._folder / f"worker-{number}.log", *self._options
        )
        self.started.append(worker)
        return worker


@contextmanager
def workers(settings: Settings, folder: Path, *options: str) -> Iterator[Workers]:
    group = Workers(settings, folder, *options)
    try:
        yield group
    finally:
        for worker in group.started:
            if worker.process.poll() is None:
                worker.kill()
            print(f"--- {worker.log.name}\n{worker}")  # noqa: T201 - pytest shows it where the test failed
