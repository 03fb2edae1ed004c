"""What the core asks the shell to write, and the ids by which a repeat is known."""

from base64 import b64decode
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

from schemas.codec import encode
from schemas.events import Alert, Audit, DeadLetter, Metrics, Output, Position, Retrain, Rollback, Signal
from schemas.sizes import fit
from schemas.topics import VALUE_BYTES_MAX, Stream

_STREAMS: Mapping[type[Output], Stream] = {
    Alert: Stream.ALERTS,
    Retrain: Stream.RETRAIN,
    Rollback: Stream.RETRAIN,
    Signal: Stream.SIGNALS,
    Metrics: Stream.METRICS,
    DeadLetter: Stream.DEAD_LETTERS,
    Audit: Stream.AUDIT,
}


def place(position: Position) -> tuple[str, int, int]:
    """Where a record lies, as parts of an id."""
    return position.topic, position.partition, position.offset


class Effect(NamedTuple):
    """One record for one output topic, already in canonical bytes."""

    stream: Stream
    id: str
    key: bytes | None
    value: bytes


class Decided(NamedTuple):
    """An event and the place in its batch of the record that caused it."""

    at: int
    event: Output


def derived_id(*parts: object) -> str:
    """The same parts always give the same id, on every machine: 24 hex digits, one clash in 10^14 ids."""
    text = "\x1f".join("" if part is None else str(part) for part in parts)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def effect_of(decided: Decided) -> Effect:
    """No larger than its topic takes."""
    event = decided.event
    if isinstance(event, DeadLetter):
        key = None if event.key is None else b64decode(event.key)
    else:
        key = event.model.encode()
    value = encode(event)
    if len(value) > VALUE_BYTES_MAX:  # a text of a megabyte that is told twice: whoever wrote it must not stop the rest
        value = encode(fit(event, VALUE_BYTES_MAX))
    return Effect(_STREAMS[type(event)], event.id, key, value)
