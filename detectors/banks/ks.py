"""Kolmogorov and Smirnov's distance between a kept reference and the newest values, for many columns at once.

dos Reis, D. M., Flach, P., Matwin, S. and Batista, G. (2016): Fast unsupervised online drift detection using
incremental Kolmogorov-Smirnov test. KDD, 1545-1554.

The first ``reference`` values of a column are kept, sorted. They cut the line into points and the gaps between them,
and a tree over both holds how much further the reference has come there than the window, as whole numbers: so the
distance is exact, ties included, and a value that comes and the one that goes change a path of the tree each.

A report says that the distance is larger than two samples of one distribution show with probability ``alpha``, for one
look. The window is looked at after each of its values, so reports on values that never change are more frequent than
that; an alarm with a budget is another detector's: see ``detectors.banks.shiryaev``.
"""

import math

import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import Finding, Matrix, StateError
from detectors.banks.jit import compiled
from detectors.banks.matrix import checked, checked_column, findings
from detectors.banks.packed import pack, unpack
from detectors.banks.sealed import Parameters, name_of, unseal

Row = NDArray[np.float64]
Tree = NDArray[np.int32]  # nodes x (sum, largest prefix sum, smallest prefix sum)

_SEEN, _PLACE, _FILLED = 0, 1, 2  # values of the reference, where the next one of the window goes, how many it has
_LINE = 3
_SUM, _MOST, _LEAST = 0, 1, 2


class KsBank:
    """A column that has reported forgets everything: what comes next is its reference."""

    kind = "ks"
    __slots__ = ("_lines", "_name", "_parameters", "_references", "_size", "_trees", "_windows")

    def __init__(self, columns: int = 0, *, alpha: float = 0.001, reference: int = 500, window: int = 250) -> None:
        self._parameters: Parameters = {"alpha": alpha, "reference": reference, "window": window}
        self._name = name_of(self.kind, self._parameters)
        self._size = 1 << (2 * reference).bit_length()  # leaves: the gap before each point, the point, the last gap
        self._lines: Matrix = np.zeros((0, _LINE))
        self._references: Matrix = np.zeros((0, reference))
        self._windows: Matrix = np.zeros((0, window))
        self._trees: Tree = np.zeros((0, 2 * self._size, 3), dtype=np.int32)
        self.grow(columns)

    @property
    def columns(self) -> int:
        return len(self._lines)

    @property
    def threshold(self) -> float:
        """Of the distance, at ``alpha``: the two-sample bound for large samples, which is wide for small ones."""
        reference, window = float(self._parameters["reference"]), float(self._parameters["window"])
        return math.sqrt(
            -0.5 * math.log(float(self._parameters["alpha"]) / 2.0) * (reference + window) / reference / window
        )

    def distance(self, column: int) -> float:
        """Between reference and window as they are; ``nan`` before both are full."""
        line = self._lines[checked_column(column, self.columns)]
        if line[_FILLED] < self._windows.shape[1]:
            return math.nan
        return _distance(self._trees[column], self._references.shape[1] * self._windows.shape[1])

    def fresh(self, columns: int) -> "KsBank":
        return KsBank(columns, **self._parameters)  # type: ignore[arg-type]

    def grow(self, columns: int) -> None:
        more = max(0, columns - self.columns)
        self._lines = np.concatenate((self._lines, np.zeros((more, _LINE))))
        self._references = np.concatenate((self._references, np.zeros((more, self._references.shape[1]))))
        self._windows = np.concatenate((self._windows, np.zeros((more, self._windows.shape[1]))))
        self._trees = np.concatenate((self._trees, np.zeros((more, *self._trees.shape[1:]), dtype=np.int32)))

    def update(self, values: Matrix) -> list[Finding]:
        matrix = checked(values, self.columns)
        return findings(
            _advance(matrix, self._lines, self._references, self._windows, self._trees, self._size, self.threshold)
        )

    def reset(self, column: int) -> None:
        self._lines[checked_column(column, self.columns)] = 0.0

    def snapshot(self) -> bytes:
        """The trees follow from the rest."""
        return self._name + pack(np.concatenate([part.ravel() for part in self._kept()]))

    def _kept(self) -> tuple[Matrix, Matrix, Matrix]:
        return self._lines, self._references, self._windows

    def restore(self, state: bytes) -> None:
        flat = unpack(unseal(state, self._name, self.kind, self._parameters))
        widths = [part.shape[1] for part in self._kept()]
        columns, left = divmod(len(flat), sum(widths))
        if left:
            raise StateError(f"{self.kind}: {len(flat)} numbers are no whole columns")
        ends = np.cumsum([columns * width for width in widths])[:-1]
        lines, references, windows = (part.reshape(columns, -1).copy() for part in np.split(flat, ends))
        if not _sound(lines, references.shape[1], windows.shape[1]):
            raise StateError(f"{self.kind}: the counts in this state do not add up")
        trees: Tree = np.zeros((columns, 2 * self._size, 3), dtype=np.int32)
        for line, reference, window, tree in zip(lines, references, windows, trees, strict=True):
            if line[_SEEN] == len(reference):
                _plant(reference, len(window), tree, self._size)
                for value in window[: int(line[_FILLED])]:
                    _add(tree, self._size, _leaf(reference, value), -len(reference))
        self._lines, self._references, self._windows, self._trees = lines, references, windows, trees


