"""How predictions come: twice, long before or after their time, and answered too slowly. Shares, a column each."""

from collections.abc import Collection

import numpy as np

from detectors.banks.contract import Matrix
from detectors.columns import numbers_of
from detectors.encoding import Column
from detectors.rows import Rows
from schemas.events import Kind

DUPLICATES, STALE, LATENCY = "duplicates", "stale", "latency"
# Watched from the first row on; how long an answer took is not said of every model.
ARRIVAL = (Column(DUPLICATES, Kind.DATA_QUALITY), Column(STALE, Kind.DATA_QUALITY))
SLOW = Column(LATENCY, Kind.LATENCY)


def arrived(rows: Rows, repeated: Collection[int], freshness_ms: int) -> Matrix:
    """Of each row, whether its like came again before it did, and whether its own time is far from its arrival."""
    matrix = np.zeros((len(rows), len(ARRIVAL)))
    matrix[list(repeated), 0] = 1.0
    matrix[:, 1] = np.abs(rows.times() - rows.sent()) > freshness_ms
    return matrix


def slow(rows: Rows, objective_ms: int) -> Matrix:
    """Of each row, whether it took longer than it should; not a number where that is not said."""
    told = rows.latencies()
    if not told:
        return np.full((len(rows), 1), np.nan)
    took = numbers_of(told)
    return np.where(np.isnan(took), np.nan, took > objective_ms).reshape(-1, 1)
