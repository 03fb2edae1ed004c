"""Raw columns of a table to what events hold, or one line that says which row and column is wrong."""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Any

import numpy as np

from detectors.cells import Cell
from detectors.columns import NumberCells, Places, coded
from schemas.times import TS_END, TS_MIN, to_ms
from streams.errors import UsageError
from streams.problems import shown
from streams.table_columns import Texts, WholeNumbers

_SECONDS_END = 631_152_000_000  # 1990: seconds, taken for milliseconds, stay below it until the year 21970
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_NOT_FINITE = re.compile(r"\s*[+-]?(nan|inf|infinity)\s*", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+(\.\d{3})*,\d+\s*", re.ASCII)
_BOOLEANS = {"true": True, "false": False}
_ONLY_NUMBERS = frozenset({float, int})
_NUMBERS, _TEXTS = frozenset({float, int, type(None)}), frozenset({str, type(None)})
UNITS = {"s": (1, 1_000), "ms": (1, 1), "us": (1_000, 1), "ns": (1_000_000, 1)}  # so many of them are so many ms


class Kind(StrEnum):
    """What the text of a CSV column is."""

    NUMBER = "number"
    BOOLEAN = "true or false"
    TEXT = "text"


def kind_of(column: Iterable[Any]) -> Kind:
    """Text that is numbers throughout is numbers, as is true and false; empty cells say nothing."""
    texts = [cell for cell in column if isinstance(cell, str) and cell != ""]
    if texts and all(_NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text) for text in texts):
        return Kind.NUMBER if any(_NUMBER.fullmatch(text) for text in texts) else Kind.TEXT
    if texts and all(text.strip().lower() in _BOOLEANS for text in texts):
        return Kind.BOOLEAN
    return Kind.TEXT


def decimal_comma(column: Iterable[Any]) -> str | None:
    """One of its cells, where they are numbers throughout, but for a comma."""
    texts = [cell for cell in column if isinstance(cell, str) and cell != ""]
    return texts[0] if texts and all(map(_DECIMAL_COMMA.fullmatch, texts)) else None


