"""What the codec takes, what it refuses and why, and what it writes."""

import math
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest

from schemas.classes import class_name
from schemas.codec import (
    DEAD_HEADERS_BYTES_MAX,
    DEAD_KEY_BYTES_MAX,
    DEAD_VALUE_BYTES_MAX,
    Decoder,
    Rejection,
    dead_letter,
    decode_output,
    encode,
)
from schemas.events import (
    Control,
    ControlAction,
    DeadLetter,
    Metrics,
    Outcome,
    Prediction,
    Role,
    Verdict,
)
from schemas.reasons import DeadLetterReason
from schemas.records import Record
from schemas.topics import VALUE_BYTES_MAX, Stream
from schemas.violations import DEPTH_MAX
from tests.schemas.examples import CONTROL, OUTCOME, PREDICTION, record

REFUSED_PREDICTIONS: list[tuple[str, bytes | dict[str, Any] | None, str]] = [
    # reason, value, a part of the detail
    ("empty", None, "no value"),
    ("empty", b"", "no value"),
    ("empty", b" \r\n\t ", "white space"),
    ("too_large", b" " * (VALUE_BYTES_MAX + 1), "1048577 bytes: at most 1048576"),
    ("not_utf8", b'{"type":"prediction","id":"\xff"}', "byte 27"),
    ("not_utf8", b'{"type":"prediction","extra":"\xed\xa0\x80"}', "byte 30"),
    ("not_utf8", b'{"\xc0\x80":1}', "byte 2"),
    ("too_deep", b"[" * 100_000, "100 levels"),
    ("too_deep", b'{"type":"prediction","extra":' + b'{"a":' * 120 + b"1" + b"}" * 121, "100 levels"),
    ("not_json", b"hello", "line 1 column 1"),
    ("not_json", b'{"type":"prediction"', "line 1"),
    ("not_json", b'{"type":"prediction"}{}', "line 1"),
    ("not_json", b'\xef\xbb\xbf{"type":"prediction"}', "BOM"),
    ("not_json", b'{"type":"prediction","id":"\\ud800"}', "surrogate"),
    ("not_json", b'{"type":"prediction","id":"a\x00"}', "line 1"),
    ("not_json", b"{'type': 'prediction'}", "line 1"),
    ("not_finite", b'{"type":"prediction","score":NaN}', "NaN is not JSON"),
    ("not_finite", b'{"type":"prediction","extra":[-Infinity]}', "-Infinity is not JSON"),
    (
        "not_finite",
        b'{"type":"prediction","v":1,"id":"a","model":"m","ts":1,"features":{"a":1e999},"prediction":1}',
        "features.a is beyond",
    ),
    ("not_an_object", b"null", "null"),
    ("not_an_object", b"[{}]", "an array"),
    ("not_an_object", b'"prediction"', "a string"),
    ("not_an_object", b"12", "a number"),
    ("not_an_object", b"true", "a boolean"),
    ("missing_type", b"{}", "prediction, outcome, control"),
    ("unknown_type", {**PREDICTION, "type": "alert"}, "'alert'"),
    ("unknown_type", {**PREDICTION, "type": 5}, "a number"),
    ("wrong_topic", OUTCOME, "send it to the topic of outcomes"),
    ("wrong_topic", {**OUTCOME, "v": 9}, "send it to the topic of outcomes"),
    ("unknown_version", {**PREDICTION, "v": 2, "features": "not ours to judge"}, "v is 2: one of 1"),
    ("unknown_version", {**PREDICTION, "v": 10**19}, "v is"),
    ("wrong_type", {**PREDICTION, "v": "1"}, "v is a string: a number"),
    ("wrong_type", {**PREDICTION, "v": True}, "v is a boolean: a number"),
    ("wrong_type", {**PREDICTION, "v": 1.0}, "v is 1.0: an integer"),
    ("wrong_type", {**PREDICTION, "id": 17}, "id is a number: a string"),
    ("bad_id", {**PREDICTION, "id": ""}, "0 characters: 1 to 128"),
    ("bad_id", {**PREDICTION, "id": "a" * 129}, "129 characters: 1 to 128"),
    ("wrong_type", {**PREDICTION, "model": None}, "model is null: a string"),
    ("bad_model", {**PREDICTION, "model": ""}, "model is ''"),
    ("bad_model", {**PREDICTION, "model": "../etc"}, "'../etc'"),
    ("bad_model", {**PREDICTION, "model": "churn\n"}, "'churn\\n'"),
    ("bad_model", {**PREDICTION, "model": "m" * 65}, "{0,63}"),
    ("bad_model", {**PREDICTION, "model": "modèle"}, "'modèle'"),
    ("wrong_type", {**PREDICTION, "ts": True}, "ts is a boolean: a number or a string"),
    ("wrong_type", {**PREDICTION, "ts": 1.5}, "ts is 1.5: an integer"),
    ("wrong_type", {**PREDICTION, "ts": None}, "ts is null"),
    ("out_of_range", {**PREDICTION, "ts": -1}, "at least 0"),
    ("out_of_range", {**PREDICTION, "ts": 7_258_118_400_000}, "less than 7258118400000"),
    ("out_of_range", {**PREDICTION, "ts": "1969-12-31T23:59:59Z"}, "1970 to 2199"),
    ("out_of_range", {**PREDICTION, "ts": "1970-01-01T00:00:00+01:00"}, "1970 to 2199"),
    ("out_of_range", {**PREDICTION, "ts": "0001-01-01T00:00:00+14:00"}, "1970 to 2199"),
    ("out_of_range", {**PREDICTION, "ts": "2200-01-01T00:00:00Z"}, "1970 to 2199"),
    ("bad_time", {**PREDICTION, "ts": "yesterday"}, "'yesterday': RFC 3339"),
    ("bad_time", {**PREDICTION, "ts": "2026-01-31"}, "RFC 3339"),
    ("bad_time", {**PREDICTION, "ts": "2026-02-30T00:00:00Z"}, "RFC 3339"),
    ("bad_time", {**PREDICTION, "ts": "1767225600000"}, "RFC 3339"),
    ("time_without_zone", {**PREDICTION, "ts": "2026-01-31T12:00:00"}, "end it with Z"),
    ("wrong_type", {**PREDICTION, "features": None}, "features is null: an object"),
    ("wrong_type", {**PREDICTION, "features": {"a": [1]}}, "features.a is an array: a number or a string"),
    ("too_large", {**PREDICTION, "features": {str(i): 1 for i in range(10_001)}}, "10001 entries: at most 10000"),
    ("out_of_range", {**PREDICTION, "features": {"": 1}}, "a name in features has 0 characters: 1 to 256"),
    ("out_of_range", {**PREDICTION, "features": {"a" * 257: 1}}, "257 characters"),
    ("wrong_type", {**PREDICTION, "prediction": None}, "prediction is null"),
    ("wrong_type", {**PREDICTION, "prediction": ["a"]}, "prediction is an array"),
    ("out_of_range", {**PREDICTION, "score": 1.01}, "score is 1.01: at least 0 and at most 1"),
    ("out_of_range", {**PREDICTION, "score": -0.01}, "score is -0.01"),
    ("wrong_type", {**PREDICTION, "score": "0.5"}, "score is a string: a number or null"),
    ("wrong_type", {**PREDICTION, "score": True}, "score is a boolean"),
    ("out_of_range", {**PREDICTION, "scores": {"a": 2}}, "scores.a is 2"),
    ("wrong_type", {**PREDICTION, "scores": {"a": None}}, "scores.a is null: a number"),
    ("wrong_type", {**PREDICTION, "segments": {"country": 49}}, "segments.country is a number: a string"),
    ("unknown_value", {**PREDICTION, "role": "spare"}, "'spare': one of champion, challenger"),
    ("wrong_type", {**PREDICTION, "role": None}, "role is null"),
    ("wrong_type", {**PREDICTION, "latency_ms": "4"}, "latency_ms is a string"),
    ("wrong_type", {**PREDICTION, "attributions": {"age": "high"}}, "attributions.age is a string"),
    ("wrong_type", {**PREDICTION, "trace": 7}, "trace is a number"),
]


