"""What the time says of a value, taken out of it: a mean, two waves a day and the weekend, found by least squares.

A column is looked at until it has the values that were asked for, and gives none until then. Where they span two days
or more, and the waves explain what chance would not, they are taken out of all that comes, and found again each time
there are twice as many values, until they are known well. Otherwise values pass as they are. Where it shows early that
there will be less than two days of them, they pass from then on. A weekend is known once there was one, and working
days beside it; days are those of UTC.
"""

import math

import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import Matrix
from detectors.banks.jit import compiled

Row = NDArray[np.float64]

DAYS_MIN = 2.0  # of which a pattern is learned: less is not one
WEEKEND_MIN = 1.0 / 12.0  # of the values: a weekend's first night says nothing of its days
MONDAY = 4  # days after the one that phases begin with: the first of 1970
F_MIN = 8.0  # by how much the waves must explain more than chance would

REFINED = 16.0  # times the values it was found from first: then it is known

# A column's line: how many values it takes and has taken, from which phase on, the one before, how many it is found
# from and will be found from next. Then the weights of mean, waves and weekend, and what they follow from: the sums of
# products of the terms and the value, and of neighbouring values.
_NEED, _TAKEN, _TURNED, _PREVIOUS, _N, _NEXT = 0, 1, 2, 3, 4, 5
_WEIGHTS = 6
_TERMS = 6
_PRODUCTS = _TERMS + 1
_SUMS = _WEIGHTS + _TERMS
_LAGGED = _SUMS + _PRODUCTS * _PRODUCTS
LINE = _LAGGED + 1


def fresh(columns: int, need: int) -> Matrix:
    lines = np.zeros((columns, LINE))
    lines[:, _NEED], lines[:, _PREVIOUS] = need, np.nan
    return lines


def taken(lines: Matrix) -> Row:
    """How many values of each column nothing was given for."""
    taken_of_each: Row = lines[:, _TAKEN]
    return taken_of_each


def seen(lines: Matrix) -> bool:
    """Whether there is a pattern, or may be one yet; otherwise values pass as they are from now on."""
    return bool(((lines[:, _NEED] != 0.0) | (lines[:, _WEIGHTS] != 0.0)).any())


def removed(values: Matrix, phases: Row, lines: Matrix) -> Matrix:
    """``phases`` say where in its day each row came, as an angle that goes on growing."""
    return values - _usual_of(values, phases, lines)


def expected(values: Matrix, phases: Row, lines: Matrix) -> Matrix:
    """What would be taken out of each value; nothing as long as it is not known. None of them is kept back."""
    return np.nan_to_num(_usual_of(values, phases, lines), copy=False)


def _usual_of(values: Matrix, phases: Row, lines: Matrix) -> Matrix:
    out = np.zeros(values.shape)
    _find_usual(values, phases, lines, out)
    return out


@compiled
def _waves(phase: float, terms: Row) -> None:
    one, other = math.sin(phase), math.cos(phase)
    terms[0] = 1.0
    terms[1] = one
    terms[2] = other
    terms[3] = 2.0 * one * other
    terms[4] = 1.0 - 2.0 * one * one
    terms[5] = 1.0 if (math.floor(phase / (2.0 * math.pi)) - MONDAY) % 7 >= 5 else 0.0


@compiled
def _add(line: Row, terms: Row, value: float) -> None:
    terms[_TERMS] = value
    for i in range(_PRODUCTS):
        for j in range(_PRODUCTS):
            line[_SUMS + i * _PRODUCTS + j] += terms[i] * terms[j]
    if not np.isnan(line[_PREVIOUS]):
        line[_LAGGED] += value * line[_PREVIOUS]
    line[_PREVIOUS] = value
    line[_N] += 1.0


@compiled
def _seek(line: Row, value: float, terms: Row, phase: float) -> None:
    """One of the values that are taken."""
    if line[_TAKEN] == 0.0:
        line[_TURNED] = phase
    line[_TAKEN] += 1.0
    _add(line, terms, value)
    turns = (phase - line[_TURNED]) / (2.0 * math.pi)
    early = line[_TAKEN] == line[_NEED] // 4.0 and turns < DAYS_MIN / 5.0
    if early or line[_TAKEN] >= line[_NEED]:
        line[_NEED] = 0.0
        if not early and turns >= DAYS_MIN and line[_N] >= 4.0 * _TERMS:
            _find(line)
        if line[_WEIGHTS] != 0.0:
            line[_NEXT] = 2.0 * line[_N]
        else:
            line[_SUMS:] = 0.0


@compiled
def _refine(line: Row, terms: Row, value: float) -> None:
    _add(line, terms, value)
    if line[_N] < line[_NEXT]:
        return
    _find(line)
    line[_NEXT] = 2.0 * line[_N] if line[_N] < REFINED * line[_TAKEN] else 0.0
    if line[_NEXT] == 0.0:
        line[_SUMS:] = 0.0


@compiled
def _find(line: Row) -> None:
    """Sets the weights, where the waves explain enough."""
    n = line[_N]
    products = line[_SUMS:_LAGGED].copy().reshape(_PRODUCTS, _PRODUCTS)
    mean = products[0, _TERMS] / n
    total = products[_TERMS, _TERMS] - n * mean * mean
    if not total > 1e-12 * products[_TERMS, _TERMS]:
        return
    phi = min(max((line[_LAGGED] - n * mean * mean) / total, 0.0), 0.99)
    # Elimination without a look for pivots: sums of squares of waves over whole days are far from nothing. Only the
    # weekend's is nothing beside the mean, as long as there is no weekend or nothing else.
    terms = float(_TERMS)
    for i in range(_TERMS):
        if i == _TERMS - 1 and (products[i, i] <= 1e-9 * n or products[0, i] < WEEKEND_MIN * n):
            terms -= 1.0
            continue
        if products[i, i] <= 1e-9 * n:
            return
        for j in range(i + 1, _PRODUCTS):
            factor = products[j, i] / products[i, i]
            for k in range(i, _PRODUCTS):
                products[j, k] -= factor * products[i, k]
    left = products[_TERMS, _TERMS]
    independent = n * (1.0 - phi) / (1.0 + phi) - terms  # values that repeat the one before say less
    explained = (total - left) / max(left, 1e-12 * total)
    if independent <= 0.0 or explained * independent / (terms - 1.0) < F_MIN:
        return
    line[_WEIGHTS + _TERMS - 1] = 0.0
    for i in range(int(terms) - 1, -1, -1):
        known = products[i, _TERMS]
        for k in range(i + 1, int(terms)):
            known -= products[i, k] * line[_WEIGHTS + k]
        line[_WEIGHTS + i] = known / products[i, i]


@compiled
def _find_usual(values: Matrix, phases: Row, lines: Matrix, out: Matrix) -> None:
    """Not a number where the value is one of those that are taken."""
    terms = np.empty(_PRODUCTS)
    for column in range(values.shape[1]):
        line = lines[column]
        for row in range(values.shape[0]):
            value = values[row, column]
            if np.isnan(value) or (line[_NEED] == 0.0 and line[_WEIGHTS] == 0.0):
                continue
            _waves(phases[row], terms)
            if line[_NEED] > 0.0:
                _seek(line, value, terms, phases[row])
                out[row, column] = np.nan
                continue
            usual = 0.0
            for k in range(1, _TERMS):
                usual += line[_WEIGHTS + k] * terms[k]
            out[row, column] = usual
            if line[_NEXT] > 0.0:
                _refine(line, terms, value)
