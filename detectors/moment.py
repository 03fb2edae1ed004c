"""A record in hand, and the moment it makes when it decides something."""

from typing import Any, NamedTuple

from schemas.events import Position
from schemas.records import RecordLike

# Its place in the batch, stream time, the record, the event. A plain tuple: there is one a record.
Item = tuple[int, int, RecordLike, Any]


class Moment(NamedTuple):
    """Where in the batch, when in the stream, at which record, and under which trace."""

    at: int
    now: int
    position: Position
    trace: str | None

    @classmethod
    def of(cls, item: Item) -> "Moment":
        index, now, record, event = item
        return cls(index, now, position_of(record), getattr(event, "trace", None))


def position_of(record: RecordLike) -> Position:
    return Position(topic=record.topic, partition=record.partition, offset=record.offset)
