"""How long it is usually quiet between one record and the next, and whether it is quiet for longer now.

The longest that a pause had lasted in each hour, on working days and on weekends, says what is usual there; that of the
hour before counts as well, as whoever comes at nine comes a little later at times. Silence is several times that.
Nothing is assumed of how records come: a model that is asked by a nightly job has pauses of a day.
"""

import msgspec

from detectors.calendar import DAY_MS, HOUR_MS, SLOTS, slot

FACTOR = 4  # times the longest pause that was usual
FACTOR_AT_FIRST = 8  # before a weekend must have been seen: a night of twelve hours, say, and a weekend of sixty
WEEK_MS = 8 * DAY_MS
LEAST_HISTORY_MS = 2 * DAY_MS
LEAST_RECORDS = 100
LEAST_MS = 60_000  # a shorter silence pages nobody
FORGETS = 64  # each day an hour forgets one part in so many: half of it in two months


class Limit(msgspec.Struct, frozen=True, array_like=True):
    """From how long on it is silence, and why."""

    ms: int
    usual_ms: int | None  # the longest pause; none where the limit was configured


class PausesState(msgspec.Struct, frozen=True, array_like=True):
    began: int
    last: int
    offset: int
    records: int
    longest: list[int]


class Pauses:
    """Of one sort of record of one model. ``after_ms``: as configured; else it is learned.

    ``usual_now``: a pause that ends now and is no longer than this is nothing new. Whoever sees one may take it in by
    setting ``last``, ``offset`` and ``records`` himself, as long as the hour lasts.
    """

    def __init__(self, after_ms: int | None = None) -> None:
        self.began = self.last = self.offset = -1
        self.records = 0
        self.usual_now = -1
        self._after_ms = after_ms
        self._longest = [0] * SLOTS
        self._hour_ends = 0

    def saw(self, now: int, offset: int, silence: Limit | None) -> None:
        """One more record. Where its pause was silence, it makes no longer a pause usual than was usual already."""
        if self.last < 0:
            self.began = self.last = now
        if now >= self._hour_ends:
            self._hour_ends = now - now % HOUR_MS + HOUR_MS
            self._longest[slot(now)] -= self._longest[slot(now)] // FORGETS
        if now - self.last > self.usual_now or now - self.last > now % HOUR_MS:
            self._learn(now, silence.ms if silence is not None else now - self.last)
        self.last, self.offset = now, offset
        self.records += 1
        self._see(now)

    def _learn(self, now: int, most: int) -> None:
        """How long the pause had lasted in each of its hours."""
        first = max(self.last - self.last % HOUR_MS, now - WEEK_MS)
        for began in range(first, now + 1, HOUR_MS):
            here, lasted = slot(began), min(began + HOUR_MS, now) - self.last
            self._longest[here] = max(self._longest[here], min(lasted, most))

    def _see(self, now: int) -> None:
        self.usual_now = self._longest[slot(now)]
        if self._after_ms is not None:
            self.usual_now = min(self.usual_now, self._after_ms)

    def limit(self, now: int) -> Limit | None:
        """How long a pause that lasts until now may be; none as long as that is not known."""
        if self.last < 0:
            return None
        if self._after_ms is not None:
            return Limit(self._after_ms, None)
        age = now - self.began
        if self.records < LEAST_RECORDS or self.last - self.began < LEAST_HISTORY_MS:
            return None
        known = self._longest[slot(now)], self._longest[slot(now - HOUR_MS)]
        usual = max(known) if all(known) else max(self._longest)
        factor = FACTOR if age >= WEEK_MS else FACTOR_AT_FIRST
        return Limit(max(LEAST_MS, factor * usual), usual)

    def silent(self, now: int) -> Limit | None:
        """The limit, where the pause is longer."""
        if now - self.last < LEAST_MS and self._after_ms is None:
            return None  # nearly always: a look that costs nothing
        limit = self.limit(now)
        return limit if limit is not None and now - self.last > limit.ms else None

    def state(self) -> PausesState:
        return PausesState(self.began, self.last, self.offset, self.records, list(self._longest))

    def restore(self, state: PausesState) -> None:
        self.began, self.last, self.offset, self.records = state.began, state.last, state.offset, state.records
        self._longest = list(state.longest)
        if len(self._longest) != SLOTS:
            raise ValueError(f"{len(self._longest)} hours are no week")
        if self.last >= 0:
            self._hour_ends = self.last - self.last % HOUR_MS + HOUR_MS
            self._see(self.last)
