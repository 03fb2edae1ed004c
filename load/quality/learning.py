"""A classifier that learns on the way: Gaussian naive Bayes, tested on each row before it learns from it."""

import math

import numpy as np
from numpy.typing import NDArray

from detectors.banks.jit import compiled

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]

_LEAST_VARIANCE = 1e-6


@compiled
def errors(values: Matrix, labels: Labels, classes: int, learn_rows: int) -> Matrix:
    """1 where the prediction was wrong, row by row. It learns from the first ``learn_rows`` only."""
    rows, width = values.shape
    wrong = np.zeros((rows, 2))
    count = np.zeros(classes)
    mean = np.zeros((classes, width))
    square = np.zeros((classes, width))
    for row in range(rows):
        best, guess = -np.inf, 0
        for k in range(classes):
            if count[k] < 1.0:
                continue
            likely = math.log(count[k])
            for j in range(width):
                variance = max(square[k, j] / count[k], _LEAST_VARIANCE) if count[k] > 1.0 else 1.0
                away = values[row, j] - mean[k, j]
                likely -= 0.5 * (math.log(variance) + away * away / variance)
            if likely > best:
                best, guess = likely, k
        label = labels[row]
        wrong[row, 0] = 1.0 if guess != label else 0.0
        wrong[row, 1] = guess
        if row >= learn_rows:
            continue
        count[label] += 1.0
        for j in range(width):
            away = values[row, j] - mean[label, j]
            mean[label, j] += away / count[label]
            square[label, j] += away * (values[row, j] - mean[label, j])
    return wrong
