"""The state of one partition number on disk: what the engine keeps, the positions and the outbox, changed as one.

The shell's keys begin with a zero byte:

========================  ==============================================================================================
``\\0format``              the version of everything below and of the core's keys
``\\0belongs``             whose state this is: consumer group, topics and partition number
``\\0positions``           by input topic, the next offset to apply
``\\0reached``             the place in the order of what was applied last
``\\0topics``              by name, the id and the number of partitions of the topics that it was made from
``\\0read_back``           by output topic, from where on it may hold effects that this state could decide or send again
``\\0outbox`` + 8 bytes    an effect that was committed and is not known to be on its topic, in the order of sending
========================  ==============================================================================================

Each record carries a version and a checksum (``detectors.sealing``).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import msgspec
import structlog

from detectors.banks.contract import StateError, StateVersionError
from detectors.kept import Kept
from detectors.sealing import open_sealed, seal
from schemas.topics import Stream, TopicNames
from streams.errors import CorruptStateError, UsageError
from streams.identity import Identity
from streams.merge import Reached
from streams.state import ALREADY_SENT_MAX, EffectLike, EngineFactory, OnTopics

log = structlog.get_logger(__name__)

FORMAT_VERSION = 2
# So far a mark may fall behind its topic's end after somebody else has written there; a second's reading.
READ_BACK_GAP = 10_000
FORMAT = b"\0format"
BELONGS = b"\0belongs"
POSITIONS = b"\0positions"
REACHED = b"\0reached"
TOPICS = b"\0topics"
READ_BACK = b"\0read_back"
OUTBOX = b"\0outbox"

_PACK = msgspec.msgpack.Encoder().encode
T = TypeVar("T")


class Disk(Kept, Protocol):
    """What ``streams.rocks.Rocks`` is, and what a simulation puts in its place."""

    def write(self, puts: Sequence[tuple[bytes, bytes]], deletes: Sequence[bytes]) -> None:
        """All of it or nothing. No key twice."""


class Belongs(msgspec.Struct, frozen=True):
    """Whose state it is."""

    group: str
    partition: int
    topics: dict[str, str]  # by stream


def belongs(group: str, topics: TopicNames, partition: int) -> Belongs:
    return Belongs(
        group, partition, {stream.value: name for name, stream in {**topics.inputs, **topics.outputs}.items()}
    )


Migration = Callable[[Disk, Belongs], None]


def _knows_the_audit_log(disk: Disk, whose: Belongs) -> None:
    """Version 1 had no topic for it."""
    if _read(disk, BELONGS, Belongs) != whose:
        before = {stream: topic for stream, topic in whose.topics.items() if stream != Stream.AUDIT}
        _refuse_others(disk, msgspec.structs.replace(whose, topics=before))
        disk.write([(BELONGS, _sealed(whose))], [])


# By the version that a state has, what makes it one of the next version. It is run again where it was broken off: the
# version is written after it.
MIGRATIONS: Mapping[int, Migration] = {1: _knows_the_audit_log}


class Held(msgspec.Struct, frozen=True, array_like=True):
    """An effect in the outbox."""

    stream: str
    id: str
    key: bytes | None
    value: bytes


class _Entry(NamedTuple):
    key: bytes
    effect: EffectLike

    @property
    def id(self) -> str:
        return self.effect.id


def new_state(disk: Disk, whose: Belongs) -> None:
    """Makes an empty disk a state that has seen nothing."""
    disk.write([(FORMAT, _sealed(FORMAT_VERSION)), (BELONGS, _sealed(whose))], [])


class DurableState:
    """Opens what ``new_state`` made.

    Raises ``CorruptStateError`` where it is damaged, ``UsageError`` where it is whole and not ours to use.
    """

    def __init__(
        self,
        disk: Disk,
        whose: Belongs,
        engine_of: EngineFactory,
        *,
        already_sent_max: int = ALREADY_SENT_MAX,
        migrations: Mapping[int, Migration] = MIGRATIONS,
    ) -> None:
        self._disk = disk
        self._names = whose.topics
        require_ours(disk, whose, migrations)
        self.positions: Mapping[str, int] = _read(disk, POSITIONS, dict[str, int]) or {}
        self.applied = self.positions
        self.reached = _read(disk, REACHED, Reached)
        self.topics = topics_of(disk)
        self.read_back_from: Mapping[str, int] = _read(disk, READ_BACK, dict[str, int]) or {}
        self.wants_read_back = True
        self._ends = dict(self.read_back_from)  # by output topic, the offset after the last effect known to be there
        self._to_send = list(_outbox(disk))  # committed in an earlier life
        self._sending: list[_Entry] = []
        self._acknowledged: list[_Entry] = []
        self._pending: list[EffectLike] = []
        self._next = int.from_bytes(self._to_send[-1].key[len(OUTBOX) :], "big") + 1 if self._to_send else 0
        self._on_topics = OnTopics(whose.partition, already_sent_max)
        try:
            self.engine = engine_of(whose.partition, disk)
        except StateVersionError as error:
            raise _of_another_release(str(error), f"partition {whose.partition}") from error
        except StateError as error:
            raise CorruptStateError(str(error), where=f"partition {whose.partition}") from error

    @property
    def uncommitted(self) -> bool:
        return bool(self._pending or self._to_send or self._acknowledged) or self.applied != self.positions

    @property
    def already_sent(self) -> int:
        return self._on_topics.met

    def found(self, topic: str, places: Iterable[tuple[str, int]]) -> None:
        places = list(places)
        self._on_topics.add(topic, places)
        if places:
            self._ends[topic] = max(self._ends.get(topic, 0), places[-1][1] + 1)

    def read_back_done(self, ends: Mapping[str, int]) -> None:
        self._on_topics.complete(ends)
        self.wants_read_back = False

    def made_from(self, topics: Mapping[str, Identity]) -> None:
        for name in [name for name in self._ends if name in topics and name in self.topics]:
            if topics[name].id != self.topics[name].id:
                log.warning("an output topic was made anew; what stood on the old one is not sent again", topic=name)
                del self._ends[name]
                self.read_back_from = {topic: place for topic, place in self.read_back_from.items() if topic != name}
        self.topics = {**self.topics, **topics}

    def took(self, positions: Mapping[str, int], effects: Sequence[EffectLike], reached: Reached | None = None) -> None:
        self.applied = {**self.applied, **positions}
        self.reached = reached or self.reached
        self._pending.extend(effects)

    def ahead(self, goes_ahead: Callable[[EffectLike], bool]) -> Sequence[EffectLike]:
        assert not self.wants_read_back, "this sends, so the topics must have been read back"
        assert not self._sending, "the last commit's effects have not been acknowledged"
        first = self._on_topics.leave_out([effect for effect in self._pending if goes_ahead(effect)])
        self._pending = [effect for effect in self._pending if not goes_ahead(effect)]
        self._sending = [self._entry(effect) for effect in first]
        return first

    def commit(self) -> Sequence[EffectLike]:
        """One write. What it returns is to be sent, and acknowledged by ``sent``, before the next one."""
        assert not self.wants_read_back, "a commit sends, so the topics must have been read back"
        assert not self._sending, "the last commit's effects have not been acknowledged"
        changes = self.engine.changes()
        held = self._on_topics.leave_out(self._to_send)
        done = {entry.key for entry in (*self._acknowledged, *self._to_send)}.difference(entry.key for entry in held)
        new = [self._entry(effect) for effect in self._on_topics.leave_out(self._pending)]
        self._on_topics.passed(self.applied)
        read_back_from = {topic: self._certain(topic, end) for topic, end in self._ends.items()}
        puts = [
            *changes.puts,
            (POSITIONS, _sealed(self.applied)),
            *([(REACHED, _sealed(self.reached))] if self.reached else []),
            (TOPICS, _sealed(self.topics)),
            (READ_BACK, _sealed(read_back_from)),
            *((entry.key, _sealed(_held(entry.effect))) for entry in new),
        ]
        self._disk.write(puts, [*changes.deletes, *done])
        self.positions, self.read_back_from = self.applied, read_back_from
        self._pending, self._to_send, self._acknowledged = [], [], []
        self._sending = [*held, *new]
        return [entry.effect for entry in self._sending]

    def sent(self, ends: Mapping[str, int]) -> None:
        """An end counts where nobody else wrote in between: a zombie's may lie behind what the next owner has sent."""
        counts = Counter(self._names[entry.effect.stream] for entry in self._sending)
        for topic, end in ends.items():
            if end - counts[topic] == self._ends.get(topic, 0):
                self._ends[topic] = end
            elif end - self._ends.get(topic, 0) > READ_BACK_GAP:
                self.wants_read_back = True  # else the mark would stand until the next opening, which has all to read
        self._acknowledged, self._sending = [*self._acknowledged, *self._sending], []

    def _entry(self, effect: EffectLike) -> _Entry:
        key = OUTBOX + self._next.to_bytes(8, "big")
        self._next += 1
        return _Entry(key, effect)

    def _certain(self, topic: str, end: int) -> int:
        """Nothing before it will be decided again: not what was sent, nor what was found and not met yet."""
        first = self._on_topics.first(topic)
        return end if first is None else min(first, end)


