"""Which state a worker opens: its own, a checkpoint that is further, or none; and what becomes of a broken one."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

import pytest

from schemas.records import Record
from streams.blobs import BlobsError
from streams.blobs_directory import DirectoryBlobs
from streams.checkpoints import Checkpoints
from streams.durable import Belongs
from streams.errors import CorruptStateError, UsageError
from streams.identity import Identity
from streams.rocks import Rocks
from streams.sections import StateSettings
from streams.settings import Settings
from streams.state import MemoryStore, PartitionState
from streams.state_dir import StateDir
from streams.stores import DurableStore, opened
from tests.streams.test_rocks import flip, the_only
from tests.transport.chain import ChainEngine

BATCH = 100
ROWS = 2_000  # enough for a table with several blocks


class Machine(NamedTuple):
    """A worker's disk, and where checkpoints go."""

    folder: StateDir
    store: DurableStore

    def damage(self, how: Callable[[Path], object]) -> None:
        how(self.folder.place(0))

    @property
    def quarantined(self) -> list[str]:
        return [path.name.partition("-")[0] for path in self.folder.quarantined()]


class RowsEngine(ChainEngine):
    """A chain with something to keep beside it."""

    def changes(self):
        changes = super().changes()
        return changes._replace(puts=[*changes.puts, *((b"row%06d" % n, os.urandom(40)) for n in range(ROWS))])


@contextmanager
def machine(
    disk: Path, checkpoints: Path | None = None, group: str = "driftline", topic: str = "p"
) -> Iterator[Machine]:
    saved = Checkpoints(DirectoryBlobs(checkpoints), group=group, kept=3) if checkpoints else None
    with StateDir(disk) as folder:
        store = DurableStore(
            folder,
            RowsEngine,
            lambda number: Belongs(group, number, {"predictions": topic, "alerts": "driftline.alerts"}),
            checkpoints=saved,
        )
        try:
            yield Machine(folder, store)
        finally:
            store.close()


async def open_one(store: DurableStore, generation: int = 1) -> PartitionState:
    state = (await store.open([0], generation))[0]
    if state.wants_read_back:
        state.read_back_done({})
    return state


def work(state: PartitionState, batches: int = 1) -> None:
    """Applies and commits the next batches; nobody is sent anything."""
    for _ in range(batches):
        first = state.applied.get("p", 0)
        records = [Record("p", 0, first + n, 0, None, b"%d" % n) for n in range(BATCH)]
        state.took({"p": first + BATCH}, state.engine.apply(records).effects)
        state.commit()
        state.sent({})


def link(state: PartitionState) -> bytes:
    """What tells whether the engine stands where its positions say."""
    (change, *_) = state.engine.changes().puts
    return change[1]


def truth(batches: int) -> bytes:
    engine = ChainEngine(0)
    for first in range(0, batches * BATCH, BATCH):
        engine.apply([Record("p", 0, first + n, 0, None, b"%d" % n) for n in range(BATCH)])
    return engine.changes().puts[0][1]


async def test_a_state_is_opened_where_its_last_commit_stood(tmp_path: Path):
    with machine(tmp_path) as first:
        state = await open_one(first.store)
        assert state.positions == {}
        work(state, 3)
    with machine(tmp_path) as second:
        state = await open_one(second.store)
        assert (state.positions, link(state)) == ({"p": 300}, truth(3))
        assert second.quarantined == []


async def test_a_worker_without_a_state_goes_on_from_a_checkpoint(tmp_path: Path):
    with machine(tmp_path / "a", tmp_path / "checkpoints") as first:
        work(await open_one(first.store), 3)
        await first.store.checkpoint(0)
    with machine(tmp_path / "b", tmp_path / "checkpoints") as second:
        state = await open_one(second.store)
        assert (state.positions, link(state)) == ({"p": 300}, truth(3))
        work(state)
    with machine(tmp_path / "b", tmp_path / "checkpoints") as second:
        assert (await open_one(second.store)).positions == {"p": 400}, "its own is further now"


async def test_a_checkpoint_that_is_further_takes_the_place_of_the_local_state(tmp_path: Path):
    with machine(tmp_path / "a", tmp_path / "checkpoints") as first:
        work(await open_one(first.store), 1)
        await first.store.checkpoint(0)
    with machine(tmp_path / "b", tmp_path / "checkpoints") as second:
        work(await open_one(second.store), 2)
        await second.store.checkpoint(0)
    with machine(tmp_path / "a", tmp_path / "checkpoints") as first:
        state = await open_one(first.store)
        assert (state.positions, link(state)) == ({"p": 300}, truth(3))
        assert first.quarantined == []


