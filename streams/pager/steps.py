"""What an alert means to a pager: which action it asks for, and what is shown of it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class Action(StrEnum):
    TRIGGER = "trigger"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    UPDATE = "update"


# An event that this release does not know only changes what is shown: it must not page, and must not close.
ACTIONS: Mapping[str, Action] = {
    "opened": Action.TRIGGER,
    "reopened": Action.TRIGGER,
    "escalated": Action.TRIGGER,
    "acknowledged": Action.ACKNOWLEDGE,
    "resolved": Action.RESOLVE,
    "retracted": Action.RESOLVE,
}
SEVERITIES = ("info", "warning", "critical")


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
    ts: int = 0
    evidence: dict[str, Any] = {}

    @property
    def action(self) -> Action:
        return ACTIONS.get(self.event, Action.UPDATE)

    @property
    def rank(self) -> int:
        """A severity that is not known counts as the highest: rather a page too many."""
        return SEVERITIES.index(self.severity) if self.severity in SEVERITIES else len(SEVERITIES) - 1


class Page(NamedTuple):
    """What a sink is to say."""

    action: Action
    alert: ShownAlert
    value: bytes  # the alert as it lies on the topic
    now: float  # epoch seconds
    note: str = ""  # why it comes this way, where that is not the usual one
    reference: str | None = None  # what the sink called it when it was delivered first


_DECODER = msgspec.json.Decoder(ShownAlert)
INCIDENT_CHARACTERS_MAX = 255  # the shortest limit of a deduplication key: PagerDuty's


def read_alert(value: bytes | None) -> ShownAlert:
    """Raises one of ``UNREADABLE``."""
    alert = _DECODER.decode(value or b"")
    if not 0 < len(alert.incident) <= INCIDENT_CHARACTERS_MAX:
        raise ValueError("an incident has 1 to 255 characters")
    return alert
