"""Reads many predictions of one model out of their bytes, without an object for each value.

What is said is what the JSON parser would say, bit for bit, or the record is not taken and goes to the parser. A number
is rounded as by any correct reader: by one exact operation where the digits are few, by Eisel and Lemire's method
(D. Lemire, "Number Parsing at a Gigabyte per Second", 2021) otherwise.

Bytes are read at addresses, eight at once as one little-endian number: to hand an array from one function to another
costs more than to read it.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from detectors.banks.jit import compiled, inlined

Bytes = NDArray[np.uint8]
Whole = NDArray[np.int64]
Unsigned = NDArray[np.uint64]
Floats = NDArray[np.float64]

# What may stand in a slot, as ``schemas.forms.Takes`` has it. A kernel uses nothing of another file.
_NUMBER, _TEXT, _BOOLEAN, _NULL, _WHOLE, _ABSENT = 1, 2, 4, 8, 16, 32
_WORDED = _TEXT | _BOOLEAN
_TAKES, _SHORTEST, _LONGEST, _COLUMN, _SPANS = range(5)  # of a slot
_NOT_TAKEN = -1
_NOTHING = -1  # no word

_QUOTE, _PLUS, _MINUS, _POINT, _ZERO, _BACKSLASH, _SMALL, _E, _N = b'"+-.0\\aen'
_TRUE, _FALS, _NULL_WORD = (int.from_bytes(word, "little") for word in (b"true", b"fals", b"null"))
_EIGHT = 0x0101_0101_0101_0101  # a byte in each of eight
_PAIRS = 0x0000_00FF_0000_00FF
_DIGITS_MAX = 19  # more do not fit into a word
_TENS_MAX = 80  # powers of ten beyond are left to the parser: no measured number has them
_SPARE_BYTES = 32
# After the last record: no reader of eight bytes leaves the text, and neither text nor number goes on.
SPARE = bytes(_SPARE_BYTES)


def _fives() -> Unsigned:
    """The first 128 bits of each power of five, in two words."""
    words = np.zeros((2 * _TENS_MAX + 1, 2), dtype=np.uint64)
    for place, power in enumerate(range(-_TENS_MAX, _TENS_MAX + 1)):
        five: int = 5 ** abs(power)
        if power < 0:
            bits = (five - 1).bit_length()
            five = (1 << (bits + 127 if power >= -27 else 2 * bits + 128)) // five + 1
        five = five << 128 >> five.bit_length() if five.bit_length() > 128 else five << (128 - five.bit_length())
        words[place] = five >> 64, five & 0xFFFF_FFFF_FFFF_FFFF
    return words


_FIVES = _fives()
_WHOLE_TENS = np.array([10**power for power in range(9)], dtype=np.uint64)
_TENS = np.array([float(10**power) for power in range(23)])  # exact
_TWOS = np.ldexp(1.0, np.arange(-512, 512))


# -- memory -----------------------------------------------------------------------------------------------------------


def _reader(kind: types.Type, of: ir.Type) -> Any:
    """Reads what stands at an address, aligned or not."""

    def read(_: Any, address: types.Type) -> Any:
        def made(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            found = builder.load(builder.inttoptr(arguments[0], of.as_pointer()), align=1)
            return builder.zext(found, ir.IntType(64)) if of == ir.IntType(8) else found

        return kind(types.int64), made

    return intrinsic(read)


def _zeros(counted: str) -> Any:
    """How many bits before the first that is set: 64 of nothing."""

    def count(_: Any, number: types.Type) -> Any:
        def made(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, counted)(arguments[0], ir.Constant(ir.IntType(1), 0))

        return types.uint64(types.uint64), made

    return intrinsic(count)


_leading, _trailing = _zeros("ctlz"), _zeros("cttz")


def _product(_: Any, one: types.Type, other: types.Type) -> Any:
    """The high word of it."""

    def made(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        double = ir.IntType(128)
        product = builder.mul(*(builder.zext(word, double) for word in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(double, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), made


_high = intrinsic(_product)
_byte = _reader(types.uint64, ir.IntType(8))
_eight = _reader(types.uint64, ir.IntType(64))


# -- numbers ----------------------------------------------------------------------------------------------------------


@compiled
def _nearest(digits: np.uint64, tens: int) -> float:
    """``digits`` (not 0) times a power of ten, rounded to the nearest double."""
    shifted, one = _leading(digits), np.uint64(1)
    digits <<= shifted
    five, rest = _FIVES[tens + _TENS_MAX, 0], _FIVES[tens + _TENS_MAX, 1]
    high, low = _high(digits, five), digits * five
    if high & np.uint64(0x1FF) == np.uint64(0x1FF):  # what is left out may matter
        more = _high(digits, rest)
        low += more
        if more > low:
            high += one
    upper = high >> np.uint64(63)
    cut = upper + np.uint64(64 - 52 - 3)
    mantissa = high >> cut
    if low <= one and -4 <= tens <= 23 and mantissa & np.uint64(3) == one and mantissa << cut == high:
        mantissa &= ~one  # half-way between two: the even one
    mantissa = (mantissa + (mantissa & one)) >> one
    power = ((217_706 * tens) >> 16) + 63 + np.int64(upper) - np.int64(shifted) - 52
    nearest: float = np.float64(mantissa) * _TWOS[power + 512]
    return nearest


@compiled
def _of_digits(eight: np.uint64) -> np.uint64:
    """The number that eight digits make: pairs, fours, all."""
    eight = eight * np.uint64(10) + (eight >> np.uint64(8))
    first = (eight & np.uint64(_PAIRS)) * np.uint64(0x000F_4240_0000_0064)
    second = ((eight >> np.uint64(16)) & np.uint64(_PAIRS)) * np.uint64(0x0000_2710_0000_0001)
    return (first + second) >> np.uint64(32)


@inlined
def _digits(at: int, before: np.uint64) -> tuple[int, np.uint64]:
    """Where digits end, and what they make after those before. They may be too many for a word."""
    zeros, sevens, highs = np.uint64(_EIGHT * _ZERO), np.uint64(_EIGHT * 0x7F), np.uint64(_EIGHT * 0x80)
    while True:
        eight = _eight(at) ^ zeros
        others = (((eight & sevens) + np.uint64(_EIGHT * (0x7F - 9))) | eight) & highs
        if others:
            break
        before = before * _WHOLE_TENS[8] + _of_digits(eight)
        at += 8
    count = np.int64(_trailing(others) >> np.uint64(3))
    if count:  # as if zeros stood before them
        eight <<= np.uint64(64 - 8 * count)
        before = before * _WHOLE_TENS[count] + _of_digits(eight)
    return at + int(count), before


@compiled
def _power(at: int) -> tuple[int, np.int64]:
    """Where the part after an ``e`` ends, and the power of ten that it says."""
    down = _byte(at) == _MINUS
    if down or _byte(at) == _PLUS:
        at += 1
    end, power = _digits(at, np.uint64(0))
    if not at < end < at + 4:
        return _NOT_TAKEN, np.int64(0)
    return end, -np.int64(power) if down else np.int64(power)


@inlined
def _value(digits: np.uint64, significant: int, tens: int) -> float:
    """``digits`` (not 0) times a power of ten; less than nothing where that is not known."""
    if significant <= 15 and -22 <= tens <= 22:
        value: float = digits / _TENS[-tens] if tens < 0 else digits * _TENS[tens]
        return value
    return _nearest(digits, tens) if -_TENS_MAX <= tens <= _TENS_MAX else -1.0


@inlined
def _number(at: int) -> tuple[int, float, bool]:
    """Of a number that begins here: where it ends, its value, and whether it is written as a whole one."""
    negative = _byte(at) == _MINUS
    if negative:
        at += 1
    first, digits = at, _byte(at) - np.uint64(_ZERO)
    if digits < np.uint64(10) and _byte(at + 1) - np.uint64(_ZERO) >= np.uint64(10):  # as in most
        at += 1
    else:
        at, digits = _digits(at, np.uint64(0))
    significant, tens, whole = at - first, 0, True
    if at == first or (_byte(first) == _ZERO and significant > 1):
        return _NOT_TAKEN, 0.0, False
    if _byte(at) == _POINT:
        first, whole = at + 1, False
        at = first
        if digits == np.uint64(0):
            significant = 0
            while _byte(at) == _ZERO:
                at += 1
        from_here = at
        at, digits = _digits(at, digits)
        significant, tens = significant + at - from_here, first - at
        if tens == 0:
            return _NOT_TAKEN, 0.0, False
    if significant > _DIGITS_MAX:
        return _NOT_TAKEN, 0.0, False
    if _byte(at) | np.uint64(32) == _E:
        at, power = _power(at + 1)
        tens, whole = tens + int(power), False
    if digits == np.uint64(0):
        return at, -0.0 if negative and not whole else 0.0, whole
    value = _value(digits, significant, tens)
    if value < 0.0:
        return _NOT_TAKEN, 0.0, False
    return at, (-value if negative else value), whole


# -- texts ------------------------------------------------------------------------------------------------------------


@compiled
def _same(at: int, wanted: int, length: int) -> bool:
    """Whether these bytes stand there. Beyond both there are seven more."""
    while length >= 8:
        if _eight(at) != _eight(wanted):
            return False
        at, wanted, length = at + 8, wanted + 8, length - 8
    if not length:
        return True
    return bool((_eight(at) ^ _eight(wanted)) << np.uint64(8 * (8 - length)) == np.uint64(0))


@compiled
def _text_end(at: int) -> int:
    """Where a text ends whose quote stands here: after the other quote. Plain ASCII is taken, and no backslash."""
    ones, highs = np.uint64(_EIGHT), np.uint64(_EIGHT * 0x80)
    at += 1
    while True:
        eight = _eight(at)
        quote, backslash = eight ^ (ones * np.uint64(_QUOTE)), eight ^ (ones * np.uint64(_BACKSLASH))
        found = (quote - ones) | (backslash - ones) | eight | (eight - ones * np.uint64(32))  # the first one is right
        if found & highs:
            break
        at += 8
    at += int(_trailing(found & highs) >> np.uint64(3))
    return at + 1 if _byte(at) == _QUOTE else _NOT_TAKEN


@compiled
def _word_end(at: int) -> int:
    """Where ``true``, ``false`` or ``null`` ends."""
    word = _eight(at) & np.uint64(0xFFFF_FFFF)
    if word == np.uint64(_TRUE) or word == np.uint64(_NULL_WORD):
        return at + 4
    if word == np.uint64(_FALS) and _byte(at + 4) == _E:
        return at + 5
    return _NOT_TAKEN


@inlined
def _read(at: int, takes: int, shortest: int, longest: int, least: float, most: float) -> tuple[int, int, float]:
    """Of a value that begins here: where it ends, its kind, and its number if it has one."""
    first, start = _byte(at), at
    if takes & _ABSENT:
        return at, _ABSENT, np.nan
    if first == _QUOTE:
        at = _text_end(at)
        kind, number, fits = _TEXT, np.nan, shortest <= at - start - 2 <= longest
    elif first >= _SMALL:
        at = _word_end(at)
        kind, number, fits = _NULL if first == _N else _BOOLEAN, np.nan, True
    else:
        at, number, whole = _number(at)
        kind, fits = _NUMBER, least <= number <= most and (whole or not takes & _WHOLE)
    return (at if fits and takes & kind else _NOT_TAKEN), kind, number


@compiled
def _hash(at: int, end: int) -> np.uint64:
    """FNV-1a."""
    place = np.uint64(0xCBF2_9CE4_8422_2325)
    while at < end:
        place = (place ^ _byte(at)) * np.uint64(0x0000_0100_0000_01B3)
        at += 1
    return place ^ (place >> np.uint64(32))


# -- records ----------------------------------------------------------------------------------------------------------


@compiled
def scan(
    addresses: Whole,
    ends: Whole,
    literal_ends: Whole,
    forms: Whole,
    slots: Whole,
    bounds: Floats,
    numbers: Floats,
    spans: Whole,
    saw: Whole,
    rows: Whole,
) -> int:
    """How many records were taken. ``rows``: which of them they are.

    ``addresses``: of the text and the literals. ``ends``: of each record in the text. ``forms``: the first
    slot of each form, and one more. ``numbers`` and ``spans``: what each column says; ``saw``: all that it has shown.
    """
    text, literals = addresses[0], addresses[1]
    taken, usual, start, kinds = 0, 0, text, np.zeros_like(saw)
    for record in range(len(ends)):
        end = text + ends[record]
        for tried in range(len(forms) - 1):
            form = (usual + tried) % (len(forms) - 1)
            at, literal = start, forms[form] + form
            for slot in range(forms[form], forms[form + 1] + 1):
                first, length = literal_ends[literal], literal_ends[literal + 1] - literal_ends[literal]
                if at + length > end or not _same(at, literals + first, length):
                    at = _NOT_TAKEN
                    break
                at, literal = at + length, literal + 1
                if slot == forms[form + 1]:
                    break
                value, takes, column, span = at, slots[slot, _TAKES], slots[slot, _COLUMN], slots[slot, _SPANS]
                shortest, longest = slots[slot, _SHORTEST], slots[slot, _LONGEST]
                least, most = bounds[slot, 0], bounds[slot, 1]
                at, kind, number = _read(at, takes, shortest, longest, least, most)
                if at < 0 or (kind & _WORDED and column >= 0 and span < 0):
                    at = _NOT_TAKEN
                    break
                if column >= 0:
                    numbers[column, taken], kinds[column] = number, kind
                if span >= 0:
                    spans[span, 0, taken] = value - text
                    spans[span, 1, taken] = (at if kind & _WORDED else value) - text
            if at == end:
                rows[taken] = record
                saw |= kinds
                taken, usual = taken + 1, form
                break
        start = end
    return taken


@compiled
def code(addresses: Whole, spans: Whole, table: Whole, pool: Bytes, pool_ends: Whole, met: Whole, codes: Whole) -> bool:
    """What stands for each word of a column; what is new is remembered. Whether there was room for all of them.

    ``addresses``: of the text and of ``pool``, which holds the words that were met. ``table``: their numbers by hash.
    """
    text, words, last = addresses[0], addresses[1], np.uint64(len(table) - 1)
    for row in range(len(codes)):
        start, end = spans[0, row], spans[1, row]
        codes[row] = _NOTHING
        if start == end:
            continue
        place = _hash(text + start, text + end)
        number = table[np.int64(place & last)]
        while number >= 0:
            first = pool_ends[number]
            if _same(text + start, words + first, pool_ends[number + 1] - first):  # none begins like another one
                break
            place += np.uint64(1)
            number = table[np.int64(place & last)]
        if number < 0:
            number = met[0]
            first = pool_ends[number]
            if number == len(pool_ends) - 1 or first + end - start > len(pool) - _SPARE_BYTES:
                return False
            for byte in range(end - start):
                pool[first + byte] = _byte(text + start + byte)
            pool_ends[number + 1] = first + end - start
            table[np.int64(place & last)], met[0] = number, number + 1
        codes[row] = number
    return True