def require_ours(disk: Disk, whose: Belongs, migrations: Mapping[int, Migration] = MIGRATIONS) -> None:
    """Raises as opening it does; an older version is brought up to date."""
    _bring_to_this_version(disk, whose, migrations)
    _refuse_others(disk, whose)


def positions_of(disk: Disk) -> Mapping[str, int]:
    """How far a state is, without opening the rest of it."""
    return _read(disk, POSITIONS, dict[str, int]) or {}


def topics_of(disk: Disk) -> Mapping[str, Identity]:
    """The topics that it was made from, in the same way."""
    return _read(disk, TOPICS, dict[str, Identity]) or {}


def _bring_to_this_version(disk: Disk, whose: Belongs, migrations: Mapping[int, Migration]) -> None:
    version = _read(disk, FORMAT, int)
    if version is None:
        raise CorruptStateError("its format is not written anywhere", where=f"partition {whose.partition}")
    while version != FORMAT_VERSION:
        migration = migrations.get(version)
        if migration is None:
            what = f"its format is {version}, this release writes {FORMAT_VERSION}"
            raise _of_another_release(what, f"partition {whose.partition}")
        migration(disk, whose)
        version += 1
        disk.write([(FORMAT, _sealed(version))], [])


def _of_another_release(what: str, where: str) -> UsageError:
    return UsageError(
        f"its state on disk is of another release: {what}",
        where=where,
        advice="run the release that wrote it, or start afresh (docs/state.md)",
    )


