"""What a Shiryaev-Roberts mixture does with values in which it looks for nothing: see ``detectors.banks.shiryaev``.

The first values of a column teach it, and those after its alarm are only counted, until it is to look again.
"""

import math

import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import Matrix
from detectors.banks.jit import compiled

Row = NDArray[np.float64]
Cube = NDArray[np.float64]
Places = NDArray[np.int64]

FIRST_MAX = 1_024  # values that the cuts and the correlation are found from
CORRELATED = 3.0  # standard errors of lag-one correlation

# What of a column's line of floats is needed here: see ``detectors.banks.shiryaev_steps``.
NEED, N, PHASE = 0, 1, 2
PHI, PREVIOUS, BEGAN, CLOCK, SEEN = 4, 5, 6, 7, 8
BLOCK_SUM, BLOCK_N, BLOCKS, BLOCK_SQUARES, SCORES, SQUARES = 13, 14, 15, 16, 17, 18
WHOLE = 23
FIRST, SECOND, LEARNED, WATCHED = 0.0, 1.0, 1.5, 2.0
BLOCK, CHUNK = 32, 128


@compiled
def _cut(line: Row, first: Row, cuts: Row, shares: Row) -> None:
    """The first values are there: what correlates them is found, and the cells are cut."""
    n = len(first)
    mean = first.mean()
    square = lagged = 0.0
    for i in range(n):
        square += (first[i] - mean) * (first[i] - mean)
        if i:
            lagged += (first[i] - mean) * (first[i - 1] - mean)
    phi = lagged / square if square > 0.0 else 0.0
    line[PHI] = phi if abs(phi) * math.sqrt(n) > CORRELATED else 0.0
    line[PREVIOUS] = first[n - 1]
    rest = first[1:] - line[PHI] * first[:-1] if line[PHI] != 0.0 else first.copy()
    rest.sort()
    reached = 0.0
    for cell in range(len(cuts)):
        reached += shares[cell]
        at = reached * len(rest) - 0.5
        low = min(max(math.floor(at), 0), len(rest) - 1)
        high = min(low + 1, len(rest) - 1)
        cuts[cell] = rest[low] + (rest[high] - rest[low]) * min(max(at - low, 0.0), 1.0)


@compiled
def _cell(cuts: Row, value: float) -> int:
    """Looking at all of them takes less time than a search that cannot be foreseen."""
    cell = 0
    for cut in cuts:
        cell += value > cut
    return cell


@compiled
def _score(line: Row, score: float) -> None:
    """How much longer the mean of a block wanders than that of independent values would."""
    line[SCORES] += score
    line[SQUARES] += score * score
    line[BLOCK_SUM] += score
    line[BLOCK_N] += 1.0
    if line[BLOCK_N] == BLOCK:
        line[BLOCKS] += 1.0
        line[BLOCK_SQUARES] += line[BLOCK_SUM] * line[BLOCK_SUM]
        line[BLOCK_SUM] = line[BLOCK_N] = 0.0


@compiled
def _place(line: Row, cuts: Row, value: float) -> int:
    """The cell of the value without what the value before says of it; of a bit, with it. -1: that one is not known."""
    before = line[PREVIOUS]
    line[PREVIOUS] = value
    if len(cuts) == 1:
        return (1 if value > cuts[0] else 0) + (2 if before > cuts[0] else 0)
    if line[PHI] == 0.0:
        return _cell(cuts, value)
    return -1 if np.isnan(before) else _cell(cuts, value - line[PHI] * before)


@compiled
def _learn(line: Row, value: float, buffer: Row, cuts: Row, counts: Row, scores: Row, shares: Row) -> None:
    """One of the first values."""
    if line[PHASE] == FIRST:
        buffer[int(line[N])] = value
        line[N] += 1.0
        if line[N] >= min(float(len(buffer)), line[NEED] // 2.0):
            first = buffer[: int(line[N])]
            _cut(line, first, cuts, shares)
            line[PHASE] = SECOND
            previous = np.nan
            for i in range(len(first)):
                if line[PHI] == 0.0 or i:
                    cell = _cell(cuts, buffer[i] - (line[PHI] * previous if line[PHI] != 0.0 else 0.0))
                    counts[cell] += 1.0
                    _score(line, scores[cell])
                previous = buffer[i]
                buffer[i] = 0.0
            line[N] = counts.sum()
            lost = len(first) - line[N]  # the first value, where one is held against the one before
            line[NEED] -= lost
            line[WHOLE] -= lost
        return
    cell = _place(line, cuts, value)
    counts[cell] += 1.0
    line[N] += 1.0
    _score(line, scores[cell])
    if line[N] >= line[NEED]:
        line[PHASE] = LEARNED


@compiled
def settle(
    places: Places, values: Matrix, clock: Row, buffer: Matrix, lines: Matrix, cuts: Matrix, counts: Matrix,
    scores: Row, shares: Row, chunks: Cube, ahead: int,
) -> None:  # fmt: skip
    """Goes on in each column from its place to where it is to be looked at, or to the end."""
    fold, spare = chunks.shape[2] < counts.shape[1], np.empty(0)
    for column in range(values.shape[1]):
        line, own_cuts = lines[column], cuts[column]
        first = buffer[column] if len(buffer) else spare
        row = places[column]
        while row < len(values) and line[PHASE] != LEARNED and line[PHASE] != WATCHED:
            value = values[row, column]
            if not np.isnan(value):
                if np.isnan(line[CLOCK]):
                    line[BEGAN] = clock[row]
                line[CLOCK] = clock[row]
                line[SEEN] += 1.0
                if line[PHASE] < WATCHED:
                    _learn(line, value, first, own_cuts, counts[column], scores, shares)
                else:
                    cell = _place(line, own_cuts, value)
                    place = max(cell >> 1 if fold else cell, 0)
                    chunks[(ahead + row) // CHUNK, column, place] += 1.0 if cell >= 0 else 0.0
            row += 1
        places[column] = row
