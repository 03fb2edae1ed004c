"""Predictions of one batch, in their order: as records that came one by one, or as columns.

Columns are those of a table, or made of many records of one model.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.cells import Cell, score_of, sureness
from detectors.columns import FeatureRows, NumberCells, Places, Taken, WordCells, met, taken
from detectors.moment import Item
from schemas.events import Prediction
from schemas.parsed import Elsewhere, Parsed
from schemas.times import to_ms

_NOTHING: Sequence[float | None] = ()


class Rows(Protocol):
    """What detectors need of some predictions of one monitor."""

    def __len__(self) -> int: ...
    def item(self, row: int) -> Item: ...
    def place(self, row: int) -> Item:
        """Where and when it is; what it says may be left out."""

    def at(self, row: int) -> tuple[int, int]:
        """Its time and its offset."""

    def marks(self, rows: range) -> Iterable[int]:
        """Of each of these the time and the offset."""

    def places(self) -> Sequence[int]:
        """In the batch."""

    def times(self) -> NDArray[np.int64]: ...
    def sent(self) -> NDArray[np.int64]:
        """When each was made, by its own word."""

    def answers(self) -> tuple[Sequence[Cell], Sequence[Cell], Sequence[dict[str, Cell]]]:
        """Predictions, scores and features."""

    def latencies(self) -> Sequence[float | None]:
        """Empty where none is told."""

    def costs(self) -> Sequence[float | None]: ...


class Items:
    """As they came."""

    __slots__ = ("_made", "_places", "all")

    def __init__(self, items: Sequence[Item]) -> None:
        self.all = items
        self._places: list[int] = []  # once they are asked for, as are the events
        self._made: list[Prediction] = []

    @property
    def _events(self) -> list[Prediction]:
        if not self._made:
            self._made = [item[3] for item in self.all]
        return self._made

    def __len__(self) -> int:
        return len(self.all)

    def item(self, row: int) -> Item:
        return self.all[row]

    def place(self, row: int) -> Item:
        return self.all[row]

    def at(self, row: int) -> tuple[int, int]:
        item = self.all[row]
        return item[1], item[2].offset

    def marks(self, rows: range) -> Iterable[int]:
        return chain.from_iterable(map(self.at, rows))

    def places(self) -> Sequence[int]:
        if not self._places:
            self._places = [item[0] for item in self.all]
        return self._places

    def times(self) -> NDArray[np.int64]:
        return np.array([item[1] for item in self.all], dtype=np.int64)

    def sent(self) -> NDArray[np.int64]:
        return sent_of(self._events)

    def answers(self) -> tuple[Sequence[Cell], Sequence[Cell], Sequence[dict[str, Cell]]]:
        events = self._events
        scores = [event.score if event.scores is None else score_of(event) for event in events]
        return [event.prediction for event in events], scores, [event.features for event in events]

    def latencies(self) -> Sequence[float | None]:
        told = [event.latency_ms for event in self._events]
        return told if any(cell is not None for cell in told) else _NOTHING

    def costs(self) -> Sequence[float | None]:
        return [event.cost for event in self._events]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of one partition, one after the other and in order of time. What no column says is ``None``.

    ``numbers``: their places in the batch. ``fingerprints`` tell apart rows of other content. ``made``: when they were,
    by their own word, where that is not their time. A table has partition 0 alone.
    """

    topic: str
    numbers: Places
    stamps: Places
    offsets: Places
    ids: Sequence[str]
    models: WordCells
    predictions: Sequence[Any]
    features: FeatureRows | Sequence[dict[str, Cell]]
    fingerprints: Places
    versions: WordCells | None = None
    scores: Sequence[Cell] | None = None
    classes: Sequence[dict[str, float] | None] | None = None
    segments: Sequence[dict[str, str] | None] | None = None
    latency_ms: Sequence[float | None] | None = None
    cost: Sequence[float | None] | None = None
    made: Places | None = None
    traces: Sequence[str | None] | None = None
    partition: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def taken(self, rows: Taken) -> "Stretch":
        def of(cells: Any) -> Any:
            return None if cells is None else taken(cells, rows)

        return Stretch(
            self.topic,
            self.numbers[rows],
            self.stamps[rows],
            self.offsets[rows],
            of(self.ids),
            of(self.models),
            of(self.predictions),
            taken(self.features, rows),
            self.fingerprints[rows],
            of(self.versions),
            of(self.scores),
            of(self.classes),
            of(self.segments),
            of(self.latency_ms),
            of(self.cost),
            None if self.made is None else self.made[rows],
            of(self.traces),
            self.partition,
        )

    def of_one_version(self, row: int) -> int:
        """The row after those from this one on that are of its version."""
        if self.versions is None:
            return len(self)
        other = np.flatnonzero(self.versions.codes[row:] != self.versions.codes[row])
        return row + int(other[0]) if len(other) else len(self)

    def waiting(self) -> "Stretch":
        """What is kept of them while they wait, by one join."""
        none = np.zeros(0, dtype=np.int64)
        bare = replace(self, features=FeatureRows({}, len(self)), numbers=none, models=WordCells(none, ()))
        return replace(bare, versions=None, segments=None, latency_ms=None, cost=None, made=None, traces=None)

    def at_times(self, stamps: Places) -> "Stretch":
        """The same at other times; made when they were by their own word."""
        return replace(self, stamps=stamps, made=self.sent())

    def of_models(self, is_one: Callable[[str], bool]) -> NDArray[np.bool_]:
        """Which rows are of such models. They are asked for in the order in which they are met."""
        wanted = np.zeros(len(self.models.words), dtype=np.bool_)
        for code, _ in self._met():
            wanted[code] = is_one(self.models.words[code])
        found: NDArray[np.bool_] = wanted[self.models.codes]
        return found

    def first_of_models(self) -> Iterator[tuple[str, int]]:
        """Each model, with the place of its first row in the batch."""
        return ((self.models.words[code], int(self.numbers[row])) for code, row in self._met())

    def _met(self) -> list[tuple[int, int]]:
        """The codes of models and the first row of each, in the order of these."""
        codes, firsts = met(self.models.codes, len(self.models.words))
        return list(zip(codes.tolist(), firsts.tolist(), strict=True))

    def by_model(self) -> Iterator[tuple[str, "Stretch"]]:
        """Each model's, in the order in which they are met."""
        models = self._met()
        for code, _ in models:
            yield (
                self.models.words[code],
                self if len(models) == 1 else self.taken(np.flatnonzero(self.models.codes == code)),
            )

    # -- row by row -----------------------------------------------------------------------------------------------

    def records(self) -> Iterator[Parsed]:
        """As records that are events already."""
        rows = zip(
            self.stamps.tolist(),
            self.offsets.tolist(),
            self.fingerprints.tolist(),
            self.ids,
            self.models,
            self.predictions,
            self.features,
            _or_none(self.versions),
            _or_none(self.scores),
            _or_none(self.classes),
            _or_none(self.segments),
            _or_none(self.latency_ms),
            _or_none(self.cost),
            self.sent().tolist(),
            _or_none(self.traces),
            strict=False,  # what is not there is repeated for ever
        )
        for time, offset, fingerprint, key, model, answer, features, *rest in rows:
            version, score, scores, segments, latency_ms, cost, made, trace = rest
            event = Prediction(
                v=1,
                id=key,
                model=model,
                ts=made,
                features=features,
                prediction=answer,
                version=version,
                score=score,
                scores=scores,
                segments=segments,
                latency_ms=latency_ms,
                cost=cost,
                trace=trace,
            )
            yield Parsed(self.topic, self.partition, offset, time, event, fingerprint)

    def place(self, row: int) -> Item:
        if self.traces is not None:
            return self.item(row)
        time, offset = self.at(row)
        return int(self.numbers[row]), time, Elsewhere(self.topic, self.partition, offset, time), None

    def item(self, row: int) -> Item:
        record = next(self.taken(slice(row, row + 1)).records())
        return int(self.numbers[row]), record.timestamp, record, record.event

    # -- what detectors need --------------------------------------------------------------------------------------

    def at(self, row: int) -> tuple[int, int]:
        return int(self.stamps[row]), int(self.offsets[row])

    def marks(self, rows: range) -> Iterable[int]:
        which = slice(rows.start, rows.stop, rows.step)
        return array("q", np.stack((self.stamps[which], self.offsets[which]), axis=1).tobytes())

    def places(self) -> Sequence[int]:
        return self.numbers  # type: ignore[return-value]

    def times(self) -> NDArray[np.int64]:
        return self.stamps

    def sent(self) -> NDArray[np.int64]:
        return self.stamps if self.made is None else self.made

    def answers(self) -> tuple[Sequence[Cell], Sequence[Cell], Sequence[dict[str, Cell]]]:
        scores: Sequence[Cell] = NumberCells(np.full(len(self), np.nan))
        if self.classes is not None:
            scores = list(map(sureness, repeat(None) if self.scores is None else self.scores, self.classes))
        elif self.scores is not None:
            scores = self.scores
        return self.predictions, scores, self.features

    def latencies(self) -> Sequence[float | None]:
        return _NOTHING if self.latency_ms is None else self.latency_ms

    def costs(self) -> Sequence[float | None]:
        return _NOTHING if self.cost is None else self.cost


def sent_of(events: Sequence[Prediction]) -> NDArray[np.int64]:
    """When each was made, by its own word."""
    sent = [event.ts for event in events]
    if not {int}.issuperset(map(type, sent)):
        sent = list(map(to_ms, sent))
    return np.array(sent, dtype=np.int64)


def _or_none(cells: Any) -> Any:
    return repeat(None) if cells is None else cells