def reason_of(value: bytes | dict[str, Any] | None, stream: Stream = Stream.PREDICTIONS) -> tuple[str, str]:
    decoded = Decoder().decode(stream, record(value))
    return (str(decoded.reason), decoded.detail) if isinstance(decoded, Rejection) else ("taken", "")


def taken(value: bytes | dict[str, Any], stream: Stream = Stream.PREDICTIONS) -> Any:
    decoded = Decoder().decode(stream, record(value))
    assert not isinstance(decoded, Rejection), decoded
    return decoded


def prediction_with(name: str, number: bytes) -> bytes:
    return orjson.dumps({**PREDICTION, name: "PUT HERE"}).replace(b'"PUT HERE"', number)


@pytest.mark.parametrize(("reason", "value", "detail"), REFUSED_PREDICTIONS)
def test_a_refused_prediction_has_its_reason_and_says_what_and_where(
    reason: str, value: bytes | dict[str, Any] | None, detail: str
) -> None:
    found, said = reason_of(value)
    assert (found, detail in said) == (reason, True), said


@pytest.mark.parametrize("name", ["v", "id", "model", "ts", "features", "prediction"])
def test_a_prediction_without_a_required_field_is_refused_by_name(name: str) -> None:
    rest = {key: value for key, value in PREDICTION.items() if key != name}
    assert reason_of(rest) == ("missing_field", f"{name} is missing: a prediction must have it")


