"""History read from a real broker, and refused records sent back to it."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Message, Producer

from schemas.codec import Rejection, dead_letter, encode
from schemas.reasons import DeadLetterReason
from schemas.records import Record, RecordLike
from schemas.topics import CATALOGUE, Stream
from streams.cli import main
from streams.dead_letters import RESENT_HEADER
from streams.errors import BrokerError, UsageError
from streams.sections import KafkaSettings
from streams.settings import Settings
from streams.topic_range import Between, Stretch, TopicRange
from streams.topics import create
from tests.transport.workers import PARTITIONS, Input, make_topics, read, settings_for

pytestmark = pytest.mark.broker

INPUTS = (Stream.CONTROL, Stream.PREDICTIONS, Stream.OUTCOMES)
Place = tuple[int, str, int]


def test_a_topic_range_is_every_record_partition_by_partition_in_the_sorted_order(bootstrap: str) -> None:
    settings = settings_for(bootstrap)
    make_topics(settings)
    Input(settings).send(3_000)
    expected = sorted(
        (message.partition(), message.timestamp()[1], CATALOGUE[stream].rank or 0, message.offset(), message.topic())
        for stream in INPUTS
        for message in read(settings, stream)
    )
    source = TopicRange(settings.kafka)
    found = [(record.partition, record.topic, record.offset) for record in source]
    assert found == [(partition, topic, offset) for partition, _, _, offset, topic in expected]
    assert (len(found), source.fraction) == (3_000, 1.0)


def test_a_range_of_time_is_what_was_appended_in_it(bootstrap: str) -> None:
    settings = settings_for(bootstrap)
    make_topics(settings)
    Input(settings).send(1_500)
    every = list(TopicRange(settings.kafka))
    times = sorted({record.timestamp for record in every})
    assert len(times) > 3
    since, until = times[len(times) // 3], times[2 * len(times) // 3]
    for between in (Between(since, until), Between(None, since), Between(until, None), Between(times[-1] + 1, None)):
        low, high = between.since or 0, between.until or times[-1] + 1
        expected = [record for record in every if low <= record.timestamp < high]
        assert [_place(one) for one in TopicRange(settings.kafka, between)] == [_place(one) for one in expected]


def test_a_range_of_offsets_is_what_lies_in_it(bootstrap: str) -> None:
    settings = settings_for(bootstrap)
    make_topics(settings)
    Input(settings).send(1_500)
    names = settings.kafka.topics
    stretches = [Stretch(names.predictions, 1, 20, 60), Stretch(names.outcomes, 1, None, 30)]
    of_one = [record for record in TopicRange(settings.kafka) if record.partition == 1]
    expected = [
        record
        for record in of_one
        if (record.topic != names.predictions or 20 <= record.offset < 60)
        and (record.topic != names.outcomes or record.offset < 30)
    ]
    found = [_place(record) for record in TopicRange(settings.kafka, Between(stretches=stretches))]
    assert found == [_place(record) for record in expected]
    assert len(found) > 60
    with pytest.raises(UsageError, match=r"--offsets: elsewhere/0 is no input; there are "):
        list(TopicRange(settings.kafka, Between(stretches=[Stretch("elsewhere", 0, 1, 2)])))


def _place(record: RecordLike) -> Place:
    return record.partition, record.topic, record.offset


def test_empty_topics_are_a_whole_history(bootstrap: str) -> None:
    settings = settings_for(bootstrap)
    make_topics(settings)
    assert list(TopicRange(settings.kafka)) == []


def test_topics_that_are_not_there_are_named(bootstrap: str) -> None:
    kafka = settings_for(bootstrap).kafka
    with pytest.raises(UsageError, match=f"topic {kafka.topics.control}: is not there; see driftline topics create"):
        list(TopicRange(kafka))


def test_input_topics_that_differ_in_their_partitions_are_refused(bootstrap: str) -> None:
    kafka = settings_for(bootstrap).kafka
    for partitions, stream in ((2, Stream.CONTROL), (3, Stream.PREDICTIONS), (3, Stream.OUTCOMES)):
        asyncio.run(create(_only(kafka, stream, partitions)))
    with pytest.raises(UsageError, match=r"the input topics differ in their partitions: .*control 2"):
        list(TopicRange(kafka))


def _only(kafka: KafkaSettings, stream: Stream, partitions: int) -> KafkaSettings:
    """Settings under which only this one topic has its name; the others go to names nobody looks at."""
    names = msgspec.structs.asdict(kafka.topics)
    aside = {key: name if key == stream.value else f"{name}.{stream.value}.aside" for key, name in names.items()}
    return msgspec.structs.replace(kafka, topics=msgspec.convert(aside, type(kafka.topics)), partitions=partitions)


def test_a_broker_that_is_not_there_is_named() -> None:
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1: does not answer"):
        list(TopicRange(KafkaSettings(bootstrap="127.0.0.1:1", request_timeout="1s")))


def test_a_refused_record_goes_back_as_it_was(
    bootstrap: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(bootstrap)
    make_topics(settings)
    names = settings.kafka.topics
    headers = [("trace", b"\x00\x01")]
    refused = Record(names.predictions, PARTITIONS - 1, 7, 1_767_225_600_000, b"churn", b"\xff broken", headers)
    letter = dead_letter(refused, Rejection(DeadLetterReason.NOT_UTF8, "no text"), refused.timestamp)
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(names.dead_letters, encode(letter), partition=2)
    producer.produce(names.dead_letters, b"something else", partition=1)
    producer.flush(20)
    config = _file(tmp_path / "driftline.toml", settings)

    assert main(["dead-letters", "list", "--config", config]) == 0
    said = capsys.readouterr()
    assert f"1  not_utf8  {names.predictions}" in said.out
    assert f"{names.dead_letters}[1]@0 is no dead letter" in said.err

    assert main(["dead-letters", "resend", letter.id, "--yes", "--config", config]) == 0
    assert capsys.readouterr().out == "sent again: 1; not sent: 0\n"
    (back,) = read(settings, Stream.PREDICTIONS)
    assert _content(back) == (PARTITIONS - 1, b"churn", b"\xff broken", [*headers, (RESENT_HEADER, b"1")])


def _content(message: Message) -> tuple[int | None, bytes | None, bytes | None, list[tuple[str, bytes]]]:
    return message.partition(), message.key(), message.value(), message.headers()


def _file(path: Path, settings: Settings) -> str:
    kafka = settings.kafka
    topics = "\n".join(f'{key} = "{name}"' for key, name in msgspec.structs.asdict(kafka.topics).items())
    path.write_text(f'[kafka]\nbootstrap = "{kafka.bootstrap}"\n[kafka.topics]\n{topics}\n')
    return str(path)
