"""Workers as users run them: a command, a process, watched through the metrics endpoint and the log."""

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

from load.brokers.common import free_port, tail_of
from load.output import say
from load.site.site import INPUTS, PARTITIONS, Keys, Site, SiteError
from schemas.topics import Stream

PATIENCE_S = 60.0  # a rebalance, a start and a backlog together take a third of it
LOOK_EVERY_S = 0.02
STOPS_WITHIN_S = 30.0
ANSWERS_WITHIN_S = 5.0

_SAMPLE = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Sample(NamedTuple):
    labels: dict[str, str]
    value: float


class Worker:
    """Two lives under one name have the same state directory, and a log after the other.

    ``within`` are the words of a command that turns into the worker, such as one that gives it another view of disks.
    """

    word = "worker"  # of the command line

    def __init__(
        self, site: Site, name: str = "worker", settings: Keys | None = None, within: Sequence[str] = ()
    ) -> None:
        self.site, self.name, self.port = site, name, free_port()
        self.log = site.folder / f"{name}.log"
        self.began = time.monotonic()
        with self.log.open("ab") as out:
            self._log_from = out.tell()
            command = [*within, sys.executable, "-m", "streams.cli", self.word, "--config"]
            self.process = subprocess.Popen(
                [*command, str(site.config(name, self.port, settings))], stdout=out, stderr=out
            )

    @property
    def said(self) -> str:
        with self.log.open("rb") as text:
            text.seek(self._log_from)
            return text.read().decode(errors="replace")

    @property
    def seconds(self) -> float:
        """Since its process was started."""
        return time.monotonic() - self.began

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int | None:
        """Its status, or None where it has not ended in time."""
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOPS_WITHIN_S)
        return self.process.poll()

    def page(self) -> str:
        """Its metrics as text; empty while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=ANSWERS_WITHIN_S) as answer:
                text: str = answer.read().decode()
                return text
        except (OSError, HTTPException):
            return ""

    def metrics(self, name: str) -> list[Sample]:
        return samples(self.page(), name)

    def total(self, name: str) -> float:
        return sum(value for _, value in self.metrics(name))

    def require_alive(self) -> None:
        code = self.process.poll()
        if code is not None:
            raise SiteError(f"{self.word} {self.name} ended by itself, status {code}\n{tail_of(self.said)}")


class Pager(Worker):
    word = "pager"


def samples(page: str, name: str) -> list[Sample]:
    """Every sample of one name on a page of metrics."""
    return [
        Sample(dict(_LABEL.findall(match["labels"] or "")), float(match["value"]))
        for match in _SAMPLE.finditer(page)
        if match["name"] == name
    ]


def gone(pid: int) -> bool:
    """Whether a process has ended, also where nobody has asked for its status yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


@contextmanager
def running() -> Iterator[Callable[..., Worker]]:
    """Starts workers, or pagers, with the arguments of ``Worker``; what is left of them ends with the block.

    What they said last is shown where the block fails.
    """
    started: list[Worker] = []

    def start(site: Site, name: str = "worker", settings: Keys | None = None, kind: type[Worker] = Worker) -> Worker:
        started.append(kind(site, name, settings))
        return started[-1]

    try:
        yield start
    except BaseException:
        for worker in started:
            say(f"--- {worker.name}\n{tail_of(worker.said)}")
        raise
    finally:
        for worker in started:
            if worker.process.poll() is None:
                worker.kill()


def wait_until(true: Callable[[], bool], what: str, within_s: float = PATIENCE_S, every_s: float = 0.2) -> None:
    until = time.monotonic() + within_s
    while not true():
        if time.monotonic() >= until:
            raise SiteError(f"not within {within_s:.0f} s: {what}")
        time.sleep(every_s)


def all_read(workers: Sequence[Worker], since: float, inputs: Collection[Stream] = INPUTS) -> bool:
    """Whether the workers together own every partition and had nothing left to apply, at some moment after ``since``.

    A lag that was measured before says nothing of what was sent meanwhile.
    """
    topics = {worker.site.topic(stream) for worker in workers for stream in inputs}
    pages = [worker.page() for worker in workers]
    measured = [value for page in pages for _, value in samples(page, "driftline_lag_timestamp_seconds")]
    if len(measured) < len(workers) or min(measured) <= since:
        return False
    owned = sum(value for page in pages for _, value in samples(page, "driftline_owned_partitions"))
    lags = [
        value for page in pages for labels, value in samples(page, "driftline_lag_records") if labels["topic"] in topics
    ]
    return owned == PARTITIONS and len(lags) == PARTITIONS * len(topics) and not any(lags)


def wait_until_read(
    workers: Sequence[Worker], within_s: float = PATIENCE_S, inputs: Collection[Stream] = INPUTS
) -> None:
    """Workers that write ticks are seldom at the very end of the control topic."""
    since = time.time()

    def done() -> bool:
        for worker in workers:
            worker.require_alive()
        return all_read(workers, since, inputs)

    wait_until(done, "all input applied", within_s)


def consumed(page: str) -> dict[int, float]:
    """By partition number, records of all inputs that are finished with."""
    found: dict[int, float] = {}
    for labels, value in samples(page, "driftline_consumed_total"):
        number = int(labels["partition"])
        found[number] = found.get(number, 0.0) + value
    return found
