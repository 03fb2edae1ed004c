"""PagerDuty's webhooks, version 3: what persons do there. What an integration did is our own echo.

The signature is over the body alone, so the time that stands in the body bounds how long a copy of it can be used.
"""

from datetime import datetime
from typing import Annotated

import msgspec

from schemas.codec import UNREADABLE
from schemas.events import ControlAction
from schemas.times import to_ms
from streams.pager.inbound.words import Post, Provider, Result, Word, by, is_signed
from streams.secrets import Secret

NAME: Provider = "pagerduty"
SIGNATURE = "X-PagerDuty-Signature"
# What fails is delivered again for 48 hours; an hour more for what waits behind it, and for clocks.
OLD_MS = 49 * 3_600_000
PERSON = "user_reference"

_ACTIONS = {
    "incident.acknowledged": ControlAction.ACKNOWLEDGE,
    "incident.resolved": ControlAction.RESOLVE,
}


class _Agent(msgspec.Struct, frozen=True):
    type: str = ""
    id: str = ""
    summary: str | None = None


class _Event(msgspec.Struct, frozen=True):
    id: str
    event_type: str
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)]
    agent: _Agent | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")  # another one for each type of event


class _Webhook(msgspec.Struct, frozen=True):
    event: _Event


class _Incident(msgspec.Struct, frozen=True):
    incident_key: str | None = None


_WEBHOOK = msgspec.json.Decoder(_Webhook)
_INCIDENT = msgspec.json.Decoder(_Incident)


def heard(post: Post, secret: Secret, now_ms: int) -> Word | Result:
    signatures = [one.strip().removeprefix("v1=") for one in post.headers.get(SIGNATURE, "").split(",")]
    if not is_signed(secret, post.body, signatures):
        return Result.REFUSED
    try:
        event = _WEBHOOK.decode(post.body).event
        return _word(event, now_ms)
    except UNREADABLE:
        return Result.UNREADABLE


def _word(event: _Event, now_ms: int) -> Word | Result:
    if now_ms - to_ms(event.occurred_at) > OLD_MS:
        return Result.STALE
    action, agent = _ACTIONS.get(event.event_type), event.agent
    if action is None or agent is None or agent.type != PERSON:
        return Result.IGNORED
    key = _INCIDENT.decode(event.data).incident_key
    if not key:
        return Result.IGNORED  # made by hand over there, of no alert of anybody's
    return Word(action, key, by(NAME, agent.summary, agent.id), event.id)
