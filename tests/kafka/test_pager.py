"""A pager of its own process on a real broker: alert to page, and what becomes of pages when it is killed."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from schemas.topics import Stream, TopicNames
from streams.sections import KafkaSettings
from streams.topics import create
from tests.pager.endpoint import Endpoint, closes, endpoint, resets_midway, says
from tests.pager.steps import alert

pytestmark = pytest.mark.broker

KILLS = 10
PATIENCE_S = 60.0
GOOD = says(202, b'{"status":"success"}')
CANARY = "canary-routing-key"


class Place:
    """Topics with names of their own, and the configuration of a pager that reads them."""

    def __init__(self, bootstrap: str, folder: Path, server: Endpoint) -> None:
        self.server = server
        mark = uuid.uuid4().hex
        names = TopicNames(**{stream.value: f"{stream.value}-{mark}" for stream in Stream})
        self.kafka = KafkaSettings(bootstrap=bootstrap, topics=names, partitions=2)
        self.config, self.log = folder / "driftline.toml", folder / "pager.log"
        self.config.write_text(
            f"""
            [kafka]
            bootstrap = "{bootstrap}"
            topics.alerts = "{names.alerts}"
            session_timeout = "6s"
            heartbeat_interval = "500ms"
            [metrics]
            enabled = false
            [log]
            format = "json"
            [pager]
            group = "pager-{mark}"
            dir = "{folder / "pager"}"
            retry_pause_max = "1s"
            heartbeat_url = "{server.url("/alive")}"
            heartbeat_interval = "1s"
            heartbeat_allow_private = true
            [pager.sinks.duty]
            type = "pagerduty"
            url = "{server.url("/page")}"
            allow_private = true
            pages_per_minute = 10000
            """
        )

    def said(self) -> str:
        return self.log.read_text()

    @contextmanager
    def pager(self) -> Iterator["subprocess.Popen[bytes]"]:
        command = [sys.executable, "-m", "streams.cli", "pager", "--config", str(self.config)]
        env = {**os.environ, "DRIFTLINE_PAGER__SINKS__DUTY__SECRET": CANARY}
        with self.log.open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log, env=env) as process:
            try:
                yield process
            finally:
                process.kill()

    @asynccontextmanager
    async def alerts(self) -> AsyncIterator[Callable[..., object]]:
        await create(self.kafka)
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap, enable_idempotence=True) as producer:

            async def send(event: str, incident: str) -> None:
                key = incident.encode()  # one partition for an incident, as its model has
                await producer.send_and_wait(self.kafka.topics.alerts, alert(event, incident), key=key)

            yield send


async def until(place: Place, true: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await place.server.until(true)
    except TimeoutError:
        raise AssertionError(f"not within {PATIENCE_S:g} s: {what}\n{place.said()[-3_000:]}") from None


def pages(server: Endpoint, *, taken: bool = False) -> Sequence[tuple[str, str]]:
    """``taken``: those alone that the endpoint did not refuse."""
    events = [got.content for got in (server.took if taken else server.got) if got.path == "/page"]
    return [(event["dedup_key"], event["event_action"]) for event in events]


async def test_an_alert_on_the_topic_becomes_a_page_and_a_stop_is_in_order(bootstrap: str, tmp_path: Path) -> None:
    async with endpoint(GOOD) as server:
        place = Place(bootstrap, tmp_path, server)
        async with place.alerts() as send:
            await send("opened", "over-before-it-began")
            await send("resolved", "over-before-it-began")
            await send("opened", "inc-1")
            with place.pager() as process:
                await until(place, lambda: ("inc-1", "trigger") in pages(server), "a page")
                await until(place, lambda: any(got.path == "/alive" for got in server.got), "a heartbeat")
                await send("acknowledged", "inc-1")
                await until(place, lambda: ("inc-1", "acknowledge") in pages(server), "an acknowledge")
                await send("resolved", "inc-1")
                await until(place, lambda: ("inc-1", "resolve") in pages(server), "a resolve")
                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, 30) == 0
        assert pages(server) == [("inc-1", "trigger"), ("inc-1", "acknowledge"), ("inc-1", "resolve")]
        assert CANARY not in place.said()
        assert {got.content["routing_key"] for got in server.got if got.path == "/page"} == {CANARY}


async def test_a_pager_that_is_killed_again_and_again_loses_nothing(bootstrap: str, tmp_path: Path) -> None:
    """Each incident is paged, in order, under its own name; a page may come twice and never goes missing."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    sys.stdout.write(f"seed {seed}\n")
    async with endpoint(GOOD) as server:
        place = Place(bootstrap, tmp_path, server)
        async with place.alerts() as send:
            opened: list[str] = []
            for kill in range(KILLS):
                names = [f"k{kill}-{number}" for number in range(5)]
                server.script += [
                    chance.choice([GOOD, GOOD, says(503), says(500), resets_midway, closes]) for _ in range(4)
                ]
                with place.pager() as process:
                    seen = len(server.got)
                    for name in names:
                        await send("opened", name)
                    opened += names
                    wanted = seen + chance.randrange(1, 6)  # each of the five makes one at least
                    await until(place, lambda wanted=wanted: len(server.got) >= wanted, "signs of life")
                    process.send_signal(signal.SIGKILL)
                    await asyncio.to_thread(process.wait)
            server.script = []
            with place.pager():
                await until(place, lambda: {name for name, _ in pages(server, taken=True)} == set(opened), "every page")
                over = opened[::2]
                for name in over:
                    await send("resolved", name)
                resolved = {(name, "resolve") for name in over}
                await until(place, lambda: resolved <= set(pages(server)), "every resolve")
        told = pages(server)
        twice = sum(count - 1 for count in Counter(told).values())
        sys.stdout.write(f"{len(opened)} incidents, {KILLS} kills, {len(told)} requests, {twice} of them again\n")
        assert {name for name, _ in told} == set(opened)
        for name in opened:
            actions = [action for told_name, action in told if told_name == name]
            assert actions == [*["trigger"] * (len(actions) - (name in over)), *["resolve"] * (name in over)]
        bodies = [got.body for got in server.got if got.path == "/page"]
        assert all(orjson.loads(body)["routing_key"] == CANARY for body in bodies)
        assert CANARY not in place.said()
