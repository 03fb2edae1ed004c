"""How far a run is: a bar where somebody watches, a plain line now and then where output goes to a file."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

LINE_EVERY_S = 10.0  # a log that is read later needs no more
BAR_PER_S = 10  # what an eye can follow; more costs time that the work needs


class Meter(Protocol):
    def reach(self, done: int, where: str) -> None:
        """``done`` of all; ``where`` names the place in the work, such as a time of day."""

    def note(self, text: str) -> None:
        """A line that stays."""


class _Bar(NamedTuple):
    bar: Progress
    task: int

    def reach(self, done: int, where: str) -> None:
        self.bar.update(self.task, completed=done, where=where)  # type: ignore[arg-type]  # TaskID is an int

    def note(self, text: str) -> None:
        self.bar.console.print(text, highlight=False)


class _Lines:
    def __init__(self, title: str, total: int | None, stream: TextIO, clock: Callable[[], float]) -> None:
        self._title, self._total, self._stream, self._clock = title, total, stream, clock
        self._next = clock() + LINE_EVERY_S

    def reach(self, done: int, where: str) -> None:
        now = self._clock()
        if now >= self._next:
            self._next = now + LINE_EVERY_S
            of_all = "" if self._total is None else f" of {self._total:,}"
            self.note(f"{self._title}: {done:,}{of_all} events, {where}")

    def note(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


@contextmanager
def meter(title: str, total: int | None, stream: TextIO | None = None) -> Iterator[Meter]:
    """A meter on standard error, because results go to standard output."""
    stream = stream or sys.stderr
    console = Console(file=stream)
    if not console.is_terminal:
        yield _Lines(title, total, stream, time.monotonic)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[where]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, refresh_per_second=BAR_PER_S, transient=True) as bar:
        yield _Bar(bar, bar.add_task(title, total=total, where=""))
