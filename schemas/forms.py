"""How a producer writes its predictions: the bytes that are the same in each, and what stands between them.

A form is learned from one prediction that has been read. Producers write the same names in the same order again and
again, so another one that fits it, byte for byte between its values, says the same with other values: it needs no
parser. What may stand in a place is read off the event's own types.
"""

import re
from collections.abc import Iterator
from enum import IntFlag
from typing import NamedTuple

import msgspec.inspect as mi

from schemas.events import EXACT_INT_MAX, Prediction
from schemas.topics import VALUE_BYTES_MAX
from schemas.violations import FIELDS, members

SLOTS_MAX = 2_048  # values of one prediction: twice the features that are monitored by default
LITERALS_BYTES_MAX = 128 * 1024  # the names of so many, thrice as long as they are as a rule


class Takes(IntFlag):
    """What may stand in a slot."""

    NUMBER = 1
    TEXT = 2
    BOOLEAN = 4
    NULL = 8
    WHOLE = 16  # a number without a point
    ABSENT = 32  # nothing stands there: others of the model's forms have it


class Slot(NamedTuple):
    """The place of one value. ``name``: of what is told in an object of its own, such as a feature."""

    field: str
    name: str
    takes: Takes
    shows: Takes  # what stands there in the prediction that it is learned from
    least: float  # of a number
    most: float
    shortest: int  # of a text, in characters
    longest: int

    @property
    def path(self) -> tuple[str, str]:
        return self.field, self.name


class Form(NamedTuple):
    """``literals``: what stands before each slot, and last what stands after all of them."""

    literals: tuple[bytes, ...]
    slots: tuple[Slot, ...]

    def slots_of(self, field: str) -> list[Slot]:
        """Of what is told in an object of its own."""
        return [slot for slot in self.slots if slot.field == field]


_TOKEN = re.compile(
    rb'[ \t\r\n]*+(?:(?P<mark>[{}:,])|(?P<text>"(?:[^"\\]|\\.)*+")'
    rb"|(?P<number>-?\d[\d.eE+-]*+)|(?P<word>true|false|null))",
    re.DOTALL,
)
_PLAIN_NAME = re.compile(r"[ !#-\[\]-~]+")  # no quote, no backslash, nothing beyond ASCII
_SAME_IN_ALL = ("type", "v", "model", "role")


class _UnusualError(ValueError):
    """It is written in a way that is left to the parser."""


def form_of(value: bytes) -> Form | None:
    """Of a prediction that the decoder has taken as it is; ``None`` where it is written in an unusual way."""
    try:
        places = list(_places(value))
    except _UnusualError:
        return None
    if len(places) > SLOTS_MAX:
        return None
    literals, start = [], 0
    for _, first, end in places:
        literals.append(value[start:first])
        start = end
    literals.append(value[start:])
    if sum(map(len, literals)) > LITERALS_BYTES_MAX:
        return None
    return Form(tuple(literals), tuple(slot for slot, _, _ in places))


def _places(value: bytes) -> Iterator[tuple[Slot, int, int]]:
    """The slots, each with where its value begins and ends."""
    tokens = _tokens(value)
    _expect(tokens, b"{")
    for field, (kind, start, end) in _entries(tokens, value):
        if kind == b"{":
            slots = [(_slot(field, name, value[a:z]), a, z) for name, (_, a, z) in _entries(tokens, value)]
            if not slots and field != "features":  # nothing told is not the same as nothing asked
                raise _UnusualError
            yield from slots
        elif field not in _SAME_IN_ALL and field not in _OBJECTS:  # such an object may be null
            yield _slot(field, "", value[start:end]), start, end
    if value[_end_of(tokens) :].strip(b" \t\r\n"):
        raise _UnusualError


_Token = tuple[bytes, int, int]  # a mark as it is or what else it is, and where it begins and ends


def _tokens(value: bytes) -> Iterator[_Token]:
    at = 0
    while match := _TOKEN.match(value, at):
        kind, at = str(match.lastgroup), match.end()
        yield match[0][-1:] if kind == "mark" else kind.encode(), match.start(kind), at
    yield b"", at, len(value)


def _end_of(tokens: Iterator[_Token]) -> int:
    kind, start, _ = next(tokens)
    if kind:
        raise _UnusualError
    return start


def _expect(tokens: Iterator[_Token], *kinds: bytes) -> _Token:
    token = next(tokens, (b"", 0, 0))
    if token[0] not in kinds:
        raise _UnusualError
    return token


def _entries(tokens: Iterator[_Token], value: bytes) -> Iterator[tuple[str, _Token]]:
    """Names and values of an object that is open, until it is closed."""
    seen: set[str] = set()
    kind, start, end = _expect(tokens, b"text", b"}")
    while kind != b"}":
        name = value[start + 1 : end - 1].decode()
        if name in seen or _PLAIN_NAME.fullmatch(name) is None:
            raise _UnusualError
        seen.add(name)
        _expect(tokens, b":")
        yield name, _expect(tokens, b"text", b"number", b"word", b"{")
        kind, start, end = _expect(tokens, b",", b"}")
        if kind == b",":
            kind, start, end = _expect(tokens, b"text")


def _shown(token: bytes) -> Takes:
    if token[:1] == b'"':
        return Takes.TEXT
    if token == b"null":
        return Takes.NULL
    return Takes.BOOLEAN if token in (b"true", b"false") else Takes.NUMBER


# -- what the event's types allow -------------------------------------------------------------------------------------


def _slot(field: str, name: str, token: bytes) -> Slot:
    return _ALLOWED[field]._replace(name=name, shows=_shown(token))


def _allowed(field: str, info: mi.Type) -> Slot:
    slot = Slot(field, "", Takes(0), Takes(0), float("-inf"), float("inf"), 0, VALUE_BYTES_MAX)
    for member in members(info):
        match member:
            case mi.DictType():
                return _allowed(field, member.value_type)
            case mi.FloatType() | mi.IntType():
                kind = Takes.NUMBER if isinstance(member, mi.FloatType) else Takes.NUMBER | Takes.WHOLE
                least = slot.least if member.ge is None else float(member.ge)
                most = slot.most if member.le is None else float(member.le)
                if isinstance(member, mi.IntType):
                    most = min(EXACT_INT_MAX, most if member.lt is None else member.lt - 1)
                slot = slot._replace(takes=slot.takes | kind, least=least, most=most)
            case mi.StrType():
                shortest, longest = member.min_length or 0, member.max_length or slot.longest
                slot = slot._replace(takes=slot.takes | Takes.TEXT, shortest=shortest, longest=longest)
            case mi.BoolType():
                slot = slot._replace(takes=slot.takes | Takes.BOOLEAN)
            case mi.NoneType():
                slot = slot._replace(takes=slot.takes | Takes.NULL)
    return slot  # a time may be a text too: such a one is left to the parser


_FIELDS = {field.name: field.type for field in FIELDS[Prediction]}
_ALLOWED = {name: _allowed(name, info) for name, info in _FIELDS.items()}
_OBJECTS = frozenset(
    name for name, info in _FIELDS.items() if any(isinstance(member, mi.DictType) for member in members(info))
)
