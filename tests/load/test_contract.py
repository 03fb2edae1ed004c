"""The generated traffic keeps the contract: every record is taken by the codec that the worker uses."""

from collections import Counter
from itertools import islice

from load.live import live
from load.scenarios import scenario
from schemas.codec import Decoder, Rejection
from schemas.records import Record
from schemas.topics import TopicNames

SEED = 11
NOW_MS = 1_800_000_000_000


def test_every_record_of_the_day_is_taken_and_has_no_field_too_many() -> None:
    names, decoder = TopicNames(), Decoder()
    streams = names.inputs
    taken = Counter(
        type(decoder.decode(streams[record.topic], record)).__name__ for record in scenario(SEED).records(names)
    )
    assert set(taken) == {"Prediction", "Outcome", "Control"}
    assert decoder.unknown_fields == 0


def test_every_event_sent_live_is_taken_too() -> None:
    decoder = Decoder()
    for offset, event in enumerate(islice(scenario(SEED).events(), 0, None, 50)):
        value = live(event, NOW_MS + offset, "18f0")
        record = Record("any", 0, offset, NOW_MS + offset, event.model.encode(), value)
        assert not isinstance(decoder.decode(event.stream, record), Rejection)