def _sound(lines: Matrix, reference: int, window: int) -> bool:
    whole = bool((lines >= 0).all() and (lines == np.floor(lines)).all())
    return whole and bool(
        (lines[:, _SEEN] <= reference).all()
        and (lines[:, _FILLED] <= window).all()
        and (lines[:, _PLACE] < window).all()
    )


@compiled
def _leaf(reference: Row, value: float) -> int:
    """An odd one is a point of the reference, an even one the gap before it. Equal points share the first's."""
    low, high = 0, len(reference)
    while low < high:
        middle = (low + high) // 2
        if reference[middle] < value:
            low = middle + 1
        else:
            high = middle
    return 2 * low + 1 if low < len(reference) and reference[low] == value else 2 * low


@compiled
def _add(tree: Tree, size: int, leaf: int, by: int) -> None:
    node = size + leaf
    tree[node, _SUM] += by
    tree[node, _MOST] = tree[node, _SUM]
    tree[node, _LEAST] = tree[node, _SUM]
    node //= 2
    while node:
        left, right = 2 * node, 2 * node + 1
        total = tree[left, _SUM]
        tree[node, _SUM] = total + tree[right, _SUM]
        tree[node, _MOST] = max(tree[left, _MOST], total + tree[right, _MOST])
        tree[node, _LEAST] = min(tree[left, _LEAST], total + tree[right, _LEAST])
        node //= 2


@compiled
def _plant(reference: Row, window: int, tree: Tree, size: int) -> None:
    tree[:] = 0
    for value in reference:
        _add(tree, size, _leaf(reference, value), window)


@compiled
def _distance(tree: Tree, whole: int) -> float:
    return max(float(tree[1, _MOST]), -float(tree[1, _LEAST]), 0.0) / whole


@compiled
def _push(line: Row, reference: Row, window: Row, tree: Tree, size: int, value: float) -> None:
    place = int(line[_PLACE])
    if line[_FILLED] == len(window):
        _add(tree, size, _leaf(reference, window[place]), len(reference))
    else:
        line[_FILLED] += 1.0
    window[place] = value
    _add(tree, size, _leaf(reference, value), -len(reference))
    line[_PLACE] = (place + 1) % len(window)


@compiled
def _learn(line: Row, reference: Row, window: Row, tree: Tree, size: int, value: float) -> None:
    reference[int(line[_SEEN])] = value
    line[_SEEN] += 1.0
    if line[_SEEN] == len(reference):
        reference.sort()
        _plant(reference, len(window), tree, size)


@compiled
def _advance(
    values: Matrix, lines: Matrix, references: Matrix, windows: Matrix, trees: Tree, size: int, threshold: float
) -> Matrix:
    found = np.empty((4, 8))  # reports are rare; it doubles when they are not
    count = 0
    whole = references.shape[1] * windows.shape[1]
    for column in range(values.shape[1]):
        line, reference, window, tree = lines[column], references[column], windows[column], trees[column]
        for row in range(values.shape[0]):
            value = values[row, column]
            if np.isnan(value):
                continue
            if line[_SEEN] < len(reference):
                _learn(line, reference, window, tree, size, value)
                continue
            _push(line, reference, window, tree, size, value)
            if line[_FILLED] < len(window):
                continue
            distance = _distance(tree, whole)
            if not distance > threshold:
                continue
            if count == len(found):
                found = np.concatenate((found, np.empty_like(found)))
            found[count, 0] = row
            found[count, 1] = column
            found[count, 2] = distance
            found[count, 3] = threshold
            found[count, 4] = len(reference) + len(window)
            found[count, 5] = reference.mean()
            found[count, 6] = window.mean()
            found[count, 7] = len(window)
            count += 1
            line[:] = 0.0  # it begins afresh, as the others do
    return found[:count]
