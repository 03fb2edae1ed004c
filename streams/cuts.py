"""Cuts of the order, told on the signals topic: replays and rebuilds read there what live could not know beforehand.

Such a signal is about the way through the topics and not about what they say, so a replay keeps to it and does not
repeat it. It belongs to the commit that applies the late record, and a repeat has the same id.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from aiokafka import TopicPartition

from detectors.effects import Effect, derived_id
from schemas.codec import decode_output, encode
from schemas.events import EVERY_MODEL, Evidence, Kind, Position, Signal
from schemas.times import TS_END, TS_MIN
from schemas.topics import Stream
from streams.merge import Cut
from streams.offsets import Offsets
from streams.state import EffectLike

SIGNAL = "order"
DETECTOR = "append_times"
FOLLOWED = "followed"

Positions = Mapping[str, int]


class Message(Protocol):
    """A record as aiokafka hands it out."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


def told(partition: int, cut: Cut) -> Effect:
    late = cut.late
    signal = Signal(
        id=derived_id(SIGNAL, partition, late.topic, late.offset),
        model=EVERY_MODEL,
        signal=SIGNAL,
        detector=DETECTOR,
        kind=Kind.SYSTEM,
        ts=min(max(cut.reached.stamp, TS_MIN), TS_END - 1),  # a producer's clock may say anything
        evidence=Evidence(
            value=float(cut.reached.stamp - late.timestamp),
            threshold=0.0,
            threshold_origin="records go by their append times, in milliseconds",
            n=1,
            baseline=None,
            effect=None,
            detail=dict(cut.positions),
        ),
        position=Position(topic=late.topic, partition=partition, offset=late.offset),
        disposition=FOLLOWED,
    )
    return Effect(Stream.SIGNALS, signal.id, None, encode(signal))


def is_cut(effect: EffectLike) -> bool:
    return effect.stream == Stream.SIGNALS and effect.key is None


def positions_of(message: Message) -> Positions | None:
    """The positions of a cut, and ``None`` where it tells of none. Only such signals have no key."""
    if message.key is not None or message.value is None:
        return None
    try:
        signal = decode_output(message.value)
    except ValueError:
        return None
    if not isinstance(signal, Signal) or (signal.kind, signal.signal) != (Kind.SYSTEM, SIGNAL):
        return None
    return {topic: offset for topic, offset in signal.evidence.detail.items() if isinstance(offset, int)}


async def read_cuts(
    offsets: Offsets,
    signals: str,
    start: Mapping[int, int | None],
    inputs: Collection[str],
    goes_on: Callable[[], bool] = lambda: True,
) -> dict[int, list[Positions]]:
    """By partition number, in their order, the cuts that are told from these offsets of the signals topic on.

    ``goes_on`` is asked on the way; where it says no, what is read so far must do.
    """
    found: dict[int, list[Positions]] = {}
    async for messages in offsets.read({TopicPartition(signals, number): place for number, place in start.items()}):
        for message in messages:
            positions = positions_of(message)
            if positions is not None and positions.keys() == set(inputs):
                found.setdefault(message.partition, []).append(positions)
        if not goes_on():
            break
    # What a worker told, a zombie may have told once more, behind later ones.
    return {number: sorted(cuts, key=lambda cut: sum(cut.values())) for number, cuts in found.items()}


def within(cuts: Sequence[Positions], number: int, ends: Mapping[TopicPartition, int]) -> list[Positions]:
    """Those whose records are all there: one beyond the end of a topic would be waited for, and for ever."""
    return [cut for cut in cuts if all(at <= ends[TopicPartition(topic, number)] for topic, at in cut.items())]
