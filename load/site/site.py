"""Topics, configuration and a producer of one run on a real broker, under names that no other run has."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from load.brokers.common import free_port, tail_of
from load.site.offsets import end_of
from schemas.topics import CATALOGUE, Direction, Stream
from streams.sinks import FILES

Keys = Mapping[str, str | int | bool | list[str]]  # settings under their whole names, such as ``state.commit_interval``
Written = list[tuple[str, bytes]]  # id and value of each event of a topic

INPUTS = tuple(topic.stream for topic in CATALOGUE.values() if topic.direction is Direction.IN)
OUTPUTS = tuple(FILES)
PARTITIONS = 4
ANSWERS_WITHIN_S = 20.0  # a request of a broker on this machine
COMMAND_WITHIN_S = 900.0  # a replay of some million records takes minutes

# Quick to notice a member that is gone, and quick to have a baseline, a drift and what follows from it.
EAGER: Keys = {
    "kafka.session_timeout": "6s",  # the least that brokers allow
    "kafka.heartbeat_interval": "500ms",
    "worker.batch_records_max": 500,
    "worker.tick_interval": "0s",  # on the input topics stands what the run sent, and nothing else
    "defaults.baseline_rows": 200,
    "defaults.metrics_window": "2s",
    "defaults.retrain.min_labels": 50,
}


LOG_LEVEL = 2  # librdkafka would complain of a broker that goes at the end of a run


class SiteError(RuntimeError):
    """The broker or one of our own commands did not do what a run needs."""


class Site:
    """``settings`` stand over ``EAGER``; those of one worker stand over these."""

    def __init__(
        self, bootstrap: str, folder: Path, settings: Keys | None = None, *, inputs_of: "Site | None" = None
    ) -> None:
        self.bootstrap, self.folder = bootstrap, folder
        self.prefix = f"live{uuid4().hex[:8]}"
        self.sent = 0
        self._settings = {**EAGER, **(settings or {})}
        self._inputs_of = inputs_of
        self._producer = _producer(bootstrap)

    def create_topics(self) -> "Site":
        self.command("topics", "create", "--config", str(self.config("topics")))
        return self

    def witness(self, settings: Keys | None = None) -> "Site":
        """Another group with outputs of its own that reads the same inputs."""
        folder = self.folder / "witness"
        folder.mkdir()
        return Site(self.bootstrap, folder, {**self._settings, **(settings or {})}, inputs_of=self).create_topics()

    def set_topics(self, streams: Iterable[Stream], settings: Mapping[str, str]) -> None:
        """Settings of topics under Kafka's own names, over those they were made with."""
        from confluent_kafka.admin import (  # noqa: PLC0415 - comes with the development lock
            AlterConfigOpType,
            ConfigEntry,
            ConfigResource,
        )

        to_set = AlterConfigOpType.SET
        entries = [ConfigEntry(name, value, incremental_operation=to_set) for name, value in settings.items()]
        topics = [
            ConfigResource(ConfigResource.Type.TOPIC, self.topic(stream), incremental_configs=entries)
            for stream in streams
        ]
        for done in self.admin.incremental_alter_configs(topics).values():
            done.result(ANSWERS_WITHIN_S)

    def topic(self, stream: Stream) -> str:
        if self._inputs_of is not None and stream in INPUTS:
            return self._inputs_of.topic(stream)
        return f"{self.prefix}.{stream.value}"

    def state_dir(self, name: str) -> Path:
        return self.folder / f"state-{name}"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def config(self, name: str, port: int = 0, settings: Keys | None = None) -> Path:
        """Of a worker or pager that goes by this name: its state has a directory of its own, checkpoints are shared."""
        own: Keys = {
            "kafka.bootstrap": self.bootstrap,
            "kafka.group": self.prefix,
            "kafka.partitions": PARTITIONS,
            **{f"kafka.topics.{stream.value}": self.topic(stream) for stream in Stream},
            "metrics.port": port or free_port(),
            "pager.metrics_port": port or free_port(),
            "pager.group": f"{self.prefix}-pager",
            "pager.dir": str(self.folder / f"pager-{name}"),
            "state.dir": str(self.state_dir(name)),
            "state.checkpoints": str(self.checkpoints),
            **self._settings,
            **(settings or {}),
        }
        path = self.folder / f"{name}.toml"
        path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in own.items()))
        return path

    def send(self, stream: Stream, key: str | None, value: bytes | None) -> None:
        self._producer.produce(self.topic(stream), value, key=key, timestamp=self.time_of(stream))
        self.sent += 1
        if self.sent % 200 == 0:
            self._producer.poll(0)

    def time_of(self, stream: Stream) -> int:
        """The producer's time for a record in epoch milliseconds; 0 is now. Where brokers stamp it is not looked at."""
        return 0

    def flush(self) -> None:
        left = self._producer.flush(30)
        if left:
            raise SiteError(f"{left} records were not acknowledged within 30 s")

    def read(self, stream: Stream) -> dict[int, Written]:
        """By partition, in order: everything that is on an output topic now, but for what tells of cuts."""
        found: dict[int, Written] = {number: [] for number in range(PARTITIONS)}
        for message in self.messages(stream):
            if stream is Stream.SIGNALS and message.key() is None:
                continue  # a replay keeps to it and does not repeat it
            found[message.partition()].append((dict(message.headers())["ce_id"].decode(), message.value()))
        return found

    def messages(self, stream: Stream) -> Iterator[Any]:
        """Everything that is on a topic now, as the client gives it; in order within a partition."""
        from confluent_kafka import Consumer, TopicPartition  # noqa: PLC0415 - comes with the development lock

        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "verifier", "enable.auto.commit": False})
        try:
            places = [TopicPartition(self.topic(stream), number, 0) for number in range(PARTITIONS)]
            wanted = sum(end_of(consumer, place) for place in places)
            consumer.assign(places)
            while wanted:
                messages = consumer.consume(min(wanted, 1_000), ANSWERS_WITHIN_S)
                if not messages or any(message.error() for message in messages):
                    raise SiteError(f"{self.topic(stream)}: {wanted} records could not be read")
                wanted -= len(messages)
                yield from messages
        finally:
            consumer.close()

    def members(self) -> int:
        """How many workers the group counts, those included that it has not missed yet."""
        group = self.admin.describe_consumer_groups([self.prefix])[self.prefix].result(ANSWERS_WITHIN_S)
        return len(group.members)

    @cached_property
    def admin(self) -> Any:
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415 - comes with the development lock

        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": LOG_LEVEL})

    def replay(self) -> dict[Stream, Written]:
        """What the embedded engine decides on the same topics, in the order of partitions."""
        out = self.folder / f"replay-{uuid4().hex[:6]}"
        self.command("replay", "kafka:", "--config", str(self.config("replay")), "--out", str(out))
        return {
            stream: [(json.loads(line)["id"], line) for line in (out / name).read_bytes().splitlines()]
            for stream, name in FILES.items()
        }

    def command(self, *words: str) -> None:
        """Runs one of our own commands, which must do what it is asked."""
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli", *words],
            capture_output=True,
            text=True,
            timeout=COMMAND_WITHIN_S,
            check=False,
        )
        if done.returncode != 0:
            raise SiteError(f"driftline {' '.join(words)}: {tail_of(done.stderr)}")


def _producer(bootstrap: str) -> Any:
    from confluent_kafka import Producer  # noqa: PLC0415 - comes with the development lock

    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "linger.ms": 5,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "log_level": LOG_LEVEL,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
