"""Numbers as few bytes, and back, to the last bit.

A state is written several times a second, and most of its numbers are counts. ``pack`` takes any floats: a whole number
goes as one to seven bytes, any other as its own eight, and a bit for each says which. ``pack_steps`` takes integers
that lie close to the ones before them, such as times, and writes the differences.

Nothing here sees damage: the record that these bytes stand in has a checksum. But no bytes can make it read or write
where it must not, and bytes that do not come out even are refused.
"""

import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import StateError
from detectors.banks.jit import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]

_COUNT = 4  # bytes in front that say how many numbers follow
_LONGEST = 10  # bytes of a 64-bit integer, seven bits in each
_WHOLE_END = 2.0**48  # whole numbers below take at most seven bytes; from here on eight of a float are shorter


def pack(values: Floats) -> bytes:
    """The values of one row, which lies in one piece."""
    out = np.empty(_COUNT + 9 * len(values) + 1, dtype=np.uint8)
    return out[: _pack(values, out)].tobytes()


def unpack(data: bytes) -> Floats:
    values = np.empty(_counted(data))
    if not _unpack(np.frombuffer(data, dtype=np.uint8), values):
        raise StateError("a row of numbers in this state does not come out even")
    return values


def pack_steps(values: Integers, apart: int = 1) -> bytes:
    """Integers, each as its difference from the one so many places before it."""
    out = np.empty(_COUNT + _LONGEST * len(values), dtype=np.uint8)
    return out[: _pack_steps(values, apart, out)].tobytes()


def unpack_steps(data: bytes, apart: int = 1) -> Integers:
    values = np.empty(_counted(data), dtype=np.int64)
    if not _unpack_steps(np.frombuffer(data, dtype=np.uint8), apart, values):
        raise StateError("a row of integers in this state does not come out even")
    return values


def warm_up() -> None:
    unpack(pack(np.zeros(1)))
    unpack_steps(pack_steps(np.zeros(1, dtype=np.int64)))


def _counted(data: bytes) -> int:
    count = int.from_bytes(data[:_COUNT], "little")
    if count > len(data) - _COUNT:  # none takes less than a byte
        raise StateError(f"{count} numbers do not fit in {len(data)} bytes of state")
    return count


@compiled
def _pack(values: Floats, out: Bytes) -> int:
    bits = values.view(np.uint64)
    at = _COUNT + (len(values) + 7) // 8
    out[:at] = 0
    for byte in range(_COUNT):
        out[byte] = np.uint8((len(values) >> (8 * byte)) & 255)
    for i in range(len(values)):
        value = values[i]
        # NaN and the infinities fail a comparison; of the zeros only the one without a sign is whole here.
        if np.floor(value) == value and abs(value) < _WHOLE_END and bits[i] != np.uint64(1 << 63):
            whole = np.int64(value)
            left = np.uint64((whole << 1) ^ (whole >> 63))  # 0, -1, 1, -2, ...: small ones of either sign are short
            while left > np.uint64(127):
                out[at] = np.uint8(left & np.uint64(127)) | np.uint8(128)
                left >>= np.uint64(7)
                at += 1
            out[at] = np.uint8(left)
            at += 1
        else:
            out[_COUNT + (i >> 3)] |= np.uint8(1 << (i & 7))
            for byte in range(8):
                out[at + byte] = np.uint8((bits[i] >> np.uint64(8 * byte)) & np.uint64(255))
            at += 8
    return at


@compiled
def _unpack(data: Bytes, values: Floats) -> bool:
    bits = values.view(np.uint64)
    size = len(data)
    at = _COUNT + (len(values) + 7) // 8
    if at > size:
        return False
    for i in range(len(values)):
        if data[_COUNT + (i >> 3)] & np.uint8(1 << (i & 7)):
            if at + 8 > size:
                return False
            raw = np.uint64(0)
            for byte in range(8):
                raw |= np.uint64(data[at + byte]) << np.uint64(8 * byte)
            bits[i] = raw
            at += 8
            continue
        read, shift = np.uint64(0), 0
        while True:
            if at >= size or shift > 63:
                return False
            byte = data[at]
            at += 1
            read |= np.uint64(byte & np.uint8(127)) << np.uint64(shift)
            shift += 7
            if byte < 128:
                break
        values[i] = np.float64(np.int64(read >> np.uint64(1)) ^ -np.int64(read & np.uint64(1)))
    return at == size


@compiled
def _pack_steps(values: Integers, apart: int, out: Bytes) -> int:
    at = _COUNT
    for byte in range(_COUNT):
        out[byte] = np.uint8((len(values) >> (8 * byte)) & 255)
    for i in range(len(values)):
        step = values[i] - (values[i - apart] if i >= apart else np.int64(0))
        left = np.uint64((step << 1) ^ (step >> 63))
        while left > np.uint64(127):
            out[at] = np.uint8(left & np.uint64(127)) | np.uint8(128)
            left >>= np.uint64(7)
            at += 1
        out[at] = np.uint8(left)
        at += 1
    return at


@compiled
def _unpack_steps(data: Bytes, apart: int, values: Integers) -> bool:
    at = _COUNT
    for i in range(len(values)):
        read, shift = np.uint64(0), 0
        while True:
            if at >= len(data) or shift > 63:
                return False
            byte = data[at]
            at += 1
            read |= np.uint64(byte & np.uint8(127)) << np.uint64(shift)
            shift += 7
            if byte < 128:
                break
        step = np.int64(read >> np.uint64(1)) ^ -np.int64(read & np.uint64(1))
        values[i] = step + (values[i - apart] if i >= apart else np.int64(0))
    return at == len(data)
