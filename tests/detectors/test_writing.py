"""What is read without a parser is what the parser reads, bit for bit; anything else is left to it."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.columns import NumberCells, WordCells
from detectors.scanning import SPARE
from detectors.writing import FORMS_MAX, WORDED_MAX, WORDS_MAX, Read, Writing
from schemas.codec import Decoder
from schemas.events import Prediction, Role
from schemas.forms import LITERALS_BYTES_MAX, SLOTS_MAX
from schemas.records import Record
from schemas.topics import Stream
from tests.schemas.strategies import finite, predictions

_DECODER = Decoder()
WHOLE = (
    b'{"type":"prediction","v":1,"id":"p-000017","model":"churn","version":"1","ts":1767225600000,'
    b'"features":{"age":-0.123456789012345678e-3,"plan":"gold","paid":true,"rare":null},"prediction":"yes","score":0.25,'
    b'"scores":{"yes":0.75,"no":0.25},"segments":{"country":"de"},"latency_ms":12,"cost":0.5,"trace":"t1","role":"champion"}'
)
USUAL = b'{"type":"prediction","v":1,"id":"a","model":"churn","ts":1767225600000,"features":{"x":%s},"prediction":0}'


def event_of(value: bytes) -> Prediction | None:
    """What the decoder makes of it, where it is one that forms are learned from."""
    event = _DECODER.plain(Stream.PREDICTIONS, Record("p", 0, 0, 0, b"churn", value))
    return event if type(event) is Prediction and event.role is Role.CHAMPION else None


def read_of(writing: Writing, values: Sequence[bytes], fits: Callable[[int], bool]) -> Read | None:
    return writing.read(b"".join((*values, SPARE)), np.cumsum(list(map(len, values))), fits)


def read_all(values: Sequence[bytes], writing: Writing | None = None) -> Read:
    read = read_of(writing or Writing(), values, lambda row: event_of(values[row]) is not None)
    assert read is not None
    return read


def told(read: Read) -> list[str]:
    """``repr`` tells 1 from 1.0 and from true, and -0.0 from 0.0."""
    columns: list[Any] = [
        read.versions, read.scores, read.classes, read.latency_ms, read.cost, read.traces
    ]  # fmt: skip
    none = [None] * len(read.rows)
    optional = [none if cells is None else cells for cells in columns]
    rows = zip(read.ids, read.sent.tolist(), read.features, read.predictions, *optional, strict=True)
    return [repr(row) for row in rows]


def said(event: Prediction | None) -> str:
    assert event is not None
    told = event.version, event.score, event.scores, event.latency_ms, event.cost, event.trace
    return repr((event.id, event.ts, event.features, event.prediction, *told))


def check(values: Sequence[bytes], writing: Writing | None = None) -> Read:
    read = read_all(values, writing)
    assert told(read) == [said(event_of(values[row])) for row in read.rows.tolist()]
    return read


def test_a_prediction_with_everything_is_read() -> None:
    assert check([WHOLE, WHOLE]).rows.tolist() == [0, 1]


def test_what_waits_for_labels_does_not_hold_the_features() -> None:
    read = check([USUAL % b"1.5"] * 2)
    for cells in (read.predictions, check([WHOLE] * 2).scores):
        assert isinstance(cells, NumberCells)
        assert cells.values.base is None


def test_whatever_happens_to_a_byte_the_parser_would_say_the_same() -> None:
    damaged, draw = [WHOLE], Random(1)
    for place in range(len(WHOLE)):
        before, at, after = WHOLE[:place], WHOLE[place : place + 1], WHOLE[place + 1 :]
        others = [bytes([draw.randrange(256)]) for _ in range(4)] + [
            b'"',
            b"\\",
            b"0",
            b"9",
            b".",
            b"-",
            b"e",
            b" ",
            b"\0",
        ]
        damaged += [before + after, WHOLE[:place], before + at + at + after]
        damaged += [before + other + after for other in others]
        damaged += [before + other + at + after for other in others]
    damaged += [WHOLE + end for end in (b" ", b"\n", b"}", b"\0", WHOLE)] + [b" " + WHOLE, b"", b"{}"]
    damaged += [
        WHOLE.replace(b'"paid":true', b'"paid":%s' % word) for word in (b"false", b"null", b"truf", b"nul", b'""')
    ]
    damaged += [
        WHOLE.replace(b'"age"', b'"plan"'),
        WHOLE.replace(b'"score"', b'"cost"'),
        WHOLE.replace(b"gold", "gö".encode()),
    ]
    writing = Writing()
    check(damaged[:1], writing)
    read = check(damaged, writing)
    taken = {damaged[row] for row in read.rows.tolist()}
    assert len(taken) > 200
    assert len(set(damaged) - taken) > 5_000
    good = {value for value in damaged if event_of(value) is not None}
    assert taken < good  # and of those the parser takes most are read
    for _ in range(FORMS_MAX):
        Random(2).shuffle(damaged)
        check(damaged, writing)  # with forms that were learned from what was damaged


_NUMBERS = """
0 -0 0.0 -0.0 0e5 -0e-5 0.000 1 -1 1.0 01 -01 00 1. .5 - -.5 +1 1e5 1E-7 1e+5 1e 1e+ 1e5.0 0.1 0.30000000000000004
1e400 -1e400 1e-400 1e22 1e23 9007199254740991 9007199254740992 9007199254740993 9007199254740993.0
18446744073709551616 123456789012345678901234567890 0.1234567890123456789 0.12345678901234567890
2.2250738585072011e-308 4.9e-324 1.7976931348623157e308 1e00000000000005 1e-99999999999999 5e-1 8.5e-7
NaN Infinity -Infinity nan inf 0x10 1_000 1,0 --1 1-1 1e5e5 1.5.5 12345678901234567e-5 1e80 1e-80 3e81
0.000000000000000000000000000001 1 2 3 0.5 0.25 0.125 0.75 0.1e1 0.9999999999999999 1.0000000000000002
"""
SPELLINGS = (*_NUMBERS.split(), "1 ", " 1", "1\n", "0." + "0" * 60 + "1", "1" + "0" * 300, "1" + "0" * 400)


@pytest.mark.parametrize("field", ["features", "prediction", "score", "latency_ms", "ts"])
def test_a_number_is_what_the_parser_makes_of_it(field: str) -> None:
    value = USUAL[:-1] + b',"score":0,"latency_ms":0}' if field in ("score", "latency_ms") else USUAL
    mark = {"features": b"%s", "ts": b"1767225600000"}.get(field, b'"%s":0' % field.encode())
    value = value.replace(b"%s", b"0.5") if field != "features" else value
    to = b"%s" if field in ("features", "ts") else b'"%s":%%s' % field.encode()
    values = [value.replace(mark, to.replace(b"%s", word.encode())) for word in ("0", *SPELLINGS)]
    read = check(values)
    assert len(read.rows) > 3
    assert field in ("ts", "score") or len(read.rows) > 20


def test_numbers_as_languages_write_them_are_read() -> None:
    draw = Random(3)
    numbers = [draw.gauss(0, 1) for _ in range(20_000)] + [draw.lognormvariate(0, 20) for _ in range(10_000)]
    values = [USUAL % repr(number).encode() for number in numbers]
    values += [USUAL % (b"%." + form) % number for number in numbers[:3_000] for form in (b"6f", b"17g", b"3e", b"0f")]
    read = check(values)
    assert len(read.rows) > 0.99 * len(values)
    assert set(range(len(numbers))) <= set(read.rows.tolist())


def test_numbers_half_way_between_two_doubles_are_rounded_to_the_even_one() -> None:
    draw, words = Random(4), []
    for _ in range(20_000):
        odd, power = 2 * draw.randrange(1 << 52, 1 << 53) + 1, draw.randrange(-64, 8)
        exact = str(odd * 5**-power) if power < 0 else str(odd << power)
        # A digit less or more, and the exact one where it is short.
        words += [f"{exact[:kept]}e{len(exact) - kept + min(power, 0)}" for kept in (17, 18, 19)]
        words += [f"{odd // 2}.5"]
    read = check([USUAL % word.encode() for word in words])
    assert len(read.rows) > 0.9 * len(words)


@settings(max_examples=100)
@given(st.lists(finite, min_size=1, max_size=30))
@example([5e-324, 1.7976931348623157e308, 2.0**-1074, 1e23, 8.41e21, 9.007199254740993e15])
def test_any_double_comes_back_bit_for_bit(numbers: list[float]) -> None:
    values = [USUAL % b"0.5"] + [USUAL % repr(number).encode() for number in numbers]
    read = check(values)
    assert len(read.rows) >= sum(1e-60 < abs(number) < 1e60 for number in numbers)


@settings(max_examples=150)
@given(st.lists(predictions, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_of_any_predictions_what_is_read_is_right(events: list[dict[str, Any]], draw: Random) -> None:
    values = [msgspec.json.encode(event | {"model": "churn"}) for event in events]
    values += [
        msgspec.json.encode(dict(draw.sample(list(event.items()), len(event))) | {"model": "churn"}) for event in events
    ]
    values += [draw.choice(values) for _ in range(10)]
    writing = Writing()
    for _ in range(3):
        read = read_of(writing, values, lambda row: event_of(values[row]) is not None)
        if read is not None:
            assert told(read) == [said(event_of(values[row])) for row in read.rows.tolist()]


def test_a_field_that_is_left_out_now_and_then_is_another_form() -> None:
    fields = {
        "type": "prediction",
        "v": 1,
        "id": "a",
        "model": "churn",
        "ts": 5,
        "features": {"x": 1.5},
        "prediction": True,
    }
    more: list[dict[str, Any]] = [{}, {"score": 0.5}, {"score": None}, {"trace": "t", "version": "2"}, {"cost": 1}]
    values = [msgspec.json.encode(fields | more[row % 5] | {"id": f"a{row}"}) for row in range(40)]
    writing = Writing()
    for _ in range(3):
        read = check(values, writing)
    assert len(read.rows) == 40
    read = check(values[:1], writing)
    assert (read.scores, read.traces, read.versions) == (None, None, None)


def test_of_many_words_texts_are_made() -> None:
    values = [
        USUAL.replace(b'"a"', b'"%d"' % row) % (b'"w%d"' % (row % few) if row % 7 else b"null" if row % 2 else b"1.5")
        for few in (3, WORDS_MAX, WORDS_MAX + 1, 400)
        for row in range(1, 900)
    ]
    writing = Writing()
    for start in (0, 899, 1_798, 2_697, 0):
        assert len(check(values[start : start + 899], writing).rows) == 899
    long = [USUAL % (b'"%s"' % (b"w" * length)) for length in (1, 7, 8, 9, 300, 5_000, 9_000)]
    assert len(check(long).rows) == len(long)


def test_texts_are_as_long_as_they_may_be() -> None:
    values = [WHOLE]
    for field, most in ((b"p-000017", 128), (b'n":"1', 256), (b'y":"de', 256), (b"gold", 5_000)):
        before = field.rpartition(b'"')[0] + b'"' if b'"' in field else b""
        values += [WHOLE.replace(field, before + b"x" * length) for length in (0, 1, most - 1, most, most + 1)]
    read = check(values)
    assert set(read.rows.tolist()) == {row for row, value in enumerate(values) if event_of(value) is not None}
    assert 10 < len(read.rows) < len(values)


@pytest.mark.parametrize("name", ["id", "ts", "score", "x"])
def test_what_is_told_twice_is_left_to_the_parser(name: str) -> None:
    twice = {"id": b'"id":"b","id":"c"', "ts": b'"ts":5,"ts":6', "score": b'"score":0,"score":1'}.get(name, b'"cost":1')
    value = USUAL % (b'1,"x":2' if name == "x" else b"1")
    value = value.replace(b'"id":"a"', twice) if name == "id" else value[:-1] + b"," + twice + b"}"
    assert event_of(value) is not None
    assert read_of(Writing(), [value, value], lambda _: True) is None


def test_of_wide_predictions_so_much_is_remembered() -> None:
    def wide(features: int, length: int, row: int) -> bytes:
        told = ",".join(f'"{number:0{length}}":"{"abc"[(row + number) % 3]}"' for number in range(features))
        return USUAL.replace(b'"x":%s', told.encode())

    values = [wide(WORDED_MAX + 3, 4, row) for row in range(40)]
    kinds = [type(cells) for cells in check(values).features.columns.values()]
    assert (kinds.count(WordCells), kinds.count(list)) == (WORDED_MAX, 3)
    for most, length in ((SLOTS_MAX - 3, 4), (600, (LITERALS_BYTES_MAX - 200) // 600 - 4)):
        assert check([wide(most, length, 1)] * 2).rows.tolist() == [0, 1]
        too_wide = wide(most + 2, length, 1)
        assert event_of(too_wide) is not None
        assert read_of(Writing(), [too_wide] * 2, lambda _: True) is None


def test_what_is_not_taken_by_itself_teaches_nothing() -> None:
    assert read_of(Writing(), [WHOLE, WHOLE], lambda _: False) is None
    escaped = WHOLE.replace(b"gold", rb"go\u006cd")
    assert check([WHOLE, escaped]).rows.tolist() == [0]
    assert check([escaped, WHOLE]).rows.tolist() == [1]  # a text that is escaped stands where others do
    assert read_of(Writing(), [WHOLE.replace(b'"age"', rb'"\u0061ge"')], lambda _: True) is None
