"""Tables as files: CSV that no spreadsheet takes for formulas, and Parquet where pyarrow is installed."""

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from schemas.times import TS_END, TS_MIN
from streams.findings.tables import FLAG, NUMBER, TEXT, TIME, WHOLE, Row, Table
from streams.whole import whole, writing

BATCH_ROWS = 10_000  # of Parquet at once: some ten megabytes
# What a spreadsheet takes for the beginning of a formula, or skips before one; also in the width of East Asian text.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def export(tables: Iterable[Table], directory: Path) -> bool:
    """Whether Parquet was written as well. Each file stands under its name only when it is whole."""
    with_parquet = find_spec("pyarrow") is not None
    with writing("the tables", directory, "name another directory with --tables"):
        directory.mkdir(parents=True, exist_ok=True)
        for table in tables:
            with whole(directory / f"{table.name}.csv") as path:
                _write_csv(table, path)
            if with_parquet:
                with whole(directory / f"{table.name}.parquet") as path:
                    _write_parquet(table, path)
    return with_parquet


def _write_csv(table: Table, path: Path) -> None:
    kinds = list(table.columns.values())
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)  # its line ends are \r\n, so that either of them in a cell is quoted
        writer.writerow([_text(name) for name in table.columns])
        for row in table.rows():
            writer.writerow([_cell(value, kind) for value, kind in zip(row, kinds, strict=True)])


def _cell(value: Any, kind: str) -> Any:
    """Numbers are numbers, also where they begin with a minus; only text can be a formula."""
    if value is None:
        return ""
    if kind == TEXT:
        return _text(str(value))
    if kind == TIME:
        return _time(value)
    return str(value).lower() if kind == FLAG else value


def _text(value: str) -> str:
    return f"'{value}" if value.startswith(FORMULA) else value


def _time(milliseconds: int) -> Any:
    if not TS_MIN <= milliseconds < TS_END:  # somebody else's number: no date has it
        return milliseconds
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def _write_parquet(table: Table, path: Path) -> None:
    import pyarrow  # noqa: PLC0415 - large, and not there without the extra
    from pyarrow import parquet  # noqa: PLC0415

    types = {
        TEXT: pyarrow.string(),
        WHOLE: pyarrow.int64(),
        NUMBER: pyarrow.float64(),
        FLAG: pyarrow.bool_(),
        TIME: pyarrow.timestamp("ms", tz="UTC"),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in table.columns.items()])
    rows = table.rows()
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := list(islice(rows, BATCH_ROWS)):
            writer.write_batch(pyarrow.record_batch(_columns(batch, schema), schema=schema))


def _columns(batch: list[Row], schema: Any) -> list[Any]:
    import pyarrow  # noqa: PLC0415

    return [
        pyarrow.array(values, type=field.type) for values, field in zip(zip(*batch, strict=True), schema, strict=True)
    ]
