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

_LINES_A_ROW = 3  # a prediction, its outcome, and as much of other models or of corrections


class Events(NamedTuple):
    rows: list[Row]
    more: bool  # lines that were not read


def read_events(path: Path, model: str | None, limits: Limits) -> Events:
    """Those of the model; of ``None`` all, which must be of one model then."""
    taken = _Taken(str(path), model, limits)
    try:
        with JsonLines.open(str(path), str(path)) as lines:
            for record in lines:
                if record.offset >= _LINES_A_ROW * limits.rows:
                    taken.more = True
                    break
                taken.take(record)
    except SourceError as error:
        raise UsageError(error.what, where=error.where, advice="is the file whole?") from None
    return Events(list(taken.rows()), taken.more)


class _Taken:
    def __init__(self, where: str, model: str | None, limits: Limits) -> None:
        self.more = False
        self._where, self._model, self._limits = where, model, limits
        self._decoder = Decoder(any_stream=True)
        self._predictions: dict[str, tuple[int, Prediction]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._cells = 0
        self._others: set[str] = set()

    def take(self, record: Record) -> None:
        event = self._decoder.decode(Stream.PREDICTIONS, record)
        if isinstance(event, Rejection):
            what = f"row {record.offset + 1:,}: {event.reason}: {event.detail}"
            raise UsageError(what, where=self._where, advice="mend the line or leave it out; is the file whole?")
        if isinstance(event, Prediction):
            self._predicted(record, event)
        elif isinstance(event, Outcome) and self._is_ours(event.model) and not event.provisional and event.weight > 0:
            known = self._outcomes.get(event.id)
            if (known is None or event.revision > known.revision) and len(self._outcomes) < self._limits.rows:
                self._outcomes[event.id] = event

    def _predicted(self, record: Record, event: Prediction) -> None:
        if not self._is_ours(event.model) or event.role is Role.CHALLENGER or event.id in self._predictions:
            return
        if len(self._predictions) >= self._limits.rows or self._cells >= self._limits.cells:
            self.more = True
            return
        self._cells += len(event.features) + 1
        self._predictions[event.id] = (record.timestamp, event)

    def _is_ours(self, model: str) -> bool:
        if self._model is not None:
            self._others |= {model} - {self._model} if len(self._others) < 3 else set()
            return model == self._model
        self._others.add(model)
        if len(self._others) > 1:
            what = f"has events of {', '.join(map(shown, sorted(self._others)))}"
            advice = "name the baseline under [models.NAME], which takes those of that model"
            raise UsageError(what, where=self._where, advice=advice)
        return True

    def rows(self) -> Iterator[Row]:
        if not self._predictions and self._others:
            what = (
                f"has no prediction of model {shown(self._model)}, but of {', '.join(map(shown, sorted(self._others)))}"
            )
            raise UsageError(what, where=self._where, advice="see whether it is the right file")
        for key, (time, event) in self._predictions.items():
            outcome = self._outcomes.get(key)
            label: Label | None = None if outcome is None else outcome.label
            yield Row(time, event, label)
