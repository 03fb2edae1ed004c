"""The whole of one partition number: records in, effects out.

The shell hands over records in the order of (append time, topic rank, offset) and writes what comes back. How it cuts
them into batches, how often it restarts and what its clock says make no difference to a single byte.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from heapq import heapify, heappop, heappush, heapreplace
from itertools import groupby, islice
from operator import attrgetter
from typing import NamedTuple

import msgspec
import numpy as np

from detectors.ahead import Reader
from detectors.audit import AuditLog
from detectors.banks.contract import StateError, StateVersionError
from detectors.batch import MODELS_AT_ONCE, Batch, Parts, applied, decided_by, whole
from detectors.columns import Places
from detectors.config import MonitorConfig
from detectors.counts import Applied, Counts
from detectors.effects import Decided
from detectors.join import Join
from detectors.kept import Changes, Kept
from detectors.learning import Recordings
from detectors.moment import Item
from detectors.monitor import Monitor
from detectors.monitor_state import MonitorState
from detectors.pieces import records_at
from detectors.rows import Stretch
from detectors.sealing import open_sealed, seal
from detectors.shelf import Room, Wanted
from detectors.signing import NO_KEYS, Keys
from schemas.codec import Decoder, Rejection, dead_letter
from schemas.events import Control, ControlAction, Input, Outcome, Prediction, Role
from schemas.parsed import Parsed
from schemas.reasons import AuditResult, DeadLetterReason
from schemas.records import RecordLike
from schemas.times import TS_END, TS_MIN
from schemas.topics import Stream, TopicNames

_CHAMPION = Role.CHAMPION  # a look into an enum costs more than most of what a record needs

STATE_VERSION = 6  # of everything that the core keeps; the shell migrates or refuses another one
BLOCK = 512  # records decoded, looked up and taken in together: many ids at once, and still in the processor's cache
_MONITOR = b"M"  # keys of what is kept begin with what it is
_ENGINE = b"E"
_topic_of = attrgetter("topic")
_PACK = msgspec.msgpack.Encoder().encode


class EngineStats(NamedTuple):
    models: int
    pending: int
    early: int
    open_incidents: int
    evicted: int
    early_evicted: int
    orphans: int


class EngineState(msgspec.Struct, array_like=True):
    """What belongs to no model."""

    version: int = STATE_VERSION
    ticked: int = TS_MIN  # the time of the newest tick: no record is older


class Engine:
    """All models of one partition number.

    ``kept`` is what an engine before this one has handed out as changes: this one goes on where that stood then.
    Without it everything stays in memory. ``recordings`` are the baselines that the configuration names, ``keys`` those
    that control events are signed with. Raises ``StateError`` where it cannot be understood.
    """

    def __init__(
        self,
        partition: int,
        config: MonitorConfig,
        topics: TopicNames,
        *,
        any_stream: bool = False,
        kept: Kept | None = None,
        recordings: Recordings | None = None,
        keys: Keys = NO_KEYS,
    ) -> None:
        self.partition = partition
        self._config = config
        self._recordings = recordings or Recordings()
        self._inputs = topics.inputs
        self._decoder = Decoder(any_stream=any_stream)
        self._reader = None if any_stream else Reader(self._decoder, topics.predictions)  # in files, lines have no key
        self._room = Room(kept)
        self._state = EngineState()
        self._monitors: dict[str, Monitor] = {}
        self._unsaved: dict[str, Monitor] = {}  # those that have changed since the last changes
        self._oldest: list[tuple[int, str, int]] | None = None  # since when who has waited longest, once that is asked
        self._audit = AuditLog(keys)
        if kept is not None:
            self._restore(kept)

    def apply(self, records: Sequence[RecordLike] | Stretch) -> Applied:
        """Takes the next records of the merged order. Whatever is in them, it does not raise."""
        return whole(self.applying(records))

    def applying(self, records: Sequence[RecordLike] | Stretch) -> Parts[Applied]:
        """The same in parts, since with thousands of models it takes long. Between them this is no whole state."""
        if isinstance(records, Stretch):
            return self._apply_rows(records)
        batch = Batch()
        places = self._read_ahead(records, batch)
        for start in range(0, len(places), BLOCK):
            block = places[start : start + BLOCK]
            yield from self._take(block.tolist(), records_at(records, block), batch)
            yield
        yield from self._take_gathered(batch, len(records))
        return (yield from applied(batch))

    def _apply_rows(self, rows: Stretch) -> Applied:
        """Rows of a table, in order of time: as their records, but for the work."""
        if not len(rows):
            return Applied([], {}, [])
        early, late = rows.stamps[0] < self._state.ticked, rows.stamps[-1] >= TS_END
        if early or late or self._room.pending + len(rows) > self._config.pending_max:
            singly = self.apply(list(rows.records()))
            return singly._replace(places=[int(rows.numbers[place]) for place in singly.places])
        batch, count = Batch(), Counts(consumed=len(rows))
        batch.counts[rows.topic] = count
        for model, own in rows.by_model():
            monitor = self._touch(model, batch.touched)
            if monitor is None:
                items = map(own.item, range(len(own)))
                batch.decided += [self._refused(*item[:3], self._too_many(), count) for item in items]
                continue
            self._room.fetch({monitor.joins[0].shelf: own.ids})  # nearly all are new: it is not looked who is at hand
            count.add_fates(monitor.take_rows(own, batch.decided))
        return whole(applied(batch))

    def _read_ahead(self, records: Sequence[RecordLike], batch: Batch) -> Places:
        """Reads what can be read as columns. Returns the places of the others."""
        if self._reader is None or self._room.pending + len(records) > self._config.pending_max:
            return np.arange(len(records))
        batch.ahead = self._reader.read(records, self._takes_columns)
        self._room.fetch({self._monitors[model].joins[0].shelf: own.rows.ids for model, own in batch.ahead.items()})
        left = np.ones(len(records), dtype=np.bool_)
        for own in batch.ahead.values():
            left[own.rows.numbers] = False
            batch.counts.setdefault(own.rows.topic, Counts()).consumed += len(own.rows)
        return np.flatnonzero(left)

    def _takes_columns(self, model: str) -> bool:
        return model in self._monitors and self._monitors[model].takes_columns

    def _take(self, places: Sequence[int], records: Sequence[RecordLike], batch: Batch) -> Parts[None]:
        """Most are gathered, and taken in before something comes of their model that is not."""
        counts, decided, touched = batch.counts, batch.decided, batch.touched
        waiting = self._room.pending + sum(map(len, batch.gathered.values()))
        gathers = bool(batch.ahead) or waiting + len(records) <= self._config.pending_max  # or there is room for all
        if not gathers:  # each may push out the oldest one, of any model
            yield from self._take_gathered(batch, places[0])
        topic: str | None = None  # none yet: a file may have any name, even an empty one
        count = Counts()
        for index, record, event in zip(places, records, self._decoded(records, counts), strict=True):
            time = record.timestamp
            if not self._state.ticked <= time < TS_END:
                time = min(max(time, self._state.ticked), TS_END - 1)  # a producer's clock may say anything
            if record.topic != topic:  # runs of one topic are long
                topic = record.topic
                count = counts[topic]
            if type(event) is Rejection:
                decided.append(self._refused(index, time, record, event, count))
                continue
            if type(event) is Control:
                yield from self._take_gathered(batch, index)
                yield from self._heard((index, time, record, event), count, batch)
                continue
            model: str = event.model  # type: ignore[union-attr, assignment]
            monitor = touched.get(model) or self._touch(model, touched)
            if monitor is None:
                decided.append(self._refused(index, time, record, self._too_many(), count))
                continue
            if gathers and (type(event) is Outcome or event.role is _CHAMPION):  # type: ignore[union-attr]
                batch.gather(model, (index, time, record, event), self._state.ticked)
                continue
            if model in batch.gathered or model in batch.ahead:
                self._take_gathered_of(model, batch, index)
            count.add_ends(monitor.take((index, time, record, event), decided))
            if self._room.pending > self._config.pending_max:
                self._evict_oldest()

    def _take_gathered(self, batch: Batch, place: int) -> Parts[None]:
        """All that were gathered before this place."""
        for number, model in enumerate(batch.models, 1):
            self._take_gathered_of(model, batch, place)
            if number % MODELS_AT_ONCE == 0:
                yield

    def _take_gathered_of(self, model: str, batch: Batch, place: int) -> None:
        for bunch in batch.gathered_before(model, place, self._state.ticked):
            monitor = batch.touched.get(model) or self._touch(model, batch.touched)
            assert monitor is not None, "it has been there since they were gathered"
            batch.counts[bunch.topic].add_fates(monitor.take_bunch(bunch, batch.decided))

    def _decoded(self, records: Sequence[RecordLike], counts: dict[str, Counts]) -> list[Input | Rejection]:
        """What the records say; what their models keep of their ids is at hand afterwards."""
        events: list[Input | Rejection] = []
        for topic, run in groupby(records, key=_topic_of):
            of_topic, unknown = list(run), self._decoder.unknown_fields
            events += self._decoded_of(self._inputs.get(topic, Stream.PREDICTIONS), of_topic)
            count = counts.setdefault(topic, Counts())
            count.consumed += len(of_topic)
            count.unknown_fields += self._decoder.unknown_fields - unknown
        if self._room.kept is not None:
            self._fetch(events)
        return events

    def _decoded_of(self, stream: Stream, records: list[RecordLike]) -> list[Input | Rejection]:
        if Parsed not in set(map(type, records)):
            return self._decoder.decode_all(stream, records)
        return [record.event if type(record) is Parsed else self._decoder.decode(stream, record) for record in records]

    def _fetch(self, events: Iterable[Input | Rejection]) -> None:
        wanted: Wanted = {}
        predicted: defaultdict[str, list[str]] = defaultdict(list)  # ids by model: nearly all are new
        labelled: defaultdict[str, list[str]] = defaultdict(list)
        challengers: defaultdict[str, list[str]] = defaultdict(list)
        for event in events:
            kind = type(event)
            if kind is Outcome:
                labelled[event.model].append(event.id)  # type: ignore[union-attr, index]
            elif kind is Prediction:
                of_role = predicted if event.role is _CHAMPION else challengers  # type: ignore[union-attr]
                of_role[event.model].append(event.id)  # type: ignore[union-attr, index]
        for model in filter(self._monitors.__contains__, {**predicted, **labelled, **challengers}):
            monitor = self._monitors[model]
            if model in predicted:
                wanted.setdefault(monitor.joins[0].shelf, []).extend(predicted[model])
            monitor.want(labelled.get(model, ()), challengers.get(model, ()), wanted)
        self._room.fetch(wanted)

    def _heard(self, item: Item, count: Counts, batch: Batch) -> Parts[None]:
        """What an operator, a deployment or the clock says. All but the clock's word has an entry in the audit log."""
        index, time, record, event = item
        decided, touched = batch.decided, batch.touched
        if event.model is None:
            decided += yield from decided_by(touched)
            decided += yield from self._to_all(item)
            count.applied += 1
            return
        is_tick = event.action is ControlAction.TICK
        signed_by, refusal = (None, None) if is_tick else self._audit.check(item)
        monitor = None if refusal else touched.get(event.model) or self._touch(event.model, touched)
        if monitor is None:
            refusal = refusal or self._too_many()
            decided.append(self._refused(index, time, record, refusal, count))
            result = AuditResult(refusal.reason)
        else:
            monitor.take(item, decided)
            count.applied += 1
            result = monitor.answer
        if not is_tick:
            decided.append(self._audit.entry(item, result, signed_by))

    def _touch(self, model: str, touched: dict[str, Monitor]) -> Monitor | None:
        """The model's monitor, which takes in something of this batch; none where it is one too many."""
        monitor = self._monitors.get(model) or self._new_monitor(model)
        if monitor is not None:
            touched[model] = self._unsaved[model] = monitor
        return monitor

    def _new_monitor(self, model: str) -> Monitor | None:
        if len(self._monitors) >= self._config.models_max:
            return None
        recorded = self._recordings.of(model)
        monitor = Monitor(model, self._config.of(model), self._room, len(self._monitors), recorded=recorded)
        self._monitors[model] = monitor
        self._watch_oldest(monitor)
        return monitor

    def _to_all(self, item: Item) -> Parts[list[Decided]]:
        """A tick: time has passed for every model."""
        self._state.ticked = item[1]
        decided = list[Decided]()
        for number, (model, monitor) in enumerate(self._monitors.items(), 1):
            events, changed = monitor.tick(item)
            decided += events
            if changed:
                self._unsaved[model] = monitor
            if number % BLOCK == 0:
                yield
        return decided

    def monitor(self, model: str) -> Monitor | None:
        """For whoever looks at what it knows."""
        return self._monitors.get(model)

    # -- the limit of all models together -----------------------------------------------------------------------------

    def _evict_oldest(self) -> None:
        """Of all predictions of the partition the one that has waited longest makes room."""
        if self._oldest is None:
            self._oldest = []
            for monitor in self._monitors.values():
                self._watch_oldest(monitor)
            heapify(self._oldest)
        while self._oldest:
            since, model, role = self._oldest[0]
            join = self._monitors[model].joins[role]
            if not join.pending:
                heappop(self._oldest)
            elif join.oldest() != since:
                heapreplace(self._oldest, (join.oldest(), model, role))
            else:
                join.evict()
                self._unsaved[model] = self._monitors[model]
                return

    def _watch_oldest(self, monitor: Monitor) -> None:
        if self._oldest is None:
            return
        for role, join in enumerate(monitor.joins):
            join.opened = partial(self._opened, monitor.model, role)
            if join.pending:
                self._oldest.append((join.oldest(), monitor.model, role))

    def _opened(self, model: str, role: int, join: Join) -> None:
        if self._oldest is not None:
            heappush(self._oldest, (join.oldest(), model, role))

    def _refused(self, index: int, time: int, record: RecordLike, rejection: Rejection, count: Counts) -> Decided:
        count.dead_lettered += 1
        return Decided(index, dead_letter(record, rejection, time, content=self._config.dead_letter_content))

    def _too_many(self) -> Rejection:
        most = self._config.models_max
        detail = f"this partition watches {most} models already: raise models_max or use more partitions"
        return Rejection(DeadLetterReason.TOO_MANY_MODELS, detail)

    # -- state, between two batches -----------------------------------------------------------------------------------

    def make_ready(self, models: int) -> bool:
        """Makes ready what so many of the models that have changed are to write; says whether there are more of them.

        With thousands of them that takes long, and need not be done in one go. What changes again is made ready again.
        """
        if self._room.kept is None:
            self._unsaved = {}
        for model in list(islice(self._unsaved, models)):
            self._room.put(_MONITOR + model.encode(), _PACK(self._unsaved.pop(model).state()))
        return bool(self._unsaved)

    def changes(self) -> Changes:
        """What has changed since this was asked last, to be written as one. ``kept`` must show it from then on."""
        self.make_ready(len(self._unsaved))
        if self._room.kept is None:
            return Changes([], [])
        changes = self._room.changes()
        changes.puts.append((_ENGINE, seal(_PACK(self._state))))
        changes.puts.extend(self._audit.changes())
        return changes

    def _restore(self, kept: Kept) -> None:
        record = kept.read([_ENGINE])[0]
        if record is None:
            return
        try:
            self._state = msgspec.msgpack.decode(open_sealed(record), type=EngineState)
            if self._state.version != STATE_VERSION:
                raise StateVersionError(f"the state has version {self._state.version}, this is version {STATE_VERSION}")
            self._audit.restore(kept)
            states = msgspec.msgpack.Decoder(MonitorState)
            held = [
                (key[len(_MONITOR) :].decode(), states.decode(open_sealed(row))) for key, row in kept.scan(_MONITOR)
            ]
            for model, state in sorted(held, key=lambda item: item[1].number):
                recorded = self._recordings.of(model)
                self._monitors[model] = Monitor.of(model, self._config.of(model), state, self._room, recorded)
        except StateError:
            raise
        except (msgspec.MsgspecError, ValueError) as error:  # NumPy and the pairing of columns raise plain ValueErrors
            raise StateError(f"this is no state of an engine with this configuration: {error}") from error

    @property
    def stats(self) -> EngineStats:
        joins = [join for monitor in self._monitors.values() for join in monitor.joins]
        return EngineStats(
            len(self._monitors),
            self._room.pending,
            sum(join.early for join in joins),
            sum(monitor.open_incidents for monitor in self._monitors.values()),
            sum(join.counts.evicted for join in joins),
            sum(join.counts.early_evicted for join in joins),
            sum(join.counts.orphans for join in joins),
        )
