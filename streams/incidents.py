"""Alerts put together to incidents: which there are, how each stands, and one's whole story. In bounded memory."""

from collections.abc import Collection, Mapping
from enum import StrEnum

import msgspec

from schemas.events import Alert, AlertEvent, Kind, Severity
from streams.errors import UsageError

INCIDENTS_MAX = 10_000  # kept at once, of ~1 KiB; a person reads some dozens, a script pages by --since and --model
STEPS_MAX = 500  # of one incident: its first one, and the newest
TEXT_CHARACTERS_MAX = 1_000  # of each text that is kept; what the monitor writes is far shorter
NAMED_MAX = 5  # incidents that are named where the beginning of an id fits several

RANK = {severity: rank for rank, severity in enumerate(Severity)}  # the worst has the highest


class Status(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    RETRACTED = "retracted"


OVER = frozenset({Status.RESOLVED, Status.RETRACTED})

# How an incident stands after a step; None leaves it as it was.
AFTER: Mapping[AlertEvent, Status | None] = {
    AlertEvent.OPENED: Status.OPEN,
    AlertEvent.UPDATED: None,
    AlertEvent.ESCALATED: None,
    AlertEvent.ACKNOWLEDGED: Status.ACKNOWLEDGED,
    AlertEvent.MUTED: None,
    AlertEvent.UNMUTED: None,
    AlertEvent.RESOLVED: Status.RESOLVED,
    AlertEvent.REOPENED: Status.OPEN,
    AlertEvent.AMENDED: None,
    AlertEvent.RETRACTED: Status.RETRACTED,
}
# Their summaries say what somebody did, not what the incident is about.
SAYS_WHO = frozenset(
    {AlertEvent.ACKNOWLEDGED, AlertEvent.MUTED, AlertEvent.UNMUTED, AlertEvent.RESOLVED, AlertEvent.RETRACTED}
)


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """How an incident stands."""

    incident: str
    status: Status
    severity: Severity
    kind: Kind
    model: str
    version: str | None
    segment: str | None
    signal: str
    opened_ts: int  # of the first step that was read
    last_ts: int
    summary: str


class Choice(msgspec.Struct, frozen=True):
    """Which incidents are meant; what is ``None`` excludes none."""

    over_too: bool = False
    model: str | None = None
    severity: Severity | None = None  # this one or a worse one
    since: int | None = None  # their last step was then or later

    def might_include(self, alert: Alert) -> bool:
        """By what does not change in an incident's life."""
        return self.model in (None, alert.model)

    def includes(self, incident: Incident) -> bool:
        return (
            (self.over_too or incident.status not in OVER)
            and (self.severity is None or RANK[incident.severity] >= RANK[self.severity])
            and (self.since is None or incident.last_ts >= self.since)
        )


def severe(alert: Alert, least: Severity | None) -> bool:
    return least is None or RANK[alert.severity] >= RANK[least]


class Incidents:
    """Takes the steps of each incident in their order. Where there are too many, those that are over go first."""

    def __init__(self, most: int = INCIDENTS_MAX) -> None:
        self.left_out = 0
        self._most = most
        self._open: dict[str, Incident] = {}
        self._over: dict[str, Incident] = {}

    def add(self, alert: Alert) -> None:
        before = self._open.pop(alert.incident, None) or self._over.pop(alert.incident, None)
        incident = _after(before, alert)
        (self._over if incident.status in OVER else self._open)[alert.incident] = incident
        if len(self._open) + len(self._over) > self._most:
            among = self._over or self._open
            del among[next(iter(among))]  # the one whose last step was read first
            self.left_out += 1

    def chosen(self, choice: Choice) -> list[Incident]:
        """The oldest first."""
        found = filter(choice.includes, (*self._open.values(), *self._over.values()))
        return sorted(found, key=lambda incident: (incident.opened_ts, incident.incident))


def _after(before: Incident | None, alert: Alert) -> Incident:
    status = AFTER[alert.event] or (before.status if before is not None else Status.OPEN)
    if before is None:
        return Incident(
            incident=alert.incident,
            status=status,
            severity=alert.severity,
            kind=alert.kind,
            model=_cut(alert.model),
            version=_cut(alert.version) if alert.version is not None else None,
            segment=_cut(alert.segment) if alert.segment is not None else None,
            signal=_cut(alert.signal),
            opened_ts=alert.ts,
            last_ts=alert.ts,
            summary=_cut(alert.summary),
        )
    summary = before.summary if alert.event in SAYS_WHO else _cut(alert.summary)
    return msgspec.structs.replace(before, status=status, severity=alert.severity, last_ts=alert.ts, summary=summary)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS_MAX else text[: TEXT_CHARACTERS_MAX - 1] + "…"


def several(beginning: str, incidents: Collection[str]) -> UsageError:
    """Which of them is meant cannot be told."""
    some = ", ".join(sorted(incidents)[:NAMED_MAX])
    return UsageError(f"several incidents begin so: {some}", where=beginning, advice="give more of it")


class Story:
    """Every step of the one incident whose id begins so, each once."""

    def __init__(self, beginning: str, most: int = STEPS_MAX) -> None:
        self.left_out = 0
        self._beginning = beginning
        self._most = most
        self._steps: dict[str, Alert] = {}  # by id
        self._named: set[str] = set()

    def add(self, alert: Alert) -> None:
        if not alert.incident.startswith(self._beginning):
            return
        if len(self._named) <= NAMED_MAX:
            self._named.add(alert.incident)
        if len(self._named) > 1 and self._beginning not in self._named:
            return  # nothing will be shown but their ids
        self._steps[alert.id] = alert
        if len(self._steps) > self._most:
            ids = iter(self._steps)
            next(ids)
            del self._steps[next(ids)]
            self.left_out += 1

    def steps(self) -> list[Alert]:
        """In order; raises ``UsageError`` where there is none, or several incidents."""
        if not self._named:
            advice = "driftline incidents list --all shows those that there are"
            raise UsageError("there is no such incident", where=self._beginning, advice=advice)
        if self._beginning in self._named:
            return [alert for alert in self._steps.values() if alert.incident == self._beginning]
        if len(self._named) > 1:
            raise several(self._beginning, self._named)
        return list(self._steps.values())
