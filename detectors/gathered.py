"""Records of a model that came one by one and are taken in together: predictions as columns, and outcomes."""

from collections.abc import Callable, Sequence
from itertools import chain, repeat
from typing import Any, Protocol
from zlib import crc32

import numpy as np

from detectors.cells import Cell
from detectors.columns import FeatureRows, NumberCells, Places, WordCells, coded
from detectors.moment import Item
from detectors.rows import Items, Rows, Stretch, sent_of
from schemas.parsed import Parsed
from schemas.records import RecordLike
from schemas.times import TS_MIN

COLUMNS_MIN = 80  # predictions of a model at once: of fewer, making columns costs more than it saves
WORTH_MIN = 16  # rows of a try: to try costs what some of them cost one by one
SINGLY_MAX = 64  # rows that are taken one by one before the next try
_NUMBER, _NUMBER_OR_NOTHING, _TEXT_OR_NOTHING = {float}, {float, type(None)}, {str, type(None)}


class Worth:
    """Whether many rows are tried for at once: where few came of it, the next ones are taken one by one."""

    def __init__(self) -> None:
        self._singly = self._wait = 0

    def trying(self) -> bool:
        return not self._singly

    def came(self, rows: int) -> None:
        """So many came of a try, or one that was not tried for with others."""
        if self._singly:
            self._singly -= 1
        else:
            self._singly = self._wait = min(SINGLY_MAX, 2 * self._wait + 1) if rows < WORTH_MIN else 0


class Bunch(Protocol):
    """Predictions of the champion of one model, or outcomes, of one topic and partition, to be taken in together."""

    topic: str
    kind: type  # of their events

    def __len__(self) -> int: ...
    @property
    def many(self) -> bool:
        """Whether there are so many that columns cost less than taking them in one by one."""

    def items(self) -> Sequence[Item]: ...
    def item(self, row: int) -> Item: ...
    def stretch(self, since: int) -> Stretch:
        """Of predictions. ``since``: stream time before them, which does not go back."""