class Sorter:
    """Of one file, or of a part that begins with row ``first``, counted as whoever looks at the file counts them.

    ``zone``: of times that name none; without one they are refused. ``unit``: of times that are numbers. ``or_text``:
    a column that is no number may be named as text. ``mapped``: a mapping says what columns are, and what is missing.
    """

    def __init__(
        self,
        where: str,
        first: int = 1,
        *,
        zone: tzinfo | None = None,
        unit: str = "ms",
        error: type[UsageError] = UsageError,
        or_text: bool = False,
        mapped: bool = False,
    ) -> None:
        self._where, self._first, self._zone, self._error = where, first, zone, error
        self._units, self._each_ms = UNITS[unit]
        self._or_text = ", or name the column under text" if or_text else ""
        self._mapped = mapped

    def wrong(self, column: str, number: int | None, what: str, advice: str = "") -> UsageError:
        row = "" if number is None else f"row {self._first + number:,}, "
        return self._error(f"{row}column {shown(column)}: {what}", where=self._where, advice=advice)

    def twice(self, column: str, what: str) -> UsageError:
        return self.wrong(column, None, f"another column is {what} already", "leave one of them out")

    # -- cells --------------------------------------------------------------------------------------------------------

    def texts(self, column: Sequence[Any]) -> list[str | None]:
        if isinstance(column, Texts):
            column = column.cells
        if set(map(type, column)) == {str} and "" not in column:  # the usual way
            return list(column)
        return [None if cell is None or cell == "" else text_of(cell) for cell in column]

    def cells(self, name: str, column: Sequence[Any], kind: Kind | None = None) -> Sequence[Cell]:
        """``kind``: of text that is to be something else; an empty cell is missing."""
        if isinstance(column, Texts) and kind in (None, Kind.TEXT):
            return column.words()
        is_number = kind is Kind.NUMBER or isinstance(column, NumberCells)
        if is_number or _NUMBERS.issuperset(map(type, column)):
            return self.numbers(name, column)
        if kind is Kind.TEXT or (kind is None and _TEXTS.issuperset(map(type, column))):
            return coded(self.texts(column))
        return [self._cell(name, number, cell, kind) for number, cell in enumerate(column)]

    def numbers(self, name: str, column: Sequence[Any]) -> NumberCells:
        if isinstance(column, NumberCells) and not np.isinf(column.values).any():
            return column
        quick = None if isinstance(column, NumberCells) else _finite(column)
        if quick is None:
            quick = [self._number(name, number, cell) for number, cell in enumerate(column)]
        return NumberCells(np.array(quick, dtype=np.float64))

    def _cell(self, name: str, number: int, cell: Any, kind: Kind | None) -> Cell:
        if isinstance(cell, str):
            return self._text_cell(name, number, cell, kind)
        return cell if isinstance(cell, bool) else self._number(name, number, cell)

    def _text_cell(self, name: str, number: int, cell: str, kind: Kind | None) -> Cell:
        if cell == "" or kind is not Kind.BOOLEAN:
            return cell or None
        word = _BOOLEANS.get(cell.strip().lower())
        if word is None:
            what = f"{shown(cell)} is neither true nor false, as the rows before it were"
            raise self.wrong(name, number, what, f"write true or false{self._or_text}")
        return word

    def _number(self, name: str, number: int, cell: Any) -> float | None:
        if cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell)):  # pandas' way to say missing
            return None
        if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal | str):
            what = f"{shown(str(cell))} is a {type(cell).__name__}"
            is_time = self._mapped and isinstance(cell, date)
            advice = "make it a number, text or a boolean, or leave the column out"
            raise self.wrong(name, number, what, f"name it as a time in a mapping, {advice}" if is_time else advice)
        try:
            value = float(cell)
        except (ValueError, OverflowError):
            value = math.nan
        if not math.isfinite(value) or (isinstance(cell, str) and not _NUMBER.fullmatch(cell)):
            listed = f", list {shown(cell)} under missing" if self._mapped and isinstance(cell, str) else ""
            advice = f"leave the cell empty where the value is missing{listed}{self._or_text}"
            raise self.wrong(name, number, f"{shown(str(cell))} is no finite number", advice)
        return value

    # -- times --------------------------------------------------------------------------------------------------------

    def times(self, name: str, column: Sequence[Any]) -> Places:
        if self._units == self._each_ms:  # the usual way
            if isinstance(column, WholeNumbers) and column.values.min() >= TS_MIN and column.values.max() < TS_END:
                return column.values
            if set(map(type, column)) == {int} and min(column) >= TS_MIN and max(column) < TS_END:
                return np.array(column, dtype=np.int64)
        return np.array([self.time(name, number, cell) for number, cell in enumerate(column)], dtype=np.int64)

    def check_unit(self, name: str, times: Places) -> None:
        if len(times) and times.max() < _SECONDS_END:
            what = "all times lie before 1990: these look like seconds"
            or_unit = ', or say time_unit = "s" in a mapping' if self._mapped else ""
            raise self.wrong(name, None, what, f"write epoch milliseconds or RFC 3339{or_unit}")

    def time(self, name: str, number: int, cell: Any) -> int:
        moment = self._moment(cell)
        if isinstance(moment, datetime) and moment.tzinfo is None:
            if self._zone is None:
                advice = (
                    "say which one, as in 2026-01-31T12:00:00Z: a wrong one would shift what is usual at a time of day"
                )
                raise self.wrong(name, number, f"{shown(str(cell))} has no time zone", advice)
            moment = moment.replace(tzinfo=self._zone)
        if isinstance(moment, bool) or not isinstance(moment, int | datetime):
            advice = "write epoch milliseconds or RFC 3339 with a zone, or leave the column out"
            raise self.wrong(name, number, f"{shown(str(cell))} is no time", advice)
        milliseconds = to_ms(moment)
        if not TS_MIN <= milliseconds < TS_END:
            raise self.wrong(name, number, f"{cell} is no time between 1970 and 2199", "write epoch milliseconds")
        return milliseconds

    def _moment(self, cell: Any) -> Any:
        moment = cell
        if isinstance(cell, str):
            try:
                moment = _number_or_date(cell.strip())
            except ValueError:
                return None
        if isinstance(moment, bool) or not isinstance(moment, int | float):
            return moment
        if isinstance(moment, int):
            return moment * self._each_ms // self._units
        # A column of whole numbers is one of floats, had a row been without one.
        moment = moment * self._each_ms / self._units
        return int(moment) if moment.is_integer() or self._each_ms > 1 else None


def _number_or_date(text: str) -> float | datetime:
    if text.isdecimal():
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else datetime.fromisoformat(text)


def _finite(column: Sequence[Any]) -> list[float | None] | None:
    """The usual way: every cell is a number, or text that is one. ``None`` where that is not so."""
    kinds = set(map(type, column))
    if not kinds <= _ONLY_NUMBERS and (kinds != {str} or "_" in "".join(column)):  # Python reads 1_000 as a number
        return None
    try:
        numbers = list(map(float, column))
    except (ValueError, OverflowError):
        return None
    return list(numbers) if all(map(math.isfinite, numbers)) else None


def text_of(cell: Any) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
