"""Where the states of a worker's partitions come from when they are given to it, and go to when they are taken.

On opening the newest wins: what lies in the worker's own directory, or a checkpoint that some worker saved. What turns
out to be broken is put aside and the next newest is tried; where nothing is left, the topics are read from their
beginning.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from time import monotonic
from typing import NamedTuple

import structlog
from rocksdict import Cache

from streams.blobs import BlobsError
from streams.blobs_places import open_blobs
from streams.byte_sizes import byte_count
from streams.checkpoints import CheckpointDamagedError, Checkpoints
from streams.durable import Belongs, DurableState, belongs, new_state, positions_of, require_ours, topics_of
from streams.errors import CorruptStateError, UsageError
from streams.identity import Identity
from streams.manifests import Manifest
from streams.rocks import Rocks, shared_cache
from streams.settings import Settings
from streams.state import ENDLESS, EngineFactory, MemoryStore, PartitionState, Patience, StateStore, Tenure
from streams.state_dir import StateDir
from streams.telemetry import NoTelemetry, Telemetry

log = structlog.get_logger(__name__)

Positions = Mapping[str, int]


@contextmanager
def opened(settings: Settings, engine_of: EngineFactory, telemetry: Telemetry | None = None) -> Iterator[StateStore]:
    """The store that the settings ask for. Within the context its directory is this process's alone."""
    if settings.state.memory:
        yield MemoryStore(engine_of)
        return
    kafka, state = settings.kafka, settings.state
    with StateDir(Path(state.dir), free_min=byte_count(state.disk_free_min)) as folder:
        checkpoints = None
        if state.checkpoints:
            checkpoints = Checkpoints(open_blobs(state.checkpoints), group=kafka.group, kept=state.checkpoints_kept)
        store = DurableStore(
            folder,
            engine_of,
            lambda number: belongs(kafka.group, kafka.topics, number),
            checkpoints=checkpoints,
            telemetry=telemetry,
        )
        try:
            yield store
        finally:
            store.close()


class Known(NamedTuple):
    """What a state says of itself without being opened as a whole."""

    positions: Positions
    topics: Mapping[str, Identity]

    def is_behind(self, others: Positions) -> bool:
        """All states of a partition lie on one way through its topics, so one topic is enough to tell."""
        return any(offset > self.positions.get(topic, 0) for topic, offset in others.items())

    def require_same_topics(self, others: Mapping[str, Identity], number: int) -> None:
        """Two clusters may have topics of the same names, and one place for checkpoints."""
        for topic in self.positions:
            if topic in self.topics and topic in others and self.topics[topic].id != others[topic].id:
                raise UsageError(
                    f"a checkpoint was made from another topic {topic} than the state on disk",
                    where=f"partition {number}",
                    advice="set state.checkpoints to a place of this group's own",
                )


class _Held:
    """A partition's open state."""

    def __init__(self, rocks: Rocks, state: DurableState) -> None:
        self.rocks, self.state = rocks, state
        self.saved: Positions = {}  # as of its last checkpoint
        self.blobs: Mapping[str, int] = {}  # of that one, with their sizes


