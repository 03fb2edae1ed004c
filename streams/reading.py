"""What the transport is told, what it hands over, and where it may begin to read."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from aiokafka import TopicPartition
from faust.types import TP

from detectors.effects import Effect
from schemas.records import RecordLike
from streams.errors import DriftlineError
from streams.gaps import Hole
from streams.identity import Identity
from streams.merge import Cut, Reached


class Batch(NamedTuple):
    """Records of one partition number in the one order, and where its topics stand once they are applied."""

    partition: int
    records: Sequence[RecordLike]
    positions: dict[str, int]
    generation: int
    effects: Sequence[Effect] = ()  # decided by the reading itself: what it had to leave out, with these positions
    reached: Reached | None = None  # the place in the order of the last record
    cut: Cut | None = None  # before the first record


class Owner(Protocol):
    """Who holds the partitions' state."""

    async def assigned(self, partitions: Collection[int], generation: int) -> Mapping[int, Mapping[str, int]]:
        """Takes the partitions; returns by number and topic where to read on, empty for the beginning."""

    async def revoked(self, generation: int) -> None:
        """Returns when the batch in hand is done and nothing more of this generation will be sent."""

    def made_from(self) -> Mapping[int, Mapping[str, Identity]]:
        """By partition number, the topics that its state was made from; empty where none is known."""

    def reached(self) -> Mapping[int, Reached | None]:
        """By partition number, the place in the order of what was applied last."""

    def read_back_from(self) -> Mapping[int, Mapping[str, int]]:
        """By partition number and output topic, from where on it may hold what the state does not know."""

    def moved(self) -> None:
        """An opening takes long and goes on."""

    def reading_from(self, positions: Mapping[TopicPartition, int], topics: Mapping[str, Identity]) -> None:
        """Where reading begins now, also where no state knew a place, and of which topics."""

    def committed(self) -> Mapping[TopicPartition, int]:
        """By input partition the next offset as of the last commit: the group's offsets follow it."""


class Reading(NamedTuple):
    """What the transport is told."""

    inputs: tuple[str, ...]  # topics in rank order
    outputs: tuple[str, ...]
    signals: str  # the output topic that tells of cuts
    consumer: Mapping[str, Any]  # keyword arguments of AIOKafkaConsumer beyond those set here
    security: Mapping[str, Any]
    batch_records_max: int
    queue_records_max: int  # held of one topic and partition; a fetch may come on top
    grace_s: float


Fatal = Callable[[BaseException], None]


class DataGapError(DriftlineError):
    """A topic is gone, or it is not the one that was read. Its records would be taken for others."""


def whole_numbers(assigned: Iterable[TP], inputs: Collection[str]) -> list[int]:
    """The partition numbers of which every input topic is here; anything else cannot be joined."""
    topics_of: dict[int, set[str]] = {}
    for tp in assigned:
        topics_of.setdefault(tp.partition, set()).add(tp.topic)
    for number, topics in sorted(topics_of.items()):
        missing = set(inputs) - topics
        if missing:
            raise DriftlineError(
                f"{', '.join(sorted(missing))} did not come with {', '.join(sorted(topics))}",
                where=f"partition {number}",
                advice="see whether every input topic is there, all with the same number of partitions",
            )
    return sorted(topics_of)


def seek_place(tp: TP, wanted: int | None, *, first: int, end: int) -> int:
    """Where to read on: at the state's place, or at the first record that is left where that is later.

    A place past the end is not of this topic. What lies between the wanted place and this one is told: ``hole``.
    """
    if wanted is None:
        return first
    if wanted > end:
        raise made_anew(f"{tp.topic}[{tp.partition}]", f"ends at {end}, but {wanted - 1} was applied")
    return max(wanted, first)


def hole(tp: TP, wanted: int | None, place: int) -> Hole | None:
    """What is missing where reading goes on at ``place``."""
    expected = wanted or 0
    return Hole(tp.topic, expected, place - 1) if place > expected else None


AFRESH = 'bring back the topic, or start afresh on every machine: see "Afresh" in docs/state.md'


def made_anew(where: str, what: str, advice: str = AFRESH) -> DataGapError:
    """A topic with an old name and other records: never read on silently."""
    return DataGapError(f"{what}: this is not the topic that the state was made from", where=where, advice=advice)


def repartitioned(where: str, before: int, now: int) -> DataGapError:
    """Outcomes would lie on other partitions than the predictions that wait for them, without a word."""
    return DataGapError(
        f"had {before} partitions and has {now}: models lie on other partitions now",
        where=where,
        advice='see "More partitions" in docs/state.md',
    )
