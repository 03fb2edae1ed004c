"""What somebody said at an endpoint about an incident, once it is certain that the endpoint sent it."""

import hmac
from collections.abc import Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Literal, NamedTuple

from schemas.events import ControlAction
from streams.secrets import Secret
from streams.text import printable

BY_CHARACTERS_MAX = 100  # of a person's name, as a control event carries it
SIGNATURES_MAX = 8  # in one header: two while a secret is changed

Provider = Literal["pagerduty", "slack"]


class Result(StrEnum):
    """What became of a request: in the metric, and mostly in the log."""

    ACCEPTED = "accepted"  # the brokers have the control event
    REPEATED = "repeated"  # they had it already
    IGNORED = "ignored"  # nothing that a control event could say
    UNKNOWN_INCIDENT = "unknown_incident"
    OVER = "over"  # the incident is closed, and this would not change it
    REFUSED = "refused"  # not signed by any of our secrets
    STALE = "stale"  # signed, and too old to be the first delivery
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"  # the brokers did not acknowledge in time; the provider is to try again
    ERROR = "error"  # a mistake of ours; the log has it


STATUS: Mapping[Result, int] = {
    Result.ACCEPTED: 200,
    Result.REPEATED: 200,
    Result.IGNORED: 200,
    Result.UNKNOWN_INCIDENT: 200,
    Result.OVER: 200,
    Result.REFUSED: 401,
    Result.STALE: 401,
    Result.UNREADABLE: 400,
    Result.TOO_LARGE: 413,
    Result.TOO_SLOW: 408,
    Result.BUSY: 503,
    Result.UNAVAILABLE: 503,
    Result.ERROR: 500,
}


class Post(NamedTuple):
    """A request as it came. ``headers`` finds names whatever their case."""

    headers: Mapping[str, str]
    body: bytes


class Word(NamedTuple):
    action: ControlAction
    incident: str
    by: str
    occasion: str  # the provider's own name for this one: the same when it is delivered again


def is_signed(secret: Secret, text: bytes, signatures: Sequence[str]) -> bool:
    """Whether one of them is that of ``text`` under one of our secrets. Takes as long whichever it is."""
    given = [signature.encode("utf-8", "surrogateescape") for signature in signatures[:SIGNATURES_MAX]]
    known = [hmac.new(key.encode(), text, sha256).hexdigest().encode() for key in secret.reveal().split()]
    return sum(hmac.compare_digest(one, other) for one in known for other in given) > 0


def by(provider: Provider, name: str | None, identifier: str) -> str:
    """Who said it. A name comes from whoever has an account there, so it is one line and not a long one."""
    return f"{provider}:{printable(name or identifier)[:BY_CHARACTERS_MAX]}"
