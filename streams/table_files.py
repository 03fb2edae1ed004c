"""Tables in files, CSV (also gzipped) and Parquet, read in parts: memory does not grow with the file.

The rows of a part are columns of one length. Times in Parquet are handed out as epoch milliseconds.
"""

import csv
import gzip
import io
import zlib
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from detectors.columns import NumberCells
from streams.errors import ContentError, UsageError
from streams.problems import shown
from streams.table_columns import Texts, WholeNumbers

ROWS = 4_096  # of one part: columns are worth their while, and a thousand of them are a few hundred megabytes
TYPED_ROWS = 4 * ROWS  # where cells are no text, at most: of many columns half of it
_FEW_COLUMNS = 32
CELL_CHARACTERS_MAX = 100_000  # longer is text in the wrong place, or a quote that was never closed
_BUFFER_BYTES = 256 * 1024
_PARQUET_BUFFER_BYTES = 1024 * 1024  # of each column; without a limit all of a row group is read at once
_WORD_BYTES = 2.0  # a row of a Parquet column that takes less is a word of few
_PARQUET = (".parquet", ".pq")
_DELIMITERS = ",;\t|"
_WHOLE = "is the file whole?"
_UNREADABLE = (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error)


class Form(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class Part(NamedTuple):
    first: int  # the number of its first row, from 0
    columns: Mapping[str, Sequence[Any]]


class TableFile(AbstractContextManager["TableFile"]):
    """One file, which can be read more than once. ``typed``: text is text; in CSV it may be numbers."""

    typed: bool
    names: Sequence[str]
    rows: int | None = None  # where the file says how many there are

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = str(path)
        self.blank_lines = 0

    @abstractmethod
    def parts(self, columns: Collection[str], times: Collection[str]) -> Iterator[Part]:
        """``times``: which of the columns are to be times."""

    @property
    @abstractmethod
    def fraction(self) -> float | None:
        """How much of it has been read, by whoever reads first."""

    @property
    @abstractmethod
    def size(self) -> int:
        """In bytes."""


class CsvFile(TableFile):
    typed = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._read = 0
        csv.field_size_limit(CELL_CHARACTERS_MAX)
        try:
            self._size = path.stat().st_size
            with path.open("rb") as file, _text(file) as text:
                self._delimiter = _delimiter(text.readline(CELL_CHARACTERS_MAX))
            with path.open("rb") as file, _text(file) as text:
                header = next(csv.reader(text, strict=True, delimiter=self._delimiter), None)
        except _UNREADABLE as error:
            raise _unreadable(self.where, "", error, UsageError) from None
        if not header:
            advice = "write a line with the columns' names, and rows below"
            raise UsageError("is empty", where=self.where, advice=advice)
        _check_header(header, self.where)
        self.names = header

    @property
    def size(self) -> int:
        return self._size

    @property
    def fraction(self) -> float | None:
        return self._read / self._size

    def __exit__(self, *_: object) -> None:
        pass

    def parts(self, columns: Collection[str], times: Collection[str]) -> Iterator[Part]:
        wanted = [(name, place) for place, name in enumerate(self.names) if name in columns]
        with self.path.open("rb") as file, _text(file) as text:
            for first, rows in self._rows(csv.reader(text, strict=True, delimiter=self._delimiter)):
                self._read = max(self._read, file.tell())
                by_place = list(zip(*rows, strict=True))
                yield Part(first, {name: by_place[place] for name, place in wanted})

    def _rows(self, lines: Iterator[list[str]]) -> Iterator[tuple[int, list[list[str]]]]:
        """With the number of the first of them. When the file fails, what came before is handed out first."""
        first, blank = 0, 0
        next(lines)
        while True:
            read: list[list[str]] = []
            failure = self._fill(read, lines)
            rows = list(filter(None, read))  # a blank line is no row
            wrong = next((number for number, cells in enumerate(rows) if len(cells) != len(self.names)), None)
            if wrong is not None:
                what = f"has {len(rows[wrong])} columns, and the first line has {len(self.names)}"
                failure = ContentError(f"row {first + wrong + 1:,} {what}", where=self.where, advice=_WHOLE)
                rows = rows[:wrong]
            elif failure is not None:
                failure = _unreadable(self.where, f"row {first + len(rows) + 1:,}: ", failure, ContentError)
            if rows:
                yield first, rows
            if failure is not None:
                raise failure
            if not read:
                return
            first += len(rows)
            blank += len(read) - len(rows)
            self.blank_lines = max(self.blank_lines, blank)

    def _fill(self, read: list[list[str]], lines: Iterator[list[str]]) -> Exception | None:
        try:
            read.extend(islice(lines, ROWS))  # what came before an error stays in it
        except _UNREADABLE as error:
            return error
        return None


class ParquetFile(TableFile):
    typed = True

    def __init__(self, path: Path, zone: str | None) -> None:
        super().__init__(path)
        self._zone = zone
        self._pyarrow, self._parquet = _pyarrow(self.where)
        self._read = 0
        with self._opened(UsageError) as file:
            self.names = file.schema_arrow.names
            self.rows = file.metadata.num_rows
            self._coded = _coded(file)
        _check_header(self.names, self.where)

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def fraction(self) -> float | None:
        return self._read / self.rows if self.rows else None

    def parts(self, columns: Collection[str], times: Collection[str]) -> Iterator[Part]:
        wanted = [name for name in self.names if name in columns]
        first = 0
        with self._opened(ContentError, [name for name in wanted if name in self._coded]) as file:
            batches = file.iter_batches(batch_size=_rows_of_part(len(wanted)), columns=wanted, use_threads=False)
            while (batch := self._next(batches, first)) is not None:
                named = list(zip(batch.schema.names, batch.columns, strict=True))
                for name, column in named:
                    self._check_text(name, column, first)
                yield Part(
                    first, {name: self._read_cells(name, column, name in times, first) for name, column in named}
                )
                first += len(batch)
                self._read = max(self._read, first)

    def _next(self, batches: Iterator[Any], first: int) -> Any:
        try:
            return next(batches, None)
        except (OSError, ValueError, self._pyarrow.ArrowException) as error:
            raise _unreadable(self.where, f"after row {first:,}: ", error, ContentError) from None

    def _opened(self, error: type[UsageError], coded: Sequence[str] = ()) -> Any:
        """``coded``: these columns of texts come as codes."""
        options = {"buffer_size": _PARQUET_BUFFER_BYTES, "pre_buffer": False, "read_dictionary": list(coded)}
        try:
            return self._parquet.ParquetFile(self.path, **options)
        except (OSError, ValueError, self._pyarrow.ArrowException) as failure:
            raise _unreadable(self.where, "", failure, error) from None

    def _read_cells(self, name: str, column: Any, is_time: bool, first: int) -> Sequence[Any]:
        try:
            return self._cells(name, column, is_time)
        except UnicodeDecodeError:  # a text in a list
            raise self._no_text(name, column, first) from None

    def _cells(self, name: str, column: Any, is_time: bool) -> Sequence[Any]:
        types, pyarrow = self._pyarrow.types, self._pyarrow
        if types.is_dictionary(column.type):
            if name in self._coded and not is_time:
                return Texts(column)
            column = column.dictionary_decode()
        if (
            types.is_binary(column.type)
            or types.is_large_binary(column.type)
            or types.is_fixed_size_binary(column.type)
        ):
            column = self._as_text(name, column)
        if is_time and (types.is_timestamp(column.type) or types.is_date(column.type)):
            column = column.cast(pyarrow.timestamp("ms", getattr(column.type, "tz", None)), safe=False)
            if column.type.tz is None and self._zone is not None:
                column = pyarrow.compute.assume_timezone(column, self._zone)
            if column.type.tz is not None:
                column = column.cast(pyarrow.int64())
        if types.is_floating(column.type):
            numbers = column if types.is_float64(column.type) else column.cast(pyarrow.float64())
            return NumberCells(numbers.to_numpy(zero_copy_only=False))
        if types.is_string(column.type) or types.is_large_string(column.type):
            return Texts(column)
        if types.is_integer(column.type) and not column.null_count:
            numbers = column.to_numpy()
            return WholeNumbers(numbers) if is_time and types.is_int64(column.type) else numbers.tolist()
        cells: list[Any] = column.to_pylist()
        return cells

    def _check_text(self, name: str, column: Any, first: int) -> None:
        """Parquet promises that its texts are UTF-8; not every program that writes it keeps to that."""
        types = self._pyarrow.types
        texts = column.dictionary if types.is_dictionary(column.type) else column
        if not (types.is_string(texts.type) or types.is_large_string(texts.type) or types.is_string_view(texts.type)):
            return
        try:
            texts.validate(full=True)
        except self._pyarrow.ArrowInvalid:
            raise self._no_text(name, column, first) from None

    def _no_text(self, name: str, column: Any, first: int) -> ContentError:
        row = _first_unreadable(column)
        place = "" if row is None else f"row {first + row + 1:,}: "
        what = f"{place}column {shown(name)} is not UTF-8"
        return ContentError(what, where=self.where, advice="write it as UTF-8, or leave the column out")

    def _as_text(self, name: str, column: Any) -> Any:
        """Some programs write text so."""
        try:
            return column.cast(self._pyarrow.binary()).cast(self._pyarrow.string())
        except (ValueError, self._pyarrow.ArrowException):
            what = f"column {shown(name)}: holds bytes that are no text, as {column.type}"
            raise ContentError(what, where=self.where, advice="write it as text, or leave the column out") from None


def _first_unreadable(column: Any) -> int | None:
    """None where it is a text of a dictionary that no row has."""
    for row, cell in enumerate(column):
        try:
            cell.as_py()
        except UnicodeDecodeError:
            return row
    return None


def _rows_of_part(columns: int) -> int:
    """What detectors see at once costs them less, and more memory."""
    return TYPED_ROWS if columns <= _FEW_COLUMNS else TYPED_ROWS // 2


def _coded(file: Any) -> frozenset[str]:
    """The columns of texts that are few, as they lie in the file: nobody need make texts of them and codes of these."""
    if not file.metadata.num_row_groups:
        return frozenset()
    texts = {field.name for field in file.schema_arrow if str(field.type) in ("string", "large_string")}
    chunks = map(file.metadata.row_group(0).column, range(file.metadata.num_columns))
    few = {chunk.path_in_schema for chunk in chunks if chunk.total_uncompressed_size < _WORD_BYTES * chunk.num_values}
    return frozenset(texts & few)


def table_file(path: Path, form: Form, zone: str | None = None) -> TableFile:
    """``zone``: of times in Parquet that name none; without one they are handed out as they are."""
    if path.exists() and not path.is_file():
        raise UsageError("is no file, and a table is read more than once", where=str(path), advice="write it into one")
    return ParquetFile(path, zone) if form is Form.PARQUET else CsvFile(path)


def form_of(name: str) -> Form:
    """As its name says; what says nothing is JSON lines."""
    suffix = Path(name.lower().removesuffix(".gz")).suffix
    return Form.PARQUET if suffix in _PARQUET else Form.CSV if suffix == ".csv" else Form.JSONL


def _check_header(header: Sequence[str], where: str) -> None:
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if twice:
        raise UsageError(f"has the column {shown(twice[0])} twice", where=where, advice="give each its own name")


def _text(file: Any) -> io.TextIOWrapper:
    """Packed or not, without the mark that editors on Windows put before the first line."""
    packed = file.peek(2).startswith(b"\x1f\x8b")
    plain: Any = io.BufferedReader(gzip.GzipFile(fileobj=file), _BUFFER_BYTES) if packed else file
    return io.TextIOWrapper(plain, encoding="utf-8-sig", newline="")


def _delimiter(header: str) -> str:
    """A comma, unless the header has none and another one that tables are written with."""
    return max(_DELIMITERS, key=header.count) if "," not in header else ","


def _pyarrow(where: str) -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: PLC0415 - large, and not there without the extra
        import pyarrow.compute  # noqa: PLC0415 - what makes codes of texts, so that no row waits for it
        from pyarrow import parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "pyarrow":
            raise
        advice = "install it with: pip install 'driftline[parquet]', or write it as CSV"
        raise UsageError("a Parquet file needs pyarrow, which is not installed", where=where, advice=advice) from error
    return pyarrow, parquet


def _unreadable(where: str, place: str, error: Exception, kind: type[UsageError]) -> UsageError:
    if isinstance(error, UnicodeDecodeError):
        return kind(f"{place}is not UTF-8", where=where, advice="save it as UTF-8")
    if isinstance(error, csv.Error):
        return kind(f"{place}{error}", where=where, advice=_WHOLE)
    if isinstance(error, EOFError):
        reason = "the gzip data ends too early"
    else:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    advice = "" if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError) else _WHOLE
    wrong = "cannot be read" if isinstance(error, OSError | EOFError | zlib.error) else "is no Parquet"
    return kind(f"{place}{wrong}: {reason}", where=where, advice=advice)
