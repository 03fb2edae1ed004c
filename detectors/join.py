"""The delayed-label join of one model: predictions wait for outcomes, and outcomes for predictions.

Each record that comes in has a defined end, and each entry that waits has one too::

    prediction ── same id again ──► duplicate (other content: conflict; the first stands)
        │ waits up to the horizon, oldest evicted first when there are too many
        ├── outcome ──► joined; a higher revision corrects, an equal or lower one is a duplicate
        └── horizon ──► unlabelled; an outcome after that is late
    outcome with no prediction yet ──► waits as early; the prediction comes ──► joined, or the horizon ──► orphan

Time is the stream's, handed in with each record. It never goes back.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

import msgspec

Label = float | str | bool

# Outcomes that wait for their prediction. A producer that sends only outcomes must not fill the memory.
EARLY_MAX = 100_000
SLACK = 1_000  # places in a line whose keys have left, beside as many as still stand: then the line closes up


FAR = 1 << 62  # later than any time


class Fate(StrEnum):
    """How a record ended."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"  # counted as a duplicate too
    LATE = "late"


class Pending(msgspec.Struct, gc=False, array_like=True):
    """What the join keeps of a prediction: what a loss needs, no features."""

    time: int
    offset: int
    fingerprint: int
    scope: int  # index of the monitor that saw the features
    prediction: Label
    score: float | None
    scores: dict[str, float] | None
    segments: tuple[int, ...] = ()
    revision: int = -1  # of the newest label; -1 before there is one
    scored: bool = False  # its loss went to the detectors


class Labelled(msgspec.Struct, gc=False, array_like=True, frozen=True):
    """What the join keeps of an outcome."""

    time: int
    label: Label
    revision: int
    weight: float
    provisional: bool


class Line:
    """Keys in the order in which they came; one may leave from the middle, or come again and stand at the end."""

    def __init__(self, times: Iterable[tuple[str, int]] = ()) -> None:
        self._times: dict[str, int] = {}
        self._order: deque[tuple[int, str]] = deque()  # with keys that have left: a dict is slow to pop from its front
        for key, time in times:
            self.join(key, time)

    def __len__(self) -> int:
        return len(self._times)

    def __contains__(self, key: str) -> bool:
        return key in self._times

    def join(self, key: str, time: int) -> None:
        self._times[key] = time
        self._order.append((time, key))
        if len(self._order) > 2 * len(self._times) + SLACK:
            self._order = deque(entry for entry in self._order if self._stands(entry))

    def leave(self, key: str) -> bool:
        return self._times.pop(key, None) is not None

    def first(self) -> tuple[str, int] | None:
        """Who has waited longest, and since when."""
        order = self._order
        while order:
            if self._stands(order[0]):
                time, key = order[0]
                return key, time
            order.popleft()
        return None

    def older_than(self, oldest: int) -> Sequence[str]:
        """Takes out those that came before."""
        order = self._order
        if not order or order[0][0] >= oldest:
            return ()
        old = []
        while order and order[0][0] < oldest:
            entry = order.popleft()
            if self._stands(entry):
                del self._times[entry[1]]
                old.append(entry[1])
        return old

    def entries(self) -> Iterator[tuple[str, int]]:
        return ((key, time) for time, key in dict.fromkeys(entry for entry in self._order if self._stands(entry)))

    def _stands(self, entry: tuple[int, str]) -> bool:
        return self._times.get(entry[1]) == entry[0]


class JoinCounts(msgspec.Struct, array_like=True):
    """What became of entries that waited, beside the fate of records."""

    joined: int = 0
    corrected: int = 0
    unlabelled: int = 0
    orphans: int = 0
    evicted: int = 0
    early_evicted: int = 0


class _State(msgspec.Struct, array_like=True):
    counts: JoinCounts
    pending: list[tuple[str, Pending]]
    early: list[tuple[str, int, Labelled]]  # waiting since
    closed: list[tuple[str, int]]


