"""Recorded history in files, opened as a whole before anything is read: JSON lines, CSV and Parquet, and their labels.

Several files are one history, by event time.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from glob import glob
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import NamedTuple

from detectors.rows import Stretch
from schemas.records import RecordLike
from streams.errors import UsageError
from streams.sources import STANDARD_INPUT, JsonLines, topics_of
from streams.table_events import Table
from streams.table_files import Form, TableFile, form_of, table_file
from streams.table_labels import ColumnLabels, LabelFile
from streams.table_mapping import Columns, found_out, labels_as_toml, labels_found_out, shown_as_toml
from streams.time_order import Rows, Source, in_order, together
from streams.truth import SUFFIX as TRUTH

FILES_MAX = 1_000  # each is open at once, and systems commonly allow 1,024
# Of more rows the state lies on disk: each prediction that waits is some 450 bytes of memory, and 150 bytes on disk.
ROWS_IN_MEMORY = 400_000
COLUMN_ROWS_IN_MEMORY = 1_000_000  # where nothing comes between rows of a table: they wait as columns, 150 bytes each
_ROW_BYTES, _PACKED = 200, 8  # of text, so much of it a row; packed, so many times as much
_EVENTS = (".jsonl", ".ndjson", ".json")


class Given(NamedTuple):
    """What the caller says of the files."""

    sources: Sequence[str]
    labels: str | None = None
    columns: Columns = Columns()
    segments: Collection[str] = ()  # that the configuration watches
    form: Form | None = None  # of all of them; else each one's name says it
    since: int | None = None  # event time in epoch milliseconds, as the one below
    until: int | None = None  # excluded


class History(AbstractContextManager["History"]):
    """Its records, and how far they are read. ``told``: what was found out about tables, a line each."""

    def __init__(self, given: Given, is_mine: Callable[[str], bool] | None = None) -> None:
        """``is_mine``: of which models rows become events; those of others only keep their places."""
        self._is_mine = is_mine
        self.told: list[str] = []
        self._given = given
        self._open = ExitStack()
        self._lines: list[JsonLines] = []
        self._tables: list[Table] = []
        self._labels: LabelFile | None = None
        try:
            self._sources = self._opened()
        except BaseException:
            self._open.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def records(self) -> Iterable[RecordLike]:
        records, since, until = in_order(self._sources), self._given.since, self._given.until
        if since is not None:
            records = dropwhile(lambda record: record.timestamp < since, records)
        if until is not None:
            records = takewhile(lambda record: record.timestamp < until, records)
        return records

    @property
    def stretches(self) -> Iterable[RecordLike | Stretch]:
        """The same, many rows at once where nothing of another source comes between them."""
        if not self._tables or self._is_cut:
            return self.records
        if len(self._sources) == 1:
            return self._tables[0].stretches()
        return together([Rows(one) if isinstance(one, Table) else one for one in self._sources])

    @property
    def blank_lines(self) -> int:
        return sum(file.blank_lines for file in self._lines) + sum(table.file.blank_lines for table in self._tables)

    @property
    def fraction(self) -> float | None:
        """Of all bytes; of standard input nobody knows."""
        sizes = [file.size for file in self._lines] + [table.file.size for table in self._tables]
        total = sum(size or 0 for size in sizes)
        if None in sizes or not total:
            return None
        read = sum(file.bytes_read for file in self._lines)
        return (read + sum((table.file.fraction or 0.0) * table.file.size for table in self._tables)) / total

    @property
    def rows_about(self) -> float:
        """Roughly, before anything is read: of standard input there may be any number."""
        tables = sum(table.file.rows or _rows_in(table.file.where, table.file.size) for table in self._tables)
        return tables + sum(_rows_in(file.topic, file.size) for file in self._lines)

    @property
    def outgrows_memory(self) -> bool:
        """Whether what stretches leave waiting is better kept on disk."""
        return self.rows_about > (COLUMN_ROWS_IN_MEMORY if self._waits_as_columns else ROWS_IN_MEMORY)

    @property
    def _waits_as_columns(self) -> bool:
        """Of a table alone. Rows with segments are taken in one by one, and scores of classes are much to keep."""
        if self._is_cut or len(self._sources) > 1 or not self._tables:
            return False
        return not (self._given.segments or self._tables[0].columns.scores)

    @property
    def _is_cut(self) -> bool:
        return self._given.since is not None or self._given.until is not None

    @property
    def rereadable(self) -> bool:
        return all(file.size is not None for file in self._lines)

    @property
    def identity(self) -> list[object]:
        """What it is read from, and how."""
        given = self._given
        paths = [*_expanded(given.sources), *((given.labels,) if given.labels is not None else ())]
        stamps = [stamp_of(Path(path)) for path in paths]
        return [stamps, given.columns, sorted(given.segments), given.form, given.since, given.until]

    @property
    def left_over(self) -> str:
        """Labels that nothing was made of; empty where there are none."""
        if self._labels is None or not self._labels.unknown:
            return ""
        return f"{self._labels.file.where}: {self._labels.unknown:,} labels have the id of no prediction"

    def _opened(self) -> list[Source]:
        names = list(_expanded(self._given.sources))
        labels = self._given.labels
        both = names if labels is None else [*names, labels]
        if len(set(both)) < len(both):
            raise UsageError("a source is named twice", where=", ".join(both[:3]))
        if len(both) > FILES_MAX:
            raise UsageError(f"{len(both):,} files: at most {FILES_MAX:,} are read at once", advice="join some of them")
        topics = topics_of(both)
        sources: list[Source] = []
        for name, topic in zip(names, topics, strict=False):
            form = self._given.form or form_of(name)
            sources.append(self._events(name, topic) if form is Form.JSONL else self._table(name, topic, form))
        sources += [ColumnLabels(table) for table in self._tables if table.columns.label is not None]
        if labels is not None:
            sources.append(self._labels_of(labels, topics[-1]))
        return sources

    def _events(self, name: str, topic: str) -> JsonLines:
        self._lines.append(self._open.enter_context(JsonLines.open(name, topic)))
        return self._lines[-1]

    def _table(self, name: str, topic: str, form: Form) -> Table:
        given = self._given
        file = table_file(Path(name), form, given.columns.time_zone)
        apart = given.labels is not None
        columns = found_out(given.columns, file.names, given.segments, file.where, labels_apart=apart)
        if columns.time is None and len(given.sources) > 1:
            advice = 'say which one it is: time = "…" in a file given with --mapping'
            raise UsageError(
                "no column is known as the time, and there are several files", where=file.where, advice=advice
            )
        self._tell(file, shown_as_toml(columns))
        self._tables.append(Table(file, topic, columns, self._is_mine))
        return self._tables[-1]

    def _labels_of(self, name: str, topic: str) -> Source:
        form = self._given.form or form_of(name)
        if form is Form.JSONL:
            return self._events(name, topic)
        if not self._tables:
            raise UsageError("a table of labels needs a table of predictions", where=name, advice="leave --labels out")
        file = table_file(Path(name), form, self._given.columns.time_zone)
        said = self._given.columns
        columns = labels_found_out(said, file.names, file.where)
        named = said.model is not None or columns.labels.model_column is not None
        by_id_alone = not named and any(table.columns.model_column is not None for table in self._tables)
        if by_id_alone and columns.labels.time is not None:
            advice = (
                'say which one it is: [labels] model_column = "…" in a file given with --mapping; or time = "" there'
            )
            raise UsageError("no column is known as the model, and the predictions have one", where=name, advice=advice)
        self._tell(file, labels_as_toml(columns))
        self._labels = LabelFile(file, topic, columns, self._tables, by_id_alone=by_id_alone)
        return self._labels

    def _tell(self, file: TableFile, lines: Iterable[str]) -> None:
        """Files of one kind are told of once."""
        said = [f"  {line}" for line in lines]
        if "\n".join(said) not in "\n".join(self.told):
            self.told += [f"{file.where}: read as this says; change it in a file and give that with --mapping", *said]


def stamp_of(path: Path) -> tuple[str, int, int]:
    """The same for the same content, unless somebody takes pains."""
    stat = path.stat()
    return str(path), stat.st_size, stat.st_mtime_ns


def _rows_in(name: str, size: int | None) -> float:
    return math.inf if size is None else size * (_PACKED if name.endswith(".gz") else 1) / _ROW_BYTES


def _expanded(sources: Sequence[str]) -> Iterator[str]:
    """Folders as the files in them, patterns as what fits, in the order of their names."""
    for source in sources:
        path = Path(source)
        if source == STANDARD_INPUT or not (
            path.is_dir() or (any(map(source.__contains__, "*?[")) and not path.exists())
        ):
            yield source
            continue
        if path.is_dir():
            within = (file for file in path.rglob("*") if _is_history(file.relative_to(path)) and file.is_file())
            found = sorted(map(str, within))
        else:
            found = sorted(glob(source, recursive=True))
        if not found:
            what = "holds no file to read" if path.is_dir() else "fits no file"
            raise UsageError(what, where=source, advice="files end in .jsonl, .csv or .parquet, or in .gz after that")
        yield from found


def _is_history(name: Path) -> bool:
    """Not what programs put beside it, such as ``_SUCCESS``, hidden files or what is known of injected drifts."""
    if any(part.startswith((".", "_")) for part in name.parts) or name.name.endswith(TRUTH):
        return False
    return form_of(name.name) is not Form.JSONL or Path(name.name.lower().removesuffix(".gz")).suffix in _EVENTS
