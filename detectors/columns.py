"""Cells of many rows under one name, as numbers or as codes: nobody looks at each of them.

They are sequences of cells all the same, so whoever does not know them reads them as any other.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from detectors.cells import NUMBERS, Cell, Numbers

Places = NDArray[np.int64]
Taken = slice | Places  # which rows


class NumberCells(Sequence[float | None]):
    """Numbers; what is not one is missing."""

    __slots__ = ("values",)

    def __init__(self, values: Numbers) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, place: int) -> float | None: ...
    @overload
    def __getitem__(self, place: slice) -> "NumberCells": ...
    def __getitem__(self, place: int | slice) -> "float | NumberCells | None":
        if isinstance(place, slice):
            return self.taken(place)
        value = float(self.values[place])
        return None if math.isnan(value) else value

    def __iter__(self) -> Iterator[float | None]:
        cells: list[float | None] = self.values.tolist()
        if not self.missing.any():
            return iter(cells)
        return iter([None if gone else cell for cell, gone in zip(cells, self.missing.tolist(), strict=True)])

    def taken(self, rows: Taken) -> "NumberCells":
        return NumberCells(self.values[rows])

    @property
    def missing(self) -> NDArray[np.bool_]:
        missing: NDArray[np.bool_] = np.isnan(self.values)
        return missing


class WordCells(Sequence[Any]):
    """Of few kinds: a code a row, and what each stands for; -1 where there is nothing."""

    __slots__ = ("codes", "words")

    def __init__(self, codes: Places, words: Sequence[Any]) -> None:
        self.codes = codes
        self.words = words

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return self.taken(place)
        code = int(self.codes[place])
        return None if code < 0 else self.words[code]

    def __iter__(self) -> Iterator[Any]:
        words = [*self.words, None]  # the last is what -1 finds
        return iter([words[code] for code in self.codes.tolist()])

    def taken(self, rows: Taken) -> "WordCells":
        return WordCells(self.codes[rows], self.words)

    @property
    def missing(self) -> NDArray[np.bool_]:
        missing: NDArray[np.bool_] = self.codes < 0
        return missing

    def looked_up(self, of_words: Sequence[int]) -> Places:
        """For each row what stands for its word; -1 where it has none."""
        table: Places = np.array([*of_words, -1], dtype=np.int64)
        found: Places = table[self.codes]
        return found


class FeatureRows(Sequence[dict[str, Cell]]):
    """Rows that all have the same features. ``columns``: the cells of each, by name."""

    __slots__ = ("columns", "rows")

    def __init__(self, columns: Mapping[str, Sequence[Cell]], rows: int) -> None:
        self.columns = columns
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    @overload
    def __getitem__(self, place: int) -> dict[str, Cell]: ...
    @overload
    def __getitem__(self, place: slice) -> "FeatureRows": ...
    def __getitem__(self, place: int | slice) -> "dict[str, Cell] | FeatureRows":
        if isinstance(place, slice):
            return self.taken(place)
        return {name: cells[place] for name, cells in self.columns.items()}

    def __iter__(self) -> Iterator[dict[str, Cell]]:
        names = list(self.columns)
        if not names:
            return ({} for _ in range(self.rows))
        return (dict(zip(names, row, strict=True)) for row in zip(*self.columns.values(), strict=True))

    def taken(self, rows: Taken) -> "FeatureRows":
        columns = {name: taken(cells, rows) for name, cells in self.columns.items()}
        return FeatureRows(columns, len(range(self.rows)[rows]) if isinstance(rows, slice) else len(rows))


def numbers_of(cells: Sequence[Cell]) -> Numbers:
    if isinstance(cells, NumberCells):
        return cells.values.copy()
    if NUMBERS.issuperset(map(type, cells)):
        return np.array(cells, dtype=np.float64)
    return np.array([cell if type(cell) in NUMBERS else np.nan for cell in cells], dtype=np.float64)


def lengths_of(cells: Sequence[Cell]) -> Numbers:
    return np.array([len(cell) if isinstance(cell, str) else np.nan for cell in cells], dtype=np.float64)


def met(codes: Places, words: int) -> tuple[Places, Places]:
    """Which of so many words rows have, in the order in which they are met, and the first row of each."""
    firsts = np.full(words + 1, len(codes))  # the last is of rows that have none
    firsts[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)  # what is written last stays
    order = np.argsort(firsts[:-1])[: np.count_nonzero(firsts[:-1] < len(codes))]
    return order, firsts[order]


def coded(texts: Sequence[str | None]) -> WordCells:
    """Texts as codes: each is looked at once."""
    words = [text for text in dict.fromkeys(texts) if text is not None]
    codes: dict[str | None, int] = {word: code for code, word in enumerate(words)}
    codes[None] = -1
    return WordCells(np.fromiter(map(codes.__getitem__, texts), dtype=np.int64, count=len(texts)), words)


def taken(cells: Sequence[Any], rows: Taken) -> Sequence[Any]:
    """These rows of any cells. Some know how: those here, and texts of a table."""
    of_its_own = getattr(cells, "taken", None)
    if of_its_own is not None:
        found: Sequence[Any] = of_its_own(rows)
        return found
    return cells[rows] if isinstance(rows, slice) else [cells[row] for row in rows.tolist()]


def says_nothing(cells: Sequence[Cell]) -> bool:
    if isinstance(cells, NumberCells | WordCells):
        return bool(cells.missing.all())
    return all(cell is None for cell in cells)


def lacks_any(cells: Sequence[Cell]) -> bool:
    """Whether there is nothing in a row."""
    return bool(cells.missing.any()) if isinstance(cells, NumberCells | WordCells) else None in cells