async def test_a_state_that_did_not_move_is_not_saved_again(tmp_path: Path):
    with machine(tmp_path / "a", tmp_path / "checkpoints") as first:
        state = await open_one(first.store)
        work(state)
        for _ in range(3):
            await first.store.checkpoint(0)
        assert len(list((tmp_path / "checkpoints").rglob("manifests/*"))) == 1
        work(state)
        await first.store.checkpoint(0)
        assert len(list((tmp_path / "checkpoints").rglob("manifests/*"))) == 2
        assert list((tmp_path / "a" / "aside").iterdir()) == []


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no CURRENT": lambda folder: (folder / "CURRENT").unlink(),
    "cut MANIFEST": lambda folder: os.truncate(the_only(folder, "MANIFEST*"), 60),
    "no MANIFEST": lambda folder: the_only(folder, "MANIFEST*").unlink(),
    "no table": lambda folder: max(folder.glob("*.sst")).unlink(),
    "bit in the index of a table": lambda folder: flip(max(folder.glob("*.sst")), 0.999),
    "everything": lambda folder: [path.unlink() for path in folder.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_broken_state_is_put_aside_and_the_newest_checkpoint_takes_its_place(tmp_path: Path, damage):
    with machine(tmp_path / "a", tmp_path / "checkpoints") as first:
        state = await open_one(first.store)
        work(state, 2)
        await first.store.checkpoint(0)
        work(state)
    with machine(tmp_path / "a", tmp_path / "checkpoints") as again:
        again.damage(damage)
        state = await open_one(again.store)
        assert (state.positions, link(state)) == ({"p": 200}, truth(2))
        assert again.quarantined == ["0"]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_broken_state_without_a_checkpoint_is_begun_anew(tmp_path: Path, damage):
    with machine(tmp_path) as first:
        work(await open_one(first.store), 2)
    with machine(tmp_path) as again:
        again.damage(damage)
        assert (await open_one(again.store)).positions == {}
        assert again.quarantined == ["0"]


async def test_a_row_that_turns_out_to_be_broken_puts_the_state_aside_for_the_next_process(tmp_path: Path):
    with machine(tmp_path) as first:
        work(await open_one(first.store), 2)
    with machine(tmp_path) as again:
        again.damage(lambda folder: flip(max(folder.glob("*.sst")), 1 / 2))
        state = await open_one(again.store)
        assert state.positions == {"p": 200}, "nothing has been read that is broken"
        said = what_is_wrong_with(again.store._held[0].rocks)
        assert "checksum" in said
        again.store.put_aside(0, CorruptStateError(said))
        assert again.quarantined == ["0"]
        assert (await open_one(again.store, 2)).positions == {}


def what_is_wrong_with(rocks: Rocks) -> str:
    try:
        return f"nothing: {len(list(rocks.scan(b'')))} rows"
    except CorruptStateError as error:
        return str(error)


async def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path):
    with machine(tmp_path / "a", tmp_path / "checkpoints") as first:
        state = await open_one(first.store)
        blobs: list[set[Path]] = []
        for _ in range(2):
            work(state)
            await first.store.checkpoint(0)
            blobs.append(set((tmp_path / "checkpoints").rglob("blobs/*")))
    for blob in blobs[1] - blobs[0]:
        flip(blob, 1 / 2)
    with machine(tmp_path / "b", tmp_path / "checkpoints") as second:
        state = await open_one(second.store)
        assert (state.positions, link(state)) == ({"p": 100}, truth(1))


class Unreachable(Checkpoints):
    def __init__(self) -> None:
        """Asks nobody for anything."""

    def candidates(self, partition: int):
        raise BlobsError("does not answer", where=f"partition {partition}")


async def test_checkpoints_that_cannot_be_read_stop_only_a_worker_that_has_no_state(tmp_path: Path):
    with machine(tmp_path) as first:
        first.store._checkpoints = Unreachable()
        with pytest.raises(BlobsError):
            await open_one(first.store)
        first.store._checkpoints = None
        work(await open_one(first.store))
    with machine(tmp_path) as again:
        again.store._checkpoints = Unreachable()
        assert (await open_one(again.store)).positions == {"p": 100}


async def test_a_state_of_other_topics_is_refused_and_left_where_it_is(tmp_path: Path):
    with machine(tmp_path) as first:
        work(await open_one(first.store))
    with machine(tmp_path, group="another") as other:
        with pytest.raises(UsageError, match=r"state on disk is that of group 'driftline' and not 'another'"):
            await open_one(other.store)
        assert other.quarantined == []
    with machine(tmp_path) as again:
        assert (await open_one(again.store)).positions == {"p": 100}


