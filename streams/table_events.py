"""Rows of a table as predictions, and its labels as outcomes: records that are events already, no JSON in between.

A table is replayed as two files of JSON lines would be: one of its predictions, under its own name, a row a line, and
one of its labels, under that name with ``#label``. A row's number from 0 is the offset of both. Rows stand in order of
time, so an outcome comes at its row's time and a delay later, unless a column says when it came.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice, repeat
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.columns import FeatureRows, NumberCells, Places, WordCells
from detectors.rows import Stretch
from schemas.parsed import Elsewhere, Parsed
from schemas.times import duration_ms
from streams.table_cells import Kind, kind_of
from streams.table_files import Part, TableFile
from streams.table_mapping import FEATURE, Columns
from streams.table_rows import Rows

LABELS = "#label"  # after a table's name: the topic of its labels
STEPS_BEGIN = 946_684_800_000  # 2000-01-01T00:00:00Z: the first row of a table without times
_PACK = msgspec.msgpack.Encoder().encode
_ODD, _NO_CELL = np.uint64(0x9E3779B97F4A7C15), np.uint64(1)


class Labelled(NamedTuple):
    """What one row says. ``arrives``: where a column says when."""

    row: int
    model: str
    id: str
    made: int | None
    arrives: int | None
    label: float | str | bool


class Table:
    """One file of predictions, with what its columns are."""

    def __init__(
        self, file: TableFile, topic: str, columns: Columns, is_mine: Callable[[str], bool] | None = None
    ) -> None:
        """``is_mine``: of which models rows become events."""
        self._is_mine = is_mine
        self.file = file
        self.topic = topic
        self.columns = columns
        self.delay_ms = duration_ms(columns.label_delay)
        self._step_ms = duration_ms(columns.step)
        features = [*(columns.features or ()), columns.prediction, columns.label]
        kinds, first = _look(file, [name for name in features if name is not None], columns)
        self.kinds = kinds
        self.starts = int(self._times(first, 0)[0]) if first is not None and len(first) else 0
        if first is not None and columns.time is not None:
            first.check_unit(columns.time, self._times(first, 0))

    def __iter__(self) -> Iterator[Parsed | Elsewhere]:
        for rows in self.stretches():
            yield from self.records_of(rows)

    def records_of(self, rows: Stretch) -> Iterator[Parsed | Elsewhere]:
        """Some of its rows, one by one."""
        return rows.records() if self._is_mine is None else self._mine(rows, self._is_mine)

    def stretches(self) -> Iterator[Stretch]:
        """Many rows at once."""
        said = self.columns
        named = (said.time, said.id, said.model_column, said.prediction, said.version, said.score, said.latency_ms)
        used = {*named, said.cost, *(said.features or ()), *said.segments, *said.scores.values()}
        for rows, times in self._parts(used):
            numbers = np.arange(len(times), dtype=np.int64)
            ids, models = rows.ids(said.id, self.topic), rows.models(said.model_column)
            features = {name.removeprefix(FEATURE): rows.cells(name) for name in said.features or ()}
            told: dict[str, Any] = {
                "predictions": rows.whole(said.prediction or ""),
                "versions": rows.texts(said.version) if said.version is not None else None,
                "scores": rows.shares(said.score) if said.score is not None else None,
                "classes": rows.classes(said.scores) if said.scores else None,
                "segments": rows.segments(said.segments) if said.segments else None,
                "latency_ms": rows.numbers(said.latency_ms) if said.latency_ms is not None else None,
                "cost": rows.numbers(said.cost) if said.cost is not None else None,
            }
            yield Stretch(
                topic=self.topic,
                numbers=numbers,
                stamps=times,
                offsets=rows.first + numbers,
                ids=ids if len(models.words) > 1 else list(ids),  # each model has its own made
                models=models,
                features=FeatureRows(features, len(times)),
                fingerprints=_fingerprints(times, [*features.values(), *told.values()]),
                **told,
            )

    def _mine(self, rows: Stretch, is_mine: Callable[[str], bool]) -> Iterator[Parsed | Elsewhere]:
        mine = rows.of_models(is_mine)
        own = rows.taken(np.flatnonzero(mine)).records()
        for is_own, offset, time in zip(mine.tolist(), rows.offsets.tolist(), rows.stamps.tolist(), strict=True):
            yield next(own) if is_own else Elsewhere(self.topic, 0, offset, time)

    def made(self) -> Iterator[tuple[list[str], list[str], list[int]]]:
        """Of some rows at a time: models, ids, and when predictions were made."""
        for rows, times in self._parts({self.columns.time, self.columns.id, self.columns.model_column}):
            models = list(islice(rows.models(self.columns.model_column), len(times)))
            yield models, list(rows.ids(self.columns.id, self.topic)), times.tolist()

    def labels(self) -> Iterator[Labelled]:
        """Of the rows that have one, in their order."""
        said = self.columns
        assert said.label is not None
        for rows, times in self._parts({said.time, said.id, said.model_column, said.label, said.label_time}):
            arrive: Iterable[int | None] = (
                rows.times_or_none(said.label_time) if said.label_time is not None else repeat(None)
            )
            made = zip(
                rows.models(said.model_column),
                rows.ids(said.id, self.topic),
                times.tolist(),
                arrive,
                rows.cells(said.label),
                strict=False,
            )
            for number, (model, key, time, arrives, label) in enumerate(islice(made, len(times)), rows.first):
                if label is not None and (arrives is not None or said.label_time is None):
                    yield Labelled(number, model, key, time, arrives, label)

    def _parts(self, names: Collection[str | None]) -> Iterator[tuple[Rows, Places]]:
        """In order of time. Without a time, rows are counted: then any column will do."""
        wanted = {name for name in names if name is not None} or {self.file.names[0]}
        before = 0
        for part in self.file.parts(wanted, {self.columns.time or "", self.columns.label_time or ""}):
            rows = Rows(self.file.where, part, self.columns, self.kinds)
            times = self._times(rows, before)
            before = int(times[-1])
            yield rows, times

    def _times(self, rows: Rows, before: int) -> Places:
        name = self.columns.time
        if name is None:
            return STEPS_BEGIN + self._step_ms * np.arange(rows.first, rows.first + len(rows), dtype=np.int64)
        times = rows.times(name)
        rows.check_order(name, times, before)
        return times


def kinds_in(part: Part, names: Collection[str], columns: Columns) -> Mapping[str, Kind]:
    """What the text of a CSV's columns is, by its first rows; one that begins empty is taken for numbers."""
    missing = frozenset(columns.missing)
    looked = {name: [cell for cell in part.columns[name] if cell and cell not in missing] for name in names}
    return {
        name: Kind.TEXT if name in columns.text else kind_of(cells) if cells else Kind.NUMBER
        for name, cells in looked.items()
    }


