"""What a history holds of each model: how many predictions, which features, which labels. For whoever changes it."""

import math
from collections.abc import Iterable

from schemas.codec import Decoder
from schemas.events import Input, Outcome, Prediction, Role
from schemas.parsed import Parsed
from schemas.records import RecordLike
from schemas.topics import Stream
from schemas.violations import Rejection
from streams.errors import UsageError

MODELS_MAX = 1_000
FEATURES_MAX = 10_000  # of one model
LABELS_MAX = 100  # classes of one model; of more, none is a class


class Numbers:
    """Of one feature, its mean and spread, and how much of it is text."""

    def __init__(self) -> None:
        self.count, self.texts = 0, 0
        self.mean, self._squares = 0.0, 0.0

    def add(self, cell: object) -> None:
        if isinstance(cell, float):
            self.count += 1
            off = cell - self.mean
            self.mean += off / self.count
            self._squares += off * (cell - self.mean)
        elif isinstance(cell, str):
            self.texts += 1

    @property
    def sd(self) -> float:
        return math.sqrt(self._squares / self.count) if self.count else 0.0


class Portrait:
    """Of one model."""

    def __init__(self) -> None:
        self.rows = 0
        self.features: dict[str, Numbers] = {}
        self.labels: dict[float | str | bool, None] = {}  # in the order in which they were met
        self.outcomes = 0

    def predicted(self, event: Prediction) -> None:
        self.rows += 1
        for name, cell in event.features.items():
            numbers = self.features.get(name)
            if numbers is None and len(self.features) < FEATURES_MAX:
                numbers = self.features[name] = Numbers()
            if numbers is not None:
                numbers.add(cell)

    def labelled(self, event: Outcome) -> None:
        self.outcomes += 1
        if len(self.labels) <= LABELS_MAX:
            self.labels[event.label] = None


class Reader:
    """Records as events; ``None`` for what the engine would refuse."""

    def __init__(self) -> None:
        self._decoder = Decoder(any_stream=True)

    def event(self, record: RecordLike) -> Input | None:
        if type(record) is Parsed:
            return record.event
        event = self._decoder.decode(Stream.PREDICTIONS, record)
        return None if isinstance(event, Rejection) else event


def portraits(records: Iterable[RecordLike]) -> dict[str, Portrait]:
    reader, found = Reader(), dict[str, Portrait]()
    for record in records:
        event = reader.event(record)
        if not isinstance(event, Prediction | Outcome):
            continue
        portrait = found.get(event.model)
        if portrait is None:
            if len(found) == MODELS_MAX:
                raise UsageError(f"more than {MODELS_MAX:,} models", advice="inject into a history of fewer")
            portrait = found[event.model] = Portrait()
        if isinstance(event, Outcome):
            portrait.labelled(event)
        elif event.role is Role.CHAMPION:
            portrait.predicted(event)
    return found
