"""The one order in which the input topics of a partition number are applied.

Records of the topics that share a partition number are released by (append time, rank of the topic, offset). Nothing
may be released while a record that sorts before it could still arrive, so a side that holds nothing blocks the others
until its *evidence* is there: its end offset, asked for after the blocked records had arrived, lies within what has
been read of it. Evidence that is older than the records proves nothing, therefore the question is an object: it
remembers what was held at the moment it was asked.

An append is given its time a moment before it can be seen, and a millisecond holds many. So evidence counts only for
records that had been held for a grace when it was asked: what the broker adds later then has a later time, unless an
append hung inside the broker for longer than the grace.

Where an append does hang, as in a cluster whose replicas do not follow, or a broker's clock steps back, a record comes
that sorts before what was released. It follows then, and the order has a *cut*: what lies below its positions goes
before all that does not. Between two cuts records are sorted; so the topics and the cuts together give the order again,
and a merge that is told of cuts keeps to them.

Append times of one partition do not go back between two cuts. Where a broker's clock did, a record counts as appended
at the latest time before it.

This module knows neither Kafka clients nor event loops nor clocks: it is given records and times and gives records.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from operator import attrgetter
from sys import maxsize
from typing import NamedTuple

import numpy as np

from detectors.pieces import Merged, Piece, one_piece, trimmed
from schemas.records import RecordLike

_offset_of = attrgetter("offset")
_stamp_of = attrgetter("timestamp")
_NEVER = -1  # before any append


class OrderError(RuntimeError):
    """Records came that cannot follow what was read before: a seek went wrong or a topic was made anew."""


class Question(NamedTuple):
    """The end offsets that must be known before more can be released, and what they will then vouch for."""

    topics: tuple[str, ...]
    held: Mapping[str, int]  # by topic: the offset below which records had been held for the grace when it was asked


class Reached(NamedTuple):
    """The place in the order of the record that was released last."""

    stamp: int
    rank: int


class Cut(NamedTuple):
    """The record ``late`` sorts before what was ``reached``; what lies below ``positions`` was released before it."""

    positions: Mapping[str, int]
    reached: Reached
    late: RecordLike


class Run(NamedTuple):
    """Records in the one order, and where each topic stands after them: the next offset to be applied."""

    records: Sequence[RecordLike]
    positions: dict[str, int]
    reached: Reached
    cut: Cut | None = None  # before the first of them


class _Side:
    """One topic's part: what is held of it, and up to where the evidence of the other sides lets it through."""

    __slots__ = (
        "arrivals",
        "cleared",
        "latest",
        "limit",
        "offsets",
        "parts",
        "position",
        "rank",
        "settled",
        "stamps",
        "start",
        "stop",
        "topic",
    )

    def __init__(self, topic: str, rank: int, position: int, others: Sequence[str]) -> None:
        self.topic, self.rank = topic, rank
        self.position = position  # the next offset to be read from the topic
        self.parts: list[Piece | list[RecordLike]] = []  # the records, as they came
        self.offsets: list[int] = []  # beside the records
        self.stamps: list[int] = []  # beside the records, never falling
        self.latest = _NEVER  # the last stamp of the stretch
        self.start = 0  # what lies before it has been released
        self.stop = 0  # what lies before it is below the limit
        self.limit = maxsize  # the offset of the next cut
        self.arrivals: deque[tuple[float, int]] = deque()  # when what lies below an offset had arrived
        self.settled = position  # what lies below has been held for the grace
        self.cleared = dict.fromkeys(others, 0)  # by other topic: offsets below need not wait for it when it is empty

    def __len__(self) -> int:
        return len(self.offsets) - self.start

    @property
    def waits(self) -> bool:
        """Whether something is held that may go before the next cut."""
        return self.start < self.stop

    @property
    def is_waited_for(self) -> bool:
        return self.start == self.stop and self.next_offset < self.limit

    def limit_to(self, offset: int) -> None:
        """A new stretch of the order begins, up to a cut at this offset: a clock that stepped back counts anew."""
        self.limit = offset
        self._forget_released()
        self.stamps = list(accumulate(chain.from_iterable(map(_stamps_of, self.parts)), max))
        self.latest = self.stamps[-1] if self.stamps else _NEVER
        self._set_stop()

    def _set_stop(self) -> None:
        self.stop = bisect_left(self.offsets, self.limit)

    def _forget_released(self) -> None:
        if self.start:
            self.parts = self._between(self.start, len(self.offsets))
            if self.parts and isinstance(self.parts[0], Piece):
                self.parts[0] = trimmed(self.parts[0])
            self.offsets, self.stamps, self.start = self.offsets[self.start :], self.stamps[self.start :], 0

    def _between(self, start: int, stop: int) -> list[Piece | list[RecordLike]]:
        found, first = list[Piece | list[RecordLike]](), 0
        for part in self.parts:
            if first < stop and start < first + len(part):
                found.append(part[max(start - first, 0) : stop - first])
            first += len(part)
        return found

    def part(self, start: int, stop: int) -> Piece | list[RecordLike]:
        """What is held from one index to before another."""
        parts = self._between(start, stop)
        pieces = [part for part in parts if isinstance(part, Piece)]
        return one_piece(pieces) if len(pieces) == len(parts) else list(chain.from_iterable(parts))

    @property
    def next_offset(self) -> int:
        return self.offsets[self.start] if self.start < len(self.offsets) else self.position

    def settle(self, arrived_by: float) -> None:
        while self.arrivals and self.arrivals[0][0] <= arrived_by:
            self.settled = self.arrivals.popleft()[1]

    def append(self, records: Sequence[RecordLike], now: float) -> None:
        stamps, offsets = _stamps_of(records), _offsets_of(records)
        if offsets[0] < self.position:
            where = f"{self.topic}[{records[0].partition}]"
            raise OrderError(f"{where}: offset {offsets[0]} came after {self.position - 1} had been read")
        if stamps[0] < self.latest or stamps != sorted(stamps):  # sorting what is sorted is the quickest look at it
            stamps = list(accumulate(stamps, max, initial=self.latest))[1:]
        self.latest = stamps[-1]
        self._forget_released()
        if isinstance(records, Piece):
            self.parts.append(records)
        elif self.parts and isinstance(self.parts[-1], list):
            self.parts[-1].extend(records)
        else:
            self.parts.append(list(records))
        self.offsets.extend(offsets)
        self.stamps.extend(stamps)
        self.position = offsets[-1] + 1
        self.arrivals.append((now, self.position))
        self._set_stop()

    def cleared_end(self, waiting_for: str, upto: int) -> int:
        """The index, at most ``upto``, before which nothing needs to wait for the empty side ``waiting_for``."""
        offset = self.cleared[waiting_for]
        return upto if self.offsets[upto - 1] < offset else bisect_left(self.offsets, offset, self.start, upto)


