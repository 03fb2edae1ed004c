"""Everything that was found as tables, one file each: for a spreadsheet as CSV, for programs as Parquet."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.events import Alert, Evidence, Position, Signal
from schemas.times import UNIT_MS
from streams.findings.collect import Findings
from streams.findings.lines import Files
from streams.findings.stories import Paging
from streams.findings.survey import NAMES_MAX
from streams.incidents import Choice, Incidents
from streams.whatif import words
from streams.whatif.comparison import WhatIf, money_of

Row = tuple[Any, ...]
TEXT, WHOLE, NUMBER, TIME, FLAG = (
    "text",
    "whole",
    "number",
    "time",
    "flag",
)  # what a column holds; a time is in milliseconds

Columns = Mapping[str, str]


class Table(NamedTuple):
    name: str
    columns: Columns
    rows: Callable[[], Iterator[Row]]  # from the beginning, each time it is called


# Of the detail of evidence, those that have a column; ``detail`` holds all of them as JSON.
_DETAIL: Columns = {
    "after": NUMBER,
    "effect_low": NUMBER,
    "effect_high": NUMBER,
    "psi": NUMBER,
    "psi_by_chance": NUMBER,
    "jensen_shannon": NUMBER,
    "wasserstein": NUMBER,
    "chi_square_p": NUMBER,
    "looks_like": TEXT,
    "change": TEXT,
    "cause_1": TEXT,
    "cause_2": TEXT,
    "cause_3": TEXT,
    "harm": TEXT,
    "why": TEXT,
    "lasted_ms": WHOLE,
}
_EVIDENCE: Columns = {
    "value": NUMBER,
    "threshold": NUMBER,
    "threshold_origin": TEXT,
    "n": WHOLE,
    "baseline": NUMBER,
    "effect": NUMBER,
    "change_point": TIME,
    "change_point_offset": WHOLE,
    "trace": TEXT,
    **_DETAIL,
    "detail": TEXT,
}
_PLACE: Columns = {"topic": TEXT, "partition": WHOLE, "offset": WHOLE}
_SIGNAL: Columns = {
    "id": TEXT,
    "ts": TIME,
    "model": TEXT,
    "version": TEXT,
    "segment": TEXT,
    "signal": TEXT,
    "detector": TEXT,
    "kind": TEXT,
}
_INCIDENT: Columns = {
    "incident": TEXT,
    "status": TEXT,
    "severity": TEXT,
    "kind": TEXT,
    "model": TEXT,
    "version": TEXT,
    "segment": TEXT,
    "signal": TEXT,
    "opened_ts": TIME,
    "last_ts": TIME,
    "summary": TEXT,
}
_RETRAIN: Columns = {
    "id": TEXT,
    "ts": TIME,
    "model": TEXT,
    "version": TEXT,
    "reason": TEXT,
    "alerts": TEXT,
    "from_ts": TIME,
    "to_ts": TIME,
    "topic": TEXT,
    "partition": WHOLE,
    "from_offset": WHOLE,
    "to_offset": WHOLE,
    "joined": WHOLE,
    "pending": WHOLE,
    "median_delay_ms": WHOLE,
}
_ROLLBACK: Columns = {
    "id": TEXT,
    "ts": TIME,
    "model": TEXT,
    "version": TEXT,
    "to_version": TEXT,
    "reason": TEXT,
    "incidents": TEXT,
}
_MODEL: Columns = {
    "model": TEXT,
    "predictions": WHOLE,
    "incidents": WHOLE,
    "pages": WHOLE,
    "right": WHOLE,
    "allowed": NUMBER,
    "false_pages_per_month": NUMBER,
    "rows_per_false_alarm": NUMBER,
}
_WINDOW: Columns = {
    "id": TEXT,
    "model": TEXT,
    "version": TEXT,
    "segment": TEXT,
    "window_start": TIME,
    "window_end": TIME,
    "revision": WHOLE,
}


def tables(found: Findings) -> list[Table]:
    files = Files(found.where)
    names = _metric_names(files)
    told = [
        Table("models", _MODEL, lambda: _models(found)),
        Table("calendar", {"model": TEXT, "hour": TIME, "pages": WHOLE}, lambda: _calendar(found)),
        Table("incidents", _INCIDENT, lambda: _incidents(files)),
        Table(
            "alerts",
            {
                "incident": TEXT,
                "event": TEXT,
                "severity": TEXT,
                "page": FLAG,
                **_SIGNAL,
                **_EVIDENCE,
                **_PLACE,
                "summary": TEXT,
            },
            lambda: _alerts(files),
        ),
        Table(
            "signals",
            {"disposition": TEXT, **_SIGNAL, **_EVIDENCE, **_PLACE},
            lambda: map(_signal, files.signals()),
        ),
        Table("metrics", {**_WINDOW, **dict.fromkeys(names, NUMBER)}, lambda: _windows(files, names)),
        Table("retrain", _RETRAIN, lambda: _retrains(files)),
        Table("rollback", {**_ROLLBACK, **_EVIDENCE, **_PLACE}, lambda: _rollbacks(files)),
    ]
    if found.whatif is not None:
        told += _whatif_tables(found.whatif)
    if found.truth is not None:
        known: Columns = {"model": TEXT, "starts": TIME, "ends": TIME, "what": TEXT, "first_page": TIME}
        told.append(Table("changes", known, lambda: _changes(found)))
    return told


def _whatif_tables(found: WhatIf) -> list[Table]:
    counted = dict.fromkeys(("retrainings", "labels", "pages", "cured", "rows"), WHOLE)
    costs = {f"cost_of_{part}": NUMBER for part in words.PARTS}
    policies: Columns = {
        "policy": TEXT,
        "kind": TEXT,
        "model": TEXT,
        **counted,
        "loss": NUMBER,
        "above_ms": WHOLE,
        **costs,
        "total": NUMBER,
    }
    asked: Columns = {
        "policy": TEXT,
        "model": TEXT,
        "asked_ts": TIME,
        "deployed_ts": TIME,
        "version": TEXT,
        "labels": WHOLE,
        "reason": TEXT,
    }
    return [
        Table("whatif", policies, lambda: _policies(found)),
        Table("whatif_retrainings", asked, lambda: _retrainings(found)),
    ]


def _policies(found: WhatIf) -> Iterator[Row]:
    for tried in found.policies:
        for model, of in tried.models.items():
            money = money_of({model: of}, found.scenario.costs)
            counts = of.retrainings, of.labels, of.pages, of.cured, of.rows, of.loss, of.above_ms
            yield tried.plan.name, tried.plan.kind, model, *counts, *money.parts, money.total


def _retrainings(found: WhatIf) -> Iterator[Row]:
    for tried in found.policies:
        for step in tried.steps:
            when = step.asked_ts, step.deployed_ts
            yield tried.plan.name, step.model, *when, step.version, step.labels, step.reason


def _metric_names(files: Files) -> list[str]:
    """A column each; the names of what a window itself has are taken."""
    names: dict[str, None] = {}
    for window in files.metrics():
        if len(names) < NAMES_MAX:
            names |= dict.fromkeys(name for name in window.values if name not in _WINDOW)
    return sorted(names)[:NAMES_MAX]


def _models(found: Findings) -> Iterator[Row]:
    for figures in found.all_models:
        budget = figures.budget
        asked = (budget.false_pages_per_month, budget.rows_per_false_alarm) if budget is not None else (None, None)
        right = figures.right if found.truth is not None else None
        yield figures.name, figures.predictions, figures.incidents, figures.pages, right, figures.allowed, *asked


def _calendar(found: Findings) -> Iterator[Row]:
    return ((model, hour * UNIT_MS["h"], pages) for (model, hour), pages in sorted(found.hours.items()))


def _incidents(files: Files) -> Iterator[Row]:
    incidents = Incidents()
    for alert in files.alerts():
        incidents.add(alert)
    for incident in incidents.chosen(Choice(over_too=True)):
        yield tuple(getattr(incident, name) for name in _INCIDENT)


def _alerts(files: Files) -> Iterator[Row]:
    paging = Paging()
    return (_alert(step, paging.calls(step)) for step in files.alerts())


def _alert(step: Alert, page: bool) -> Row:
    return (
        step.incident,
        step.event,
        step.severity,
        page,
        *(getattr(step, name) for name in _SIGNAL),
        *_evidence(step.evidence),
        *_place(step.position),
        step.summary,
    )


def _signal(told: Signal) -> Row:
    return (
        told.disposition,
        *(getattr(told, name) for name in _SIGNAL),
        *_evidence(told.evidence),
        *_place(told.position),
    )


def _evidence(evidence: Evidence) -> Iterator[Any]:
    point, detail = evidence.change_point, evidence.detail
    for name in ("value", "threshold", "threshold_origin", "n", "baseline", "effect"):
        yield getattr(evidence, name)
    yield point.ts if point is not None else None
    yield point.offset if point is not None else None
    yield evidence.trace
    for name, kind in _DETAIL.items():
        yield _of_kind(detail.get(name), kind)
    yield json.dumps(detail, sort_keys=True)


def _of_kind(value: object, kind: str) -> object:
    """What does not belong in its column stands in ``detail`` alone."""
    if kind == TEXT:
        return value if isinstance(value, str) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if kind == WHOLE else float(value)


def _place(position: Position) -> Row:
    return position.topic, position.partition, position.offset


def _windows(files: Files, names: Sequence[str]) -> Iterator[Row]:
    for window in files.metrics():
        values = (window.values.get(name) for name in names)
        yield (
            *(getattr(window, name) for name in _WINDOW),
            *(None if value is None else float(value) for value in values),
        )


def _retrains(files: Files) -> Iterator[Row]:
    for retrain in files.retrains():
        data, labels = retrain.data, retrain.labels
        yield (
            *(retrain.id, retrain.ts, retrain.model, retrain.version, retrain.reason, " ".join(retrain.alerts)),
            *(data.from_ts, data.to_ts, data.topic, data.partition, data.from_offset, data.to_offset),
            *(labels.joined, labels.pending, labels.median_delay_ms),
        )


def _rollbacks(files: Files) -> Iterator[Row]:
    for advice in files.rollbacks():
        about = advice.id, advice.ts, advice.model, advice.version, advice.to_version, advice.reason
        yield *about, " ".join(advice.incidents), *_evidence(advice.evidence), *_place(advice.position)


def _changes(found: Findings) -> Iterator[Row]:
    assert found.truth is not None
    for change, first_page in zip(found.truth.changes, found.truth.found, strict=True):
        yield change.model, change.starts, change.ends, change.what, first_page
