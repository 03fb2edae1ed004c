"""One worker process: the product's parts for partitions, state and sending, on simulated disk, brokers and time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from streams.ownership import Partitions
from streams.pace import Pace
from streams.partition import OwnedPartition
from streams.sender import Sender, destinations
from streams.state import PartitionState
from streams.telemetry import NoTelemetry
from streams.watchdog import Progress
from tests.simulation.disk import Crash, Died
from tests.simulation.log import INPUTS, OUTPUTS, TOPICS, Log, Violation, Writer
from tests.simulation.producer import SimulatedProducer
from tests.simulation.reader import Reader
from tests.simulation.storage import Storage, Store

BYTES_MAX = 2**21


class Habits(NamedTuple):
    """What differs from process to process in what the product is told."""

    commit_interval_s: float
    checkpoint_interval_s: float
    send_timeout_s: float


class Process:
    """Lives until it dies; asleep it does nothing, and does not know it when it wakes."""

    def __init__(
        self,
        machine: int,
        log: Log,
        storage: Storage,
        draw: Random,
        habits: Habits,
        owns: Callable[["Process", int], bool],
        crash: Callable[["Process", str], None],
    ) -> None:
        self.machine = machine
        self.alive = True
        self.generation = 0
        self.ended: BaseException | None = None  # with what it ended itself
        self.hurry = False  # reads all there is
        self._log = log
        self._draw = draw
        self._habits = habits
        self._owns = partial(owns, self)
        self._crash = partial(crash, self)
        self._awake = asyncio.Event()
        self._awake.set()
        self._readers: dict[int, Reader] = {}
        self._writers: dict[tuple[str, int], Writer] = {}
        self._openings = storage.openings
        crash_point: Crash = self.crash_point
        self.producer = SimulatedProducer(log, self._writer_of, self._owns, crash_point, self.awake)
        self.store = Store(storage, machine, crash_point)
        self._progress = Progress(self._now_s)
        self.partitions = Partitions(self.store, self._make, NoTelemetry(), self._progress)
        self._tasks = [
            asyncio.create_task(self._guarded(work))
            for work in (
                self._work,
                partial(self.partitions.keep_committing, habits.commit_interval_s),
                partial(self.partitions.keep_checkpointing, habits.checkpoint_interval_s),
            )
        ]

    # -- life ---------------------------------------------------------------------------------------------------------

    def crash_point(self, place: str) -> None:
        if not self.alive:
            raise Died(place)
        self._crash(place)

    def die(self) -> None:
        self.alive = False
        self.producer.lose()
        self._awake.set()
        for task in self._tasks:
            task.cancel()

    @property
    def asleep(self) -> bool:
        return not self._awake.is_set()

    def fall_asleep(self) -> None:
        self._awake.clear()

    def wake(self) -> None:
        self._awake.set()

    async def awake(self) -> None:
        await self._awake.wait()
        if not self.alive:
            raise Died("in its sleep")

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Died:
            return
        except Exception as error:  # as in the worker: whatever it is, it ends the process
            self.ended = self.ended or error

    async def _work(self) -> None:
        while True:
            await self.awake()
            if self.partitions.generation is not None and self._readers:
                number = self._draw.choice(sorted(self._readers))
                batch = self._readers[number].next_batch(self.generation, hurry=self.hurry)
                if batch is not None:
                    await self.partitions.take(batch)
            await asyncio.sleep(0)

    def _now_s(self) -> float:
        return self._log.now / 1000

    # -- the group ----------------------------------------------------------------------------------------------------

    async def assigned(self, numbers: Collection[int], generation: int) -> None:
        self.generation = generation
        positions = await self.partitions.assigned(numbers, generation)
        if len(positions) < len(numbers):
            return  # the next rebalance has broken off the opening
        self.partitions.reading_from({}, {})
        self._readers = {number: Reader(self._log, number, positions[number], self._draw) for number in numbers}

    async def revoked(self, generation: int) -> None:
        await self.partitions.revoked(generation)
        self._readers = {}

    async def is_member(self, number: int) -> bool:
        await self.awake()
        return self._owns(number)

    # -- what the product is given ------------------------------------------------------------------------------------

    def _make(self, number: int, state: PartitionState) -> OwnedPartition:
        return OwnedPartition(
            number,
            state,
            sender=Sender(
                self.producer,
                destinations(TOPICS),
                NoTelemetry(),
                bytes_max=BYTES_MAX,
                timeout_s=self._habits.send_timeout_s,
            ),
            offsets=self,  # type: ignore[arg-type] # of Offsets, only ``read`` and ``ends`` are asked for
            inputs=INPUTS,
            outputs=OUTPUTS,
            pace=Pace(self._habits.commit_interval_s, self._now_s),
            telemetry=NoTelemetry(),
            is_current=self.partitions.is_current,
            is_member=self.is_member,
            is_leaving=lambda: self.partitions.leaving,
            moved=self._progress.moved,
        )

    async def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        await asyncio.sleep(0)
        return {tp: self._log.end(tp.topic, tp.partition) for tp in partitions}

    async def read(self, start: Mapping[TopicPartition, int | None]) -> AsyncIterator[Sequence[Any]]:
        """The read-back: up to the ends that there were when it began, in pieces; anything may happen in between."""
        ends = await self.ends(list(start))
        opening = next(self._openings)
        self._writers |= {(tp.topic, tp.partition): Writer(opening, end) for tp, end in ends.items()}
        for tp, first in start.items():
            position = first or 0
            while position < ends[tp]:
                await self.awake()
                self.crash_point("in the read-back")
                piece = min(ends[tp] - position, self._draw.choice((1, 10, 100)))
                yield self._log.read_output(tp.topic, tp.partition, position)[:piece]
                position += piece
                await asyncio.sleep(0)

    def _writer_of(self, topic: str, partition: int) -> Writer:
        writer = self._writers.get((topic, partition))
        if writer is None:
            raise Violation(f"V2 {topic}[{partition}]: something is sent before the topic was read back")
        return writer
