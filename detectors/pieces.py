"""Records as they lie on a topic, many at once: their bytes, and where in them each begins and ends.

An object for each record costs as much as all else that is done with most of them. So it is made only of those that are
looked at one by one.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, overload

import numpy as np

from detectors.bytewise import Bytes, Whole, gather, group
from detectors.columns import Places
from schemas.records import Record, RecordLike

KEY_START, KEY_END, VALUE_START, VALUE_END, HEADERS, END = range(6)  # of spans; what is null begins and ends at -1
Headers = tuple[tuple[str, Any], ...]  # the bytes of one may be null


class Piece(Sequence[RecordLike]):
    """Records of one partition, one after the other. ``spans``: where each lies in ``text``."""

    __slots__ = ("offsets", "partition", "spans", "stamps", "text", "topic")

    def __init__(self, topic: str, partition: int, text: bytes, offsets: Places, stamps: Places, spans: Whole) -> None:
        self.topic, self.partition, self.text = topic, partition, text
        self.offsets, self.stamps, self.spans = offsets, stamps, spans

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, row: int) -> Record: ...
    @overload
    def __getitem__(self, row: slice) -> "Piece": ...
    def __getitem__(self, row: int | slice) -> "Record | Piece":
        if isinstance(row, slice):
            cut = self.offsets[row], self.stamps[row], self.spans[:, row]
            return Piece(self.topic, self.partition, self.text, *cut)
        return self.at(np.array([row]))[0]

    def __iter__(self) -> Iterator[Record]:
        return iter(self.at(np.arange(len(self))))

    def at(self, rows: Places) -> list[Record]:
        text, topic, partition = self.text, self.topic, self.partition
        places = self.offsets[rows].tolist(), self.stamps[rows].tolist(), *self.spans[:END, rows].tolist()
        return [
            Record(
                topic,
                partition,
                offset,
                stamp,
                None if key < 0 else text[key:key_end],
                None if value < 0 else text[value:value_end],
                () if text[headers] == 0 else headers_at(text, headers),
            )
            for offset, stamp, key, key_end, value, value_end, headers in zip(*places, strict=True)
        ]

    def by_key(self, least: int) -> Iterator[tuple[bytes, Places]]:
        """The rows of each key that has so many."""
        text: Bytes = np.frombuffer(self.text, dtype=np.uint8)
        starts, ends = self.spans[KEY_START], self.spans[KEY_END]
        codes, firsts = np.empty(len(self), dtype=np.int64), np.empty(len(self), dtype=np.int64)
        keys = group(text, starts, ends, codes, firsts)
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(keys + 1))
        for code in np.nonzero(np.diff(bounds) >= least)[0].tolist():
            first = firsts[code]
            yield self.text[starts[first] : ends[first]], order[bounds[code] : bounds[code + 1]]


def headers_at(text: bytes, place: int) -> Headers:
    """Those that are counted here. They are whole: whoever has made the piece has looked at them."""

    def number() -> int:
        nonlocal place
        zigzag = shift = 0
        while True:
            byte = text[place]
            place += 1
            zigzag |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (zigzag >> 1) ^ -(zigzag & 1)

    def some(length: int) -> bytes:
        nonlocal place
        place += length
        return text[place - length : place]

    def header() -> tuple[str, Any]:
        name = some(number()).decode()
        length = number()
        return name, some(length) if length >= 0 else None

    return tuple(header() for _ in range(number()))


def _own_bytes(piece: Piece) -> tuple[int, int]:
    """Where they begin and end in its text."""
    of_first = piece.spans[:, 0]
    return int(of_first[of_first >= 0].min()), int(piece.spans[END, -1])


def trimmed(piece: Piece) -> Piece:
    """With its own bytes alone, where most of its text is of others that have gone."""
    first, end = _own_bytes(piece)
    if 4 * (end - first) > len(piece.text):
        return piece
    places = piece.offsets.copy(), piece.stamps.copy(), _moved(piece.spans, -first)
    return Piece(piece.topic, piece.partition, piece.text[first:end], *places)


def _moved(spans: Whole, by: int) -> Whole:
    """What is null stays so."""
    return np.where(spans < 0, -1, spans + by)


def one_piece(pieces: Sequence[Piece]) -> Piece:
    """Some of one partition, one after the other, with no more bytes than theirs."""
    if len(pieces) == 1:
        return pieces[0]
    texts, spans, before = list[bytes](), list[Whole](), 0
    for piece in pieces:
        first, end = _own_bytes(piece)
        texts.append(piece.text[first:end])
        spans.append(_moved(piece.spans, before - first))
        before += end - first
    return Piece(
        pieces[0].topic,
        pieces[0].partition,
        b"".join(texts),
        np.concatenate([piece.offsets for piece in pieces]),
        np.concatenate([piece.stamps for piece in pieces]),
        np.concatenate(spans, axis=1),
    )


class Merged(Sequence[RecordLike]):
    """Records of several topics in one order. ``sides``: those of each topic, and their places in the order."""

    def __init__(self, sides: Sequence[tuple[Places, Sequence[RecordLike]]]) -> None:
        self.sides = sides
        length = sum(len(places) for places, _ in sides)
        self._sides, self._rows = np.empty(length, dtype=np.int64), np.empty(length, dtype=np.int64)
        for number, (places, _) in enumerate(sides):
            self._sides[places], self._rows[places] = number, np.arange(len(places))

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> RecordLike: ...
    @overload
    def __getitem__(self, place: slice) -> list[RecordLike]: ...
    def __getitem__(self, place: int | slice) -> RecordLike | list[RecordLike]:
        if isinstance(place, slice):
            return self.at(np.arange(len(self))[place])
        _, part = self.sides[int(self._sides[place])]
        record: RecordLike = part[int(self._rows[place])]
        return record

    def __iter__(self) -> Iterator[RecordLike]:
        return iter(self.at(np.arange(len(self))))

    def at(self, places: Places) -> list[RecordLike]:
        """Those at these places, which rise."""
        numbers, rows = self._sides[places], self._rows[places]
        found = [iter(records_at(part, rows[numbers == number])) for number, (_, part) in enumerate(self.sides)]
        return [next(found[number]) for number in numbers.tolist()]


def records_at(records: Sequence[RecordLike], places: Places) -> Sequence[RecordLike]:
    """Those at these places, which rise."""
    if isinstance(records, Piece | Merged):
        return records.at(places)
    return [records[place] for place in places.tolist()]


# -- by their keys -----------------------------------------------------------------------------------------------------


class Own(Protocol):
    """Records of a batch that have one topic and key. ``places``: where they stand in it."""

    places: Places
    partition: int

    def lengths(self) -> Places:
        """Of their values; of what is null, nothing."""

    def values(self, spare: bytes) -> bytes:
        """One after the other, once their lengths were asked for, and what is to stand after them."""

    def stamps(self, rows: Places) -> Places: ...
    def offsets(self, rows: Places) -> Places: ...


class _OfPiece:
    def __init__(self, piece: Piece, rows: Places, places: Places) -> None:
        self.places, self.partition = places, piece.partition
        self._piece, self._rows = piece, rows
        self._starts, self._ends = piece.spans[VALUE_START][rows], piece.spans[VALUE_END][rows]

    def lengths(self) -> Places:
        lengths: Places = self._ends - self._starts
        return lengths

    def values(self, spare: bytes) -> bytes:
        into: Bytes = np.zeros(int(self.lengths().sum()) + len(spare), dtype=np.uint8)
        text: Bytes = np.frombuffer(self._piece.text, dtype=np.uint8)
        end = gather(np.array([text.ctypes.data, into.ctypes.data]), self._starts, self._ends)
        into[end:] = np.frombuffer(spare, dtype=np.uint8)
        return into.tobytes()

    def stamps(self, rows: Places) -> Places:
        return self._piece.stamps[self._rows[rows]]

    def offsets(self, rows: Places) -> Places:
        return self._piece.offsets[self._rows[rows]]


class _OfRecords:
    def __init__(self, records: Sequence[RecordLike], places: Places) -> None:
        self.places, self.partition = places, records[0].partition
        self._records = records
        self._values: list[bytes] = []

    def lengths(self) -> Places:
        self._values = [record.value or b"" for record in self._records]
        return np.fromiter(map(len, self._values), dtype=np.int64, count=len(self._values))

    def values(self, spare: bytes) -> bytes:
        return b"".join((*self._values, spare))

    def stamps(self, rows: Places) -> Places:
        return np.array([self._records[row].timestamp for row in rows.tolist()], dtype=np.int64)

    def offsets(self, rows: Places) -> Places:
        return np.array([self._records[row].offset for row in rows.tolist()], dtype=np.int64)


def by_key(records: Sequence[RecordLike], topic: str, least: int) -> Iterator[tuple[bytes, Own]]:
    """Those of a topic that have a key, by it; at least so many."""
    sides = records.sides if isinstance(records, Merged) else [(np.arange(len(records)), records)]
    for places, part in sides:
        if not isinstance(part, Piece):
            yield from _by_key(part, places, topic, least)
        elif part.topic == topic:
            for key, rows in part.by_key(least):
                yield key, _OfPiece(part, rows, places[rows])


def _by_key(records: Sequence[RecordLike], places: Places, topic: str, least: int) -> Iterator[tuple[bytes, Own]]:
    found: defaultdict[bytes | None, list[int]] = defaultdict(list)
    for row, record in enumerate(records):
        if record.topic == topic:
            found[record.key].append(row)
    for key, rows in found.items():
        if key is not None and len(rows) >= least:
            own = records if len(rows) == len(records) else [records[row] for row in rows]
            yield key, _OfRecords(own, places[rows])
