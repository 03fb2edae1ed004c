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
from collections.abc import Iterator
from enum import StrEnum

import msgspec

Label = float | str | bool

# Outcomes that wait for their prediction. A producer that sends only outcomes must not fill the memory.
EARLY_MAX = 100_000


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
    early: list[tuple[str, Labelled]]
    closed: list[tuple[str, int]]


class Join:
    """Pending predictions of one model and role, oldest first."""

    def __init__(self, horizon_ms: int, pending_max: int) -> None:
        self.horizon_ms = horizon_ms
        self.pending_max = pending_max
        self.counts = JoinCounts()
        self._pending: dict[str, Pending] = {}
        self._order: deque[str] = deque()  # ids of `_pending` by time: a dict is slow to pop from its front
        self._early: dict[str, Labelled] = {}
        self._early_order: deque[tuple[int, str]] = deque()
        self._closed: dict[str, int] = {}  # ids past their horizon, for one more horizon: what comes now is late
        self._closed_order: deque[str] = deque()

    @property
    def pending(self) -> int:
        return len(self._pending)

    @property
    def early(self) -> int:
        return len(self._early)

    def predict(self, key: str, entry: Pending) -> tuple[Fate, Labelled | None]:
        """Takes in a prediction; a label that was waiting for it comes back with it."""
        self.expire(entry.time)
        known = self._pending.get(key)
        if known is not None:
            return (Fate.DUPLICATE if known.fingerprint == entry.fingerprint else Fate.CONFLICT), None
        if len(self._pending) >= self.pending_max:
            self.counts.evicted += 1
            self._close(entry.time)
        self._pending[key] = entry
        self._order.append(key)
        if self._early:
            return Fate.APPLIED, self._meet(key, entry)
        return Fate.APPLIED, None

    def _meet(self, key: str, entry: Pending) -> Labelled | None:
        label = self._early.pop(key, None)
        if label is not None:
            entry.revision = label.revision
            self.counts.joined += 1
        return label

    def label(self, key: str, label: Labelled) -> tuple[Fate, Pending | None]:
        """Takes in an outcome; the prediction it belongs to comes back where the label tells something new."""
        self.expire(label.time)
        entry = self._pending.get(key)
        if entry is None:
            return self._early_or_late(key, label), None
        if label.revision <= entry.revision:
            return Fate.DUPLICATE, None
        if entry.revision < 0:
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
        if len(self._early) >= EARLY_MAX:
            self._drop_oldest_early()
        self._early[key] = label
        self._early_order.append((label.time, key))
        return Fate.APPLIED

    def _drop_oldest_early(self) -> None:
        # The order keeps ids whose prediction has come since; those are skipped.
        while self._early_order:
            _, key = self._early_order.popleft()
            if self._early.pop(key, None) is not None:
                self.counts.early_evicted += 1
                return

    def expire(self, now: int) -> None:
        """Ends what has waited past the horizon. Costs two comparisons where nothing has."""
        oldest = now - self.horizon_ms
        order = self._order
        while order and self._pending[order[0]].time < oldest:
            self._close(now)
        while self._early_order and self._early_order[0][0] < oldest:
            _, key = self._early_order.popleft()
            if self._early.pop(key, None) is not None:
                self.counts.orphans += 1
        closed = self._closed_order
        while closed and (self._closed[closed[0]] < oldest or len(closed) > self.pending_max):
            del self._closed[closed.popleft()]

    def _close(self, now: int) -> None:
        key = self._order.popleft()
        if self._pending.pop(key).revision < 0:
            self.counts.unlabelled += 1
        if key not in self._closed:
            self._closed_order.append(key)
        self._closed[key] = now

    def waiting(self) -> Iterator[tuple[str, Pending]]:
        """Every entry, oldest first."""
        return ((key, self._pending[key]) for key in self._order)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(
            _State(
                self.counts,
                list(self.waiting()),
                [(key, self._early[key]) for _, key in self._early_order if key in self._early],
                [(key, self._closed[key]) for key in self._closed_order],
            )
        )

    def restore(self, state: bytes) -> None:
        held = msgspec.msgpack.decode(state, type=_State)
        self.counts = held.counts
        self._pending = dict(held.pending)
        self._order = deque(key for key, _ in held.pending)
        self._early = dict(held.early)
        self._early_order = deque((label.time, key) for key, label in held.early)
        self._closed = dict(held.closed)
        self._closed_order = deque(key for key, _ in held.closed)
