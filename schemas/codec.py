"""Bytes to events and back. Reading never raises: what cannot be taken comes back as a ``Rejection`` that says why."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from hashlib import blake2b
from typing import Any

import msgspec
import orjson

from schemas import violations
from schemas.events import (
    MODEL_PATTERN,
    Control,
    ControlAction,
    DeadLetter,
    Event,
    Input,
    Outcome,
    Output,
    Prediction,
    event_type,
)
from schemas.reasons import DeadLetterReason
from schemas.records import RecordLike
from schemas.times import TS_END, TS_MIN, to_ms
from schemas.topics import VALUE_BYTES_MAX, Stream
from schemas.violations import Rejection

__all__ = ["Decoder", "Rejection", "dead_letter", "decode_output", "encode"]

MODELS_REMEMBERED_MAX = 65_536  # names found good; ~200 bytes each, three times the models a partition may have
DECODED_AT_ONCE = 128  # one that is not well costs the others among these the questions one by one
DEAD_VALUE_BYTES_MAX = 64 * 1024  # of a refused value kept: enough to see what it was
DEAD_KEY_BYTES_MAX = 1024  # a model's name has 64
DEAD_HEADERS_BYTES_MAX = 16 * 1024  # names and values together; CloudEvents headers have ~300
UNREADABLE = (ValueError, RecursionError)  # what decoding any bytes may raise: msgspec's own errors are ``ValueError``s

_INPUT: msgspec.json.Decoder[Input] = msgspec.json.Decoder(Prediction | Outcome | Control)
_OUTPUT: msgspec.json.Decoder[Output] = msgspec.json.Decoder(Output)
_MODEL = re.compile(MODEL_PATTERN)
_STREAM_OF: Mapping[type[Input], Stream] = {
    Prediction: Stream.PREDICTIONS,
    Outcome: Stream.OUTCOMES,
    Control: Stream.CONTROL,
}

# What an action cannot do without, besides the model. Anything else it is given is kept and harmless.
ACTION_NEEDS: Mapping[ControlAction, tuple[str, ...]] = {
    ControlAction.DEPLOY: ("version",),
    ControlAction.ROLLBACK: ("version",),
    ControlAction.ACKNOWLEDGE: ("incident",),
    ControlAction.RESOLVE: ("incident",),
    ControlAction.VERDICT: ("incident", "verdict"),
}


class Decoder:
    """Reads records of the three input topics. One a partition: it remembers model names it has checked."""

    def __init__(self, *, any_stream: bool = False) -> None:
        """``any_stream`` is for files, where the three kinds lie mixed and lines have no key."""
        self._any_stream = any_stream
        self._keys: dict[str, bytes] = {}  # by model
        self.unknown_fields = 0  # records taken whose extra fields were left aside

    def decode_all(self, stream: Stream, records: Sequence[RecordLike]) -> list[Input | Rejection]:
        """Each as ``decode`` reads it. Nearly all are well: then the questions are asked of many at once."""
        events: list[Input | Rejection] = []
        for start in range(0, len(records), DECODED_AT_ONCE):
            events += self._decode_some(stream, records[start : start + DECODED_AT_ONCE])
        return events

    def _decode_some(self, stream: Stream, records: Sequence[RecordLike]) -> list[Input | Rejection]:
        values = [record.value for record in records]
        if None in values or max(map(len, values)) > VALUE_BYTES_MAX:  # type: ignore[arg-type]
            return [self.decode(stream, record) for record in records]
        events: list[Any] = []
        rest = iter(values)
        while len(events) < len(values):
            try:
                events.extend(map(_INPUT.decode, rest))  # type: ignore[arg-type]
            except Exception:  # as in ``decode``; those before it have been added
                events.append(None)
        if None not in events and self._all_well(stream, [record.key for record in records], events):
            return events
        return [
            self.decode(stream, record) if event is None else self._refusal(stream, record.key, event) or event
            for record, event in zip(records, events, strict=True)
        ]

    def _all_well(self, stream: Stream, keys: list[bytes | None], events: list[Any]) -> bool:
        """Whether these are of one kind and of this stream, under the keys that are known to be their models'."""
        kind = type(events[0])
        if kind is Control or not self._belongs(stream, kind) or not {kind}.issuperset(map(type, events)):
            return False
        wanted = [self._keys.get(event.model) for event in events]
        right = None not in wanted if self._any_stream else wanted == keys and None not in keys
        return right and {int}.issuperset([type(event.ts) for event in events])

    def decode(self, stream: Stream, record: RecordLike) -> Prediction | Outcome | Control | Rejection:
        """One strict typed read; only a record that it refuses is looked at again, slowly, for the reason."""
        value = record.value
        if not value:
            return Rejection(DeadLetterReason.EMPTY, "the record has no value: send an event, tombstones mean nothing")
        if len(value) > VALUE_BYTES_MAX:
            detail = f"the value has {len(value)} bytes: at most {VALUE_BYTES_MAX} are allowed"
            return Rejection(DeadLetterReason.TOO_LARGE, detail)
        try:
            event = _INPUT.decode(value)
        except Exception:  # whatever a parser raises on strange bytes is about these bytes, and has a reason
            return self._decode_slowly(stream, record.key, value)
        return self._refusal(stream, record.key, event) or event

    def plain(self, stream: Stream, record: RecordLike) -> Input | None:
        """The event, where there is nothing to refuse and nothing to leave aside. Counts nothing."""
        try:
            event = _INPUT.decode(record.value or b"")
        except Exception:  # as in ``decode``
            return None
        return None if self._refusal(stream, record.key, event) else event

    def _decode_slowly(self, stream: Stream, key: bytes | None, raw: bytes) -> Input | Rejection:
        fields = violations.parse(raw)
        if isinstance(fields, Rejection):
            return fields
        cls = violations.kind_of(fields)
        if isinstance(cls, Rejection):
            return cls
        if not self._belongs(stream, cls):
            return _wrong_topic(stream, cls)
        known = {name: value for name, value in fields.items() if name in violations.NAMES[cls]}
        try:
            event = msgspec.convert(known, cls)
        except Exception as error:  # as above
            return violations.find(cls, known) or Rejection(DeadLetterReason.WRONG_TYPE, str(error))
        refusal = self._refusal(stream, key, event)
        if refusal is None and len(known) < len(fields):
            self.unknown_fields += 1
        return refusal or event

    def _belongs(self, stream: Stream, cls: type[Input]) -> bool:
        return self._any_stream or _STREAM_OF[cls] is stream

    def _refusal(self, stream: Stream, key: bytes | None, event: Input) -> Rejection | None:
        """What the types cannot say: topic, model's name, key, a datetime's range, and what an action needs."""
        if not self._belongs(stream, type(event)):
            return _wrong_topic(stream, type(event))
        if not _in_range(event.ts):
            return _time_out_of_range("ts", event.ts)
        if type(event) is Control:
            refusal = _control_refusal(event)
            if refusal is not None:
                return refusal
        return None if event.model is None else self._model_refusal(key, event.model)

    def _model_refusal(self, key: bytes | None, model: str) -> Rejection | None:
        wanted = self._keys.get(model)
        if wanted is None:
            if _MODEL.fullmatch(model) is None:
                name = violations.quoted(model)
                return Rejection(DeadLetterReason.BAD_MODEL, f"model is {name}: {MODEL_PATTERN} is allowed")
            wanted = self._remember(model)
        if key == wanted or self._any_stream:
            return None
        found = "no key" if key is None else violations.quoted(key.decode(errors="replace"))
        return Rejection(DeadLetterReason.WRONG_KEY, f"the record's key is {found}: make it the model's name, {model}")

    def _remember(self, model: str) -> bytes:
        if len(self._keys) >= MODELS_REMEMBERED_MAX:
            self._keys.clear()
        self._keys[model] = model.encode()
        return self._keys[model]


