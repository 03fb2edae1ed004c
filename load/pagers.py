"""``python -m load pagers``: a pager on a real broker and an endpoint that misbehaves, killed again and again.

Each incident must be paged at least once, its trigger before its end, under one key. Then, undisturbed, it is measured
how long an alert takes from the brokers' acknowledgement to the endpoint.
"""

import argparse
import asyncio
import random
import signal
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from os import environ
from pathlib import Path
from time import monotonic, time

import orjson
from aiokafka import AIOKafkaProducer

from load.broker import find_broker
from load.brokers.common import BrokerUnavailableError
from load.endpoint import Behaviour, Endpoint, closes, endpoint, resets_midway, says
from load.output import result, say
from schemas.topics import Stream, TopicNames
from streams.commands import Command
from streams.connection import start_client
from streams.sections import KafkaSettings
from streams.topics import create

KILLS = 50
INCIDENTS = 5  # a life; each makes one request at least
CALM = 200  # alerts that the latency is taken of
CALM_PAUSE_S = 0.02
PATIENCE_S = 60.0
GOOD = says(202, b'{"status":"success"}')
BAD: Sequence[Behaviour] = (says(503), says(500), says(429), says(200, b"garbage"), resets_midway, closes)
SECRET = "canary-routing-key"  # noqa: S105 - searched for in the log, and of no use anywhere
SECRET_VARIABLE = "DRIFTLINE_PAGER__SINKS__DUTY__SECRET"  # noqa: S105 - a name


class PagerError(RuntimeError):
    """A page did not come, or the pager did what it must not."""


