"""``python -m load rebalance``: workers join, leave and are killed under load; the topics and the pauses that it makes.

Three workers, each with a state directory of its own and all with the same checkpoints, come and go while events arrive
at a steady rate on every partition. Afterwards every output topic is compared, event by event, with a replay of the
same topics and with what a worker that nobody disturbed wrote to topics of its own.

A pause is the time between two moments at which a partition was seen to move on: the counter of finished records that
some worker shows for it was higher than before. Every worker is asked ten times a second, and the moment is when its
answer was there, so a pause is measured up to 0.1 s and one answer wrong. Input is always there: at the given rate each
partition gets more than a hundred events in a tenth of a second. ``pause_s_max`` is the longest pause of a partition
that went to another worker because one joined or left; ``pause_s_max_killed`` of any while one was killed, where the
group first waits for the session to pass (``session_s``); ``pause_s_max_stayed`` of those that came back to the worker
they had.
"""

import argparse
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from load.arguments import positive, seed
from load.broker import find_broker
from load.brokers.common import BrokerUnavailableError
from load.output import result, say
from load.site.site import PARTITIONS, Keys, Site, SiteError
from load.site.traffic import Flow, Traffic
from load.site.verdict import NO_TICKS, figures, judge
from load.site.workers import Worker, consumed, running, wait_until, wait_until_read
from streams.commands import Command

