"""``python -m load crash``: a worker is killed with SIGKILL again and again, and writes what an undisturbed one writes.

One worker at a time reads traffic that drifts, is killed at a seeded moment and started again over the same state
directory; now and then over an empty one, as on another machine, so that it goes on from a checkpoint. After the last
kill a worker reads what is left. Then every output topic is compared, event by event, with a replay of the same topics
and with what a worker that nobody disturbed wrote to topics of its own.

Each kill is aimed at a part of a worker's life. Where it really hit is not known to the microsecond, so
``kills_by_phase`` counts what was aimed at:

* ``starting``: within a second of the process's start;
* ``joining``: the process answers, the group has not given it partitions yet;
* ``opening``: within 0.4 s of being given partitions: state is opened, output topics are read back, work begins;
* ``running``: up to four seconds later, in the middle of batches and commits;
* ``sending``: right after an event of its own became visible, before the commit that marks it as sent;
* ``checkpointing``: right after a file in the checkpoint directory appeared.

The group waits a session (6 s) for every member that was killed, which is most of the time that a kill costs.
"""

import argparse
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from load.arguments import positive, seed
from load.broker import find_broker
from load.brokers.common import BrokerUnavailableError
from load.output import result, say
from load.site.site import Keys, Site, SiteError
from load.site.traffic import Flow, Traffic
from load.site.verdict import NO_TICKS, figures, judge
from load.site.workers import LOOK_EVERY_S, Worker, running, wait_until_read
from schemas.topics import Stream
from streams.commands import Command

if TYPE_CHECKING:
    from confluent_kafka import Consumer

