"""What a worker does with its partitions around the batches: commits, checkpoints, and what it leaves behind."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from schemas.topics import TopicNames
from streams.blobs_directory import DirectoryBlobs
from streams.checkpoints import Checkpoints
from streams.durable import Belongs
from streams.errors import CorruptStateError, StateDiskError
from streams.ownership import Partitions
from streams.pace import Pace
from streams.partition import OwnedPartition
from streams.sender import Sender, destinations
from streams.state import PartitionState
from streams.state_dir import StateDir
from streams.stores import DurableStore
from streams.telemetry import NoTelemetry
from streams.watchdog import Progress
from tests.transport.chain import ChainEngine
from tests.transport.test_partition import INPUT, Group, Topics, batch, every, sent
from tests.transport.test_sender import Kafka


class Never(Pace):
    """Nothing is committed but where the test makes it be: alerts would not wait for any interval."""

    due = False


class Worker:
    """A worker without a transport: batches are handed to it."""

    def __init__(self, folder: StateDir, checkpoints: Path, engine_of: Any, interval_s: float | None) -> None:
        self.kafka, self.group = Kafka(), Group()
        self.folder = folder
        self.store = DurableStore(
            folder,
            engine_of,
            lambda number: Belongs("driftline", number, {"alerts": "driftline.alerts"}),
            checkpoints=Checkpoints(DirectoryBlobs(checkpoints), group="driftline", kept=3),
        )
        self.interval_s = interval_s
        self.progress = Progress()
        self.partitions = Partitions(self.store, self._owned, NoTelemetry(), self.progress)

    async def given(self, numbers: list[int], generation: int) -> Mapping[int, Mapping[str, int]]:
        places = await self.partitions.assigned(numbers, generation)
        self.partitions.reading_from({}, {})
        return places

    def _owned(self, number: int, state: PartitionState) -> OwnedPartition:
        return OwnedPartition(
            number,
            state,
            sender=Sender(self.kafka, destinations(TopicNames()), NoTelemetry(), bytes_max=10_000, timeout_s=5),
            offsets=Topics(),
            inputs=(INPUT,),
            outputs=("driftline.alerts",),
            pace=Never(0.0) if self.interval_s is None else Pace(self.interval_s),
            telemetry=NoTelemetry(),
            is_current=self.partitions.is_current,
            is_member=self.group.is_member,
            is_leaving=lambda: self.partitions.leaving,
            moved=lambda: None,
        )


@contextmanager
def worker(disk: Path, checkpoints: Path, engine_of: Any = None, interval_s: float | None = None) -> Iterator[Worker]:
    with StateDir(disk) as folder:
        made = Worker(folder, checkpoints, engine_of or every(1), interval_s)
        try:
            yield made
        finally:
            made.store.close()


async def left_in_the_outbox(own: Worker) -> None:
    """It commits two records of the first generation, and may not send what they decided."""
    await own.given([0], 1)
    await own.partitions.take(batch(0, 2))
    own.group.counts_us_in = False
    await own.partitions.revoked(1)


async def test_what_no_further_batch_follows_is_committed_and_sent_all_the_same(tmp_path: Path):
    with worker(tmp_path / "a", tmp_path / "c", interval_s=0.01) as own:
        await own.given([0], 1)
        committing = asyncio.create_task(own.partitions.keep_committing(0.01))
        await own.partitions.take(batch(0, 2))
        await own.kafka.has_records.wait()
        assert sent(own.kafka) == ["0-1", "0-2"]
        committing.cancel()
        with suppress(asyncio.CancelledError):
            await committing


async def test_a_batch_commits_when_that_is_due(tmp_path: Path):
    with worker(tmp_path / "a", tmp_path / "c", interval_s=0.0) as own:
        await own.given([0], 1)
        await own.partitions.take(batch(0, 2))
        assert dict(own.partitions.committed()) == {(INPUT, 0): 2}


async def test_the_groups_offsets_follow_commits_and_lag_follows_what_is_applied(tmp_path: Path):
    with worker(tmp_path / "a", tmp_path / "c") as own:
        await own.given([0], 1)
        own.partitions.reading_from({(INPUT, 0): 0, ("driftline.control", 0): 0}, {})
        await own.partitions.take(batch(0, 2))
        assert dict(own.partitions.committed()) == {}
        assert dict(own.partitions.positions) == {(INPUT, 0): 2, ("driftline.control", 0): 0}


async def test_a_partition_that_is_taken_away_goes_on_elsewhere_and_repeats_nothing(tmp_path: Path):
    with worker(tmp_path / "a", tmp_path / "c") as first, worker(tmp_path / "b", tmp_path / "c") as second:
        await first.given([0, 1], 1)
        await first.partitions.take(batch(0, 3))
        await first.partitions.revoked(1)
        assert sent(first.kafka) == ["0-1", "0-2", "0-3"]
        assert first.partitions.numbers == ()
        places = await second.given([0], 2)
        assert places == {0: {INPUT: 3}}
        state = second.store._held[0].state
        assert state.read_back_from == {"driftline.alerts": 3}
        assert not state.uncommitted, "nothing is left in the outbox"


async def test_a_worker_that_ends_leaves_a_checkpoint_of_its_last_batch(tmp_path: Path):
    with worker(tmp_path / "a", tmp_path / "c") as first, worker(tmp_path / "b", tmp_path / "c") as second:
        await first.given([0], 1)
        await first.partitions.take(batch(0, 3))
        await first.partitions.finish()
        await first.partitions.take(batch(3, 3))
        await first.partitions.revoked(1)
        assert await second.given([0], 2) == {0: {INPUT: 3}}


async def test_checkpoints_are_saved_while_the_work_goes_on(tmp_path: Path):
    with worker(tmp_path / "a", tmp_path / "c") as own, worker(tmp_path / "b", tmp_path / "c") as other:
        await own.given([0], 1)
        await own.partitions.take(batch(0, 3))
        saved = asyncio.Event()
        own.store._telemetry.checkpointed = lambda *_: saved.set()
        checkpointing = asyncio.create_task(own.partitions.keep_checkpointing(0.01))
        await saved.wait()
        checkpointing.cancel()
        with suppress(asyncio.CancelledError):
            await checkpointing
        assert await other.given([0], 1) == {0: {INPUT: 3}}


async def test_a_worker_that_the_group_has_given_up_goes_on_from_its_last_commit_when_it_is_back(tmp_path: Path):
    with worker(tmp_path / "a", tmp_path / "c") as own:
        await left_in_the_outbox(own)
        assert sent(own.kafka) == []
        own.group.counts_us_in = True
        # The commit came before the question, so the state is past the batch and the outbox holds what it decided.
        assert await own.given([0], 3) == {0: {INPUT: 2}}
        await own.partitions.revoked(3)
        assert sent(own.kafka) == ["0-1", "0-2"]


async def test_a_generation_that_was_taken_away_before_it_was_opened_may_have_had_another_owner(tmp_path: Path):
    with worker(tmp_path / "a", tmp_path / "c") as slow, worker(tmp_path / "b", tmp_path / "c") as quick:
        await slow.given([0], 1)
        await slow.partitions.take(batch(0, 2))
        await slow.partitions.revoked(1)
        assert await quick.given([0], 2) == {0: {INPUT: 2}}
        await quick.partitions.take(batch(2, 3, generation=2))
        await slow.partitions.revoked(2)  # Faust was slow: it was never opened here
        await quick.partitions.revoked(2)
        assert await slow.given([0], 3) == {0: {INPUT: 5}}
        assert slow.store._held[0].state.wants_read_back


async def test_an_opening_is_broken_off_when_the_next_rebalance_waits(tmp_path: Path):
    with worker(tmp_path / "a", tmp_path / "c") as own:
        opening = asyncio.create_task(own.partitions.assigned([0, 1, 2], 1))
        await asyncio.sleep(0)  # it is under way, and looks for checkpoints in a thread
        leaving = asyncio.create_task(own.partitions.revoked(1))
        assert len(await opening) < 3
        await leaving
        assert not own.progress.is_ready
        assert set(await own.given([0, 1, 2], 2)) == {0, 1, 2}
        assert own.progress.is_ready


async def test_nothing_is_sent_before_the_topics_are_known_to_be_those_of_the_state(tmp_path: Path):
    with worker(tmp_path / "a", tmp_path / "c") as first:
        await left_in_the_outbox(first)
    with worker(tmp_path / "a", tmp_path / "c") as second:
        await second.partitions.assigned([0], 3)
        await second.partitions._commit_if_due(0)
        assert sent(second.kafka) == []
        second.partitions.reading_from({}, {})
        second.partitions._owned[0]._pace = Pace(0.0)
        await second.partitions._commit_if_due(0)
        await second.partitions.revoked(3)
        assert sent(second.kafka) == ["0-1", "0-2"]


async def test_a_leave_before_the_topics_are_known_to_be_those_of_the_state_sends_nothing(tmp_path: Path):
    with worker(tmp_path / "a", tmp_path / "c") as first:
        await left_in_the_outbox(first)
    with worker(tmp_path / "a", tmp_path / "c") as second, worker(tmp_path / "b", tmp_path / "c") as third:
        await second.partitions.assigned([0], 3)
        await second.partitions.revoked(3)
        assert sent(second.kafka) == []
        assert await third.given([0], 4) == {0: {INPUT: 2}}
        await third.partitions.revoked(4)
        assert sent(third.kafka) == ["0-1", "0-2"]


async def test_a_state_that_breaks_in_the_work_is_put_aside_before_the_process_ends(tmp_path: Path):
    class Broken(ChainEngine):
        def apply(self, records: Any) -> Any:
            raise CorruptStateError("block checksum mismatch")

    with worker(tmp_path / "a", tmp_path / "c", Broken) as own:
        await own.given([0], 1)
        with pytest.raises(CorruptStateError):
            await own.partitions.take(batch(0, 2))
        assert len(own.folder.quarantined()) == 1
        assert own.folder.partitions() == []


async def test_a_disk_that_runs_full_ends_the_work_with_a_clear_line(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("streams.ownership.LOOK_AROUND_S", 0.0)
    with worker(tmp_path / "a", tmp_path / "c") as own:
        own.folder._free_min = 1 << 50
        with pytest.raises(StateDiskError, match="are free on its disk"):
            await own.partitions.keep_committing(0.001)
