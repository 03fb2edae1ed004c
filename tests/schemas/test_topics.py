"""The topic catalogue."""

import msgspec
import pytest

from schemas.events import INPUTS, OUTPUTS, event_type
from schemas.topics import CATALOGUE, Direction, Stream, TopicNames


def test_every_event_lies_on_exactly_one_topic() -> None:
    words = [word for topic in CATALOGUE.values() for word in topic.events]
    assert sorted(words) == sorted(event_type(cls) for cls in (*INPUTS, *OUTPUTS))


def test_control_goes_first_and_an_outcome_after_its_prediction() -> None:
    assert list(TopicNames().inputs.values()) == [Stream.CONTROL, Stream.PREDICTIONS, Stream.OUTCOMES]


def test_an_input_has_a_rank_and_an_output_none() -> None:
    assert all((topic.rank is None) == (topic.direction is Direction.OUT) for topic in CATALOGUE.values())


def test_the_names_are_those_of_the_catalogue_unless_the_user_says_otherwise() -> None:
    names = TopicNames()
    assert {stream: names.of(stream) for stream in Stream} == {s: topic.name for s, topic in CATALOGUE.items()}
    assert TopicNames(control="ops").inputs["ops"] is Stream.CONTROL
    assert names.inputs | names.outputs == {topic.name: stream for stream, topic in CATALOGUE.items()}


@pytest.mark.parametrize("name", ["", "a/b", "a" * 250, "..", "driftline.outcomes"])
def test_a_name_that_kafka_or_another_topic_forbids_is_refused(name: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="topic"):
        msgspec.convert({"predictions": name}, TopicNames)


def test_a_topics_settings_stand_under_kafkas_names() -> None:
    assert CATALOGUE[Stream.OUTCOMES].config() == {
        "cleanup.policy": "delete",
        "retention.ms": "3024000000",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": "1114112",
    }


def test_what_was_decided_outlives_what_it_was_decided_from() -> None:
    """A worker that rebuilds its state looks on the output topics for what it need not send again."""
    longest = max(topic.retention_ms for topic in CATALOGUE.values() if topic.direction is Direction.IN)
    assert all(topic.retention_ms > longest for topic in CATALOGUE.values() if topic.direction is Direction.OUT)
