"""Baselines in events as on the topics, JSON lines: predictions, and outcomes as their labels."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from detectors.learning import Row
from detectors.shelf import Label
from schemas.codec import Decoder, Rejection
from schemas.events import Outcome, Prediction, Role
from schemas.records import Record
from schemas.topics import Stream
from streams.baseline_tables import Limits
from streams.errors import SourceError, UsageError
from streams.problems import shown
from streams.sources import JsonLines

_EVENTS_A_ROW = 3  # of the model: a prediction, its outcome, and as much of repeats or of corrections
_LESS = "put into a file of its own what the model is to learn from"


class Events(NamedTuple):
    rows: list[Row]
    left: str  # what of the file was not looked at, and what to do; empty where it was read to its end


def read_events(path: Path, model: str | None, limits: Limits) -> Events:
    """Those of the model; of ``None`` all, which must be of one model then."""
    taken = _Taken(str(path), model, limits)
    try:
        with JsonLines.open(str(path), str(path)) as lines:
            for record in lines:
                if taken.is_enough(record.offset):
                    break
                taken.take(record)
    except SourceError as error:
        raise UsageError(error.what, where=error.where, advice="is the file whole?") from None
    return Events(list(taken.rows()), taken.left)


class _Taken:
    def __init__(self, where: str, model: str | None, limits: Limits) -> None:
        self._where, self._model, self._limits = where, model, limits
        self._decoder = Decoder(any_stream=True)
        self._predictions: dict[str, tuple[int, Prediction]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._cells = 0
        self._others: set[str] = set()
        self._own = 0  # events of the model
        self._full = False  # a prediction more than may be taken
        self._read = ""  # which part of the file, where it is not all of it

    def is_enough(self, lines: int) -> bool:
        """Whether a limit is met. Of a file of many models, those of the others are only read past."""
        own_max = _EVENTS_A_ROW * self._limits.rows
        if lines >= self._limits.lines:
            self._read = f"its first {self._limits.lines:,} lines"
        elif self._own >= own_max:
            self._read = f"the model's first {own_max:,} events"
        return bool(self._read)

    @property
    def left(self) -> str:
        if self._read:
            return f"only {self._read} are read, and outcomes after them teach nothing; {_LESS}"
        return f"only its first {len(self._predictions):,} rows teach" if self._full else ""

    def take(self, record: Record) -> None:
        event = self._decoder.decode(Stream.PREDICTIONS, record)
        if isinstance(event, Rejection):
            what = f"row {record.offset + 1:,}: {event.reason}: {event.detail}"
            raise UsageError(what, where=self._where, advice="mend the line or leave it out; is the file whole?")
        if isinstance(event, Prediction):
            self._predicted(record, event)
        elif isinstance(event, Outcome) and self._is_ours(event.model) and not event.provisional and event.weight > 0:
            known = self._outcomes.get(event.id)
            wanted = event.id in self._predictions or len(self._outcomes) < self._limits.rows
            if wanted and (known is None or event.revision > known.revision):
                self._outcomes[event.id] = event

    def _predicted(self, record: Record, event: Prediction) -> None:
        if not self._is_ours(event.model) or event.role is Role.CHALLENGER or event.id in self._predictions:
            return
        if len(self._predictions) >= self._limits.rows or self._cells >= self._limits.cells:
            self._full = True
            return
        self._cells += len(event.features) + 1
        self._predictions[event.id] = (record.timestamp, event)

    def _is_ours(self, model: str) -> bool:
        if self._model is not None:
            self._others |= {model} - {self._model} if len(self._others) < 3 else set()
            self._own += model == self._model
            return model == self._model
        self._own += 1
        self._others.add(model)
        if len(self._others) > 1:
            what = f"has events of {', '.join(map(shown, sorted(self._others)))}"
            advice = "name the baseline under [models.NAME], which takes those of that model"
            raise UsageError(what, where=self._where, advice=advice)
        return True

    def rows(self) -> Iterator[Row]:
        if not self._predictions and (self._others or self._read):
            of = f" of model {shown(self._model)}" if self._model is not None else ""
            others = f", but of {', '.join(map(shown, sorted(self._others)))}" if of and self._others else ""
            what = f"has no prediction{of}{f' in {self._read}' if self._read else ''}{others}"
            advice = _LESS if self._read else "see whether it is the right file"
            raise UsageError(what, where=self._where, advice=advice)
        for key, (time, event) in self._predictions.items():
            outcome = self._outcomes.get(key)
            label: Label | None = None if outcome is None else outcome.label
            yield Row(time, event, label)
