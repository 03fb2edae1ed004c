"""The life of a pager's process: one task takes alerts into the outbox, one for each sink delivers, one says it lives.

The outbox decides where reading begins, never the group's offsets: without one, the topic is read from its beginning,
and what is over by its end pages nobody. The sinks are served also while no broker answers.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from time import monotonic, time
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from schemas.times import duration_ms
from streams import watchdog
from streams.chores import until_told
from streams.connection import is_refusal
from streams.errors import BrokerError, CorruptStateError
from streams.member import join, member
from streams.pager import build
from streams.pager.courier import Courier, Post, serve
from streams.pager.decisions import Decision
from streams.pager.heartbeat import Heartbeat, Pulse
from streams.pager.inbound import build as inbound
from streams.pager.metrics import PagerMetrics
from streams.pager.outbox import Outbox, Taken
from streams.pager.policy import Policy, policy
from streams.pager.reasons import WITHHOLDS, WORDS
from streams.pager.rows import Belongs
from streams.pager.sinks.sink import Sink
from streams.rocks import Rocks, shared_cache
from streams.settings import Settings
from streams.state_dir import StateDir
from streams.watchdog import Progress, Watchdog

log = structlog.get_logger(__name__)

POLL_MS = 500
BATCH_RECORDS_MAX = 1_000
BROKERS_AGAIN_S = 5.0
LOOK_EVERY_S = 5.0
ANSWER_S = 10.0
COMMIT_S = 2.0
# A pager without an outbox first reads what happened, so that nobody is paged for what is over: for as long as reading
# moves on, at some ten thousand alerts a second; not for ever.
CATCH_UP_S = 60.0
CATCH_UP_MAX_S = 300.0
PRUNE_EVERY_S = 3_600.0
LOOK_AGAIN_S = 60.0  # a clock that was set back must not make a wait of a minute one of hours
THE_ONE = 0  # the directory holds one database


def run(settings: Settings, metrics: PagerMetrics) -> int:
    """Runs a pager in this process until SIGTERM or SIGINT; returns its exit code."""
    sinks = build.sinks(settings.pager, time)
    whom = policy(settings.pager, list(sinks))
    whose = Belongs(settings.pager.group, settings.kafka.topics.alerts)
    with StateDir(Path(settings.pager.dir), setting="pager.dir", user="pager") as folder:
        rocks, outbox = _opened(folder, whose, whom)
        try:
            gone = outbox.keep_only(list(sinks), time())
            if gone:
                log.warning("pages were meant for sinks that are not configured any more", pages=gone)
            return asyncio.run(Pager(settings, outbox, sinks, metrics).run())
        finally:
            rocks.close()


def _opened(folder: StateDir, whose: Belongs, whom: Policy) -> tuple[Rocks, Outbox]:
    """What is there, or a new one: then the topic says what is open."""
    place, cache = folder.place(THE_ONE), shared_cache()
    if place.exists():
        try:
            return _outbox(Rocks(place, cache), whose, whom)
        except CorruptStateError as error:
            aside = str(folder.quarantine(THE_ONE))
            log.error("the outbox is broken and was put aside; alerts are read anew", reason=str(error), aside=aside)
    return _outbox(Rocks(place, cache, create=True), whose, whom)


def _outbox(rocks: Rocks, whose: Belongs, whom: Policy) -> tuple[Rocks, Outbox]:
    try:
        return rocks, Outbox(rocks, whose, whom)
    except BaseException:
        rocks.close()
        raise


class Pager:
    def __init__(self, settings: Settings, outbox: Outbox, sinks: Mapping[str, Sink], metrics: PagerMetrics) -> None:
        pager = settings.pager
        self._settings, self._outbox, self._metrics = settings, outbox, metrics
        self._sinks = sinks
        self._wakes = {name: asyncio.Event() for name in sinks}
        self._began = self._moved = monotonic()
        self._caught_up = asyncio.Event()
        self._short: set[int] = set()  # partitions that ended before what was taken of them, when it was looked last
        self._pulse = Pulse(monotonic)
        self._progress = Progress()
        self._progress.ready()  # deliveries need no broker; that none answers is judged by itself
        chance = SystemRandom().random
        self._couriers = [
            Courier(
                Post(
                    name,
                    sink,
                    pager.sinks[name].fallback,
                    pager.sinks[name].pages_per_minute,
                    duration_ms(pager.give_up_after) / 1000,
                    duration_ms(pager.retry_pause_max) / 1000,
                ),
                outbox,
                metrics,
                time,
                chance,
                self._wake,
            )
            for name, sink in sinks.items()
        ]

    async def run(self) -> int:
        stall_s = duration_ms(self._settings.worker.watchdog_stall) / 1000
        dog = Watchdog(self._progress, stall_s, watchdog.end_process)
        dog.start()
        try:
            await until_told(self._chores())
            return 0
        finally:
            dog.stop()

    def _chores(self) -> Sequence[Coroutine[Any, Any, None]]:
        heartbeat = Heartbeat(self._settings.pager, self._pulse, self._metrics.heartbeat)
        return (
            self._take(),
            *(self._serve(courier, name) for courier, name in zip(self._couriers, self._sinks, strict=True)),
            self._look_around(),
            heartbeat.beat(),
            inbound.hear(self._settings, self._outbox, self._metrics),
        )

    # Taking.

    async def _take(self) -> None:
        consumer = await self._connected()
        try:
            await asyncio.gather(self._poll(consumer), self._ask_for_lag(consumer))
        except KafkaError as error:
            what = "refused" if is_refusal(error) else "failed"
            raise BrokerError(
                f"reading alerts {what}: {error!r}",
                where=self._settings.kafka.topics.alerts,
                advice="see the brokers' log; the next start goes on from the outbox",
            ) from error
        finally:
            with suppress(Exception):  # on the way out; the group finds out by itself
                await asyncio.wait_for(consumer.stop(), ANSWER_S)

    async def _connected(self) -> AIOKafkaConsumer:
        """Brokers that are away are waited for: meanwhile what is in the outbox goes out."""
        kafka, pager = self._settings.kafka, self._settings.pager
        while True:
            consumer = member(kafka, pager.group, records_max=BATCH_RECORDS_MAX, instance=self._outbox.instance)
            try:
                await join(consumer, kafka.topics.alerts, _Seek(consumer, self._outbox))
                return consumer
            except KafkaConnectionError as error:
                log.warning("brokers do not answer", reason=str(error))
                self._progress.lag_unknown()
                self._caught_up.set()
                await consumer.stop()
                await asyncio.sleep(BROKERS_AGAIN_S)
            except BaseException:
                await consumer.stop()
                raise

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            batches = await consumer.getmany(timeout_ms=POLL_MS)
            self._pulse.turned()
            records = [
                Taken(tp.partition, record.offset, record.value) for tp, batch in batches.items() for record in batch
            ]
            if records:
                self.take(records)
                offsets = {tp: batch[-1].offset + 1 for tp, batch in batches.items() if batch}
                # They decide nothing, and the next ones are written over them: the group's broker may be away for long
                # while those that have the alerts are not.
                with suppress(KafkaError, TimeoutError):
                    async with asyncio.timeout(COMMIT_S):
                        await consumer.commit(offsets)

    def take(self, records: Sequence[Taken]) -> None:
        self._moved = monotonic()
        told = self._outbox.take(records, time())
        for event in told.events:
            self._metrics.alert(event)
        for sink in told.cancelled:
            self._metrics.cancelled(sink)
        self._metrics.repeated(told.repeated)
        for record in told.unreadable:
            self._metrics.unreadable()
            log.error("a record is no alert", partition=record.partition, offset=record.offset)
        self._tell(told.decisions)
        self._wake()

    def _look(self, now: float) -> None:
        """As deliveries begin: what is over by the end of the topic needs no digest, nor a page when its mute ends."""
        if self._is_read():
            looked = self._outbox.look(now)
            self._tell(looked.decisions)
            if looked.changed:
                self._wake()

    def _is_read(self) -> bool:
        now = monotonic()
        return self._caught_up.is_set() or now - self._moved > CATCH_UP_S or now - self._began > CATCH_UP_MAX_S

    def _tell(self, decisions: Sequence[Decision]) -> None:
        for one in decisions:
            withheld = one.reason in WITHHOLDS
            if withheld:
                self._metrics.withheld(one.reason)
            log.info(
                "not paged at once" if withheld else "paged after all",
                incident=one.incident,
                model=one.model,
                reason=one.reason.value,
                why=WORDS[one.reason],
                by=one.by or None,
            )

    async def _ask_for_lag(self, consumer: AIOKafkaConsumer) -> None:
        """The evidence that reading is not merely quiet: brokers say where the topic ends."""
        while True:
            mine = list(consumer.assignment())
            try:
                async with asyncio.timeout(ANSWER_S):
                    ends = await consumer.end_offsets(mine) if mine else {}
                    # Not the outbox's: it knows of no gap, and of nothing before the first record.
                    positions = {tp: await consumer.position(tp) for tp in mine}
            except (KafkaError, TimeoutError) as error:
                log.warning("brokers do not answer", reason=str(error) or type(error).__name__)
                self._progress.lag_unknown()
            else:
                behind = {tp.partition: max(ends[tp] - positions[tp], 0) for tp in mine}
                self._metrics.lag(sum(behind.values()))
                self._progress.at({tp.partition: at for tp, at in positions.items()}, behind)
                self._pulse.answered(sum(behind.values()))
                self.require_whole({tp.partition: end for tp, end in ends.items()})
                if mine and not any(behind.values()):
                    self._caught_up.set()
            await asyncio.sleep(LOOK_EVERY_S if self._caught_up.is_set() else 0.2)

    def require_whole(self, ends: Mapping[int, int]) -> None:
        """Where the topic was made again, what is new would count as taken, for as many alerts as there were before.

        Two looks must say so, and it ends the process: the next one reads to the end before it pages.
        """
        taken = self._outbox.positions
        short = {number for number, end in ends.items() if end < taken.get(str(number), 0)}
        if lost := short & self._short:
            self._outbox.forget_positions(lost)
            raise BrokerError(
                f"ends before what was taken from it, partition {', '.join(map(str, sorted(lost)))}",
                where=self._settings.kafka.topics.alerts,
                advice="it was made again, or lost records; the next start reads it from its beginning",
            )
        self._short = short

    # Delivering.

    async def _serve(self, courier: Courier, name: str) -> None:
        while not self._is_read():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._caught_up.wait(), 1.0)
        await serve(courier, self._waiter(self._wakes[name]))

    def _waiter(self, wake: asyncio.Event) -> Callable[[float | None], Any]:
        async def wait(until: float | None) -> None:
            if until is not None and until <= time():
                await asyncio.sleep(0)
                return
            with suppress(TimeoutError):
                left = LOOK_AGAIN_S if until is None else min(until - time(), LOOK_AGAIN_S)
                await asyncio.wait_for(wake.wait(), left)
            wake.clear()

        return wait

    def _wake(self) -> None:
        for wake in self._wakes.values():
            wake.set()

    async def _look_around(self) -> None:
        pruned = 0.0
        while True:
            now = time()
            self._progress.turn()
            self._look(now)
            self._metrics.budgets_left(self._outbox.budgets_left(now))
            self._metrics.waiting({name: _age(self._outbox, name, now) for name in self._sinks})
            if now - pruned > PRUNE_EVERY_S:
                self._outbox.prune(now)
                pruned = now
            await asyncio.sleep(1.0)


class _Seek(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, consumer: AIOKafkaConsumer, outbox: Outbox) -> None:
        self._consumer, self._outbox = consumer, outbox

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """What was taken from them is in the outbox and goes out from here."""

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        for tp in assigned:
            self._consumer.seek(tp, self._outbox.positions.get(str(tp.partition), 0))


def _age(outbox: Outbox, sink: str, now: float) -> tuple[int, float]:
    since = [delivery.since for delivery in outbox.waiting(sink)]
    return len(since), max(now - min(since, default=now), 0.0)