class Gathered:
    """Those that came one by one; not empty."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = items
        self.topic: str = items[0][2].topic
        self.kind: type = type(items[0][3])

    def __len__(self) -> int:
        return len(self._items)

    @property
    def many(self) -> bool:
        return len(self) >= COLUMNS_MIN

    def items(self) -> Sequence[Item]:
        return self._items

    def item(self, row: int) -> Item:
        return self._items[row]

    def stretch(self, since: int) -> Stretch:
        return stretch_of(self._items, since)


def fingerprint_of(record: RecordLike) -> int:
    """Tells apart records of other content."""
    return record.fingerprint if type(record) is Parsed else crc32(record.value or b"")


def stretch_of(items: Sequence[Item], since: int) -> Stretch:
    """Of predictions of one model, topic and partition. ``since``: stream time before them, which does not go back."""
    numbers, times, records, events = zip(*items, strict=True)
    first: RecordLike = records[0]
    stamps = rising(times, since)
    return Stretch(
        first.topic,
        np.array(numbers, dtype=np.int64),
        stamps,
        _places([record.offset for record in records]),
        [event.id for event in events],
        WordCells(np.zeros(len(items), dtype=np.int64), [events[0].model]),
        _numbers([event.prediction for event in events]),
        _features([event.features for event in events]),
        _places(list(map(fingerprint_of, records))),
        _told([event.version for event in events], coded),
        _told([event.score for event in events], _numbers),
        _told([event.scores for event in events]),
        _told([event.segments for event in events]),
        _told([event.latency_ms for event in events], _numbers),
        _told([event.cost for event in events], _numbers),
        sent_of(events),
        _told([event.trace for event in events]),
        first.partition,
    )


def rising(times: Sequence[int], since: int) -> Places:
    """As stream time, which does not go back. ``since``: what it was before them."""
    return np.maximum.accumulate(np.maximum(np.array(times, dtype=np.int64), since))


def joined(parts: Sequence[Rows]) -> Stretch:
    """Some after the other, all of one topic and partition."""
    rows = [stretch_of(part.all, TS_MIN) if isinstance(part, Items) else part for part in parts]
    stretches = [part for part in rows if isinstance(part, Stretch)]
    first, lengths = stretches[0], list(map(len, stretches))

    def of(cells: Callable[[Stretch], Sequence[Any] | None]) -> Any:
        return _one_after_the_other([cells(part) for part in stretches], lengths)

    return Stretch(
        first.topic,
        np.concatenate([part.numbers for part in stretches]),
        np.concatenate([part.stamps for part in stretches]),
        np.concatenate([part.offsets for part in stretches]),
        list(chain.from_iterable(part.ids for part in stretches)),
        of(lambda part: part.models),
        of(lambda part: part.predictions),
        of(lambda part: part.features),
        np.concatenate([part.fingerprints for part in stretches]),
        of(lambda part: part.versions),
        of(lambda part: part.scores),
        of(lambda part: part.classes),
        of(lambda part: part.segments),
        of(lambda part: part.latency_ms),
        of(lambda part: part.cost),
        np.concatenate([part.sent() for part in stretches]),
        of(lambda part: part.traces),
        first.partition,
    )


def _one_after_the_other(parts: Sequence[Sequence[Any] | None], lengths: Sequence[int]) -> Sequence[Any] | None:
    told = [part for part in parts if part is not None]
    if not told:
        return None
    if len(told) == len(parts):
        if all(isinstance(part, NumberCells) for part in told):
            return NumberCells(np.concatenate([part.values for part in told]))  # type: ignore[attr-defined]
        if any(isinstance(part, WordCells) for part in told) and all(map(_is_text, told)):
            return _words_one_after_the_other(told)
        if all(isinstance(part, FeatureRows) and list(part.columns) == list(told[0].columns) for part in told):  # type: ignore[attr-defined]
            columns = {
                name: _one_after_the_other([part.columns[name] for part in told], lengths)  # type: ignore[attr-defined]
                for name in told[0].columns  # type: ignore[attr-defined]
            }
            return FeatureRows(columns, sum(lengths))  # type: ignore[arg-type]
    cells = chain.from_iterable(
        repeat(None, n) if part is None else part for part, n in zip(parts, lengths, strict=True)
    )
    return list(cells)


def _is_text(cells: Sequence[Any]) -> bool:
    return _TEXT_OR_NOTHING.issuperset(map(type, cells.words if isinstance(cells, WordCells) else cells))


def _words_one_after_the_other(parts: Sequence[Sequence[Any]]) -> WordCells:
    codes: dict[str, int] = {}
    coded_parts = [part if isinstance(part, WordCells) else coded(part) for part in parts]
    each = [part.looked_up([codes.setdefault(word, len(codes)) for word in part.words]) for part in coded_parts]
    return WordCells(np.concatenate(each), list(codes))


def _places(numbers: list[int]) -> Places:
    return np.array(numbers, dtype=np.int64)


def _told(cells: list[Any], into: Callable[[list[Any]], Any] = list) -> Any:
    """Nothing where no event says anything."""
    return None if cells.count(None) == len(cells) else into(cells)


def _numbers(cells: list[Cell]) -> Sequence[Cell]:
    """As numbers where all are, or nothing at all."""
    if not _NUMBER_OR_NOTHING.issuperset(map(type, cells)):
        return cells
    numbers = np.array(cells, dtype=np.float64)  # of nothing it makes what is not a number
    return NumberCells(numbers) if np.isnan(numbers).sum() == cells.count(None) else cells


def _features(rows: list[dict[str, Cell]]) -> FeatureRows | list[dict[str, Cell]]:
    """As columns where all rows have the same features, in the same order: they are met in that of the first."""
    names = tuple(rows[0])
    if list(map(tuple, rows)).count(names) < len(rows):
        return rows
    if not names:
        return FeatureRows({}, len(rows))
    cells = list(chain.from_iterable(map(dict.values, rows)))
    if _NUMBER.issuperset(map(type, cells)):
        matrix = np.fromiter(cells, dtype=np.float64, count=len(cells)).reshape(len(rows), len(names))
        if not np.isnan(matrix).any():
            return FeatureRows(
                {name: NumberCells(column) for name, column in zip(names, matrix.T, strict=True)}, len(rows)
            )
    columns = {name: _numbers(cells[place :: len(names)]) for place, name in enumerate(names)}
    return FeatureRows(columns, len(rows))