@pytest.mark.parametrize(
    ("reason", "change", "detail"),
    [
        ("wrong_type", {"label": None}, "label is null"),
        ("out_of_range", {"revision": -1}, "revision is -1: at least 0"),
        ("out_of_range", {"revision": 2**53}, "at most 9007199254740991"),
        ("out_of_range", {"revision": 1e30}, "revision is 1e+30"),
        ("wrong_type", {"revision": 1.5}, "revision is 1.5: an integer"),
        ("out_of_range", {"weight": -0.5}, "weight is -0.5: at least 0"),
        ("wrong_type", {"weight": None}, "weight is null: a number"),
        ("wrong_type", {"provisional": 1}, "provisional is a number: a boolean"),
    ],
)
def test_a_refused_outcome_has_its_reason(reason: str, change: dict[str, Any], detail: str) -> None:
    found, said = reason_of({**OUTCOME, **change}, Stream.OUTCOMES)
    assert (found, detail in said) == (reason, True), said


@pytest.mark.parametrize(
    ("reason", "change", "detail"),
    [
        ("unknown_action", {"action": "explode"}, "'explode': one of deploy, rollback"),
        ("wrong_type", {"action": None}, "action is null"),
        ("missing_field", {"action": "deploy"}, "version is missing: the action deploy needs it"),
        ("missing_field", {"action": "rollback"}, "version is missing"),
        ("missing_field", {"action": "acknowledge"}, "incident is missing"),
        ("missing_field", {"action": "resolve"}, "incident is missing"),
        ("missing_field", {"action": "verdict", "incident": "i"}, "verdict is missing"),
        ("missing_field", {"action": "verdict", "verdict": "true_alarm"}, "incident is missing"),
        ("missing_field", {"model": None}, "model is missing: the action mute needs it"),
        ("unknown_value", {"action": "verdict", "verdict": "maybe"}, "one of true_alarm, false_alarm"),
        ("time_without_zone", {"until": "2026-01-31T12:00:00"}, "until is"),
        ("out_of_range", {"until": "2200-01-01T00:00:00Z"}, "until is"),
        ("out_of_range", {"until": -4}, "until is -4"),
        ("out_of_range", {"action": "tick", "partition": -1}, "partition is -1"),
    ],
)
def test_a_refused_control_event_has_its_reason(reason: str, change: dict[str, Any], detail: str) -> None:
    found, said = reason_of({**CONTROL, **change}, Stream.CONTROL)
    assert (found, detail in said) == (reason, True), said


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 5_000, b"1.8e308"])
@pytest.mark.parametrize("name", ["prediction", "score", "latency_ms"])
def test_a_number_that_no_double_holds_is_not_finite(name: str, number: bytes) -> None:
    assert reason_of(prediction_with(name, number))[0] == "not_finite"


@pytest.mark.parametrize("name", ["id", "model", "trace"])
def test_a_number_beyond_any_double_in_a_text_field_is_of_the_wrong_type(name: str) -> None:
    assert reason_of(prediction_with(name, b"1e999"))[0] == "wrong_type"


def test_a_prediction_keeps_numbers_booleans_and_strings_apart() -> None:
    features = taken({**PREDICTION, "features": {"a": 1, "b": 1.0, "c": True, "d": "1", "e": None}}).features
    assert [(value, type(value)) for value in features.values()] == [
        (1.0, float),
        (1.0, float),
        (True, bool),
        ("1", str),
        (None, type(None)),
    ]


def test_whole_numbers_beyond_2_to_the_53_become_the_nearest_double() -> None:
    assert taken(prediction_with("prediction", b"9007199254740993")).prediction == 9007199254740992.0
    assert taken(prediction_with("prediction", b"9" * 300)).prediction == 1e300
    assert math.copysign(1, taken(prediction_with("prediction", b"-0.0")).prediction) == -1