class DurableStore:
    """Keeps a state open over a rebalance that gave its partition back to this worker with nobody in between."""

    def __init__(
        self,
        folder: StateDir,
        engine_of: EngineFactory,
        whose: Callable[[int], Belongs],
        *,
        checkpoints: Checkpoints | None = None,
        telemetry: Telemetry | None = None,
        cache: Cache | None = None,
    ) -> None:
        self._folder = folder
        self._engine_of = engine_of
        self._whose = whose
        self._checkpoints = checkpoints
        self._telemetry = telemetry or NoTelemetry()
        self._cache = cache or shared_cache()
        self._held: dict[int, _Held] = {}
        self._tenure = Tenure()
        self._saving = asyncio.Lock()  # one at a time: a copy that waits costs nothing but room

    async def open(
        self, partitions: Collection[int], generation: int, patience: Patience = ENDLESS
    ) -> Mapping[int, PartitionState]:
        stay = set(partitions) if self._tenure.begins(generation) else set()
        for number in self._held.keys() - stay:
            self._close(number)
        # One after the other: each is mostly work of this process, and a transfer uses several connections anyhow.
        for number in sorted(set(partitions) - self._held.keys()):
            if patience.is_leaving():
                break
            self._held[number] = await self._open(number, patience.moved)
            patience.moved()
        return {number: held.state for number, held in self._held.items()}

    def release(self, generation: int) -> None:
        """Files stay open until it is known who has them next: mostly it is this worker again."""
        self._tenure.ends(generation)

    def abandon(self, partition: int) -> None:
        self._close(partition)

    def put_aside(self, partition: int, error: Exception) -> None:
        with suppress(Exception):  # it is broken, and its files stay as they are anyhow
            self._close(partition)
        self._quarantine(partition, error)

    def checkpoint(self, partition: int) -> Awaitable[None]:
        held = self._held.get(partition)
        if self._checkpoints is None or held is None or held.state.positions == held.saved:
            return _nothing()
        copy = self._folder.aside(partition)
        held.rocks.checkpoint(copy)
        return self._save(self._checkpoints, partition, held, copy, held.state.positions)

    def check_room(self) -> None:
        self._folder.check_room()

    def size(self, partition: int) -> int:
        held = self._held.get(partition)
        return held.rocks.sizes()["files"] if held else 0

    def close(self) -> None:
        for number in list(self._held):
            self._close(number)

    def _close(self, partition: int) -> None:
        held = self._held.pop(partition, None)
        if held is not None:
            held.rocks.close()

    async def _save(
        self, checkpoints: Checkpoints, partition: int, held: _Held, copy: Path, positions: Positions
    ) -> None:
        try:
            async with self._saving:
                began = monotonic()
                manifest = await asyncio.to_thread(checkpoints.save, partition, copy, positions)
            blobs = {file.blob: file.size for file in manifest.files}
            written = sum(size for blob, size in blobs.items() if blob not in held.blobs)
            held.saved, held.blobs = positions, blobs
            self._telemetry.checkpointed(partition, written, monotonic() - began)
        except BlobsError as error:  # the state itself is whole, so the work goes on
            log.error("checkpoint not saved", partition=partition, reason=str(error))
        finally:
            rmtree(copy, ignore_errors=True)

    # Opening ----------------------------------------------------------------------------------------------------------

    async def _open(self, number: int, moved: Callable[[], None]) -> _Held:
        local = self._local(number)
        for manifest in await self._newer_checkpoints(number, local):
            held = await self._from_checkpoint(number, manifest, local, moved)
            if held is not None:
                return held
        held = self._from_place(number) if local is not None else None
        if held is not None:
            log.info("state opened", partition=number, positions=dict(held.state.positions))
            return held
        for manifest in await self._newer_checkpoints(number, None) if local is not None else ():
            held = await self._from_checkpoint(number, manifest, None, moved)
            if held is not None:
                return held
        log.warning("no state of this partition: its topics are read from their beginning", partition=number)
        return self._made_new(number)

    def _local(self, number: int) -> Known | None:
        """What is known of the state in its place; ``None`` where there is none that can be read.

        One that is not ours to use is refused here, before a checkpoint could take its place.
        """
        if not self._folder.place(number).exists():
            return None
        try:
            rocks = Rocks(self._folder.place(number), self._cache)
            try:
                require_ours(rocks, self._whose(number))
                return Known(positions_of(rocks), topics_of(rocks))
            finally:
                rocks.close()
        except CorruptStateError as error:
            self._quarantine(number, error)
            return None

    async def _newer_checkpoints(self, number: int, local: Known | None) -> Sequence[Manifest]:
        """Newest first."""
        if self._checkpoints is None:
            return ()
        try:
            found = await asyncio.to_thread(self._checkpoints.candidates, number)
        except BlobsError as error:
            if local is None:
                raise
            log.error("checkpoints cannot be read, going on from the local state", partition=number, reason=str(error))
            return ()
        return [manifest for manifest in found if local is None or local.is_behind(manifest.positions)]

    async def _from_checkpoint(
        self, number: int, manifest: Manifest, local: Known | None, moved: Callable[[], None]
    ) -> _Held | None:
        assert self._checkpoints is not None
        made = self._folder.aside(number)
        try:
            await asyncio.to_thread(self._checkpoints.fetch, manifest, made, moved)
        except CheckpointDamagedError as error:
            log.error("checkpoint is damaged, trying the next older one", partition=number, reason=str(error))
            return None
        older = self._folder.set_aside(number) if self._folder.place(number).exists() else None
        held = None
        try:
            self._folder.put_in_place(made, number)
            held = self._from_place(number)
            if held is not None and local is not None:
                local.require_same_topics(held.state.topics, number)
        except BaseException:  # it is whole and not ours: what is ours must be there at the next start
            self._put_back(number, held, older)
            raise
        if held is None:
            self._put_back(number, None, older)
            return None
        held.saved, held.blobs = manifest.positions, {file.blob: file.size for file in manifest.files}
        if older is not None:
            rmtree(older, ignore_errors=True)
        log.info("state fetched from a checkpoint", partition=number, positions=dict(manifest.positions))
        return held

    def _put_back(self, number: int, held: _Held | None, older: Path | None) -> None:
        """In the place of what was fetched, if that is still there."""
        if held is not None:
            held.rocks.close()
        if self._folder.place(number).exists():
            rmtree(self._folder.set_aside(number), ignore_errors=True)
        if older is not None:
            self._folder.put_in_place(older, number)

    def _made_new(self, number: int) -> _Held:
        """Made aside and moved to its place when it is whole: one in its place that looks new has lost something."""
        made = self._folder.aside(number)
        rocks = Rocks(made, self._cache, create=True)
        new_state(rocks, self._whose(number))
        rocks.close()
        self._folder.put_in_place(made, number)
        held = self._from_place(number)
        assert held is not None, "a state that was just made cannot be opened"
        return held

    def _from_place(self, number: int) -> _Held | None:
        """``None`` where it is broken: it is in quarantine then."""
        try:
            rocks = Rocks(self._folder.place(number), self._cache)
            try:
                return _Held(rocks, DurableState(rocks, self._whose(number), self._engine_of))
            except BaseException:
                rocks.close()
                raise
        except CorruptStateError as error:
            self._quarantine(number, error)
            return None

    def _quarantine(self, number: int, error: Exception) -> None:
        if self._folder.place(number).exists():
            target = self._folder.quarantine(number)
            log.error("state is broken and was put aside", partition=number, reason=str(error), now_at=str(target))


async def _nothing() -> None:
    """Nothing to save."""
