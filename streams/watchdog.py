"""Ends a process that lives and does nothing. It runs in a thread, because what it watches is the event loop.

Faust and aiokafka know states in which every heartbeat is sent and no record moves. A restart gets out of all of them,
so the judgement is kept simple: nothing has moved for the stall time although something should have.
"""

import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from time import monotonic
from typing import NamedTuple

EXIT_STALLED = 75  # sysexits' "temporary failure": starting again is the remedy
# Brokers may be away for a while, and waiting for them keeps what is in memory; but a client of ours that broke for
# good looks the same from here.
STALLS_WITHOUT_ANSWER = 5
# Partitions are served in turn. One that stands while another has moved so often was passed over; before that it may
# only be waiting for its turn, however long the batches and commits of the others take.
TURNS_OF_OTHERS = 3
CHECKS_PER_STALL = 10  # a stall is noticed after at most a tenth more than its time
SAYING_S_MAX = 5.0  # whoever reads what we say may have stopped

Clock = Callable[[], float]


class Stall(StrEnum):
    """Why the process is ended."""

    LOOP_BLOCKED = "the event loop does not turn"
    NOT_READY = "the worker did not get ready to read"
    NO_PROGRESS = "records wait on the input topics and no commit takes them in"
    NO_ANSWER = "the brokers do not say where the input topics end"


class _Place(NamedTuple):
    """How far a partition number is, and since when; and how often others have moved meanwhile."""

    position: int
    since: float
    others: Mapping[int, int] = {}


class Progress:
    """What the event loop tells and the watchdog reads. Single assignments of numbers, so no lock is needed."""

    def __init__(self, clock: Clock = monotonic, *, join_s: float = 0.0, commit_s: float = 0.0) -> None:
        self._clock = clock
        # The group may have to wait for members that died, this one's own last life among them. An end meanwhile would
        # only leave it one more to wait for.
        self._join_s = join_s
        # A commit may wait so long for brokers. It has an end of its own, which says more.
        self._commit_s = commit_s
        now = clock()
        self._turned = now
        self._moved = now
        self._not_ready_since: float | None = now
        self._places: Mapping[int, _Place] = {}  # by partition number
        self._stands_since = math.inf
        self._no_answer_since: float | None = None

    def turn(self) -> None:
        """The loop is alive."""
        self._turned = self._clock()

    def moved(self) -> None:
        """Something was read back or fetched that no position shows, or a worker that is ready had nothing to do."""
        self._moved = self._clock()

    def ready(self) -> None:
        self._not_ready_since = None
        self.moved()

    @property
    def is_ready(self) -> bool:
        return self._not_ready_since is None

    def not_ready(self) -> None:
        """Start-up or a rebalance has begun; the first of several counts."""
        if self._not_ready_since is None:
            self._not_ready_since = self._clock()

    def at(self, positions: Mapping[int, int], lags: Mapping[int, int]) -> None:
        """By partition number: how far the last commit is, and the records on the input topics beyond it.

        Each is judged by itself: others that move do not hide one that stands. Commits and not batches count, so a
        commit that hangs shows here too.
        """
        self._forgive_outage()
        now, before = self._clock(), self._places
        moved = [number for number, at in positions.items() if number in before and before[number].position != at]
        places = {}
        for number, position in positions.items():
            place = before.get(number)
            if place is None or number in moved or not lags[number]:
                places[number] = _Place(position, now)
                continue
            turns = {other: place.others.get(other, 0) + 1 for other in moved}
            waits_its_turn = any(count < TURNS_OF_OTHERS for count in turns.values())
            since = now if waits_its_turn else place.since
            places[number] = _Place(position, since, {**place.others, **turns})
        self._places = places
        self._stands_since = min((place.since for place in places.values()), default=math.inf)
        if not any(lags.values()) and self.is_ready:
            self.moved()

    def lag_unknown(self) -> None:
        """The brokers did not say. While they are away nothing can move, and that is no fault of this process."""
        if self._no_answer_since is None:
            self._no_answer_since = self._clock()

    def _forgive_outage(self) -> None:
        """An outage counts for nothing, and as long again is there to get going."""
        if self._no_answer_since is None:
            return
        now = self._clock()
        forgiven_s = 2 * (now - self._no_answer_since)
        self._moved = min(self._moved + forgiven_s, now)
        if self._not_ready_since is not None:
            self._not_ready_since = min(self._not_ready_since + forgiven_s, now)
        self._places = {
            number: place._replace(since=min(place.since + forgiven_s, now)) for number, place in self._places.items()
        }
        self._stands_since = min((place.since for place in self._places.values()), default=math.inf)
        self._no_answer_since = None

    def allowed_s(self, stall: Stall, stall_s: float) -> float:
        """How long it may last."""
        match stall:
            case Stall.NO_ANSWER:
                return STALLS_WITHOUT_ANSWER * stall_s
            case Stall.NOT_READY:
                return stall_s + self._join_s
            case Stall.NO_PROGRESS:
                return max(stall_s, self._commit_s)
            case Stall.LOOP_BLOCKED:
                return stall_s

    def stalled(self, stall_s: float) -> Stall | None:
        """The judgement. What the event loop may set meanwhile is read once."""
        no_answer_since, not_ready_since = self._no_answer_since, self._not_ready_since
        now = self._clock()

        def lasts(stall: Stall, since: float) -> Stall | None:
            return stall if now - since > self.allowed_s(stall, stall_s) else None

        if blocked := lasts(Stall.LOOP_BLOCKED, self._turned):
            return blocked
        if no_answer_since is not None:
            return lasts(Stall.NO_ANSWER, no_answer_since)
        if now - self._moved <= stall_s:
            return None
        if not_ready_since is not None:
            return lasts(Stall.NOT_READY, not_ready_since)
        if now - self._turned > stall_s / 2:
            return None  # it is the loop then, and that is said as soon as it is certain
        return lasts(Stall.NO_PROGRESS, self._stands_since)


class Watchdog:
    def __init__(self, progress: Progress, stall_s: float, end: Callable[[Stall, float], None]) -> None:
        self._progress = progress
        self._stall_s = stall_s
        self._end = end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(self._stall_s / CHECKS_PER_STALL):
            stall = self._progress.stalled(self._stall_s)
            if stall is not None:
                self._end(stall, self._progress.allowed_s(stall, self._stall_s))
                return


def end_process(stall: Stall, seconds: float) -> None:
    """One line, past every lock a hanging thread could hold, and out."""
    with certain_end(os._exit, EXIT_STALLED):
        _say(f"ended by the watchdog: {stall} for {seconds:g} s; start it again, it goes on where it was")


def end_late(seconds: float) -> None:
    """What was to be stopped in order still lives. What it decided is committed, so it may end like this."""
    with certain_end(os._exit, 0):
        _say(f"ended {seconds:g} s after it was asked to, without taking leave of the group")


@contextmanager
def certain_end(end: Callable[[int], object], status: int) -> Iterator[None]:
    """For last words: the process ends whether they are heard, fail, or wait for a reader that has stopped reading."""
    last = threading.Timer(SAYING_S_MAX, end, (status,))
    last.daemon = True
    try:
        last.start()
        with suppress(Exception):
            yield
    finally:
        try:
            end(status)
        finally:
            last.cancel()  # no other ``end`` than one of a test returns


def _say(line: str) -> None:
    os.write(sys.stderr.fileno(), f"driftline: {line}\n".encode())
