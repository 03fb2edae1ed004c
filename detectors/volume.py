"""How much comes, against what is usual at this hour, on working days and on weekends.

Counts of ten minutes teach each hour its mean. The last hour, six hours and day are held against the sums of these: the
logarithm of what came over what is usual is a *deviation*. It is news where it is well beyond any that came before and
went by, and large: so a model whose traffic is wild needs more to be news than one that runs like a clock, and nobody
says which is which.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from detectors.calendar import DAY_MS, HOUR_MS, SLOTS, slot
from schemas.times import UNIT_MS

BIN_MS = 600_000
LEAST_EXPECTED = 30.0  # in a window: of fewer, chance alone makes half or double
LEAST_HISTORY_MS = 14 * DAY_MS  # two weekends
LEAST_BINS = 12  # that teach an hour before it is usual: two days
MEMORY = 240  # bins: an hour's mean is that of its last eight weeks or so
MEMORY_OF_NEWS = 40  # and of its last one or two where news is open: what lasts for a month is usual
FACTOR = 2.0  # times the largest deviation that there was
FADES = 0.99 ** (BIN_MS / DAY_MS)  # of what was the largest: half of it is forgotten in ten weeks
PAUSE_MAX = 7 * DAY_MS // BIN_MS  # empty bins that are gone through; after a longer pause it is as after this


class Window(NamedTuple):
    """``floor``: a ratio that nobody would want to be woken for, either way."""

    parts: int
    part_ms: int
    floor: float

    @property
    def minutes(self) -> int:
        return self.parts * self.part_ms // UNIT_MS["m"]


# An hour to be quick, a day for traffic that comes in a heap at some time of it.
WINDOWS = (Window(6, BIN_MS, 2.0), Window(6, HOUR_MS, 2.0), Window(24, HOUR_MS, 1.5))
_BINS, _HOURS = 6, 24  # parts that are kept


class Deviation(NamedTuple):
    window: Window
    seen: int
    usual: float
    log_ratio: float
    limit: float  # beyond which it is news: above nothing, or below

    @property
    def ratio(self) -> float:
        return (self.seen + 0.5) / (self.usual + 0.5)

    @property
    def news(self) -> bool:
        return abs(self.log_ratio) > abs(self.limit)

    @property
    def over(self) -> bool:
        """Whether it is nothing any more."""
        return abs(self.log_ratio) < math.log(self.window.floor) / 2.0


class VolumeState(msgspec.Struct, frozen=True, array_like=True):
    began: int
    bin_ends: int
    count: int
    usual: list[float]
    taught: list[int]
    bins: list[tuple[int, float]]
    hours: list[tuple[int, float]]
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
        # What came, and what is usual.
        self._bins: deque[tuple[int, float]] = deque(maxlen=_BINS)
        self._hours: deque[tuple[int, float]] = deque(maxlen=_HOURS)
        self._extremes = [0.0] * (2 * len(WINDOWS))  # the largest deviation of each window, below and above
        self._peaks = list(self._extremes)  # of the one that is under way: it is usual only once it has gone by

    def begin(self, now: int) -> None:
        """The first record there ever was."""
        self._began = now
        self.bin_ends = now - now % BIN_MS + BIN_MS

    @property
    def begun(self) -> bool:
        return self._began >= 0

    def due(self, now: int) -> bool:
        """Whether a bin is over that may say something. Before, bins may as well end with the next record."""
        return self.begun and now >= self.bin_ends and now - self._began >= LEAST_HISTORY_MS

    def close_bins(self, now: int, told: Callable[[], int | None]) -> Iterator[Sequence[Deviation]]:
        """Ends the bins that are over and says what each shows: a deviation for each window that is known.

        ``told``: the minutes of the window whose news is open. It is shown even where little is usual any more.
        """
        self.bin_ends += max(0, (now - self.bin_ends) // BIN_MS - PAUSE_MAX) * BIN_MS
        while now >= self.bin_ends:
            ended, count = self.bin_ends, self.count
            self.bin_ends, self.count = ended + BIN_MS, 0
            yield self._close(count, ended, told())

    def skip_bins(self, now: int) -> None:
        """Nothing came because of something that is told already: these hours teach nothing."""
        self.count = 0
        self.begin_anew()
        self._peaks = [0.0] * len(self._peaks)
        self.bin_ends = now - now % BIN_MS + BIN_MS

    def begin_anew(self) -> None:
        """What was news is over: the hours of it are not looked at again."""
        self._bins.clear()
        self._hours.clear()

    def _close(self, count: int, ended: int, told: int | None) -> list[Deviation]:
        here = slot(ended - BIN_MS)
        self._bins.append((count, self._usual[here] if self._taught[here] >= LEAST_BINS else math.nan))
        self._taught[here] = min(self._taught[here] + 1, MEMORY if told is None else MEMORY_OF_NEWS)
        self._usual[here] += (count - self._usual[here]) / self._taught[here]
        self._extremes = [FADES * each for each in self._extremes]
        whole_hour = ended % HOUR_MS == 0 and len(self._bins) == _BINS
        if whole_hour:
            self._hours.append(_sums(self._bins, _BINS))
        shown = []
        for number, window in enumerate(WINDOWS):
            if window.part_ms == HOUR_MS and not whole_hour:
                continue
            seen, usual = _sums(self._bins if window.part_ms == BIN_MS else self._hours, window.parts)
            if not usual >= (0.0 if window.minutes == told else LEAST_EXPECTED):  # nor where it is not known
                continue
            log_ratio = math.log((seen + 0.5) / (usual + 0.5))
            place = 2 * number + (log_ratio > 0)
            limit = max(math.log(window.floor), FACTOR * self._extremes[place])
            known = ended - self._began >= LEAST_HISTORY_MS
            self._follow(place, abs(log_ratio), limit if known else math.inf)
            if known:
                shown.append(Deviation(window, seen, usual, log_ratio, math.copysign(limit, log_ratio)))
        return shown

    def _follow(self, place: int, size: float, limit: float) -> None:
        """A deviation that has gone by was usual, as far as the limit: what was news is not usual at once."""
        self._peaks[place] = max(self._peaks[place], size)
        for each in (place, place ^ 1):
            if each != place or size < self._peaks[each] / 2.0:
                self._extremes[each] = max(self._extremes[each], min(self._peaks[each], limit))
                self._peaks[each] = 0.0

    def state(self) -> VolumeState:
        return VolumeState(
            self._began,
            self.bin_ends,
            self.count,
            self._usual,
            self._taught,
            list(self._bins),
            list(self._hours),
            self._extremes,
            self._peaks,
        )

    def restore(self, state: VolumeState) -> None:
        if not len(state.usual) == len(state.taught) == SLOTS:
            raise ValueError(f"{len(state.usual)} hours are no week")
        if not len(state.extremes) == len(state.peaks) == len(self._extremes):
            raise ValueError(f"{len(state.extremes)} extremes are not those of {len(WINDOWS)} windows")
        self._began, self.bin_ends, self.count = state.began, state.bin_ends, state.count
        self._usual, self._taught = list(state.usual), list(state.taught)
        self._extremes, self._peaks = list(state.extremes), list(state.peaks)
        self._bins.extend(state.bins)
        self._hours.extend(state.hours)


def _sums(parts: deque[tuple[int, float]], number: int) -> tuple[int, float]:
    """Of so many last parts; not a number where there is no knowing."""
    if len(parts) < number:
        return 0, math.nan
    last = list(parts)[-number:]
    return sum(count for count, _ in last), sum(usual for _, usual in last)
