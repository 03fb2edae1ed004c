"""A replay in several processes, each with a share of the models: the results of one process, byte for byte.

Each hands on its effects with the places of the records that caused them. They are put together in the order of these
places, as soon as no process can come with an earlier one.
"""

import fcntl
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import IO, cast

import msgspec

from detectors.audit import AuditState
from detectors.config import MonitorConfig
from detectors.effects import Effect
from schemas.codec import decode_output, encode
from schemas.events import Audit
from schemas.topics import Stream
from streams.embedded import Advance, Sink
from streams.errors import SourceError, UsageError
from streams.share import LENGTH_BYTES, PIECE_RECORDS, Last, Message, Piece, Task, Told
from streams.summary import Summary, Tally, budgets

_message = msgspec.msgpack.Decoder(Message).decode
_PIPE_BYTES = 1024 * 1024  # some ten pieces: nobody waits because another one has more to do just now
_ONE = "replay it with --processes 1"


def _linked(value: bytes, chain: AuditState) -> bytes:
    """Each process has a chain of its own models' entries; here they become one of all."""
    entry = decode_output(value)
    assert isinstance(entry, Audit)
    return encode(chain.link(entry))


def _widen(pipe: IO[bytes]) -> None:
    """As wide as is wanted, where the system allows it: through a narrow one the same comes, and somebody waits."""
    if sys.platform == "linux":
        with suppress(OSError):  # users have a limit for all of their pipes together
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


class _Process:
    """One of them, and what it has said that cannot be passed on yet."""

    def __init__(self, task: Task) -> None:
        words = [sys.executable, "-P", "-m", "streams.share"]
        self._child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        _widen(self._child.stdout)
        self._child.stdin.write(msgspec.json.encode(task))
        self._child.stdin.close()
        self.upto = 0
        self.pending = 0  # the most that ever was
        self.held: deque[Told] = deque()
        self.last: Last | None = None

    def read(self) -> Message:
        assert self._child.stdout is not None
        length = int.from_bytes(self._child.stdout.read(LENGTH_BYTES), "big")
        packed = self._child.stdout.read(length) if length else b""
        if not length or len(packed) < length:
            status = self._child.wait()
            raise SourceError(f"a process of the replay ended with status {status}", advice=_ONE)
        message: Message = _message(packed)
        if isinstance(message, Last):
            self.last = message
            return message
        self.upto, self.pending = message.upto, max(self.pending, message.pending)
        self.held.extend(message.told)
        return message

    def end(self) -> None:
        self._child.kill()
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()


class Processes(AbstractContextManager["Processes"]):
    """``fraction``: how much of the history the first of them has read."""

    fraction: float | None = None

    def __init__(self, tasks: Sequence[Task], monitor: MonitorConfig) -> None:
        self._monitor = monitor
        self._all: list[_Process] = []
        try:
            for task in tasks:
                self._all.append(_Process(task))
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            process.end()

    def run(
        self, sinks: Sequence[Sink], progress: Advance, clock: Callable[[], float] = time.perf_counter
    ) -> tuple[Summary, Last]:
        """Everything that they say, as one of them would have said it; and the last words of the first.

        The clock starts when all are ready, as that of one process does.
        """
        for process in self._all:
            process.read()
        tally, start, seen, chain = Tally(), clock(), 0, AuditState()
        while behind := [process for process in self._all if process.last is None]:
            process = min(behind, key=lambda one: one.upto)  # nobody waits for it to be read but itself
            message = process.read()
            if isinstance(message, Piece):
                tally.counted(0, message.counts)
                if process is self._all[0]:
                    self.fraction = message.fraction
                    tally.saw(message.upto - seen, message.times)
                    progress(message.upto - seen)
                    seen = message.upto
            self._check_limits(message)
            for told in self._certain():
                value = _linked(told.value, chain) if told.stream is Stream.AUDIT else told.value
                effect = Effect(told.stream, "", None, value)
                tally.effect(effect)
                for sink in sinks:
                    sink(effect)
        last = cast(Last, self._all[0].last)
        return tally.summary(seconds=clock() - start, error=last.error, budgets=budgets(self._monitor)), last

    def _check_limits(self, message: Message) -> None:
        """Limits of all models together: where one would be met, each process alone would decide otherwise."""
        if isinstance(message, Last) and message.not_shared is not None:
            raise UsageError(message.not_shared, where="the history", advice=_ONE)
        # How many wait is said between two pieces; between these there may have been a piece's more.
        if sum(process.pending + PIECE_RECORDS for process in self._all) > self._monitor.pending_max:
            raise UsageError("more predictions wait than pending_max", where="the history", advice=_ONE)

    def _certain(self) -> list[Told]:
        """What nothing can come before any more, in order. Of a model all comes from one process, in its order."""
        upto = min((process.upto for process in self._all if process.last is None), default=None)
        found: list[Told] = []
        for process in self._all:
            held = process.held
            while held and (upto is None or held[0].place < upto):
                found.append(held.popleft())
        return sorted(found, key=lambda told: (told.place, told.since))
