"""What is said about topics that are not as a worker needs them."""

from schemas.topics import CATALOGUE, Stream
from streams.connection import Permissions
from streams.sections import KafkaSettings
from streams.topics import Found, differences

KAFKA = KafkaSettings()


def as_the_catalogue_says(**changes: Found) -> dict[str, Found]:
    found = {KAFKA.topics.of(stream): Found(4, topic.config()) for stream, topic in CATALOGUE.items()}
    return found | {KAFKA.topics.of(Stream(stream)): topic for stream, topic in changes.items()}


def with_config(stream: Stream, **config: str) -> dict[str, Found]:
    changed = {key.replace("_", "."): value for key, value in config.items()}
    return as_the_catalogue_says(**{stream.value: Found(4, {**CATALOGUE[stream].config(), **changed})})


def test_topics_made_as_the_catalogue_says_are_all_right():
    assert list(differences(KAFKA, as_the_catalogue_says())) == []


def test_a_missing_topic_is_named_with_the_command_that_makes_it():
    found = as_the_catalogue_says()
    del found["driftline.control"]
    assert list(differences(KAFKA, found)) == [
        "driftline.control: is not there; make it with `driftline topics create`"
    ]


def test_an_input_ordered_by_producers_clocks_is_refused_with_the_command_that_mends_it():
    (line,) = differences(KAFKA, with_config(Stream.OUTCOMES, message_timestamp_type="CreateTime"))
    assert line.startswith("driftline.outcomes: message.timestamp.type is CreateTime: ")
    assert "--entity-name driftline.outcomes --add-config message.timestamp.type=LogAppendTime, or" in line
    assert line.endswith("accept it with kafka.allow_create_time = true")


def test_producers_clocks_can_be_allowed():
    found = with_config(Stream.OUTCOMES, message_timestamp_type="CreateTime")
    assert list(differences(KAFKA, found, Permissions(create_time=True))) == []


def test_the_clock_of_an_output_does_not_matter():
    assert list(differences(KAFKA, with_config(Stream.ALERTS, message_timestamp_type="CreateTime"))) == []


def test_a_compacted_topic_is_refused_because_a_rebuild_would_miss_records():
    (line,) = differences(KAFKA, with_config(Stream.PREDICTIONS, cleanup_policy="compact,delete"))
    assert "cleanup.policy is compact,delete: it drops records that a rebuild needs" in line


def test_an_output_that_takes_less_than_an_event_may_have_is_refused():
    (line,) = differences(KAFKA, with_config(Stream.SIGNALS, max_message_bytes="1000"))
    assert line.startswith("driftline.signals: max.message.bytes is 1,000: an event may have")


def test_different_numbers_of_partitions_are_told_in_one_line():
    found = as_the_catalogue_says(outcomes=Found(3, {}), alerts=Found(3, {}))
    (line,) = differences(KAFKA, found)
    assert "3 in driftline.alerts, driftline.outcomes; 4 in driftline.audit, driftline.control" in line


def test_a_topic_that_cannot_be_seen_is_not_also_called_missing():
    found = as_the_catalogue_says()
    del found["driftline.control"]
    assert list(differences(KAFKA, found, unknown={"driftline.control"})) == []
