"""What a worker knows of one partition number: the engine, and the next offset of every input topic to apply.

A state lives from one *commit* to the next:

1. Before the first commit the output topics are read back from ``read_back_from`` on: ``found``, ``read_back_done``.
2. ``took(positions, effects)``, once a batch: it has been applied. Nothing is written and nothing may be sent yet.
3. ``ahead(which)``: what must be on its topic before the commit; it is sent, and acknowledged by ``sent``. Then
   ``commit()``: everything since the last one, and the effects into an outbox, written as one. Returned is what is to
   be sent now, what the outbox held at opening included.
4. ``sent(ends)``: every one of those is acknowledged by Kafka. The next commit records it; there is none before it.

A state that was abandoned on the way is never used again: in memory it is rebuilt from the topics, on disk it is opened
anew and goes on from the last commit. What was not committed was not sent.
"""

from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from detectors.kept import Changes, Kept
from detectors.rows import Stretch
from schemas.records import RecordLike
from streams.errors import DriftlineError
from streams.identity import Identity
from streams.merge import Reached
from streams.telemetry import CountsLike

# Ids found on the output topics that were not decided again yet: about 150 bytes each.
ALREADY_SENT_MAX = 5_000_000


class HasId(Protocol):
    @property
    def id(self) -> str: ...


E = TypeVar("E", bound=HasId)


class EffectLike(HasId, Protocol):
    """What is to be sent; ``stream`` is the value of a ``schemas.topics.Stream``."""

    @property
    def stream(self) -> str: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes: ...


class AppliedLike(Protocol):
    @property
    def effects(self) -> Sequence[EffectLike]: ...
    @property
    def counts(self) -> Mapping[str, CountsLike]: ...


class StatsLike(Protocol):
    def _asdict(self) -> Mapping[str, int]: ...


class EngineLike(Protocol):
    """The part of ``detectors.engine.Engine`` that the shell drives."""

    def apply(self, records: Sequence[RecordLike] | Stretch) -> AppliedLike: ...

    def applying(self, records: Sequence[RecordLike] | Stretch) -> Generator[None, None, AppliedLike]:
        """The same in parts of some milliseconds. Before the last one nothing may be written."""

    def make_ready(self, models: int) -> bool:
        """Does a part of what the next ``changes`` has to do: that of so many models. Says whether there are more."""

    def changes(self) -> Changes:
        """What is to be written since it was asked last."""

    @property
    def stats(self) -> StatsLike: ...


EngineFactory = Callable[[int, Kept | None], EngineLike]  # None: nothing is kept outside its memory


class PartitionState(Protocol):
    @property
    def engine(self) -> EngineLike: ...

    @property
    def positions(self) -> Mapping[str, int]:
        """By input topic, the next offset as of the last commit. Empty where nothing is known: the beginning."""

    @property
    def applied(self) -> Mapping[str, int]:
        """By input topic, the next offset to apply."""

    @property
    def reached(self) -> Reached | None:
        """The place in the order of what was applied last. ``None`` where nothing is known."""

    @property
    def uncommitted(self) -> bool:
        """Whether a commit would write something or return something to send."""

    @property
    def already_sent(self) -> int:
        """How many effects so far were decided again and left out, because they are on their topics."""

    @property
    def topics(self) -> Mapping[str, Identity]:
        """By name, the topics that this was made from. Empty where nothing is known."""

    @property
    def read_back_from(self) -> Mapping[str, int]:
        """By output topic, from where on it may hold effects that this state could decide or send again."""

    @property
    def wants_read_back(self) -> bool: ...

    def found(self, topic: str, places: Iterable[tuple[str, int]]) -> None:
        """Ids and offsets of effects on an output topic, in order: deciding them again sends nothing."""

    def read_back_done(self, ends: Mapping[str, int]) -> None:
        """``ends``: where the input topics ended afterwards. What is decided beyond cannot have been found."""

    def made_from(self, topics: Mapping[str, Identity]) -> None:
        """What is taken from now on is of these topics, and sent to these; the next commit writes it down."""

    def took(
        self, positions: Mapping[str, int], effects: Sequence[EffectLike], reached: Reached | None = None
    ) -> None: ...

    def ahead(self, goes_ahead: Callable[[EffectLike], bool]) -> Sequence[EffectLike]:
        """Of what was taken, what must be on its topic before it is committed. If any, ``sent`` acknowledges it."""

    def commit(self) -> Sequence[EffectLike]: ...

    def sent(self, ends: Mapping[str, int]) -> None:
        """``ends``: by output topic, the offset after the last of them."""


class Patience(NamedTuple):
    """Opening states may take long. What is done meanwhile is told, and the next rebalance need not wait for all."""

    moved: Callable[[], None]
    is_leaving: Callable[[], bool]


ENDLESS = Patience(lambda: None, lambda: False)


class StateStore(Protocol):
    async def open(
        self, partitions: Collection[int], generation: int, patience: Patience = ENDLESS
    ) -> Mapping[int, PartitionState]:
        """A rebalance is over and these are ours: the newest state of each, or a new one. Others are let go.

        It is broken off between two of them when the next rebalance waits.
        """

    def release(self, generation: int) -> None:
        """A rebalance takes every partition away, for now at least."""

    def abandon(self, partition: int) -> None:
        """What was applied since the last commit must not count: this state is never used again."""

    def put_aside(self, partition: int, error: Exception) -> None:
        """What is kept of it turned out to be broken: it must not be opened again."""

    def checkpoint(self, partition: int) -> Awaitable[None]:
        """Copies the last commit before it returns; what it returns saves the copy where other workers find it."""

    def check_room(self) -> None:
        """Raises ``StateDiskError`` while there still is room to end in order."""

    def size(self, partition: int) -> int:
        """Bytes on disk."""

    def close(self) -> None: ...


