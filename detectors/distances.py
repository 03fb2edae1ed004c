"""How far two distributions lie apart, from counts by cell. Evidence for people: nothing is decided by it.

psi                population stability index: below 0.1 little, above 0.25 much, as the custom has it
jensen_shannon     Jensen-Shannon divergence to base 2: 0 for the same, 1 for nothing in common
wasserstein        how far values have to be moved, in standard deviations of the baseline
chi_square_p       how likely chance alone is to show as much (Pearson's test that both are the same)
"""

import math

import numpy as np
from numpy.typing import NDArray

from detectors.baseline import Row
from schemas.events import JsonScalar

VALUES_MIN = 100  # of fewer since the change, chance alone shows a large distance


def psi(before: Row, since: Row) -> float:
    """With half a value in each cell that either has met, so that one that is empty is not infinitely far."""
    met = _met(before, since)
    p, q = ((counts[met] + 0.5) / (counts.sum() + 0.5 * met.sum()) for counts in (before, since))
    return float(((q - p) * np.log(q / p)).sum())


def _met(before: Row, since: Row) -> NDArray[np.bool_]:
    """Of a number with few values most cells have none, and never will."""
    return before + since > 0.0


def jensen_shannon(before: Row, since: Row) -> float:
    p, q = before / before.sum(), since / since.sum()
    middle = (p + q) / 2.0
    return max(0.0, (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2.0)


def _relative_entropy(p: Row, q: Row) -> float:
    there = p > 0.0
    return float((p[there] * np.log2(p[there] / q[there])).sum())


def wasserstein(before: Row, since: Row, edges: Row, low: float, high: float) -> float:
    """The area between both distribution functions, each straight between two edges; nothing lies beyond the ends."""
    ends = np.concatenate(([min(low, edges[0])], edges, [max(high, edges[-1])]))
    apart = np.concatenate(([0.0], np.cumsum(since / since.sum() - before / before.sum())))
    apart[-1] = 0.0
    left, right = apart[:-1], apart[1:]
    total = np.abs(left) + np.abs(right)
    crossing = left * right < 0.0  # then it is two triangles
    area = np.where(crossing, (left**2 + right**2) / np.where(crossing, total, 1.0), total) / 2.0
    return float((area * np.diff(ends)).sum())


def chi_square_p(before: Row, since: Row) -> float:
    there = _met(before, since)
    table = np.array([before[there], since[there]])
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    return upper_gamma((table.shape[1] - 1) / 2.0, float(((table - expected) ** 2 / expected).sum()) / 2.0)


def upper_gamma(a: float, x: float) -> float:
    """The regularised upper incomplete gamma function: a series where x is small, else a continued fraction."""
    if a <= 0.0 or x <= 0.0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1.0:
        term = total = 1.0 / a
        n = a
        while abs(term) > 1e-16 * abs(total):
            n += 1.0
            term *= x / n
            total += term
        return max(0.0, 1.0 - front * total)
    # Lentz's way, as in Numerical Recipes 6.2.
    b = x + 1.0 - a
    c, d = 1e300, 1.0 / b
    fraction = d
    for i in range(1, 10_000):
        step = -i * (i - a)
        b += 2.0
        d = 1.0 / (step * d + b)
        c = b + step / c
        fraction *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return front * fraction


def told(before: Row, since: Row) -> dict[str, JsonScalar]:
    """For the evidence; nothing where there is too little to compare. ``shape_n``: the values since the change."""
    n, learned = float(since.sum()), float(before.sum())
    if n < VALUES_MIN or learned <= 0.0:
        return {}
    return {
        "psi": rounded(psi(before, since)),
        "psi_by_chance": rounded((int(_met(before, since).sum()) - 1) * (1.0 / n + 1.0 / learned)),
        "jensen_shannon": rounded(jensen_shannon(before, since)),
        "chi_square_p": rounded(chi_square_p(before, since)),
        "shape_n": int(n),
    }


def rounded(value: float) -> float:
    return float(f"{value:.4g}")
