"""The brokers: input topics that fill as time passes, output topics that keep what arrives, and who owns what."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from detectors.effects import Effect
from schemas.records import Record
from schemas.topics import TopicNames
from streams.sender import id_of
from tests.simulation.traffic import Lying

TOPICS = TopicNames()
INPUTS = tuple(TOPICS.inputs)
OUTPUTS = tuple(TOPICS.outputs)


class Violation(AssertionError):  # noqa: N818 - no error of this program
    """The product broke a promise."""


class Writer(NamedTuple):
    """One opening of a partition's state, and where the output topic ended when it was read back for it."""

    opening: int
    read_back_end: int


class Written(NamedTuple):
    """A record as it lies on an output topic, who wrote it, and whether that one owned the partition on its arrival."""

    record: Record
    writer: Writer
    by_owner: bool


class Log:
    """Input and output topics of all partitions. Time is milliseconds since 1970, as appended."""

    def __init__(
        self, inputs: Mapping[int, Sequence[Lying]], expected: Mapping[tuple[str, int], Sequence[Effect]]
    ) -> None:
        self.lying = inputs
        self._expected = expected
        self._first: dict[tuple[str, int], dict[str, Written]] = {place: {} for place in expected}
        self._inputs = {
            (topic, partition): [one for one in lying if one.record.topic == topic]
            for partition, lying in inputs.items()
            for topic in INPUTS
        }
        self.written: dict[tuple[str, int], list[Written]] = {
            (topic, partition): [] for partition in inputs for topic in OUTPUTS
        }
        self._ends = dict.fromkeys(self._inputs, 0)
        self.repeats = 0
        self.now = min((one.at for lying in inputs.values() for one in lying), default=0)
        self._moments = sorted({one.at for lying in inputs.values() for one in lying}, reverse=True)
        self.pass_time(0)

    def pass_time(self, milliseconds: int) -> None:
        self.now += milliseconds
        while self._moments and self._moments[-1] <= self.now:
            self._moments.pop()
        for place, lying in self._inputs.items():
            end = self._ends[place]
            while end < len(lying) and lying[end].at <= self.now:
                end += 1
            self._ends[place] = end

    @property
    def next_moment(self) -> int | None:
        """When the next record will be appended."""
        return self._moments[-1] if self._moments else None

    def end(self, topic: str, partition: int) -> int:
        if topic in INPUTS:
            return self._ends[topic, partition]
        return len(self.written[topic, partition])

    def fetch(self, topic: str, partition: int, position: int, most: int) -> list[Record]:
        end = min(self._ends[topic, partition], position + most)
        return [one.record for one in self._inputs[topic, partition][position:end]]

    def append(self, record: Record, writer: Writer, by_owner: bool) -> int:
        """Returns the offset. What is not the next of the undisturbed run, or a zombie's repeat, is a violation."""
        place = (record.topic, record.partition)
        lying, first = self.written[place], self._first[place]
        written = Written(record._replace(offset=len(lying), timestamp=self.now), writer, by_owner)
        lying.append(written)
        event_id = id_of(record.headers) or "no id"
        where = f"{record.topic}[{record.partition}] at {len(lying) - 1}"
        if event_id in first:
            self.repeats += 1
            _refuse_repeat(where, event_id, first[event_id], written)
        else:
            _refuse_stranger(where, event_id, record, self._expected[place], len(first))
            first[event_id] = written
        return len(lying) - 1

    def missing(self) -> list[str]:
        """What an undisturbed run writes and is not here."""
        said = []
        for (topic, partition), effects in self._expected.items():
            there = len(self._first[topic, partition])
            if there < len(effects):
                first = effects[there].id
                said.append(f"V2 {topic}[{partition}] lacks {len(effects) - there} of {len(effects)}, first {first}")
        return said

    def read_output(self, topic: str, partition: int, start: int) -> list[Record]:
        return [written.record for written in self.written[topic, partition][start:]]


def _refuse_repeat(where: str, event_id: str, before: Written, again: Written) -> None:
    if (before.record.key, before.record.value) != (again.record.key, again.record.value):
        raise Violation(f"V2 {where}: {event_id} again, with other content: {_differing(before.record, again.record)}")
    if before.writer.opening == again.writer.opening:
        raise Violation(f"V2 {where}: {event_id} again, from the same state as at {before.record.offset}")
    if before.record.offset < again.writer.read_back_end:
        found = f"at {before.record.offset}, read back up to {again.writer.read_back_end}"
        raise Violation(f"V2 {where}: {event_id} again although it lay {found}")
    if before.by_owner and again.by_owner:
        raise Violation(f"V2 {where}: {event_id} again, both times from the owner")


def _refuse_stranger(where: str, event_id: str, record: Record, expected: Sequence[Effect], place: int) -> None:
    if place >= len(expected):
        raise Violation(f"V2 {where}: {event_id} is one more than the {len(expected)} of an undisturbed run")
    effect = expected[place]
    if event_id != effect.id:
        known = [later for later, one in enumerate(expected) if one.id == event_id]
        about = f"which is number {known[0]}" if known else f"which it never writes: {(record.value or b'')[:200]!r}"
        raise Violation(
            f"V2 {where}: an undisturbed run writes {effect.id} as number {place}, here is {event_id}, {about}"
        )
    if (record.key, record.value) != (effect.key, effect.value):
        other = record._replace(key=effect.key, value=effect.value)
        raise Violation(f"V2 {where}: {event_id} is not as in an undisturbed run: {_differing(record, other)}")


def _differing(is_: Record, must: Record) -> str:
    """From the first differing byte on, with a little before."""
    one, other = is_.value or b"", must.value or b""
    at = next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
    start = max(0, at - 60)
    return f"...{one[start : at + 60]!r}, must be ...{other[start : at + 60]!r}"


def in_order(lying: Iterable[Lying]) -> list[Lying]:
    """The one order of the contract: append time, rank of the topic, offset. Time on a topic does not go back."""
    latest = dict.fromkeys(INPUTS, 0)
    stamped = []
    for one in lying:
        record = one.record
        latest[record.topic] = max(latest[record.topic], record.timestamp)
        stamped.append(((latest[record.topic], INPUTS.index(record.topic), record.offset), one))
    return [one for _, one in sorted(stamped, key=lambda pair: pair[0])]
