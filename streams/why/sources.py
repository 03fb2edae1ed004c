"""Where the records come from that an alert is rebuilt from: files, or the input topics. Read anew for each pass."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, NamedTuple, Protocol

import msgspec

from schemas.events import Alert, Control, Position, event_type
from schemas.parsed import Elsewhere, Parsed
from schemas.records import RecordLike
from schemas.times import UNIT_MS
from streams.errors import UsageError
from streams.history import ROWS_IN_MEMORY, Given, History
from streams.sections import KafkaSettings
from streams.sources import refuse_once
from streams.topic_range import KAFKA, Between, Stretch, TopicRange


class Reading(NamedTuple):
    records: Iterable[RecordLike]
    fraction: Callable[[], float | None]
    large: bool  # too large for a state in memory


class Origin(Protocol):
    """``begins``: what the caller has said of where to begin; empty where nothing.

    ``late_ms``: by how much a record may come after one that is later. ``offsets_rise``: whether all records of a topic
    come in the order of their offsets, as labels do not that are sorted by when they came.
    """

    name: str
    begins: str
    any_stream: bool
    late_ms: int
    offsets_rise: bool

    def reading(self, alert: Alert | None) -> AbstractContextManager[Reading]:
        """Of the alert's model, up to the record that decided it at least; all of it where none is given."""


class Files:
    any_stream = True
    late_ms = 0
    offsets_rise = False

    def __init__(self, given: Given, since: str | None) -> None:
        refuse_once([*given.sources, *([given.labels] if given.labels is not None else [])], "history is read twice")
        self._given = given
        self.name = ", ".join(given.sources)
        self.begins = f"--from {since}" if since is not None else ""

    @contextmanager
    def reading(self, alert: Alert | None) -> Iterator[Reading]:
        is_mine = None if alert is None else lambda model: model == alert.model
        with History(self._given, is_mine) as history:
            yield Reading(history.records, lambda: history.fraction, history.rows_about > ROWS_IN_MEMORY)


class Topics:
    """Joins no group. Of the alert's partition number alone, and of its topic no record after the one that decided."""

    any_stream = False
    late_ms = UNIT_MS["h"]  # brokers' clocks differ by seconds, producers' by anything
    offsets_rise = True
    name = KAFKA

    def __init__(self, kafka: KafkaSettings, between: Between, since: str | None) -> None:
        self._kafka, self._between = kafka, between
        said = [f"--from {since}"] if since is not None else []
        self.begins = ", ".join(said + [f"--offsets of {each.topic}" for each in between.stretches if each.first])

    @contextmanager
    def reading(self, alert: Alert | None) -> Iterator[Reading]:
        topics = TopicRange(self._kafka, self._between._replace(stretches=self._stretches(alert)))
        with closing(iter(topics)) as records:  # it is left before its end, and holds a connection
            yield Reading(records, lambda: topics.fraction, large=True)

    def _stretches(self, alert: Alert | None) -> Sequence[Stretch]:
        if alert is None:
            return self._between.stretches
        place = alert.position
        if place.topic not in self._kafka.topics.inputs:
            what, advice = f"was decided at {told(place)}, which is no input topic", "name the files that were replayed"
            raise UsageError(what, where=alert.id, advice=advice)
        own = Stretch(place.topic, place.partition, None, place.offset + 1)
        return [*(each for each in self._between.stretches if each.partition == place.partition), own]


def told(place: Position) -> str:
    return f"{place.topic}[{place.partition}]@{place.offset}"


class _Whose(msgspec.Struct):
    model: str | None = None
    type: Any = None


_CONTROL = event_type(Control)
_whose = msgspec.json.Decoder(_Whose).decode


def concerns(record: RecordLike, model: str) -> bool:
    """Whether the model's monitor takes it in: its own records, and what is for every model, as the time is."""
    if type(record) is Elsewhere:
        return False
    if type(record) is Parsed:
        return record.event.model == model
    try:
        whose = _whose(record.value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return whose.model == model or (whose.model is None and whose.type == _CONTROL)
