"""How the predictions of one model are written, and what many of them say, as columns."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from detectors.cells import Cell
from detectors.columns import FeatureRows, NumberCells, Places, WordCells, coded
from detectors.scanning import SPARE, Bytes, Floats, Whole, code, scan
from schemas.forms import Form, Slot, Takes, form_of

FORMS_MAX = 4  # of one model: a field that is left out now and then makes another one
TRIED_AT_ONCE = 4  # as examples
OTHERS_SHARE = 32  # one in so many may be written otherwise, and nothing is learned from it
WORDS_MAX, WORDS_BYTES = 128, 2_048  # of one column: where there are more, they are texts that do not come again
WORDED_MAX = 64  # columns whose words are remembered: five kilobytes each

Name = tuple[str, str]  # a field, and what is told in it

# Each a column of its own. Segments and attributions are none: nobody asks for them where rows are columns.
_ALONE = tuple((field, "") for field in ("id", "ts", "version", "prediction", "score", "latency_ms", "cost", "trace"))
_TEXTS: tuple[Name, ...] = (("id", ""), ("trace", ""))  # another one in each
_WORDED, _NOTHING = int(Takes.TEXT | Takes.BOOLEAN), int(Takes.NULL | Takes.ABSENT)
_OPTIONAL = ("version", "score", "latency_ms", "cost", "trace")
_QUOTES = np.array([[1], [-1]])  # from where a text begins and ends with them to what stands between


class Read(NamedTuple):
    """What some predictions say. ``rows``: which of those given they are."""

    rows: Places
    ids: list[str]
    sent: Places
    features: FeatureRows
    predictions: Sequence[Cell]
    versions: WordCells | None
    scores: Sequence[Cell] | None
    classes: list[dict[str, float]] | None
    latency_ms: Sequence[float | None] | None
    cost: Sequence[float | None] | None
    traces: Sequence[str | None] | None


class Writing:
    """All its forms tell of the same features and the same classes."""

    def __init__(self) -> None:
        self._forms: list[Form] = []
        self._columns: list[Name] = []
        self._worded: dict[Name, None] = {}  # columns that have shown words
        self._words: dict[Name, _Words] = {}
        self._plan = _Plan([], [], [])

    def read(self, text: bytes, ends: Places, fits: Callable[[int], bool]) -> Read | None:
        """As many as are written as some before them were. ``fits``: whether one is a prediction to learn from.

        ``text``: one after the other, and what is spare. ``ends``: where each ends.
        """
        scanned = _Scanned(self._plan, text, ends)
        for tried in range(TRIED_AT_ONCE):
            others = scanned.others()
            if len(others) * OTHERS_SHARE <= len(ends):
                break
            other = int(others[tried % len(others)])
            value = text[ends[other - 1] if other else 0 : ends[other]]
            if fits(other) and self._learn(value, anew=2 * len(others) > len(ends)):
                scanned = _Scanned(self._plan, text, ends)
        return scanned.read(self._words) if len(scanned.rows) else None

    def _learn(self, value: bytes, *, anew: bool) -> bool:
        """Another form; of those that tell of other features none is kept. Whether there is anything new.

        ``anew``: it may be of other features.
        """
        form = form_of(value)
        if form is None:
            return False
        columns = [*_ALONE, *(slot.path for field in ("scores", "features") for slot in form.slots_of(field))]
        if columns != self._columns:
            if not anew:
                return False
            self._columns, self._forms, self._worded, self._words = columns, [], {}, {}
        worded = [slot.path for slot in form.slots if slot.shows & _WORDED and slot.path in columns]
        new = dict.fromkeys(name for name in worded if name not in self._worded and name not in _TEXTS)
        others = [known for known in self._forms if known.literals != form.literals]
        if len(others) < len(self._forms) and not new:
            return False
        self._forms = [*others[1 - FORMS_MAX :], form]
        self._worded |= new
        self._words |= {name: _Words() for name in islice(new, WORDED_MAX - len(self._words))}
        self._plan = _Plan(self._forms, columns, self._worded)
        return True


class _Words:
    """Those of one column, as far as they come again."""

    def __init__(self) -> None:
        self._words: list[Any] = []
        self._pool: Bytes = np.zeros(WORDS_BYTES, dtype=np.uint8)
        self._pool_ends = np.zeros(WORDS_MAX + 1, dtype=np.int64)
        self._table = np.full(2 * WORDS_MAX, -1, dtype=np.int64)
        self._met = np.zeros(1, dtype=np.int64)
        self._too_many = False

    def coded(self, text: Bytes, spans: Whole) -> WordCells | None:
        """``None`` where there are too many."""
        if self._too_many:
            return None
        codes: Places = np.empty(spans.shape[1], dtype=np.int64)
        addresses = np.array([text.ctypes.data, self._pool.ctypes.data])
        fit = code(addresses, spans, self._table, self._pool, self._pool_ends, self._met, codes)
        self._too_many = not fit
        for number in range(len(self._words), int(self._met[0])):
            self._words.append(json.loads(self._pool[self._pool_ends[number] : self._pool_ends[number + 1]].tobytes()))
        return WordCells(codes, self._words) if fit else None


class _Plan:
    """The forms as the scanner goes through them. ``columns`` and ``spans``: where it puts what it finds."""

    def __init__(self, forms: Sequence[Form], columns: Iterable[Name], worded: Iterable[Name]) -> None:
        self.columns = {name: place for place, name in enumerate(columns)}
        self.spans = {name: place for place, name in enumerate((*_TEXTS, *worded))}
        told = {slot.path for form in forms for slot in form.slots}
        literals, slots, firsts = list[bytes](), list[Slot](), [0]
        for form in forms:
            here = {slot.path for slot in form.slots}
            absent = [_absent(name) for name in self.columns if name in told and name not in here]
            literals += [*form.literals, *(b"" for _ in absent)]
            slots += [*form.slots, *absent]
            firsts.append(len(slots))
        self.literals: Bytes = np.frombuffer(b"".join((*literals, SPARE)), dtype=np.uint8)
        self.arrays = (
            np.cumsum([0, *map(len, literals)]),
            np.array(firsts),
            np.array(list(map(self._numbers_of, slots)), dtype=np.int64).reshape(-1, 5),
            np.array([(slot.least, slot.most) for slot in slots], dtype=np.float64).reshape(-1, 2),
        )

    def _numbers_of(self, slot: Slot) -> tuple[int, ...]:
        places = (where.get(slot.path, -1) for where in (self.columns, self.spans))
        return int(slot.takes), slot.shortest, slot.longest, *places


def _absent(name: Name) -> Slot:
    return Slot(*name, Takes.ABSENT, Takes.ABSENT, 0.0, 0.0, 0, 0)


class _Scanned:
    """What the scanner has found in some records."""

    def __init__(self, plan: _Plan, text: bytes, ends: Places) -> None:
        self._plan, self._records = plan, len(ends)
        self._text = text
        self._bytes: Bytes = np.frombuffer(text, dtype=np.uint8)
        numbers: Floats = np.empty((len(plan.columns), len(ends)))
        spans: Whole = np.empty((len(plan.spans), 2, len(ends)), dtype=np.int64)
        self._saw: Whole = np.zeros(len(plan.columns), dtype=np.int64)
        rows: Places = np.empty(len(ends), dtype=np.int64)
        addresses = np.array([array.ctypes.data for array in (self._bytes, plan.literals)])
        taken = scan(addresses, ends, *plan.arrays, numbers, spans, self._saw, rows)
        self.rows, self._numbers, self._spans = rows[:taken], numbers[:, :taken], spans[:, :, :taken]

    def others(self) -> Places:
        """The records that were not taken."""
        left = np.ones(self._records, dtype=np.bool_)
        left[self.rows] = False
        return np.flatnonzero(left)

    def read(self, words: Mapping[Name, _Words]) -> Read:
        text = self._text.decode("latin-1")  # a character a byte, whatever stands in those that were not taken

        def cells(field: str, name: str = "") -> Any:
            return self._cells((field, name), words, text)

        columns = self._plan.columns
        features = {name: cells(field, name) for field, name in columns if field == "features"}
        classes = [name for field, name in columns if field == "scores"]
        shares = self._numbers[len(_ALONE) : len(_ALONE) + len(classes)].T.tolist() if classes else []
        said = {field for field, _ in _ALONE if self._saw[columns[field, ""]] & ~_NOTHING}
        optional = (cells(field) if field in said else None for field in _OPTIONAL)
        versions, scores, *rest = optional
        return Read(
            self.rows,
            cells("id"),
            self._numbers[columns["ts", ""]].astype(np.int64),
            FeatureRows(features, len(self.rows)),
            _kept(cells("prediction")),
            coded(versions) if isinstance(versions, list) else versions,
            _kept(scores),
            [dict(zip(classes, row, strict=True)) for row in shares] if classes else None,
            *rest,
        )

    def _cells(self, name: Name, words: Mapping[Name, _Words], text: str) -> Any:
        """Numbers where all are, or nothing; codes where all are words; else cell by cell."""
        column = self._plan.columns[name]
        saw, numbers = int(self._saw[column]), NumberCells(self._numbers[column])
        if not saw & _WORDED:
            return numbers
        spans = np.ascontiguousarray(self._spans[self._plan.spans[name]])
        cells: Any = words[name].coded(self._bytes, spans) if name in words else None
        if cells is None and saw == Takes.TEXT:
            return [text[start:end] for start, end in zip(*(spans + _QUOTES).tolist(), strict=True)]
        if not saw & Takes.NUMBER and cells is not None:
            return cells
        if cells is None:
            tokens = (text[start:end] for start, end in zip(*spans.tolist(), strict=True))
            cells = [json.loads(token) if token else None for token in tokens]
        return [number if word is None else word for number, word in zip(numbers, cells, strict=True)]


def _kept(cells: Any) -> Any:
    """What is remembered for long lets go of what it was read beside."""
    return NumberCells(cells.values.copy()) if isinstance(cells, NumberCells) else cells


def warm_up() -> None:
    value = b'{"type":"prediction","v":1,"id":"a","model":"m","ts":1,"features":{"a":0.5,"b":"b"},"prediction":1}'
    Writing().read(value + value + SPARE, np.array([len(value), 2 * len(value)]), lambda _: True)