def _refuse_others(disk: Disk, whose: Belongs) -> None:
    written = _read(disk, BELONGS, Belongs)
    if written is None:
        raise CorruptStateError("it is not written whose it is", where=f"partition {whose.partition}")
    if written != whose:
        differ = [
            f"{name} {getattr(written, name)!r} and not {getattr(whose, name)!r}"
            for name in Belongs.__struct_fields__
            if getattr(written, name) != getattr(whose, name)
        ]
        raise UsageError(
            f"its state on disk is that of {', '.join(differ)}",
            where=f"partition {whose.partition}",
            advice="set state.dir and state.checkpoints to places of this worker's own, or name things as before",
        )


def _outbox(disk: Disk) -> Iterator[_Entry]:
    for key, record in disk.scan(OUTBOX):
        yield _Entry(key, _opened(key, record, Held))


def _held(effect: EffectLike) -> Held:
    return Held(str(effect.stream), effect.id, effect.key, effect.value)


def _sealed(content: object) -> bytes:
    return seal(_PACK(content))


def _read(disk: Disk, key: bytes, kind: type[T]) -> T | None:
    (record,) = disk.read([key])
    return None if record is None else _opened(key, record, kind)


def _opened(key: bytes, record: bytes, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(open_sealed(record), type=kind)
    except StateVersionError as error:
        raise _of_another_release(str(error), repr(key)) from error
    except (StateError, msgspec.MsgspecError) as error:
        raise CorruptStateError(str(error), where=repr(key)) from error
