"""Labels of tables as outcomes, in the order in which they arrive, whatever the order in which they stand.

Where a column says when each came, they are sorted. Where it is the prediction's time that says it, a file of labels is
looked up by id. Both are done on disk, so that memory does not grow with the file.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import msgspec

from schemas.events import Outcome
from schemas.parsed import Parsed
from schemas.times import TS_END
from streams.errors import SourceError
from streams.table_events import LABELS, Labelled, Table, kinds_in
from streams.table_files import TableFile
from streams.table_mapping import Columns
from streams.table_rows import Rows
from streams.time_order import in_order

_CACHE_KIB = 32 * 1024
_encode = msgspec.json.encode
_label = msgspec.json.Decoder(float | str | bool).decode


class ColumnLabels:
    """Those that stand beside the predictions."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.topic = f"{table.topic}{LABELS}"
        self.starts = table.starts + table.delay_ms if table.columns.label_time is None else 0

    def __iter__(self) -> Iterator[Parsed]:
        labels = self._table.labels()
        if self._table.columns.label_time is not None:
            labels = _sorted(labels)
        for one in labels:
            yield _outcome(self.topic, one, self._table.delay_ms)


class LabelFile:
    """Labels in a table of their own, of the predictions in others."""

    starts = 0

    def __init__(
        self, file: TableFile, topic: str, columns: Columns, tables: Sequence[Table], *, by_id_alone: bool = False
    ) -> None:
        """``by_id_alone``: the predictions are of models that the labels do not name."""
        self.file = file
        self.topic = topic
        self._columns, self._tables = columns, tables
        self._model = columns.model if by_id_alone else None
        self.unknown = 0  # those whose id no prediction has

    def __iter__(self) -> Iterator[Parsed]:
        if self._columns.labels.time is not None:
            return (_outcome(self.topic, one, 0) for one in _sorted(self._labels()))
        return self._looked_up()

    def _labels(self) -> Iterator[Labelled]:
        own, kinds = self._columns.labels, None
        assert own.id is not None
        assert own.label is not None
        names = {name for name in (own.id, own.label, own.time, own.model_column) if name is not None}
        for part in self.file.parts(names, {own.time or ""}):
            if kinds is None:
                kinds = {} if self.file.typed else kinds_in(part, [own.label], self._columns)
            rows = Rows(self.file.where, part, self._columns, kinds)
            keys, cells = rows.ids(own.id, self.topic), rows.cells(own.label)
            models = islice(rows.models(own.model_column), len(keys))
            arrive = rows.times_or_none(own.time) if own.time is not None else [None] * len(keys)
            for number, (model, key, time, label) in enumerate(
                zip(models, keys, arrive, cells, strict=True), part.first
            ):
                if label is not None and (time is not None or own.time is None):
                    yield Labelled(number, model, key, None, time, label)

    def _looked_up(self) -> Iterator[Parsed]:
        """Each comes a delay after its prediction."""
        with _database() as database:
            database.execute(
                "CREATE TABLE labels (model TEXT, id TEXT, row INTEGER, label BLOB, PRIMARY KEY (model, id))"
            )
            _fill(database, "INSERT OR REPLACE INTO labels VALUES (?, ?, ?, ?)", map(_by_id, self._labels()))
            (left,) = database.execute("SELECT count(*) FROM labels").fetchone()
            for outcome in in_order([_Lookup(database, self.topic, table, self._model) for table in self._tables]):
                left -= 1
                yield outcome
            self.unknown = max(0, left)


class _Lookup:
    """The labels of one table's predictions, in their order. ``model``: whose all labels are, whoever predicted."""

    def __init__(self, database: sqlite3.Connection, topic: str, table: Table, model: str | None) -> None:
        self.starts = table.starts + table.delay_ms
        self._database, self._topic, self._table, self._model = database, topic, table, model

    def __iter__(self) -> Iterator[Parsed]:
        for models, keys, times in self._table.made():
            whose = models if self._model is None else [self._model] * len(keys)
            wanted = _encode(list(zip(range(len(keys)), whose, keys, strict=True))).decode()
            for place, row, label in self._database.execute(_FIND, (wanted,)).fetchall():
                one = Labelled(row, models[place], keys[place], times[place], None, _label(label))
                yield _outcome(self._topic, one, self._table.delay_ms)


# "CROSS" keeps the order: every id that is wanted is looked up, and not the other way round.
_FIND = """
SELECT wanted.value ->> 0 AS place, row, label FROM json_each(?) AS wanted
CROSS JOIN labels ON model = wanted.value ->> 1 AND labels.id = wanted.value ->> 2 ORDER BY place
"""


def _outcome(topic: str, one: Labelled, delay_ms: int) -> Parsed:
    time = one.arrives if one.arrives is not None else min((one.made or 0) + delay_ms, TS_END - 1)
    event = Outcome(v=1, id=one.id, model=one.model, ts=time, label=one.label)
    return Parsed(topic, 0, one.row, time, event, 0)


def _sorted(labels: Iterable[Labelled]) -> Iterator[Labelled]:
    """By the time at which they arrive; those of one millisecond as they stand in the file."""
    with _database() as database:
        database.execute("CREATE TABLE labels (arrives INTEGER, row INTEGER, model TEXT, id TEXT, label BLOB)")
        _fill(database, "INSERT INTO labels VALUES (?, ?, ?, ?, ?)", map(_by_time, labels))
        for arrives, row, model, key, label in database.execute("SELECT * FROM labels ORDER BY arrives, row"):
            yield Labelled(row, model, key, None, arrives, _label(label))


@contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    """In a file without a name, which is gone when it is closed."""
    database = sqlite3.connect("", isolation_level=None)
    try:
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}", "temp_store = FILE"):
            database.execute(f"PRAGMA {setting}")
        yield database
    except sqlite3.Error as error:
        advice = "is there room where temporary files go (TMPDIR)?"
        raise SourceError(f"labels cannot be sorted on disk: {error}", advice=advice) from error
    finally:
        database.close()


def _fill(database: sqlite3.Connection, insert: str, rows: Iterable[Sequence[object]]) -> None:
    database.execute("BEGIN")
    database.executemany(insert, rows)
    database.execute("COMMIT")


def _by_time(one: Labelled) -> tuple[object, ...]:
    return one.arrives, one.row, one.model, one.id, _encode(one.label)


def _by_id(one: Labelled) -> tuple[object, ...]:
    return one.model, one.id, one.row, _encode(one.label)
