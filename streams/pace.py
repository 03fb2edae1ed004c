"""When a partition commits: seldom enough to cost a bounded share of the time, often enough that alerts are quick."""

import math
from collections.abc import Callable
from time import monotonic

# All partitions of a worker together commit for about a tenth of the time: what is written once for many batches costs
# little more than for one. Where that would make them rest for longer than a second, events are more urgent, until
# commits take a quarter of the time: with many thousands of models, most of what they write is written once a commit.
# Somebody waits for what is urgent: before it, commits rest no longer than they take. Should it rain alerts, they take
# half of the time. However slow a disk is, the rest is not long enough to be taken for the end of all commits.
REST_OF_DURATION = 9
REST_S_MAX = 1.0
REST_OF_LONG_DURATION = 3
REST_OF_DURATION_URGENT = 1
REST_OF_STALL = 1 / 6
RECORDS_MAX = 50_000  # what a crash may have to apply again, and what waits in memory to be written
EFFECT_BYTES_MAX = 16 * 1024 * 1024  # dead letters carry whole records: a flood of them must not pile up

Clock = Callable[[], float]


class Pace:
    def __init__(
        self,
        interval_s: float,
        clock: Clock = monotonic,
        *,
        sharers: Callable[[], int] = lambda: 1,
        stall_s: float = math.inf,
    ) -> None:
        """``sharers``: the partitions that commit in the same process. ``stall_s``: how long it may be without one."""
        self._interval_s = interval_s
        self._rest_s_max = REST_OF_STALL * stall_s
        self._sharers = sharers
        self._clock = clock
        self._rest_until = clock() + interval_s
        self._rest_until_urgent = clock()
        self._urgent = False
        self._records = 0
        self._effect_bytes = 0

    def took(self, records: int, effect_bytes: int, *, urgent: bool = False) -> None:
        self._records += records
        self._urgent = self._urgent or urgent
        self._effect_bytes += effect_bytes

    @property
    def due(self) -> bool:
        """Whether it is time, should there be something to commit."""
        if self._records >= RECORDS_MAX or self._effect_bytes >= EFFECT_BYTES_MAX:
            return True
        return self._clock() >= (self._rest_until_urgent if self._urgent else self._rest_until)

    def committed(self, took_s: float) -> int:
        """Returns how many records the commit was for."""
        records, self._records, self._effect_bytes, self._urgent = self._records, 0, 0, False
        all_took_s = took_s * self._sharers()
        rest_s = min(REST_OF_DURATION * all_took_s, max(REST_S_MAX, REST_OF_LONG_DURATION * all_took_s))
        now = self._clock()
        self._rest_until = now + max(self._interval_s, min(rest_s, self._rest_s_max))
        self._rest_until_urgent = now + min(REST_OF_DURATION_URGENT * all_took_s, self._rest_s_max)
        return records
