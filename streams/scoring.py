"""Alarms held against what is known to have changed: found, how late, missed, false. Pure: values in, values out.

One alarm a change counts, the first that is about it. Others while it lasts, and for a while after, neither help nor
hurt: windows still hold its values. An alarm elsewhere is false.
"""

import statistics
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from detectors.lifecycle import Disposition
from schemas.events import Alert, AlertEvent, Outcome, Prediction, Role, Signal
from schemas.times import UNIT_MS
from streams.truth import Change

ECHO_MS, ECHO_ROWS = UNIT_MS["h"], 1_000  # after a change has ended; whichever lasts longer
ALWAYS_EVERY = 100  # rows between the alarms of the detector that always fires
_OPENS = frozenset({AlertEvent.OPENED, AlertEvent.REOPENED})
_FOR_EVER = 1 << 62


class Alarm(NamedTuple):
    """``opens``: somebody is called. An alarm that joins an incident finds a change and is never false."""

    model: str
    ts: int
    signal: str | None  # None: about anything
    segment: str | None = None
    opens: bool = True


class Times:
    """Of one model: when its predictions were made and its labels came, in order."""

    def __init__(self) -> None:
        self.made, self.labelled = array("q"), array("q")

    def rows(self, since: int, until: int) -> int:
        return _between(self.made, since, until)

    def labels(self, since: int, until: int) -> int:
        return _between(self.labelled, since, until)


def note(times: dict[str, Times], event: object, time: int) -> None:
    """As the history goes by. What is neither of a model's own predictions nor a label moves nothing."""
    if isinstance(event, Prediction) and event.role is Role.CHAMPION:
        times.setdefault(event.model, Times()).made.append(time)
    elif isinstance(event, Outcome):
        times.setdefault(event.model, Times()).labelled.append(time)


