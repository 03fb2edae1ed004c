"""How long it is usually quiet between one record and the next, and whether it is quiet for longer now.

The longest that a pause had lasted in each hour, on working days and on weekends, says what is usual there; that of the
hour before counts as well, as whoever comes at nine comes a little later at times. Silence is several times that.
Where records are few and come by chance, it is many times the mean pause of the hour besides. Nothing else is assumed
of how records come: a model that is asked by a nightly job has pauses of a day.
"""

import msgspec

from detectors.calendar import DAY_MS, HOUR_MS, SLOTS, slot
from schemas.times import UNIT_MS

FACTOR = 4  # times the longest pause that was usual
FACTOR_AT_FIRST = 8  # before a weekend must have been seen: a night of twelve hours, say, and a weekend of sixty
AT_FIRST_MS = 8 * DAY_MS
MEANS = 12  # times the mean pause of the hour: by chance one pause in 160,000 is longer
SEPARATE_MS = 28 * DAY_MS  # before, weekends have shown too little of themselves to be held against themselves alone
LEAST_HISTORY_MS = 2 * DAY_MS
LEAST_RECORDS = 100
LEAST_MS = UNIT_MS["m"]  # a shorter silence pages nobody
FORGETS = 64  # each day an hour forgets one part in so many of its longest: half of it in two months
MEMORY = 40  # hours: the mean number of records in an hour of the day is that of its last two months or so
WEEK_HOURS = 7 * 24


class Limit(msgspec.Struct, frozen=True, array_like=True):
    """From how long on it is silence, and why."""

    ms: int
    usual_ms: int | None  # the longest pause; none where the limit was configured


class PausesState(msgspec.Struct, frozen=True, array_like=True):
    began: int
    last: int
    offset: int
    records: int
    here: int
    hour_ends: int
    longest: list[int]
    means: list[float]
    taught: list[int]


class Pauses:
    """Of one sort of record of one model. ``after_ms``: as configured; else it is learned.

    ``usual_now``: a pause that ends now and is no longer than this is nothing new. Whoever sees one may take it in with
    ``saw_usual``, or set the same himself, until the hour ends.
    """

    def __init__(self, after_ms: int | None = None) -> None:
        self.began = self.last = self.offset = -1
        self.records = 0
        self.here = 0  # of these, those of the hour
        self.hour_ends = 0
        self.usual_now = -1
        self._after_ms = after_ms
        self._longest = [0] * SLOTS
        self._means = [0.0] * SLOTS  # records in an hour
        self._taught = [0] * SLOTS  # hours

    def saw(self, now: int, offset: int, believed_ms: int | None = None) -> None:
        """One more record. Where its pause was silence, no more of it than was ``believed`` to be usual becomes so."""
        if self.last < 0:
            self.began = self.last = now
            self.hour_ends = now - now % HOUR_MS + HOUR_MS
        if now >= self.hour_ends:
            self._end_hours(now, silent=believed_ms is not None)
        if now - self.last > self.usual_now or now - self.last > now % HOUR_MS:
            self._learn(now, now - self.last if believed_ms is None else believed_ms)
        self.last, self.offset = now, offset
        self.records += 1
        self.here += 1
        self._see(now)

    def saw_usual(self, number: int, newest: tuple[int, int]) -> None:
        """So many more that are nothing new. ``newest``: the time and offset of the last."""
        self.last, self.offset = newest
        self.records += number
        self.here += number

    def excuse(self, pause: int) -> None:
        """So long nothing could come."""
        if self.last >= 0:
            self.last += pause
            self._see(self.last)

    def _end_hours(self, now: int, *, silent: bool) -> None:
        """What is over teaches its mean; hours in which nothing came do, but for those of a silence."""
        ended, count = self.hour_ends, self.here
        self.here, self.hour_ends = 0, now - now % HOUR_MS + HOUR_MS
        self._longest[slot(now)] -= self._longest[slot(now)] // FORGETS
        for passed in range(min((self.hour_ends - ended) // HOUR_MS, 1 if silent else WEEK_HOURS)):
            hour = slot(ended - HOUR_MS + passed * HOUR_MS)
            self._taught[hour] = min(self._taught[hour] + 1, MEMORY)
            self._means[hour] += (count - self._means[hour]) / self._taught[hour]
            count = 0

    def _learn(self, now: int, most: int) -> None:
        """How long the pause had lasted in each of its hours."""
        first = max(self.last - self.last % HOUR_MS, now - WEEK_HOURS * HOUR_MS)
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
        if self.records < LEAST_RECORDS or self.last - self.began < LEAST_HISTORY_MS:
            return None
        age, hours = now - self.began, [slot(now), slot(now - HOUR_MS)]
        if age < SEPARATE_MS:
            hours += [hour % 24 for hour in hours]  # of a weekend as of working days; these come five times a week
        usual = max(self._longest[hour] for hour in hours)
        if not all(self._longest[hour] for hour in hours):
            usual = max(self._longest)
        factor = FACTOR if age >= AT_FIRST_MS else FACTOR_AT_FIRST
        means = [MEANS * HOUR_MS / self._means[hour] for hour in hours if self._means[hour] > 0.0]
        return Limit(max(LEAST_MS, factor * usual, *map(int, means)), usual)

    def silent(self, now: int) -> Limit | None:
        """The limit, where the pause is longer."""
        if now - self.last < LEAST_MS and self._after_ms is None:
            return None  # nearly always: a look that costs nothing
        limit = self.limit(now)
        return limit if limit is not None and now - self.last > limit.ms else None

    def state(self) -> PausesState:
        return PausesState(
            self.began,
            self.last,
            self.offset,
            self.records,
            self.here,
            self.hour_ends,
            self._longest,
            self._means,
            self._taught,
        )

    def restore(self, state: PausesState) -> None:
        if not len(state.longest) == len(state.means) == len(state.taught) == SLOTS:
            raise ValueError(f"{len(state.longest)} hours are no week")
        self.began, self.last, self.offset, self.records = state.began, state.last, state.offset, state.records
        self.here, self.hour_ends = state.here, state.hour_ends
        self._longest, self._means, self._taught = list(state.longest), list(state.means), list(state.taught)
        if self.last >= 0:
            self._see(self.last)
