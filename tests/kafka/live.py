"""The worker as users run it, on topics of a test's own, and what it wrote held against a replay of the same topics."""

import json
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from schemas.topics import CATALOGUE, Direction, Stream

PARTITIONS = 4
MODELS = ("amber", "birch", "cedar", "dune", "ember", "fjord")
INPUTS = tuple(topic.stream for topic in CATALOGUE.values() if topic.direction is Direction.IN)
OUTPUTS = {Stream.ALERTS: "alerts", Stream.RETRAIN: "retrain", Stream.SIGNALS: "signals", Stream.METRICS: "metrics"}
PATIENCE_S = 60.0


class Site:
    """Topics, a configuration and a producer of one test."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.bootstrap, self.folder = bootstrap, folder
        self.prefix = f"live{uuid4().hex[:8]}"
        self.sent = 0
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "linger.ms": 5, "partitioner": "murmur2_random", "compression.type": "lz4"}
        )
        self._command("topics", "create", "--config", str(self.config()))

    def topic(self, stream: Stream) -> str:
        return f"{self.prefix}.{stream.value}"

    def config(self, metrics_port: int = 0) -> Path:
        path = self.folder / f"driftline-{metrics_port}.toml"
        topics = "\n".join(f'{stream.value} = "{self.topic(stream)}"' for stream in Stream)
        path.write_text(
            f"""
