"""The delayed-label join of one model: predictions wait for outcomes, and outcomes for predictions.

Each record that comes in has a defined end, and each entry that waits has one too::

    prediction ── same id again ──► duplicate (other content: conflict; the first stands)
        │ waits up to the horizon, oldest evicted first when there are too many
        ├── outcome ──► joined; a higher revision corrects, an equal or lower one is a duplicate
        └── horizon ──► unlabelled; for one more horizon its id is known, and an outcome is late
    outcome with no prediction yet ──► waits as early; the prediction comes ──► joined, or the horizon ──► orphan

Time is the stream's, handed in with each record. It never goes back. Predictions end in the order in which they came,
so the line they stand in tells who waits, who is past and who is forgotten: three stretches between ``_last``,
``_first`` and its end. Nobody is looked up to be let go.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec
import numpy as np

from detectors.blocks import Block
from detectors.columns import Places
from detectors.line import Line
from detectors.rows import Stretch
from detectors.shelf import Early, Label, Pending, Room, Shelf

# Outcomes that wait for their prediction. A producer that sends only outcomes must not fill the disk.
EARLY_MAX = 100_000

FAR = 1 << 62  # later than any time


class Fate(StrEnum):
    """How a record ended."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"  # counted as a duplicate too
    LATE = "late"


class Labelled(msgspec.Struct, gc=False, array_like=True, frozen=True):
    """What the join is told of an outcome."""

    time: int
    label: Label
    revision: int
    weight: float
    provisional: bool


class JoinCounts(msgspec.Struct, array_like=True):
    """What became of entries that waited, beside the fate of records."""

    joined: int = 0
    corrected: int = 0
    unlabelled: int = 0
    orphans: int = 0
    evicted: int = 0
    early_evicted: int = 0


class JoinState(msgspec.Struct, array_like=True, frozen=True):
    """What is not on the shelf. Places are those of the two lines."""

    counts: JoinCounts = msgspec.field(default_factory=JoinCounts)
    unanswered: int = 0
    early: int = 0
    last: int = 0
    first: int = 0
    end: int = 0
    early_first: int = 0
    early_end: int = 0
    due: int = FAR


class Course(NamedTuple):
    """How a join stood before some rows that it took in, and after each of them. ``stop``: the row after the last."""

    stop: int
    waiting: Places  # those that no outcome had come for
    unlabelled: Places
    evicted: Places


class Ended(NamedTuple):
    """What a limit has ended: the figures are wrong by as much."""

    limit: str
    ended: int
    most: int


class Storage(NamedTuple):
    """Where a join's entries stand."""

    shelf: Shelf
    line: Line
    early_line: Line

    @classmethod
    def of(cls, room: Room, number: int, state: JoinState) -> "Storage":
        """``number`` is one of a kind in the room."""
        return cls(
            room.shelf(number),
            room.line(2 * number, state.end, state.last),
            room.line(2 * number + 1, state.early_end, state.early_first),
        )


