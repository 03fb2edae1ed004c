"""Baselines in tables, a row a prediction: CSV and Parquet.

Columns that are known by their name are ``ts``, ``id``, ``prediction``, ``score``, ``label``, ``latency_ms`` and
``version``, each where it is there; ``segment:NAME``, or a name that ``segments`` lists. All others are features;
``feature:NAME`` is one, whatever its name.
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from detectors.cells import Cell
from detectors.learning import Row
from schemas.events import NAME_CHARACTERS_MAX, Prediction
from schemas.times import TS_END, TS_MIN, to_ms
from streams.errors import UsageError
from streams.problems import shown

_OWN = ("ts", "id", "prediction", "score", "label", "latency_ms", "version")
_SEGMENT, _FEATURE = "segment:", "feature:"
_STEP_MS = 1_000  # from row to row where there is no ``ts``: the time of day then says nothing, as it should not
_SECONDS_END = 631_152_000_000  # 1990: seconds, taken for milliseconds, stay below it until the year 21970
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_NOT_FINITE = re.compile(r"\s*[+-]?(nan|inf|infinity)\s*", re.IGNORECASE)
_BOOLEANS = {"true": True, "false": False}
_BATCH_ROWS = 2_000  # of Parquet at once
CELL_CHARACTERS_MAX = 100_000  # longer is text in the wrong place, or a quote that was never closed


class Table(NamedTuple):
    """Columns of one length; ``first``: the number of the first row, as whoever looks at the file counts them."""

    columns: Mapping[str, Sequence[Any]]
    first: int
    more: bool  # rows that were not read
    typed: bool  # text is text; in CSV it may be numbers


class Limits(NamedTuple):
    rows: int
    cells: int  # a wide table is read less far
    lines: int = 5_000_000  # of JSON, those of other models too: 15 s at 3 µs a line, for each model that asks

    def of(self, columns: int) -> int:
        return max(1, min(self.rows, self.cells // max(1, columns)))


def rows_of(table: Table, segments: Sequence[str], where: str) -> list[Row]:
    """In order of time, where it is known."""
    sorter = _Sorter(where, table.first, table.typed)
    named = {name: column for name, column in table.columns.items() if name in _OWN}
    times = sorter.times(named.get("ts"))
    texts = {name: sorter.texts(named[name]) for name in ("id", "version") if name in named}
    numbers = {name: sorter.numbers(name, named[name]) for name in ("score", "latency_ms") if name in named}
    values = {name: sorter.cells(name, named[name]) for name in ("prediction", "label") if name in named}
    of_segment, of_feature = _shared_out(table.columns, segments, sorter)
    if not (of_feature or values):
        raise UsageError("has no feature, no prediction and no label", where=where, advice="see docs/detection.md")
    rows = []
    for number in range(len(next(iter(table.columns.values()), ()))):
        event = Prediction(
            v=1,
            id=(texts["id"][number] if "id" in texts else None) or str(number),
            model="",
            ts=times[number] if times else number * _STEP_MS,
            features={name: column[number] for name, column in of_feature.items()},
            prediction=values["prediction"][number] if "prediction" in values else None,  # type: ignore[arg-type]
            version=texts["version"][number] if "version" in texts else None,
            score=numbers["score"][number] if "score" in numbers else None,
            latency_ms=numbers["latency_ms"][number] if "latency_ms" in numbers else None,
            segments={name: text for name, column in of_segment.items() if (text := column[number]) is not None},
        )
        rows.append(Row(to_ms(event.ts), event, values["label"][number] if "label" in values else None))
    return sorted(rows, key=lambda row: row.time) if times else rows


def _shared_out(
    columns: Mapping[str, Sequence[Any]], segments: Sequence[str], sorter: "_Sorter"
) -> tuple[dict[str, list[str | None]], dict[str, list[Cell]]]:
    of_segment: dict[str, list[str | None]] = {}
    of_feature: dict[str, list[Cell]] = {}
    for name, column in columns.items():
        if name in _OWN:
            continue
        plain = name.removeprefix(_FEATURE)
        if name.startswith(_SEGMENT) or name in segments:
            segment = name.removeprefix(_SEGMENT)
            if segment in of_segment:
                raise sorter.twice(name, f"the segment {shown(segment)}")
            of_segment[segment] = sorter.texts(column)
        elif not plain or len(plain) > NAME_CHARACTERS_MAX:
            what = f"a feature's name has 1 to {NAME_CHARACTERS_MAX} characters"
            raise sorter.wrong(name, None, what, "leave the column out (pandas writes its index as one)")
        elif plain in of_feature:
            raise sorter.twice(name, f"the feature {shown(plain)}")
        else:
            of_feature[plain] = sorter.cells(name, column)
    return of_segment, of_feature


class _Sorter:
    """Raw columns to what events have, or one line that says which row and column is wrong."""

    def __init__(self, where: str, first: int, typed: bool) -> None:
        self._where, self._first, self._typed = where, first, typed

    def wrong(self, column: str, number: int | None, what: str, advice: str = "") -> UsageError:
        row = "" if number is None else f"row {self._first + number:,}, "
        return UsageError(f"{row}column {shown(column)}: {what}", where=self._where, advice=advice)

    def twice(self, column: str, what: str) -> UsageError:
        return self.wrong(column, None, f"another column is {what} already", "leave one of them out")

    def texts(self, column: Sequence[Any]) -> list[str | None]:
        return [None if cell is None or cell == "" else _text(cell) for cell in column]

    def cells(self, name: str, column: Sequence[Any]) -> list[Cell]:
        """Text of a CSV that is numbers, or true and false, throughout, is that; an empty cell is missing."""
        kinds = set(map(type, column))
        if kinds <= {float, int}:
            numbers = [float(cell) for cell in column]
            if all(map(math.isfinite, numbers)):
                return list(numbers)
        texts = [] if self._typed else [cell for cell in column if isinstance(cell, str) and cell != ""]
        plain: Mapping[str, bool] | None = None
        if texts and all(_NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text) for text in texts):
            if any(_NUMBER.fullmatch(text) for text in texts):
                return [self._number(name, number, cell) for number, cell in enumerate(column)]
        elif texts and all(text.strip().lower() in _BOOLEANS for text in texts):
            plain = _BOOLEANS
        return [self._cell(name, number, cell, plain) for number, cell in enumerate(column)]

    def numbers(self, name: str, column: Sequence[Any]) -> list[float | None]:
        return [self._number(name, number, cell) for number, cell in enumerate(column)]

    def _cell(self, name: str, number: int, cell: Any, booleans: Mapping[str, bool] | None) -> Cell:
        if isinstance(cell, str):
            return None if cell == "" else booleans[cell.strip().lower()] if booleans else cell
        return cell if isinstance(cell, bool) else self._number(name, number, cell)

    def _number(self, name: str, number: int, cell: Any) -> float | None:
        if cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell)):  # pandas' way to say missing
            return None
        if isinstance(cell, bool) or not isinstance(cell, int | float | Decimal | str):
            what = f"{shown(str(cell))} is a {type(cell).__name__}"
            raise self.wrong(name, number, what, "make it a number, text or a boolean, or leave the column out")
        try:
            value = float(cell)
        except (ValueError, OverflowError):
            value = math.nan
        if not math.isfinite(value) or (isinstance(cell, str) and not _NUMBER.fullmatch(cell)):
            advice = "leave the cell empty where the value is missing"
            raise self.wrong(name, number, f"{shown(str(cell))} is no finite number", advice)
        return value

    def times(self, column: Sequence[Any] | None) -> list[int] | None:
        if column is None:
            return None
        times = [self._time(number, cell) for number, cell in enumerate(column)]
        if times and max(times) < _SECONDS_END:
            what = "all times lie before 1990: these look like seconds"
            raise self.wrong("ts", None, what, "write epoch milliseconds or RFC 3339")
        return times

    def _time(self, number: int, cell: Any) -> int:
        moment = cell
        if isinstance(cell, str):
            try:
                moment = _number_or_date(cell.strip())
            except ValueError:
                moment = None
        if isinstance(moment, float) and moment.is_integer():  # a column of whole numbers, had no row been without one
            moment = int(moment)
        if isinstance(moment, datetime) and moment.tzinfo is None:
            advice = "say which one, as in 2026-01-31T12:00:00Z: a wrong one would shift what is usual at a time of day"
            raise self.wrong("ts", number, f"{shown(str(cell))} has no time zone", advice)
        if isinstance(moment, bool) or not isinstance(moment, int | datetime):
            advice = "write epoch milliseconds or RFC 3339 with a zone, or leave the column out"
            raise self.wrong("ts", number, f"{shown(str(cell))} is no time", advice)
        milliseconds = to_ms(moment)
        if not TS_MIN <= milliseconds < TS_END:
            raise self.wrong("ts", number, f"{cell} is no time between 1970 and 2199", "write epoch milliseconds")
        return milliseconds


def _number_or_date(text: str) -> float | datetime:
    if text.isdecimal():
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else datetime.fromisoformat(text)


def _text(cell: Any) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


# -- files -----------------------------------------------------------------------------------------------------------


def read_csv(path: Path, limits: Limits) -> Table:
    csv.field_size_limit(CELL_CHARACTERS_MAX)
    where = str(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            header = next(lines, None)
            if not header:
                raise UsageError("is empty", where=where, advice="write a line with the columns' names, and rows below")
            _check_header(header, where)
            rows, more = _csv_rows(lines, len(header), limits.of(len(header)), where)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=where) from None
    except UnicodeDecodeError:
        raise UsageError("is not UTF-8", where=where, advice="save it as UTF-8") from None
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    return Table(dict(zip(header, columns, strict=True)), 1, more, typed=False)


def _csv_rows(lines: Iterator[list[str]], width: int, most: int, where: str) -> tuple[list[list[str]], bool]:
    rows: list[list[str]] = []
    try:
        for cells in lines:
            if not cells:
                continue  # a blank line
            if len(rows) == most:
                return rows, True
            if len(cells) != width:
                what = f"row {len(rows) + 1:,} has {len(cells)} columns, and the first line has {width}"
                raise UsageError(what, where=where, advice="is the file whole?")
            rows.append(cells)
    except csv.Error as error:
        raise UsageError(f"row {len(rows) + 1:,}: {error}", where=where, advice="is the file whole?") from None
    return rows, False


def _check_header(header: Sequence[str], where: str) -> None:
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if twice:
        raise UsageError(f"has the column {shown(twice[0])} twice", where=where, advice="give each its own name")


def read_parquet(path: Path, limits: Limits) -> Table:
    where = str(path)
    try:
        import pyarrow  # noqa: PLC0415 - large, and not there without the extra
        from pyarrow import parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "pyarrow":
            raise
        advice = "install it with: pip install 'driftline[parquet]', or write the baseline as CSV"
        raise UsageError("a Parquet file needs pyarrow, which is not installed", where=where, advice=advice) from error
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check_header(names, where)
            most = limits.of(len(names))
            columns: dict[str, list[Any]] = {name: [] for name in names}
            read = 0
            for batch in file.iter_batches(batch_size=min(most, _BATCH_ROWS)):
                part = batch.slice(0, most - read)
                for name, column in zip(names, part.columns, strict=True):
                    if pyarrow.types.is_timestamp(column.type):  # nanoseconds are no Python time
                        column = column.cast(pyarrow.timestamp("ms", column.type.tz), safe=False)  # noqa: PLW2901
                    columns[name] += column.to_pylist()
                read += len(part)
                if read == most:
                    break
            return Table(columns, 1, file.metadata.num_rows > read, typed=True)
    except OSError as error:  # pyarrow's own for a file that is cut off is one too
        reason = error.strerror or str(error).partition("\n")[0]
        raise UsageError(f"cannot be read: {reason}", where=where, advice="is the file whole?") from None
    except (pyarrow.ArrowException, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"is no Parquet: {reason}", where=where, advice="is the file whole?") from None
