"""What an alert means to a pager: which action it asks for, and what is shown of it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, NamedTuple, TypeGuard

import msgspec

from streams.pager.reasons import Reason


class Action(StrEnum):
    TRIGGER = "trigger"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    UPDATE = "update"
    MUTE = "mute"


SILENT = (
    Action.RESOLVE,
    Action.MUTE,
)  # they take back what has not gone out, and end it where nothing else can be said
# An event that this release does not know only changes what is shown: it must not page, and must not close.
ACTIONS: Mapping[str, Action] = {
    "opened": Action.TRIGGER,
    "reopened": Action.TRIGGER,
    "escalated": Action.TRIGGER,
    "acknowledged": Action.ACKNOWLEDGE,
    "muted": Action.MUTE,
    "resolved": Action.RESOLVE,
    "retracted": Action.RESOLVE,
}
SEVERITIES = ("info", "warning", "critical")
MS_MAX = 2**62  # epoch milliseconds, far beyond any calendar: what lies further away does not fit into a row


class ShownAlert(msgspec.Struct, frozen=True):
    """An alert as a pager reads it: more lenient than the contract, since a worker may be of a later release."""

    id: str
    incident: str
    event: str
    severity: str
    model: str
    summary: str
    kind: str = ""
    version: str | None = None
    segment: str | None = None
    signal: str = ""
    detector: str = ""
    ts: Annotated[int, msgspec.Meta(ge=-MS_MAX, le=MS_MAX)] = 0
    evidence: dict[str, Any] = {}

    @property
    def detail(self) -> Mapping[str, Any]:
        detail = self.evidence.get("detail")
        return detail if isinstance(detail, dict) else {}

    @property
    def began(self) -> int:
        """When what it is about began, as far as it says so; epoch milliseconds."""
        change = self.evidence.get("change_point")
        ts = change.get("ts") if isinstance(change, dict) else None
        return int(ts) if _is_time(ts) else self.ts

    @property
    def muted_until(self) -> float | None:
        """Epoch seconds; ``None`` where a mute has no end."""
        until = self.detail.get("until")
        return until / 1000 if _is_time(until) else None

    @property
    def action(self) -> Action:
        return ACTIONS.get(self.event, Action.UPDATE)

    @property
    def rank(self) -> int:
        """A severity that is not known counts as the highest: rather a page too many."""
        return SEVERITIES.index(self.severity) if self.severity in SEVERITIES else len(SEVERITIES) - 1


class First(msgspec.Struct, frozen=True, array_like=True):
    """What an incident began with. Endpoints know it by this, whatever joins later."""

    model: str
    kind: str
    segment: str | None
    signal: str
    ts: int
    began: int

    @classmethod
    def of(cls, alert: ShownAlert) -> "First":
        return cls(alert.model, alert.kind, alert.segment, alert.signal, alert.ts, alert.began)


class Further(msgspec.Struct, frozen=True, array_like=True):
    """What is told with an incident: incidents of the same cause, and the other models that they are of."""

    models: tuple[str, ...] = ()
    incidents: int = 0


class Page(NamedTuple):
    """What a sink is to say."""

    action: Action
    alert: ShownAlert  # the newest of the incident
    value: bytes  # the same as it lies on the topic
    now: float  # epoch seconds
    note: str = ""  # why it comes this way, where that is not the usual one
    reference: str | None = None  # what the sink called it when it was delivered first
    began_with: First | None = None
    reason: Reason | None = None  # where the pager has one of its own
    teams: tuple[str, ...] = ()
    further: Further = Further()
    number: int = 0  # tells apart what the pager says by itself about one and the same alert

    @property
    def first(self) -> First:
        return self.began_with or First.of(self.alert)

    @property
    def id(self) -> str:
        return self.alert.id if self.reason is None else f"{self.alert.id}-{self.reason}-{self.number}"


def _is_time(ms: object) -> TypeGuard[int | float]:
    """Evidence is no part of the contract: anything may stand there."""
    return isinstance(ms, int | float) and -MS_MAX <= ms <= MS_MAX


_DECODER = msgspec.json.Decoder(ShownAlert)
INCIDENT_CHARACTERS_MAX = 255  # the shortest limit of a deduplication key: PagerDuty's


def read_alert(value: bytes | None) -> ShownAlert:
    """Raises one of ``schemas.codec.UNREADABLE``."""
    alert = _DECODER.decode(value or b"")
    if not 0 < len(alert.incident) <= INCIDENT_CHARACTERS_MAX:
        raise ValueError("an incident has 1 to 255 characters")
    return alert
