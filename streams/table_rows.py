"""Some rows of a table, column by column, as events want them; or one line that says which row and column is wrong."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from detectors.cells import Cell
from detectors.columns import NumberCells, Places, WordCells, coded, lacks_any
from schemas.events import ID_CHARACTERS_MAX, MODEL_PATTERN, NAME_CHARACTERS_MAX
from streams.errors import ContentError
from streams.problems import shown
from streams.table_cells import Kind, Sorter, decimal_comma
from streams.table_columns import Texts
from streams.table_files import Part
from streams.table_mapping import SEGMENT, Columns

_MODEL = re.compile(MODEL_PATTERN)


class Rows:
    """``kinds``: what the text of a CSV's columns is; empty where text is text."""

    def __init__(self, where: str, part: Part, columns: Columns, kinds: Mapping[str, Kind]) -> None:
        self.first = part.first
        self._part, self._columns, self._kinds = part, columns, kinds
        self._missing = frozenset(columns.missing)
        self._sorter = Sorter(
            where,
            part.first + 1,
            zone=columns.zone,
            unit=columns.time_unit,
            error=ContentError,
            or_text=bool(kinds),
            mapped=True,
        )

    def __len__(self) -> int:
        return len(next(iter(self._part.columns.values()), ()))

    def cells(self, name: str) -> Sequence[Cell]:
        return self._sorter.cells(name, self._raw(name), self._kinds.get(name))

    def whole(self, name: str) -> Sequence[Any]:
        """A column of which no cell may be missing."""
        cells = self.cells(name)
        if lacks_any(cells):
            raise self._sorter.wrong(name, list(cells).index(None), "is empty", "leave the row out, or fill it in")
        return cells

    def ids(self, name: str | None, topic: str) -> Sequence[str]:
        """Where no column has them, made of the file's name and the row's number."""
        if name is None:
            return [f"{topic}:{number}" for number in range(self.first, self.first + len(self))]
        raw = self._raw(name)
        if isinstance(raw, Texts) and raw.all_within(ID_CHARACTERS_MAX):  # the usual way
            return raw  # type: ignore[return-value]
        ids = self._sorter.texts(raw)
        if None not in ids and max(map(len, ids), default=0) <= ID_CHARACTERS_MAX:  # type: ignore[arg-type]
            return ids  # type: ignore[return-value]
        for number, key in enumerate(ids):
            if key is None or len(key) > ID_CHARACTERS_MAX:
                what = "has no id" if key is None else f"an id of {len(key)} characters"
                raise self._sorter.wrong(name, number, what, f"1 to {ID_CHARACTERS_MAX} characters are allowed")
        return ids  # type: ignore[return-value]

    def models(self, name: str | None) -> WordCells:
        if name is None:
            return WordCells(np.zeros(len(self), dtype=np.int64), [self._columns.model or ""])
        models = self._words(name)
        for model in {*models.words, *([None] if lacks_any(models) else [])}:
            if model is None or not _MODEL.fullmatch(model):
                what = f"{shown(model or '')} cannot be a model's name"
                raise self._sorter.wrong(name, list(models).index(model), what, f"{MODEL_PATTERN} is allowed")
        return models

    def times(self, name: str) -> Places:
        return self._sorter.times(name, self._raw(name))

    def times_or_none(self, name: str) -> list[int | None]:
        """An empty cell: nobody knows yet."""
        raw = self._raw(name)
        there = [cell for cell in raw if cell not in (None, "")]
        if len(there) == len(raw):
            return list(self.times(name).tolist())
        return [
            None if cell in (None, "") else self._sorter.time(name, number, cell) for number, cell in enumerate(raw)
        ]

    def check_order(self, name: str, times: Places, before: int) -> None:
        """A file that is not sorted would be another history: time does not go back."""
        earlier = np.flatnonzero(np.diff(times, prepend=before) < 0)
        if len(earlier):
            number = int(earlier[0])
            what = f"{shown(str(self._part.columns[name][number]))} is earlier than the row before it"
            raise self._sorter.wrong(name, number, what, "sort the file by this column")

    def check_unit(self, name: str, times: Places) -> None:
        self._sorter.check_unit(name, times)

    def check_commas(self, name: str) -> None:
        """Numbers that are text are not taken for categories."""
        cell = decimal_comma(self._raw(name)) if self._kinds.get(name) is Kind.TEXT else None
        if cell is not None and name not in self._columns.text:
            what = f"{shown(cell)} is no number, as it has a comma"
            raise self._sorter.wrong(name, None, what, "write a point and no separators, or name the column under text")

    def shares(self, name: str) -> NumberCells:
        """Numbers from 0 to 1."""
        numbers = self._sorter.numbers(name, self._raw(name))
        outside = np.flatnonzero((numbers.values < 0) | (numbers.values > 1))
        if len(outside):
            number = int(outside[0])
            raise self._sorter.wrong(name, number, f"{numbers[number]:g} is no probability", "0 to 1 is allowed")
        return numbers

    def numbers(self, name: str) -> NumberCells:
        return self._sorter.numbers(name, self._raw(name))

    def texts(self, name: str) -> WordCells:
        """Of no more characters than an event may have there."""
        texts = self._words(name)
        for text in texts.words:
            if len(text) > NAME_CHARACTERS_MAX:
                what = f"a name of {len(text):,} characters"
                raise self._sorter.wrong(name, list(texts).index(text), what, f"{NAME_CHARACTERS_MAX} are allowed")
        return texts

    def _words(self, name: str) -> WordCells:
        raw = self._raw(name)
        return raw.words() if isinstance(raw, Texts) else coded(self._sorter.texts(raw))

    def classes(self, columns: Mapping[str, str]) -> list[dict[str, float] | None]:
        """What each class is given; a class that is missing is left out."""
        rows = zip(*(self.shares(name) for name in columns.values()), strict=True)
        named = ({key: share for key, share in zip(columns, row, strict=True) if share is not None} for row in rows)
        return [row or None for row in named]

    def segments(self, names: Sequence[str]) -> list[dict[str, str] | None]:
        plain = [name.removeprefix(SEGMENT) for name in names]
        rows = zip(*map(self.texts, names), strict=True)
        return [{key: text for key, text in zip(plain, row, strict=True) if text is not None} for row in rows]

    def _raw(self, name: str) -> Sequence[Any]:
        column = self._part.columns[name]
        if self._missing:
            column = [None if isinstance(cell, str) and cell in self._missing else cell for cell in column]
        return self._sorter.texts(column) if name in self._columns.text else column
