"""How predictions come: twice, long before or after their time, and answered too slowly. Shares, a column each."""

from collections.abc import Collection, Sequence

import numpy as np

from detectors.banks.contract import Matrix
from detectors.encoding import Column
from detectors.moment import Item
from schemas.events import Kind
from schemas.times import to_ms

DUPLICATES, STALE, LATENCY = "duplicates", "stale", "latency"
# Watched from the first row on; how long an answer took is not said of every model.
ARRIVAL = (Column(DUPLICATES, Kind.DATA_QUALITY), Column(STALE, Kind.DATA_QUALITY))
SLOW = Column(LATENCY, Kind.LATENCY)


def arrived(rows: Sequence[Item], repeated: Collection[int], freshness_ms: int) -> Matrix:
    """Of each row, whether its like came again before it did, and whether its own time is far from its arrival."""
    sent = [row[3].ts for row in rows]
    if not {int}.issuperset(map(type, sent)):
        sent = list(map(to_ms, sent))
    matrix = np.zeros((len(rows), len(ARRIVAL)))
    matrix[list(repeated), 0] = 1.0
    matrix[:, 1] = np.abs(np.array([row[1] for row in rows]) - np.array(sent)) > freshness_ms
    return matrix


def slow(rows: Sequence[Item], objective_ms: int) -> Matrix:
    """Of each row, whether it took longer than it should; not a number where that is not said."""
    took = [row[3].latency_ms for row in rows]
    if all(ms is None for ms in took):
        return np.full((len(rows), 1), np.nan)
    return np.array([[np.nan if ms is None else float(ms > objective_ms)] for ms in took])
