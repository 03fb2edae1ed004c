"""Predictions that wait as columns: many at once in memory, and written as if each had come alone.

What is written of a row is, byte for byte, the sealed record of the ``Pending`` that would be made of it. Making one of
every row costs ten times as much.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Container, Sequence
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.banks.jit import compiled, inlined
from detectors.columns import FeatureRows, NumberCells, Places, Taken, WordCells, taken
from detectors.rows import Stretch
from detectors.sealing import VERSION

Bytes = NDArray[np.uint8]
Record = tuple[bytes, bytes]  # a key, and what is under it

_PACK = msgspec.msgpack.Encoder().encode
_HEAD = b"\xdc\x00\x10\x00"  # an array of sixteen; the first says what it is
_TAIL = _PACK(((), -1, False, None, 0.0, -1, ()))[1:]  # what there is to say of a prediction that has no label
_BYTES_MAX = 96  # of a record, but for its words

# What a byte does to a CRC-32, and what it does where one to three others follow: four at a time are summed up.
_SUMS = np.array(
    [[crc32(bytes([byte]) + bytes(after), 0xFFFFFFFF) ^ 0xFFFFFFFF for byte in range(256)] for after in range(4)],
    dtype=np.uint32,
)


class Block(NamedTuple):
    """Rows that wait, from one to before another."""

    place: int  # of the first
    scope: int
    rows: Stretch
    row: int
    end: int

    @property
    def names(self) -> Sequence[str]:
        ids = self.rows.ids
        return ids if self.end - self.row == len(ids) else ids[self.row : self.end]  # a copy would be kept beside them


class Blocks:
    """Rows at hand, in the order of their places."""

    def __init__(self) -> None:
        self._blocks: deque[Block] = deque()
        self._older = 0  # how many of them were here at the last rotation

    def add(self, block: Block) -> None:
        self._blocks.append(block)

    def forget(self, place: int) -> None:
        """Nothing before the place is asked for again."""
        while len(self._blocks) > 1 and self._blocks[1].place <= place:
            self._blocks.popleft()
            self._older -= 1

    def rotate(self) -> None:
        """Nothing that was here at the last rotation is asked for again."""
        for _ in range(self._older):
            self._blocks.popleft()
        self._older = len(self._blocks)

    def find(self, place: int) -> tuple[Stretch, int, int]:
        """The rows that it is one of, which of them it is, and its scope."""
        block = self._blocks[bisect_right(self._blocks, place, key=_place) - 1]
        return block.rows, block.row + place - block.place, block.scope


def _place(block: Block) -> int:
    return block.place


def records(prefix: bytes, blocks: Sequence[Block], but: Container[str]) -> list[Record]:
    """Of all rows but those with such an id, nearly in the order of their keys."""
    parts = [part for block in blocks if (part := _Part.of(block, but)).names]
    names = [name for part in parts for name in part.names]
    if not names:
        return []
    text, ends = _text(names)
    cells = _cells(parts)
    most = len(names) * (len(prefix) + _BYTES_MAX) + len(text) + cells.words_bytes
    out, cuts = np.empty(most, dtype=np.uint8), np.zeros(2 * len(names) + 1, dtype=np.int64)
    _write(
        np.argsort(_beginnings(text, ends)),
        _bytes(prefix),
        text,
        ends,
        np.concatenate([part.numbers for part in parts], axis=1),
        *cells,
        VERSION[0],
        _bytes(_HEAD),
        _bytes(_TAIL),
        _SUMS,
        np.uint32(crc32(VERSION)),
        out,
        cuts,
    )
    content, marks = out[: cuts[-1]].tobytes(), cuts.tolist()
    each = zip(marks[:-1:2], marks[1::2], marks[2::2], strict=True)
    return [(content[start:middle], content[middle:end]) for start, middle, end in each]


class _Part(NamedTuple):
    """What is to be written of a block."""

    names: Sequence[str]
    numbers: NDArray[np.int64]  # times, offsets, fingerprints, scopes and places
    cells: tuple[Sequence[Any] | None, ...]  # predictions, scores and the scores of classes

    @classmethod
    def of(cls, block: Block, but: Container[str]) -> "_Part":
        rows, which = block.rows, _left(block, but)
        places = (np.arange(block.row, block.end) if isinstance(which, slice) else which) + (block.place - block.row)
        numbers = (rows.stamps[which], rows.offsets[which], rows.fingerprints[which], np.full_like(places, block.scope))
        cells = (rows.predictions, rows.scores, rows.classes)
        return cls(
            taken(rows.ids, which),
            np.stack([*numbers, places]),
            tuple(None if column is None else taken(column, which) for column in cells),
        )


def _left(block: Block, but: Container[str]) -> Taken:
    if not but:
        return slice(block.row, block.end)
    return np.array([row for row, name in enumerate(block.names, block.row) if name not in but], dtype=np.int64)


def _text(names: Sequence[str]) -> tuple[Bytes, Places]:
    """All ids one after the other, and where each ends."""
    text = "".join(names)
    if text.isascii():
        return _bytes(text.encode()), np.cumsum(list(map(len, names)))
    encoded = [name.encode("utf-8", "surrogatepass") for name in names]
    return _bytes(b"".join(encoded)), np.cumsum(list(map(len, encoded)))


class _Cells(NamedTuple):
    """Of each column the row's word, or -1 and the bits of its number."""

    codes: NDArray[np.int64]
    bits: NDArray[np.int64]
    words: Bytes
    ends: Places

    @property
    def words_bytes(self) -> int:
        """Of all rows together."""
        return int(np.diff(self.ends, prepend=0)[self.codes[self.codes >= 0]].sum())


