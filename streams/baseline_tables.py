"""Baselines in tables, a row a prediction: CSV and Parquet.

Columns that are known by their name are ``ts``, ``id``, ``prediction``, ``score``, ``label``, ``latency_ms`` and
``version``, each where it is there; ``segment:NAME``, or a name that ``segments`` lists. All others are features;
``feature:NAME`` is one, whatever its name.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from detectors.cells import Cell
from detectors.learning import Row
from schemas.events import NAME_CHARACTERS_MAX, Prediction
from schemas.times import to_ms
from streams.errors import UsageError
from streams.problems import shown
from streams.table_cells import Sorter, kind_of
from streams.table_files import form_of, table_file

_OWN = ("ts", "id", "prediction", "score", "label", "latency_ms", "version")
_SEGMENT, _FEATURE = "segment:", "feature:"
_STEP_MS = 1_000  # from row to row where there is no ``ts``: the time of day then says nothing, as it should not


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
    sorter = Sorter(where, table.first)
    named = {name: column for name, column in table.columns.items() if name in _OWN}
    stamps = sorter.times("ts", named["ts"]) if "ts" in named else np.zeros(0, dtype=np.int64)
    sorter.check_unit("ts", stamps)
    times = stamps.tolist()
    texts = {name: sorter.texts(named[name]) for name in ("id", "version") if name in named}
    numbers = {name: list(sorter.numbers(name, named[name])) for name in ("score", "latency_ms") if name in named}
    values = {name: _cells(table, name, sorter) for name in ("prediction", "label") if name in named}
    of_segment, of_feature = _shared_out(table, segments, sorter)
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


def _cells(table: Table, name: str, sorter: Sorter) -> list[Cell]:
    column = table.columns[name]
    return list(sorter.cells(name, column, None if table.typed else kind_of(column)))


def _shared_out(
    table: Table, segments: Sequence[str], sorter: Sorter
) -> tuple[dict[str, list[str | None]], dict[str, list[Cell]]]:
    of_segment: dict[str, list[str | None]] = {}
    of_feature: dict[str, list[Cell]] = {}
    for name, column in table.columns.items():
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
            of_feature[plain] = _cells(table, name, sorter)
    return of_segment, of_feature


def read_table(path: Path, limits: Limits) -> Table:
    """As much of a file as the limits allow."""
    with table_file(path, form_of(path.name)) as file:
        most = limits.of(len(file.names))
        columns: dict[str, list[Any]] = {name: [] for name in file.names}
        for part in file.parts(file.names, ("ts",)):
            left = most - len(columns[file.names[0]])
            for name, cells in part.columns.items():
                columns[name] += cells[:left]
            if len(next(iter(part.columns.values()))) > left:
                return Table(columns, 1, True, file.typed)
    return Table(columns, 1, False, file.typed)
