"""Machines, processes, the consumer group and the accidents, all drawn from one seed.

One coroutine is fate: it lets time pass, lets records arrive and be acknowledged, kills processes and machines, puts
processes to sleep and wakes them, and rebalances the group. In between the processes run until each waits for
something. There is one thread and one source of chance, so the same seed always gives the same life.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from random import Random

from detectors.engine import EngineStats
from streams.durable import positions_of
from streams.errors import BrokerError
from tests.simulation.disk import Died
from tests.simulation.log import INPUTS, Log, Violation
from tests.simulation.process import Habits, Process
from tests.simulation.storage import Storage

DRAIN_TURNS_MAX = 5_000  # far more than it takes to read a few hundred records in peace


class Odds:
    """How hard this life is."""

    def __init__(self, draw: Random) -> None:
        self.crash_point = draw.choice((0, 0.002, 0.01, 0.03))
        self.slow = draw.choice((0, 0, 0.2))  # that a process is not told of its share before the next rebalance
        self.bucket = draw.choice((1, 1, 0.2))  # that a checkpoint reaches where it is saved
        self.power = draw.choice((0, 0.3, 1.0))  # that a process dies because its machine does
        weights = {
            "time": draw.choice((4, 12)),
            "arrive": draw.choice((0.5, 2, 8)),
            "acknowledge": draw.choice((2, 8)),
            "run": draw.choice((3, 8)),
            "kill": draw.choice((0, 0.15, 0.6)),
            "sleep": draw.choice((0, 0.2, 0.6, 1.2)),
            "wake": draw.choice((0.2, 0.6)),
            "rebalance": draw.choice((0.05, 0.15, 0.5)),
            "start": 0.5,
            "sync": draw.choice((0.1, 1)),
            "lose_disks": draw.choice((0, 0, 0.1)),
            "lose_checkpoint": draw.choice((0, 0, 0.1)),
            "tell_group": 1,
        }
        if draw.random() < 0.45:  # a world of zombies: slow brokers, long pauses, somebody else is quick to take over
            self.bucket = draw.choice((0, 1))
            weights |= {"arrive": 0.5, "sleep": 1.2, "wake": 0.4, "rebalance": 0.8, "start": 0.8}
        self.fates, self.weights = list(weights), list(weights.values())


class World:
    def __init__(self, seed: int, log: Log, storage: Storage, machines: int, stats: Mapping[int, EngineStats]) -> None:
        self.log = log
        self._stats = stats  # of the undisturbed run, at its end
        self.counts = storage.counts
        self._draw = draw = Random(f"{seed}/fate")
        self._storage = storage
        self._processes: list[Process | None] = [None] * machines
        self._given_up: list[Process] = []  # asleep, and no members any more
        self._owners: dict[int, Process] = {}
        self._generation = 0
        self._told: dict[tuple[int, int, str], int] = {}  # by generation, partition and topic, what the group was told
        self._odds = Odds(draw)
        storage.bucket_answers = lambda: draw.random() < self._odds.bucket
        moments = [one.at for lying in log.lying.values() for one in lying]
        self._stride = max(1, (max(moments, default=0) - min(moments, default=0)) // draw.choice((30, 80, 200)))
        self._habits = Habits(
            commit_interval_s=draw.choice((0.0, 0.2, 2.0)),
            checkpoint_interval_s=draw.choice((0.5, 5.0, 1e6)),
            send_timeout_s=draw.choice((30.0, 1e6)),
        )

    async def live(self) -> None:
        """Fate has its way until all records are appended; then everything heals, and what is left must be done."""
        for machine in range(len(self._processes)):
            self._begin(machine)
        await self._rebalance()
        while self.log.next_moment is not None:
            fate = self._draw.choices(self._odds.fates, self._odds.weights)[0]
            await getattr(self, f"_{fate}")()
            await self._breathe(1)
        await self._heal()

    def end(self) -> None:
        for process in self._all():
            process.die()

    def _all(self) -> list[Process]:
        return [*self._members(), *self._given_up]

    def _members(self) -> list[Process]:
        return [process for process in self._processes if process is not None]

    def _owns(self, process: Process, partition: int) -> bool:
        return process.alive and self._owners.get(partition) is process

    async def _breathe(self, times: int) -> None:
        """Processes run."""
        for _ in range(times):
            await asyncio.sleep(0)
        for process in self._all():
            if process.ended is not None and process.alive:
                self._bury(process)

    def _bury(self, process: Process) -> None:
        """A process ended itself. That must have a reason outside of it."""
        if not isinstance(process.ended, BrokerError):
            if isinstance(process.ended, Violation):
                raise process.ended
            raise Violation(f"V6 a process ended with {process.ended!r}") from process.ended
        self.counts["gave_up"] += 1
        self._die(process)

    # -- time and brokers ---------------------------------------------------------------------------------------------

    async def _time(self) -> None:
        draw = self._draw
        until_next = (self.log.next_moment or self.log.now) - self.log.now
        self.log.pass_time(draw.choice((1, 25, until_next, draw.randint(1, self._stride), self._stride)))

    async def _run(self) -> None:
        await self._breathe(self._draw.choice((1, 5, 20)))

    async def _arrive(self) -> None:
        draw = self._draw
        senders = [process for process in self._all() if process.producer.places]
        process = draw.choice(senders) if senders else None
        if process is not None and (not process.asleep or draw.random() < 0.1):
            place = draw.choice(process.producer.places)
            self.counts["zombie_sends"] += process.producer.arrive(place, draw.choice((1, 2, 50)))

    async def _acknowledge(self) -> None:
        for process in self._all():
            if not process.asleep:
                process.producer.acknowledge(self._draw.choice((0, 1, 3, 50)))

    # -- accidents ----------------------------------------------------------------------------------------------------

    def _crash_point(self, process: Process, place: str) -> None:
        if self._draw.random() < self._odds.crash_point:
            self.counts[f"died {place}"] += 1
            self._die(process)
            raise Died(place)

    def _die(self, process: Process) -> None:
        """What it has sent arrives now, or a part of it does, or nothing."""
        for place in process.producer.places:
            process.producer.arrive(place, self._draw.choice((0, 0, 1, 3, 50)))
        process.die()
        self.counts["crashes"] += 1
        if process in self._given_up:
            self._given_up.remove(process)
            return  # its machine may have another process by now
        if self._draw.random() < self._odds.power:
            self._storage.lose_power(process.machine, self._draw)
        self._processes[process.machine] = None

    async def _kill(self) -> None:
        members = self._members()
        if members:
            self._die(self._draw.choice(members))

    async def _sleep(self) -> None:
        awake = [process for process in self._members() if not process.asleep]
        sending = [process for process in awake if process.producer.places]
        if awake:
            self._draw.choice(sending if sending and self._draw.random() < 0.7 else awake).fall_asleep()
            self.counts["sleeps"] += 1

    async def _wake(self) -> None:
        asleep = [process for process in self._all() if process.asleep]
        if asleep:
            self._draw.choice(asleep).wake()

    async def _sync(self) -> None:
        self._storage.sync(self._draw)

    async def _lose_disks(self) -> None:
        free = self._free_machines()
        if free:
            self._storage.lose_disks(self._draw.choice(free))

    async def _lose_checkpoint(self) -> None:
        self._storage.lose_newest_checkpoint(self._draw)

    # -- the group ----------------------------------------------------------------------------------------------------

    def _free_machines(self) -> list[int]:
        """Without a process. One that sleeps holds the lock of its state directory too."""
        taken = {process.machine for process in self._all()}
        return [machine for machine in range(len(self._processes)) if machine not in taken]

    def _begin(self, machine: int) -> None:
        self._processes[machine] = Process(
            machine, self.log, self._storage, self._draw, self._habits, self._owns, self._crash_point
        )

    async def _start(self) -> None:
        """A process begins on a machine that has none, or one that was given up joins again."""
        returned = [process for process in self._given_up if not process.asleep]
        if returned:
            process = self._draw.choice(returned)
            await self._revoke([process])
            if process.alive and not process.asleep and process in self._given_up:
                self._given_up.remove(process)
                self._processes[process.machine] = process
        else:
            free = self._free_machines()
            if not free:
                return
            self._begin(self._draw.choice(free))
        await self._rebalance()

    async def _rebalance(self) -> None:
        await self._revoke(self._members())
        self.counts["rebalances"] += 1
        for process in self._members():
            if process.asleep:  # it has missed its heartbeats
                self._given_up.append(process)
                self._processes[process.machine] = None
        self._generation += 1
        members = self._members()
        shares: dict[Process, list[int]] = {process: [] for process in members}
        for partition in self.log.lying:
            if members:
                shares[self._draw.choice(members)].append(partition)
        self._owners = {partition: process for process, numbers in shares.items() for partition in numbers}
        for process, numbers in shares.items():
            if self._draw.random() < self._odds.slow:
                self.counts["shares_missed"] += 1
                continue
            await self._surviving(process, partial(process.assigned, numbers, self._generation))

    async def _revoke(self, members: Sequence[Process]) -> None:
        """Waits for those who are awake. Who sleeps for too long is not waited for."""
        leaving = {
            process: asyncio.create_task(self._surviving(process, partial(process.revoked, self._generation)))
            for process in members
        }
        while any(process.alive and not process.asleep and not task.done() for process, task in leaving.items()):
            await self._pump()
            if self._draw.random() < self._odds.crash_point:
                await self._draw.choice((self._kill, self._sleep))()

    async def _pump(self) -> None:
        """A little of everything that does no harm."""
        await self._arrive()
        await self._acknowledge()
        if self._draw.random() < 0.1:
            self.log.pass_time(1)
        await self._breathe(1)

    async def _surviving(self, process: Process, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Died:
            return
        except Exception as error:
            process.ended = process.ended or error

    async def _tell_group(self) -> None:
        """The transport commits to the group what is committed on disk, and never less than before."""
        for process in self._members():
            if process.asleep or process.partitions.generation is None:
                continue
            for (topic, number), offset in process.partitions.committed().items():
                disk = process.store.disk(number)
                on_disk = 0 if disk is None else positions_of(disk).get(topic, 0)
                before = self._told.get((self._generation, number, topic), 0)
                where = f"V4 {topic}[{number}]: the group is told {offset}"
                if offset > on_disk:
                    raise Violation(f"{where}, on disk are only {on_disk}")
                if offset < before:
                    raise Violation(f"{where} after {before}")
                self._told[self._generation, number, topic] = offset

    # -- the end ------------------------------------------------------------------------------------------------------

    async def _heal(self) -> None:
        """No more accidents: zombies find out, everybody is back, all is read."""
        self._odds.crash_point = self._odds.slow = 0
        for process in self._all():
            process.wake()
        await self._breathe(10)
        for process in list(self._given_up):
            await self._revoke([process])
            if process in self._given_up and process.alive:
                self._given_up.remove(process)
                process.die()
        for machine in self._free_machines():
            self._begin(machine)
        await self._rebalance()
        for process in self._members():
            process.hurry = True
        for _ in range(DRAIN_TURNS_MAX):
            self.log.pass_time(self._draw.choice((1, 25, 500)))
            await self._pump()
            if not self._undone():
                break
        else:
            raise Violation(f"V6 in peace, it never comes to an end: {self._undone()}")
        await self._revoke(self._members())

    def _undone(self) -> list[str]:
        positions = {tp: offset for process in self._members() for tp, offset in process.partitions.positions.items()}
        states = {number: state for process in self._members() for number, state in process.store.states.items()}
        unsent = [
            f"partition {number} has something to commit" for number, state in states.items() if state.uncommitted
        ]
        return unsent + [
            f"{topic}[{partition}] {positions.get((topic, partition), 0)} of {self.log.end(topic, partition)}"
            for partition in self.log.lying
            for topic in INPUTS
            if positions.get((topic, partition), 0) < self.log.end(topic, partition)
        ]

    def compare_what_is_left(self) -> None:
        """In memory at the end, and on disk for whoever comes next."""
        for process in self._members():
            for number, state in process.store.states.items():
                _, reopened = self._storage.open(process.machine, number, lambda _place: None)
                for where, engine in (("in memory", state.engine), ("on disk", reopened.engine)):
                    if engine.stats != self._stats[number]:
                        raise Violation(f"V3 partition {number} {where}: {engine.stats}, must be {self._stats[number]}")
                if reopened.positions != state.applied:
                    raise Violation(f"V4 partition {number}: {reopened.positions} on disk, {state.applied} was applied")