def _stamps_of(records: Sequence[RecordLike]) -> list[int]:
    return records.stamps.tolist() if isinstance(records, Piece) else list(map(_stamp_of, records))


def _offsets_of(records: Sequence[RecordLike]) -> list[int]:
    return records.offsets.tolist() if isinstance(records, Piece) else list(map(_offset_of, records))


def _in_order(runs: Sequence[tuple[_Side, int, int]]) -> Sequence[RecordLike]:
    """The records of runs, each from one index of its side to before another. Those of a side follow one another."""
    bounds: dict[_Side, tuple[int, int]] = {}
    for side, start, end in runs:
        bounds[side] = bounds.get(side, (start, start))[0], end
    parts = {side: side.part(*of_side) for side, of_side in bounds.items()}
    if not any(isinstance(part, Piece) for part in parts.values()):
        between = (parts[side][start - bounds[side][0] : end - bounds[side][0]] for side, start, end in runs)
        return list(chain.from_iterable(between))
    ranks = np.repeat([side.rank for side, _, _ in runs], [end - start for _, start, end in runs])
    return Merged([(np.flatnonzero(ranks == side.rank), part) for side, part in parts.items()])


class Merge:
    """The merge of one partition number. ``topics`` stand in their rank order, the one to win a tie first.

    ``reached``: what was released last before these positions. ``cuts``: by topic the positions of those to keep to, in
    their order; what they name must be there to be read. Times are seconds of any clock that does not go back.
    """

    def __init__(
        self,
        topics: Sequence[str],
        positions: Mapping[str, int],
        grace_s: float,
        *,
        reached: Reached | None = None,
        cuts: Sequence[Mapping[str, int]] = (),
    ) -> None:
        self._grace_s = grace_s
        self._reached = reached
        self._cuts = deque(
            cut for cut in cuts if any(cut[topic] > positions[topic] for topic in topics) or cut == positions
        )
        self._sides = [
            _Side(topic, rank, positions[topic], [other for other in topics if other != topic])
            for rank, topic in enumerate(topics)
        ]
        self._by_topic = {side.topic: side for side in self._sides}
        self._kept_to: Mapping[str, int] | None = None  # the cut that was passed, until something is released
        self._begin_stretch()
        if reached is not None:
            self._sides[reached.rank].latest = reached.stamp

    def offer(self, topic: str, records: Sequence[RecordLike], now: float) -> None:
        """Takes in what was read next of a topic."""
        if records:
            self._by_topic[topic].append(records, now)

    def advance(self, topic: str, position: int) -> None:
        """The topic was read up to ``position`` without a record: markers, or what compaction left out."""
        side = self._by_topic[topic]
        side.position = max(side.position, position)

    def held(self, topic: str) -> int:
        return len(self._by_topic[topic])

    def position(self, topic: str) -> int:
        """The next offset to be read."""
        return self._by_topic[topic].position

    @property
    def positions(self) -> dict[str, int]:
        """By topic, the next offset to be released."""
        return {side.topic: side.next_offset for side in self._sides}

    @property
    def waits(self) -> bool:
        """Whether something is held that nothing vouches for yet: a question will be due when the grace is over."""
        return any(
            side.cleared[empty.topic] < side.position
            for side in self._sides
            if side.waits
            for empty in self._sides
            if empty.is_waited_for
        )

    def question(self, now: float) -> Question | None:
        """What must be asked now so that more can go, or ``None`` where nothing that is old enough waits."""
        self._pass_cuts()
        full = [side for side in self._sides if side.waits]
        for side in full:
            side.settle(now - self._grace_s)
        waited_for = tuple(
            empty.topic
            for empty in self._sides
            if empty.is_waited_for and any(side.cleared[empty.topic] < side.settled for side in full)
        )
        return Question(waited_for, {side.topic: side.settled for side in full}) if waited_for else None

    def answer(self, question: Question, end_offsets: Mapping[str, int]) -> tuple[str, ...]:
        """Takes the end offsets in; returns the topics with records before their end that are still unread."""
        unread = []
        for topic in question.topics:
            if self._by_topic[topic].position < end_offsets[topic]:
                unread.append(topic)
                continue
            for other, held in question.held.items():
                if other != topic:
                    side = self._by_topic[other]
                    side.cleared[topic] = max(side.cleared[topic], held)
        return tuple(unread)

    def take(self, most: int) -> Run | None:
        """The next records in the order, at most so many; ``None`` where nothing can be released."""
        self._pass_cuts()
        before, cut_at = self._reached, None
        runs, left = list[tuple[_Side, int, int]](), most
        while left:
            side = self._first()
            if side is None:
                break
            end = self._run_end(side, min(side.start + left, side.stop))
            if end == side.start:
                break
            if not runs and cut_at is None and before and (side.stamps[side.start], side.rank) < before:
                cut_at = self._kept_to or self.positions
                self._begin_stretch()
                continue
            runs.append((side, side.start, end))
            left -= end - side.start
            self._reached = Reached(side.stamps[end - 1], side.rank)
            side.start = end
        if not runs or self._reached is None:
            return None
        self._kept_to, released = None, _in_order(runs)
        cut = Cut(cut_at, before, released[0]) if cut_at and before else None
        return Run(released, self.positions, self._reached, cut)

    def _pass_cuts(self) -> None:
        """The next cut counts from where every topic has come to the one before."""
        while self._cuts and all(side.next_offset >= self._cuts[0][side.topic] for side in self._sides):
            self._kept_to = self._cuts.popleft()
            self._begin_stretch()

    def _begin_stretch(self) -> None:
        for side in self._sides:
            side.limit_to(self._cuts[0][side.topic] if self._cuts else maxsize)

    def _first(self) -> _Side | None:
        """The side whose head sorts first. Ranks rise along the list, so the first of equals wins."""
        first = None
        for side in self._sides:
            if side.start < side.stop and (first is None or side.stamps[side.start] < first.stamps[first.start]):
                first = side
        return first

    def _run_end(self, side: _Side, upto: int) -> int:
        """Up to where this side's records sort before every other side's head: whole runs move, not single records."""
        for other in self._sides:
            if other is side:
                continue
            if other.start < other.stop:
                find = bisect_right if side.rank < other.rank else bisect_left
                upto = find(side.stamps, other.stamps[other.start], side.start, upto)
            elif other.is_waited_for:
                upto = side.cleared_end(other.topic, upto)
            if upto == side.start:
                break
        return upto
