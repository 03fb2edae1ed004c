"""The join said slowly: the whole log, lists that are searched from end to end, no queues."""

from dataclasses import dataclass, field
from typing import NamedTuple

from detectors.join import Fate, JoinCounts


class Entry(NamedTuple):
    """One line of the log. ``fingerprint`` is of a prediction, ``revision`` of an outcome."""

    kind: str  # prediction, outcome, time
    key: str
    time: int
    fingerprint: int = 0
    revision: int = 0


class Told(NamedTuple):
    """What an entry came to: its fate, and the revision of the label that met a prediction by it, or None."""

    fate: Fate | None
    met: int | None


@dataclass
class _Waits:
    key: str
    since: int
    fingerprint: int = 0
    revision: int = -1


@dataclass
class _Room:
    predictions: list[_Waits] = field(default_factory=list)
    outcomes: list[_Waits] = field(default_factory=list)
    closed: list[_Waits] = field(default_factory=list)
    counts: JoinCounts = field(default_factory=JoinCounts)


def batch(log: list[Entry], horizon: int, pending_max: int, early_max: int) -> tuple[list[Told], JoinCounts]:
    room = _Room()
    told = []
    for entry in log:
        _time_passes(room, entry.time, horizon, pending_max)
        if entry.kind == "prediction":
            told.append(_prediction(room, entry, pending_max))
        elif entry.kind == "outcome":
            told.append(_outcome(room, entry, early_max))
        else:
            told.append(Told(None, None))
    return told, room.counts


def _time_passes(room: _Room, now: int, horizon: int, pending_max: int) -> None:
    for waits in [waits for waits in room.predictions if now - waits.since > horizon]:
        _close(room, waits, pending_max)
    orphans = [waits for waits in room.outcomes if now - waits.since > horizon]
    room.counts.orphans += len(orphans)
    room.outcomes = [waits for waits in room.outcomes if waits not in orphans]
    room.closed = [waits for waits in room.closed if now - waits.since <= 2 * horizon]


def _close(room: _Room, waits: _Waits, pending_max: int) -> None:
    room.predictions.remove(waits)
    room.counts.unlabelled += waits.revision < 0
    room.closed = [*room.closed, waits][-pending_max:]


def _find(waiting: list[_Waits], key: str) -> _Waits | None:
    found = [waits for waits in waiting if waits.key == key]
    assert len(found) <= 1
    return found[0] if found else None


def _prediction(room: _Room, entry: Entry, pending_max: int) -> Told:
    known = _find([*room.predictions, *room.closed], entry.key)
    if known is not None:
        return Told(Fate.DUPLICATE if known.fingerprint == entry.fingerprint else Fate.CONFLICT, None)
    if len(room.predictions) == pending_max:
        room.counts.evicted += 1
        _close(room, room.predictions[0], pending_max)
    waits = _Waits(entry.key, entry.time, entry.fingerprint)
    room.predictions.append(waits)
    early = _find(room.outcomes, entry.key)
    if early is None:
        return Told(Fate.APPLIED, None)
    room.outcomes.remove(early)
    waits.revision = early.revision
    room.counts.joined += 1
    return Told(Fate.APPLIED, early.revision)


def _outcome(room: _Room, entry: Entry, early_max: int) -> Told:
    waits = _find(room.predictions, entry.key)
    if waits is None:
        return Told(_outcome_alone(room, entry, early_max), None)
    if entry.revision <= waits.revision:
        return Told(Fate.DUPLICATE, None)
    if waits.revision < 0:
        room.counts.joined += 1
    else:
        room.counts.corrected += 1
    waits.revision = entry.revision
    return Told(Fate.APPLIED, entry.revision)


def _outcome_alone(room: _Room, entry: Entry, early_max: int) -> Fate:
    if _find(room.closed, entry.key) is not None:
        return Fate.LATE
    early = _find(room.outcomes, entry.key)
    if early is not None and entry.revision <= early.revision:
        return Fate.DUPLICATE
    if early is not None:
        early.revision = entry.revision
        return Fate.APPLIED
    if len(room.outcomes) == early_max:
        room.outcomes.pop(0)
        room.counts.early_evicted += 1
    room.outcomes.append(_Waits(entry.key, entry.time, revision=entry.revision))
    return Fate.APPLIED
