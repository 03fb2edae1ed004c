"""Predictions of a batch that are read as columns out of their bytes, before its other records are looked at.

They are those of models of which many came, written as before; what does not fit goes the way of all records, so
nothing else says why something is refused. They are taken in at their place among the others.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from detectors import bytewise, writing
from detectors.bytewise import checksums
from detectors.columns import Places, WordCells
from detectors.gathered import Worth
from detectors.moment import Item
from detectors.pieces import Own, by_key, records_at
from detectors.rows import Stretch
from detectors.scanning import SPARE
from detectors.writing import Read, Writing
from schemas.codec import Decoder
from schemas.events import Prediction, Role
from schemas.records import RecordLike
from schemas.times import TS_END
from schemas.topics import VALUE_BYTES_MAX, Stream

AHEAD_MIN = 40  # predictions of a model in a batch: of fewer, it is quicker to take in one after the other
PART_MIN = 32  # of those that were read, on the average, that others have not cut apart
MODELS_MAX = 64  # whose writing is remembered: more than there are in a batch of 2,000 with so many of each
BYTES_MAX = 32 * 1024 * 1024  # of a model's records in a batch, which are copied once


class Ahead:
    """Those of one model. ``rows`` have their records' own times; ``whole`` is the batch that they stand in."""

    def __init__(self, rows: Stretch, whole: Sequence[RecordLike], decoder: Decoder, writing: "_Known") -> None:
        self.rows = rows
        self.whole = whole
        self.decoder = decoder
        self._writing = writing
        self._next = self._parts = 0

    def before(self, place: int, earliest: int) -> "Part | None":
        """Those that come before this place of the batch and were not handed out. None is before ``earliest``."""
        start, stop = self._next, int(np.searchsorted(self.rows.numbers, place))
        if stop <= start:
            return None
        self._next, self._parts = stop, self._parts + 1
        if stop == len(self.rows):
            self._writing.worth.came(stop // self._parts)
        return Part(self, start, stop, earliest)


class Part:
    """Some of them, one after the other."""

    def __init__(self, ahead: Ahead, start: int, stop: int, earliest: int) -> None:
        self._ahead, self._start, self._stop = ahead, start, stop
        times = ahead.rows.stamps[start:stop]
        self._times = np.minimum(np.maximum(times, earliest), TS_END - 1)  # a producer's clock may say anything
        self.topic = ahead.rows.topic
        self.kind = Prediction

    def __len__(self) -> int:
        return self._stop - self._start

    @property
    def many(self) -> bool:
        return len(self) >= PART_MIN

    def stretch(self, since: int) -> Stretch:
        rows, stamps = self._ahead.rows, np.maximum.accumulate(np.maximum(self._times, since))
        return (rows if len(rows) == len(self) else rows.taken(slice(self._start, self._stop))).at_times(stamps)

    def items(self) -> Sequence[Item]:
        return self._items(0, len(self))

    def item(self, row: int) -> Item:
        return self._items(row, row + 1)[0]

    def _items(self, start: int, stop: int) -> list[Item]:
        places = self._ahead.rows.numbers[self._start + start : self._start + stop]
        records = records_at(self._ahead.whole, places)
        events = self._ahead.decoder.decode_all(Stream.PREDICTIONS, records)
        return list(zip(places.tolist(), self._times[start:stop].tolist(), records, events, strict=True))


class _Known:
    """A model whose writing is remembered."""

    def __init__(self) -> None:
        self.writing = Writing()
        self.worth = Worth()


class Reader:
    """Reads what can be read ahead of a batch. ``topic``: that of predictions."""

    def __init__(self, decoder: Decoder, topic: str) -> None:
        self._decoder = decoder
        self._topic = topic
        self._known: dict[bytes, _Known] = {}  # by key; the one asked for last stands last

    def read(self, records: Sequence[RecordLike], is_wanted: Callable[[str], bool]) -> Mapping[str, Ahead]:
        """By model."""
        found: dict[str, Ahead] = {}
        if len(records) < AHEAD_MIN:
            return found
        for key, own in by_key(records, self._topic, AHEAD_MIN):
            model = key.decode("latin-1")  # it is one only if it is plain ASCII
            if is_wanted(model):
                ahead = self._of_model(model, key, own, records)
                if ahead is not None:
                    found[model] = ahead
        return found

    def _of_model(self, model: str, key: bytes, own: Own, whole: Sequence[RecordLike]) -> Ahead | None:
        known = self._known.pop(key, None) or _Known()
        self._known[key] = known
        if len(self._known) > MODELS_MAX:
            del self._known[next(iter(self._known))]
        rows = self._rows_of(model, known.writing, own, whole) if known.worth.trying() else None
        if rows is None:
            known.worth.came(1)
            return None
        return Ahead(rows, whole, self._decoder, known)

    def _rows_of(self, model: str, writing: Writing, own: Own, whole: Sequence[RecordLike]) -> Stretch | None:
        """None where they are too large, or where others cut apart what can be read."""
        lengths = own.lengths()
        ends = lengths.cumsum()
        if lengths.max() > VALUE_BYTES_MAX or ends[-1] > BYTES_MAX:
            return None
        text = own.values(SPARE)
        read = writing.read(text, ends, lambda row: self._fits(whole[int(own.places[row])]))
        if read is None or len(read.rows) // _runs(read.rows) < PART_MIN:
            return None
        last = ends[read.rows]
        return _stretch(self._topic, model, own, _sums_of(text, last - lengths[read.rows], last), read)

    def _fits(self, record: RecordLike) -> bool:
        event = self._decoder.plain(Stream.PREDICTIONS, record)
        return type(event) is Prediction and event.role is Role.CHAMPION


def _runs(rows: Places) -> int:
    """In how many parts others have cut them."""
    return 1 + int(np.count_nonzero(np.diff(rows) != 1))


def _sums_of(text: bytes, starts: Places, ends: Places) -> Places:
    sums = np.empty(len(starts), dtype=np.int64)
    checksums(np.frombuffer(text, dtype=np.uint8).ctypes.data, starts, ends, sums)
    return sums


def _stretch(topic: str, model: str, own: Own, fingerprints: Places, read: Read) -> Stretch:
    return Stretch(
        topic,
        own.places[read.rows],
        own.stamps(read.rows),
        own.offsets(read.rows),
        read.ids,
        WordCells(np.zeros(len(read.rows), dtype=np.int64), [model]),
        read.predictions,
        read.features,
        fingerprints,
        versions=read.versions,
        scores=read.scores,
        classes=read.classes,
        latency_ms=read.latency_ms,
        cost=read.cost,
        made=read.sent,
        traces=read.traces,
        partition=own.partition,
    )


def warm_up() -> None:
    bytewise.warm_up()
    writing.warm_up()
