"""A word of an operator's on its way to the monitor: checked as the worker will check it, then appended once."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.codec import Decoder, Rejection, encode
from schemas.events import EVERY_MODEL, Control
from schemas.records import Record
from schemas.topics import Stream
from streams.alerts import newest_first
from streams.connection import client_settings, start_client
from streams.errors import BrokerError, UsageError
from streams.incidents import several
from streams.partition_counts import partition_counts
from streams.sections import KafkaSettings
from streams.signing import Signer
from streams.written import Tell

ACKNOWLEDGED_WITHIN_S = 30.0  # a person waits; brokers take milliseconds, an election some seconds
ANSWER_WITHIN_S = 30.0
STOP_TIMEOUT_S = 1.0


class Place(NamedTuple):
    """Where the event lies."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        # Brokers do not always remember where they put what was sent to them twice.
        return f"{self.topic}[{self.partition}]" + (f"@{self.offset}" if self.offset >= 0 else "")


class Named(NamedTuple):
    """An incident and whose it is."""

    incident: str
    model: str


def checked(event: Control) -> Control:
    """The event itself; raises ``UsageError`` where a worker would make a dead letter of it."""
    try:
        value = encode(event)
    except TypeError as error:  # what the shell handed over is no text
        raise UsageError(f"cannot be written: {error}", advice="give every word in UTF-8") from error
    key = (event.model or "").encode()
    answer = Decoder().decode(Stream.CONTROL, Record("control", 0, 0, 0, key, value))
    if isinstance(answer, Rejection):
        raise UsageError(answer.detail)
    return event


class ControlSender:
    """Appends control events through one connection, which is made where it is needed and kept.

    ``signer`` is asked for each event, since a key may end.
    """

    def __init__(self, kafka: KafkaSettings, signer: Callable[[], Signer | None] = lambda: None) -> None:
        self._kafka, self._signer = kafka, signer
        self._topic = kafka.topics.control
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()

    async def connect(self) -> None:
        """Looks for the topic first: a producer would wait for one that is not there, or make it."""
        await _require(self._kafka, self._topic)
        try:
            await self._connected()
        except KafkaError as error:
            raise BrokerError(f"cannot be connected to: {error!r}", where=self._kafka.bootstrap) from error

    async def send(self, event: Control, within_s: float = ACKNOWLEDGED_WITHIN_S) -> Place:
        """Returns when the brokers have acknowledged it. The key decides the partition, as for the predictions."""
        signer, key, value = self._signer(), (event.model or "").encode(), encode(event)
        headers = signer.headers(key, value) if signer is not None else None
        try:
            async with asyncio.timeout(within_s):
                producer = await self._connected()
                place = await producer.send_and_wait(self._topic, value, key=key, headers=headers)
        except TimeoutError as error:
            what = f"did not acknowledge {event.id} within {within_s:g} s"
            advice = f"it may lie on {self._topic} all the same: look before sending it again"
            raise BrokerError(what, where=self._kafka.bootstrap, advice=advice) from error
        except Exception as error:
            await self.stop()  # what aiokafka cannot get over it raises for ever; the next event gets another
            if not isinstance(error, KafkaError):
                raise
            raise BrokerError(f"did not take the event: {error!r}", where=self._topic) from error
        return Place(place.topic, place.partition, place.offset)

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stopped(producer)

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(**client_settings(self._kafka), acks="all", enable_idempotence=True)
                try:
                    await start_client(producer)
                except BaseException:
                    await _stopped(producer)
                    raise
                self._producer = producer
            return self._producer


async def send(
    kafka: KafkaSettings, event: Control, signer: Signer | None = None, within_s: float = ACKNOWLEDGED_WITHIN_S
) -> Place:
    """One event, for whoever has no more to say."""
    await _require(kafka, kafka.topics.control)
    sender = ControlSender(kafka, lambda: signer)
    try:
        return await sender.send(event, within_s)
    finally:
        await sender.stop()


async def _require(kafka: KafkaSettings, topic: str) -> None:
    """That the topic is there."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await partition_counts(kafka, [topic])
    except TimeoutError as error:
        what = f"does not answer within {ANSWER_WITHIN_S:.0f} s; nothing was sent"
        raise BrokerError(what, where=kafka.bootstrap) from error


async def _stopped(producer: AIOKafkaProducer) -> None:
    """Its stop waits for what was not acknowledged, for as long as brokers are away."""
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await producer.stop()
    except TimeoutError:
        return


async def find(kafka: KafkaSettings, beginning: str, tell: Tell) -> Named:
    """The newest incident whose id begins so, from the topic of alerts."""
    async with aclosing(newest_first(kafka, tell)) as stretches:
        async for alerts in stretches:
            found = {alert.incident: alert.model for alert in alerts if alert.incident.startswith(beginning)}
            if found:
                return named(beginning, found)
    advice = "driftline incidents list --all shows those that there are; --model spares the look"
    raise UsageError(f"there is no such incident on {kafka.topics.alerts}", where=beginning, advice=advice)


def named(beginning: str, found: Mapping[str, str]) -> Named:
    """The one of them that is meant; ``found`` are the models by incident."""
    if beginning in found:
        found = {beginning: found[beginning]}
    if len(found) > 1:
        raise several(beginning, found)
    ((incident, model),) = found.items()
    if model == EVERY_MODEL:
        raise UsageError("is of every model of a partition: no control event can name it", where=incident)
    return Named(incident, model)
