"""Which partition numbers this worker has, and that only one batch is in hand at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from time import monotonic

import structlog
from aiokafka import TopicPartition

from detectors.banks.contract import StateError
from streams.errors import CorruptStateError
from streams.identity import Identity
from streams.merge import Reached
from streams.partition import OwnedPartition
from streams.reading import Batch
from streams.state import PartitionState, Patience, StateStore
from streams.telemetry import Dropped, Telemetry
from streams.watchdog import Progress

log = structlog.get_logger(__name__)

# For the last checkpoint before partitions go elsewhere. The others of the group wait meanwhile; one that comes
# too late costs the next owner a few seconds of input, which it applies again.
LAST_CHECKPOINT_S = 15.0
LOOKS_PER_INTERVAL = 4  # so often it is seen whether a commit is due where no further batch comes
LOOK_AROUND_S = 5.0  # where the room is used up sooner, a write that fails ends the work as safely


class Partitions:
    """The partition numbers this worker has, and the one batch that is in hand. Implements ``transport.Owner``."""

    def __init__(
        self,
        store: StateStore,
        make: Callable[[int, PartitionState], OwnedPartition],
        telemetry: Telemetry,
        progress: Progress,
    ) -> None:
        self._store = store
        self._make = make
        self._telemetry = telemetry
        self._progress = progress
        self._owned: dict[int, OwnedPartition] = {}
        self._began: Mapping[TopicPartition, int] = {}
        # Before the topics are known to be those of the states, nothing is committed or sent.
        self._reading = False
        self._saves: Sequence[asyncio.Future[None]] = ()
        self._hand = asyncio.Lock()
        self.generation: int | None = None  # the one whose batches count; None while a rebalance runs
        self.leaving = False  # somebody waits for the batch in hand

    def is_current(self, generation: int) -> bool:
        return generation == self.generation

    @property
    def numbers(self) -> Collection[int]:
        """The partition numbers that are this worker's now; none while a rebalance runs."""
        return () if self.generation is None else sorted(self._owned)

    async def assigned(self, partitions: Collection[int], generation: int) -> Mapping[int, Mapping[str, int]]:
        async with self._hand:
            self.leaving = False
            states = await self._store.open(
                partitions, generation, Patience(self._progress.moved, lambda: self.leaving)
            )
            self._owned = {number: self._make(number, state) for number, state in states.items()}
            self._began = {}
            self._reading = False
            self.generation = generation
        self._telemetry.owned(partitions)
        if not self.leaving:  # else the next rebalance has begun, and said that this is not ready
            self._progress.ready()
        log.info("partitions assigned", partitions=sorted(partitions), generation=generation)
        return {number: state.applied for number, state in states.items()}

    async def revoked(self, generation: int) -> None:
        """Commits, sends and saves what there is: whoever goes on from here repeats nothing."""
        self._progress.not_ready()
        await self._leave()
        self._store.release(generation)
        if self._owned:
            log.info("partitions revoked", partitions=sorted(self._owned), generation=generation)

    async def finish(self) -> None:
        """As a rebalance that takes everything; no other batch will be begun."""
        await self._leave()

    def made_from(self) -> Mapping[int, Mapping[str, Identity]]:
        return {number: owned.state.topics for number, owned in self._owned.items()}

    def reached(self) -> Mapping[int, Reached | None]:
        return {number: owned.state.reached for number, owned in self._owned.items()}

    def read_back_from(self) -> Mapping[int, Mapping[str, int]]:
        return {number: owned.state.read_back_from for number, owned in self._owned.items()}

    def moved(self) -> None:
        self._progress.moved()

    def reading_from(self, positions: Mapping[TopicPartition, int], topics: Mapping[str, Identity]) -> None:
        self._began, self._reading = positions, True
        for owned in self._owned.values():
            owned.state.made_from(topics)

    def committed(self) -> Mapping[TopicPartition, int]:
        return {
            TopicPartition(topic, number): offset
            for number, owned in self._owned.items()
            for topic, offset in owned.state.positions.items()
        }

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """Where the work is: what is applied, and the beginning for what nothing was applied of."""
        applied = {
            TopicPartition(topic, number): offset
            for number, owned in self._owned.items()
            for topic, offset in owned.state.applied.items()
        }
        return {**self._began, **applied}

    async def take(self, batch: Batch) -> None:
        async with self._hand:
            owned = self._owned.get(batch.partition)
            dropped = await self._whole(owned, partial(owned.take, batch)) if owned else Dropped.GENERATION_PASSED
            if owned and owned.due and self.generation is not None:
                await self._commit(owned)
        if dropped:
            self._telemetry.dropped(batch.partition, len(batch.records), dropped)

    async def keep_committing(self, interval_s: float) -> None:
        """Also what no further batch follows is committed; runs until it is cancelled."""
        looked = monotonic()
        while True:
            await asyncio.sleep(interval_s / LOOKS_PER_INTERVAL)
            for number in list(self._owned):
                await self._commit_if_due(number)
            if monotonic() - looked >= LOOK_AROUND_S:
                looked = monotonic()
                self._look_around()

    async def keep_checkpointing(self, interval_s: float) -> None:
        """Runs until it is cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            for number in list(self._owned):
                await (await self._checkpoint(number))

    def _look_around(self) -> None:
        self._store.check_room()
        for number, owned in self._owned.items():
            self._telemetry.state_size(number, self._store.size(number))
            self._telemetry.engine(number, owned.state.engine.stats._asdict())

    async def _commit_if_due(self, number: int) -> None:
        owned = self._owned.get(number)
        if owned is None or not owned.due or not self._reading:
            return
        async with self._hand:
            if self.generation is not None and self._owned.get(number) is owned and owned.due:
                await self._commit(owned)

    async def _checkpoint(self, number: int) -> Awaitable[None]:
        async with self._hand:
            owned = self._owned.get(number)
            if self.generation is None or owned is None or self.leaving or not self._reading:
                return _nothing()
            # What was sent is marked first: whoever opens the copy has less to read back.
            dropped = await self._whole(owned, owned.flush)
            if dropped:
                self._abandon(owned, dropped)
                return _nothing()
            return self._store.checkpoint(number)

    async def _leave(self) -> None:
        self.leaving = True
        async with self._hand:
            if self.generation is None:
                return
            owned = list(self._owned.values()) if self._reading else ()  # else what an outbox holds stays there
            ends = await asyncio.gather(*(self._whole(each, each.leave) for each in owned))
            for each, dropped in zip(owned, ends, strict=True):
                if dropped:
                    self._abandon(each, dropped)
            await self._checkpoint_last()
            self.generation = None

    async def _checkpoint_last(self) -> None:
        self._saves = [asyncio.ensure_future(self._store.checkpoint(number)) for number in self._owned]
        if not self._saves:
            return
        saved, unsaved = await asyncio.wait(self._saves, timeout=LAST_CHECKPOINT_S)
        if unsaved:  # they go on; only nobody waits for them
            log.warning("left before the last checkpoints were saved", unsaved=len(unsaved), after_s=LAST_CHECKPOINT_S)
        for save in saved:
            save.result()

    async def _commit(self, owned: OwnedPartition) -> None:
        dropped = await self._whole(owned, owned.commit)
        if dropped:
            self._abandon(owned, dropped)

    async def _whole(self, owned: OwnedPartition, work: Callable[[], Awaitable[Dropped | None]]) -> Dropped | None:
        """A state that turns out to be broken must not be opened again by the process that comes after this one."""
        try:
            return await work()
        except (CorruptStateError, StateError) as error:
            owned.drop()
            self._store.put_aside(owned.number, error)
            raise

    def _abandon(self, owned: OwnedPartition, why: Dropped | None) -> None:
        log.warning("what was applied since the last commit is dropped", partition=owned.number, reason=why)
        owned.drop()
        self._store.abandon(owned.number)
        del self._owned[owned.number]


async def _nothing() -> None:
    """Nothing to save."""
