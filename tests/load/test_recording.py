"""What is recorded for measurements: events that keep the contract, the same for a seed, each in its partition."""

from aiokafka.partitioner import DefaultPartitioner

from load.recording import CHUNK, FEATURES, MODELS, PARTITIONS, Event, Recording, _chunks, _partition
from schemas.codec import Decoder
from schemas.events import Outcome, Prediction
from schemas.records import Record
from schemas.topics import Stream


def _recorded(records: int = 2_000, seed: int = 1) -> tuple[list[Event], list[Event]]:
    chunks = list(_chunks(Recording("p", "o", records, seed)))
    return [event for events, _ in chunks for event in events], [event for _, events in chunks for event in events]


def _decoded(stream: Stream, events: list[Event]) -> list[object]:
    decoder = Decoder()
    return [
        decoder.decode(stream, Record("t", 0, offset, 0, event.model.encode(), event.value))
        for offset, event in enumerate(events)
    ]


def test_every_recorded_prediction_keeps_the_contract() -> None:
    decoded = _decoded(Stream.PREDICTIONS, _recorded()[0])
    assert {type(event) for event in decoded} == {Prediction}
    assert {len(event.features) for event in decoded if isinstance(event, Prediction)} == {FEATURES}
    assert len({event.model for event in decoded if isinstance(event, Prediction)}) == MODELS


def test_every_prediction_has_one_outcome_that_keeps_the_contract() -> None:
    predictions, outcomes = _recorded()
    decoded = _decoded(Stream.OUTCOMES, outcomes)
    assert {type(event) for event in decoded} == {Outcome}
    asked = {event.id for event in _decoded(Stream.PREDICTIONS, predictions) if isinstance(event, Prediction)}
    assert sorted(event.id for event in decoded if isinstance(event, Outcome)) == sorted(asked)


def test_a_seed_records_the_same_bytes_and_another_seed_others() -> None:
    assert _recorded(seed=1) == _recorded(seed=1)
    assert _recorded(seed=1) != _recorded(seed=2)


def test_a_number_of_records_that_is_no_whole_number_of_chunks_is_recorded_to_the_last() -> None:
    assert len(_recorded(CHUNK + 7)[0]) == CHUNK + 7


def test_records_are_about_as_large_as_a_real_prediction_with_eight_features() -> None:
    predictions = _recorded()[0]
    assert 300 < sum(len(event.value) for event in predictions) / len(predictions) < 400


def test_a_model_lies_in_the_partition_that_kafkas_default_gives_it() -> None:
    names = [f"m{number}" for number in range(100)]
    everywhere = list(range(PARTITIONS))
    usual = [DefaultPartitioner()(name.encode(), everywhere, everywhere) for name in names]
    assert [_partition(name) for name in names] == usual
