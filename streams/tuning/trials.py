"""One trial: settings on a part of the history, untouched or with drifts put in. Trials know nothing of each other.

So they run in as many processes as there are cores, each a whole replay, and what is known of one need not be found
out again.
"""

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from typing import NamedTuple, cast

import msgspec

from detectors.lifecycle import Disposition
from schemas.codec import decode_output
from schemas.events import Alert, Signal
from schemas.records import Record, RecordLike
from schemas.topics import Stream
from streams import embedded
from streams.errors import SourceError
from streams.findings.stories import Paging
from streams.history import History
from streams.injecting import Drift, injected
from streams.portraits import Reader
from streams.process import prepare
from streams.river_defaults import RiverDefaults
from streams.scoring import Alarm, always, of_results
from streams.sections import Settings
from streams.state import EffectLike
from streams.tuning.kept import KeptTrials, Trial, Tried
from streams.tuning.parts import Part
from streams.tuning.space import changed_everywhere

OURS = "driftline"


class Ground(NamedTuple):
    """All that trials have in common."""

    settings: Settings
    parts: dict[str, Part]
    seed: int


class _Told:
    """Alarms and pages of a replay, as they come."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.joined: list[Signal] = []
        self.pages: Counter[str] = Counter()
        self._paging = Paging()

    def __call__(self, effect: EffectLike) -> None:
        if effect.stream not in (Stream.ALERTS, Stream.SIGNALS):
            return
        event = decode_output(effect.value)
        if isinstance(event, Alert):
            self.alerts.append(event)
            self.pages[event.model] += self._paging.calls(event)
        elif isinstance(event, Signal) and event.disposition == Disposition.GROUPED:
            self.joined.append(event)


def run(ground: Ground, trial: Trial) -> Tried:
    part = ground.parts[trial.part]
    drifts = [Drift(plan) for plan in part.drifts(ground.seed, trial.number)] if trial.number else []
    told, pages = dict[str, list[Alarm]](), Counter[str]()
    with History(part.given) as history:
        records = _with(history.records, drifts) if drifts else history.records
        if trial.changes is None:
            told |= _of_river(records)
            told |= {"always": always(part.times), "never": []}
        else:
            monitor = changed_everywhere(ground.settings.monitor, trial.changes)
            sink = _Told()
            settings = msgspec.structs.replace(ground.settings, monitor=monitor)
            summary = embedded.run(records, settings, sinks=(sink,))
            if summary.error is not None:
                raise SourceError(summary.error)
            told[OURS], pages = of_results(sink.alerts, sink.joined), sink.pages
    changes = [change for drift in drifts for change in drift.changes]
    return Tried(told, changes, dict(pages))


def _with(records: Iterable[RecordLike], drifts: Sequence[Drift]) -> Iterator[Record]:
    """A line a record, in their order: no drift of ours moves one."""
    times: deque[int] = deque()

    def noted() -> Iterator[RecordLike]:
        for record in records:
            times.append(record.timestamp)
            yield record

    for offset, line in enumerate(injected(noted(), drifts)):
        yield Record("injected", 0, offset, times.popleft(), None, line)


def _of_river(records: Iterable[RecordLike]) -> dict[str, list[Alarm]]:
    reader, river = Reader(), RiverDefaults()
    for record in records:
        river.take(reader.event(record), record.timestamp)
    return river.alarms


class Trials(AbstractContextManager["Trials"]):
    """Runs them, and never one twice. ``expected``: how many there will be, to say how far it is."""

    def __init__(self, ground: Ground, kept: KeptTrials, processes: int) -> None:
        self.expected = 0
        self._done: set[bytes] = set()
        self.progress: Callable[[int], object] = lambda records: None
        self._ground, self._kept = ground, kept
        self._pool: ProcessPoolExecutor | None = None
        if processes > 1:
            context = multiprocessing.get_context("spawn")  # the threads of numba do not survive a fork
            self._pool = ProcessPoolExecutor(processes, context, _begin, (ground,))
        else:
            prepare()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is None:
            return
        children = multiprocessing.active_children() if kind is not None else []
        self._pool.shutdown(wait=False, cancel_futures=True)
        for child in children:  # what was interrupted is not waited for
            child.terminate()

    @property
    def fraction(self) -> float | None:
        return len(self._done) / self.expected if self.expected else None

    def of(self, trials: Sequence[Trial]) -> list[Tried]:
        """In their order, whichever ends first."""
        missing = {trial.key: trial for trial in trials if self._kept.get(trial) is None}
        self._done |= {trial.key for trial in trials} - missing.keys()
        for trial, tried in self._run(list(missing.values())):
            self._kept.add(trial, tried)
            self._done.add(trial.key)
            self.progress(self._ground.parts[trial.part].records)
        return [cast(Tried, self._kept.get(trial)) for trial in trials]

    def _run(self, trials: Sequence[Trial]) -> Iterator[tuple[Trial, Tried]]:
        if self._pool is None:
            yield from ((trial, run(self._ground, trial)) for trial in trials)
            return
        futures = {self._pool.submit(_in_process, trial): trial for trial in trials}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            advice = "the same call with --resume goes on, with --processes 1 in one"
            raise SourceError("a process of the search ended", advice=advice) from None


_ground: list[Ground] = []  # of this process, where it is one of several


def _begin(ground: Ground) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever has started it ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _ground[:] = [ground]
    prepare(waits_quietly=True)


def _end_with_parent() -> None:
    """One that is killed can tell nobody, and a pool's process would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _in_process(trial: Trial) -> Tried:
    return run(_ground[0], trial)
