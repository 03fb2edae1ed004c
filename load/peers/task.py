"""What each measured program is told, and how it tells its figure: in a file, because some print what they like."""

import argparse
import json
import os
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, NoReturn


class Task(NamedTuple):
    """Read ``records`` from the beginning of the topics; the clock starts after ``warm`` of them."""

    bootstrap: str
    topics: tuple[str, ...]
    group: str
    warm: int
    records: int
    result: Path

    def words(self) -> list[str]:
        """The task as arguments of a command line."""
        return [self.bootstrap, ",".join(self.topics), self.group, str(self.warm), str(self.records), str(self.result)]


class Figure(NamedTuple):
    """What was measured: so many records, after the warm ones, in so many seconds."""

    records: int
    seconds: float
    versions: dict[str, str]

    @property
    def records_per_s(self) -> float:
        return self.records / self.seconds


def read_task(words: Sequence[str] | None = None) -> Task:
    parser = argparse.ArgumentParser()
    for name in ("bootstrap", "topics", "group"):
        parser.add_argument(name)
    for name in ("warm", "records"):
        parser.add_argument(name, type=int)
    parser.add_argument("result", type=Path)
    told = parser.parse_args(words)
    return Task(told.bootstrap, tuple(told.topics.split(",")), told.group, told.warm, told.records, told.result)


class Stopwatch:
    """Counts records of a task; ends the process when the last one is done."""

    def __init__(self, task: Task, packages: Sequence[str]) -> None:
        self._task, self._packages = task, packages
        self._seen, self._first, self._started = 0, 0, 0.0

    def add(self, records: int = 1) -> None:
        self._seen += records
        if self._started == 0.0:
            if self._seen >= self._task.warm:
                self._first, self._started = self._seen, time.perf_counter()
        elif self._seen >= self._task.records:
            self._finish(time.perf_counter() - self._started)

    def _finish(self, seconds: float) -> NoReturn:
        versions = {package: version(package) for package in self._packages}
        figure = {"records": self._seen - self._first, "seconds": seconds, "versions": versions}
        self._task.result.write_text(json.dumps(figure))
        os._exit(0)  # a clean stop of a consumer takes seconds and is not what is measured


def read_figure(path: Path) -> Figure:
    return Figure(**json.loads(path.read_text()))
