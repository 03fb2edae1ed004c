"""One of several processes of a replay: it monitors its share of the models, and hands on what came of it in pieces.

Every one of them reads all of the history. Models are given out in turn, in the order in which they are met, which is
the same for all. What belongs to no model is the first one's; a tick is everybody's, and counted once.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import numpy as np

from detectors.counts import Applied, Counts
from detectors.engine import Engine
from detectors.rows import Stretch
from schemas.codec import Decoder
from schemas.events import Control, ControlAction
from schemas.parsed import Elsewhere, Parsed
from schemas.records import RecordLike
from schemas.topics import Stream
from streams import embedded
from streams.errors import DriftlineError, SourceError
from streams.history import Given, History
from streams.journal import COMMIT_RECORDS
from streams.process import prepare
from streams.rocks import Rocks, shared_cache
from streams.settings import load
from streams.table_files import TYPED_ROWS
from streams.terminal import environment

PIECE_RECORDS = TYPED_ROWS  # of the whole history between two pieces
LENGTH_BYTES = 4  # before each piece


class Task(msgspec.Struct, frozen=True, kw_only=True):
    given: Given
    config: str | None
    number: int  # of this process
    of: int
    state: str | None  # a folder for it, where it is not to lie in memory


class Told(msgspec.Struct, frozen=True, array_like=True):
    """An effect: the place of the record that caused it among all, and since when its model is known."""

    place: int
    since: int
    stream: Stream
    value: bytes


class Piece(msgspec.Struct, frozen=True, kw_only=True, tag="piece"):
    """What came of the records up to a place that is not part of it."""

    upto: int
    told: list[Told]
    counts: dict[str, Counts]
    pending: int  # predictions that wait
    fraction: float | None  # of the history that is read
    times: tuple[int, int] | None  # the first and the last of the records, whoever's they are


class Last(msgspec.Struct, frozen=True, kw_only=True, tag="last"):
    """After the last piece."""

    error: str | None
    not_shared: str | None  # why one process must do it
    blank_lines: int
    left_over: str


Message = Piece | Last


class NotSharedError(Exception):
    """Something that only one process can decide as one process does. In words."""


class _Whose(msgspec.Struct):
    model: str | None = None


_whose = msgspec.json.Decoder(_Whose).decode
_PACK = msgspec.msgpack.Encoder().encode


class Share:
    """Whose records are whose."""

    def __init__(self, number: int, of: int, models_max: int) -> None:
        self.since: dict[bytes, int] = {}  # by model, the place of its first record
        self.ticks: dict[str, Counts] = {}  # by topic, those that the first process counts
        self._number, self._of, self._models_max = number, of, models_max
        self._owners: dict[str, int] = {}
        self._decoder = Decoder(any_stream=True)

    def is_mine(self, model: str) -> bool:
        owner = self._owners.get(model)
        if owner is None:
            if len(self._owners) == self._models_max:
                raise NotSharedError("has more models than models_max")
            owner = self._owners[model] = len(self._owners) % self._of
        return owner == self._number

    def takes(self, record: RecordLike, place: int) -> bool:
        if type(record) is Elsewhere:
            return False
        model = record.event.model if type(record) is Parsed else _model_of(record)
        if model is None:
            return self._number == 0 or self._is_tick(record)
        if not self.is_mine(model):
            return False
        self.since.setdefault(model.encode(), place)
        return True

    def of(self, rows: Stretch, before: int) -> Stretch:
        """Of rows with so many records before them."""
        for model, first in rows.first_of_models():
            if self.is_mine(model):
                self.since.setdefault(model.encode(), before + first)
        mine = rows.of_models(self.is_mine)
        return rows if mine.all() else rows.taken(np.flatnonzero(mine))

    def _is_tick(self, record: RecordLike) -> bool:
        unknown = self._decoder.unknown_fields
        event = self._decoder.decode(Stream.CONTROL, record)
        if not isinstance(event, Control) or event.action is not ControlAction.TICK:
            return False
        counted = Counts(consumed=1, applied=1, unknown_fields=self._decoder.unknown_fields - unknown)
        self.ticks.setdefault(record.topic, Counts()).add(counted)
        return True


def _model_of(record: RecordLike) -> str | None:
    """Without a look at the rest: what is wrong with that, the engine says."""
    try:
        whose = _whose(record.value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return whose.model


def work(task: Task, out: BinaryIO) -> None:
    settings = load(Path(task.config) if task.config is not None else None, environment())
    share = Share(task.number, task.of, settings.monitor.models_max)
    with ExitStack() as stack:
        history = stack.enter_context(History(task.given, share.is_mine))
        rocks = None
        if task.state is not None:
            rocks = Rocks(Path(task.state), shared_cache(), create=True)
            stack.callback(rocks.close)
        prepare(waits_quietly=True)
        engine = cast(Engine, embedded.engines(settings, any_stream=True)(0, rocks))
        pieces = _Pieces(share, engine, rocks, history)
        error, not_shared = None, None
        _send(out, pieces.rest())  # nothing yet, but ready
        try:
            for piece in pieces.all():
                _send(out, piece)
        except SourceError as failure:
            error = str(failure)
        except NotSharedError as reason:
            not_shared = str(reason)
        if not_shared is None:
            _send(out, pieces.rest())
        last = Last(error=error, not_shared=not_shared, blank_lines=history.blank_lines, left_over=history.left_over)
        _send(out, last)


class _Pieces:
    """Runs the share of each stretch of the history through the engine."""

    def __init__(self, share: Share, engine: Engine, rocks: Rocks | None, history: History) -> None:
        self._share, self._engine, self._rocks, self._history = share, engine, rocks, history
        self._upto, self._uncommitted = 0, 0
        self._batch: list[RecordLike] = []
        self._places: list[int] = []
        self._times: tuple[int, int] | None = None

    def all(self) -> Iterator[Piece]:
        """But what is left at the end."""
        takes, batch, places = self._share.takes, self._batch, self._places
        for record in self._history.stretches:
            if isinstance(record, Stretch):
                if batch:  # what came before it
                    yield self.rest()
                yield self._rows(record)
                continue
            place = self._upto
            self._upto = place + 1
            if record.timestamp > 0:  # 0: no event has shown a time yet
                self._saw(record.timestamp, record.timestamp)
            if takes(record, place):
                batch.append(record)
                places.append(place)
            if not self._upto % PIECE_RECORDS:
                yield self.rest()

    def _rows(self, rows: Stretch) -> Piece:
        """What came of one stretch of a table."""
        before = self._upto
        self._upto += len(rows)
        self._saw(int(rows.stamps[0]), int(rows.stamps[-1]))
        own = self._share.of(rows, before)
        applied = self._engine.apply(own)
        return self._piece(applied, lambda number: before + number, len(own))

    def _saw(self, first: int, last: int) -> None:
        self._times = (min(self._times[0], first), max(self._times[1], last)) if self._times else (first, last)

    def rest(self) -> Piece:
        applied = self._engine.apply(self._batch)
        for topic, ticks in self._share.ticks.items():
            _take_away(applied.counts[topic], ticks)
        self._share.ticks.clear()
        piece = self._piece(applied, self._places.__getitem__, len(self._batch))
        self._batch.clear()
        self._places.clear()
        return piece

    def _piece(self, applied: Applied, place_of: Callable[[int], int], records: int) -> Piece:
        told = [
            Told(place_of(number), self._share.since.get(effect.key or b"", 0), effect.stream, effect.value)
            for effect, number in zip(applied.effects, applied.places, strict=True)
        ]
        self._commit(records)
        return Piece(
            upto=self._upto,
            told=told,
            counts=applied.counts,
            pending=self._engine.stats.pending,
            fraction=self._history.fraction,
            times=self._times,
        )

    def _commit(self, records: int) -> None:
        self._uncommitted += records
        if self._rocks is not None and self._uncommitted >= COMMIT_RECORDS:
            self._uncommitted = 0
            self._rocks.write(*self._engine.changes())


def _take_away(counts: Counts, ticks: Counts) -> None:
    for name in counts.__struct_fields__:
        setattr(counts, name, getattr(counts, name) - getattr(ticks, name))


def _send(out: BinaryIO, message: Message) -> None:
    packed = _PACK(message)
    out.write(len(packed).to_bytes(LENGTH_BYTES, "big") + packed)
    out.flush()


def main() -> int:
    """The task comes on standard input, the pieces leave on standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever has started it ends it
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    try:
        try:
            work(task, sys.stdout.buffer)
        except DriftlineError as error:  # whoever has started it has read the same, and got on
            _send(sys.stdout.buffer, Last(error=None, not_shared=str(error), blank_lines=0, left_over=""))
    except BrokenPipeError:  # nobody is there any more to hear of it, or of what Python says of it at the end
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
