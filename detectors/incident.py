"""One incident: alarms of one cause, from the first of them until nothing of it is on any more.

``TRANSITIONS`` is all that can become of it. Whatever asks for another step gets ``IllegalStepError``, and nothing has
changed then.
"""

from collections.abc import Container, Mapping
from enum import StrEnum

import msgspec

from detectors.causes import EXPLAINED, NEAR_MS, OF_INPUTS, Dated
from detectors.effects import derived_id, place
from detectors.lifecycle import Alarm, Closing
from detectors.moment import Moment
from detectors.reports import ScopeKey, Told
from schemas.events import Alert, AlertEvent, JsonScalar, Kind, Severity, Verdict
from schemas.times import UNIT_MS

SEEN_MAX = 1_000  # signals of which is remembered that they were part of it: as many as a wide model has features
NAMED_MAX = 5  # of them that an alert names
APART_MS = 10 * UNIT_MS["m"]  # from the first change of an incident to another of the same time, by the likeliest dates
HOLD_MAX_MS = UNIT_MS["d"]  # what comes and goes must be gone for so long at most before it is over


class Stands(StrEnum):
    """How an incident stands."""

    WAITING = "waiting"  # for having lasted long enough; nobody has been told
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    RETRACTED = "retracted"


_OPEN = (Stands.OPEN, Stands.ACKNOWLEDGED)
# What leaves an open incident as it stands.
_STAYS = (AlertEvent.UPDATED, AlertEvent.AMENDED, AlertEvent.MUTED, AlertEvent.UNMUTED)

TRANSITIONS: Mapping[tuple[Stands, AlertEvent], Stands] = {
    (Stands.WAITING, AlertEvent.OPENED): Stands.OPEN,
    **{(stands, event): stands for stands in _OPEN for event in _STAYS},
    **{(stands, AlertEvent.ACKNOWLEDGED): Stands.ACKNOWLEDGED for stands in _OPEN},
    **{(stands, AlertEvent.ESCALATED): Stands.OPEN for stands in _OPEN},  # what was acknowledged was less than this
    **{(stands, AlertEvent.RESOLVED): Stands.RESOLVED for stands in _OPEN},
    **{(stands, AlertEvent.RETRACTED): Stands.RETRACTED for stands in (*_OPEN, Stands.RESOLVED)},
    (Stands.RESOLVED, AlertEvent.REOPENED): Stands.OPEN,
}


class IllegalStepError(ValueError):
    """An incident that stands like this cannot take this step."""


class Incident(msgspec.Struct, array_like=True):
    """``told`` is what is shown of it: the worst of its signals, of two the one that came first."""

    id: str
    stands: Stands
    severity: Severity
    opened_ts: int  # when its first alarm opened
    told: Told
    dated: Dated  # when its changes began, ``at`` being that of its first
    on: dict[str, None] = {}  # alarms that are on, by id: a version that is deployed anew may have two of one name
    seen: dict[str, str] = {}  # signals that were part of it, by name of their alarm, in words
    kinds: list[Kind] = []
    alert_id: str = ""  # of the alert that opened it
    steps: int = 0  # that were told
    next_told: int = 2  # so many signals are news again
    reopened: int = 0  # how often
    quiet_since: int | None = None  # nothing is on, but what has come again before may do so once more
    muted: bool = False
    muted_until: int | None = None
    ended: int = 0
    why: Closing | None = None
    verdict: Verdict | None = None
    tried: tuple[str, str] | None = None  # the last version that was to end it, and what labels say of it
    width: int = 0  # within which its first change began
    real: bool = False  # an alarm of it has ended that corrected labels have not taken back

    @property
    def open(self) -> bool:
        """Whether people were told of it, and not of its end."""
        return self.stands in _OPEN

    def take(self, step: AlertEvent) -> None:
        after = TRANSITIONS.get((self.stands, step))
        if after is None:
            raise IllegalStepError(f"incident {self.id} is {self.stands}: it cannot be {step}")
        self.stands = after

    def of_one_cause(self, other: ScopeKey, kind: Kind, dated: Dated) -> bool:
        """Whether an alarm has what this incident came from.

        It is of the same version, and its change began at the same time, as far as both can be dated; or an input's
        change explains what came of it; or both are what came of it, such as a loss and the labels. In which segment
        does not matter: two causes in one minute are rarer than one.
        """
        own = self.told.key
        if own.challenger is not other.challenger:
            return False
        if own.version != other.version and None not in (own.version, other.version):
            return False
        # What joins makes the interval wider; that must not lead from one change to the next and on.
        near = abs(dated.at - self.dated.at) <= max(APART_MS, self.width, dated.high - dated.low)
        if near and dated.low - NEAR_MS <= self.dated.high and self.dated.low - NEAR_MS <= dated.high:
            return True
        follows, precedes = dated.may_follow(self.dated), self.dated.may_follow(dated)
        if kind in EXPLAINED:
            of_inputs, of_answers = self._has(OF_INPUTS), self._has(EXPLAINED)
            return (of_inputs and follows) or (of_answers and (follows or precedes))
        return kind in OF_INPUTS and self._has(EXPLAINED) and precedes

    def _has(self, kinds: Container[Kind]) -> bool:
        return any(kind in kinds for kind in self.kinds)

    def join(self, told: Told, alarm: Alarm, dated: Dated) -> None:
        name, kind = told.name, alarm.kind
        if self.on:
            dated = Dated(min(self.dated.low, dated.low), self.dated.at, max(self.dated.high, dated.high))
        else:  # what has come back began anew, and not where it did at first
            self.width = dated.high - dated.low
        self.dated = dated
        self.on[alarm.id] = None
        self.quiet_since = None
        if kind not in self.kinds:
            self.kinds.append(kind)
        if name not in self.seen and len(self.seen) < SEEN_MAX:
            self.seen[name] = told.words

    def hold_ms(self, grace_ms: int) -> int:
        """For how long nothing may be on before it is over: longer each time that it has come again."""
        return 0 if not self.reopened else min(grace_ms << min(self.reopened - 1, 16), HOLD_MAX_MS)

    @property
    def signals(self) -> dict[str, JsonScalar]:
        """How many signals it is made of, and some of them, where there are several."""
        if len(self.seen) < 2:
            return {}
        some = list(self.seen.values())[:NAMED_MAX]
        return {"signals": len(self.seen)} | {f"signal_{number}": words for number, words in enumerate(some, 1)}


def dated(told: Told, alarm: Alarm) -> Dated:
    """When the change began that an alarm is about, with all doubt about it."""
    change, opened, detail = told.evidence.change_point, alarm.opened_ts, told.evidence.detail
    if change is None:
        minutes = detail.get("window_minutes")
        return Dated(opened - (minutes * UNIT_MS["m"] if isinstance(minutes, int) else 0), opened, opened)
    if "change_point_high" in detail:
        return Dated.of(change, told.evidence)
    return Dated(change.ts - max(0, opened - change.ts), change.ts, max(opened, change.ts))


def of_incident(moment: Moment, told: Told, incident: Incident, event: AlertEvent, summary: str) -> Alert:
    """A step of it, as it stands; one record may decide several."""
    return Alert(
        id=derived_id(incident.id, event, incident.steps, *place(moment.position)),
        incident=incident.id,
        event=event,
        severity=incident.severity,
        kind=told.kind,
        model=told.key.model,
        version=told.key.version,
        segment=told.key.segment,
        signal=told.signal,
        detector=told.detector,
        ts=moment.now,
        evidence=told.evidence,
        position=moment.position,
        summary=summary,
    )
