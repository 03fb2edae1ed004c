"""Questions to the brokers that need no group: where topics begin and end, and what lies in between.

A client of its own asks them. On the worker's consumer they would stand in line behind fetches that wait for records.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from streams.connection import start_client
from streams.errors import BrokerError
from streams.identity import Identity
from streams.topic_facts import Allowed, topic_facts

FETCH_WAIT_MS = 20  # a broker holds a fetch of what is read already for so long, and with it what is not
POLL_S = 1.0  # how long one fetch of a reading waits; the reading goes on until its end is reached


class Offsets:
    def __init__(self, client: Mapping[str, Any]) -> None:
        self._client = client
        self._consumer: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(**self._client)
            try:
                await start_client(consumer)
            except BaseException as error:
                await consumer.stop()
                if not isinstance(error, KafkaError):
                    raise
                raise BrokerError(f"does not answer: {error}", where=str(self._client["bootstrap_servers"])) from error
            self._consumer = consumer

    async def stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """One past the last record of each."""
        return await (await self._knowing(partitions)).end_offsets(list(partitions)) if partitions else {}

    async def beginnings(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The first record of each that retention has left."""
        return await (await self._knowing(partitions)).beginning_offsets(list(partitions)) if partitions else {}

    async def first_times(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int | None]:
        """When the first record that is left of each was appended, in epoch milliseconds; ``None`` where none is."""
        if not partitions:
            return {}
        found = await (await self._knowing(partitions)).offsets_for_times(dict.fromkeys(partitions, 0))
        return {tp: None if place is None else place.timestamp for tp, place in found.items()}

    async def places_at(self, partitions: Collection[TopicPartition], time: int) -> dict[TopicPartition, int]:
        """Of each, the first record that was appended then or later, or its end; epoch milliseconds."""
        found = await (await self._knowing(partitions)).offsets_for_times(dict.fromkeys(partitions, max(time, 0)))
        ends = await self.ends(partitions)
        return {tp: ends[tp] if place is None else place.offset for tp, place in found.items()}

    async def identities(self, names: Collection[str]) -> dict[str, Identity]:
        """A topic that was made anew has another id. Left out is what is not shown now."""
        facts = await topic_facts(self._consumer_or_fail()._client, names)
        return {name: Identity(found.id, found.partitions) for name, found in facts.items() if found.error is None}

    async def operations(self, names: Collection[str]) -> Allowed:
        """What this user may do with each; ``None`` where the brokers do not tell, and of a topic that is away."""
        if self._consumer is None:  # it takes leave
            return dict.fromkeys(names)
        facts = await topic_facts(self._consumer._client, names)
        hidden = {name for name, found in facts.items() if found.error is TopicAuthorizationFailedError}
        return {name: frozenset() if name in hidden else found.operations for name, found in facts.items()}

    async def topics(self) -> Collection[str]:
        """The names of all topics that this user may see."""
        names: set[str] = await self._consumer_or_fail().topics()
        return names

    async def read(
        self, start: Mapping[TopicPartition, int | None], until: Mapping[TopicPartition, int] | None = None
    ) -> AsyncGenerator[Sequence[Any], None]:
        """What lies on the partitions from the given offsets, or the beginning, to their present ends, in pieces.

        ``until`` says where to stop before the end; what a piece holds beyond it is its reader's to leave out.
        """
        partitions = list(start)
        ends = await self.ends(partitions)
        if until is not None:
            ends = {tp: min(end, until.get(tp, end)) for tp, end in ends.items()}
        firsts = await self.beginnings(partitions)
        seeks = {tp: max(firsts[tp], start[tp] or 0) for tp in partitions}
        unread = {tp for tp in partitions if seeks[tp] < ends[tp]}
        if not unread:
            return
        consumer = AIOKafkaConsumer(
            **self._client, enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=FETCH_WAIT_MS
        )
        try:
            await start_client(consumer)
            consumer.assign(list(unread))
            for tp in unread:
                consumer.seek(tp, seeks[tp])
            while unread:
                fetched = await consumer.getmany(*unread, timeout_ms=int(POLL_S * 1000))
                for records in fetched.values():
                    yield records
                # The position also passes markers and what compaction left out, which no record would show.
                unread = {tp for tp in unread if await consumer.position(tp) < ends[tp]}
        finally:
            await consumer.stop()

    async def _knowing(self, partitions: Collection[TopicPartition]) -> Any:
        """Of a topic it has not met aiokafka finds out who leads it after a pause, of one topic after the other."""
        consumer = self._consumer_or_fail()
        topics = {tp.topic for tp in partitions}
        # What it cannot find out now, it tries again by itself when it is asked.
        await asyncio.gather(*(consumer._client.add_topic(topic) for topic in topics))
        return consumer

    def _consumer_or_fail(self) -> Any:
        if self._consumer is None:
            raise RuntimeError("asked for offsets before start")
        return self._consumer
