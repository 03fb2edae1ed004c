"""What the losses of one monitor are usually like, and what they were like since a time."""

import math
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from detectors.baseline import CLIP
from detectors.cure import Moments, Unit
from detectors.explaining import Explainer
from detectors.group import Group
from detectors.lifecycle import loss_floor
from detectors.timeline import STRIDE

LOSSES = "loss", "log_loss"


class Known(msgspec.Struct, array_like=True, frozen=True):
    unit: Unit
    usual: Moments
    lately: Moments

    def copy(self) -> "Known":
        return Known(self.unit, replace(self.usual), replace(self.lately))


class About(NamedTuple):
    """Losses by this signal since a time and a row of them, as far as they have come by a place in the batch."""

    signal: str
    base: float | None = 0.0  # what had become usual, from the baseline; none: what these losses were before that time
    since: int = 0
    at: int = 0
    row: int = 0  # since when losses are so: the time is that of a mark, which may lie before it

    def of_part(self, rate: bool) -> "About":
        """Of a segment's losses. Its rows are others, and its baseline was learned at another time.

        So where what is usual has moved since the whole's was learned, it is not known how far it has from the part's:
        then its own losses before that time say what was usual.
        """
        moved = self.base is not None and abs(self.base) > loss_floor(rate)
        return self._replace(row=0, base=None if moved else self.base)


def known_of(explainer: Explainer, about: About) -> Known | None:
    """What is usual, and whole blocks of what came since that time as far as they are remembered."""
    groups = explainer.watched.of_losses
    group = next((group for group in groups if any(one.signal == about.signal for one in group.columns)), None)
    if group is None or not group.baseline.ready(0):
        return None
    baseline = group.baseline
    mean, scale = float(baseline.mean[0]), float(baseline.scale[0])
    first, _ = explainer.losses_since(about.since, about.at)
    levels, counts = group.levels_since(0, max(first, min(about.row, first + STRIDE)))
    usual = _usual(group, about.base, first)
    if group.rate:
        ones = float(np.rint(((levels / 2.0 + mean) * counts).sum()))
        return Known(Unit(True, scale, loss_floor(True), 1.0), usual, Moments(int(counts.sum()), ones, ones))
    with np.errstate(over="ignore", invalid="ignore"):
        means = mean + scale * levels
        spreads = scale * np.maximum(1.0, means / mean if mean > 0.0 else 1.0)  # larger losses vary more
        squares = float((counts * (means * means + spreads * spreads)).sum())
    unit = Unit(False, scale, loss_floor(False) * scale, mean + CLIP * scale)  # as blocks are cut
    return Known(unit, usual, Moments(int(counts.sum()), float((counts * means).sum()), squares))


def _usual(group: Group, base: float | None, first: int) -> Moments:
    """What was usual before this row, of no losses where nothing says it."""
    mean, scale, n = float(group.baseline.mean[0]), float(group.baseline.scale[0]), int(group.baseline.n[0])
    unit, variance, highest = (1.0, 0.0, 1.0) if group.rate else (scale, scale * scale, math.inf)
    if base is None:
        levels, counts = group.levels_before(0, first)
        n = int(counts.sum())
        base = float((levels * counts).sum()) / max(1, n) / (2.0 if group.rate else 1.0)
    return Moments.of(n, min(max(mean + base * unit, 0.0), highest), variance)
