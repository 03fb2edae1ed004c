"""The slow way through a record that the fast decoder refused: finds the one reason, or that there is none.

The fields, their types and their bounds are read off the events themselves, so nothing is said twice.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import msgspec.inspect as mi
import numpy as np
import orjson

from schemas.events import INPUTS, ControlAction, Input, event_type
from schemas.reasons import DeadLetterReason

DEPTH_MAX = 100  # of brackets in brackets: events need 2, and parsers fail somewhere beyond 500
QUOTED_CHARACTERS_MAX = 80  # of a record's own text in a detail


class Rejection(NamedTuple):
    """Why a record could not be taken: a reason for the counters, a detail for people."""

    reason: DeadLetterReason
    detail: str


class _Overflow:
    """Stands for a number that no double can hold."""


_OVERFLOW = _Overflow()
_WHITESPACE = b" \t\r\n"  # JSON's own
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKETS = b"[{]}"
_STEPS = bytes.maketrans(_BRACKETS, b"\x01\x01\xff\xff")  # as signed bytes: one deeper, one less deep
_NO_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))


def parse(value: bytes) -> dict[str, Any] | Rejection:
    """The record as an object. The last of equal names in one object wins, as in most JSON readers."""
    if not value.strip(_WHITESPACE):
        return Rejection(DeadLetterReason.EMPTY, "the value holds nothing but white space: send an event")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        return Rejection(DeadLetterReason.NOT_UTF8, f"byte {error.start} is not UTF-8: encode the JSON as UTF-8")
    if is_too_deep(value):
        return Rejection(DeadLetterReason.TOO_DEEP, f"nested deeper than {DEPTH_MAX} levels: an event needs 2")
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        parsed = _parse_leniently(text)
    if isinstance(parsed, dict | Rejection):
        return parsed
    return Rejection(DeadLetterReason.NOT_AN_OBJECT, f"the value is {_kind(parsed)}: send one JSON object a record")


def is_too_deep(value: bytes) -> bool:
    """Whether brackets open deeper than allowed, those in strings aside. Needs no parser, so none can fail."""
    if value.count(b"[") + value.count(b"{") <= DEPTH_MAX:
        return False
    steps = _STRING.sub(b"", value).translate(_STEPS, _NO_BRACKETS)
    depths = np.frombuffer(steps, dtype=np.int8).cumsum(dtype=np.int64)
    return int(depths.max(initial=0)) > DEPTH_MAX


def _parse_leniently(text: str) -> Any:
    """Tells apart what strict JSON refuses: NaN, numbers beyond a double (not refused here), and all the rest."""
    constants: list[str] = []
    try:
        parsed = json.loads(text, parse_constant=constants.append, parse_float=_number, parse_int=_number)
        json.dumps(parsed, ensure_ascii=False, default=lambda _: None).encode()
    except UnicodeEncodeError:
        return Rejection(DeadLetterReason.NOT_JSON, "a string holds half a surrogate pair: escape both halves or none")
    except (ValueError, RecursionError) as error:
        return Rejection(DeadLetterReason.NOT_JSON, f"{error}: send one JSON object a record")
    if constants:
        return Rejection(DeadLetterReason.NOT_FINITE, f"{constants[0]} is not JSON: send null for a missing number")
    return parsed


def _number(digits: str) -> float | int | _Overflow:
    """Not ``int`` for long ones: its cost grows with the square of the digits, and Python refuses 4,300 of them."""
    if digits.lstrip("-").isdecimal() and len(digits) < 20:
        return int(digits)
    number = float(digits)
    return number if math.isfinite(number) else _OVERFLOW


_BY_TYPE: Mapping[str, type[Input]] = {event_type(cls): cls for cls in INPUTS}


def kind_of(fields: Mapping[str, Any]) -> type[Input] | Rejection:
    """Which event a record says it is."""
    if "type" not in fields:
        return Rejection(DeadLetterReason.MISSING_TYPE, f"type is missing: {_one_of(_BY_TYPE)}")
    word = fields["type"]
    if isinstance(word, str) and word in _BY_TYPE:
        return _BY_TYPE[word]
    return Rejection(DeadLetterReason.UNKNOWN_TYPE, f"type is {quoted(word)}: {_one_of(_BY_TYPE)}")


def find(cls: type[Input], fields: Mapping[str, Any]) -> Rejection | None:
    """The first violation in the order in which the event declares its fields."""
    return next(_violations(cls, fields), None)


def _violations(cls: type[Input], fields: Mapping[str, Any]) -> Iterator[Rejection]:
    for field in FIELDS[cls]:
        if field.name in fields:
            if not _is_good_object(cls, field.name, fields[field.name]):
                yield from _in_value(field.type, fields[field.name], field.name)
        elif field.required:
            yield Rejection(
                DeadLetterReason.MISSING_FIELD, f"{field.name} is missing: a {event_type(cls)} must have it"
            )


def _is_good_object(cls: type[Input], name: str, value: object) -> bool:
    """Asked first, because msgspec goes through a good object twenty times faster than the search for a reason."""
    if not isinstance(value, dict):
        return False
    try:
        msgspec.convert(value, _TYPES[cls][name])
    except msgspec.ValidationError:
        return False
    return True


def _fields_of(cls: type[Input]) -> tuple[mi.Field, ...]:
    info = mi.type_info(cls)
    if not isinstance(info, mi.StructType):
        raise TypeError(f"{cls.__name__} is no struct")
    return info.fields


FIELDS: Mapping[type[Input], tuple[mi.Field, ...]] = {cls: _fields_of(cls) for cls in INPUTS}
_TYPES: Mapping[type[Input], Mapping[str, Any]] = {
    cls: {field.name: field.type for field in msgspec.structs.fields(cls)} for cls in INPUTS
}
NAMES: Mapping[type[Input], frozenset[str]] = {
    cls: frozenset(["type", *(field.name for field in fields)]) for cls, fields in FIELDS.items()
}

# The kinds of JSON value that a type of ours is written as.
_WRITTEN_AS: Mapping[type[mi.Type], str] = {
    mi.StrType: "a string",
    mi.EnumType: "a string",
    mi.DateTimeType: "a string",
    mi.FloatType: "a number",
    mi.IntType: "a number",
    mi.LiteralType: "a number",
    mi.BoolType: "a boolean",
    mi.NoneType: "null",
    mi.DictType: "an object",
}


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    for cls, word in ((str, "a string"), (dict, "an object"), (list, "an array")):
        if isinstance(value, cls):
            return word
    return "a number"


def _in_value(info: mi.Type, value: Any, path: str) -> Iterator[Rejection]:
    possible = members(info)
    kind = _kind(value)
    fitting = [member for member in possible if _WRITTEN_AS[type(member)] == kind]
    if not fitting:
        allowed = " or ".join(dict.fromkeys(_WRITTEN_AS[type(member)] for member in possible))
        yield Rejection(DeadLetterReason.WRONG_TYPE, f"{path} is {kind}: {allowed} is allowed")
    elif value is _OVERFLOW:
        yield Rejection(DeadLetterReason.NOT_FINITE, f"{path} is beyond any double: send null for a missing number")
    else:
        yield from _in_member(fitting[0], value, path)


def members(info: mi.Type) -> list[mi.Type]:
    """The types of which it is one."""
    if isinstance(info, mi.Metadata):
        return members(info.type)
    if isinstance(info, mi.UnionType):
        return [member for part in info.types for member in members(part)]
    return [info]


def _in_member(info: mi.Type, value: Any, path: str) -> Iterator[Rejection]:
    match info:
        case mi.StrType():
            yield from _in_text(info, value, path)
        case mi.EnumType():
            yield from _in_word(info, value, path)
        case mi.DateTimeType():
            yield from _in_time(value, path)
        case mi.LiteralType() | mi.IntType():
            yield from _in_whole(info, value, path)
        case mi.FloatType():
            yield from _in_range(info, value, path)
        case mi.DictType():
            yield from _in_object(info, value, path)


def _in_text(info: mi.StrType, value: str, path: str) -> Iterator[Rejection]:
    low, high = info.min_length or 0, info.max_length or math.inf
    if not low <= len(value) <= high:
        reason = DeadLetterReason.BAD_ID if path == "id" else DeadLetterReason.OUT_OF_RANGE
        yield Rejection(reason, f"{path} has {len(value)} characters: {low} to {high} are allowed")


def _in_word(info: mi.EnumType, value: str, path: str) -> Iterator[Rejection]:
    words = [str(word) for word in info.cls]
    if value not in words:
        unknown_action = info.cls is ControlAction
        reason = DeadLetterReason.UNKNOWN_ACTION if unknown_action else DeadLetterReason.UNKNOWN_VALUE
        yield Rejection(reason, f"{path} is {quoted(value)}: {_one_of(words)}")


def _in_time(value: str, path: str) -> Iterator[Rejection]:
    try:
        time = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        wanted = "RFC 3339 such as 2026-01-31T12:00:00Z, or integer epoch milliseconds"
        yield Rejection(DeadLetterReason.BAD_TIME, f"{path} is {quoted(value)}: {wanted}")
        return
    if time.tzinfo is None:
        wanted = "end it with Z or an offset such as +02:00"
        yield Rejection(DeadLetterReason.TIME_WITHOUT_ZONE, f"{path} is {quoted(value)}, without a zone: {wanted}")


def _in_whole(info: mi.LiteralType | mi.IntType, value: float, path: str) -> Iterator[Rejection]:
    # A whole number beyond 64 bits arrives here as a float: it is out of range, not of the wrong type.
    if isinstance(value, float) and abs(value) < 2**63:
        yield Rejection(DeadLetterReason.WRONG_TYPE, f"{path} is {value}: an integer is allowed, without a point")
    elif isinstance(info, mi.IntType):
        yield from _in_range(info, value, path)
    elif value not in info.values:
        known = _one_of(str(word) for word in info.values)
        yield Rejection(DeadLetterReason.UNKNOWN_VERSION, f"{path} is {value}: {known}")


def _in_range(info: mi.IntType | mi.FloatType, value: float, path: str) -> Iterator[Rejection]:
    bounds = (
        (info.ge, "at least", value.__ge__),
        (info.gt, "more than", value.__gt__),
        (info.le, "at most", value.__le__),
        (info.lt, "less than", value.__lt__),
    )
    said = [f"{words} {bound}" for bound, words, _ in bounds if bound is not None]
    if any(bound is not None and not holds(bound) for bound, _, holds in bounds):
        yield Rejection(DeadLetterReason.OUT_OF_RANGE, f"{path} is {value}: {' and '.join(said)} is allowed")


def _in_object(info: mi.DictType, value: dict[str, Any], path: str) -> Iterator[Rejection]:
    if info.max_length is not None and len(value) > info.max_length:
        detail = f"{path} has {len(value)} entries: at most {info.max_length} are allowed"
        yield Rejection(DeadLetterReason.TOO_LARGE, detail)
        return
    for name, item in value.items():
        yield from _in_value(info.key_type, name, f"a name in {path}")
        yield from _in_value(info.value_type, item, f"{path}.{_shortened(name)}")


def _one_of(words: Any) -> str:
    return f"one of {', '.join(words)} is allowed"


def quoted(value: object) -> str:
    """A record's own text, short enough for a detail."""
    return repr(_shortened(value)) if isinstance(value, str) else _kind(value)


def _shortened(text: str) -> str:
    return text if len(text) <= QUOTED_CHARACTERS_MAX else f"{text[:QUOTED_CHARACTERS_MAX]}…"
