"""The numbers behind the figures, as JSON that lies in the page and can be nothing but data."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from schemas.events import EVERY_MODEL
from schemas.times import UNIT_MS
from streams.findings.collect import Findings, Model
from streams.findings.courses import Course, Point
from streams.findings.series import Grid
from streams.findings.stories import Story
from streams.page.markup import NAME_CHARACTERS_MAX, Html, cut, safe, tag
from streams.text import printable

CALENDAR_ROWS_MAX = 60  # models with a row of their own; the others share one
CALENDAR_CELLS_MAX = 100  # columns: days, and where there are more, weeks and so on
TIMELINE_ROWS_MAX = 60
CHANGES_MAX = 500  # known ones that are marked
DEPLOYS_MAX = 50  # of one model
OTHERS_MAX = 6  # metrics that this page knows no place for, drawn one by one
_DIGITS = 5  # more than any eye sees in a figure
_PLACED = {
    "predictions": "predictions",
    "joined": "joined",
    "pending": "pending",
    "loss": "loss_mean",
    "log_loss": "log_loss_mean",
    "latency": "latency_ms_mean",
    "latency_max": "latency_ms_max",
}
# Shown in words and tables, or of no use as a line.
_UNDRAWN = frozenset({"corrected", "cost_sum", "orphans_total", "evicted_total", "unlabelled_total"})
_ANCHOR = re.compile(r"[A-Za-z0-9_-]{1,64}")


def block(name: str, content: Any) -> Html:
    """Within it ``<`` cannot stand, so nothing in it ends it."""
    written = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return tag("script", safe(written), type="application/json", id=name)


def anchor(story: Story, number: int) -> str:
    """By the incident's id, so that a link to it stays good in another report."""
    return f"i-{story.incident}" if _ANCHOR.fullmatch(story.incident) else f"i-no-{number}"


def anchors(stories: Iterable[Story]) -> dict[str, str]:
    return {story.incident: anchor(story, number) for number, story in enumerate(stories)}


def fleet(found: Findings, names: Mapping[str, str], links: Mapping[str, str]) -> dict[str, Any]:
    """What the calendar, the budget and the timeline of all models are drawn from. ``names``: each model's section."""
    rows = [model.figures.name for model in found.models[:TIMELINE_ROWS_MAX]]
    row_of = {name: row for row, name in enumerate(rows)}
    return {
        "from": found.from_ts,
        "to": found.to_ts,
        "rows": [{"name": label(name), "section": names[name]} for name in rows],
        "incidents": [
            [row_of[story.model], *_incident(story, links)] for story in found.stories if story.model in row_of
        ],
        "deploys": [
            [row_of[model.figures.name], deploy.ts, label(deploy.version)]
            for model in found.models
            if model.figures.name in row_of
            for deploy in model.deploys[:DEPLOYS_MAX]
        ],
        "changes": _changes(found, lambda name: row_of.get(name, -1 if name == EVERY_MODEL else None)),
        "calendar": calendar(found),
        "budget": cumulated(found),
    }


def _incident(story: Story, links: Mapping[str, str]) -> list[Any]:
    signals = ", ".join(list(story.signals)[:3])
    return [story.opened_ts, story.over_ts, story.severity.value, links[story.incident], label(signals), story.pages]


def _changes(found: Findings, row: Callable[[str], int | None]) -> list[list[Any]]:
    """Those that lie on the page, cut to it."""
    if found.truth is None:
        return []
    told = []
    for change, first_page in zip(found.truth.changes, found.truth.found, strict=True):
        place, ends = row(change.model), found.to_ts if change.ends is None else min(change.ends, found.to_ts)
        if place is not None and change.starts <= found.to_ts and ends >= found.from_ts:
            told.append([place, max(change.starts, found.from_ts), ends, label(change.what), first_page is not None])
    return told[:CHANGES_MAX]