def test_bounds_themselves_are_inside() -> None:
    assert taken({**PREDICTION, "id": "a" * 128, "score": 0}).score == 0
    assert taken({**PREDICTION, "id": "a", "score": 1}).score == 1
    assert taken({**PREDICTION, "ts": 0}).ts == 0
    assert taken({**PREDICTION, "ts": "2199-12-31T23:59:59.999Z"}).ts.year == 2199
    assert taken({**OUTCOME, "weight": 0, "revision": 2**53 - 1}, Stream.OUTCOMES).revision == 2**53 - 1
    assert len(taken({**PREDICTION, "features": {"f" * 250 + str(i): i for i in range(3_000)}}).features) == 3_000


def test_a_time_may_be_text_with_any_zone_or_milliseconds() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert taken({**PREDICTION, "ts": "2026-01-31T13:00:00+01:00"}).ts == noon
    assert taken({**PREDICTION, "ts": "2026-01-31t12:00:00z"}).ts == noon
    assert taken({**PREDICTION, "ts": 1_769_860_800_000}).ts == 1_769_860_800_000


def test_optional_fields_may_be_null_or_absent() -> None:
    optional = ["version", "score", "scores", "segments", "latency_ms", "cost", "attributions", "trace"]
    assert taken(PREDICTION | dict.fromkeys(optional)) == taken(PREDICTION)


def test_an_outcome_counts_fully_for_the_first_time_and_for_good_unless_it_says_otherwise() -> None:
    assert taken(OUTCOME, Stream.OUTCOMES) == Outcome(
        v=1, id="p-1", model="churn", ts=1, label=True, revision=0, weight=1.0, provisional=False
    )


def test_a_prediction_is_the_champions_unless_it_says_otherwise() -> None:
    assert taken(PREDICTION).role is Role.CHAMPION
    assert taken({**PREDICTION, "role": "challenger"}).role is Role.CHALLENGER


def test_every_action_is_taken_with_what_it_needs() -> None:
    needs = {"version": "3", "incident": "i-1", "verdict": "false_alarm"}
    events = [taken({**CONTROL, **needs, "action": str(action)}, Stream.CONTROL) for action in ControlAction]
    assert [event.action for event in events] == list(ControlAction)
    assert {event.verdict for event in events} == {Verdict.FALSE_ALARM}


def test_a_tick_needs_neither_model_nor_key() -> None:
    tick = orjson.dumps({"type": "control", "v": 1, "id": "t", "ts": 5, "action": "tick", "partition": 3})
    event = Decoder().decode(Stream.CONTROL, record(tick, key=None))
    assert event == Control(v=1, id="t", ts=5, action=ControlAction.TICK, partition=3)


@pytest.mark.parametrize(("key", "shown"), [(None, "no key"), (b"", "''"), (b"fraud", "'fraud'"), (b"\xff", "'�'")])
def test_a_key_other_than_the_models_name_is_refused(key: bytes | None, shown: str) -> None:
    decoded = Decoder().decode(Stream.PREDICTIONS, record(PREDICTION, key))
    detail = f"the record's key is {shown}: make it the model's name, churn"
    assert decoded == Rejection(DeadLetterReason.WRONG_KEY, detail)


def test_a_model_seen_before_still_needs_its_key() -> None:
    decoder = Decoder()
    assert isinstance(decoder.decode(Stream.PREDICTIONS, record(PREDICTION)), Prediction)
    assert isinstance(decoder.decode(Stream.PREDICTIONS, record(PREDICTION, b"fraud")), Rejection)


def test_more_models_than_are_remembered_are_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schemas.codec.MODELS_REMEMBERED_MAX", 2)
    decoder = Decoder()
    for model in ("a", "b", "c", "a"):
        event = decoder.decode(Stream.PREDICTIONS, record({**PREDICTION, "model": model}, model.encode()))
        assert isinstance(event, Prediction)


def test_a_file_may_mix_the_kinds_and_has_no_keys() -> None:
    decoder = Decoder(any_stream=True)
    kinds = [type(decoder.decode(Stream.PREDICTIONS, record(e, None))) for e in (PREDICTION, OUTCOME, CONTROL)]
    assert kinds == [Prediction, Outcome, Control]
    assert type(decoder.decode(Stream.PREDICTIONS, record({**CONTROL, "later": 1}, None))) is Control


