"""What the retrain topic says of a model, and how it stands in the registry: as tags. No I/O.

Read leniently: later releases may add fields and types.
"""

from collections.abc import Iterator, Sequence

import msgspec

from schemas.codec import UNREADABLE
from schemas.events import ID_CHARACTERS_MAX
from streams.pager.sinks.text import short, time_of

RETRAIN, ROLLBACK = "retrain", "rollback"
PREFIX = "driftline"
AT = "at"
VALUE_CHARACTERS_MAX = 1_000
INCIDENTS_SHOWN_MAX = 20


class Span(msgspec.Struct, frozen=True):
    """Which records to train on, both ends included."""

    topic: str
    partition: int
    from_offset: int
    to_offset: int
    from_ts: int | None = None
    to_ts: int | None = None


class Gain(msgspec.Struct, frozen=True):
    """By how much the loss of a prediction should fall."""

    value: float
    low: float
    high: float


class Advice(msgspec.Struct, frozen=True):
    """A ``retrain`` or a ``rollback``."""

    type: str
    id: str
    model: str
    ts: int
    version: str | None = None
    reason: str = ""
    incidents: Sequence[str] | None = None
    alerts: Sequence[str] = ()
    data: Span | None = None
    expected_gain: Gain | None = None
    to_version: str | None = None

    @property
    def at(self) -> str:
        """In a form whose order is that of time."""
        return time_of(self.ts)


_DECODER = msgspec.json.Decoder(Advice)


def read(value: bytes | None) -> Advice | None:
    """``None`` for what is neither."""
    try:
        advice = _DECODER.decode(value or b"")
    except UNREADABLE:
        return None
    known = advice.type in (RETRAIN, ROLLBACK) and 0 < len(advice.id) <= ID_CHARACTERS_MAX
    return advice if known else None


def key(advice: Advice, of: str = "") -> str:
    return ".".join(filter(None, (PREFIX, advice.type, of)))


def tags(advice: Advice) -> Iterator[tuple[str, str]]:
    """In the order to set them: the event's id comes last, so where it stands, all stand.

    What is not known is an empty text, so that nothing of an earlier event is left.
    """
    said = {
        AT: advice.at,
        "reason": advice.reason,
        "version": advice.version or "",
        "incidents": ", ".join((advice.incidents or advice.alerts)[:INCIDENTS_SHOWN_MAX]),
    }
    if advice.type == RETRAIN:
        said |= {
            "data": _place(advice.data),
            "span": _time(advice.data),
            "expected_gain": _gain(advice.expected_gain),
        }
    else:
        said["to"] = advice.to_version or ""
    for name, value in said.items():
        yield key(advice, name), short(value, VALUE_CHARACTERS_MAX)
    yield key(advice), advice.id


def _place(data: Span | None) -> str:
    return f"{data.topic}[{data.partition}] {data.from_offset}..{data.to_offset}" if data else ""


def _time(data: Span | None) -> str:
    if data is None or data.from_ts is None or data.to_ts is None:
        return ""
    return f"{time_of(data.from_ts)}..{time_of(data.to_ts)}"


def _gain(gain: Gain | None) -> str:
    return f"{gain.value:.6g} ({gain.low:.6g}..{gain.high:.6g})" if gain else ""