def _wrong_topic(stream: Stream, cls: type[Input]) -> Rejection:
    detail = f"{event_type(cls)} on the topic of {stream}: send it to the topic of {_STREAM_OF[cls]}"
    return Rejection(DeadLetterReason.WRONG_TOPIC, detail)


def _in_range(ts: datetime | int) -> bool:
    return type(ts) is int or TS_MIN <= to_ms(ts) < TS_END  # the decoder has checked integers


def _time_out_of_range(name: str, ts: datetime | int) -> Rejection:
    return Rejection(DeadLetterReason.OUT_OF_RANGE, f"{name} is {ts}: 1970 to 2199 is allowed")


def _control_refusal(event: Control) -> Rejection | None:
    if event.until is not None and not _in_range(event.until):
        return _time_out_of_range("until", event.until)
    needs = ACTION_NEEDS.get(event.action, ())
    if event.action is not ControlAction.TICK:
        needs = ("model", *needs)
    for name in needs:
        if getattr(event, name) is None:
            return Rejection(DeadLetterReason.MISSING_FIELD, f"{name} is missing: the action {event.action} needs it")
    return None


def decode_output(value: bytes) -> Output:
    """Reads what this project wrote. Fields it does not know are skipped; anything else wrong raises ``ValueError``."""
    try:
        return _OUTPUT.decode(value)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def encode(event: Event) -> bytes:
    """Canonical JSON: sorted keys, numpy scalars as numbers, NaN and infinity as null, absent where None by default."""
    return orjson.dumps(event, default=_as_object, option=_CANONICAL)


