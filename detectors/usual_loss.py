"""What the losses of one monitor are usually like, and what they were like since a time."""

from typing import NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from detectors.baseline import CLIP
from detectors.cure import Moments, Unit
from detectors.explaining import Explainer
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
    base: float = 0.0  # what had become usual, from the baseline
    since: int = 0
    at: int = 0
    row: int = 0  # since when losses are so: the time is that of a mark, which may lie before it


def known_of(explainer: Explainer, about: About) -> Known | None:
    """What is usual, and whole blocks of what came since that time as far as they are remembered."""
    groups = explainer.watched.of_losses
    group = next((group for group in groups if any(one.signal == about.signal for one in group.columns)), None)
    if group is None or not group.baseline.ready(0):
        return None
    baseline = group.baseline
    mean, scale, n = float(baseline.mean[0]), float(baseline.scale[0]), int(baseline.n[0])
    first, _ = explainer.losses_since(about.since, about.at)
    levels, counts = group.levels_since(0, max(first, min(about.row, first + STRIDE)))
    if group.rate:
        ones = float(np.rint(((levels / 2.0 + mean) * counts).sum()))
        unit = Unit(True, scale, loss_floor(True), 1.0)
        return Known(unit, Moments.of(n, mean + about.base, 0.0), Moments(int(counts.sum()), ones, ones))
    with np.errstate(over="ignore", invalid="ignore"):
        means = mean + scale * levels
        spreads = scale * np.maximum(1.0, means / mean if mean > 0.0 else 1.0)  # larger losses vary more
        squares = float((counts * (means * means + spreads * spreads)).sum())
    usual = mean + about.base * scale
    unit = Unit(False, scale, loss_floor(False) * scale, mean + CLIP * scale)  # as blocks are cut
    return Known(
        unit, Moments.of(n, usual, scale * scale), Moments(int(counts.sum()), float((counts * means).sum()), squares)
    )
