"""What the core asks the shell to write, and the ids by which a repeat is known."""

from hashlib import blake2b
from typing import NamedTuple

from schemas.events import Output, Position
from schemas.topics import Stream


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
