"""Rebuilds the state around an alert: the engine is run again up to the record that decided it, and looked into.

Twice, since only the first time shows where the detector's report was: the second time the rows that led to it, and
those up to the alert, are applied one by one. How records are cut into batches decides nothing.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, cast

import msgspec

from detectors.effects import place
from detectors.engine import Engine
from detectors.flow import LABELS
from detectors.lifecycle import Disposition
from detectors.moment import position_of
from detectors.reports import ScopeKey
from detectors.view import QUIET, Baseline, Beside, Glance, Sight
from schemas.codec import Decoder, decode_output
from schemas.events import EVERY_MODEL, Alert, Audit, Kind, Outcome, Output, Prediction, Signal
from schemas.parsed import Parsed
from schemas.records import RecordLike
from schemas.topics import Stream
from streams import embedded
from streams.journal import COMMIT_RECORDS
from streams.progress import Fraction, Progress
from streams.rocks import Rocks, shared_cache
from streams.sections import Settings
from streams.why.choice import Choice
from streams.why.rows import Row, Window, of_labels, row_of, window_of
from streams.why.sources import Origin, Reading, concerns

BATCH_RECORDS = 1_000  # the place of a report is known to so many rows after the first pass
COURSE_ROWS_MAX = 4_000  # applied one by one before a report: some seconds
BEFORE_ROWS = 64  # of the course, before the change, at least
AROUND_ROWS = 8  # on either side of the change, where that lies before the course
SIGNALS_MAX, SAID_MAX, STEPS_MAX, BESIDE_MAX = 12, 12, 50, 8  # the newest, and the most conspicuous
_REPORTS = (Disposition.OPENED, Disposition.SUSPECTED, Disposition.MUTED)
_READ = (Stream.ALERTS, Stream.SIGNALS, Stream.AUDIT)

ProgressOn = Callable[[Fraction], Progress]


class _Far:
    """How far several passes over the same records are, as one."""

    def __init__(self, passes: int) -> None:
        self._passes, self._done = passes, -1
        self._current: Fraction = lambda: None

    def begin(self, current: Fraction) -> None:
        self._done += 1
        self._current = current

    def __call__(self) -> float | None:
        part = self._current()
        return None if part is None else (self._done + part) / self._passes


class Span(NamedTuple):
    """Rows of a signal, counted from 0; the last is excluded."""

    first: int
    end: int


class Run(msgspec.Struct):
    """What was read for the alert's model, and what of it matters."""

    records: int = 0  # of the model, and of the time that passes
    at_record: bool = False  # whether the record that decided is there
    starts: dict[str, int] = {}  # by topic or file, the first offset of anybody's
    version: str | None = None  # of the monitor that was looked at: the alert's, where there is one
    steps: list[Alert] = []  # of the incident, and of the signal
    signals: list[Signal] = []  # of the signal
    said: list[Audit] = []  # words of operators and deployments
    report: Signal | None = None  # what the alarm rests on, where a detector reported
    report_rows: Span = Span(0, 0)  # between which it came, or the alert where there is none
    alert_rows: Span = Span(0, 0)  # between which the alert came


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What the detector saw."""

    run: Run
    baseline: Baseline | None
    window: Window | None  # since the change
    course: list[Row]  # up to the report, or to the alert where there is none
    change: list[Row]  # around it
    alarm: list[Row]  # the last before the alert
    beside: list[Beside]


def find(origin: Origin, settings: Settings, choice: Choice, progress_on: ProgressOn) -> Alert:
    """Where nobody has written down which alerts there were: every model is replayed until it has come."""
    far = _Far(1)
    with progress_on(far) as progress, _running(origin, settings, None, far) as running:
        records = iter(running.reading.records)
        while not choice.settled and (batch := list(islice(records, BATCH_RECORDS))):
            progress(len(batch))
            for event in running.apply(batch):
                if isinstance(event, Alert):
                    choice.add(event)
    return choice.alert(origin.name)


def see(origin: Origin, settings: Settings, alert: Alert, progress_on: ProgressOn) -> Seen:
    """Of the alert's model alone. Where the record that decided is not there, all before the alert's time is read."""
    if alert.model == EVERY_MODEL:  # no engine told it
        return Seen(run=Run(), baseline=None, window=None, course=[], change=[], alarm=[], beside=[])
    far = _Far(2)
    with progress_on(far) as progress:
        with _running(origin, settings, alert, far) as running:
            run = _reach(running, alert, settings, progress)
        with _running(origin, settings, alert, far) as running:
            return _Look(running, alert, run, settings).seen(progress)


class _Running(NamedTuple):
    origin: Origin
    engine: Engine
    reading: Reading
    commit: Callable[[int], None]

    def apply(self, batch: Sequence[RecordLike]) -> Iterator[Output]:
        """What it says that matters here."""
        applied = self.engine.apply(batch)
        self.commit(len(batch))
        for effect in applied.effects:
            if effect.stream in _READ:
                yield decode_output(effect.value)

    def sight(self, alert: Alert, version: str | None, settings: Settings, *, any_version: bool) -> Sight:
        key = ScopeKey(alert.model, version, alert.segment, alert.kind is Kind.CHALLENGER)
        config = settings.monitor.of(alert.model)
        return Sight(self.engine, config, key, alert.signal, alert.detector, any_version=any_version)


@contextmanager
def _running(origin: Origin, settings: Settings, alert: Alert | None, far: _Far) -> Iterator[_Running]:
    with ExitStack() as stack:
        reading = stack.enter_context(origin.reading(alert))
        far.begin(reading.fraction)
        kept = stack.enter_context(_on_disk()) if reading.large else None
        engines = embedded.engines(settings, any_stream=origin.any_stream)
        engine = cast(Engine, engines(0 if alert is None else alert.position.partition, kept))
        waiting = 0

        def commit(records: int) -> None:
            nonlocal waiting
            waiting += records
            if kept is not None and waiting >= COMMIT_RECORDS:
                waiting = 0
                kept.write(*engine.changes())

        yield _Running(origin, engine, reading, commit)


@contextmanager
def _on_disk() -> Iterator[Rocks]:
    with TemporaryDirectory(prefix="driftline-why-") as folder:
        rocks = Rocks(Path(folder) / "state", shared_cache(), create=True)
        try:
            yield rocks
        finally:
            rocks.close()


def _of_alert(running: _Running, alert: Alert, run: Run, progress: Progress) -> Iterator[RecordLike]:
    """The records that concern its model, up to the one that decided; or as far as that could be."""
    unsaid, (topic, partition, offset), latest = 0, place(alert.position), alert.ts + running.origin.late_ms
    offsets_rise = running.origin.offsets_rise
    for record in running.reading.records:
        unsaid += 1
        if unsaid == BATCH_RECORDS:
            progress(unsaid)
            unsaid = 0
        run.starts[record.topic] = min(record.offset, run.starts.get(record.topic, record.offset))
        beside = record.topic == topic and record.partition == partition
        run.at_record = beside and record.offset == offset
        passed = record.timestamp > latest or (offsets_rise and beside and record.offset > offset)
        if passed and not run.at_record:
            return
        if concerns(record, alert.model):
            yield record
        if run.at_record:
            return


def _reach(running: _Running, alert: Alert, settings: Settings, progress: Progress) -> Run:
    """The first pass."""
    run, sight = Run(), running.sight(alert, alert.version, settings, any_version=True)
    signals: dict[str | None, deque[Signal]] = {}  # by version
    reports: dict[str | None, tuple[Signal, Span]] = {}
    said, steps = deque[Audit](maxlen=SAID_MAX), deque[Alert](maxlen=STEPS_MAX)
    records, before = _of_alert(running, alert, run, progress), 0
    while batch := list(islice(records, BATCH_RECORDS)):
        run.records += len(batch)
        told = list(running.apply(batch))
        now = sight.glance().rows
        span = Span(before if before <= now else 0, now)
        before = now
        for event in told:
            if isinstance(event, Audit):
                said.append(event)
            elif isinstance(event, Alert) and (event.incident == alert.incident or about(event, alert)):
                steps.append(event)
            elif isinstance(event, Signal) and about(event, alert):
                signals.setdefault(event.version, deque(maxlen=SIGNALS_MAX)).append(event)
                if event.disposition in _REPORTS:
                    reports[event.version] = event, span
        run.alert_rows = span
    run.version = alert.version if alert.version in signals else sight.version
    run.said = list(said)
    run.signals = list(signals.get(run.version, ()))
    run.steps = [step for step in steps if step.incident == alert.incident or step.version == run.version]
    run.report, run.report_rows = reports.get(run.version, (None, run.alert_rows))
    return run


def about(event: Alert | Signal, alert: Alert) -> bool:
    """Whether it is about the same signal, of whatever version."""
    same = (event.segment, event.signal) == (alert.segment, alert.signal)
    return same and (event.kind is Kind.CHALLENGER) is (alert.kind is Kind.CHALLENGER)


class _Look:
    """The second pass: rows that show something are applied one by one."""

    def __init__(self, running: _Running, alert: Alert, run: Run, settings: Settings) -> None:
        self._running, self._alert, self._run = running, alert, run
        self._sight = running.sight(alert, run.version, settings, any_version=False)
        self._decoder = Decoder(any_stream=True)
        self._inputs = settings.kafka.topics.inputs
        self._rows: list[Row] = []
        self._last = deque[Row](maxlen=AROUND_ROWS)
        self._known = 0  # rows so far
        self._spans = sorted(_spans(run, alert))
        self._since = _since(run, alert)

    def seen(self, progress: Progress) -> Seen:
        batch: list[RecordLike] = []
        for record in _of_alert(self._running, self._alert, Run(), progress):
            batch.append(record)
            if not self._known:
                self._keep(record)
            if len(batch) >= self._room():
                self._apply(batch)
                batch = []
        if batch:
            self._apply(batch)
        return self._seen()

    def _keep(self, record: RecordLike) -> None:
        """Of a signal that has no rows, as silence has none, the last records are shown."""
        event = self._event(record)
        if isinstance(event, Outcome if self._alert.signal == LABELS else Prediction):
            glance = Glance(0, None, None, None)
            at = position_of(record)
            self._last.append(row_of(glance, at, record.timestamp, event, "", None, reported=False))

    def _room(self) -> int:
        """So many records can be applied together: none of them is a row that is wanted by itself."""
        ahead = [span.first - self._known for span in self._spans if self._known < span.end]
        return min(max(1, min(ahead, default=BATCH_RECORDS)), BATCH_RECORDS)

    def _apply(self, batch: Sequence[RecordLike]) -> None:
        told = list(self._running.apply(batch))
        glance, before = self._sight.glance(), self._known
        self._known = glance.rows
        if glance.rows < before:  # another monitor has taken its place: it begins anew
            self._rows.clear()
        if len(batch) > 1 or glance.rows <= before:
            return
        record, report = batch[0], self._run.report
        reported = report is not None and any(isinstance(event, Signal) and event.id == report.id for event in told)
        if reported and report is not None:  # some detectors forget at once what they have reported
            glance = glance._replace(statistic=report.evidence.value, threshold=report.evidence.threshold)
        event = self._event(record)
        judged = None
        if isinstance(event, Prediction | Outcome) and of_labels(self._alert.signal):
            judged = self._sight.judged(event.id)
        self._rows.append(
            row_of(
                glance,
                position_of(record),
                record.timestamp,
                event,
                self._alert.signal,
                judged,
                reported=reported,
            )
        )

    def _event(self, record: RecordLike) -> object:
        stream = self._inputs.get(record.topic, Stream.PREDICTIONS)
        return record.event if type(record) is Parsed else self._decoder.decode(stream, record)

    def _seen(self) -> Seen:
        rows = self._rows
        reported = next((row.row for row in rows if row.reported), None)
        upto = rows[-1].row if reported is None and rows else reported
        changed = upto - self._since + 1 if upto is not None and self._since else None
        baseline = self._sight.baseline()
        since = [row for row in rows if changed is not None and row.row >= changed]
        beside = self._sight.beside(changed if changed is not None else self._known)
        return Seen(
            run=self._run,
            baseline=baseline,
            window=window_of(
                since,
                changed if changed is not None else 0,
                self._known - changed if changed is not None else 0,
                is_share=baseline is not None and baseline.is_share,
            ),
            course=[row for row in rows if upto is not None and upto - _course(self._since) <= row.row <= upto],
            change=[row for row in rows if changed is not None and abs(row.row - changed) <= AROUND_ROWS],
            alarm=rows[-AROUND_ROWS:] if self._known else list(self._last),
            beside=sorted(beside, key=_conspicuous)[:BESIDE_MAX],
        )


def _since(run: Run, alert: Alert) -> int:
    """How many rows before the report, or the alert where there is none, the change began; 0 where nobody knows."""
    evidence = (run.report or alert).evidence
    since = evidence.detail.get("rows_since_change")
    return since if isinstance(since, int) else 0


def _course(since: int) -> int:
    """How many rows before the report are looked at: those since the change, and as many before it."""
    return min(since + max(since, BEFORE_ROWS), COURSE_ROWS_MAX)


def _spans(run: Run, alert: Alert) -> Iterator[Span]:
    """Rows that are wanted by themselves: up to the report, around the change, and up to the alert."""
    report, since = run.report_rows, _since(run, alert)
    yield Span(max(0, report.first - _course(since)), report.end)
    if since:
        yield Span(max(0, report.first - since - AROUND_ROWS), max(0, report.end - since + AROUND_ROWS))
    yield run.alert_rows


def _conspicuous(beside: Beside) -> tuple[bool, float, float, str]:
    return (
        beside.stands == QUIET,
        -(beside.of_threshold or 0.0),
        -abs(beside.effect or 0.0),
        beside.signal,
    )
