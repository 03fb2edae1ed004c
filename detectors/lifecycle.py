"""From findings to alerts: one alarm a cause, until it is over.

A signal is in one of three states, and this is all that moves it::

    quiet ──── finding, large and certain ───────────────► open
    quiet ──── finding, not yet so ──► suspect ──── recent rows confirm ──► open
    suspect ── recent rows are normal again ──► quiet
    open ───── recent rows are normal again, or an operator or a deployment says so ──► quiet
"""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from detectors.baseline import BLOCK
from detectors.effects import derived_id
from detectors.encoding import Column
from detectors.group import HISTORY, Found, Group
from schemas.events import ChangePoint, Evidence, Kind, Position, Severity

# Smaller changes are real and not worth a page. Of a value: baseline standard deviations; of a rate: the difference.
VALUE_FLOOR = 0.25
RATE_FLOORS = {Kind.DATA_QUALITY: 0.02, Kind.CONCEPT_DRIFT: 0.03}
SHARE_FLOOR = 0.05

CERTAIN = 4.0  # standard errors of the mean since the change; fewer wait for the recent rows to agree
CONFIRM_BLOCKS = 4  # 256 rows: long enough for a mean, short enough not to hold an alarm back
RECOVERED_ROWS = BLOCK * HISTORY


class Disposition(StrEnum):
    """What became of a finding, and why."""

    OPENED = "opened"
    ALREADY_OPEN = "already_open"
    IMPROVEMENT = "improvement"  # a falling loss harms nobody
    UNCONFIRMED = "unconfirmed"  # too small or too uncertain so far; the rows that follow decide
    MUTED = "muted"


class Closing(StrEnum):
    """Why an incident ended."""

    RECOVERED = "recovered"
    DEPLOYED = "deployed"
    ROLLED_BACK = "rolled_back"
    NEW_BASELINE = "new_baseline"
    BY_HAND = "resolved_by_hand"


class Incident(msgspec.Struct, array_like=True):
    """An open alarm."""

    id: str
    alert_id: str
    signal: str
    kind: Kind
    detector: str
    severity: Severity
    opened_ts: int
    opened_row: int  # of the group's rows
    opened_joined: int
    evidence: Evidence
    retrained: bool = False


class Suspect(msgspec.Struct, array_like=True, frozen=True):
    """A finding that waits for the rows after it."""

    detector: str
    row: int
    evidence: Evidence


class Verdict(NamedTuple):
    disposition: Disposition
    effect: float


def floor_of(column: Column, rate: bool) -> float:
    if not rate:
        return VALUE_FLOOR
    return RATE_FLOORS.get(column.kind, SHARE_FLOOR)


def harmful(kind: Kind, effect: float) -> bool:
    """Only a worsening loss is damage, and only more missing values are trouble; other changes matter both ways."""
    return effect > 0 or kind not in (Kind.CONCEPT_DRIFT, Kind.DATA_QUALITY)


class LifecycleState(msgspec.Struct, array_like=True, frozen=True):
    incidents: dict[str, Incident]
    suspects: dict[str, Suspect]


class Lifecycle:
    """The signals of one monitor that are not quiet."""

    def __init__(self) -> None:
        self.incidents: dict[str, Incident] = {}
        self.suspects: dict[str, Suspect] = {}

    @property
    def restless(self) -> bool:
        return bool(self.incidents or self.suspects)

    def judge(self, column: Column, found: Found, rate: bool, muted: bool) -> Disposition:
        if not harmful(column.kind, found.effect):
            return Disposition.IMPROVEMENT
        if column.signal in self.incidents:
            return Disposition.ALREADY_OPEN
        if muted:
            return Disposition.MUTED
        if abs(found.effect) >= floor_of(column, rate) and _certainty(found) >= CERTAIN:
            return Disposition.OPENED
        return Disposition.UNCONFIRMED

    def suspect(self, column: Column, found: Found, row: int, evidence: Evidence) -> None:
        self.suspects[column.signal] = Suspect(found.detector, row, evidence)

    def open(
        self,
        column: Column,
        detector: str,
        severity: Severity,
        evidence: Evidence,
        now: int,
        row: int,
        joined: int,
        scope: str,
        position: Position,
    ) -> Incident:
        incident = derived_id("incident", scope, column.signal, position.topic, position.partition, position.offset)
        opened = Incident(
            id=incident,
            alert_id=derived_id(incident, "opened", position.topic, position.partition, position.offset),
            signal=column.signal,
            kind=column.kind,
            detector=detector,
            severity=severity,
            opened_ts=now,
            opened_row=row,
            opened_joined=joined,
            evidence=evidence,
        )
        self.suspects.pop(column.signal, None)
        self.incidents[column.signal] = opened
        return opened

    def close(self, signal: str) -> Incident:
        return self.incidents.pop(signal)

    # -- what a full block of rows shows ------------------------------------------------------------------------------

    def confirmed(self, column: Column, group: Group, index: int, row: int) -> tuple[Suspect, float, int] | None:
        """The suspicion, the effect and the rows that now bear it out; a suspicion that came to nothing is dropped."""
        suspect = self.suspects[column.signal]
        effect, rows, sd = group.recent(index, CONFIRM_BLOCKS)
        floor = floor_of(column, group.rate)
        if harmful(column.kind, effect) and abs(effect) >= floor and abs(effect) * rows**0.5 >= CERTAIN * sd:
            return suspect, effect, int(rows)
        if row - suspect.row >= RECOVERED_ROWS and abs(group.recent(index, HISTORY)[0]) < floor / 2:
            del self.suspects[column.signal]
        return None

    def recovered(self, column: Column, group: Group, index: int, row: int) -> tuple[float, int] | None:
        """The effect and the rows that say an incident is over."""
        incident = self.incidents[column.signal]
        if row - incident.opened_row < RECOVERED_ROWS:
            return None
        effect, rows, _ = group.recent(index, HISTORY)
        over = effect if harmful(column.kind, 1.0) and not harmful(column.kind, -1.0) else abs(effect)
        if rows >= RECOVERED_ROWS / 4 and over < floor_of(column, group.rate) / 2:
            return effect, int(rows)
        return None

    def state(self) -> LifecycleState:
        return LifecycleState(self.incidents, self.suspects)

    def restore(self, state: LifecycleState) -> None:
        self.incidents, self.suspects = state.incidents, state.suspects


def _certainty(found: Found) -> float:
    rows = found.finding.since
    return abs(found.effect) * rows**0.5 / found.after_sd if rows > 0 else 0.0


def severity_of(kind: Kind, effect: float, floor: float) -> Severity:
    """Harm that labels have shown wakes people up, as does an input that is mostly broken. The rest can wait."""
    if kind is Kind.CONCEPT_DRIFT:
        return Severity.CRITICAL
    if kind is Kind.DATA_QUALITY and effect >= 0.2:
        return Severity.CRITICAL
    return Severity.WARNING if abs(effect) >= 2 * floor else Severity.INFO


def change_point(ts: int, offset: int) -> ChangePoint:
    return ChangePoint(ts=ts, offset=offset)
