"""What goes into a bank and what comes out, the same for every kind."""

import numpy as np

from detectors.banks.contract import Finding, Matrix
from detectors.banks.jit import compiled


def checked(values: Matrix, columns: int) -> Matrix:
    """The matrix as the kernels read it, or ``ValueError`` before anything has changed."""
    matrix = np.ascontiguousarray(values, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != columns:
        raise ValueError(f"a bank of {columns} columns takes a matrix of (rows, {columns}); this one is {matrix.shape}")
    if _infinite(matrix):
        row, column = np.argwhere(np.isinf(matrix))[0]
        raise ValueError(f"row {row}, column {column} is infinite: no detector recovers from that; leave it out as NaN")
    return matrix


@compiled
def _infinite(matrix: Matrix) -> bool:
    found = False
    for value in matrix.flat:  # no early end: without one it runs four values at a time
        found |= np.isinf(value)
    return found


def checked_column(column: int, columns: int) -> int:
    if not 0 <= column < columns:
        raise IndexError(f"column {column} of a bank of {columns} columns")
    return column


def findings(found: Matrix) -> list[Finding]:
    """A line of ``found`` is a ``Finding`` as floats, column by column; the contract's order is by row, then column."""
    return sorted(map(_finding, found.tolist()), key=_place) if len(found) else []


def _finding(line: list[float]) -> Finding:
    row, column, value, threshold, n, before, after, since, *spread = line
    finding = Finding(int(row), int(column), value, threshold, int(n), before, after, int(since))
    return finding._replace(spread=spread[0]) if spread else finding


def _place(finding: Finding) -> tuple[int, int]:
    return finding.row, finding.column