RATE = 10_000
ROUNDS = 2
HOLD_S = 10.0  # between one change and the next, once every partition has moved on again
SEED = 1
SETTINGS: Keys = {
    "worker.tick_interval": "1s",
    "worker.batch_records_max": 2_000,  # as it comes
    "defaults.retrain.cooldown": "5s",
}
SESSION_S = 6.0  # of ``load.site.site.EAGER``
# A round ends as it begins: with the first worker alone.
ROUND = (
    ("join", "second"),
    ("join", "third"),
    ("leave", "first"),
    ("join", "first"),
    ("kill", "second"),
    ("join", "second"),
    ("leave", "third"),
    ("kill", "first"),
    ("join", "first"),
    ("leave", "second"),
)
ASK_EVERY_S = 0.1
SETTLES_WITHIN_S = 120.0
READ_WITHIN_S = 900.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rate", type=positive, default=RATE, help="events a second, default: %(default)s")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of {len(ROUND)} changes, default: %(default)s")
    parser.add_argument("--hold", type=positive, default=HOLD_S, help="seconds between changes, default: %(default)s")
    parser.add_argument("--seed", type=seed, default=SEED, help="of the traffic, default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    try:
        with find_broker() as broker, tempfile.TemporaryDirectory(prefix="driftline-rebalance-") as folder:
            site = Site(broker.bootstrap, Path(folder), SETTINGS).create_topics()
            figures = rebalance(site, ROUND * arguments.rounds, arguments.rate, arguments.hold, arguments.seed)
    except (BrokerUnavailableError, SiteError) as error:
        say(f"rebalance: {error}")
        return 1
    result(figures)
    return 1 if figures["lost"] or figures["repeated"] or figures["different"] else 0


def rebalance(
    site: Site, changes: tuple[tuple[str, str], ...], rate: float, hold_s: float, seed: int
) -> dict[str, Any]:
    """The whole trial on a site of its own."""
    began, traffic = time.monotonic(), Traffic(site, seed)
    with running() as start:
        with Flow(site, traffic, rate) as flow:
            group = _Group(site, start)
            for kind, name in (("join", "first"), *changes):
                group.change(kind, name)
                time.sleep(hold_s)
            group.stop()
        last = start(site, "last", NO_TICKS)
        wait_until_read([last], READ_WITHIN_S)
        last.stop()
    say(f"{site.sent:,} records; comparing")
    return {
        **figures(judge(site)),
        **group.pulse.figures(),
        "session_s": SESSION_S,
        "changes": dict(Counter(kind for kind, _ in changes)),
        "events": site.sent,
        "events_per_s": round(flow.rate),
        "seconds": round(time.monotonic() - began, 1),
        "seed": seed,
    }


class _Group:
    """The workers that live now, each asked again and again by a thread of its own."""

    def __init__(self, site: Site, start: Callable[..., Worker]) -> None:
        self._site, self._start = site, start
        self._workers: dict[str, Worker] = {}
        self.pulse = Pulse()

    def change(self, kind: str, name: str) -> None:
        """Returns when every partition has an owner and has moved on since."""
        say(f"{name}: {kind}")
        self.pulse.change(kind)
        getattr(self, f"_{kind}")(name)
        since = time.monotonic()
        wait_until(lambda: self._settled(since), f"work goes on after {name}: {kind}", SETTLES_WITHIN_S)

    def stop(self) -> None:
        self.pulse.change("stop")
        for name in list(self._workers):
            self._leave(name)

    def _join(self, name: str) -> None:
        worker = self._workers[name] = self._start(self._site, name)
        threading.Thread(target=self.pulse.follow, args=(worker,), name=f"pulse of {name}", daemon=True).start()

    def _leave(self, name: str) -> None:
        worker = self._workers.pop(name)
        code = worker.stop()
        if code != 0:
            raise SiteError(f"worker {name} was to end and ended with status {code}")

    def _kill(self, name: str) -> None:
        self._workers.pop(name).kill()

    def _settled(self, since: float) -> bool:
        for worker in self._workers.values():
            worker.require_alive()
        owned = [
            sum(value for _, value in worker.metrics("driftline_owned_partitions")) for worker in self._workers.values()
        ]
        return all(owned) and sum(owned) == PARTITIONS and self.pulse.all_moved_since(since)


class Pulse:
    """When each partition number last moved on, and who moved it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[int, tuple[Worker, float]] = {}
        self._seen: dict[Worker, dict[int, float]] = defaultdict(dict)
        self._kind = ""
        self._longest: dict[tuple[str, bool], float] = {}  # by the kind of change, and whether the owner changed

    def change(self, kind: str) -> None:
        with self._lock:
            self._kind = kind

    def follow(self, worker: Worker) -> None:
        """Until it has ended."""
        while worker.process.poll() is None:
            self.moved(worker, consumed(worker.page()), time.monotonic())
            time.sleep(ASK_EVERY_S)

    def moved(self, worker: Worker, finished: Mapping[int, float], at: float) -> None:
        """What a worker has finished with by then, by partition number."""
        with self._lock:
            seen = self._seen[worker]
            for number, records in finished.items():
                if records > seen.get(number, 0.0):
                    seen[number] = records
                    self._beat(number, worker, at)

    def _beat(self, number: int, worker: Worker, at: float) -> None:
        if number in self._last:
            owner, before = self._last[number]
            key = (self._kind, owner is not worker)
            self._longest[key] = max(self._longest.get(key, 0.0), at - before)
        self._last[number] = (worker, at)

    def all_moved_since(self, since: float) -> bool:
        with self._lock:
            return len(self._last) == PARTITIONS and all(at > since for _, at in self._last.values())

    def figures(self) -> dict[str, Any]:
        with self._lock:
            longest = dict(self._longest)

        def most(kinds: tuple[str, ...], moved: bool) -> float:
            return round(max((longest.get((kind, moved), 0.0) for kind in kinds), default=0.0), 2)

        return {
            "pause_s_max": most(("join", "leave"), moved=True),
            "pause_s_max_killed": max(most(("kill",), moved=True), most(("kill",), moved=False)),
            "pause_s_max_stayed": most(("join", "leave"), moved=False),
            "pause_s_max_join": most(("join",), moved=True),
            "pause_s_max_leave": most(("leave",), moved=True),
        }


command = Command(
    "rebalance",
    "workers join, leave and are killed under load: the topics, and the pauses",
    add_arguments,
    run,
    "python -m load rebalance --json",
)
