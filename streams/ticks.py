"""Ticks: a worker writes into the control topic that time passes, for each of its partitions.

Windows close and waits end by them where no other record comes. They lie on the topic, so a replay sees time pass in
the same places. A tick that cannot be written is only a lost tick: nothing waits for it, and the next one says more.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.codec import encode
from schemas.events import Control, ControlAction
from streams.connection import start_client
from streams.telemetry import Telemetry

log = structlog.get_logger(__name__)

WRITE_TIMEOUT_MS = 10_000  # an older tick is of no use; the brokers are away or refuse
STOP_TIMEOUT_S = 1.0

Clock = Callable[[], float]


class Ticks:
    """``partitions`` says which numbers are ours now: none while a rebalance runs.

    The producer is one of its own. In that of the effects a tick could stand in an effect's way.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        partitions: Callable[[], Collection[int]],
        telemetry: Telemetry,
        *,
        every_s: float,
        clock: Clock = time.time,
    ) -> None:
        self._client = {**client, "request_timeout_ms": WRITE_TIMEOUT_MS}
        self._topic = topic
        self._partitions = partitions
        self._telemetry = telemetry
        self._every_s = every_s
        self._clock = clock
        self._name = uuid4().hex[:12]
        self._count = 0
        self.under_way: dict[int, asyncio.Task[None]] = {}  # at most one a partition: a hang piles nothing up
        self._losing = False  # since the last one that was written

    async def run(self) -> None:
        """Until it is cancelled; at once where ticks are off."""
        if not self._every_s:
            return
        producer = await self._started()
        try:
            while True:
                for number in self._partitions():
                    if number not in self.under_way:
                        self._begin(producer, number)
                await asyncio.sleep(self._every_s)
        finally:
            for task in self.under_way.values():
                task.cancel()
            with suppress(TimeoutError):
                await asyncio.wait_for(producer.stop(), STOP_TIMEOUT_S)

    async def _started(self) -> AIOKafkaProducer:
        while True:
            producer = AIOKafkaProducer(**self._client, acks=1)
            try:
                await start_client(producer)
            except BaseException as error:
                await producer.stop()  # also where the end of the worker breaks it off: it holds connections
                if not isinstance(error, KafkaError):
                    raise
                self._lost(error)
                await asyncio.sleep(self._every_s)
            else:
                return producer

    def _begin(self, producer: AIOKafkaProducer, number: int) -> None:
        task = self.under_way[number] = asyncio.create_task(self._write(producer, number))
        task.add_done_callback(lambda _: self.under_way.pop(number, None))

    async def _write(self, producer: AIOKafkaProducer, number: int) -> None:
        try:
            await producer.send_and_wait(self._topic, self._tick(number), partition=number)
        except Exception as error:
            self._lost(error)
        else:
            self._losing = False
            self._telemetry.tick(number)

    def _tick(self, number: int) -> bytes:
        self._count += 1
        return encode(
            Control(
                v=1,
                id=f"tick-{self._name}-{self._count}",
                ts=int(self._clock() * 1000),
                action=ControlAction.TICK,
                partition=number,
            )
        )

    def _lost(self, error: Exception) -> None:
        if not self._losing:
            self._losing = True
            log.warning("no ticks can be written", topic=self._topic, reason=str(error) or type(error).__name__)
