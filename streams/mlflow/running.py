"""The life of the process of ``driftline mlflow``: one task takes events into the registry, one follows its aliases.

The group's offsets say where reading goes on, and are committed after an event is in the registry: one may be taken
twice, which changes nothing. Several processes may run; whoever has the topic's first partition follows the aliases.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from time import time
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from schemas.codec import UNREADABLE
from schemas.events import Control
from schemas.times import duration_ms
from streams import control
from streams.chores import until_told
from streams.connection import client_settings, is_refusal
from streams.errors import BrokerError
from streams.member import join, member
from streams.mlflow.advice import read
from streams.mlflow.announcer import Announcer
from streams.mlflow.attempts import Attempts
from streams.mlflow.metrics import MlflowMetrics
from streams.mlflow.names import Names
from streams.mlflow.registry import MlflowRegistry, connected
from streams.mlflow.tagger import Fate, Tagger
from streams.offsets import Offsets
from streams.partition_counts import partition_counts
from streams.sections import KafkaSettings
from streams.settings import Settings
from streams.signing import Signer, signers

log = structlog.get_logger(__name__)

POLL_MS = 500
RECORDS_MAX = 20  # at once: each takes some ten calls, and the group waits five minutes for the next poll
STANDBY_S = 1.0
CLOCKS_DIFFER_MS = 3_600_000  # at most, the brokers' and ours
ANSWER_S = 10.0
SEARCH_S = 120.0  # for one event among some days of ticks


def run(settings: Settings, metrics: MlflowMetrics) -> int:
    """Runs in this process until SIGTERM or SIGINT; returns its exit code."""
    registry = connected(settings.mlflow)
    try:
        return asyncio.run(Integration(settings, registry, metrics).run())
    finally:
        registry.close()


class ControlTopic:
    """Where the monitor is told."""

    def __init__(self, kafka: KafkaSettings, signer: Callable[[], Signer | None]) -> None:
        self._kafka, self._signer = kafka, signer

    async def send(self, event: Control) -> None:
        signer = self._signer()
        if signer is not None:  # what is signed must be new: an intention may have waited for a process
            event = msgspec.structs.replace(event, ts=int(time() * 1000))
        await control.send(self._kafka, control.checked(event), signer)

    async def was_sent(self, event_id: str, since: int) -> bool:
        topic = self._kafka.topics.control
        count = (await partition_counts(self._kafka, [topic]))[topic]
        tps = [TopicPartition(topic, number) for number in range(count)]
        try:
            async with asyncio.timeout(SEARCH_S), Offsets(client_settings(self._kafka)) as offsets:
                places = await offsets.places_at(tps, since - CLOCKS_DIFFER_MS)
                async with aclosing(offsets.read(places)) as pieces:
                    async for records in pieces:
                        if any(_id_of(record.value) == event_id for record in records):
                            return True
        except (KafkaError, TimeoutError) as error:
            raise BrokerError(f"does not answer as it should: {error!r}", where=self._kafka.bootstrap) from error
        return False


class Integration:
    def __init__(self, settings: Settings, registry: MlflowRegistry, metrics: MlflowMetrics) -> None:
        mlflow, names = settings.mlflow, Names(settings.mlflow)
        topic = ControlTopic(settings.kafka, signers(settings.control))
        self._kafka, self._group, self._metrics = settings.kafka, mlflow.group, metrics
        self._poll_s = duration_ms(mlflow.poll_interval) / 1000
        self._tagger = Tagger(registry, names, mlflow.alias, metrics, time, apply_rollbacks=mlflow.apply_rollbacks)
        self._announcer = Announcer(registry, topic, names, mlflow.alias, metrics, time)
        self._consumer: AIOKafkaConsumer | None = None
        self._taking = Attempts("taking events into the registry", metrics.failed)
        self._following = Attempts("following aliases", metrics.failed)

    async def run(self) -> int:
        await until_told((self._take(), self._follow()))
        return 0

    # Events into the registry.

    async def _take(self) -> None:
        topic = self._kafka.topics.retrain
        consumer = member(self._kafka, self._group, records_max=RECORDS_MAX)
        try:
            await join(consumer, topic)
            self._consumer = consumer
            while True:
                await self._turn(consumer)
        except KafkaConnectionError as error:
            raise BrokerError(f"does not answer: {error}", where=self._kafka.bootstrap) from error
        except KafkaError as error:
            what = "refused" if is_refusal(error) else "failed"
            raise BrokerError(f"reading events {what}: {error!r}", where=topic) from error
        finally:
            self._consumer = None
            with suppress(Exception):  # on the way out; the group finds out by itself
                await asyncio.wait_for(consumer.stop(), ANSWER_S)

    async def _turn(self, consumer: AIOKafkaConsumer) -> None:
        batches = await consumer.getmany(timeout_ms=POLL_MS)
        taken: dict[TopicPartition, int] = {}
        whole = await self._taking.tried(self._take_all(batches, taken))
        if taken:
            with suppress(KafkaError):  # else they are taken again, which changes nothing
                await consumer.commit(taken)
        if whole:
            self._metrics.ready()
            await self._tell_lag(consumer)
            return
        for tp, records in batches.items():
            if tp in consumer.assignment():
                consumer.seek(tp, taken.get(tp, records[0].offset))
        await asyncio.sleep(self._taking.pause())

    async def _tell_lag(self, consumer: AIOKafkaConsumer) -> None:
        """As of the last fetch; nothing is asked for it."""
        with suppress(KafkaError, TimeoutError):  # a partition may have gone elsewhere just now
            async with asyncio.timeout(ANSWER_S):
                ends = {tp: consumer.highwater(tp) for tp in consumer.assignment()}
                behind = [end - await consumer.position(tp) for tp, end in ends.items() if end is not None]
                self._metrics.lag(max(sum(behind), 0))

    async def _take_all(
        self, batches: Mapping[TopicPartition, Sequence[Any]], taken: dict[TopicPartition, int]
    ) -> None:
        """``taken``: by partition, the offset to go on from."""
        for tp, records in batches.items():
            for record in records:
                advice = read(record.value)
                fate = Fate.LEFT_ASIDE if advice is None else await self._tagger.take(advice)
                self._metrics.event(advice.type if advice else "", fate)
                taken[tp] = record.offset + 1

    # Aliases to the monitor.

    async def _follow(self) -> None:
        while True:
            if not self._is_first():
                await asyncio.sleep(STANDBY_S)
            elif await self._following.tried(self._announcer.look()):
                await asyncio.sleep(self._poll_s)
            else:
                await asyncio.sleep(self._following.pause())

    def _is_first(self) -> bool:
        consumer = self._consumer
        return consumer is not None and TopicPartition(self._kafka.topics.retrain, 0) in consumer.assignment()


class _Named(msgspec.Struct):
    id: str = ""


def _id_of(value: bytes | None) -> str | None:
    try:
        return msgspec.json.decode(value or b"", type=_Named).id
    except UNREADABLE:
        return None
