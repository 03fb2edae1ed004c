"""Which partition numbers this worker has, and that only one batch is in hand at a time."""

import asyncio
from collections.abc import Callable, Collection, Mapping

import structlog
from aiokafka import TopicPartition

from streams.partition import OwnedPartition
from streams.reading import Batch
from streams.state import PartitionState, StateStore
from streams.telemetry import Dropped, Telemetry
from streams.watchdog import Progress

log = structlog.get_logger(__name__)


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
        self._hand = asyncio.Lock()
        self.generation: int | None = None  # the one whose batches count; None while a rebalance runs
        self.leaving = False  # somebody waits for the batch in hand

    def is_current(self, generation: int) -> bool:
        return generation == self.generation

    async def assigned(self, partitions: Collection[int], generation: int) -> Mapping[int, Mapping[str, int]]:
        async with self._hand:
            self.leaving = False
            self._owned = {number: self._make(number, self._store.open(number, generation)) for number in partitions}
            self._store.retain(partitions)
            self._began = {}
            self.generation = generation
        self._telemetry.owned(partitions)
        self._progress.ready()
        log.info("partitions assigned", partitions=sorted(partitions), generation=generation)
        return {number: owned.state.positions for number, owned in self._owned.items()}

    async def revoked(self, generation: int) -> None:
        self._progress.not_ready()
        self.leaving = True
        async with self._hand:
            self.generation = None
            self._store.release(generation)
        log.info("partitions revoked", partitions=sorted(self._owned), generation=generation)

    def reading_from(self, positions: Mapping[TopicPartition, int]) -> None:
        self._began = positions

    def applied(self) -> Mapping[TopicPartition, int]:
        return {
            TopicPartition(topic, number): offset
            for number, owned in self._owned.items()
            for topic, offset in owned.state.positions.items()
        }

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """As ``applied``, and the beginning for what nothing was applied of."""
        return {**self._began, **self.applied()}

    async def take(self, batch: Batch) -> None:
        async with self._hand:
            owned = self._owned.get(batch.partition)
            dropped = await owned.take(batch) if owned else Dropped.GENERATION_PASSED
            if dropped not in (None, Dropped.GENERATION_PASSED):  # the engine is ahead of what was sent
                self._store.abandon(batch.partition)
                del self._owned[batch.partition]
        if dropped:
            self._telemetry.dropped(batch.partition, len(batch.records), dropped)
        else:
            self._progress.moved()

    async def finish(self) -> None:
        """Returns when the batch in hand is done; no other will be begun."""
        self.leaving = True
        async with self._hand:
            self.generation = None