class Place:
    """Topics with names of their own, and the configuration of a pager that reads them."""

    def __init__(self, bootstrap: str, folder: Path, server: Endpoint, further: str = "") -> None:
        """``further``: of the configuration, under ``[pager]``."""
        mark = uuid.uuid4().hex
        names = TopicNames(**{stream.value: f"{stream.value}-{mark}" for stream in Stream})
        self.server = server
        self.kafka = KafkaSettings(bootstrap=bootstrap, topics=names, partitions=2)
        self._config, self._log = folder / "driftline.toml", folder / "pager.log"
        self._config.write_text(
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
            {further}
            """
        )

    def said(self) -> str:
        return self._log.read_text()

    @contextmanager
    def pager(self) -> Iterator["subprocess.Popen[bytes]"]:
        command = [sys.executable, "-m", "streams.cli", "pager", "--config", str(self._config)]
        env = {**environ, SECRET_VARIABLE: SECRET}
        with self._log.open("ab") as log, subprocess.Popen(command, stdout=log, stderr=log, env=env) as process:
            try:
                yield process
            finally:
                process.kill()

    @asynccontextmanager
    async def alerts(self) -> AsyncIterator["Alerts"]:
        await create(self.kafka)
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap, enable_idempotence=True)
        try:
            await start_client(producer)
            yield Alerts(producer, self.kafka.topics.alerts)
        finally:
            await producer.stop()

    async def until(self, true: Callable[[], bool], what: str) -> None:
        """Waits for the request that makes it so."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.server.until(true)
        except TimeoutError:
            raise PagerError(f"not within {PATIENCE_S:g} s: {what}\n{self.said()[-3_000:]}") from None


class Alerts:
    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer, self._topic = producer, topic

    async def send(self, event: str, incident: str, **fields: object) -> float:
        """An incident's alerts lie on one partition, as its model's do. Returns when the brokers had it."""
        await self._producer.send_and_wait(self._topic, alert(event, incident, **fields), key=incident.encode())
        return monotonic()


def alert(event: str, incident: str, **fields: object) -> bytes:
    evidence = {"value": 0.4, "threshold": 0.2, "threshold_origin": "x", "n": 9, "baseline": 0.1, "effect": 0.3}
    return orjson.dumps(
        {
            "type": "alert",
            "v": 1,
            "id": uuid.uuid4().hex,
            "incident": incident,
            "event": event,
            "severity": "warning",
            "kind": "feature_drift",
            "model": "churn",
            "signal": "feature:age",
            "detector": "adwin",
            "ts": int(time() * 1000),
            "evidence": evidence,
            "position": {"topic": "driftline.predictions", "partition": 0, "offset": 1},
            "summary": "churn: age shifted; look at what feeds it.",
            **fields,
        }
    )


def pages(server: Endpoint, *, taken: bool = False) -> Sequence[tuple[str, str]]:
    """Keys and actions. ``taken``: of those requests alone that the endpoint did not refuse."""
    events = [got.content for got in (server.took if taken else server.got) if got.path == "/page"]
    return [(event["dedup_key"], event["event_action"]) for event in events]


async def killed(place: Place, kills: int, chance: random.Random) -> Mapping[str, int]:
    """Figures of a run in which the pager is killed so often, at any moment after its first request."""
    server, opened = place.server, list[str]()
    async with place.alerts() as alerts:
        for kill in range(kills):
            server.script += [chance.choice([GOOD, GOOD, *BAD]) for _ in range(4)]
            with place.pager() as process:
                wanted = len(server.got) + chance.randint(1, INCIDENTS)
                for number in range(INCIDENTS):
                    opened.append(f"k{kill}-{number}")
                    await alerts.send("opened", opened[-1])
                await place.until(lambda wanted=wanted: len(server.got) >= wanted, "signs of life")  # type: ignore[misc]
                process.send_signal(signal.SIGKILL)
                await asyncio.to_thread(process.wait)
            say(f"killed {kill + 1} times, {len(server.got):,} requests")
        server.script = []
        with place.pager():
            await place.until(lambda: {name for name, _ in pages(server, taken=True)} >= set(opened), "every page")
            over = opened[::2]
            for name in over:
                await alerts.send("resolved", name)
            await place.until(lambda: {(name, "resolve") for name in over} <= set(pages(server)), "every resolve")
    return _judged(pages(server), opened, over)


def _judged(told: Sequence[tuple[str, str]], opened: Sequence[str], over: Sequence[str]) -> Mapping[str, int]:
    actions: dict[str, list[str]] = {name: [] for name in opened}
    for name, action in told:
        actions.setdefault(name, []).append(action)
    in_order = {name: said == sorted(said, key=("trigger", "resolve").index) for name, said in actions.items()}
    ends = Counter(name for name, action in told if action == "resolve")
    return {
        "lost": sum("trigger" not in actions[name] for name in opened) + sum(not ends[name] for name in over),
        "out_of_order": sum(not ordered for ordered in in_order.values()),
        "keys_changed": len(set(actions) - set(opened)),
        "incidents": len(opened),
        "requests": len(told),
        "repeated": len(told) - len(set(told)),
    }


async def calm(place: Place, count: int) -> Mapping[str, float]:
    """How long alerts take from the brokers' acknowledgement to the endpoint, in milliseconds."""
    sent: dict[str, float] = {}
    async with place.alerts() as alerts:
        with place.pager():
            await alerts.send("opened", "first")
            await place.until(lambda: ("first", "trigger") in pages(place.server), "a page")
            for number in range(count):
                sent[f"c{number}"] = await alerts.send("opened", f"c{number}")
                await asyncio.sleep(CALM_PAUSE_S)
            await place.until(lambda: {name for name, _ in pages(place.server)} >= set(sent), "every page")
    came = {got.content["dedup_key"]: got.at for got in place.server.got if got.path == "/page"}
    waits = sorted(max(came[name] - at, 0.0) * 1000 for name, at in sent.items())
    return {"page_p50_ms": round(waits[len(waits) // 2], 1), "page_p99_ms": round(waits[len(waits) * 99 // 100], 1)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=KILLS, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=None, help="of the endpoint and the moments, default: a new one")


def run(arguments: argparse.Namespace) -> int:
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 32)
    say(f"seed {seed}")
    try:
        with find_broker() as broker:
            figures = asyncio.run(_measured(broker.bootstrap, arguments.kills, seed))
    except (BrokerUnavailableError, PagerError) as error:
        say(f"pagers: {error}")
        return 1
    result({**figures, "kills": arguments.kills, "seed": seed})
    return 0


async def _measured(bootstrap: str, kills: int, seed: int) -> Mapping[str, float]:
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="driftline-pagers-") as folder:
        for name in ("killed", "calm"):
            (Path(folder) / name).mkdir()
            async with endpoint(GOOD) as server:
                place = Place(bootstrap, Path(folder) / name, server)
                if name == "killed":
                    figures |= await killed(place, kills, random.Random(seed))  # noqa: S311 - which fault comes next
                else:
                    figures |= await calm(place, CALM)
    return figures


command = Command(
    "pagers",
    "pages lost and out of order over kills of the pager, and how long a page takes",
    add_arguments,
    run,
    "python -m load pagers --kills 50 --json",
)
