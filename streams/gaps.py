"""Records that were never applied, or never can be: said on the alerts topic, with the exact range.

Such an alert is about the worker's way through the topics and not about what they say, so a replay does not have it. It
belongs to the commit in which the positions jump: there is no jump without it, and a repeat has the same id.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from detectors.effects import Effect, derived_id
from schemas.codec import encode
from schemas.events import EVERY_MODEL, Alert, AlertEvent, Evidence, Kind, Position, Severity
from schemas.times import TS_END, TS_MIN
from schemas.topics import Stream

SIGNAL = "input"
DETECTOR = "positions"


class Why(StrEnum):
    """What became of the records."""

    RETENTION = "retention"  # they were deleted before they were applied
    NO_STATE = "no_state"  # they were deleted, and nothing that was learned of them is left


class Hole(NamedTuple):
    """Offsets of one topic that are not there any more, both ends included."""

    topic: str
    first: int
    last: int

    @property
    def records(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.topic} {self.first} to {self.last}"


class Jump(NamedTuple):
    """Positions that leave holes behind, and the alert that says so."""

    positions: Mapping[str, int]  # by topic, of those with a hole: the first offset after it
    effect: Effect

    def is_done(self, positions: Mapping[str, int]) -> bool:
        """Whether these positions are past every hole, so that the alert belongs to them."""
        return all(positions[topic] >= offset for topic, offset in self.positions.items())


def jump(partition: int, holes: Sequence[Hole], why: Why, at: int) -> Jump:
    """``at`` is when the first record that is left was appended; where none is, the time now."""
    at = min(max(at, TS_MIN), TS_END - 1)  # a producer's clock may say anything
    alert = _alert(partition, holes, why, at)
    effect = Effect(Stream.ALERTS, alert.id, None, encode(alert))
    return Jump({hole.topic: hole.last + 1 for hole in holes}, effect)


def _alert(partition: int, holes: Sequence[Hole], why: Why, at: int) -> Alert:
    places = [part for hole in holes for part in hole]
    incident = derived_id("input", why, partition, *places)
    lost = sum(hole.records for hole in holes)
    return Alert(
        id=derived_id(incident, AlertEvent.OPENED),
        incident=incident,
        event=AlertEvent.OPENED,
        severity=Severity.CRITICAL if why is Why.RETENTION else Severity.WARNING,
        kind=Kind.SYSTEM,
        model=EVERY_MODEL,
        signal=SIGNAL,
        detector=DETECTOR,
        ts=at,
        evidence=Evidence(
            value=float(lost),
            threshold=0.0,
            threshold_origin="every record is applied once",
            n=lost,
            baseline=None,
            effect=None,
            detail={"cause": why.value, **_ranges(holes)},
        ),
        position=Position(topic=holes[0].topic, partition=partition, offset=holes[0].last + 1),
        summary=_summary(partition, holes, why, at),
    )


def _ranges(holes: Sequence[Hole]) -> dict[str, int]:
    ends = [((f"{hole.topic}.from", hole.first), (f"{hole.topic}.to", hole.last)) for hole in holes]
    return dict(part for pair in ends for part in pair)


def _summary(partition: int, holes: Sequence[Hole], why: Why, at: int) -> str:
    ranges = ", ".join(map(str, holes))
    if why is Why.RETENTION:
        return (
            f"Partition {partition}: retention deleted records before they were applied ({ranges}); nothing of them is "
            "in any figure since, so lengthen the topic's retention or see why the workers were behind."
        )
    return (
        f"Partition {partition} began without state and sees back to {in_words(at)} only: older records are deleted "
        f"({ranges}), so baselines are learned anew and outcomes of older predictions are not joined."
    )


def in_words(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")