class Join:
    """Pending predictions of one model and role, oldest first."""

    def __init__(self, horizon_ms: int, pending_max: int, early_max: int = EARLY_MAX) -> None:
        self.horizon_ms = horizon_ms
        self.pending_max = pending_max
        self.early_max = early_max
        self.counts = JoinCounts()
        self._pending: dict[str, Pending] = {}
        self._order: deque[str] = deque()  # ids of `_pending` by time: a dict is slow to pop from its front
        self.unanswered = 0  # of those pending, how many no outcome has come for yet
        self._due = FAR  # nothing ends before this time
        self._early: dict[str, Labelled] = {}
        self._early_line = Line()  # since the first outcome: a revision does not wait longer
        self._closed = Line()  # ids past their horizon, for one more horizon: what comes now is late

    @property
    def pending(self) -> int:
        return len(self._pending)

    @property
    def early(self) -> int:
        return len(self._early)

    def predict(self, key: str, entry: Pending) -> tuple[Fate, Labelled | None]:
        """Takes in a prediction; a label that was waiting for it comes back with it."""
        if entry.time > self._due:
            self.expire(entry.time)
        pending = self._pending
        if key in pending:
            return (Fate.DUPLICATE if pending[key].fingerprint == entry.fingerprint else Fate.CONFLICT), None
        if len(pending) >= self.pending_max:
            self.counts.evicted += 1
            self._close(entry.time)
        pending[key] = entry
        self._order.append(key)
        self.unanswered += 1
        if self._due == FAR:
            self._due = entry.time + self.horizon_ms
        return Fate.APPLIED, self._meet(key, entry) if self._early else None

    def _meet(self, key: str, entry: Pending) -> Labelled | None:
        label = self._early.pop(key, None)
        if label is not None:
            self._early_line.leave(key)
            entry.revision = label.revision
            self.unanswered -= 1
            self.counts.joined += 1
        return label

    def label(self, key: str, label: Labelled) -> tuple[Fate, Pending | None]:
        """Takes in an outcome; the prediction it belongs to comes back where the label tells something new."""
        if label.time > self._due:
            self.expire(label.time)
        entry = self._pending.get(key)
        if entry is None:
            return self._early_or_late(key, label), None
        if label.revision <= entry.revision:
            return Fate.DUPLICATE, None
        if entry.revision < 0:
            self.unanswered -= 1
            self.counts.joined += 1
        else:
            self.counts.corrected += 1
        entry.revision = label.revision
        return Fate.APPLIED, entry

    def _early_or_late(self, key: str, label: Labelled) -> Fate:
        if key in self._closed:
            return Fate.LATE
        waiting = self._early.get(key)
        if waiting is not None:
            if label.revision <= waiting.revision:
                return Fate.DUPLICATE
            self._early[key] = label
            return Fate.APPLIED
        if len(self._early) >= self.early_max:
            self._drop_oldest_early()
        self._early[key] = label
        self._early_line.join(key, label.time)
        self._due = min(self._due, label.time + self.horizon_ms)
        return Fate.APPLIED

    def _drop_oldest_early(self) -> None:
        oldest = self._early_line.first()
        if oldest is not None:
            self._early_line.leave(oldest[0])
            del self._early[oldest[0]]
            self.counts.early_evicted += 1

    def expire(self, now: int) -> None:
        """Ends what has waited past the horizon."""
        oldest = now - self.horizon_ms
        order = self._order
        while order and self._pending[order[0]].time < oldest:
            self._close(now)
        for key in self._early_line.older_than(oldest):
            del self._early[key]
            self.counts.orphans += 1
        self._closed.older_than(oldest)
        self._due = self._next_due()

    def _next_due(self) -> int:
        firsts = [line[1] for line in (self._early_line.first(), self._closed.first()) if line is not None]
        if self._order:
            firsts.append(self._pending[self._order[0]].time)
        return min(firsts) + self.horizon_ms if firsts else FAR

    def _close(self, now: int) -> None:
        key = self._order.popleft()
        if self._pending.pop(key).revision < 0:
            self.counts.unlabelled += 1
            self.unanswered -= 1
        self._closed.join(key, now)
        self._due = min(self._due, now + self.horizon_ms)
        while len(self._closed) > self.pending_max and (oldest := self._closed.first()) is not None:
            self._closed.leave(oldest[0])

    def waiting(self) -> Iterator[tuple[str, Pending]]:
        """Every entry, oldest first."""
        return ((key, self._pending[key]) for key in self._order)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(
            _State(
                self.counts,
                list(self.waiting()),
                [(key, since, self._early[key]) for key, since in self._early_line.entries()],
                list(self._closed.entries()),
            )
        )

    def restore(self, state: bytes) -> None:
        held = msgspec.msgpack.decode(state, type=_State)
        self.counts = held.counts
        self._pending = dict(held.pending)
        self.unanswered = sum(entry.revision < 0 for entry in self._pending.values())
        self._order = deque(key for key, _ in held.pending)
        self._early = {key: label for key, _, label in held.early}
        self._early_line = Line((key, since) for key, since, _ in held.early)
        self._closed = Line(held.closed)
        self._due = self._next_due()
