"""Parts of a running worker that must not leave it half alive."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import pytest
from aiokafka import TopicPartition

from streams import worker as worker_module
from streams.errors import BrokerError, GroupSilentError, StateDiskError
from streams.running import LOOK_EVERY_S, _measure_lag, _stop, serve
from streams.settings import Settings
from streams.state import MemoryState, MemoryStore
from streams.telemetry import NoTelemetry
from streams.watchdog import Progress, Stall
from streams.worker import Worker
from tests.transport.test_partition import every

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


async def test_brokers_that_hang_at_the_start_are_not_told_as_a_loop_that_does_not_turn():
    now, hangs = 0.0, asyncio.Event()

    class Hanging(Offsets):
        async def start(self) -> None:
            await hangs.wait()
            raise BrokerError("does not answer")

    progress = Progress(lambda: now)
    beginning = worker()._replace(progress=progress, offsets=cast(Any, Hanging(Partitions())))
    serving = asyncio.create_task(serve(beginning, asyncio.Event(), NoTelemetry()))
    await asyncio.sleep(0)
    now = 59.0
    await asyncio.sleep(2 * LOOK_EVERY_S)
    now = 61.0
    assert progress.stalled(60) is not Stall.LOOP_BLOCKED
    hangs.set()
    with pytest.raises(BrokerError):
        await serving


async def test_an_end_in_order_that_fails_ends_the_process_all_the_same():
    with pytest.raises(Ended, match="no room"):
        await _stop(worker())


async def test_a_group_that_does_not_answer_is_told_in_a_line_and_not_with_a_trace(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker_module, "SEND_S_MAX", 0.01)
    made = worker_module.build(Settings(), MemoryStore(every(1)))

    class Silent:
        async def is_member(self, _own: object) -> bool:
            await asyncio.sleep(60)
            return True

    made.app.consumer = cast(Any, Silent())
    owned = made.partitions._make(0, MemoryState(0, every(1)))
    with pytest.raises(GroupSilentError, match=r"driftline: the group did not say within 0.01 s"):
        await owned._is_member(0)
