"""How the loss of the answers that a history holds went, in stretches of time of one level each.

Where the changes are known, stretches begin and end with them. Otherwise they are found with all labels at hand, long
after the fact: a level is another one where it differs by more than chance and by more than a floor.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.lifecycle import loss_floor

BLOCK = 32  # labelled predictions
BLOCKS_MAX = 2_000  # of a model: of longer histories blocks are larger
LEAST = 4  # blocks of a stretch
CERTAIN = 5.0  # standard errors, as the best of all places for a cut is looked for
USUAL_ROWS = 1_000  # the first so many losses show how they spread

_huge = np.errstate(over="ignore", invalid="ignore")  # answers whose squares are no number any more

Row = NDArray[np.float64]


class Plateau(NamedTuple):
    """Rows of the model's predictions, the last excluded, and the mean loss of what the history answered there."""

    first: int
    end: int
    level: float
    excess: float  # over what was usual in the first stretch; nothing where it is less


@_huge
def mean(known: Row, otherwise: float) -> float:
    """Of none it is ``otherwise``."""
    return float(known.mean()) if len(known) else otherwise


@_huge
def floor_of(losses: Row, *, rate: bool) -> float:
    """The smallest change of a mean loss that is worth a word, as the monitor has it."""
    return loss_floor(rate) * (1.0 if rate else float(np.std(losses[:USUAL_ROWS])))


def stretches(losses: Row, begins: Sequence[int]) -> list[Plateau]:
    """``losses``: of each prediction, not a number without a label. ``begins``: rows with which a new one begins."""
    edges = sorted({0, *(row for row in begins if 0 < row < len(losses)), len(losses)})
    found: list[Plateau] = []
    level, usual = 0.0, None
    for first, end in pairwise(edges):
        known = losses[first:end][~np.isnan(losses[first:end])]
        level = mean(known, level)
        usual = level if usual is None and len(known) else usual
        found.append(Plateau(first, end, level, max(0.0, level - (usual or 0.0))))
    return found


@_huge
def changes(losses: Row, *, rate: bool) -> list[int]:
    """The rows with which the level becomes another one."""
    rows = np.flatnonzero(~np.isnan(losses))
    size = max(BLOCK, -(-len(rows) // BLOCKS_MAX))
    count = len(rows) // size
    if count < 2 * LEAST:
        return []
    known = losses[rows]
    means = known[: count * size].reshape(count, size).mean(axis=1)
    cuts = sorted(_cuts(means, 0, floor_of(known, rate=rate)))
    return [int(rows[cut * size]) for cut in cuts]


def _cuts(means: Row, first: int, floor: float) -> list[int]:
    """Where these blocks are best cut in two, if at all; and so on with both parts."""
    count = len(means)
    if count < 2 * LEAST:
        return []
    left = np.arange(LEAST, count - LEAST + 1)
    sums = np.cumsum(means)
    before = sums[left - 1] / left
    after = (sums[-1] - sums[left - 1]) / (count - left)
    # From one block to the next, so that a change of level counts as spread only once.
    spread = float(np.sqrt(np.mean(np.diff(means) ** 2) / 2.0))
    certain = np.abs(after - before) / (max(spread, 1e-12) * np.sqrt(1.0 / left + 1.0 / (count - left)))
    best = int(np.argmax(certain))
    if not (certain[best] >= CERTAIN and abs(after[best] - before[best]) >= floor):  # not a number is no cut
        return []
    cut = int(left[best])
    return [first + cut, *_cuts(means[:cut], first, floor), *_cuts(means[cut:], first + cut, floor)]


def removed(excesses: Sequence[float], learned: Sequence[float]) -> list[float]:
    """By how much a version that was trained on these shares of the stretches loses less in each of them.

    In a later stretch it takes away as much as it has learned to; what comes on top of that stays.

    >>> removed([0.0, 0.2, 0.3, 0.0, 0.05], [0.0, 0.5, 0.0, 0.0, 0.0])
    [0.0, 0.1, 0.1, 0.0, 0.05]
    """
    able = 0.0
    found: list[float] = []
    for excess, share in zip(excesses, learned, strict=True):
        able = max(able, share * excess)
        found.append(min(excess, able))
    return found
