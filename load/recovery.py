"""``python -m load recovery``: how long a worker with much to remember takes from its start to the first event applied.

A worker takes in a million predictions whose outcomes never come. Then it is ended and started again, many times:

* ``local_s``: it was killed with SIGKILL, and finds its state directory as that left it;
* ``checkpoint_s``: it was stopped in good order, and its state directory was removed: it fetches the checkpoint;
* ``empty_s``: the same start where there is nothing to recover, in a group of its own. So much of the others is the
  process, its libraries and the group, and no recovery; ``process_s`` is the time until the metrics endpoint answers,
  before anything is connected or opened.

Before each start a few hundred new events are waiting, over all partitions. The clock starts when the process does and
ends at the first answer of its metrics endpoint, asked every 20 ms, that shows a finished record: ``_s`` of any
partition, ``_all_s`` of every one. The group has forgotten the worker that was killed before the clock starts: how long
it waits for that is ``kafka.session_timeout``, and no matter of state. Figures are medians.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from load.broker import find_broker
from load.brokers.common import BrokerUnavailableError, tail_of
from load.output import result, say
from load.recording import FEATURES, Recording, prediction, record
from load.site.disk import mib_in
from load.site.site import PARTITIONS, Keys, Site, SiteError
from load.site.workers import LOOK_EVERY_S, Worker, consumed, running, wait_until, wait_until_read
from schemas.topics import Stream
from streams.commands import Command

PENDING = 1_000_000
ROUNDS = 5
SEED = 1
WAITING = 800  # new events before each start
SETTINGS: Keys = {"worker.batch_records_max": 2_000, "defaults.baseline_rows": 1_000, "defaults.metrics_window": "5m"}
READ_WITHIN_S = 900.0
RECOVERS_WITHIN_S = 120.0
FORGOTTEN_WITHIN_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pending", type=int, default=PENDING, help="predictions that wait, default: %(default)s")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=SEED, help="of what is recorded, default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    try:
        with find_broker() as broker, tempfile.TemporaryDirectory(prefix="driftline-recovery-") as folder:
            figures = recovery(broker.bootstrap, Path(folder), arguments.pending, arguments.rounds, arguments.seed)
    except (BrokerUnavailableError, SiteError) as error:
        say(f"recovery: {error}")
        return 1
    result(figures)
    return 0


class Start(NamedTuple):
    """Seconds from the start of the process."""

    answers: float  # the metrics endpoint is there: the process is up, nothing is connected yet
    first: float
    every: float  # the last partition's first


def recovery(bootstrap: str, folder: Path, pending: int, rounds: int, seed: int) -> dict[str, Any]:
    """The whole trial: the full site's worker is killed and moved by turns, and the empty one's started in between."""
    full, empty = (_site(bootstrap, folder / name) for name in ("full", "empty"))
    record(bootstrap, Recording(full.topic(Stream.PREDICTIONS), None, pending, seed))
    full.create_topics()
    empty.create_topics()
    local, checkpoint, nothing = [], [], []
    new = _NewEvents(pending)
    with running() as start:
        sizes = _fill(full, start)
        for number in range(rounds):
            new.send(full)
            local.append(_start(full, start, kill=False))
            new.send(full)
            shutil.rmtree(full.state_dir("worker"))
            checkpoint.append(_start(full, start, kill=True))
            new.send(empty)
            shutil.rmtree(empty.state_dir("worker"), ignore_errors=True)
            shutil.rmtree(empty.checkpoints, ignore_errors=True)
            nothing.append(_start(empty, start, kill=False))
            starts = {"local": local, "checkpoint": checkpoint, "empty": nothing}
            told = ", ".join(f"{kind} {seen[-1].first:.2f} s" for kind, seen in starts.items())
            say(f"round {number + 1} of {rounds}: {told}")
    return {**_medians(starts), "pending": pending, **sizes, "rounds": rounds, "seed": seed}


def _site(bootstrap: str, folder: Path) -> Site:
    folder.mkdir()
    return Site(bootstrap, folder, SETTINGS)


class _NewEvents:
    """Predictions of the recording's models that no round has sent before."""

    def __init__(self, first: int) -> None:
        self._next = first

    def send(self, site: Site) -> None:
        for number in range(self._next, self._next + WAITING):
            event = prediction(number, [0.0] * FEATURES, 0.5)
            site.send(Stream.PREDICTIONS, event.model, event.value)
        self._next += WAITING
        site.flush()


def _fill(site: Site, start: Callable[[Site], Worker]) -> dict[str, float]:
    """Everything is taken in; then the worker is killed."""
    worker = start(site)
    wait_until_read([worker], READ_WITHIN_S)
    sizes = {"fill_s": round(time.monotonic() - worker.began, 1), "state_mib": mib_in(site.state_dir(worker.name))}
    _end(site, worker, kill=True)
    say(f"filled: {sizes}")
    return sizes


def _start(site: Site, start: Callable[[Site], Worker], *, kill: bool) -> Start:
    """A life from its start to its end, when all that waited is applied."""
    worker = start(site)
    seen = _watch(worker)
    wait_until_read([worker])
    _end(site, worker, kill=kill)
    return seen


def _watch(worker: Worker) -> Start:
    answers = first = None
    while worker.seconds < RECOVERS_WITHIN_S:
        worker.require_alive()
        page = worker.page()
        at = worker.seconds
        finished = [number for number, records in consumed(page).items() if records]
        answers = answers or (at if page else None)
        first = first or (at if finished else None)
        if answers and first and len(finished) == PARTITIONS:
            return Start(answers, first, at)
        time.sleep(LOOK_EVERY_S)
    raise SiteError(f"no event on every partition within {RECOVERS_WITHIN_S:.0f} s\n{tail_of(worker.said)}")


def _end(site: Site, worker: Worker, *, kill: bool) -> None:
    """Returns when the group has forgotten it."""
    if kill:
        worker.kill()
    elif worker.stop() != 0:
        raise SiteError(f"the worker was to end and failed\n{tail_of(worker.said)}")
    wait_until(lambda: not site.members(), "the group has forgotten its member", FORGOTTEN_WITHIN_S)


def _medians(starts: Mapping[str, Sequence[Start]]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for kind, seen in starts.items():
        figures[f"{kind}_s"] = round(statistics.median(start.first for start in seen), 2)
        figures[f"{kind}_all_s"] = round(statistics.median(start.every for start in seen), 2)
        figures[f"{kind}_each"] = [round(start.first, 2) for start in seen]
    process = [start.answers for seen in starts.values() for start in seen]
    return {**figures, "process_s": round(statistics.median(process), 2)}


command = Command(
    "recovery",
    "how long a worker takes to its first event with a million predictions to remember",
    add_arguments,
    run,
    "python -m load recovery --json",
)
