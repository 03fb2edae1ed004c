"""The whole of one partition number: records in, effects out.

The shell hands over records in the order of (append time, topic rank, offset) and writes what comes back. How it cuts
them into batches, how often it restarts and what its clock says make no difference to a single byte.
"""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from detectors.banks import registry
from detectors.banks.contract import StateError
from detectors.baseline import Baseline
from detectors.config import MonitorConfig
from detectors.effects import Decided, Effect
from detectors.join import Fate
from detectors.moment import Item
from detectors.monitor import Monitor, MonitorState
from schemas.codec import Decoder, Rejection, dead_letter, encode
from schemas.events import Alert, DeadLetter, DeadLetterReason, Metrics, Output, Retrain, Signal
from schemas.records import RecordLike
from schemas.times import TS_END, TS_MIN
from schemas.topics import Stream, TopicNames

_APPLIED = Fate.APPLIED  # a look into an enum costs more than most of what a record needs

STATE_VERSION = 1
_PACKED = msgspec.msgpack.Encoder()

_STREAMS: Mapping[type[Output], Stream] = {
    Alert: Stream.ALERTS,
    Retrain: Stream.RETRAIN,
    Signal: Stream.SIGNALS,
    Metrics: Stream.METRICS,
    DeadLetter: Stream.DEAD_LETTERS,
}


class Counts(msgspec.Struct):
    """How the records of one topic ended. ``consumed`` is always the sum of the four fates."""

    consumed: int = 0
    applied: int = 0
    duplicate: int = 0
    late: int = 0
    dead_lettered: int = 0
    conflicts: int = 0  # duplicates with other content
    unknown_fields: int = 0  # taken, with fields left aside

    def add_end(self, fate: Fate) -> None:
        """Counts a record that was not applied."""
        if fate is Fate.LATE:
            self.late += 1
            return
        self.duplicate += 1
        self.conflicts += fate is Fate.CONFLICT

    def add(self, other: object) -> None:
        """Adds what anything with these fields has counted."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Applied(NamedTuple):
    effects: list[Effect]
    counts: dict[str, Counts]  # by topic


class EngineStats(NamedTuple):
    models: int
    pending: int
    early: int
    open_incidents: int


class EngineState(msgspec.Struct, array_like=True, frozen=True):
    version: int
    monitors: dict[str, MonitorState]


class Engine:
    """All models of one partition number."""

    def __init__(self, partition: int, config: MonitorConfig, topics: TopicNames, *, any_stream: bool = False) -> None:
        self.partition = partition
        self._config = config
        self._inputs = topics.inputs
        self._decoder = Decoder(any_stream=any_stream)
        self._monitors: dict[str, Monitor] = {}

    def apply(self, records: Sequence[RecordLike]) -> Applied:
        """Takes the next records of the merged order. Whatever is in them, it does not raise."""
        counts: dict[str, Counts] = {}
        decided: list[Decided] = []
        touched: dict[str, Monitor] = {}  # those that took in something of this batch
        decoder, monitors = self._decoder, self._monitors
        unknown = decoder.unknown_fields
        topic: str | None = None  # none yet: a file may have any name, even an empty one
        stream, count = Stream.PREDICTIONS, Counts()
        for index, record in enumerate(records):
            time = record.timestamp
            if not TS_MIN <= time < TS_END:
                time = min(max(time, TS_MIN), TS_END - 1)  # a producer's clock may say anything
            if record.topic != topic:  # runs of one topic are long
                topic = record.topic
                stream = self._inputs.get(topic, Stream.PREDICTIONS)
                count = counts.setdefault(topic, Counts())
            count.consumed += 1
            event = decoder.decode(stream, record)
            if decoder.unknown_fields != unknown:
                unknown = decoder.unknown_fields
                count.unknown_fields += 1
            if type(event) is Rejection:
                decided.append(self._refused(index, time, record, event, count))
                continue
            model: str | None = event.model  # type: ignore[union-attr]
            if model is None:
                decided.extend(_decided_by(touched))
                decided.extend(self._to_all((index, time, record, event)))
                count.applied += 1
                continue
            monitor = touched.get(model)
            if monitor is None:
                monitor = monitors.get(model) or self._new_monitor(model)
                if monitor is None:
                    decided.append(self._refused(index, time, record, self._too_many(), count))
                    continue
                touched[model] = monitor
            fate = monitor.take((index, time, record, event), decided)
            if fate is _APPLIED:
                count.applied += 1
            else:
                count.add_end(fate)
        decided.extend(_decided_by(touched))
        decided.sort(key=lambda event: event.at)  # stable: what one record caused stays in the order it was decided
        return Applied([_effect(event) for event in decided], counts)

    def _new_monitor(self, model: str) -> Monitor | None:
        if len(self._monitors) >= self._config.models_max:
            return None
        monitor = self._monitors[model] = Monitor(model, self._config.of(model))
        return monitor

    def _to_all(self, item: Item) -> list[Decided]:
        return [event for monitor in self._monitors.values() for event in monitor.tick(item)]

    def _refused(self, index: int, time: int, record: RecordLike, rejection: Rejection, count: Counts) -> Decided:
        count.dead_lettered += 1
        return Decided(index, dead_letter(record, rejection, time))

    def _too_many(self) -> Rejection:
        most = self._config.models_max
        detail = f"this partition watches {most} models already: raise models_max or use more partitions"
        return Rejection(DeadLetterReason.TOO_MANY_MODELS, detail)

    def snapshot(self) -> bytes:
        """Everything there is to know between two batches, as plain bytes."""
        return _PACKED.encode(
            EngineState(
                STATE_VERSION,
                {model: monitor.state() for model, monitor in self._monitors.items()},
            )
        )

    def restore(self, state: bytes) -> None:
        """Goes on where ``snapshot`` was taken, with the same configuration; raises ``StateError`` otherwise."""
        try:
            version = msgspec.msgpack.decode(state, type=tuple[int, Any])[0]
            if version != STATE_VERSION:
                raise StateError(f"the state has version {version}, this is version {STATE_VERSION}: rebuild it")
            held = msgspec.msgpack.decode(state, type=EngineState)
            self._monitors = {
                model: Monitor.of(model, self._config.of(model), monitor) for model, monitor in held.monitors.items()
            }
        except StateError:
            raise
        except (msgspec.MsgspecError, ValueError) as error:  # NumPy and the pairing of columns raise plain ValueErrors
            raise StateError(f"this is no state of an engine with this configuration: {error}") from error

    @property
    def stats(self) -> EngineStats:
        monitors = self._monitors.values()
        return EngineStats(
            len(self._monitors),
            sum(monitor.pending for monitor in monitors),
            sum(monitor.early for monitor in monitors),
            sum(monitor.open_incidents for monitor in monitors),
        )


def warm_up() -> None:
    """Compiles every kernel, or loads it from the cache, so that the first event does not wait for it."""
    registry.warm_up()
    baseline = Baseline()
    baseline.learn(2)
    baseline.measure(np.zeros((1, 1)))


def _decided_by(touched: dict[str, Monitor]) -> list[Decided]:
    """Each model gets its rows of the batch at once: that is what makes columns of them."""
    decided = [event for monitor in touched.values() for event in monitor.decide()]
    touched.clear()
    return decided


def _effect(decided: Decided) -> Effect:
    event = decided.event
    if isinstance(event, DeadLetter):
        key = None if event.key is None else b64decode(event.key)
    else:
        key = event.model.encode()
    return Effect(_STREAMS[type(event)], event.id, key, encode(event))
