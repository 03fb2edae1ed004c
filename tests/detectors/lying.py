"""Records as the worker's consumer hands them over: as they lie, with no object for each."""

from collections.abc import Sequence

import numpy as np

from detectors.pieces import Merged, Piece
from schemas.records import Record, RecordLike

_SPANS = 6


def piece_of(records: Sequence[Record]) -> Piece:
    """Of one partition."""
    text, spans = bytearray(b"before"), np.full((_SPANS, len(records)), -1, dtype=np.int64)
    for row, record in enumerate(records):
        for place, told in ((0, record.key), (2, record.value)):
            text += bytes([row % 251])
            if told is not None:
                spans[place : place + 2, row] = len(text), len(text) + len(told)
                text += told
        spans[4, row] = len(text)
        text += _number(len(record.headers))
        for name, told in record.headers:
            text += _number(len(name)) + name.encode() + _number(len(told)) + told
        spans[5, row] = len(text)
    offsets, stamps = ([getattr(record, name) for record in records] for name in ("offset", "timestamp"))
    first = records[0]
    return Piece(first.topic, first.partition, bytes(text), np.array(offsets), np.array(stamps), spans)


def merged_of(records: Sequence[Record], plain: Sequence[str] = ()) -> Merged:
    """In their order, those of each topic as they lie; but for topics of which each came as a record."""
    sides = list[tuple[np.ndarray, Sequence[RecordLike]]]()
    for topic in dict.fromkeys(record.topic for record in records):
        places = [place for place, record in enumerate(records) if record.topic == topic]
        own = [records[place] for place in places]
        sides.append((np.array(places), own if topic in plain else piece_of(own)))
    return Merged(sides)


def _number(number: int) -> bytes:
    """As Kafka writes it."""
    rest, written = 2 * number, bytearray()
    while rest >= 0x80:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*written, rest])