@pytest.mark.parametrize(
    "extra",
    [b"1", b"null", b'{"deep":[[[1]]]}', b"1e999", b"9" * 5_000, b"[" * 99 + b"]" * 99, b'"[[[[[[[["', b'"\\"[{\\\\"'],
)
def test_an_extra_field_is_left_aside_and_counted(extra: bytes) -> None:
    decoder = Decoder()
    plain = decoder.decode(Stream.PREDICTIONS, record(PREDICTION))
    assert decoder.unknown_fields == 0
    assert decoder.decode(Stream.PREDICTIONS, record(prediction_with("extra", extra))) == plain
    assert decoder.decode(Stream.PREDICTIONS, record(prediction_with("Ünknown", extra))) == plain
    assert decoder.unknown_fields == 2


def test_extra_fields_do_not_hide_a_violation_and_are_not_counted_then() -> None:
    decoder = Decoder()
    decoded = decoder.decode(Stream.PREDICTIONS, record({**PREDICTION, "extra": 1, "score": 7}))
    assert isinstance(decoded, Rejection)
    assert (decoded.reason, decoder.unknown_fields) == (DeadLetterReason.OUT_OF_RANGE, 0)


def test_a_record_refused_for_its_key_is_not_counted_for_its_extra_fields() -> None:
    decoder = Decoder()
    assert isinstance(decoder.decode(Stream.PREDICTIONS, record({**PREDICTION, "extra": 1}, b"fraud")), Rejection)
    assert decoder.unknown_fields == 0


def test_a_hundred_levels_are_taken_and_one_more_is_not() -> None:
    deepest = b"[" * (DEPTH_MAX - 1) + b"]" * (DEPTH_MAX - 1)  # the record itself is the first level
    assert taken(prediction_with("extra", deepest)) == taken(PREDICTION)
    assert taken(prediction_with("extra", b"[" + b"[]," * 500 + b"0]")) == taken(PREDICTION)
    assert reason_of(prediction_with("extra", b"[" + deepest + b"]"))[0] == "too_deep"


def test_brackets_in_strings_are_no_depth() -> None:
    assert taken({**PREDICTION, "trace": '"\\[' * 500, "extra": "{" * 500}).trace == '"\\[' * 500


def test_the_last_of_equal_names_wins() -> None:
    twice = orjson.dumps(PREDICTION)[:-1]
    assert taken(twice + b',"id":"second"}').id == "second"
    assert taken(twice + b',"id":7,"id":"third"}').id == "third"
    assert taken(twice.replace(b'"type"', b'"type":"outcome","type"') + b"}").id == "p-1"
    assert taken(twice + b',"features":{"a":1,"a":2}}').features == {"a": 2.0}
    assert reason_of(twice + b',"type":"outcome"}')[0] == "wrong_topic"


def test_a_long_text_is_shortened_in_the_detail() -> None:
    assert len(reason_of({**PREDICTION, "ts": "9" * 100_000})[1]) < 300
    assert len(reason_of({**PREDICTION, "features": {"n" * 256: []}})[1]) < 300


def test_every_reason_has_a_record_that_is_refused_for_it() -> None:
    elsewhere = {"missing_field", "unknown_action", "wrong_key"}  # other tests of this file
    # Not the codec but the engine says so.
    elsewhere |= {"too_many_models", "unsigned", "bad_signature", "too_old", "repeated"}
    assert {reason for reason, _, _ in REFUSED_PREDICTIONS} | elsewhere == {str(reason) for reason in DeadLetterReason}


def test_writing_is_canonical() -> None:
    values: dict[str, Any] = {"z": np.float64(0.5), "a": np.int64(3), "n": math.nan, "i": -math.inf}
    values["f"] = np.float32("nan")
    metrics = Metrics(id="m", model="churn", ts=3, window_start=1, window_end=2, values=values)
    assert encode(metrics) == (
        b'{"id":"m","model":"churn","ts":3,"type":"metrics","v":1,'
        b'"values":{"a":3,"f":null,"i":null,"n":null,"z":0.5},"window_end":2,"window_start":1}'
    )


def test_times_are_written_in_utc() -> None:
    assert (
        orjson.loads(encode(taken({**PREDICTION, "ts": "2026-01-31T12:00:00-00:00"})))["ts"] == "2026-01-31T12:00:00Z"
    )


def test_what_has_no_json_form_is_not_written() -> None:
    values: dict[str, Any] = {"a": object()}
    metrics = Metrics(id="m", model="m", ts=3, window_start=1, window_end=2, values=values)
    with pytest.raises(TypeError):
        encode(metrics)


