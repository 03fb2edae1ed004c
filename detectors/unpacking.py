"""Where records begin and end in Kafka's batches of them, format 2, as aiokafka reads them.

What is not as it should be ends the reading: it is left to aiokafka, which says what is wrong. So is what aiokafka may
take otherwise than this: an attribute of a record, and a header's name beyond ASCII.
"""

import numpy as np
from numpy.typing import NDArray

from detectors.banks.jit import compiled, inlined

Bytes = NDArray[np.uint8]
Whole = NDArray[np.int64]

# Of a batch: where its records lie in the text, what its own offset is and which one comes after it, how many records
# it says there are, and its time, which is that of each record, or is to be added to it.
START, STOP, BASE, NEXT, COUNT, TIME, IS_EACH = range(7)
_SPANS = 6  # key, value, headers, end: as ``detectors.pieces`` has it
_BAD = -(1 << 62)  # no number of a batch
_VARINT_BITS = 63


@inlined
def _number(text: Bytes, at: int, stop: int) -> tuple[int, int]:
    """A number that begins here, and where it ends; ``_BAD`` where it does not."""
    zigzag, shift = np.uint64(0), np.uint64(0)
    number: int = _BAD
    while at < stop and shift < _VARINT_BITS:
        byte = np.uint64(text[at])
        at += 1
        zigzag |= (byte & np.uint64(0x7F)) << shift
        shift += np.uint64(7)
        if byte < 0x80:
            number = np.int64(zigzag >> np.uint64(1)) ^ -np.int64(zigzag & np.uint64(1))  # type: ignore[assignment]
            break
    return number, at


@compiled
def _past_headers(text: Bytes, at: int, stop: int) -> int:
    """Where the headers end that are counted here; ``_BAD`` where they are not whole."""
    count, at = _number(text, at, stop)
    if count < 0:
        return _BAD
    while count > 0:
        length, at = _number(text, at, stop)
        if length < 0 or length > stop - at:
            return _BAD
        for place in range(at, at + length):
            if text[place] >= 0x80:
                return _BAD
        length, at = _number(text, at + length, stop)
        if length < -1 or length > stop - at:
            return _BAD
        at += max(length, 0)
        count -= 1
    return at


@compiled
def _read(text: Bytes, at: int, stop: int, spans: Whole, row: int) -> tuple[int, int, int]:
    """Where the record ends that begins here, what is added to its batch's offset, and to its time."""
    length, at = _number(text, at, stop)
    if length < 1 or length > stop - at or text[at] != 0:
        return _BAD, 0, 0
    end = at + length
    time, at = _number(text, at + 1, end)
    offset, at = _number(text, at, end)
    if min(time, offset) == _BAD:
        return _BAD, 0, 0
    for place in range(0, 4, 2):  # key, value
        length, at = _number(text, at, end)
        if length < -1 or length > end - at:
            return _BAD, 0, 0
        spans[place, row] = at if length >= 0 else -1
        at += max(length, 0)
        spans[place + 1, row] = at if length >= 0 else -1
    spans[4, row], spans[5, row] = at, end
    if _past_headers(text, at, end) != end:
        return _BAD, 0, 0
    return end, offset, time


@compiled
def unpack(
    text: Bytes, batches: Whole, first: int, offsets: Whole, stamps: Whole, spans: Whole
) -> tuple[int, int, int]:
    """How many batches were read, how many records of them, and which offset comes next.

    ``first``: the least offset that is asked for; what comes before it, or is behind one that came, is left out.
    """
    rows, following = 0, first
    for batch in range(len(batches)):
        at, stop = batches[batch, START], batches[batch, STOP]
        before, expected = rows, following
        for _ in range(batches[batch, COUNT]):
            at, offset, time = _read(text, at, stop, spans, rows)
            if at < 0:
                break
            offset += batches[batch, BASE]
            if offset < following:
                continue
            following, offsets[rows] = offset + 1, offset
            stamps[rows] = batches[batch, TIME] + (0 if batches[batch, IS_EACH] else time)
            rows += 1
        if at != stop:
            return batch, before, expected
        following = batches[batch, NEXT]
    return len(batches), rows, following


def warm_up() -> None:
    text: Bytes = np.frombuffer(b"\x00", dtype=np.uint8)
    places: Whole = np.zeros(1, dtype=np.int64)
    unpack(text, np.zeros((1, 7), dtype=np.int64), 0, places, places, np.zeros((_SPANS, 1), dtype=np.int64))
