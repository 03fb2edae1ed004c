"""What outlives processes: the disks of every machine, and the checkpoints that all of them can reach."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import count
from random import Random
from typing import NamedTuple

from detectors.config import MonitorConfig
from detectors.engine import Engine
from detectors.kept import Kept
from detectors.signing import Keys
from schemas.topics import TopicNames
from streams.durable import DurableState, belongs, new_state, positions_of
from streams.state import ENDLESS, PartitionState, Patience, Tenure
from tests.simulation.disk import Crash, OpenDisk, Platter

TOPICS = TopicNames()
CHECKPOINTS_KEPT = 3
GROUP = "simulated"


class _Copy(NamedTuple):
    progress: int
    platter: Platter


class Storage:
    """``counts`` tells what was used and lost."""

    def __init__(self, config: MonitorConfig, keys: Keys, counts: Counter[str]) -> None:
        self._config = config
        self._keys = keys
        self.counts = counts
        self.bucket_answers: Callable[[], bool] = lambda: True
        self.openings = count()  # each time that a state is read back for has its own number
        self._platters: dict[tuple[int, int], Platter] = {}  # by machine and partition
        self._checkpoints: dict[int, list[_Copy]] = {}

    def engine(self, partition: int, kept: Kept | None) -> Engine:
        return Engine(partition, self._config, TOPICS, kept=kept, keys=self._keys)

    def open(self, machine: int, partition: int, crash: Crash) -> tuple[OpenDisk, DurableState]:
        """The newest of what the machine has and the checkpoints, or a new one."""
        platter = self._platters.get((machine, partition))
        checkpoint = max(self._checkpoints.get(partition, []), default=None, key=lambda copy: copy.progress)
        if checkpoint is not None and (platter is None or _progress(platter) < checkpoint.progress):
            platter = checkpoint.platter.copy()
            self.counts["checkpoints_used"] += 1
        if platter is None or not platter.image:
            platter = Platter()
            new_state(OpenDisk(platter, lambda _place: None), belongs(GROUP, TOPICS, partition))
            self.counts["rebuilds"] += 1
        self._platters[machine, partition] = platter
        disk = OpenDisk(platter, crash)
        return disk, DurableState(disk, belongs(GROUP, TOPICS, partition), self.engine)

    def save(self, partition: int, copy: Platter) -> None:
        if not self.bucket_answers():  # the worker goes on without
            self.counts["checkpoints_unsaved"] += 1
            return
        copies = self._checkpoints.setdefault(partition, [])
        copies.append(_Copy(_progress(copy), copy))
        copies.sort(key=lambda copy: copy.progress)
        del copies[:-CHECKPOINTS_KEPT]
        self.counts["checkpoints"] += 1

    # -- accidents ----------------------------------------------------------------------------------------------------

    def sync(self, draw: Random) -> None:
        if self._platters:
            draw.choice(list(self._platters.values())).sync()

    def lose_power(self, machine: int, draw: Random) -> None:
        for (owner, _), platter in self._platters.items():
            if owner == machine:
                self.counts["writes_lost"] += platter.lose_power(draw)

    def lose_disks(self, machine: int) -> None:
        for place in [place for place in self._platters if place[0] == machine]:
            del self._platters[place]
        self.counts["disks_lost"] += 1

    def lose_newest_checkpoint(self, draw: Random) -> None:
        """Somebody cleared away too much, or a bucket gave back an older listing."""
        copies = draw.choice([*self._checkpoints.values(), []])
        if copies:
            copies.pop()
            self.counts["checkpoints_lost"] += 1


class Store:
    """One process's way to its states. Implements ``streams.state.StateStore`` over the simulated disks."""

    def __init__(self, storage: Storage, machine: int, crash: Crash) -> None:
        self._storage = storage
        self._machine = machine
        self._crash = crash
        self._held: dict[int, tuple[OpenDisk, DurableState]] = {}
        self._tenure = Tenure()

    def disk(self, partition: int) -> OpenDisk | None:
        held = self._held.get(partition)
        return None if held is None else held[0]

    @property
    def states(self) -> Mapping[int, DurableState]:
        return {number: state for number, (_, state) in self._held.items()}

    async def open(
        self, partitions: Collection[int], generation: int, patience: Patience = ENDLESS
    ) -> Mapping[int, PartitionState]:
        """What nobody else can have had in between stays open."""
        held = self._held if self._tenure.begins(generation) else {}
        self._held = {}
        for number in sorted(partitions):
            if patience.is_leaving():
                break
            self._held[number] = held.get(number) or self._storage.open(self._machine, number, self._crash)
            await asyncio.sleep(0)
        return dict(self.states)

    def release(self, generation: int) -> None:
        self._tenure.ends(generation)

    def abandon(self, partition: int) -> None:
        self._held.pop(partition, None)

    def put_aside(self, partition: int, error: Exception) -> None:
        """The worker ends with the error, and no disk here is damaged: it is a violation."""

    def checkpoint(self, partition: int) -> Awaitable[None]:
        self._crash("before a checkpoint")
        held = self._held.get(partition)
        return self._saved(partition, None if held is None else held[0].platter.copy())

    async def _saved(self, partition: int, copy: Platter | None) -> None:
        await asyncio.sleep(0)
        self._crash("while a checkpoint is saved")
        if copy is not None:
            self._storage.save(partition, copy)

    def check_room(self) -> None:
        """There is always room here."""

    def size(self, partition: int) -> int:
        return 0

    def close(self) -> None:
        self._held.clear()


def _progress(platter: Platter) -> int:
    """Positions of one partition lie on one line, so their sum says which state is newer."""
    return sum(positions_of(OpenDisk(platter, lambda _place: None)).values())