async def test_a_state_that_is_not_ours_is_refused_also_where_a_checkpoint_is_further(tmp_path: Path):
    checkpoints = tmp_path / "checkpoints"
    with machine(tmp_path / "ours", checkpoints) as ours:
        work(await open_one(ours.store))
        await ours.store.checkpoint(0)
    with machine(tmp_path / "theirs", group="another") as theirs:
        await open_one(theirs.store)
    another = r"group 'another' and not 'driftline'"
    with machine(tmp_path / "theirs", checkpoints) as mixed_up, pytest.raises(UsageError, match=another):
        await open_one(mixed_up.store)
    with machine(tmp_path / "theirs", group="another") as again:
        assert (await open_one(again.store)).positions == {}


async def test_a_checkpoint_that_is_not_ours_is_refused_and_the_local_state_stays(tmp_path: Path):
    checkpoints, ours = tmp_path / "checkpoints", tmp_path / "ours"
    with machine(ours) as local:
        work(await open_one(local.store))
    with machine(tmp_path / "theirs", checkpoints, topic="another") as theirs:
        work(await open_one(theirs.store), 2)
        await theirs.store.checkpoint(0)
    for _ in range(2):
        with machine(ours, checkpoints) as mixed_up, pytest.raises(UsageError, match="topics"):
            await open_one(mixed_up.store)
    with machine(ours) as local:
        assert (await open_one(local.store)).positions == {"p": 100}


async def test_a_checkpoint_of_a_topic_with_another_id_is_refused_and_the_local_state_stays(tmp_path: Path):
    checkpoints, ours = tmp_path / "checkpoints", tmp_path / "ours"

    async def worked(store: DurableStore, topic_id: str, batches: int) -> None:
        state = await open_one(store)
        state.made_from({"p": Identity(topic_id, 1)})
        work(state, batches)

    with machine(ours) as local:
        await worked(local.store, "ours", 1)
    with machine(tmp_path / "theirs", checkpoints) as theirs:
        await worked(theirs.store, "theirs", 2)
        await theirs.store.checkpoint(0)
    with machine(ours, checkpoints) as mixed_up, pytest.raises(UsageError, match="another topic p"):
        await open_one(mixed_up.store)
    with machine(ours) as local:
        assert (await open_one(local.store)).positions == {"p": 100}


async def test_a_partition_that_comes_straight_back_keeps_its_state_open(tmp_path: Path):
    with machine(tmp_path) as own:
        state = await open_one(own.store, 4)
        own.store.release(4)
        assert await open_one(own.store, 5) is state
        own.store.release(5)
        assert await open_one(own.store, 7) is not state, "there may have been another owner"


async def test_a_partition_that_went_elsewhere_is_closed_and_stays_on_disk(tmp_path: Path):
    with machine(tmp_path) as own:
        work(await open_one(own.store, 4))
        own.store.release(4)
        await own.store.open([], 5)
        with machine_of_same_files(own) as other:
            assert (await open_one(other)).positions == {"p": 100}


@contextmanager
def machine_of_same_files(own: Machine) -> Iterator[DurableStore]:
    """Opening what is still open fails."""
    store = DurableStore(
        own.folder,
        RowsEngine,
        lambda number: Belongs("driftline", number, {"predictions": "p", "alerts": "driftline.alerts"}),
    )
    yield store
    store.close()


async def test_an_abandoned_state_goes_on_from_its_last_commit(tmp_path: Path):
    with machine(tmp_path) as own:
        state = await open_one(own.store)
        work(state)
        state.took({"p": 150}, state.engine.apply([Record("p", 0, 100, 0, None, b"")]).effects)
        own.store.abandon(0)
        state = await open_one(own.store)
        assert (state.positions, state.applied, link(state)) == ({"p": 100}, {"p": 100}, truth(1))


async def test_a_save_that_nobody_waits_for_any_more_goes_on(tmp_path: Path):
    with machine(tmp_path / "a", tmp_path / "checkpoints") as first:
        work(await open_one(first.store))
        saving = asyncio.ensure_future(first.store.checkpoint(0))
        first.store.abandon(0)
        await saving
    rmtree(tmp_path / "a")
    with machine(tmp_path / "a", tmp_path / "checkpoints") as again:
        assert (await open_one(again.store)).positions == {"p": 100}


def test_the_settings_choose_the_store(tmp_path: Path):
    memory = Settings(state=StateSettings(dir=str(tmp_path / "m"), memory=True))
    with opened(memory, ChainEngine) as store:
        assert isinstance(store, MemoryStore)
        assert not (tmp_path / "m").exists()
    disk = Settings(state=StateSettings(dir=str(tmp_path / "d"), checkpoints=str(tmp_path / "c"), disk_free_min="1B"))
    with opened(disk, ChainEngine) as store:
        assert isinstance(store, DurableStore)
        with pytest.raises(UsageError, match="another worker uses this directory"), opened(disk, ChainEngine):
            pass
