"""What one owned partition number is: its state, the way of a batch into it, and of what was decided out of it.

Batches are applied as they come. A commit writes what they changed, and begins to send what they decided; the next one
waits until that is acknowledged. So applying goes on while effects are on their way.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.records import RecordLike
from schemas.topics import Stream
from streams import cuts
from streams.decisions import decisions
from streams.errors import GroupSilentError
from streams.offsets import Offsets
from streams.pace import Pace
from streams.reading import Batch
from streams.sender import Sender, id_of
from streams.state import AppliedLike, EffectLike, PartitionState
from streams.telemetry import CountsLike, Dropped, Stage, Telemetry

log = structlog.get_logger(__name__)

READY_AT_ONCE = 50  # models whose state is packed in one go: ten milliseconds, as a rule


class OwnedPartition:
    def __init__(
        self,
        number: int,
        state: PartitionState,
        *,
        sender: Sender,
        offsets: Offsets,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        pace: Pace,
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
        self._inputs = inputs
        self._outputs = outputs
        self._pace = pace
        self._telemetry = telemetry
        self._is_current = is_current
        self._is_member = is_member
        self._is_leaving = is_leaving
        self._moved = moved
        self._sending: asyncio.Task[Mapping[str, int] | None] | None = None
        self._spent = _Stages()
        self._is_torn = False  # a part of a batch is applied, and not all of it
        self._is_on_its_way = False  # something was handed to the producer, and is not known to be anywhere

    async def take(self, batch: Batch) -> Dropped | None:
        """Applies; says why where it did not."""
        if self._is_torn:
            return Dropped.TORN
        if not self._is_current(batch.generation) or not await self._read_back():
            return Dropped.GENERATION_PASSED
        self._is_torn = True  # a task that is broken off leaves it so
        applied = await self._apply(batch.records)
        self._is_torn = False
        effects = [*batch.effects, *applied.effects]
        if batch.cut is not None:
            effects.insert(0, cuts.told(self.number, batch.cut))
            self._telemetry.cut(self.number)
        self.state.took(batch.positions, effects, batch.reached)
        self._pace.took(
            len(batch.records),
            sum(len(effect.value) for effect in effects),
            urgent=any(effect.stream == Stream.ALERTS for effect in effects),
        )
        self._report(batch, applied.counts)
        self._telemetry.decided(decisions(applied.effects))
        return None

    async def _apply(self, records: Sequence[RecordLike]) -> AppliedLike:
        """Heartbeats and what others ask have their turn between the parts of it."""
        parts = self.state.engine.applying(records)
        while True:
            self._spent.begin()
            try:
                next(parts)
            except StopIteration as end:
                applied: AppliedLike = end.value
                return applied
            finally:
                self._spent.lap(Stage.DETECT)
            await asyncio.sleep(0)

    @property
    def due(self) -> bool:
        """Whether a commit is: that also hands out what an earlier life has left in its outbox."""
        return self._pace.due and (self._sending is not None or self.state.uncommitted)

    async def commit(self) -> Dropped | None:
        """Writes what was applied and begins to send. After a drop the state must be abandoned."""
        if self._is_torn:
            return Dropped.TORN
        took_s = await self._make_ready()
        dropped = await self.settle()
        if dropped or not self.state.uncommitted or not await self._read_back():
            return dropped
        # Whoever goes on without this state must find the order in which it was made: a state whose order nobody else
        # knows would come back to topics that were decided in another one.
        if orders := self.state.ahead(cuts.is_cut):
            self._sending = asyncio.create_task(self._send(orders))
            dropped = await self.settle()
            if dropped or not await self._read_back():
                return dropped
        met, began = self.state.already_sent, monotonic()
        self._spent.begin()
        effects = self.state.commit()
        self._spent.lap(Stage.COMMIT)
        took_s += monotonic() - began
        self._telemetry.committed(self.number, self._pace.committed(took_s), took_s)
        self._telemetry.outbox(self.number, len(effects))
        if self.state.already_sent > met:
            self._telemetry.already_sent(self.number, self.state.already_sent - met)
        if effects:
            self._sending = asyncio.create_task(self._send(effects))
        else:
            self.state.sent({})
        return None

    async def _make_ready(self) -> float:
        """Heartbeats and other partitions have their turn between the parts of it. Says how long these took."""
        took_s, more = 0.0, True
        while more:
            began = monotonic()
            self._spent.begin()
            more = self.state.engine.make_ready(READY_AT_ONCE)
            self._spent.lap(Stage.COMMIT)
            took_s += monotonic() - began
            if more:
                await asyncio.sleep(0)
        return took_s

    async def settle(self) -> Dropped | None:
        """Returns when all that was committed is acknowledged."""
        sending, self._sending = self._sending, None
        if sending is None:
            return None
        self._spent.begin()
        ends = await sending
        self._spent.lap(Stage.SEND)
        if ends is None:
            return Dropped.NOT_A_MEMBER
        self.state.sent(ends)
        self._telemetry.outbox(self.number, 0)
        return None

    async def flush(self) -> Dropped | None:
        """Commits and sends what there is, and commits that it was sent: whoever goes on from here repeats nothing."""
        return await self.commit() or await self.commit() or await self.settle()

    async def leave(self) -> Dropped | None:
        """``flush`` at the end of a generation, which does not wait for brokers that are away."""
        try:
            return await self.flush()
        except (KafkaError, TimeoutError, GroupSilentError) as error:
            if self._is_on_its_way:
                raise  # it could arrive after somebody else has sent it
            # Nobody could be asked, so nothing was sent. What was committed stands in the outbox, for whoever opens the
            # state next; what was not is applied again.
            log.warning("left with effects that were not sent", partition=self.number, reason=str(error))
            return Dropped.NOT_SENT

    def drop(self) -> None:
        """What is on its way is not waited for."""
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    async def _send(self, effects: Sequence[EffectLike]) -> Mapping[str, int] | None:
        """``None`` where the group does not count us in any more, and nothing is on its way."""
        # A process may end between two of them. What was decided in an order stands nowhere before the order does:
        # whoever rebuilds this from the topics would decide otherwise.
        ends: dict[str, int] = {}
        for is_order in (True, False):
            if some := [effect for effect in effects if cuts.is_cut(effect) is is_order]:
                if not await self._is_member(self.number):
                    return None
                self._is_on_its_way = True
                ends |= await self._sender.send(self.number, some)
                self._is_on_its_way = False
        return ends

    async def _read_back(self) -> bool:
        """Whether it is known what is on the output topics, before the first effect could be sent again.

        The group has given us the partition, so its last owner is done with it or is a zombie that will find out: what
        a zombie still sends carries the same id. Output topics can be long, so a rebalance or an end breaks this off.
        """
        if not self.state.wants_read_back:
            return True
        self._spent.begin()
        start = self.state.read_back_from
        async for records in self._offsets.read({TopicPartition(t, self.number): start.get(t) for t in self._outputs}):
            ids = ((id_of(record.headers), record.offset) for record in records)
            self.state.found(records[0].topic, [(event_id, offset) for event_id, offset in ids if event_id is not None])
            self._moved()
            if self._is_leaving():
                return False
        ends = await self._offsets.ends([TopicPartition(topic, self.number) for topic in self._inputs])
        self.state.read_back_done({tp.topic: end for tp, end in ends.items()})
        self._spent.lap(Stage.READ_BACK)
        return True

    def _report(self, batch: Batch, counts: Mapping[str, CountsLike]) -> None:
        for topic, of_topic in counts.items():
            self._telemetry.counts(topic, self.number, of_topic)
        self._telemetry.batch(self.number, len(batch.records), self._spent.taken())


class _Stages:
    """How long each stage took since this was asked last."""

    def __init__(self) -> None:
        self._seconds: dict[Stage, float] = {}
        self._since = monotonic()

    def begin(self) -> None:
        self._since = monotonic()

    def lap(self, stage: Stage) -> None:
        now = monotonic()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._since
        self._since = now

    def taken(self) -> Mapping[Stage, float]:
        taken, self._seconds = self._seconds, {}
        return taken
