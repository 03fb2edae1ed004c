"""How much comes, against what is usual at this hour, on working days and on weekends.

Counts of ten minutes teach each hour its mean. The last hour and the last six are held against the sum of these: the
logarithm of what came over what is usual is a *deviation*. It is news where it is twice as far from nothing as any that
has been seen before, and at least a doubling or a halving: so a model whose traffic is wild needs more to be news than
one that runs like a clock, and nobody says which is which.
"""

import math
from collections import deque
from typing import NamedTuple

import msgspec

from detectors.calendar import DAY_MS, SLOTS, slot

BIN_MS = 600_000
WINDOWS = (6, 36)  # bins: a large change in an hour, a smaller one in six
LEAST_EXPECTED = 30.0  # in a window: of fewer, chance alone makes half or double
LEAST_HISTORY_MS = 14 * DAY_MS  # two weekends
LEAST_BINS = 12  # that teach an hour before it is usual: two days
MEMORY = 240  # bins: an hour's mean is that of its last six weeks or so
FLOOR = math.log(2.0)
FACTOR = 2.0  # times the largest deviation that there was
FADES = 0.99 ** (BIN_MS / DAY_MS)  # of what was the largest: half of it is forgotten in ten weeks
PAUSE_MAX = 7 * DAY_MS // BIN_MS  # empty bins that are gone through; after a longer pause it is as after this


class Deviation(NamedTuple):
    bins: int
    seen: int
    usual: float
    log_ratio: float
    limit: float  # beyond which it is news: above nothing, or below

    @property
    def minutes(self) -> int:
        return self.bins * BIN_MS // 60_000

    @property
    def ratio(self) -> float:
        return (self.seen + 0.5) / (self.usual + 0.5)

    @property
    def news(self) -> bool:
        return abs(self.log_ratio) > abs(self.limit)


class VolumeState(msgspec.Struct, frozen=True, array_like=True):
    began: int
    bin_ends: int
    count: int
    usual: list[float]
    taught: list[int]
    recent: list[tuple[int, float]]
    extremes: list[float]
    peaks: list[float]


class Volume:
    """Of the predictions of one model. ``count``: those in the bin that is open."""

    def __init__(self) -> None:
        self.bin_ends = 0
        self._began = -1
        self.count = 0
        self._usual = [0.0] * SLOTS
        self._taught = [0] * SLOTS
        self._recent: deque[tuple[int, float]] = deque(maxlen=WINDOWS[-1])  # of bins: what came, what is usual
        self._extremes = [0.0] * (2 * len(WINDOWS))  # the largest deviation of each window, below and above
        self._peaks = list(self._extremes)  # of the one that is under way: it is usual only once it has gone by

    def begin(self, now: int) -> None:
        """The first record there ever was."""
        self._began = now
        self.bin_ends = now - now % BIN_MS + BIN_MS

    @property
    def begun(self) -> bool:
        return self._began >= 0

    def close_bins(self, now: int) -> list[Deviation]:
        """Ends the bins that are over and says what the last of them shows: a deviation for each window known.

        The means of hours follow whatever comes, slowly: what lasts for weeks is usual at last.
        """
        over = (now - self.bin_ends) // BIN_MS + 1
        shown: list[Deviation] = []
        for number in range(max(0, over - PAUSE_MAX), over):
            began = self.bin_ends + (number - 1) * BIN_MS
            count, self.count = self.count, 0
            shown = self._close(count, began)
        self.bin_ends += over * BIN_MS
        return shown

    def skip_bins(self, now: int) -> None:
        """Nothing came because of something that is told already: these hours teach nothing."""
        self.count = 0
        self._recent.clear()
        self._peaks = [0.0] * len(self._peaks)
        self.bin_ends = now - now % BIN_MS + BIN_MS

    def begin_anew(self) -> None:
        """What was news is over: the bins of it are not looked at again."""
        self._recent.clear()

    def _close(self, count: int, began: int) -> list[Deviation]:
        here = slot(began)
        usual = self._usual[here] if self._taught[here] >= LEAST_BINS else math.nan
        self._recent.append((count, usual))
        self._taught[here] = min(self._taught[here] + 1, MEMORY)
        self._usual[here] += (count - self._usual[here]) / self._taught[here]
        self._extremes = [FADES * each for each in self._extremes]
        shown = []
        for number, bins in enumerate(WINDOWS):
            seen, expected = self._sums(bins)
            if not expected >= LEAST_EXPECTED:  # nor where it is not known
                continue
            log_ratio = math.log((seen + 0.5) / (expected + 0.5))
            place = 2 * number + (log_ratio > 0)
            limit = max(FLOOR, FACTOR * self._extremes[place])
            self._follow(place, abs(log_ratio), limit)
            if began + BIN_MS - self._began >= LEAST_HISTORY_MS:
                shown.append(Deviation(bins, seen, expected, log_ratio, math.copysign(limit, log_ratio)))
        return shown

    def _follow(self, place: int, size: float, limit: float) -> None:
        """A deviation that has gone by was usual, as far as the limit: what was news is not usual at once."""
        self._peaks[place] = max(self._peaks[place], size)
        for each in (place, place ^ 1):
            if each != place or size < self._peaks[each] / 2.0:
                self._extremes[each] = max(self._extremes[each], min(self._peaks[each], limit))
                self._peaks[each] = 0.0

    def _sums(self, bins: int) -> tuple[int, float]:
        """What came in so many last bins, and what is usual; not a number where there is no knowing."""
        if len(self._recent) < bins:
            return 0, math.nan
        last = list(self._recent)[-bins:]
        return sum(count for count, _ in last), sum(usual for _, usual in last)

    def state(self) -> VolumeState:
        return VolumeState(
            self._began,
            self.bin_ends,
            self.count,
            self._usual,
            self._taught,
            list(self._recent),
            self._extremes,
            self._peaks,
        )

    def restore(self, state: VolumeState) -> None:
        if not len(state.usual) == len(state.taught) == SLOTS or not len(state.extremes) == len(state.peaks) == len(
            self._extremes
        ):
            raise ValueError(f"{len(state.usual)} hours are no week")
        self._began, self.bin_ends, self.count = state.began, state.bin_ends, state.count
        self._usual, self._taught, self._extremes = list(state.usual), list(state.taught), list(state.extremes)
        self._peaks = list(state.peaks)
        self._recent.extend(state.recent)
