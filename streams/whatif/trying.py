"""Policies tried in several processes, each a replay of its own: what they say is put together in their order."""

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import msgspec

from streams import truth
from streams.embedded import Advance
from streams.errors import SourceError
from streams.history import Given, History
from streams.process import prepare
from streams.settings import load
from streams.terminal import environment
from streams.whatif import facts
from streams.whatif.comparison import Tried
from streams.whatif.known import known_of
from streams.whatif.running import Try
from streams.whatif.scenario import Plan, Scenario

TOLD_EVERY = 20_000  # records between two words on how far it is


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """All that a process needs, to be sent to it."""

    given: Given
    config: str | None
    truth: str | None
    scenario: Scenario
    plan: Plan
    folder: str  # of the facts
    state: str | None


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a process: how many records since the one before, how much of the history; at last what came of it."""

    records: int = 0
    fraction: float | None = None
    tried: Tried | None = None
    error: str | None = None


_said = msgspec.json.Decoder(Said).decode
_line = msgspec.json.Encoder().encode


def work(task: Task, say: Callable[[Said], object]) -> Tried:
    settings = load(Path(task.config) if task.config is not None else None, environment())
    changes = truth.read(Path(task.truth)) if task.truth is not None else None
    state = Path(task.state) if task.state is not None else None
    with History(task.given) as history:
        trial = Try(task.plan, task.scenario, settings, known_of(facts.read(Path(task.folder)), changes), state)
        untold = 0

        def progress(records: int) -> None:
            nonlocal untold
            untold += records
            if untold >= TOLD_EVERY:
                say(Said(records=untold, fraction=history.fraction))
                untold = 0

        done = trial.run(history.records, progress=progress)
        say(Said(records=untold, fraction=1.0))
        return done


class Trials(AbstractContextManager["Trials"]):
    """``fraction``: how much of all the work is done."""

    def __init__(self, tasks: Sequence[Task], processes: int) -> None:
        self.waiting = list(enumerate(tasks))
        self._found: list[Tried | None] = [None] * len(tasks)
        self._done = [0.0] * len(tasks)
        self._processes = min(processes, len(tasks))
        self.running: list[subprocess.Popen[bytes]] = []

    def __exit__(self, *_: object) -> None:
        for process in self.running:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    @property
    def fraction(self) -> float:
        return sum(self._done) / len(self._done)

    def run(self, progress: Advance) -> list[Tried]:
        """In the order of the tasks, whoever is done first."""
        if self._processes == 1:
            prepare()
            for number, task in self.waiting:
                self._take(number, Said(tried=work(task, partial(self._take, number, progress=progress))), progress)
        else:
            for number, said in self.read():
                self._take(number, said, progress)
        return [tried for tried in self._found if tried is not None]

    def _take(self, number: int, said: Said, progress: Advance) -> None:
        if said.error is not None:
            raise SourceError(said.error)
        if said.tried is not None:
            self._found[number] = said.tried
        self._done[number] = 1.0 if said.tried is not None else said.fraction or self._done[number]
        progress(said.records)

    def read(self) -> Iterator[tuple[int, Said]]:
        """What they say, as it comes; where one has ended, the next begins."""
        with selectors.DefaultSelector() as ready:
            while self.waiting or ready.get_map():
                while self.waiting and len(ready.get_map()) < self._processes:
                    number, task = self.waiting.pop(0)
                    process = self.begin(task)
                    assert process.stdout is not None
                    ready.register(process.stdout, selectors.EVENT_READ, (number, process))
                for key, _ in ready.select():
                    number, process = key.data
                    line = process.stdout.readline()
                    if line:
                        yield number, _said(line)
                        continue
                    ready.unregister(key.fileobj)
                    process.wait()
                    if self._found[number] is None:
                        raise SourceError("a process ended before it was done", advice="call it with --processes 1")

    def begin(self, task: Task) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-P", "-m", "streams.whatif.trying"]
        # Unbuffered: what lies read in a buffer no selector sees.
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)  # noqa: S603 - our own
        self.running.append(process)
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(task))
        process.stdin.close()
        return process


def main() -> int:
    """The task comes on standard input, lines leave on standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever has started it ends it
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)

    def say(said: Said) -> None:
        sys.stdout.buffer.write(_line(said) + b"\n")
        sys.stdout.buffer.flush()

    try:
        prepare(waits_quietly=True)
        try:
            say(Said(fraction=1.0, tried=work(task, say)))
        except SourceError as error:
            say(Said(error=str(error)))
    except BrokenPipeError:  # nobody is there any more to hear of it
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
