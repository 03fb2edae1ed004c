"""What one owned partition number is: its state, and the way of a batch through it."""

from collections.abc import Awaitable, Callable, Mapping
from time import monotonic

from aiokafka import TopicPartition

from streams.offsets import Offsets
from streams.reading import Batch
from streams.sender import Sender, id_of
from streams.state import PartitionState
from streams.telemetry import CountsLike, Dropped, Stage, Telemetry


class OwnedPartition:
    def __init__(
        self,
        number: int,
        state: PartitionState,
        *,
        sender: Sender,
        offsets: Offsets,
        outputs: tuple[str, ...],
        telemetry: Telemetry,
        is_current: Callable[[int], bool],
        is_member: Callable[[int], Awaitable[bool]],
        is_leaving: Callable[[], bool],
        moved: Callable[[], None],
    ) -> None:
        self.number = number
        self.state = state
        self._sender = sender
        self._offsets = offsets
        self._outputs = outputs
        self._telemetry = telemetry
        self._is_current = is_current
        self._is_member = is_member
        self._is_leaving = is_leaving
        self._moved = moved

    async def take(self, batch: Batch) -> Dropped | None:
        """Applies, sends and commits; says why where it did not. After a drop in work the state must be abandoned."""
        if not self._is_current(batch.generation):
            return Dropped.GENERATION_PASSED
        clock = _Stages()
        if self.state.wants_read_back:
            await self._read_back()
            clock.lap(Stage.READ_BACK)
        if self.state.wants_read_back:
            return Dropped.GENERATION_PASSED
        applied = self.state.engine.apply(batch.records)
        clock.lap(Stage.DETECT)
        if not self._is_current(batch.generation):
            return Dropped.GENERATION_PASSED_IN_WORK
        unsent = self.state.decide(batch.positions, applied.effects)
        clock.lap(Stage.COMMIT)
        if unsent and not await self._is_member(self.number):
            return Dropped.NOT_A_MEMBER
        await self._sender.send(self.number, unsent)
        clock.lap(Stage.SEND)
        self.state.sent()
        clock.lap(Stage.COMMIT)
        self._report(batch, applied.counts, len(applied.effects) - len(unsent), clock)
        return None

    async def _read_back(self) -> None:
        """Learns which effects are on the output topics already, before the first one could be sent again.

        The group has given us the partition, so its last owner is done with it or is a zombie that will find out: what
        a zombie still sends carries the same id. Output topics can be long, so a rebalance or an end breaks this off.
        """
        start = self.state.read_back_from
        async for records in self._offsets.read({TopicPartition(t, self.number): start.get(t) for t in self._outputs}):
            self.state.found(filter(None, (id_of(record.headers) for record in records)))
            self._moved()
            if self._is_leaving():
                return
        self.state.read_back_done()

    def _report(self, batch: Batch, counts: Mapping[str, CountsLike], repeated: int, clock: "_Stages") -> None:
        for topic, of_topic in counts.items():
            self._telemetry.counts(topic, self.number, of_topic)
        if repeated:
            self._telemetry.already_sent(self.number, repeated)
        self._telemetry.batch(self.number, len(batch.records), clock.seconds)


class _Stages:
    """How long each stage of a batch took."""

    def __init__(self) -> None:
        self.seconds: dict[Stage, float] = {}
        self._since = monotonic()

    def lap(self, stage: Stage) -> None:
        now = monotonic()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now