KILLS = 100
RATE = 4_000  # events a second
SEED = 1
OTHER_DISK = 0.1  # of the lives begin with an empty state directory
SETTINGS: Keys = {
    "state.checkpoint_interval": "2s",  # often enough to be hit
    "worker.tick_interval": "1s",
    "defaults.retrain.cooldown": "5s",
}
WEIGHTS = {"starting": 2, "joining": 2, "opening": 3, "running": 4, "sending": 5, "checkpointing": 4}
OPENING_S, RUNNING_S = 0.4, 4.0
AIM_WITHIN_S = 10.0  # what was aimed at may not come: nothing to send, nothing to copy
READ_WITHIN_S = 900.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=KILLS, help="default: %(default)s")
    parser.add_argument("--rate", type=positive, default=RATE, help="events a second, default: %(default)s")
    parser.add_argument("--seed", type=seed, default=SEED, help="of traffic and moments, default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    try:
        with find_broker() as broker, tempfile.TemporaryDirectory(prefix="driftline-crash-") as folder:
            site = Site(broker.bootstrap, Path(folder), SETTINGS).create_topics()
            figures = crash(site, arguments.kills, arguments.rate, arguments.seed)
    except (BrokerUnavailableError, SiteError) as error:
        say(f"crash: {error}")
        return 1
    result(figures)
    return 0 if not (figures["lost"] or figures["repeated"] or figures["different"]) else 1


def crash(site: Site, kills: int, rate: float, seed: int) -> dict[str, Any]:
    """The whole trial on a site of its own."""
    began, traffic = time.monotonic(), Traffic(site, seed)
    with Flow(site, traffic, rate) as flow:
        hits = _kill(site, kills, random.Random(seed))  # noqa: S311 - nothing is secret
    with running() as start:
        last = start(site, settings=NO_TICKS)
        wait_until_read([last], READ_WITHIN_S)
        last.stop()
    say(f"{site.sent:,} records; comparing")
    return {
        "kills": sum(hits.phases.values()),
        **figures(judge(site)),
        "kills_by_phase": dict(hits.phases),
        "other_disk": hits.other_disk,
        "ended_by_themselves": hits.ended,
        "events": site.sent,
        "events_per_s": round(flow.rate),
        "seconds": round(time.monotonic() - began, 1),
        "seed": seed,
    }


class Hits:
    """What happened to the lives of the one worker."""

    def __init__(self) -> None:
        self.phases: Counter[str] = Counter()
        self.other_disk = 0
        self.ended: list[str] = []  # a line for each life that was over before it was killed


def _kill(site: Site, kills: int, chance: random.Random) -> Hits:
    hits = Hits()
    with running() as start, _Aim(site, chance) as aim:
        while hits.phases.total() < kills:
            if hits.phases and chance.random() < OTHER_DISK:
                shutil.rmtree(site.state_dir("worker"), ignore_errors=True)
                hits.other_disk += 1
            worker = start(site)
            phase = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            hit = aim.wait(worker, phase)
            code = worker.process.poll()
            if code is not None:
                hits.ended.append(f"status {code}: {worker.said.strip().splitlines()[-1:]}")
                say(f"a worker ended by itself: {hits.ended[-1]}")
                continue
            worker.kill()
            hits.phases[hit] += 1
            say(f"kill {hits.phases.total()} of {kills}: {hit}")
    return hits


class _Aim:
    """Waits for the moment to kill."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self._site, self._chance = site, chance
        self._written = _newest_event(site)
        self._moments: Mapping[str, Callable[[], bool]] = {
            "sending": self._has_sent,
            "checkpointing": self._has_copied,
        }
        self._copied = 0

    def __enter__(self) -> "_Aim":
        return self

    def __exit__(self, *_: object) -> None:
        self._written.close()

    def wait(self, worker: Worker, phase: str) -> str:
        """Returns at the moment, with what was reached; early when the worker ends by itself."""
        uniform = self._chance.uniform
        if phase == "starting":
            self._let(worker, uniform(0, 1))
            return phase
        self._until(worker, lambda: bool(worker.page()))
        if phase == "joining":
            self._let(worker, uniform(0, 1))
            return phase
        self._until(worker, lambda: worker.total("driftline_owned_partitions") > 0)
        if phase == "opening":
            self._let(worker, uniform(0, OPENING_S))
            return phase
        self._let(worker, OPENING_S)
        if phase in self._moments:
            self._look_from_now()
            if self._until(worker, self._moments[phase], AIM_WITHIN_S):
                return phase
        self._let(worker, uniform(0, RUNNING_S))
        return "running"

    def _let(self, worker: Worker, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._until(worker, lambda: time.monotonic() >= until, seconds + 1, every_s=0.001)

    def _until(
        self, worker: Worker, true: Callable[[], bool], within_s: float = READ_WITHIN_S, every_s: float = LOOK_EVERY_S
    ) -> bool:
        """Whether it came true; the end of the worker is an answer too."""
        until = time.monotonic() + within_s
        while time.monotonic() < until and worker.process.poll() is None:
            if true():
                return True
            time.sleep(every_s)
        return False

    def _look_from_now(self) -> None:
        while self._written.consume(1_000, 0.0):
            """What was sent before this life, or early in it."""
        self._copied = _last_change(self._site.checkpoints)

    def _has_sent(self) -> bool:
        return bool(self._written.consume(1, 0.5))

    def _has_copied(self) -> bool:
        return _last_change(self._site.checkpoints) > self._copied


def _newest_event(site: Site) -> "Consumer":
    """Reads the topic of metrics, which gets an event every few seconds, from its end on."""
    from confluent_kafka import OFFSET_END, Consumer, TopicPartition  # noqa: PLC0415 - comes with the development lock

    consumer = Consumer({"bootstrap.servers": site.bootstrap, "group.id": "aim", "enable.auto.commit": False})
    consumer.assign([TopicPartition(site.topic(Stream.METRICS), number, OFFSET_END) for number in range(4)])
    return consumer


def _last_change(folder: Path) -> int:
    """When an entry of any directory in there came or went, in nanoseconds; 0 where there is none."""
    places = [folder, *(path for path in folder.rglob("*") if path.is_dir())] if folder.exists() else []
    return max((place.stat().st_mtime_ns for place in places if place.exists()), default=0)


command = Command(
    "crash",
    "kills a worker again and again; what it wrote against an undisturbed run",
    add_arguments,
    run,
    "python -m load crash --kills 100 --json",
)
