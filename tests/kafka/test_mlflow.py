"""``driftline mlflow`` as a process between a real broker and a real MLflow server."""

import asyncio
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from os import environ
from pathlib import Path
from time import time
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.codec import Decoder, encode
from schemas.events import Control
from schemas.records import Record
from schemas.topics import Stream, TopicNames
from streams.mlflow import aliases
from streams.sections import KafkaSettings
from streams.topics import create
from tests.kafka.mlflow_server import MlflowServer, mlflow_server
from tests.mlflow.registry import event

pytestmark = pytest.mark.broker

PATIENCE_S = 90.0
PARTITIONS = 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as running:
        yield running


class Place:
    """Topics and a registered model with names of their own, and the configuration of a process between them."""

    def __init__(self, bootstrap: str, server: MlflowServer, folder: Path, more: str = "") -> None:
        mark = uuid.uuid4().hex[:12]
        self.model, self.server = f"churn-{mark}", server
        names = TopicNames(**{stream.value: f"{stream.value}-{mark}" for stream in Stream})
        self.kafka = KafkaSettings(bootstrap=bootstrap, topics=names, partitions=PARTITIONS)
        self._config, self._log = folder / "driftline.toml", folder / "mlflow.log"
        self._config.write_text(
            f"""
            [kafka]
            bootstrap = "{bootstrap}"
            topics.retrain = "{names.retrain}"
            topics.control = "{names.control}"
            session_timeout = "6s"
            heartbeat_interval = "500ms"
            [metrics]
            enabled = false
            [log]
            format = "json"
            [mlflow]
            registry_uri = "{server.url}"
            group = "mlflow-{mark}"
            watch = ["{self.model}"]
            poll_interval = "1s"
            {more}
            """
        )

    def said(self) -> str:
        return self._log.read_text()

    @contextmanager
    def process(self) -> Iterator["subprocess.Popen[bytes]"]:
        command = [sys.executable, "-m", "streams.cli", "mlflow", "--config", str(self._config)]
        with self._log.open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log, env=environ) as process:
            try:
                yield process
            finally:
                process.kill()

    @asynccontextmanager
    async def topics(self) -> AsyncIterator[AIOKafkaProducer]:
        await create(self.kafka)
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap) as producer:
            yield producer

    async def send(self, producer: AIOKafkaProducer, value: bytes) -> None:
        await producer.send_and_wait(self.kafka.topics.retrain, value, key=self.model.encode())

    async def until(self, true: Callable[[], Any], what: str) -> None:
        """MLflow tells nobody when something changes, so it is asked."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await asyncio.to_thread(true):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pytest.fail(f"not within {PATIENCE_S:g} s: {what}\n{self.said()[-3_000:]}")

    async def until_seen(self) -> None:
        await self.until(lambda: "driftline.alias.champion" in self.server.tags(self.model), "a look at the alias")

    async def until_tagged(self, event_id: str, kind: str = "retrain") -> None:
        await self.until(lambda: self.server.tags(self.model).get(f"driftline.{kind}") == event_id, event_id)

    async def told(self, wanted: int) -> list[Control]:
        """What lies on the control topic once there are so many, read as a worker reads it."""
        decoder, found = Decoder(), list[Control]()
        topic = self.kafka.topics.control
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka.bootstrap, auto_offset_reset="earliest")
        async with consumer, asyncio.timeout(PATIENCE_S):
            consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
            await consumer.seek_to_beginning()
            while len(found) < wanted:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for one in records:
                        record = Record(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value)
                        decoded = decoder.decode(Stream.CONTROL, record)
                        assert isinstance(decoded, Control)
                        found.append(decoded)
        return found


async def test_advice_stands_in_the_registry_and_a_moved_alias_is_told_once(
    bootstrap: str, server: MlflowServer, tmp_path: Path
) -> None:
    place = Place(bootstrap, server, tmp_path)
    server.add(place.model, versions=2, live=1)
    async with place.topics() as producer:
        await place.send(producer, b"not an event")
        await place.send(producer, event(model="nobody"))
        with place.process() as process:
            await place.until_seen()
            await place.send(producer, event(model=place.model, version="1"))
            await place.until_tagged("retrain-1")
            server.move(place.model, 2)
            (deploy,) = await place.told(1)
            await place.until(lambda: '"said":true' in server.tags(place.model)["driftline.alias.champion"], "said")
            process.send_signal(signal.SIGKILL)
        server.move(place.model, 1)
        with place.process() as process, place.process():  # the second one stands by
            await place.send(producer, event(model=place.model, version="1"))
            await place.send(producer, event(model=place.model, version="1", number=2))
            await place.until_tagged("retrain-2")
            told = await place.told(2)
            await place.until(lambda: "driftline.live.champion" in server.tags(place.model, 2), "a mark")
            # The other one may have done all of this before this one had begun.
            await place.until(lambda: _can_be_told(process.pid, signal.SIGTERM), "it can be told to stop")
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 60) == 0
            assert await place.told(2) == told
    assert [(one.action, one.model, one.version) for one in told] == [
        ("deploy", place.model, "2"),
        ("rollback", place.model, "1"),
    ]
    assert deploy == told[0]
    mine, of_version = server.tags(place.model), server.tags(place.model, 1)
    retrain = {name: value for name, value in of_version.items() if name.startswith("driftline.retrain")}
    assert retrain.items() <= mine.items()
    assert retrain["driftline.retrain.data"] == "driftline.predictions[3] 40..90"
    assert place.said().count("was not taken") == 1


def _can_be_told(process: int, number: signal.Signals) -> bool:
    """Whether it does something of its own when the signal comes."""
    status = Path(f"/proc/{process}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("arrived", [True, False])
async def test_what_was_only_intended_when_a_process_ended_is_told_once(
    bootstrap: str, server: MlflowServer, tmp_path: Path, arrived: bool
) -> None:
    place = Place(bootstrap, server, tmp_path)
    server.add(place.model, versions=2, live=2)
    seen = aliases.first_seen("1", 1)
    now = int(time() * 1000)
    intended = aliases.moved(place.model, "champion", seen, "2", "2", was_live=False, now=now)
    event = aliases.event_of(intended, place.model, "champion")
    tag = aliases.tag("champion")
    server.ask("registered-models/set-tag", name=place.model, key=tag, value=aliases.written(intended))
    async with place.topics() as producer:
        if arrived:
            await producer.send_and_wait(place.kafka.topics.control, encode(event), key=place.model.encode())
        with place.process():
            await place.until(lambda: '"said":true' in server.tags(place.model)[tag], "said")
    assert await place.told(1) == [event]


async def test_a_rollback_moves_the_alias_where_that_is_allowed_and_is_told_as_one(
    bootstrap: str, server: MlflowServer, tmp_path: Path
) -> None:
    place = Place(bootstrap, server, tmp_path, "apply_rollbacks = true")
    server.add(place.model, versions=2, live=2)
    async with place.topics() as producer:
        with place.process():
            await place.until_seen()
            old = event("rollback", 1, model=place.model, version="2", to_version="1", ts=1)
            await place.send(producer, old)
            await place.until_tagged("rollback-1", "rollback")
            assert server.live(place.model) == "2"
            now = int(time() * 1000)
            await place.send(producer, event("rollback", 2, model=place.model, version="2", to_version="1", ts=now))
            (told,) = await place.told(1)
    assert (told.action, told.version, server.live(place.model)) == ("rollback", "1", "1")


async def test_a_registry_that_is_away_is_waited_for_and_told_once(
    bootstrap: str, server: MlflowServer, tmp_path: Path
) -> None:
    place = Place(bootstrap, server, tmp_path)
    server.add(place.model, versions=1, live=1)
    async with place.topics() as producer:
        with place.process():
            await place.until_seen()
            server.stop()
            await place.send(producer, event(model=place.model, version="1"))
            await place.until(lambda: place.said().count("cannot be worked with") == 2, "both tasks to tell")
            server.start()
            await place.until_tagged("retrain-1")
            await place.until(lambda: place.said().count("can be worked with again") == 2, "both tasks to go on")
    assert place.said().count("cannot be worked with") == 2