def _look(file: TableFile, names: list[str], columns: Columns) -> tuple[Mapping[str, Kind], Rows | None]:
    """At the first rows: what is text and what is a number must not depend on how a file is read in parts."""
    wanted = {*(() if file.typed else names), columns.time or file.names[0]}
    part = next(file.parts(wanted, {columns.time or ""}), None)
    if part is None:
        return {}, None
    kinds = {} if file.typed else kinds_in(part, names, columns)
    rows = Rows(file.where, part, columns, kinds)
    for name in kinds:
        rows.check_commas(name)
    return kinds, rows


def _fingerprints(stamps: Places, columns: Iterable[Sequence[Any] | None]) -> Places:
    """A number of each row that rows of other content do not have, but by a rare chance."""
    mixed = stamps.astype(np.uint64)
    for cells in columns:
        if cells is not None:
            mixed = (mixed ^ _marks(cells)) * _ODD
            mixed ^= mixed >> np.uint64(32)
    return (mixed & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _marks(cells: Sequence[Any]) -> NDArray[np.uint64]:
    """The same of the same cell, however its part of the file is held."""
    if isinstance(cells, NumberCells):
        return np.where(cells.missing, _NO_CELL, np.ascontiguousarray(cells.values).view(np.uint64))
    if isinstance(cells, WordCells):
        marks = cells.looked_up([crc32(_PACK(word)) for word in cells.words]).astype(np.uint64)
        return np.where(cells.missing, _NO_CELL, marks)
    return np.array([_mark(cell) for cell in cells], dtype=np.uint64)


def _mark(cell: Any) -> np.uint64:
    if cell is None:
        return _NO_CELL
    return np.float64(cell).view(np.uint64) if type(cell) is float else np.uint64(crc32(_PACK(cell)))
