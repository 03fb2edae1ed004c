"""Each golden example is read and written again, byte for byte. A change that breaks one breaks somebody's program."""

import orjson
import pytest

from schemas.codec import Decoder, Rejection, decode_output, encode
from schemas.events import INPUTS, OUTPUTS, AlertEvent, ControlAction, Event, event_type
from schemas.records import Record
from schemas.topics import CATALOGUE
from tests.schemas.golden import GOLDEN, canonical

STREAM_OF = {word: topic.stream for topic in CATALOGUE.values() for word in topic.events}
INPUT_WORDS = {event_type(cls) for cls in INPUTS}
# What the written form says although a sparing producer does not.
DEFAULTS = {
    "prediction": {"role": "champion"},
    "outcome": {"revision": 0, "weight": 1.0, "provisional": False},
}


def read(value: bytes) -> Event | Rejection:
    fields = orjson.loads(value)
    if fields["type"] not in INPUT_WORDS:
        return decode_output(value)
    stream, key = STREAM_OF[fields["type"]], fields.get("model", "").encode()
    return Decoder().decode(stream, Record("t", 0, 0, 0, key, value))


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_example_is_read_and_written_again_byte_for_byte(name: str) -> None:
    fields = orjson.loads(GOLDEN[name])
    event = read(GOLDEN[name])
    assert not isinstance(event, Rejection), event
    written = encode(event)
    assert written == canonical(DEFAULTS.get(fields["type"], {}) | fields)
    assert read(written) == event


def test_every_event_type_has_an_example() -> None:
    words = {orjson.loads(value)["type"] for value in GOLDEN.values()}
    assert words == {event_type(cls) for cls in (*INPUTS, *OUTPUTS)} == set(STREAM_OF)


def test_every_action_and_every_step_of_an_alert_has_an_example() -> None:
    examples = [orjson.loads(value) for value in GOLDEN.values()]
    assert {example["action"] for example in examples if "action" in example} == set(ControlAction)
    assert {example["event"] for example in examples if "event" in example} == set(AlertEvent)


def test_an_example_that_says_nothing_known_is_found() -> None:
    with pytest.raises(ValueError, match="type"):
        read(b'{"type":"alarm"}')