def calendar(found: Findings) -> dict[str, Any]:
    """Pages by model and day; by the hour where the time is short, by more days together where it is long."""
    day, hours = UNIT_MS["d"] // UNIT_MS["h"], _hours(found.from_ts, found.to_ts)
    first = found.from_ts // UNIT_MS["d"] * day if hours >= day else found.from_ts // UNIT_MS["h"]
    rows = [figures.name for figures in found.all_models[:CALENDAR_ROWS_MAX]]
    row_of = {name: row for row, name in enumerate(rows)}
    cells: dict[tuple[int, int], int] = {}
    others = len(rows)
    for (model, hour), pages in found.hours.items():
        cell = ((hour - first) // hours, row_of.get(model, others))
        cells[cell] = cells.get(cell, 0) + pages
    names = [label(name) for name in rows]
    if any(row == others for _, row in cells):
        names.append("others")
    return {
        "first": first * UNIT_MS["h"],
        "hours": hours,
        "columns": (found.to_ts // UNIT_MS["h"] - first) // hours + 1,
        "rows": names,
        "cells": [[column, row, pages] for (column, row), pages in sorted(cells.items())],
    }


def _hours(from_ts: int, to_ts: int) -> int:
    """Of one column: an hour, a day, a week, four weeks, years."""
    for hours in (1, 24, 168, 672):
        if (to_ts - from_ts) // (hours * UNIT_MS["h"]) < CALENDAR_CELLS_MAX - 1:
            return hours
    return -(-(to_ts - from_ts) // (CALENDAR_CELLS_MAX * UNIT_MS["w"])) * 168


def cumulated(found: Findings) -> dict[str, Any]:
    """Pages so far at the end of each stretch, and what the budget bears by then."""
    return {
        "first": found.grid.first,
        "step": found.grid.step,
        "pages": _so_far(found.page_times, found.grid),
        "false": _so_far(found.false_times, found.grid) if found.truth is not None else None,
        "allowed": short(found.allowed),
    }


def _so_far(times: Sequence[int], grid: Grid) -> list[int]:
    counts = [0] * grid.size
    for ts in times:
        counts[grid.place(ts)] += 1
    total, so_far = 0, []
    for count in counts:
        total += count
        so_far.append(total)
    return so_far


def of_model(model: Model, found: Findings, links: Mapping[str, str]) -> dict[str, Any]:
    series, name = model.series, model.figures.name
    others = [each for each in series.names if each not in _PLACED.values() and each not in _UNDRAWN]
    return {
        "name": label(name),
        "first": series.grid.first,
        "step": series.grid.step,
        "count": series.grid.size,
        **{key: _numbers(series.of(metric)) for key, metric in _PLACED.items() if series.has(metric)},
        "others": {label(each): _numbers(series.of(each)) for each in others[:OTHERS_MAX] if series.has(each)},
        "statistics": {
            label(detector): [
                [each.ts, short(each.times), label(each.signal), label(each.disposition)] for each in told
            ]
            for detector, told in model.courses.statistics.items()
        },
        "signals": [_course(course) for course in model.courses.drawn],
        "incidents": [_incident(story, links) for story in found.stories if story.model == name],
        "deploys": [[deploy.ts, label(deploy.version)] for deploy in model.deploys[:DEPLOYS_MAX]],
        "changes": [each[1:] for each in _changes(found, lambda whose: 0 if whose in (name, EVERY_MODEL) else None)],
    }


def _course(course: Course) -> dict[str, Any]:
    return {"signal": label(course.signal), "points": [_point(point) for point in course.points]}


def _point(point: Point) -> list[Any]:
    low, high = interval(point)
    return [
        point.ts,
        point.since,
        *map(short, (point.baseline, point.after, low, high)),
        label(point.detector),
        label(point.disposition),
    ]


def interval(point: Point) -> tuple[float | None, float | None]:
    """Between which values the mean lies since the change, in the unit of the signal."""
    if point.baseline is None or point.after is None or not point.effect or point.low is None or point.high is None:
        return None, None
    unit = (point.after - point.baseline) / point.effect
    low, high = sorted((point.baseline + point.low * unit, point.baseline + point.high * unit))
    return low, high


def label(text: str) -> str:
    return cut(printable(text), NAME_CHARACTERS_MAX)


def short(value: float | None) -> float | int | None:
    """No more digits than can be seen."""
    if value is None:
        return None
    rounded = float(f"{value:.{_DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _numbers(values: Iterable[float | None]) -> list[float | int | None]:
    return [short(value) for value in values]
