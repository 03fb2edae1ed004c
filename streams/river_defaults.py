"""River's ADWIN and Page-Hinkley with their defaults, on every number of a history: what a detector alone would do.

On the number features, the score and the loss of each model, each by itself, as whoever uses River would.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from river.drift import ADWIN, PageHinkley

from detectors.loss import same_class
from detectors.shelf import Label
from schemas.events import Outcome, Prediction, Role
from streams.scoring import Alarm

PENDING_MAX = 1_000_000  # predictions that wait for their label; the oldest goes first
DETECTORS: Mapping[str, Callable[[], Any]] = {"river_adwin": ADWIN, "river_page_hinkley": PageHinkley}


class RiverDefaults:
    """Alarms by the name of the detector."""

    def __init__(self) -> None:
        self.alarms: dict[str, list[Alarm]] = {name: [] for name in DETECTORS}
        self._watched: dict[tuple[str, str], list[tuple[list[Alarm], Any]]] = {}
        self._pending: OrderedDict[tuple[str, str], Label] = OrderedDict()

    def take(self, event: object, time: int) -> None:
        if isinstance(event, Prediction) and event.role is Role.CHAMPION:
            for signal, value in _numbers(event):
                self._update(event.model, signal, value, time)
            self._pending[event.model, event.id] = event.prediction
            if len(self._pending) > PENDING_MAX:
                self._pending.popitem(last=False)
        elif isinstance(event, Outcome):
            prediction = self._pending.pop((event.model, event.id), None)
            if prediction is not None:
                self._update(event.model, "loss", _loss(prediction, event.label), time)

    def _update(self, model: str, signal: str, value: float, time: int) -> None:
        watched = self._watched.get((model, signal))
        if watched is None:
            made = [(self.alarms[name], make()) for name, make in DETECTORS.items()]
            watched = self._watched[model, signal] = made
        for alarms, detector in watched:
            detector.update(value)
            if detector.drift_detected:
                alarms.append(Alarm(model, time, signal))


def _numbers(event: Prediction) -> Iterator[tuple[str, float]]:
    for name, cell in event.features.items():
        if type(cell) is float:
            yield f"feature:{name}", cell
    if event.score is not None:
        yield "score", event.score


def _loss(prediction: Label, label: Label) -> float:
    """Of quantities how far off, of classes whether it was wrong."""
    if isinstance(prediction, float) and isinstance(label, float) and (prediction % 1 or label % 1):
        return abs(prediction - label)
    return 0.0 if same_class(prediction, label) else 1.0
