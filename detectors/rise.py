"""How much higher a loss is since a change, as far as whole blocks of it are remembered."""

import math
from typing import NamedTuple

from detectors.baseline import CLIP, Row, mostly_clipped
from detectors.group import Group

CERTAIN = 3.0  # standard errors from which a rise is one


class Rise(NamedTuple):
    """In shares, or in standard deviations."""

    effect: float
    values: int
    error: float  # one standard error where nothing has changed: it decides
    doubt: float = math.inf  # one standard error of the effect that there is: between which values it lies
    at_least: bool = False  # so many losses lie where they are cut that it is larger than is seen

    def certain(self, floor: float) -> bool:
        return self.effect >= max(floor, CERTAIN * self.error)


def rise_of(group: Group, row: int, before: float | None = None) -> Rise:
    """The loss is the first column of its group. Since this row it is so; ``before`` it was that, or as learned."""
    levels, counts = group.levels_since(0, row)
    values = float(counts.sum())
    if not values:
        return Rise(0.0, 0, math.inf)
    mean, learned = float(group.baseline.mean[0]), max(1.0, float(group.baseline.n[0]))
    before, unit = mean if before is None else before, 1.0 if group.rate else float(group.baseline.scale[0])
    effect = float((levels * counts).sum()) / values
    usual = min(max(before, 0.01), 0.99)
    usual_variance = usual * (1.0 - usual) if group.rate else 1.0
    error = usual_variance**0.5 * (1.0 / values + 1.0 / learned) ** 0.5
    if group.rate:
        effect /= 2.0
        share = ((mean + effect) * values + 1.0) / (values + 2.0)  # that was never seen is not known to be nothing
        variance = share * (1.0 - share)
    else:
        variance = _variance(levels, counts, effect, mean, float(group.baseline.scale[0]))
    cut = not group.rate and mostly_clipped(effect, variance**0.5)
    effect -= (before - mean) / unit
    return Rise(effect, int(values), error, (variance / values + usual_variance / learned) ** 0.5, cut)


def _variance(levels: Row, counts: Row, effect: float, mean: float, scale: float) -> float:
    """Of one value, in units of the baseline: larger losses vary more. Or more than that, as the blocks say."""
    larger = 1.0 + effect * scale / mean if mean > 0.0 else 1.0
    blocks = max(1, int((counts > 0.0).sum()) - 1)
    between = float((counts * (levels - effect) ** 2).sum()) / blocks
    return max(min(max(1.0, larger), CLIP) ** 2, between)
