"""What the consumer's thread makes of the group's word, without a group."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import CommitFailedError
from faust.types import TP

from streams.consumer_thread import ConsumerThread
from streams.lease import HEARS_LATE_S, Lease


class Thread(ConsumerThread):
    """Its consumer is of a generation that the test says; the group takes whatever is committed."""

    def __init__(self, generation: int) -> None:
        self.transport = SimpleNamespace(lease=Lease(30.0))
        self.committed: list[Any] = []
        self._coordinator = SimpleNamespace(generation=generation)

    def _ensure_consumer(self) -> Any:
        return SimpleNamespace(_coordinator=self._coordinator, commit=self._take)

    async def _take(self, offsets: Any) -> None:
        self.committed.append(offsets)

    thread_loop = None

    @property
    def consumer(self) -> Any:
        return SimpleNamespace(threadsafe_partitions_revoked=_nothing, threadsafe_partitions_assigned=_nothing)


async def _nothing(*_: object) -> None:
    """The loop of the work is told."""


async def test_a_member_is_confirmed_by_what_the_group_takes_of_it():
    thread = Thread(generation=0)
    await thread._confirm({TP("predictions", 1): 7})
    assert len(thread.committed) == 1
    assert not thread.transport.lease.over


async def test_who_was_thrown_out_is_not_confirmed_by_a_group_without_members_that_takes_it():
    thread = Thread(generation=-1)
    with pytest.raises(CommitFailedError):
        await thread._confirm({TP("predictions", 1): 7})
    assert thread.committed == []
    assert thread.transport.lease.over


async def test_who_is_thrown_out_while_it_is_confirmed_is_not():
    """The commit is tried again where the coordinator moves, and may go out after a heartbeat has found out."""

    class ThrownOut(Thread):
        async def _take(self, offsets: Any) -> None:
            self._coordinator.generation = -1
            await super()._take(offsets)

    thread = ThrownOut(generation=3)
    with pytest.raises(CommitFailedError):
        await thread._confirm({TP("predictions", 1): 7})
    assert thread.transport.lease.over


async def test_who_was_thrown_out_sends_nothing_more_however_young_the_groups_last_answer_is():
    thread = Thread(generation=3)
    await thread._confirm({TP("predictions", 1): 7})
    await thread.on_partitions_revoked(set())
    assert not thread.transport.lease.over, "it is a member that leaves in order"
    thread._coordinator.generation = -1
    await thread.on_partitions_revoked(set())
    assert thread.transport.lease.over


async def test_a_lease_ends_with_the_patience_of_a_group_that_meets_and_not_afterwards():
    thread = Thread(generation=3)
    thread.transport.lease = Lease(45.0, meets_s=HEARS_LATE_S)
    await thread._confirm({TP("predictions", 1): 7})
    await thread.on_partitions_revoked(set())
    assert thread.transport.lease.over
    await thread.on_partitions_assigned(set(), 4)
    assert not thread.transport.lease.over
