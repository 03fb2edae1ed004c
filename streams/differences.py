"""What two histories of the same models told: incidents and advice in one and not in the other, or told otherwise.

An incident of one is the other's where it has the same id; else where both share a signal and a time at which both were
on. Incidents about the monitor itself are left out: a replay cannot know what befell a live run.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import NamedTuple, TypeVar

import msgspec

from schemas.codec import encode
from schemas.events import Alert, AlertEvent, Kind, Retrain, Rollback, Severity, event_type
from streams.errors import UsageError
from streams.incidents import RANK

_ENDS = frozenset({AlertEvent.RESOLVED, AlertEvent.RETRACTED})
_FOR_EVER = 1 << 62


EVENTS_MAX = 200_000  # of one side, at 1 to 2 KiB each: more than a budget of pages gives in years
E = TypeVar("E")


class How(StrEnum):
    """In what two that belong together differ, or which of them is missing."""

    ONLY_IN_A = "only_in_a"
    ONLY_IN_B = "only_in_b"
    EARLIER = "earlier"  # in B
    LATER = "later"
    SEVERITY = "other_severity"
    DETAILS = "other_details"  # told at the same time, with other numbers or words, or other steps after it


class Side(NamedTuple):
    """What one of them told. Of repeats of an id the first counts."""

    alerts: Sequence[Alert]
    advice: Sequence[Retrain | Rollback]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a difference."""

    id: str  # the incident's, or the retrain event's
    ts: int  # when it was first told, in stream time
    severity: Severity | None  # the worst that it came to
    summary: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    what: str  # "incident", "retrain" or "rollback"
    how: list[How]
    model: str
    version: str | None
    segment: str | None
    signal: str | None
    a: Told | None
    b: Told | None

    @property
    def ts(self) -> int:
        return min(told.ts for told in (self.a, self.b) if told is not None)


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    incidents: tuple[int, int]  # how many there are in A and in B
    advice: tuple[int, int]  # retrain and rollback events
    differences: list[Difference]


class _Trouble(NamedTuple):
    """An incident, a retrain or a rollback. Its life is when it was on."""

    what: str
    told: Told
    whose: tuple[str, str | None, str | None]
    signal: str | None
    signals: frozenset[str]
    life: tuple[int, int]
    content: bytes


def compare(a: Side, b: Side) -> Differences:
    incidents = list(_incidents(a.alerts)), list(_incidents(b.alerts))
    advice = list(_advice(a.advice)), list(_advice(b.advice))
    found = [*_compared(*incidents), *_compared(*advice)]
    return Differences(
        incidents=(len(incidents[0]), len(incidents[1])),
        advice=(len(advice[0]), len(advice[1])),
        differences=sorted(found, key=lambda difference: difference.ts),
    )


def _incidents(alerts: Sequence[Alert]) -> Iterator[_Trouble]:
    steps: dict[str, dict[str, Alert]] = {}
    for alert in alerts:
        if alert.kind is not Kind.SYSTEM:
            steps.setdefault(alert.incident, {}).setdefault(alert.id, alert)
    for incident, by_id in steps.items():
        told = list(by_id.values())
        first, last = told[0], told[-1]
        began = [alert.evidence.change_point.ts for alert in told if alert.evidence.change_point is not None]
        worst = max((alert.severity for alert in told), key=RANK.__getitem__)
        yield _Trouble(
            "incident",
            Told(id=incident, ts=first.ts, severity=worst, summary=first.summary),
            (first.model, first.version, first.segment),
            first.signal,
            frozenset(name for alert in told for name in _signals(alert)),
            (min([first.ts, *began]), last.ts if last.event in _ENDS else _FOR_EVER),
            b"\n".join(map(encode, told)),
        )


def _signals(alert: Alert) -> Iterator[str]:
    """The one that it is about, and those of its incident that it names."""
    yield alert.signal
    yield from (str(value) for name, value in alert.evidence.detail.items() if name.startswith("signal_"))


def _advice(events: Sequence[Retrain | Rollback]) -> Iterator[_Trouble]:
    for event in {event.id: event for event in reversed(events)}.values():
        yield _Trouble(
            event_type(type(event)),
            Told(id=event.id, ts=event.ts, severity=None, summary=event.reason),
            (event.model, event.version, None),
            None,
            frozenset({f"{event_type(type(event))}: {event.reason}"}),
            (event.data.from_ts if isinstance(event, Retrain) else event.ts, event.ts),
            encode(event),
        )


def _compared(ours: Sequence[_Trouble], theirs: Sequence[_Trouble]) -> Iterator[Difference]:
    for one, other in _pairs(ours, theirs):
        how = _how(one, other)
        shown = one or other
        if how and shown is not None:
            model, version, segment = shown.whose
            yield Difference(
                what=shown.what,
                how=how,
                model=model,
                version=version,
                segment=segment,
                signal=shown.signal,
                a=one.told if one is not None else None,
                b=other.told if other is not None else None,
            )


def _pairs(ours: Sequence[_Trouble], theirs: Sequence[_Trouble]) -> Iterator[tuple[_Trouble | None, _Trouble | None]]:
    """Each is in one pair."""
    left = {other.told.id: other for other in theirs}
    unknown: list[_Trouble] = []
    for one in ours:
        same = left.pop(one.told.id, None)
        if same is not None:
            yield one, same
        else:
            unknown.append(one)
    by_whose: dict[tuple[str | None, ...], list[_Trouble]] = {}
    for other in left.values():
        by_whose.setdefault(other.whose, []).append(other)
    for one in sorted(unknown, key=lambda trouble: trouble.told.ts):
        others = by_whose.get(one.whose, [])
        like = [other for other in others if _alike(one, other)]
        nearest = min(like, key=lambda other: abs(other.told.ts - one.told.ts), default=None)
        if nearest is not None:
            others.remove(nearest)
        yield one, nearest
    yield from ((None, other) for others in by_whose.values() for other in others)


def _alike(one: _Trouble, other: _Trouble) -> bool:
    (from_ts, to_ts), (other_from_ts, other_to_ts) = one.life, other.life
    return from_ts <= other_to_ts and other_from_ts <= to_ts and not one.signals.isdisjoint(other.signals)


def _how(one: _Trouble | None, other: _Trouble | None) -> list[How]:
    if one is None or other is None:
        return [How.ONLY_IN_A if other is None else How.ONLY_IN_B]
    how: list[How] = []
    if one.told.ts != other.told.ts:
        how.append(How.EARLIER if other.told.ts < one.told.ts else How.LATER)
    if one.told.severity is not other.told.severity:
        how.append(How.SEVERITY)
    return how or ([How.DETAILS] if one.content != other.content else [])


def within(side: Side, since: int | None, until: int | None) -> Side:
    """What was told in a part of the stream's time."""
    low, high = since or 0, _FOR_EVER if until is None else until
    return Side(
        [alert for alert in side.alerts if low <= alert.ts < high],
        [event for event in side.advice if low <= event.ts < high],
    )


def bounded(events: Iterable[E], where: str) -> list[E]:
    """All of them, unless they are too many to be held beside each other."""
    held = list(islice(events, EVENTS_MAX + 1))
    if len(held) > EVENTS_MAX:
        raise UsageError(f"holds more than {EVENTS_MAX:,} events", where=where, advice="compare shorter histories")
    return held
