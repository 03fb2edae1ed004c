"""The ids of a join in the order in which they came, each with its time."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import StateError
from detectors.columns import Places
from detectors.kept import Kept
from detectors.sealing import seal

CHUNK = 128  # places of a line in one record: the newest one is written again until it is full
READ_BACK_MAX = 2  # records of a line at hand that were read: of the oldest id that waits, and of the oldest known
SEGMENT = 1_024  # places whose marks are one record

Chunk = tuple["array[int]", list[str]]  # times and ids

_CHUNKS: msgspec.msgpack.Decoder[tuple[int, list[int], list[str]]] = msgspec.msgpack.Decoder(
    tuple[int, list[int], list[str]]
)
_PACK = msgspec.msgpack.Encoder().encode


class Room(Protocol):
    """Where it is kept."""

    @property
    def kept(self) -> Kept | None: ...
    def touch(self, thing: "Line") -> None: ...
    def get(self, key: bytes) -> bytes | None: ...
    def delete(self, key: bytes) -> None: ...


class Line:
    """Ids in numbered places, in the order in which they came, each with its time; some of them are marked."""

    def __init__(self, room: Room, number: int, ends: int = 0, forgotten: int = 0) -> None:
        self._room = room
        self._chunk_prefix = b"L" + number.to_bytes(4, "big")
        self._marks_prefix = b"B" + number.to_bytes(4, "big")
        self.end = ends  # the place of the next one
        self._forgotten = forgotten  # places before this one are not asked for again
        self._chunks: dict[int, Chunk] = {}
        self._read_back: dict[int, Chunk] = {}  # as it was written
        self._newest: Chunk | None = None
        self._written = ends  # places from here on are not written
        self._marks: dict[int, bytearray] = {}
        self._marked: dict[int, None] = {}  # segments whose marks are not written

    def append(self, time: int, name: str) -> int:
        times, names = self._open_chunk()
        times.append(time)
        names.append(name)
        self.end += 1
        return self.end - 1

    def append_all(self, times: Places, names: Sequence[str]) -> int:
        """The place of the first of them."""
        first, done = self.end, 0
        while done < len(names):
            newest = self._open_chunk()
            some = slice(done, done + CHUNK - self.end % CHUNK)
            newest[0].frombytes(times[some].tobytes())
            newest[1].extend(names[some])
            self.end += len(names[some])
            done = some.stop
        return first

    def _open_chunk(self) -> Chunk:
        """Where the next one goes."""
        number, taken = divmod(self.end, CHUNK)
        if self._newest is None or not taken:
            self._newest = self._chunks[number] = self._chunk(number) if taken else _chunk(())
        if self.end == self._written:
            self._room.touch(self)
        return self._newest

    def at(self, place: int) -> tuple[int, str]:
        """The time and the id."""
        times, names = self._chunk(place // CHUNK)
        return times[place % CHUNK], names[place % CHUNK]

    def _chunk(self, number: int) -> Chunk:
        chunk = self._chunks.get(number)
        if chunk is None:
            chunk = self._read_back.get(number)
        return self._fetched(number) if chunk is None else chunk

    def _fetched(self, number: int) -> Chunk:
        """All of a line may be asked for in one go, when its model has fallen silent: little of it stays at hand."""
        first, since, names = _CHUNKS.decode(self._read(self._chunk_prefix, number))
        if len(self._read_back) >= READ_BACK_MAX:
            del self._read_back[next(iter(self._read_back))]
        chunk = self._read_back[number] = _chunk([first + later for later in since], names)
        return chunk

    def _read(self, prefix: bytes, number: int) -> bytes:
        content = self._room.get(_numbered(prefix, number))
        if content is None:
            raise StateError(f"part {number} of the line {prefix.hex()} is missing")
        return content

    def mark(self, place: int) -> None:
        number, bit = divmod(place, SEGMENT)
        marks = self._marks.get(number) or self._segment(number)  # it is asked for with every label
        marks[bit >> 3] |= 1 << (bit & 7)
        if number not in self._marked and self._room.kept is not None:
            self._marked[number] = None
            self._room.touch(self)

    def marked(self, place: int) -> bool:
        number, bit = divmod(place, SEGMENT)
        return bool(self._segment(number)[bit >> 3] & (1 << (bit & 7)))

    def marks(self, first: int, end: int) -> NDArray[np.bool_]:
        """Of each place from the first on, whether it is marked."""
        begin = first // SEGMENT
        packed = b"".join(self._segment(number) for number in range(begin, -(-end // SEGMENT)))
        bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), bitorder="little")
        return bits[first - begin * SEGMENT : end - begin * SEGMENT].astype(np.bool_)

    def _segment(self, number: int) -> bytearray:
        marks = self._marks.get(number)
        if marks is None:
            content = self._room.get(_numbered(self._marks_prefix, number))
            marks = self._marks[number] = bytearray(SEGMENT // 8 if content is None else content)
        return marks

    def forget(self, place: int) -> None:
        """Nothing before the place is asked for again."""
        for number in range(self._forgotten // CHUNK, place // CHUNK):
            self._chunks.pop(number, None)
            self._read_back.pop(number, None)
            self._room.delete(_numbered(self._chunk_prefix, number))
        for number in range(self._forgotten // SEGMENT, place // SEGMENT):
            self._marks.pop(number, None)
            self._marked.pop(number, None)
            self._room.delete(_numbered(self._marks_prefix, number))
        self._forgotten = place

    def write(self, puts: list[tuple[bytes, bytes]], deletes: list[bytes]) -> None:
        if self._written < self.end:
            first = max(self._written, self._forgotten) // CHUNK
            numbers = range(first, (self.end - 1) // CHUNK + 1)
            puts += [(_numbered(self._chunk_prefix, number), seal(_packed(self._chunks[number]))) for number in numbers]
        self._written = self.end
        puts += [(_numbered(self._marks_prefix, number), seal(bytes(self._marks[number]))) for number in self._marked]
        self._marked = {}
        newest = (self.end - 1) // CHUNK
        self._chunks = {number: chunk for number, chunk in self._chunks.items() if number == newest}
        self._read_back = {}


def _numbered(prefix: bytes, number: int) -> bytes:
    return prefix + number.to_bytes(8, "big")


def _chunk(times: Iterable[int], names: Sequence[str] = ()) -> Chunk:
    return array("q", times), list(names)


def _packed(chunk: Chunk) -> bytes:
    times, names = chunk
    first = times[0]
    return _PACK((first, [time - first for time in times], names))
