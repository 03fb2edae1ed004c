"""Parts of a running worker that must not leave it half alive."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition

from streams.errors import StateDiskError
from streams.running import _measure_lag, _stop
from streams.telemetry import NoTelemetry
from streams.watchdog import Progress
from streams.worker import Worker

FIRST, GAINED = TopicPartition("predictions", 0), TopicPartition("predictions", 1)


class Partitions:
    """Gains a partition as soon as the brokers are asked."""

    def __init__(self) -> None:
        self.positions = {FIRST: 3}

    def committed(self) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(self.positions, 2)

    async def finish(self) -> None:
        raise StateDiskError("no room", where="state")


class App(NamedTuple):
    consumer: Any


class Consumer:
    held: Mapping[int, int] = {}


class Offsets:
    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    async def ends(self, asked: list[TopicPartition]) -> dict[TopicPartition, int]:
        self._partitions.positions = {FIRST: 3, GAINED: 7}
        return dict.fromkeys(asked, 10)


class Ended(Exception):  # noqa: N818
    """In place of the end of the process."""


def worker() -> Worker:
    partitions = Partitions()

    def fatal(error: BaseException) -> None:
        raise Ended(str(error))

    def exit_process(status: int) -> Any:
        raise AssertionError(status)

    parts: Any = (App(Consumer()), Offsets(partitions), partitions, Progress(), fatal, exit_process, ())
    return Worker(*parts)


async def test_the_lag_is_measured_while_a_rebalance_gives_another_partition():
    await _measure_lag(worker(), NoTelemetry())


async def test_an_end_in_order_that_fails_ends_the_process_all_the_same():
    with pytest.raises(Ended, match="no room"):
        await _stop(worker())
