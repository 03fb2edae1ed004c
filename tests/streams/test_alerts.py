from collections.abc import Iterable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from streams.alerts import POLL_MS, QUIET_S, fetched

TP = TopicPartition("driftline.alerts", 0)
QUIET_POLLS = int(QUIET_S * 1_000 / POLL_MS)


class Consumer:
    """Gives nothing for as long as the brokers are asked so often, then one record."""

    def __init__(self, answers: Iterable[bool]) -> None:
        self._answers = list(answers)
        self.polls = 0

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        self.polls += 1
        return {} if self._answers else {TP: [self.polls]}

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        if not self._answers.pop(0):
            raise KafkaConnectionError("nobody there")
        return {TP: 0}


async def said_before_a_record(answers: Iterable[bool]) -> list[str]:
    said: list[str] = []
    consumer = Consumer(answers)
    async for records in fetched(consumer, [TP], said.append):
        assert records == [consumer.polls]
        break
    return said


async def test_brokers_that_are_away_are_told_once_and_again_when_they_answer() -> None:
    away, back = "brokers do not answer; it goes on when they do", "brokers answer again"
    assert await said_before_a_record([False, False, True, True, False]) == [away, back, away]


async def test_a_quiet_topic_is_no_trouble() -> None:
    assert await said_before_a_record([True] * 3) == []
