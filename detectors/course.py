"""How a change came: at once or little by little, told from the means of blocks of rows, or not at all."""

import math
from enum import StrEnum

import numpy as np

from detectors.baseline import BLOCK, Row

AFTER_MIN, BLOCKS_MIN = 4, 8  # blocks since the change, and with those before it: fewer look like either
MARGIN = 3.0  # nats by which one must be likelier than the other to be told
MIXED = 1.5  # nats that a step gains by chance from the block in whose middle it may be
AT_ONCE = 2 * BLOCK  # values: what is certain to have changed within them did not do so little by little


class Course(StrEnum):
    SUDDEN = "sudden"
    GRADUAL = "gradual"
    SPIKE = "spike"  # it was over soon
    RECURRING = "recurring"  # it was there before, and went by itself


def course(levels: Row, counts: Row) -> Course | None:
    """``levels``: of blocks, oldest first, from what was normal before; a block counts as much as it has values."""
    there = counts > 0
    y, weights = levels[there], counts[there]
    if len(y) < BLOCKS_MIN:
        return None
    step = _best(y, weights, np.ones(len(y)), mixed=1)
    ramp = _best(y, weights, np.arange(len(y), dtype=np.float64) + 0.5, mixed=0)
    likelier = 0.5 * len(y) * math.log((ramp[0] + 1e-9) / (step[0] + 1e-9))
    likelier -= MIXED if likelier > 0.0 else 0.0
    _, first = step if likelier > 0.0 else ramp
    if abs(likelier) < MARGIN or len(y) - first < AFTER_MIN:
        return None
    return Course.SUDDEN if likelier > 0.0 else Course.GRADUAL


def _best(y: Row, weights: Row, shape: Row, *, mixed: int) -> tuple[float, int]:
    """With which block a change of such a shape would have begun, and the squares that it leaves."""
    return min((_left(y, weights, shape[: len(y) - first], first, mixed), first) for first in range(len(y)))


def _left(y: Row, weights: Row, shape: Row, first: int, mixed: int) -> float:
    """The squares that are left where nothing changes before a block, and from it on what is seen is of a shape.

    ``mixed`` blocks before it may be of both: what changes at once does so in the middle of a block.
    """
    since, heavy, usual = y[first:], weights[first:], max(0, first - mixed)
    size = (heavy * since * shape).sum() / (heavy * shape * shape).sum()
    before = (weights[:usual] * y[:usual] ** 2).sum()
    return float(before + (heavy * (since - size * shape) ** 2).sum())