class OnTopics:
    """The effects that a read-back found and that were not decided again yet, with their places."""

    def __init__(self, partition: int, most: int = ALREADY_SENT_MAX) -> None:
        self.met = 0
        self._partition = partition
        self._most = most
        self._places: dict[str, dict[str, int]] = {}
        self._until: Mapping[str, int] = {}

    def __bool__(self) -> bool:
        return any(self._places.values())

    def add(self, topic: str, places: Iterable[tuple[str, int]]) -> None:
        of_topic = self._places.setdefault(topic, {})
        for event_id, offset in places:
            of_topic.setdefault(event_id, offset)
        if sum(map(len, self._places.values())) > self._most:
            raise DriftlineError(
                f"its output topics hold more than {self._most:,} events",
                where=f"partition {self._partition}",
                advice="a rebuild cannot compare with so many; shorten their retention or use more partitions",
            )

    def complete(self, until: Mapping[str, int]) -> None:
        self._until = until

    def leave_out(self, effects: Sequence[E]) -> Sequence[E]:
        """Those that are not there. An id is decided once, so one that was met need not be remembered."""
        if not self:
            return effects
        unsent = [effect for effect in effects if not self._meets(effect.id)]
        self.met += len(effects) - len(unsent)
        return unsent

    def _meets(self, event_id: str) -> bool:
        return any(places.pop(event_id, None) is not None for places in self._places.values())

    def passed(self, positions: Mapping[str, int]) -> None:
        """Where all input is applied that they can come from, what is left was decided by another configuration."""
        if self._until and all(positions.get(topic, 0) >= end for topic, end in self._until.items()):
            self._places = {}

    def first(self, topic: str) -> int | None:
        """The place of the first one left."""
        return next(iter(self._places.get(topic, {}).values()), None)


class MemoryState:
    """Lives as long as the worker has the partition; then it is rebuilt from the topics. A commit only hands out."""

    def __init__(self, partition: int, engine_of: EngineFactory, *, already_sent_max: int = ALREADY_SENT_MAX) -> None:
        self.engine = engine_of(partition, None)
        self.positions: Mapping[str, int] = {}
        self.applied: Mapping[str, int] = {}
        self.reached: Reached | None = None
        self.topics: Mapping[str, Identity] = {}
        self.read_back_from: Mapping[str, int] = {}  # a rebuild decides everything again
        self.wants_read_back = True
        self._on_topics = OnTopics(partition, already_sent_max)
        self._pending: list[EffectLike] = []

    @property
    def uncommitted(self) -> bool:
        return bool(self._pending) or self.applied != self.positions

    @property
    def already_sent(self) -> int:
        return self._on_topics.met

    def found(self, topic: str, places: Iterable[tuple[str, int]]) -> None:
        self._on_topics.add(topic, places)

    def read_back_done(self, ends: Mapping[str, int]) -> None:
        self._on_topics.complete(ends)
        self.wants_read_back = False

    def made_from(self, topics: Mapping[str, Identity]) -> None:
        self.topics = {**self.topics, **topics}

    def took(self, positions: Mapping[str, int], effects: Sequence[EffectLike], reached: Reached | None = None) -> None:
        self.applied = {**self.applied, **positions}
        self.reached = reached or self.reached
        self._pending.extend(effects)

    def ahead(self, goes_ahead: Callable[[EffectLike], bool]) -> Sequence[EffectLike]:
        first = self._on_topics.leave_out([effect for effect in self._pending if goes_ahead(effect)])
        self._pending = [effect for effect in self._pending if not goes_ahead(effect)]
        return first

    def commit(self) -> Sequence[EffectLike]:
        unsent = self._on_topics.leave_out(self._pending)
        self._pending = []
        self._on_topics.passed(self.applied)
        self.positions = self.applied
        return unsent

    def sent(self, ends: Mapping[str, int]) -> None:
        """Nothing is kept, so nothing is marked."""


class MemoryStore:
    """Keeps a state over a rebalance that gave its partition back to this worker with nobody in between."""

    def __init__(self, engine_of: EngineFactory) -> None:
        self._engine_of = engine_of
        self._states: dict[int, MemoryState] = {}
        self._tenure = Tenure()

    async def open(
        self, partitions: Collection[int], generation: int, patience: Patience = ENDLESS
    ) -> Mapping[int, PartitionState]:
        kept = self._states if self._tenure.begins(generation) else {}
        self._states = {number: kept.get(number) or MemoryState(number, self._engine_of) for number in partitions}
        return dict(self._states)

    def release(self, generation: int) -> None:
        self._tenure.ends(generation)

    def abandon(self, partition: int) -> None:
        self._states.pop(partition, None)

    def put_aside(self, partition: int, error: Exception) -> None:
        self.abandon(partition)

    async def checkpoint(self, partition: int) -> None:
        """There is nothing to copy."""

    def check_room(self) -> None:
        """There is no disk."""

    def size(self, partition: int) -> int:
        return 0

    def close(self) -> None:
        self._states = {}


class Tenure:
    """In which generations of the group the partitions were ours.

    A generation that we did not open may have had another owner, who sent what we have not read: one that we were not
    told of, and one that was taken away before we got to open it.
    """

    def __init__(self) -> None:
        self._opened_in: int | None = None
        self._released_in: int | None = None

    def begins(self, generation: int) -> bool:
        """Whether nobody else can have had what is ours now and was ours before."""
        unbroken = generation == self._opened_in or (
            self._released_in is not None and generation == self._released_in + 1
        )
        self._opened_in, self._released_in = generation, None
        return unbroken

    def ends(self, generation: int) -> None:
        self._released_in = generation if generation == self._opened_in else None
