"""A process's hand on the output topics. Every send is a place where the process can die, or fall asleep.

Records of one topic and partition arrive in the order in which they were sent, as with an idempotent producer. A record
can be lost before it arrives, arrive without anybody hearing of it, or arrive and be acknowledged. What a process that
sleeps has already sent may arrive at any time, also when somebody else has long taken its place.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from schemas.records import Record
from tests.simulation.disk import Crash
from tests.simulation.log import Log, Writer

WriterOf = Callable[[str, int], Writer]


class Metadata(NamedTuple):
    """What an acknowledgement says, under aiokafka's names."""

    topic: str
    partition: int
    offset: int


class _OnItsWay(NamedTuple):
    record: Record
    writer: Writer
    acknowledged: "asyncio.Future[Metadata]"


class SimulatedProducer:
    """``writer_of`` says in whose name a record of a topic and partition is sent."""

    def __init__(
        self, log: Log, writer_of: WriterOf, owns: Callable[[int], bool], crash: Crash, awake: Callable[[], Any]
    ) -> None:
        self._log = log
        self._writer_of = writer_of
        self._owns = owns
        self._crash = crash
        self._awake = awake
        self._on_their_way: dict[tuple[str, int], deque[_OnItsWay]] = {}
        self._unheard: deque[tuple[asyncio.Future[Metadata], Metadata]] = deque()

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> Awaitable[Any]:
        assert partition is not None
        self._crash("before a send")
        writer = self._writer_of(topic, partition)
        await self._awake()
        record = Record(topic, partition, -1, 0, key, value, tuple(headers))
        future: asyncio.Future[Metadata] = asyncio.get_running_loop().create_future()
        self._on_their_way.setdefault((topic, partition), deque()).append(_OnItsWay(record, writer, future))
        self._crash("after a send")
        return future

    @property
    def places(self) -> list[tuple[str, int]]:
        """Where something is on its way to."""
        return [place for place, records in self._on_their_way.items() if records]

    def arrive(self, place: tuple[str, int], most: int) -> int:
        """The next records of one place reach their topic; returns how many came from somebody who does not own it."""
        records, uninvited = self._on_their_way[place], 0
        for _ in range(min(most, len(records))):
            record, writer, future = records.popleft()
            # What was sent in an earlier ownership and comes in the next one of the same process is a zombie's too.
            by_owner = self._owns(record.partition) and writer == self._writer_of(record.topic, record.partition)
            uninvited += not by_owner
            offset = self._log.append(record, writer, by_owner)
            self._unheard.append((future, Metadata(record.topic, record.partition, offset)))
        return uninvited

    def acknowledge(self, most: int) -> None:
        for _ in range(min(most, len(self._unheard))):
            future, metadata = self._unheard.popleft()
            if not future.done():
                future.set_result(metadata)

    def lose(self) -> None:
        """The process is dead: what has not left it never will."""
        self._on_their_way.clear()
        self._unheard.clear()
