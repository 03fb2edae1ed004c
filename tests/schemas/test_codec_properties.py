"""The codec under random and damaged input: it never raises, and its two ways of reading agree."""

import json
from datetime import datetime
from typing import Any

import msgspec
import orjson
from hypothesis import given
from hypothesis import strategies as st

from schemas import violations
from schemas.codec import Decoder, Rejection, encode
from schemas.events import Input, event_type
from schemas.reasons import DeadLetterReason
from schemas.records import Record
from schemas.topics import Stream
from tests.schemas.strategies import damage, events, ids, json_values

DETAIL_CHARACTERS_MAX = 400  # names and values are shortened to 80 each


def read(value: bytes) -> Input | Rejection:
    """By a fresh decoder, keys aside."""
    return Decoder(any_stream=True).decode(Stream.PREDICTIONS, Record("t", 0, 0, 0, None, value))


def dumped(fields: dict[str, Any]) -> bytes:
    """With the standard library, whose integers have no bounds."""
    return json.dumps(fields, ensure_ascii=False).encode(errors="surrogatepass")


def ends_well(value: bytes) -> bool:
    decoded = read(value)
    if not isinstance(decoded, Rejection):
        return read(encode(decoded)) == decoded
    return decoded.reason in DeadLetterReason and 0 < len(decoded.detail) <= DETAIL_CHARACTERS_MAX


def same(event: Any, sent: Any) -> bool:
    """Whether a field of an event says what was sent: numbers as doubles, times as instants."""
    if isinstance(event, datetime):
        return event == datetime.fromisoformat(sent)
    if isinstance(event, dict):
        return event.keys() == sent.keys() and all(same(event[name], sent[name]) for name in sent)
    if isinstance(event, bool) or isinstance(sent, bool):
        return event is sent
    return bool(event == (float(sent) if isinstance(event, float) else sent))


@given(st.binary())
def test_any_bytes_are_an_event_or_a_rejection(value: bytes) -> None:
    assert ends_well(value)


@given(json_values)
def test_any_json_is_an_event_or_a_rejection(value: Any) -> None:
    assert ends_well(json.dumps(value).encode())


@given(events, st.data())
def test_a_good_event_damaged_anywhere_is_an_event_or_a_rejection(fields: dict[str, Any], data: st.DataObject) -> None:
    good = dumped(fields)
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 8)))
    assert ends_well(good[:start] + data.draw(damage) + good[end:])


@given(events, st.data())
def test_a_good_event_with_any_value_in_a_field_is_an_event_or_a_rejection(
    fields: dict[str, Any], data: st.DataObject
) -> None:
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(json_values)
    assert ends_well(dumped(fields))


@given(events)
def test_a_good_event_says_what_was_sent(fields: dict[str, Any]) -> None:
    value = dumped(fields)
    event = read(value)
    assert not isinstance(event, Rejection), event
    slow = orjson.loads(value)
    assert event_type(event) == slow.pop("type")
    assert all(same(getattr(event, name), sent) for name, sent in slow.items())


@given(events, json_values)
def test_the_slow_way_reads_a_good_event_like_the_fast_one(fields: dict[str, Any], extra: Any) -> None:
    decoder = Decoder(any_stream=True)
    record = Record("t", 0, 0, 0, None, dumped({"extra": extra, **fields}))
    assert decoder.decode(Stream.CONTROL, record) == read(dumped(fields))
    assert decoder.unknown_fields == 1


@given(events, st.data())
def test_a_reason_is_found_exactly_where_the_types_refuse(fields: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(fields.keys() - {"type"})))
    fields[name] = data.draw(json_values | ids)
    parsed = violations.parse(dumped(fields))
    assert isinstance(parsed, dict)
    cls = violations.kind_of(parsed)
    assert not isinstance(cls, Rejection)
    assert (violations.find(cls, parsed) is None) == _fits(cls, parsed)


@given(events)
def test_canonical_bytes_are_sorted_and_stay_as_they_are(fields: dict[str, Any]) -> None:
    event = read(dumped(fields))
    assert not isinstance(event, Rejection), event
    written = encode(event)
    assert written == orjson.dumps(orjson.loads(written), option=orjson.OPT_SORT_KEYS)
    again = read(written)
    assert not isinstance(again, Rejection), again
    assert encode(again) == written


def _fits(cls: type[Input], fields: dict[str, Any]) -> bool:
    try:
        msgspec.convert(fields, cls)
    except msgspec.ValidationError:
        return False
    return True