class Join:
    """Pending predictions of one model and role, oldest first."""

    def __init__(
        self,
        horizon_ms: int,
        pending_max: int,
        early_max: int = EARLY_MAX,
        *,
        room: Room | None = None,
        number: int = 0,
        state: JoinState | None = None,
    ) -> None:
        state = state or JoinState()
        self.horizon_ms = horizon_ms
        self.pending_max = pending_max
        self.early_max = early_max
        self.counts = state.counts
        self.unanswered = state.unanswered  # of those pending, how many no outcome has come for yet
        self.early = state.early
        self._room = room = room or Room()
        self.shelf, self._line, self._early_line = Storage.of(room, number, state)
        self._last = state.last  # the place of the oldest prediction that is known
        self._first = state.first  # the place of the oldest one that waits
        self._early_first = state.early_first
        self.due = state.due  # nothing ends before this time
        room.pending += self.pending
        self.opened: Callable[[Join], None] | None = None  # told when a first prediction waits

    @property
    def pending(self) -> int:
        return self._line.end - self._first

    def figures(self, course: Course | None = None, after: int = 0) -> dict[str, int]:
        """What a window tells of all versions and segments together; on this course, after so many of its rows."""
        counts, waiting = self.counts, self.unanswered
        unlabelled, evicted = counts.unlabelled, counts.evicted
        if course is not None:
            waiting, unlabelled, evicted = (int(figure[after]) for figure in course[1:])
        return {
            "pending": waiting,
            "unlabelled_total": unlabelled,
            "orphans_total": counts.orphans,
            "evicted_total": evicted + counts.early_evicted,
        }

    def predict(self, key: str, entry: Pending) -> tuple[Fate, Labelled | None]:
        """Takes in a prediction; a label that was waiting for it comes back with it."""
        if entry.time > self.due:
            self.expire(entry.time)
        there = self.shelf.get(key)
        if isinstance(there, Pending):
            return (Fate.DUPLICATE if there.fingerprint == entry.fingerprint else Fate.CONFLICT), None
        while self.pending >= self.pending_max:  # more than one over, where the limit was lowered
            self.evict()
        place = entry.place = self._line.append(entry.time, key)
        self.shelf.put(key, entry)
        self._room.pending += 1
        self.unanswered += 1
        self.due = min(self.due, entry.time + self.horizon_ms)  # those before it may all have been evicted
        if self.opened is not None and place == self._first:
            self.opened(self)
        return Fate.APPLIED, self._meet(entry, there) if there is not None else None

    def predict_rows(self, rows: Stretch, which: slice, scope: int) -> Course | None:
        """The same of some rows, in order of time, until one is more than a new prediction. They are kept as is."""
        start: int = which.start
        due = int(rows.stamps[start]) + self.horizon_ms  # when the first of them ends
        if self.early:
            due = min(due, self._early_line.at(self._early_first)[0] + self.horizon_ms)
        due = int(np.searchsorted(rows.stamps, due, side="right"))
        stop = min(which.stop, due, start + self.pending_max)
        stop = start + self.shelf.new_to(rows.ids[start:stop]) if stop > start else start
        if stop == start:
            return None
        names, times = rows.ids[start:stop], rows.stamps[start:stop]
        ends = times[-1] > self.due or self.pending + len(times) > self.pending_max
        course = self._make_room(stop, times) if ends else self._course(stop, np.zeros((2, len(times) + 1), np.int64))
        place = self._line.append_all(times, names)
        self.shelf.put_rows(Block(place, scope, rows, start, stop), self._last)
        self._room.pending += len(names)
        self.unanswered += len(names)
        self.due = min(self.due, int(times[0]) + self.horizon_ms)
        if self.opened is not None and place == self._first:
            self.opened(self)
        if ends:
            self._forget_pushed_out()
            self.expire(int(times[-1]))
        return course

    def _course(self, stop: int, gone: Places) -> Course:
        """``gone``: before some rows and after each, how many more had ended without an outcome, and by a limit."""
        unlabelled, evicted = gone
        waiting = self.unanswered + np.arange(len(unlabelled)) - unlabelled
        return Course(stop, waiting, self.counts.unlabelled + unlabelled, self.counts.evicted + evicted)

    def _make_room(self, stop: int, times: Places) -> Course:
        """Ends what will have ended by the last of some rows. None of these ends before the last of them comes."""
        line, place, oldest = self._line, self._first, int(times[-1]) - self.horizon_ms
        waited: list[int] = []
        while place < line.end and (time := line.at(place)[0]) < oldest:
            waited.append(time)
            place += 1
        expired = np.searchsorted(waited, times - self.horizon_ms)
        ended = np.maximum(expired, np.arange(len(times)) + (self.pending + 1 - self.pending_max))
        evicted = np.cumsum(ended - np.maximum(expired, np.append(0, ended[:-1])))
        first, end = self._first, self._first + int(ended[-1])
        unanswered = np.append(0, np.cumsum(~line.marks(first, end)))
        course = self._course(stop, np.array([[0, *unanswered[ended]], [0, *evicted]]))
        self.counts.evicted += int(evicted[-1])
        self._close(int(ended[-1]), int(unanswered[-1]))
        return course

    def _meet(self, entry: Pending, early: Early) -> Labelled:
        self._early_line.mark(early.place)
        self.early -= 1
        if early.place == self._early_first:
            self._pass_met()
            self._early_line.forget(self._early_first)
        entry.revision = early.revision
        self._answered(entry)
        return Labelled(entry.time, early.label, early.revision, early.weight, early.provisional)

    def _answered(self, entry: Pending) -> None:
        self._line.mark(entry.place)
        self.unanswered -= 1
        self.counts.joined += 1

    def label(self, key: str, label: Labelled) -> tuple[Fate, Pending | None]:
        """Takes in an outcome; the prediction it belongs to comes back where the label tells something new."""
        if label.time > self.due:
            self.expire(label.time)
        entry = self.shelf.get(key)
        if not isinstance(entry, Pending):
            return self._wait_early(key, label, entry), None
        if entry.place < self._first:
            return Fate.LATE, None
        if label.revision <= entry.revision:
            return Fate.DUPLICATE, None
        if entry.revision < 0:
            self._answered(entry)
        else:
            self.counts.corrected += 1
        entry.revision = label.revision
        self.shelf.change(key)
        return Fate.APPLIED, entry

    def _wait_early(self, key: str, label: Labelled, waiting: Early | None) -> Fate:
        if waiting is not None:
            if label.revision <= waiting.revision:
                return Fate.DUPLICATE
            place = waiting.place  # a revision does not wait longer
        else:
            if self.early >= self.early_max:
                self._evict_early()
            place = self._early_line.append(label.time, key)
            self.early += 1
            self.due = min(self.due, label.time + self.horizon_ms)
        self.shelf.put(key, Early(place, label.label, label.revision, label.weight, label.provisional))
        return Fate.APPLIED

    # -- ends ---------------------------------------------------------------------------------------------------------

    def oldest(self) -> int:
        """Since when the oldest prediction has waited; there must be one."""
        return self._line.at(self._first)[0]

    def evict(self) -> None:
        """The oldest prediction makes room."""
        self.counts.evicted += 1
        self._close_first()
        self.due = self._next_due()

    def _close_first(self) -> None:
        self._close(1, int(not self._line.marked(self._first)))
        self._forget_pushed_out()

    def _close(self, many: int, unanswered: int) -> None:
        """The oldest ones end; for so many of them no outcome has come."""
        self.counts.unlabelled += unanswered
        self.unanswered -= unanswered
        self._first += many
        self._room.pending -= many

    def _forget_pushed_out(self) -> None:
        if self._first - self._last > self.pending_max:
            while self._first - self._last > self.pending_max:
                self._forget_last()
            self._line.forget(self._last)

    def _forget_last(self) -> None:
        self.shelf.drop(self._line.at(self._last)[1])
        self._last += 1

    def _evict_early(self) -> None:
        self._pass_met()
        self.counts.early_evicted += 1
        self._drop_early()

    def _pass_met(self) -> None:
        """Early outcomes that met their prediction still stand in the line."""
        line = self._early_line
        while self._early_first < line.end and line.marked(self._early_first):
            self._early_first += 1

    def _drop_early(self) -> None:
        self.shelf.drop(self._early_line.at(self._early_first)[1])
        self._early_first += 1
        self.early -= 1

    def expire(self, now: int) -> None:
        """Ends what has waited past the horizon, and forgets what ended a horizon ago."""
        oldest, line, early_line = now - self.horizon_ms, self._line, self._early_line
        while self._first < line.end and line.at(self._first)[0] < oldest:
            self._close_first()
        while self._last < self._first and line.at(self._last)[0] < oldest - self.horizon_ms:
            self._forget_last()
        line.forget(self._last)
        self._pass_met()
        while self._early_first < early_line.end and early_line.at(self._early_first)[0] < oldest:
            self.counts.orphans += 1
            self._drop_early()
            self._pass_met()
        early_line.forget(self._early_first)
        self.due = self._next_due()

    def _next_due(self) -> int:
        line, early_line, dues = self._line, self._early_line, [FAR]
        if self._first < line.end:
            dues.append(line.at(self._first)[0] + self.horizon_ms)
        if self._last < self._first:
            dues.append(line.at(self._last)[0] + 2 * self.horizon_ms)
        if self._early_first < early_line.end:
            dues.append(early_line.at(self._early_first)[0] + self.horizon_ms)
        return min(dues)

    def state(self) -> JoinState:
        return JoinState(
            self.counts,
            self.unanswered,
            self.early,
            self._last,
            self._first,
            self._line.end,
            self._early_first,
            self._early_line.end,
            self.due,
        )


def told_limits(joins: Sequence[Join], told: JoinCounts, later: int = 0) -> list[Ended]:
    """What limits have ended in these joins since the window before, but for what they did later; it is told now."""
    evicted = sum(join.counts.evicted for join in joins) - later
    early = sum(join.counts.early_evicted for join in joins)
    ended = (
        Ended("pending_max", evicted - told.evicted, joins[0].pending_max),
        Ended("early_max", early - told.early_evicted, joins[0].early_max),
    )
    told.evicted, told.early_evicted = evicted, early
    return [one for one in ended if one.ended > 0]