[kafka]
bootstrap = "{self.bootstrap}"
group = "{self.prefix}"
partitions = {PARTITIONS}
session_timeout = "6s"
heartbeat_interval = "500ms"
[kafka.topics]
{topics}
[metrics]
port = {metrics_port or free_port()}
[worker]
batch_records_max = 500
[defaults]
baseline_rows = 200
metrics_window = "2s"
[defaults.retrain]
min_labels = 50
"""
        )
        return path

    def send(self, stream: Stream, key: str | None, value: bytes | None) -> None:
        self._producer.produce(self.topic(stream), value, key=key)
        self.sent += 1
        if self.sent % 200 == 0:
            self._producer.poll(0)

    def flush(self) -> None:
        assert self._producer.flush(30) == 0

    def read(self, stream: Stream) -> dict[int, list[tuple[str, bytes]]]:
        """By partition, in order: id header and value of everything that is on a topic now."""
        topic = self.topic(stream)
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "verifier", "enable.auto.commit": False})
        try:
            places = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]
            wanted = sum(consumer.get_watermark_offsets(place, timeout=20)[1] for place in places)
            consumer.assign(places)
            found: dict[int, list[tuple[str, bytes]]] = {number: [] for number in range(PARTITIONS)}
            while sum(map(len, found.values())) < wanted:
                for message in consumer.consume(1000, 0.2):
                    assert message.error() is None
                    found[message.partition()].append((dict(message.headers())["ce_id"].decode(), message.value()))
            return found
        finally:
            consumer.close()

    def replay(self) -> Path:
        """The same topics through the embedded engine."""
        out = self.folder / f"replay-{uuid4().hex[:6]}"
        self._command("replay", "kafka:", "--config", str(self.config()), "--out", str(out))
        return out

    def _command(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli", *arguments], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Traffic:
    """Models whose one feature moves and whose errors rise half-way, from a seed; labels a little late."""

    def __init__(self, site: Site, seed: int, events: int) -> None:
        self._site, self._random, self._events = site, random.Random(seed), events
        self._number = 0
        self._waiting: list[tuple[str, str, bool]] = []

    def send(self, share: float, per_second: float = 6_000) -> None:
        """The next part of the events, spread over time so that appends and reads of every kind meet."""
        start, first = time.monotonic(), self._number
        while self._number < first + self._events * share:
            self._predict()
            while len(self._waiting) > 300:
                self._label(self._random.randrange(len(self._waiting)))
            if self._number % 100 == 0:
                time.sleep(max(0.0, start + (self._number - first) / per_second - time.monotonic()))
        self._site.flush()

    def _predict(self) -> None:
        number, drifted = self._number, self._number > self._events / 2
        self._number += 1
        model, key = self._random.choice(MODELS), f"p{number}"
        gauss = self._random.gauss
        truth = self._random.random() < 0.4
        right = self._random.random() > (0.35 if drifted and model != "fjord" else 0.05)
        event = {
            "type": "prediction",
            "v": 1,
            "id": key,
            "model": model,
            "version": "1",
            "ts": 1_760_000_000_000 + number,
            "features": {"steady": gauss(0, 1), "moving": gauss(3 if drifted and model == "amber" else 2, 1)},
            "prediction": truth if right else not truth,
            "score": self._random.random(),
        }
        self._site.send(Stream.PREDICTIONS, model, json.dumps(event).encode())
        if number % 50 == 7:  # a producer that sends again
            self._site.send(Stream.PREDICTIONS, model, json.dumps(event).encode())
        self._waiting.append((model, key, truth))

    def _label(self, index: int) -> None:
        self._waiting[index], self._waiting[-1] = self._waiting[-1], self._waiting[index]
        model, key, truth = self._waiting.pop()
        event = {"type": "outcome", "v": 1, "id": key, "model": model, "ts": 1_760_000_000_000, "label": truth}
        self._site.send(Stream.OUTCOMES, model, json.dumps(event).encode())


class Worker:
    def __init__(self, site: Site) -> None:
        self._port = free_port()
        self.log = site.folder / f"worker-{self._port}.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", "worker", "--config", str(site.config(self._port))],
                stdout=out,
                stderr=out,
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def metrics(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every sample of one name; empty while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return []
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return [(sample.labels, sample.value) for sample in samples if sample.name == name]


@contextmanager
def running() -> Iterator[Callable[[Site], Worker]]:
    """Starts workers; what is left of them ends with the test, and their logs are shown where it failed."""
    started: list[Worker] = []

    def start(site: Site) -> Worker:
        started.append(Worker(site))
        return started[-1]

    try:
        yield start
    finally:
        for worker in started:
            if worker.process.poll() is None:
                worker.kill()
            print(f"--- {worker.log.name}\n{worker.log.read_text()}")  # noqa: T201


def fates_add_up(worker: Worker) -> dict[tuple[str, str], dict[str, float]]:
    """Asserts that consumed is the sum of the fates, by topic and partition; returns the fates."""
    fates: dict[tuple[str, str], dict[str, float]] = {}
    for labels, value in worker.metrics("driftline_records_total"):
        fates.setdefault((labels["topic"], labels["partition"]), {})[labels["fate"]] = value
    consumed = {
        (labels["topic"], labels["partition"]): value for labels, value in worker.metrics("driftline_consumed_total")
    }
    assert {place: sum(ends.values()) for place, ends in fates.items()} == consumed
    return fates


def wait_until(true: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until, f"not within {PATIENCE_S:.0f} s: {what}"
        time.sleep(0.2)


def wait_until_read(workers: list[Worker]) -> None:
    """Returns when the workers together own every partition and none has anything left to apply."""

    def done() -> bool:
        owned = sum(value for each in workers for _, value in each.metrics("driftline_owned_partitions"))
        lags = [value for each in workers for _, value in each.metrics("driftline_lag_records")]
        return owned == PARTITIONS and len(lags) == PARTITIONS * len(INPUTS) and not any(lags)

    wait_until(done, "all input applied")


def live_equals_replay(site: Site) -> dict[Stream, int]:
    """Asserts that every output topic holds the replay's bytes, in its order, each id once; returns how many."""
    folder, sizes = site.replay(), {}
    for stream, name in {**OUTPUTS, Stream.DEAD_LETTERS: "dead-letters"}.items():
        live = [event for _, events in sorted(site.read(stream).items()) for event in events]
        ids = [event_id for event_id, _ in live]
        assert len(ids) == len(set(ids)), f"{stream}: an event stands twice"
        assert b"".join(value + b"\n" for _, value in live) == (folder / f"{name}.jsonl").read_bytes(), stream
        sizes[stream] = len(live)
    return sizes