def _cells(parts: Sequence[_Part]) -> _Cells:
    words, found = [_PACK(None)], list[NDArray[np.int64]]()
    for part in parts:
        codes, bits = np.zeros((2, len(part.cells), len(part.names)), dtype=np.int64)
        for column, cells in enumerate(part.cells):
            if isinstance(cells, NumberCells):
                codes[column] = np.where(cells.missing, 0, -1)
                bits[column] = np.ascontiguousarray(cells.values, dtype=np.float64).view(np.int64)
            elif isinstance(cells, WordCells):
                codes[column] = np.where(cells.missing, 0, cells.codes + len(words))
                words += map(_PACK, cells.words)
            elif cells is not None:
                codes[column] = np.arange(len(words), len(words) + len(cells))
                words += map(_PACK, cells)
        found.append(np.stack([codes, bits]))
    codes, bits = np.concatenate(found, axis=2)
    return _Cells(codes, bits, _bytes(b"".join(words)), np.cumsum(list(map(len, words))))


def _bytes(content: bytes) -> Bytes:
    return np.frombuffer(bytearray(content), dtype=np.uint8)


# -- what is compiled -------------------------------------------------------------------------------------------------


@compiled
def _beginnings(text: Bytes, ends: Places) -> NDArray[np.uint64]:
    """Of each id the first bytes, as a number of the same order."""
    found, start = np.zeros(len(ends), dtype=np.uint64), 0
    for name in range(len(ends)):
        for byte in range(8):
            found[name] <<= np.uint64(8)
            if start + byte < ends[name]:
                found[name] |= np.uint64(text[start + byte])
        start = ends[name]
    return found


@inlined
def _put(out: Bytes, at: int, content: Bytes, start: int, end: int) -> int:
    for byte in range(start, end):
        out[at + byte - start] = content[byte]
    return at + end - start


@inlined
def _put_large(out: Bytes, at: int, head: int, number: int, size: int) -> int:
    out[at] = head
    for byte in range(size):
        out[at + 1 + byte] = (number >> (8 * (size - 1 - byte))) & 0xFF
    return at + 1 + size


@inlined
def _put_number(out: Bytes, at: int, number: int) -> int:
    """As short as can be."""
    if -32 <= number < 128:
        out[at] = number & 0xFF
        return at + 1
    size, head = 0, 0xCC if number >= 0 else 0xD0
    most = number if number >= 0 else 2 * -(number + 1) + 1  # a sign takes a bit
    while size < 3 and most >> (8 << size):
        size += 1
    return _put_large(out, at, head + size, number, 1 << size)


@inlined
def _summed(out: Bytes, start: int, end: int, sums: NDArray[np.uint32], before: np.uint32) -> np.uint32:
    """The CRC-32 of these bytes, of which others come before."""
    left, at, low = before ^ np.uint32(0xFFFFFFFF), start, np.uint32(0xFF)
    while at + 4 <= end:
        for byte in range(4):
            left ^= np.uint32(out[at + byte]) << np.uint32(8 * byte)
        left = (
            sums[3, left & low]
            ^ sums[2, (left >> np.uint32(8)) & low]
            ^ sums[1, (left >> np.uint32(16)) & low]
            ^ sums[0, left >> np.uint32(24)]
        )
        at += 4
    while at < end:
        left = sums[0, (left ^ out[at]) & low] ^ (left >> np.uint32(8))
        at += 1
    return left ^ np.uint32(0xFFFFFFFF)


@compiled
def _write(
    order: Places,
    prefix: Bytes,
    names: Bytes,
    names_ends: Places,
    numbers: NDArray[np.int64],
    codes: NDArray[np.int64],
    bits: NDArray[np.int64],
    words: Bytes,
    words_ends: Places,
    version: int,
    head: Bytes,
    tail: Bytes,
    sums: NDArray[np.uint32],
    sum_of_version: np.uint32,
    out: Bytes,
    cuts: Places,
) -> None:
    """The key and the record of one row after the other. ``cuts``: where each of them ends."""
    at, cut = 0, 0
    for row in order:
        at = _put(out, at, prefix, 0, len(prefix))
        at = _put(out, at, names, names_ends[row - 1] if row else 0, names_ends[row])
        cuts[cut + 1] = at
        begun = at + 5  # behind the version and the checksum
        at = _put(out, begun, head, 0, len(head))
        for number in range(4):  # the time, the offset, the fingerprint and the scope
            at = _put_number(out, at, numbers[number, row])
        for column in range(3):
            word = codes[column, row]
            if word < 0:
                at = _put_large(out, at, 0xCB, bits[column, row], 8)
            else:
                at = _put(out, at, words, words_ends[word - 1] if word else 0, words_ends[word])
        at = _put_number(out, at, numbers[4, row])  # the place
        at = _put(out, at, tail, 0, len(tail))
        _put_large(out, begun - 5, version, int(_summed(out, begun, at, sums, sum_of_version)), 4)
        cut += 2
        cuts[cut] = at


def warm_up() -> None:
    """Compiles this, or loads it from numba's cache."""
    none = np.zeros(1, dtype=np.int64)
    rows = Stretch("", none, none, none, [""], WordCells(none, [""]), [None], FeatureRows({}, 1), none)
    records(b"", [Block(0, 0, rows, 0, 1)], ())
