"""Predictions of a batch that are read as columns out of their bytes, before its other records are looked at.

They are those of models of which many came, written as before; what does not fit goes the way of all records, so
nothing else says why something is refused. They are taken in at their place among the others.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from zlib import crc32

import numpy as np

from detectors.columns import Places, WordCells
from detectors.gathered import Worth
from detectors.moment import Item
from detectors.rows import Stretch
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
    """Those of one model. ``rows`` have their records' own times."""

    def __init__(self, rows: Stretch, records: Sequence[RecordLike], decoder: Decoder, writing: "_Known") -> None:
        self.rows = rows
        self.records = records
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
        which = slice(self._start + start, self._start + stop)
        records = self._ahead.records[which]
        events = self._ahead.decoder.decode_all(Stream.PREDICTIONS, records)
        places = self._ahead.rows.numbers[which].tolist()
        return list(zip(places, self._times[start:stop].tolist(), records, events, strict=True))


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
        by_key: defaultdict[bytes | None, list[int]] = defaultdict(list)
        for place, record in enumerate(records):
            if record.topic == self._topic:
                by_key[record.key].append(place)
        for key, places in by_key.items():
            if key is None or len(places) < AHEAD_MIN:
                continue
            model = key.decode("latin-1")  # it is one only if it is plain ASCII
            if is_wanted(model):
                own = records if len(places) == len(records) else [records[place] for place in places]
                ahead = self._of_model(model, key, own, np.array(places, dtype=np.int64))
                if ahead is not None:
                    found[model] = ahead
        return found

    def _of_model(self, model: str, key: bytes, records: Sequence[RecordLike], places: Places) -> Ahead | None:
        known = self._known.pop(key, None) or _Known()
        self._known[key] = known
        if len(self._known) > MODELS_MAX:
            del self._known[next(iter(self._known))]
        values = [record.value or b"" for record in records]
        read = self._read_of(known.writing, records, values) if known.worth.trying() else None
        if read is None:
            known.worth.came(1)
            return None
        if len(read.rows) < len(records):
            rows = read.rows.tolist()
            records, values, places = [records[row] for row in rows], [values[row] for row in rows], places[read.rows]
        return Ahead(_stretch(model, records, places, values, read), records, self._decoder, known)

    def _read_of(self, writing: Writing, records: Sequence[RecordLike], values: Sequence[bytes]) -> Read | None:
        """None where they are too large, or where others cut apart what can be read."""
        lengths = list(map(len, values))
        if max(lengths) > VALUE_BYTES_MAX or sum(lengths) > BYTES_MAX:
            return None
        read = writing.read(values, lambda row: self._fits(records[row]))
        return read if read is not None and len(read.rows) // _runs(read.rows) >= PART_MIN else None

    def _fits(self, record: RecordLike) -> bool:
        event = self._decoder.plain(Stream.PREDICTIONS, record)
        return type(event) is Prediction and event.role is Role.CHAMPION


def _runs(rows: Places) -> int:
    """In how many parts others have cut them."""
    return 1 + int(np.count_nonzero(np.diff(rows) != 1))


def _stretch(model: str, records: Sequence[RecordLike], places: Places, values: Sequence[bytes], read: Read) -> Stretch:
    first, rows = records[0], len(records)
    return Stretch(
        first.topic,
        places,
        np.fromiter([record.timestamp for record in records], dtype=np.int64, count=rows),
        np.fromiter([record.offset for record in records], dtype=np.int64, count=rows),
        read.ids,
        WordCells(np.zeros(rows, dtype=np.int64), [model]),
        read.predictions,
        read.features,
        np.fromiter(map(crc32, values), dtype=np.int64, count=rows),
        versions=read.versions,
        scores=read.scores,
        classes=read.classes,
        latency_ms=read.latency_ms,
        cost=read.cost,
        made=read.sent,
        traces=read.traces,
        partition=first.partition,
    )
