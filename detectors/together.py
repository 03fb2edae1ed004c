"""What no single feature shows: how far a row lies from what the features were like together.

Once the numbers of a monitor are standardised, rows in which all of them are there teach their covariance. From then on
each such row has a distance from it, Mahalanobis', as a logarithm. While nothing changes the distances are distributed
alike; where features that went together no longer do, or the other way round, they move or spread, and the detectors
see them as they see any other number.
"""

import math

import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import Matrix, StateError
from detectors.banks.jit import compiled

Row = NDArray[np.float64]

SIGNAL = "features together"
FEATURES_MAX = 24  # the first so many: memory and time grow with their square
ROWS_A_FEATURE = 20  # rows that teach a covariance, at least
STIFFEST = 0.05  # the least variance: what was constant is no measure of what goes with it
SHRUNK = 0.02  # of the way to no correlation: features that are sums of others leave no covariance to invert
_NEED, _N = 0, 1
_HEAD = 2


class Together:
    """``known``: the rows that teach it and have; then means, sums of products, and their inverted root."""

    __slots__ = ("_known", "_rows", "_width")

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._width = 0  # of features, once there are any to look at together
        self._known: Row = np.zeros(0)

    @property
    def width(self) -> int:
        return self._width

    def begin(self, features: int) -> None:
        """The features are known now; those that come later are not looked at together with them."""
        self._width = min(features, FEATURES_MAX)
        self._known = np.zeros(_HEAD + self._width + 2 * self._width**2)
        self._known[_NEED] = max(self._rows, ROWS_A_FEATURE * self._width)

    def begin_again(self) -> None:
        """What has not learned enough forgets that."""
        if self._known[_N] < self._known[_NEED]:
            self.begin(self._width)

    def distances(self, standardised: Matrix) -> Matrix:
        """Of rows of these features, a column; ``nan`` where one is missing, or the covariance is not learned yet."""
        out = np.full((len(standardised), 1), np.nan)
        if self._width:
            width, first = self._width, _HEAD + self._width
            means = self._known[_HEAD:first]
            products = self._known[first : first + width**2].reshape(width, width)
            root = self._known[first + width**2 :].reshape(width, width)
            _measure(np.ascontiguousarray(standardised), self._known, means, products, root, out)
        return out

    def numbers(self) -> Row:
        return np.concatenate(([float(self._width)], self._known))

    def restore(self, numbers: Row) -> None:
        width = int(numbers[0]) if len(numbers) else -1
        if not 0 <= width <= FEATURES_MAX or len(numbers) - 1 != (_HEAD + width + 2 * width**2 if width else 0):
            raise StateError(f"{len(numbers)} numbers are no covariance of features")
        self._width, self._known = width, numbers[1:].copy()


@compiled
def _invert(products: Matrix, n: float, root: Matrix) -> None:
    """``root``: the inverse of the lower triangle whose square is the covariance."""
    width = len(products)
    lower = np.zeros((width, width))
    for i in range(width):
        for j in range(i + 1):
            value = products[i, j] / (n - 1.0)
            if i == j:
                value = max(value, STIFFEST)
            else:
                value *= 1.0 - SHRUNK
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            lower[i, j] = math.sqrt(max(value, 1e-9)) if i == j else value / lower[j, j]
    for j in range(width):
        root[j, j] = 1.0 / lower[j, j]
        for i in range(j + 1, width):
            total = 0.0
            for k in range(j, i):
                total += lower[i, k] * root[k, j]
            root[i, j] = -total / lower[i, i]


@compiled
def _measure(x: Matrix, known: Row, means: Row, products: Matrix, root: Matrix, out: Matrix) -> None:
    """Row by row, so that no cut of the rows can change the order of an addition."""
    width = x.shape[1]
    away = np.empty(width)
    for row in range(x.shape[0]):
        whole = True
        for i in range(width):
            whole = whole and not np.isnan(x[row, i])
        if not whole or width < len(means):
            continue
        if known[_N] < known[_NEED]:
            known[_N] += 1.0
            for i in range(width):
                away[i] = x[row, i] - means[i]
                means[i] += away[i] / known[_N]
            for i in range(width):
                for j in range(i + 1):
                    products[i, j] += away[i] * (x[row, j] - means[j])
            if known[_N] == known[_NEED]:
                _invert(products, known[_N], root)
            continue
        distance = 0.0
        for i in range(width):
            part = 0.0
            for j in range(i + 1):
                part += root[i, j] * (x[row, j] - means[j])
            distance += part * part
        out[row, 0] = math.log(distance + 1e-12)