_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z


def _as_object(part: Any) -> dict[str, Any]:
    if not isinstance(part, msgspec.Struct):
        raise TypeError(f"{type(part).__name__} has no JSON form")
    tag, always, optional = _layout(type(part))
    written = {name: getattr(part, name) for name in always}
    written |= {name: value for name in optional if (value := getattr(part, name)) is not None}
    return written | tag


@cache
def _layout(cls: type[msgspec.Struct]) -> tuple[dict[str, str], Sequence[str], Sequence[str]]:
    """The tag, the fields that are always written, and those left out where None."""
    config = cls.__struct_config__
    tag = {} if config.tag is None else {str(config.tag_field): str(config.tag)}
    fields = msgspec.structs.fields(cls)
    optional = [field.name for field in fields if field.default is None]
    return tag, [field.name for field in fields if field.default is not None], optional


def dead_letter(record: RecordLike, rejection: Rejection, ts: int, *, content: bool = True) -> DeadLetter:
    """A refused record as it was, capped, with its position; without ``content`` only where it lies, and the reason."""
    key, value = record.key, record.value
    headers = _first_headers(record.headers)
    letter = DeadLetter(
        id=_dead_letter_id(record, rejection),
        reason=rejection.reason,
        detail=rejection.detail,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=_base64(key, DEAD_KEY_BYTES_MAX),
        value=_base64(value, DEAD_VALUE_BYTES_MAX),
        value_bytes=len(value or b""),
        truncated=len(key or b"") > DEAD_KEY_BYTES_MAX
        or len(value or b"") > DEAD_VALUE_BYTES_MAX
        or len(headers) < len(record.headers),
        headers=headers,
        ts=ts,
    )
    return letter if content else msgspec.structs.replace(letter, **_LEFT_OUT)


# The detail goes too: it may quote what is wrong.
_LEFT_OUT: Mapping[str, Any] = {
    "detail": "left out, as monitor.dead_letter_content says: the record lies at this place",
    "key": None,
    "value": None,
    "headers": [],
    "truncated": True,
}


def _base64(raw: bytes | None, most: int) -> str | None:
    return None if raw is None else b64encode(raw[:most]).decode()


def _first_headers(headers: Sequence[tuple[str, bytes]]) -> list[tuple[str, str]]:
    """Whole headers from the first on, as many as there is room for. Kafka allows a header without a value."""
    kept: list[tuple[str, str]] = []
    room = DEAD_HEADERS_BYTES_MAX
    for name, value in headers:
        room -= len(name.encode(errors="replace")) + len(value or b"")
        if room < 0:
            break
        kept.append((name, b64encode(value or b"").decode()))
    return kept


def _dead_letter_id(record: RecordLike, rejection: Rejection) -> str:
    """From position, reason and content: the same refusal again is the same id, a topic made anew gives others."""
    position = f"{record.topic}\n{record.partition}\n{record.offset}\n{rejection.reason}\n"
    return blake2b(position.encode() + (record.value or b""), digest_size=16).hexdigest()