class Find(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one change on one model; ``None`` where it was missed."""

    change: Change
    model: str
    signal: str | None = None
    delay_ms: int | None = None
    delay_rows: int | None = None
    labels: int | None = None  # that had come by then since it began


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Delays are medians over what was found; ``None`` where there is none."""

    found: int
    missed: int
    false: int
    f1: float
    delay_ms: float | None
    delay_rows: float | None
    labels: float | None
    rows_per_false_alarm: float | None  # None: no alarm was false in so many rows as there are
    days_per_false_alarm: float | None
    rows: int  # while nothing had changed
    days: float
    finds: list[Find]


def of_results(alerts: Iterable[Alert], signals: Iterable[Signal]) -> list[Alarm]:
    """What a replay told: each signal of an incident where it is told first, and where it joined without a word."""
    alarms = [
        Alarm(alert.model, alert.ts, alert.signal, alert.segment, opens=alert.event in _OPENS)
        for alert in first_told(alerts)
    ]
    joined = (one for one in signals if one.disposition == Disposition.GROUPED)
    alarms += [Alarm(one.model, one.ts, one.signal, one.segment, opens=False) for one in joined]
    return sorted(alarms, key=lambda alarm: alarm.ts)


def first_told(alerts: Iterable[Alert]) -> Iterator[Alert]:
    """Each signal of an incident where it is told first, and again where the incident has opened again."""
    known: set[tuple[str, str | None, str]] = set()
    for alert in alerts:
        name = (alert.incident, alert.segment, alert.signal)
        if name not in known or alert.event in _OPENS:
            known.add(name)
            yield alert


def always(times: Mapping[str, Times]) -> list[Alarm]:
    """What is not better than this has seen nothing."""
    alarms = [Alarm(model, ts, None) for model, own in times.items() for ts in own.made[::ALWAYS_EVERY]]
    return sorted(alarms, key=lambda alarm: alarm.ts)


def score(changes: Sequence[Change], alarms: Sequence[Alarm], times: Mapping[str, Times]) -> Score:
    """``alarms`` in order of time."""
    finds = [find for change in changes for find in _finds(change, alarms, times)]
    episodes = {model: _merged(_episodes(changes, model, own)) for model, own in times.items()}
    false = sum(alarm.opens and not _inside(episodes.get(alarm.model, ()), alarm.ts) for alarm in alarms)
    rows, spent_ms = 0, 0
    for model, own in times.items():
        quiet = _quiet(episodes[model], own)
        rows += sum(own.rows(since, until - 1) for since, until in quiet)
        spent_ms += sum(until - since for since, until in quiet)
    return scored(finds, false, rows, spent_ms / UNIT_MS["d"])


def together(scores: Sequence[Score]) -> Score:
    """Of several replays as of one: counts add up, and medians are over all that was found."""
    finds = [find for one in scores for find in one.finds]
    false, rows = sum(one.false for one in scores), sum(one.rows for one in scores)
    return scored(finds, false, rows, sum(one.days for one in scores))


def scored(finds: list[Find], false: int = 0, rows: int = 0, days: float = 0.0) -> Score:
    hits = [find for find in finds if find.delay_ms is not None]
    found, missed = len(hits), len(finds) - len(hits)
    return Score(
        found=found,
        missed=missed,
        false=false,
        f1=f1(found, missed, false),
        delay_ms=_median(find.delay_ms for find in hits),
        delay_rows=_median(find.delay_rows for find in hits),
        labels=_median(find.labels for find in hits),
        rows_per_false_alarm=round(rows / false, 1) if false else None,
        days_per_false_alarm=round(days / false, 3) if false else None,
        rows=rows,
        days=days,
        finds=finds,
    )


def f1(found: int, missed: int, false: int) -> float:
    """Of episodes; nothing to find, and nothing told, is as good as it gets."""
    return round(2 * found / (2 * found + missed + false), 3) if found or missed or false else 1.0


def _finds(change: Change, alarms: Sequence[Alarm], times: Mapping[str, Times]) -> Iterator[Find]:
    """Of every model that the change is of."""
    ends = _FOR_EVER if change.ends_ms is None else change.ends_ms
    for model in filter(change.is_of, times):
        of_model = (alarm for alarm in alarms if alarm.model == model and change.starts_ms <= alarm.ts < ends)
        about = (alarm for alarm in of_model if alarm.signal is None or change.shows_in(alarm.signal, alarm.segment))
        first = next(about, None)
        if first is None:
            yield Find(change=change, model=model)
            continue
        yield Find(
            change=change,
            model=model,
            signal=first.signal,
            delay_ms=first.ts - change.starts_ms,
            delay_rows=times[model].rows(change.starts_ms, first.ts),
            labels=times[model].labels(change.starts_ms, first.ts),
        )


def _episodes(changes: Sequence[Change], model: str, times: Times) -> Iterator[tuple[int, int]]:
    """When an alarm is not false."""
    for change in changes:
        if not change.is_of(model):
            continue
        if change.ends_ms is None:
            yield change.starts_ms, _FOR_EVER
            continue
        last = bisect_left(times.made, change.ends_ms) + ECHO_ROWS
        by_rows = times.made[last] if last < len(times.made) else _FOR_EVER
        yield change.starts_ms, max(change.ends_ms + ECHO_MS, by_rows)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for since, until in sorted(spans):
        if merged and since <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(until, merged[-1][1]))
        else:
            merged.append((since, until))
    return merged


def _quiet(episodes: Sequence[tuple[int, int]], times: Times) -> list[tuple[int, int]]:
    """What of the model's time lies in none of them."""
    if not times.made:
        return []
    quiet, at, end = [], times.made[0], times.made[-1] + 1
    for since, until in episodes:
        if at < min(since, end):
            quiet.append((at, min(since, end)))
        at = max(at, until)
    return [*quiet, (at, end)] if at < end else quiet


def _inside(spans: Sequence[tuple[int, int]], ts: int) -> bool:
    return any(since <= ts < until for since, until in spans)


def _between(times: "array[int]", since: int, until: int) -> int:
    return bisect_right(times, until) - bisect_left(times, since) if until >= since else 0


def _median(values: Iterable[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 1) if known else None
