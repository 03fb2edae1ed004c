"""What ``driftline why`` answers: the alert, whether it came again, why not where it did not, and what was seen."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from detectors.banks.page_hinkley import PageHinkleyBank
from detectors.banks.shiryaev import WATCH
from detectors.lifecycle import Disposition
from detectors.view import Baseline, Beside
from detectors.wording import lasting
from schemas.codec import encode
from schemas.events import EVERY_MODEL, Alert, AlertEvent, Audit, Evidence, Position, Signal
from streams.incident_story import number
from streams.report import time_of
from streams.why.rebuild import Run, Seen, about
from streams.why.rows import Row, Window
from streams.why.sources import Origin, told

_COMPARED = ("threshold_origin", "threshold", "n", "baseline", "value")
_RUNNING = (WATCH, PageHinkleyBank.kind)  # detectors that show what they stand at
_TOLD_OF_BASELINE = ("baseline_name", "baseline_hash")
OTHER_LIMITS = (
    "limits of all models together (models_max, pending_max), keys of control events, or another release may decide"
)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    alert: Alert
    same: bool  # to the byte
    again: Alert | None  # what this history and configuration make of it
    differs: list[str]  # why it may be another one, or none; empty where it is the same
    records: int  # that were applied: those of the alert's model up to the one that decided
    report: Signal | None  # of the detector, that the alarm rests on
    baseline: Baseline | None
    window: Window | None  # since the change
    course: list[Row]
    change: list[Row]
    alarm: list[Row]
    beside: list[Beside]
    signals: list[Signal]  # of the same signal before it
    said: list[Audit]  # by operators and deployments before it
    steps: list[Alert]  # of its incident up to this one


def as_json(answer: Answer) -> bytes:
    """Events stand in it as they stand on their topics."""

    def written(value: Any) -> Any:
        if isinstance(value, Alert | Signal | Audit):
            return msgspec.Raw(encode(value))
        return list(map(written, value)) if isinstance(value, list) else value

    fields = msgspec.structs.asdict(answer)
    return msgspec.json.encode({name: written(value) for name, value in fields.items()})


def answer(alert: Alert, seen: Seen, origin: Origin) -> Answer:
    run = seen.run
    again = _again(alert, run)
    same = again is not None and encode(again) == encode(alert)
    return Answer(
        alert=alert,
        same=same,
        again=again,
        differs=[] if same else list(_differs(alert, again, seen, origin)) or [OTHER_LIMITS],
        records=run.records,
        report=run.report,
        baseline=seen.baseline,
        window=seen.window,
        course=seen.course,
        change=seen.change,
        alarm=seen.alarm,
        beside=seen.beside,
        signals=[signal for signal in run.signals if signal.position not in _told_of(alert, run)],
        said=run.said,
        steps=[step for step in run.steps if again is not None and step.incident == again.incident],
    )


def _told_of(alert: Alert, run: Run) -> Sequence[Position]:
    """The records whose story is told already."""
    return (alert.position,) if run.report is None else (alert.position, run.report.position)


def _again(alert: Alert, run: Run) -> Alert | None:
    """The same by its id; or what comes nearest to it."""
    same = next((step for step in run.steps if step.id == alert.id), None)
    if same is not None:
        return same
    near = [step for step in run.steps if about(step, alert) and step.event in (alert.event, AlertEvent.OPENED)]
    return min(near, key=lambda step: (step.event is not alert.event, abs(step.ts - alert.ts)), default=None)


def _differs(alert: Alert, again: Alert | None, seen: Seen, origin: Origin) -> Iterator[str]:
    run = seen.run
    if alert.model == EVERY_MODEL:
        yield "it is about a partition and not about a model: a worker told it, and no detector"
        return
    if not run.records:
        yield f"there is no record that concerns {alert.model} up to {time_of(alert.ts)}"
        return
    yield from _of_history(alert, run, origin)
    if run.version != alert.version and seen.baseline is not None:
        asked, known = (f"version {version}" if version else "no version" for version in (alert.version, run.version))
        yield f"nothing is known of {asked} here, as where it was deployed before: what follows is of {known}"
    if again is None:
        yield _nothing(alert, seen)
        if run.report is not None:
            yield from _of_evidence(alert.evidence, run.report.evidence)
        return
    if again.id != alert.id:
        yield f"the same signal is {again.event} at {told(again.position)} here, {_when(again, alert)}"
    yield from _of_evidence(alert.evidence, again.evidence)
    if again.id == alert.id and alert.summary != again.summary:
        yield f"its sentence is another one here: {again.summary}"


def _when(event: Alert | Signal, alert: Alert) -> str:
    apart = abs(event.ts - alert.ts)
    return f"{lasting(apart)} {'before' if event.ts < alert.ts else 'after'} it" if apart else "at the same time"


def _of_history(alert: Alert, run: Run, origin: Origin) -> Iterator[str]:
    place = alert.position
    if not run.at_record:
        first = run.starts.get(place.topic)
        if first is None and not origin.any_stream:
            yield f"the record that decided, {told(place)}, is not among those that are read"
        elif first is None:
            known = ", ".join(run.starts)
            yield f"the record that decided, {told(place)}, lies elsewhere than in {known}, and an id says where"
        elif first > place.offset:
            yield f"the record that decided, {told(place)}, is gone: there {place.topic} begins at {first}"
        else:
            yield f"the record that decided, {told(place)}, is left out or has another time"
    if origin.begins:
        yield f"{origin.begins} leaves out what came before, which taught what is normal"
    elif not origin.any_stream:
        for topic, first in run.starts.items():
            if first > 0:
                yield f"{topic} begins at {first}: what is older is gone, and it taught what is normal"


def _nothing(alert: Alert, seen: Seen) -> str:
    report = seen.run.report
    if report is not None:
        here = f"{report.detector} reports {alert.signal} at {told(report.position)}, {_when(report, alert)}"
        joined = (signal for signal in seen.run.signals if signal.disposition == Disposition.GROUPED)
        incident = next((signal.evidence.detail.get("incident") for signal in joined), None)
        return f"{here}, and the alarm joins incident {incident}" if incident else f"{here}: {report.disposition}"
    if seen.baseline is None:
        return f"{alert.signal} is no signal of this model, version and segment here"
    if alert.detector in _RUNNING and all(row.statistic is None for row in seen.alarm):
        return f"{alert.detector} does not watch {alert.signal} here"
    stood = next(((row.statistic, row.threshold) for row in reversed(seen.alarm) if row.statistic is not None), None)
    if stood is None or stood[1] is None:
        return f"no detector reports {alert.signal} here"
    return f"no detector reports {alert.signal} here: at the end {number(stood[0])} of {number(stood[1])} is reached"


def _of_evidence(before: Evidence, now: Evidence) -> Iterator[str]:
    for name in (*_COMPARED, *_TOLD_OF_BASELINE):
        was, is_now = _told(before, name), _told(now, name)
        if was != is_now:
            yield f"{name} was {_shown(was)} and is {_shown(is_now)} here"


def _told(evidence: Evidence, name: str) -> Any:
    return evidence.detail.get(name) if name in _TOLD_OF_BASELINE else getattr(evidence, name)


def _shown(value: Any) -> str:
    return number(value) if isinstance(value, float) else "none" if value is None else str(value)
