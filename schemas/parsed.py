"""A record that is an event already, as a row of a table is: no bytes were read to make it."""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.codec import encode
from schemas.events import Outcome, Prediction


class Parsed(NamedTuple):
    """``fingerprint`` tells apart rows of other content, as a checksum of a record's bytes does."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    event: Prediction | Outcome
    fingerprint: int
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()

    @property
    def value(self) -> bytes:
        """As it would stand on a topic: for whoever must show it."""
        return encode(self.event)


class Elsewhere(NamedTuple):
    """A row that another process looks at: its place in the order is all that is needed of it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()
