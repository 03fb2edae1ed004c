"""Faust's aiokafka transport, with whole batches in one order in place of single messages.

Faust spends about 200 microseconds on each message. So its consumer is subclassed: ``getmany`` yields one Faust message
for a run of records, whose value is a ``Batch``. The order of the records in it is that of ``streams.merge``. Where to
read from comes from the partitions' state, never from the group; the group's committed offsets only follow, for tools
that show lag.

What is relied upon of Faust and aiokafka, beyond what they document, stands in ``tests/transport/test_internals.py``,
which fails first when a release changes it.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import aiokafka
import faust
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from yarl import URL

from streams.connection import is_refusal
from streams.consumer_thread import ConsumerThread, Fetched
from streams.cuts import Positions, read_cuts, within
from streams.lease import Lease
from streams.merge import Merge, Question
from streams.offsets import Offsets
from streams.places import Places
from streams.reading import Batch, DataGapError, Fatal, Owner, Reading, whole_numbers

log = structlog.get_logger(__name__)

COMMIT_WAIT_S = 10.0  # for a commit under way when a rebalance begins; the other members wait for us meanwhile
POLL_S = 0.25  # an idle reader looks up this often
MARKERS_EVERY_S = 1.0  # as often as the lag is measured
TOPICS_CHECK_S = 5.0  # one small question; until it is asked, a topic that was made anew could be taken for the old one


class Consumer(driver.Consumer):  # type: ignore[misc]
    def __init__(self, transport: "Transport", *args: Any, **kwargs: Any) -> None:
        super().__init__(transport, *args, **kwargs)
        self._merges: dict[int, Merge] = {}
        self._epoch = 0  # grows with every change of what is ours: whatever was read before is void
        self._revoked: int | None = None  # the generation that was taken away last
        self._reads = asyncio.Lock()
        self._owner: Owner = transport.owner
        self._reading: Reading = transport.reading
        self._offsets: Offsets = transport.offsets
        self._lease: Lease = transport.lease
        self._fatal: Fatal = transport.fatal
        self._places = Places(self._offsets, self._reading.inputs, self._reading.outputs)
        self._handed: dict[int, Mapping[str, int]] = {}  # by partition number, the positions of its last batch
        self._topics_checked = self._markers_passed = float("-inf")

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def held(self) -> dict[int, int]:
        """By partition number, the records read and not released."""
        topics = self._reading.inputs
        return {number: sum(map(merge.held, topics)) for number, merge in self._merges.items()}

    # Rebalances -------------------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        generation = self._revoked = self.app.consumer_generation_id
        self._epoch += 1
        self._merges = {}
        await super().on_partitions_revoked(revoked)
        try:
            await self._owner.revoked(generation)
            await self._finish_commit()
        except Exception as error:  # aiokafka only logs what a listener raises
            self._fatal(error)

    async def _finish_commit(self) -> None:
        """A commit that is answered after the group has met again makes aiokafka leave the group once more."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.maybe_wait_for_commit_to_finish(), COMMIT_WAIT_S)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        await super().on_partitions_assigned(assigned, generation_id)
        if not assigned:  # Faust has nothing to seek then, but the state of what went elsewhere must be let go
            try:
                await self._owner.assigned((), generation_id)
            except Exception as error:
                self._fatal(error)

    async def perform_seek(self) -> None:
        """Faust calls this when a rebalance is over and before records flow."""
        try:
            async with self._reads:
                await self._seek_to_state()
        except Exception as error:  # Faust logs it and waits for ever
            self._fatal(error)

    async def _seek_to_state(self) -> None:
        self._epoch += 1
        epoch, generation = self._epoch, self.app.consumer_generation_id
        if generation == self._revoked:
            return  # Faust was slow: the generation it is about to start has been taken away
        assigned = self._input_partitions()
        numbers = whole_numbers(assigned, self._reading.inputs)
        known = await self._owner.assigned(numbers, generation)
        if epoch != self._epoch or len(known) < len(numbers):
            return  # the next rebalance, or the end, has broken off the opening
        seeks = await self._places.begin(assigned, known, self._owner.made_from())
        if epoch != self._epoch:
            return  # the next rebalance has begun and will seek
        await self.seek_wait(seeks)
        cuts = await self._cuts(epoch)
        if epoch != self._epoch:
            return
        self._owner.reading_from({TopicPartition(*tp): offset for tp, offset in seeks.items()}, self._places.topics)
        reached = self._owner.reached()
        self._merges = {
            number: Merge(
                self._reading.inputs,
                {topic: seeks[TP(topic, number)] for topic in self._reading.inputs},
                self._reading.grace_s,
                reached=reached[number],
                cuts=cuts.get(number, ()),
            )
            for number in numbers
        }
        self._handed = {number: merge.positions for number, merge in self._merges.items()}

    async def _cuts(self, epoch: int) -> Mapping[int, Sequence[Positions]]:
        """Those that were told by a life that had come further: what it sent stands on the topics already."""
        signals = self._reading.signals

        def goes_on() -> bool:
            self._owner.moved()
            return epoch == self._epoch

        start = {number: places.get(signals) for number, places in self._owner.read_back_from().items()}
        told = await read_cuts(self._offsets, signals, start, self._reading.inputs, goes_on)
        ends = await self._offsets.ends([TopicPartition(t, number) for number in told for t in self._reading.inputs])
        return {number: within(cuts, number, ends) for number, cuts in told.items()}

    def _input_partitions(self) -> set[TP]:
        return {TP(*tp) for tp in self.assignment() if tp[0] in self._reading.inputs}

    # Reading ----------------------------------------------------------------------------------------------------------

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109 - as Faust's
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        if self.should_stop:
            return
        epoch = self._epoch
        try:
            await self._read()
            await self._check_topics()
        except self.consumer_stopped_errors:
            raise
        except Exception as error:  # Faust restarts the fetcher, with records lost in between
            self._fatal(error)
            return
        if epoch != self._epoch or not self.flow_active:
            return  # Faust drops what it is given while partitions change hands: a jump would be told to nobody
        more = True
        while more:
            more = False
            for number in list(self._merges):
                batch = self._next_batch(number)
                if batch is None:
                    continue
                more = True
                yield self._message(batch)
                if epoch != self._epoch or not self.flow_active:
                    return

    def _next_batch(self, number: int) -> Batch | None:
        """The next records in their order. A jump is told with the first positions that have it behind them."""
        merge = self._merges[number]
        run = merge.take(self._reading.batch_records_max)
        records, positions = (run.records, run.positions) if run else ((), merge.positions)
        jumps = self._places.done(number, positions)
        if run is None and not jumps and positions == self._handed[number]:
            return None
        self._handed[number] = positions
        effects = [jump.effect for jump in jumps]
        reached, cut = (run.reached, run.cut) if run else (None, None)
        return Batch(number, records, positions, self.app.consumer_generation_id, effects, reached, cut)

    async def _read(self) -> None:
        """One round: ask for evidence, fetch meanwhile, take both in."""
        async with self._reads:
            epoch, merges = self._epoch, self._merges
            if not merges:
                await self.sleep(POLL_S)
                return
            questions = self._questions(merges)
            asked = [
                TopicPartition(topic, number) for number, question in questions.items() for topic in question.topics
            ]
            ends, fetched = await asyncio.gather(
                self._evidence(asked),
                self._thread.fetch(self._wanted(merges), self._patience_s(merges, questions)),
            )
            if epoch != self._epoch:
                return
            await self._take_in(merges, fetched)
            await self._answer(epoch, merges, questions, ends)
            if not fetched and not questions:
                await self._pass_markers(epoch, merges)

    async def _evidence(self, asked: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The end offsets, or nothing while the brokers do not answer: then what is held goes on waiting."""
        try:
            return await self._offsets.ends(asked)
        except KafkaError as error:
            if is_refusal(error):
                raise
            missing = {tp.topic for tp in asked}.difference(await self._existing_topics())
            if missing:
                raise DataGapError("is not there any more", where=", ".join(sorted(missing))) from error
            log.warning("no end offsets", reason=str(error))
            return {}

    async def _existing_topics(self) -> Collection[str]:
        try:
            return await self._offsets.topics()
        except KafkaError:
            return self._reading.inputs  # nobody answers at all, so nothing can be called missing

    def _questions(self, merges: Mapping[int, Merge]) -> dict[int, Question]:
        now = monotonic()
        asked = {number: merge.question(now) for number, merge in merges.items()}
        return {number: question for number, question in asked.items() if question is not None}

    def _wanted(self, merges: Mapping[int, Merge]) -> set[TopicPartition]:
        return {
            TopicPartition(topic, number)
            for number, merge in merges.items()
            for topic in self._reading.inputs
            if merge.held(topic) < self._reading.queue_records_max
        }

    def _patience_s(self, merges: Mapping[int, Merge], questions: Mapping[int, Question]) -> float:
        """How long a fetch may wait for records: not at all when evidence will release what is held already."""
        if questions:
            return 0.0
        return self._reading.grace_s if any(merge.waits for merge in merges.values()) else POLL_S

    async def _take_in(self, merges: Mapping[int, Merge], fetched: Mapping[TP, Fetched]) -> None:
        now = monotonic()
        for (topic, number), found in fetched.items():
            merge = merges[number]
            expected, first = merge.position(topic), found[0][0].offset
            if first != expected:
                await self._places.passed(TP(topic, number), expected, first)
            for records in found:
                merge.offer(topic, records, now)

    async def _check_topics(self) -> None:
        """A topic that was made anew and has grown past our place would be read on as if it were the old one."""
        now = monotonic()
        if now - self._topics_checked < TOPICS_CHECK_S:
            return
        self._topics_checked = now
        with suppress(KafkaError):  # nobody answers, so nothing can be told apart
            await self._places.check_topics()

    async def _answer(
        self,
        epoch: int,
        merges: Mapping[int, Merge],
        questions: Mapping[int, Question],
        ends: Mapping[TopicPartition, int],
    ) -> None:
        unread: set[TP] = set()
        for number, question in questions.items() if ends else ():
            by_topic = {topic: ends[TopicPartition(topic, number)] for topic in question.topics}
            unread.update(TP(topic, number) for topic in merges[number].answer(question, by_topic))
        idle = [tp for tp in unread if not merges[tp.partition].held(tp.topic)]
        if idle:
            # Either the records are on their way, or markers end the topic and only the position tells.
            positions = await self._thread.read_positions(idle)
            if epoch == self._epoch:
                await self._advance(merges, positions)

    async def _pass_markers(self, epoch: int, merges: Mapping[int, Merge]) -> None:
        """Where markers end a topic, nobody asks for what lies behind them; a lag would stand there for ever."""
        now = monotonic()
        if now - self._markers_passed < MARKERS_EVERY_S:
            return
        self._markers_passed = now
        idle = [
            TP(topic, number)
            for number, merge in merges.items()
            for topic in self._reading.inputs
            if not merge.held(topic)
        ]
        positions = await self._thread.read_positions(idle)
        if epoch == self._epoch:
            await self._advance(merges, positions)

    async def _advance(self, merges: Mapping[int, Merge], positions: Mapping[TP, int]) -> None:
        for tp, position in positions.items():
            merge = merges[tp.partition]
            if position > merge.position(tp.topic):
                await self._places.passed(tp, merge.position(tp.topic), position)
                merge.advance(tp.topic, position)

    def _message(self, batch: Batch) -> tuple[TP, ConsumerMessage]:
        tp = TP(batch.records[-1].topic if batch.records else self._reading.inputs[0], batch.partition)
        # Faust drops messages below this and fills the gaps between them: a batch jumps, so it must know nothing.
        self._read_offset[tp] = None
        last = batch.positions[tp.topic] - 1
        return tp, ConsumerMessage(
            tp.topic, tp.partition, last, 0.0, 0, (), None, batch, None, tp=tp, generation_id=batch.generation
        )

    # Commits ----------------------------------------------------------------------------------------------------------

    async def force_commit(self, topics: object = None, start_new_transaction: bool = True) -> bool:
        """Lets the group's offsets follow what has been committed; Faust's bookkeeping of acks is not used."""
        if self.app.consumer_generation_id == self._revoked:
            return False
        assigned = self.assignment()
        offsets = {
            TP(*tp): offset
            for tp, offset in self._owner.committed().items()
            if tp in assigned and self._committed_offset[TP(*tp)] != offset
        }
        if not offsets or not await self._commit(offsets):
            return False
        self._committed_offset.update(offsets)
        return True

    async def is_member(self, offsets: Mapping[TP, int]) -> bool:
        """Whether the group counts us in. A process that was paused for long does not know, so it asks.

        The group's answer to a commit is the proof; commits that flow anyhow make the question free.
        """
        while self._lease.wants_asking:  # also where the answer took as long
            try:
                await self._thread.confirm(offsets)
            except (CommitFailedError, IllegalStateError):
                return False
        return not self._lease.is_too_short

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing to do: a full agent queue makes ``getmany`` wait, and what is held is bounded per topic."""

    def on_buffer_drop(self, tp: TP) -> None:
        """As ``on_buffer_full``."""


class Producer(driver.Producer):  # type: ignore[misc]
    """Acknowledged by all replicas in sync and free of repeats, and silent where the lease is over."""

    def _settings_auth(self) -> Mapping[str, Any]:
        reading: Reading = self.transport.reading
        return reading.security

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    def _new_producer(self, transactional_id: str | None = None) -> aiokafka.AIOKafkaProducer:
        producer = super()._new_producer(transactional_id)
        self.transport.lease.guard(producer.client)
        return producer


class Transport(driver.Transport):  # type: ignore[misc]
    Consumer = Consumer
    Producer = Producer

    def __init__(
        self,
        url: list[URL],
        app: faust.App,
        *,
        owner: Owner,
        reading: Reading,
        offsets: Offsets,
        lease: Lease,
        fatal: Fatal,
    ) -> None:
        super().__init__(url, app)
        self.owner = owner
        self.reading = reading
        self.offsets = offsets
        self.lease = lease
        self.fatal = fatal
