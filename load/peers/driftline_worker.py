"""The worker as users run it: its own command, its own process, watched from outside through its metrics endpoint.

Nothing is built into the worker for being measured. Ten times a second its counters are read over HTTP; the clock
starts at the first reading past the warm records and ends at the first that has them all, so a reading that comes late
makes the figure worse and never better.
"""

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from load.brokers.common import free_port, tail_of
from load.peers.task import Figure, Task
from schemas.topics import Stream, TopicNames

PACKAGES = (
    "driftline",
    "faust-streaming",
    "mode-streaming",
    "aiokafka",
    "river",
    "numba",
    "numpy",
    "msgspec",
    "orjson",
)
READ_EVERY_S = 0.1
STARTS_WITHIN_S = 120.0  # compiling the detectors' loops on a fresh machine takes most of it
STOPS_WITHIN_S = 30.0
SAMPLE = re.compile(r"^driftline_records_total\{(?P<labels>[^}]*)\} (?P<value>\S+)$", re.MULTILINE)
FATE = re.compile(r'fate="([a-z_]+)"')


class WorkerFailedError(RuntimeError):
    """The worker ended, stood still, or did something else with the records than applying them."""


class Reading(NamedTuple):
    at: float
    fates: Counter[str]

    @property
    def records(self) -> int:
        return self.fates.total()


def measure(task: Task, dead_lettered: int = 0, *, in_memory: bool = False) -> Figure:
    """Starts a worker with output topics of its own on the task's topics, and stops it when it has done all.

    All records are applied but for so many, which are dead letters; anything else is no figure. Its state is new, in
    the temporary folder, with checkpoints as often as by default; or in memory alone.
    """
    port = free_port()
    config = _write_config(task, port, in_memory=in_memory)
    _driftline("topics", "create", "--config", str(config))
    with _worker(config, task.result.with_suffix(".log")) as process:
        first, last = _first_and_last(task, port, process)
    if last.fates["dead_lettered"] != dead_lettered or last.fates["applied"] != task.records - dead_lettered:
        raise WorkerFailedError(
            f"not all of {task.records} records were applied, but for {dead_lettered}: {dict(last.fates)}"
        )
    return Figure(last.records - first.records, last.at - first.at, {name: version(name) for name in PACKAGES})


def _write_config(task: Task, port: int, *, in_memory: bool) -> Path:
    names = {stream.value: f"{task.group}-{stream.value}" for stream in Stream}
    names |= dict(zip((Stream.PREDICTIONS.value, Stream.OUTCOMES.value), task.topics, strict=False))
    topics = TopicNames(**names)
    on_disk = (
        f'dir = "{task.result.with_suffix(".state")}"',
        f'checkpoints = "{task.result.with_suffix(".checkpoints")}"',
    )
    lines = [
        "[kafka]",
        f'bootstrap = "{task.bootstrap}"',
        f'group = "{task.group}"',
        "[kafka.topics]",
        *(f'{stream.value} = "{topics.of(stream)}"' for stream in Stream),
        "[state]",
        *(("memory = true",) if in_memory else on_disk),
        "[worker]",
        'tick_interval = "0s"',  # so that every record that it finishes with is one of the task's
        "[metrics]",
        f"port = {port}",
    ]
    config = task.result.with_suffix(".toml")
    config.write_text("\n".join(lines) + "\n")
    return config


def _command() -> str:
    return str(Path(sys.executable).with_name("driftline"))


def _driftline(*words: str) -> None:
    done = subprocess.run([_command(), *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise WorkerFailedError(f"driftline {' '.join(words)}: {tail_of(done.stderr)}")


@contextmanager
def _worker(config: Path, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as out:
        process = subprocess.Popen([_command(), "worker", "--config", str(config)], stdout=out, stderr=out)
    try:
        yield process
    except WorkerFailedError as error:
        raise WorkerFailedError(f"{error}\n{tail_of(log.read_text(errors='replace'))}") from error
    finally:
        process.terminate()
        try:
            process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _first_and_last(task: Task, port: int, process: "subprocess.Popen[bytes]") -> tuple[Reading, Reading]:
    first = None
    for reading in _readings(port, process):
        if first is None and reading.records >= task.warm:
            first = reading
        if reading.records >= task.records:
            if first is None or first.records == reading.records:
                raise WorkerFailedError(f"{task.records} records were done between two readings: measure more of them")
            return first, reading
    raise WorkerFailedError("the worker ended before it was done")


def _readings(port: int, process: "subprocess.Popen[bytes]") -> Iterator[Reading]:
    """Until the worker ends, or its counters stand still for too long."""
    connection = HTTPConnection("127.0.0.1", port, timeout=STARTS_WITHIN_S)
    moved, records = time.perf_counter(), 0
    while process.poll() is None:
        reading = _read(connection)
        if reading is not None:
            if reading.records != records:
                moved, records = reading.at, reading.records
            yield reading
        if time.perf_counter() - moved > STARTS_WITHIN_S:
            raise WorkerFailedError(f"no progress for {STARTS_WITHIN_S:.0f} s after {records} records")
        time.sleep(READ_EVERY_S)


def _read(connection: HTTPConnection) -> Reading | None:
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except (OSError, HTTPException):  # not up yet, or going down
        connection.close()
        return None
    return Reading(time.perf_counter(), read_fates(text))


def read_fates(text: str) -> Counter[str]:
    """How many records met which fate, over all topics and partitions of a page of metrics."""
    fates: Counter[str] = Counter()
    for sample in SAMPLE.finditer(text):
        fate = FATE.search(sample["labels"])
        fates[fate[1] if fate else "unnamed"] += int(float(sample["value"]))
    return fates
