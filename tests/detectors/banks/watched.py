"""Columns watched by the detector that keeps to a budget, and the simplest streams for it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import Finding
from detectors.banks.shiryaev import HEAD_SHARE, ShiryaevBank
from tests.detectors.banks.streams import Stream


def bank(
    columns: int = 1, *, bits: bool = False, rows: int = 1_000, asked: float = 1e6, sided: bool = False,
    day: float = 1e9, learn_max: int = 25_000,
) -> ShiryaevBank:  # fmt: skip
    """``asked``: rows for each false alarm of a column."""
    made = ShiryaevBank(columns, bits=bits, rows=rows, day=day, learn_max=learn_max)
    for column in range(columns):
        made.allow(column, asked, HEAD_SHARE * asked, sided=sided)
    return made


def clocked(watching: ShiryaevBank, stream: Stream, first: int = 0) -> list[Finding]:
    found = watching.update(stream, np.arange(first, first + len(stream), dtype=float), stream)
    return [each._replace(row=each.row + first) for each in found]


def normal(seed: int, rows: int, columns: int = 1) -> Stream:
    return np.random.default_rng(seed).standard_normal((rows, columns))


def chances(seed: int, rows: int, share: float, columns: int = 1) -> Stream:
    return (np.random.default_rng(seed).random((rows, columns)) < share).astype(float)


def delays(found: Sequence[Finding], change: int, columns: int) -> NDArray[np.float64]:
    """Of the first finding of each column after the change; infinite where there is none."""
    first = np.full(columns, np.inf)
    for each in found:
        if each.row >= change:
            first[each.column] = min(first[each.column], each.row - change + 1)
    return first
