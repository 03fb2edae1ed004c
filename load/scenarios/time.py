"""When things happen on the generated day: how many predictions at which hour, and when a change is in force."""

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# A Monday at midnight, UTC. Fixed, because a seed must give the same bytes on every day.
DAY_STARTS_MS = 1_767_571_200_000
SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

# People sleep: the quietest hour has a quarter of the busiest one's volume.
BUSIEST_HOUR = 15
VOLUME_SWING = 0.6

# Changes do not come at the full hour; each start is moved by up to so much.
START_JITTER_MS = 20 * MINUTE_MS


def at_hour(hour: float) -> int:
    """Epoch milliseconds of an hour of the day."""
    return DAY_STARTS_MS + round(hour * HOUR_MS)


def jittered(rng: np.random.Generator, hour: float) -> int:
    """About that hour, to the second."""
    jitter = int(rng.integers(-START_JITTER_MS, START_JITTER_MS + 1))
    return (at_hour(hour) + jitter) // SECOND_MS * SECOND_MS


def arrivals(rng: np.random.Generator, count: int) -> Times:
    """So many moments of the day, in order, following the daily volume."""
    hours = np.linspace(0.0, 24.0, 24 * 60 + 1)
    rate = 1.0 + VOLUME_SWING * np.cos(2 * np.pi * (hours - BUSIEST_HOUR) / 24)
    steps = (rate[1:] + rate[:-1]) / 2
    share = np.concatenate(([0.0], np.cumsum(steps))) / steps.sum()
    hour = np.interp(np.sort(rng.random(count)), share, hours)
    times: Times = DAY_STARTS_MS + (hour * HOUR_MS).astype(np.int64)
    return times


def in_force(times: Times, starts_ms: int, ends_ms: int | None = None) -> Flags:
    """Which moments a sudden change covers."""
    flags: Flags = times >= starts_ms
    if ends_ms is not None:
        flags &= times < ends_ms
    return flags


def gradually_in_force(rng: np.random.Generator, times: Times, starts_ms: int, ramp_ms: int) -> Flags:
    """A change that reaches more and more of the traffic until it covers all of it."""
    progress = np.clip((times - starts_ms) / ramp_ms, 0.0, 1.0)
    flags: Flags = rng.random(len(times)) < progress
    return flags


def lognormal_delays(rng: np.random.Generator, count: int, median_ms: int, spread: float, longest_ms: int) -> Times:
    """Label delays: most come soon, some take hours, none longer than ``longest_ms``."""
    delays = median_ms * np.exp(spread * rng.standard_normal(count))
    bounded: Times = np.clip(delays, SECOND_MS, longest_ms).astype(np.int64)
    return bounded
