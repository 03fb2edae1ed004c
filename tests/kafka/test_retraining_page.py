"""The pipeline of docs/retraining.md does on a real broker what the page says."""

import asyncio
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from msgspec.structs import asdict

from schemas.codec import Decoder
from schemas.events import Control
from schemas.records import Record
from schemas.topics import Stream, TopicNames
from streams.sections import KafkaSettings
from streams.topics import create

pytestmark = pytest.mark.broker

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "retraining.md").read_text()
MARK = f"d{uuid.uuid4().hex[:12]}"  # in the place of what the default names begin with: other tests use these as well
NAMES = TopicNames(**{field: name.replace("driftline", MARK) for field, name in asdict(TopicNames()).items()})
(PIPELINE,) = re.findall(r"```python\n(.*?)```", PAGE.replace("driftline.", f"{MARK}."), re.DOTALL)
PARTITIONS = 4
PATIENCE_S = 90.0


@contextmanager
def pipeline(bootstrap: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", PIPELINE]
    env = {**os.environ, "BOOTSTRAP": bootstrap}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


class Topics:
    def __init__(self, producer: AIOKafkaProducer, model: str) -> None:
        self._producer, self.model = producer, model

    async def send(self, topic: str, content: Mapping[str, Any] | bytes, **fields: Any) -> Any:
        about = {"v": 1, "model": self.model, "ts": int(time() * 1000)}
        value = content if isinstance(content, bytes) else json.dumps({**about, **content, **fields}).encode()
        return await self._producer.send_and_wait(topic, value, key=self.model.encode())

    async def predict(self, name: str, **fields: Any) -> Any:
        content = {"type": "prediction", "id": name, "features": {"n": name}, "prediction": True}
        return await self.send(NAMES.predictions, content, **fields)

    async def label(self, name: str, **fields: Any) -> Any:
        return await self.send(NAMES.outcomes, {"type": "outcome", "id": name, "label": False}, **fields)

    async def retrain(self, name: str, first: Any, last: Any, **fields: Any) -> None:
        data = {"topic": first.topic, "partition": first.partition, "from_ts": 0, "to_ts": 0}
        data |= {"from_offset": first.offset, "to_offset": last.offset}
        await self.send(NAMES.retrain, {"type": "retrain", "id": name, "data": data}, **fields)


@pytest.fixture
async def topics(bootstrap: str) -> Any:
    await create(KafkaSettings(bootstrap=bootstrap, topics=NAMES, partitions=PARTITIONS))
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        yield Topics(producer, f"churn-{uuid.uuid4().hex[:12]}")


async def trained(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        return (await asyncio.to_thread(process.stdout.readline)).strip()


async def told(bootstrap: str, model: str, wanted: int) -> list[Control]:
    """What the monitor was told of the model once there is so much, read as a worker reads it."""
    decoder, found = Decoder(), list[Control]()
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(PATIENCE_S):
        consumer.assign([TopicPartition(NAMES.control, number) for number in range(PARTITIONS)])
        await consumer.seek_to_beginning()
        while len(found) < wanted:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for one in records:
                    record = Record(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value)
                    event = decoder.decode(Stream.CONTROL, record)
                    if isinstance(event, Control) and event.model == model:
                        found.append(event)
    return found


async def test_it_trains_on_the_named_records_once_and_tells_the_monitor(bootstrap: str, topics: Topics) -> None:
    await topics.predict("before")
    first = await topics.predict("a")
    await topics.predict("a", features={"n": "again"})
    await topics.predict("of another", model="price")
    await topics.send(NAMES.predictions, b"{")
    await topics.predict("b")
    await topics.predict("unlabelled")
    last = await topics.predict("c")
    await topics.predict("after")
    for name in ("before", "a", "b", "after", "of another"):
        await topics.label(name)
    await topics.label("a", label=True, revision=1)
    await topics.label("c", provisional=True)
    await topics.send(NAMES.outcomes, b"[1]")
    name = f"rt-{uuid.uuid4().hex[:12]}"
    with pipeline(bootstrap) as process:
        await topics.send(NAMES.retrain, b"no event")
        await topics.retrain(f"{name}-old", first, last, ts=1)
        await topics.retrain(f"{name}-1", first, last)
        await topics.retrain(f"{name}-1", first, last)
        assert await trained(process) == f"trained retrained-{name}-1 on 2 labelled predictions"
        await told(bootstrap, topics.model, 1)
    with pipeline(bootstrap) as process:  # it was killed, perhaps before it had committed
        await topics.label("c", revision=1)
        await topics.retrain(f"{name}-2", first, last)
        assert await trained(process) == f"trained retrained-{name}-2 on 3 labelled predictions"
        deployments = await told(bootstrap, topics.model, 2)
    assert [(one.action, one.version, one.id) for one in deployments] == [
        ("deploy", f"retrained-{name}-{number}", f"deploy-{name}-{number}") for number in (1, 2)
    ]


async def test_the_rows_are_features_with_their_newest_labels(
    bootstrap: str, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOTSTRAP", bootstrap)
    names: dict[str, Any] = {}
    exec(PIPELINE.removesuffix("asyncio.run(main())\n"), names)  # noqa: S102 - the page's own program, without its start
    first = await topics.predict("a")
    await topics.predict("a", features={"n": "again"})
    last = await topics.predict("b")
    for label, revision in ((1, 1), (3, 3), (2, 2)):
        await topics.label("a", label=label, revision=revision)
    await topics.label("b", label="late")
    data = {"topic": first.topic, "partition": first.partition, "from_offset": first.offset, "to_offset": last.offset}
    rows = await names["rows_of"]({"model": topics.model, "ts": 1, "data": data})
    assert rows == [({"n": "a"}, 3), ({"n": "b"}, "late")]
