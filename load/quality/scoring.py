"""Alarms against the truth: one latched alarm a drift counts, and every alarm elsewhere is false."""

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from streams.scoring import ALWAYS_EVERY, f1


class Score(NamedTuple):
    """Of one stream."""

    delays: list[int]  # rows, of each drift that was found
    missed: int
    false: int


def score(alarms: Sequence[int], drifts: Sequence[tuple[int, int]]) -> Score:
    """``drifts`` are the rows at which each begins and at which the interval ends in which an alarm finds it."""
    delays = []
    false = sum(not any(start <= alarm < end for start, end in drifts) for alarm in alarms)
    for start, end in drifts:
        first = next((alarm for alarm in alarms if start <= alarm < end), None)
        if first is not None:
            delays.append(first - start)
    return Score(delays, len(drifts) - len(delays), false)


def summed(scores: Sequence[Score]) -> dict[str, Any]:
    """Of many streams: a drift that was missed is not in the delay, and counts against F1."""
    delays = [delay for each in scores for delay in each.delays]
    found, missed, false = len(delays), sum(each.missed for each in scores), sum(each.false for each in scores)
    return {
        "delay": round(statistics.median(delays), 1) if delays else None,
        "missed": missed,
        "false": false,
        "false_per_stream": round(false / len(scores), 3),
        "f1": f1(found, missed, false),
        "streams": len(scores),
    }


def always(rows: int, drifts: Sequence[tuple[int, int]]) -> Score:
    """What a detector would score that fires all the time: what is not better than this has seen nothing."""
    return score(range(0, rows, ALWAYS_EVERY), drifts)


def never(drifts: Sequence[tuple[int, int]]) -> Score:
    return score([], drifts)
