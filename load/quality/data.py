"""Tables of the data folder as matrices. What is not there is none."""

import csv
import gzip
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Table(NamedTuple):
    values: NDArray[np.float64]
    labels: NDArray[np.int64]
    classes: int


def table(path: Path, label: str = "class", leave_out: tuple[str, ...] = ()) -> Table:
    """Columns that are no numbers become codes, in the order in which they are met."""
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.reader(file))
    names, cells = rows[0], list(zip(*rows[1:], strict=True))
    columns = {name: _codes(column) for name, column in zip(names, cells, strict=True) if name not in leave_out}
    labels = columns.pop(label).astype(np.int64)
    return Table(np.array(list(columns.values())).T.copy(), labels, int(labels.max()) + 1)


def _codes(column: tuple[str, ...]) -> NDArray[np.float64]:
    try:
        return np.array(column, dtype=np.float64)
    except ValueError:
        known: dict[str, int] = {}
        return np.array([known.setdefault(cell, len(known)) for cell in column], dtype=np.float64)
