"""The thread in which Faust's consumer talks to the brokers, with the questions that our transport asks it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import aiokafka
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from schemas.records import RecordLike
from streams.assignment import CoPartitionedAssignor
from streams.fetched import Consumer, runs_of
from streams.lease import Lease

Fetched = Sequence[Sequence[RecordLike]]
log = structlog.get_logger(__name__)

# aiokafka asks a broker for nothing else while one fetch waits there, so a topic that has room again waits this long
# at worst. Records end the wait at once; ten empty fetches a second cost a broker nothing.
FETCH_WAIT_MS = 100
POLL_INTERVAL_MAX_MS = 30 * 24 * 3600 * 1000  # spare workers have nothing to poll and must stay in the group
PARTITION_FETCH_BYTES = 1024 * 1024  # a fetch brings at most so much of a partition, or one larger record


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # Faust is not typed for us
    """The thread that talks to the brokers."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        # Faust's own assignor choice is round robin, which does not keep the topics of a partition number together.
        self._assignor = CoPartitionedAssignor()
        return Consumer(
            **transport.reading.consumer,
            group_instance_id=self.app.conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_interval_ms=POLL_INTERVAL_MAX_MS,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )

    async def fetch(self, wanted: set[TopicPartition], timeout_s: float) -> Mapping[TP, Fetched]:
        """By partition, what came of it: records in their order."""
        fetched: Mapping[TP, Fetched] = await self.call_thread(self._fetch, wanted, timeout_s)
        return fetched

    async def _fetch(self, wanted: set[TopicPartition], timeout_s: float) -> Mapping[TP, Fetched]:
        if not self.consumer.flow_active:
            return {}  # a rebalance began while this call was on its way; it must not wait for records
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        wanted = wanted & assigned
        paused = consumer.paused()
        # A full queue is paused at the source: left unread in aiokafka's buffer it would delay every other partition.
        consumer.pause(*(assigned - wanted - paused))
        consumer.resume(*(wanted & paused))
        # getmany also raises what the coordinator has parked, such as a refused authorisation; nothing else asks.
        fetched = await consumer.getmany(*wanted, timeout_ms=int(timeout_s * 1000))
        return {tp: runs_of(found) for tp, found in fetched.items()}

    async def read_positions(self, partitions: Collection[TP]) -> dict[TP, int]:
        positions: dict[TP, int] = await self.call_thread(self._read_positions, partitions)
        return positions

    async def _read_positions(self, partitions: Collection[TP]) -> dict[TP, int]:
        consumer = self._ensure_consumer()
        return {tp: await consumer.position(tp) for tp in partitions if tp in consumer.assignment()}

    async def confirm(self, offsets: Mapping[TP, int]) -> None:
        await self.call_thread(self._confirm, offsets)

    async def _confirm(self, offsets: Mapping[TP, int]) -> None:
        lease: Lease = self.transport.lease
        asked_at = lease.now()
        consumer = self._ensure_consumer()
        generation = consumer._coordinator.generation
        # Who was thrown out and has not joined again commits as nobody, which a group without members accepts.
        if generation < 0:
            raise CommitFailedError
        await consumer.commit({TopicPartition(*tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()})
        if consumer._coordinator.generation != generation:  # a heartbeat has found out while this was tried again
            raise CommitFailedError
        lease.answered(asked_at)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        # Here and not in the loop of the work, which may hear of it late.
        self.transport.lease.group_meets()
        if self._ensure_consumer()._coordinator.generation < 0:
            self.transport.lease.lost()
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self.transport.lease.group_has_met()
        await super().on_partitions_assigned(assigned, generation_id)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            await self._confirm(offsets)
        except KafkaError as error:
            # These offsets decide nothing; they are written again with the next ones.
            log.warning("group offsets not committed", reason=type(error).__name__)
            return False
        return True

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's stall detector compares two different clocks; ``streams.watchdog`` watches in its place."""
