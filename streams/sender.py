"""Effects on their way to Kafka: to an explicit partition, as CloudEvents, and not done until they are acknowledged."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, Protocol

from schemas.topics import CATALOGUE, TopicNames
from streams.errors import BrokerError, DriftlineError
from streams.state import EffectLike
from streams.telemetry import Telemetry

ID_HEADER = "ce_id"
SPEC_VERSION = b"1.0"  # of CloudEvents
# Key, headers and batch framing, on top of the value, that a request may carry; four times what they come to.
FRAMING_BYTES = 4 * 1024


class Destination(NamedTuple):
    topic: str
    type: bytes  # the CloudEvents type


class Producer(Protocol):
    """Faust's producer: ``send`` queues, and what it returns is done when the brokers have acknowledged."""

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
    ) -> Awaitable[Any]: ...


class EffectTooLargeError(DriftlineError):
    """The engine bounds what it writes, so this is our mistake. Sending it again would fail the same way for ever."""


def destinations(names: TopicNames) -> Mapping[str, Destination]:
    return {
        stream.value: Destination(topic, f"driftline.{CATALOGUE[stream].events[0]}.v1".encode())
        for topic, stream in names.outputs.items()
    }


class Sender:
    def __init__(
        self,
        producer: Producer,
        destinations: Mapping[str, Destination],
        telemetry: Telemetry,
        *,
        bytes_max: int,
        timeout_s: float,
    ) -> None:
        self._producer = producer
        self._destinations = destinations
        self._telemetry = telemetry
        self._bytes_max = bytes_max
        self._timeout_s = timeout_s

    async def send(self, partition: int, effects: Sequence[EffectLike]) -> Mapping[str, int]:
        """Returns when every one of them is on its topic, with the offset after the last by topic.

        Raises when one is not there within the timeout.
        """
        if not effects:
            return {}
        for effect in effects:
            self._refuse_too_large(partition, effect)
        topics = [self._destinations[effect.stream].topic for effect in effects]
        queued: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                for effect in effects:
                    queued.append(asyncio.ensure_future(await self._queue(partition, effect)))  # noqa: PERF401
                places = await asyncio.gather(*queued)
        except TimeoutError as error:
            late = [topic for topic, future in zip_longest(topics, queued) if future is None or future.cancelled()]
            raise BrokerError(
                f"{len(late)} events were not acknowledged within {self._timeout_s:g} s",
                where=f"{', '.join(sorted(set(late)))}, partition {partition}",
                advice="see whether the topics are there and the brokers have enough replicas in sync",
            ) from error
        for topic, count in Counter(topics).items():
            self._telemetry.sent(topic, partition, count)
        return _ends(topics, [place.offset for place in places])

    async def _queue(self, partition: int, effect: EffectLike) -> Awaitable[Any]:
        destination = self._destinations[effect.stream]
        headers = headers_of(effect.id, destination.type, partition)
        return await self._producer.send(destination.topic, effect.key, effect.value, partition, None, headers)

    def _refuse_too_large(self, partition: int, effect: EffectLike) -> None:
        size = len(effect.key or b"") + len(effect.value) + FRAMING_BYTES
        if size > self._bytes_max:
            raise EffectTooLargeError(
                f"{effect.id} is {size:,} bytes, more than the {self._bytes_max:,} that a topic takes",
                where=f"{self._destinations[effect.stream].topic}[{partition}]",
                advice="report it: no event may grow so large",
            )


def _ends(topics: Sequence[str], offsets: Sequence[int]) -> Mapping[str, int]:
    ends: dict[str, int] = {}
    for topic, offset in zip(topics, offsets, strict=True):
        if offset >= 0:  # brokers do not always remember where they put what was sent to them twice
            ends[topic] = max(ends.get(topic, 0), offset + 1)
    return ends


def headers_of(event_id: str, event_type: bytes, partition: int) -> list[tuple[str, bytes]]:
    """CloudEvents in binary mode."""
    return [
        ("ce_specversion", SPEC_VERSION),
        (ID_HEADER, event_id.encode()),
        ("ce_type", event_type),
        ("ce_source", b"driftline/%d" % partition),
        ("content-type", b"application/json"),
    ]


def id_of(headers: Sequence[tuple[str, bytes]]) -> str | None:
    """The id of a record that somebody sent, ``None`` where it has none."""
    return next((value.decode(errors="replace") for name, value in headers if name == ID_HEADER), None)
