"""What a worker knows of one partition number: the engine, and the next offset of every input topic to apply.

The life of a batch against the state is always the same two steps:

1. ``decide(positions, effects)``: the batch has been applied. Engine, positions and effects now belong together; a
   state on disk writes them as one atomic batch, effects into its outbox. Returned is what is still to be sent.
2. ``sent()``: every one of those is acknowledged by Kafka. A state on disk marks them with its next write.

A state that was abandoned between the steps is never used again: in memory it is rebuilt from the topics, on disk it
is opened anew and sends what its outbox holds and the topics do not.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from schemas.records import RecordLike
from streams.errors import DriftlineError
from streams.telemetry import CountsLike

# Ids found on the output topics that the rebuild has not decided again yet: about 100 bytes each.
ALREADY_SENT_MAX = 5_000_000


class EffectLike(Protocol):
    """What is to be sent; ``stream`` is the value of a ``schemas.topics.Stream``."""

    @property
    def stream(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes: ...


class AppliedLike(Protocol):
    @property
    def effects(self) -> Sequence[EffectLike]: ...
    @property
    def counts(self) -> Mapping[str, CountsLike]: ...


class EngineLike(Protocol):
    """The part of ``detectors.engine.Engine`` that the worker drives."""

    def apply(self, records: Sequence[RecordLike]) -> AppliedLike: ...


EngineFactory = Callable[[int], EngineLike]


class PartitionState(Protocol):
    @property
    def engine(self) -> EngineLike: ...

    @property
    def positions(self) -> Mapping[str, int]:
        """By input topic, the next offset to apply. Empty where nothing is known: read from the beginning."""

    @property
    def read_back_from(self) -> Mapping[str, int]:
        """By output topic, from where on it may hold effects that this state could decide or send again."""

    @property
    def wants_read_back(self) -> bool: ...

    def found(self, ids: Iterable[str]) -> None:
        """These effects are on their topics: deciding them again sends nothing."""

    def read_back_done(self) -> None: ...

    def decide(self, positions: Mapping[str, int], effects: Sequence[EffectLike]) -> Sequence[EffectLike]: ...

    def sent(self) -> None: ...


class StateStore(Protocol):
    def open(self, partition: int, generation: int) -> PartitionState:
        """The newest state there is, or a new one."""

    def release(self, generation: int) -> None:
        """A rebalance takes every partition away, for now at least: files are closed here."""

    def retain(self, partitions: Collection[int]) -> None:
        """The rebalance is over and these are ours: whatever is held for others is let go."""

    def abandon(self, partition: int) -> None:
        """A batch was applied and must not count: this state is never used again."""


class MemoryState:
    """Lives as long as the worker has the partition; then it is rebuilt from the topics."""

    def __init__(self, partition: int, engine: EngineLike, *, already_sent_max: int = ALREADY_SENT_MAX) -> None:
        self.engine = engine
        self.read_back_from: Mapping[str, int] = {}  # a rebuild decides everything again
        self.wants_read_back = True
        self._partition = partition
        self._already_sent_max = already_sent_max
        self._already_sent: set[str] = set()
        self._positions: Mapping[str, int] = {}
        self._decided: Mapping[str, int] = {}

    @property
    def positions(self) -> Mapping[str, int]:
        return self._positions

    def found(self, ids: Iterable[str]) -> None:
        self._already_sent.update(ids)
        if len(self._already_sent) > self._already_sent_max:
            raise DriftlineError(
                f"its output topics hold more than {self._already_sent_max:,} events",
                where=f"partition {self._partition}",
                advice="a rebuild cannot compare with so many; shorten their retention or use more partitions",
            )

    def read_back_done(self) -> None:
        self.wants_read_back = False

    def decide(self, positions: Mapping[str, int], effects: Sequence[EffectLike]) -> Sequence[EffectLike]:
        self._decided = positions
        if not self._already_sent:
            return effects
        unsent = [effect for effect in effects if effect.id not in self._already_sent]
        # An id is decided once in a rebuild, so what was met again need not be remembered.
        self._already_sent.difference_update(effect.id for effect in effects)
        return unsent

    def sent(self) -> None:
        self._positions = self._decided


class MemoryStore:
    """Keeps a state over a rebalance that gave its partition back to this worker with nobody in between."""

    def __init__(self, engine_of: EngineFactory) -> None:
        self._engine_of = engine_of
        self._states: dict[int, MemoryState] = {}
        self._released_in: int | None = None

    def open(self, partition: int, generation: int) -> MemoryState:
        if self._released_in is not None and generation != self._released_in + 1:
            # A generation that we were not told of may have had another owner, who sent what we have not read.
            self._states.clear()
        self._released_in = generation - 1
        state = self._states.get(partition)
        if state is None:
            state = self._states[partition] = MemoryState(partition, self._engine_of(partition))
        return state

    def release(self, generation: int) -> None:
        self._released_in = generation

    def retain(self, partitions: Collection[int]) -> None:
        for partition in self._states.keys() - set(partitions):
            del self._states[partition]

    def abandon(self, partition: int) -> None:
        self._states.pop(partition, None)