def test_output_of_a_later_release_is_still_read_here() -> None:
    metrics = Metrics(id="m", model="churn", ts=3, window_start=1, window_end=2, values={})
    assert decode_output(encode(metrics)[:-1] + b',"later":{"field":1}}') == metrics
    with pytest.raises(msgspec.ValidationError):
        decode_output(encode(taken(PREDICTION)))


def test_a_dead_letter_holds_the_record_as_it_was_and_where_it_lies() -> None:
    headers = [("trace", b"\x00\xff"), ("trace", b"2")]
    refused = Record("driftline.predictions", 3, 12, 99, b"churn", b"\xff{", headers)
    letter = dead_letter(refused, Rejection(DeadLetterReason.NOT_UTF8, "byte 0"), ts=1_000)
    assert (letter.topic, letter.partition, letter.offset, letter.ts) == ("driftline.predictions", 3, 12, 1_000)
    assert (letter.reason, letter.detail) == (DeadLetterReason.NOT_UTF8, "byte 0")
    assert (letter.key, letter.value, letter.value_bytes, letter.truncated) == ("Y2h1cm4=", "/3s=", 2, False)
    assert [(name, b64decode(value)) for name, value in letter.headers] == headers
    assert decode_output(encode(letter)) == letter


def test_a_dead_letter_of_a_record_without_key_and_value_says_null() -> None:
    written = orjson.loads(encode(_letter_of(record(None, None))))
    assert (written["key"], written["value"], written["value_bytes"]) == (None, None, 0)


def test_a_dead_letter_is_capped_and_says_so() -> None:
    long_value = _letter_of(record(b"x" * (DEAD_VALUE_BYTES_MAX + 1)))
    assert (len(b64decode(long_value.value or "")), long_value.value_bytes) == (DEAD_VALUE_BYTES_MAX, 65_537)
    long_key = _letter_of(record(b"x", b"k" * (DEAD_KEY_BYTES_MAX + 1)))
    assert len(b64decode(long_key.key or "")) == DEAD_KEY_BYTES_MAX
    headers = [("a", b"1"), ("b", b"2" * DEAD_HEADERS_BYTES_MAX), ("c", b"3")]
    long_headers = _letter_of(Record("t", 0, 0, 0, b"k", b"x", headers))
    assert [name for name, _ in long_headers.headers] == ["a"]
    assert [letter.truncated for letter in (long_value, long_key, long_headers)] == [True, True, True]
    assert not _letter_of(record(b"x" * DEAD_VALUE_BYTES_MAX, b"k" * DEAD_KEY_BYTES_MAX)).truncated


def test_a_dead_letter_without_content_says_only_where_and_why_and_has_the_same_id() -> None:
    refused = Record("driftline.predictions", 3, 12, 99, b"canary", b"canary{", [("canary", b"canary")])
    rejection = Rejection(DeadLetterReason.BAD_MODEL, "model is 'canary'")
    letter, whole = dead_letter(refused, rejection, 1_000, content=False), dead_letter(refused, rejection, 1_000)
    written = encode(letter)
    assert (b"canary" in written, b64encode(b"canary")[:-2] in written) == (False, False)
    assert (letter.key, letter.value, letter.headers, letter.truncated) == (None, None, [], True)
    kept = ("id", "reason", "topic", "partition", "offset", "value_bytes", "ts")
    assert [getattr(letter, name) for name in kept] == [getattr(whole, name) for name in kept]
    assert decode_output(written) == letter


def test_the_same_refusal_has_the_same_id_and_another_place_or_content_another() -> None:
    ids = {_letter_of(Record(topic, p, o, 0, None, b"x")).id for topic in "ab" for p in (1, 11) for o in (1, 11)}
    assert len(ids) == 8
    assert _letter_of(record(b"x")).id != _letter_of(record(b"y")).id
    assert _letter_of(record(b"x")).id == _letter_of(record(b"x")).id


@pytest.mark.parametrize(
    ("value", "name"),
    [(1.0, "1"), (-0.0, "0"), (0.5, "0.5"), (True, "true"), (False, "false"), ("1", "1"), (1e300, "1e+300")],
)
def test_a_class_has_one_name(value: float | str | bool, name: str) -> None:
    assert class_name(value) == name


def _letter_of(refused: Record) -> DeadLetter:
    return dead_letter(refused, Rejection(DeadLetterReason.NOT_JSON, "no"), ts=0)
