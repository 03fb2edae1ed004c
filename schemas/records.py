"""A record as it lies on a topic: bytes and a position, before anybody has looked inside."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class RecordLike(Protocol):
    """What the engine reads of a record. aiokafka's ``ConsumerRecord`` has it all."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Epoch milliseconds: Kafka's append time, or the event's own time where a file has no other."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Record(NamedTuple):
    """A record with no client behind it: one of many that were fetched, a line of a file, or a test's plain value."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
