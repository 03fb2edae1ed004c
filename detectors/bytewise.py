"""Which records of many have the same key, the bytes of some one after the other, and their checksums.

Nothing is made for a single record. Bytes are read at addresses, eight at once as one little-endian number.
"""

from typing import Any
from zlib import crc32

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from detectors.banks.jit import compiled

Bytes = NDArray[np.uint8]
Whole = NDArray[np.int64]

_NONE = -1


def _following() -> NDArray[np.uint32]:
    """What a byte does to a CRC-32 where so many others follow, up to fifteen: sixteen at a time are summed up."""
    table = np.zeros((16, 256), dtype=np.uint32)
    table[0] = [crc32(bytes([byte]), 0xFFFF_FFFF) ^ 0xFFFF_FFFF for byte in range(256)]
    for after in range(1, 16):
        table[after] = table[after - 1] >> 8 ^ table[0][table[after - 1] & 0xFF]
    return table


_FOLLOWING = _following()


def _copying(_: Any, into: types.Type, source: types.Type, length: types.Type) -> Any:
    def made(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        places = [builder.inttoptr(address, byte) for address in arguments[:2]]
        cgutils.raw_memcpy(builder, *places, arguments[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), made


def _reading(_: Any, address: types.Type) -> Any:
    def made(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()), align=1)

    return types.uint64(types.int64), made


_copy, _eight = intrinsic(_copying), intrinsic(_reading)


@compiled
def group(text: Bytes, starts: Whole, ends: Whole, codes: Whole, firsts: Whole) -> int:
    """How many keys there are. ``codes``: a number for each record's key; ``firsts``: the first record of each.

    A record without a key, which begins nowhere, has no number.
    """
    size = 4
    while size < 2 * len(starts):
        size *= 2
    table = np.full(size, _NONE, dtype=np.int64)
    last, known = np.uint64(size - 1), 0
    for row in range(len(starts)):
        start, length = starts[row], ends[row] - starts[row]
        codes[row] = _NONE
        if start < 0:
            continue
        place = np.uint64(0xCBF2_9CE4_8422_2325)  # FNV-1a
        for byte in range(length):
            place = (place ^ np.uint64(text[start + byte])) * np.uint64(0x0000_0100_0000_01B3)
        place ^= place >> np.uint64(32)
        while True:
            code = table[np.int64(place & last)]
            if code < 0:
                table[np.int64(place & last)], firsts[known], code, known = known, row, known, known + 1
                break
            first = starts[firsts[code]]
            same = ends[firsts[code]] - first == length
            byte = 0
            while same and byte < length:
                same = text[first + byte] == text[start + byte]
                byte += 1
            if same:
                break
            place += np.uint64(1)
        codes[row] = code
    return known


@compiled
def gather(addresses: Whole, starts: Whole, ends: Whole) -> int:
    """How long they are together. What begins nowhere has no bytes.

    ``addresses``: of the text, and of what has room for them.
    """
    text, into, at = addresses[0], addresses[1], 0
    for row in range(len(starts)):
        length = ends[row] - starts[row]
        _copy(into + at, text + starts[row], length)
        at += length
    return at


@compiled
def checksums(address: int, starts: Whole, ends: Whole, sums: Whole) -> None:
    """The CRC-32 of each, as ``zlib`` has it. After the last there are seven bytes more."""
    low, byte = np.uint64(0xFFFF_FFFF), np.uint64(0xFF)
    for row in range(len(starts)):
        at, end, crc = address + starts[row], address + ends[row], low
        while at + 16 <= end:
            first, second = _eight(at) ^ crc, _eight(at + 8)
            crc = np.uint64(0)
            for place in range(8):
                shift = np.uint64(8 * place)
                crc ^= np.uint64(_FOLLOWING[np.uint64(15 - place), (first >> shift) & byte])
                crc ^= np.uint64(_FOLLOWING[np.uint64(7 - place), (second >> shift) & byte])
            at += 16
        while at < end:
            crc = (crc >> np.uint64(8)) ^ np.uint64(_FOLLOWING[np.uint64(0), (crc ^ _eight(at)) & byte])
            at += 1
        sums[row] = np.int64(crc ^ low)


def warm_up() -> None:
    text, places = np.zeros(8, dtype=np.uint8), np.zeros(1, dtype=np.int64)
    given = text.view()
    given.flags.writeable = False  # as that of bytes is
    group(given, places, places, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))
    gather(np.array([given.ctypes.data, text.ctypes.data]), places, places)
    checksums(given.ctypes.data, places, places, np.zeros(1, dtype=np.int64))
