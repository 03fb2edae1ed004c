"""Records as they would lie on the topics, made in one line each."""

import json
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any, NamedTuple

from detectors.config import ModelConfig, MonitorConfig, Scalar
from detectors.counts import Counts
from detectors.effects import Effect
from detectors.engine import Engine
from detectors.kept import Kept
from detectors.learning import Recordings
from schemas.codec import decode_output
from schemas.events import Alert, AlertEvent, DeadLetter, Metrics, Output, Retrain, Signal
from schemas.records import Record
from schemas.topics import TopicNames
from tests.detectors.kept import Memory

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z
SECOND = 1_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
# Without the detector that keeps to the budget: what is found is suspected, and the rows after it decide.
SUSPICIOUS = ModelConfig(detectors=("adwin", "page_hinkley"), loss_detectors=("adwin", "page_hinkley"))
TOPICS = TopicNames()

Event = dict[str, Any]


def prediction(number: int | str, features: dict[str, Any] | None = None, **more: Any) -> Event:
    """``at`` says when it was appended, in milliseconds after the start; a second after each other where not said."""
    return _event("prediction", number, {"features": {} if features is None else features, "prediction": 1.0} | more)


def outcome(number: int | str, label: Scalar = 1.0, **more: Any) -> Event:
    return _event("outcome", number, {"label": label} | more)


def control(action: str, number: int | str = 0, **more: Any) -> Event:
    return _event("control", number, {"action": action} | more)


def tick(at: int) -> Event:
    return control("tick", 0, at=at, model=None)


def _event(kind: str, number: int | str, more: Event) -> Event:
    at = more.pop("at", number * SECOND if isinstance(number, int) else 0)
    event = {"type": kind, "v": 1, "id": f"e{number}", "model": "churn", "ts": START + at, "at": at} | more
    return {name: value for name, value in event.items() if value is not None}


def record(event: Event | bytes | None, offset: int, partition: int = 0) -> Record:
    """A dictionary is an event; bytes are what somebody put on the topic of predictions."""
    if not isinstance(event, dict):
        return Record(TOPICS.predictions, partition, offset, START, b"churn", event)
    fields = dict(event)
    topic = {"prediction": TOPICS.predictions, "outcome": TOPICS.outcomes, "control": TOPICS.control}[fields["type"]]
    key = fields["model"].encode() if "model" in fields else None
    return Record(topic, partition, offset, START + fields.pop("at"), key, json.dumps(fields).encode())


def records(events: Iterable[Event | bytes | None]) -> list[Record]:
    return [record(event, offset) for offset, event in enumerate(events)]


def engine(
    config: MonitorConfig | ModelConfig | None = None, kept: Kept | None = None, recordings: Recordings | None = None
) -> Engine:
    config = MonitorConfig() if config is None else config
    config = MonitorConfig(defaults=config) if isinstance(config, ModelConfig) else config
    return Engine(0, config, TOPICS, kept=kept, recordings=recordings)


class Run(NamedTuple):
    """What came of a stream."""

    effects: list[Effect]
    counts: dict[str, Counts]

    @property
    def events(self) -> list[Output]:
        return [decode_output(effect.value) for effect in self.effects]

    @property
    def alerts(self) -> list[Alert]:
        return [event for event in self.events if isinstance(event, Alert)]

    @property
    def opened(self) -> list[Alert]:
        return [alert for alert in self.alerts if alert.event is AlertEvent.OPENED]

    @property
    def began(self) -> list[Alert | Signal]:
        """Every alarm as it began: what opened an incident, or opened it again, or joined one."""
        starts = (AlertEvent.OPENED, AlertEvent.REOPENED)
        return [
            event
            for event in self.events
            if (isinstance(event, Alert) and event.event in starts)
            or (isinstance(event, Signal) and event.disposition == "grouped")
        ]

    @property
    def signals(self) -> list[Signal]:
        return [event for event in self.events if isinstance(event, Signal)]

    @property
    def retrains(self) -> list[Retrain]:
        return [event for event in self.events if isinstance(event, Retrain)]

    @property
    def metrics(self) -> list[Metrics]:
        return [event for event in self.events if isinstance(event, Metrics)]

    @property
    def dead_letters(self) -> list[DeadLetter]:
        return [event for event in self.events if isinstance(event, DeadLetter)]


def run(
    events: Sequence[Event | bytes | None],
    config: MonitorConfig | ModelConfig | None = None,
    sizes: Sequence[int] = (1_000,),
    restoring: bool = False,
    recordings: Recordings | None = None,
) -> Run:
    """Drives an engine over the events in batches of these sizes, in turn; with a new engine for each if asked to."""
    return run_records(records(events), config, sizes, restoring, recordings)


def run_records(
    lying: Sequence[Record],
    config: MonitorConfig | ModelConfig | None = None,
    sizes: Sequence[int] = (1_000,),
    restoring: bool = False,
    recordings: Recordings | None = None,
) -> Run:
    kept = Memory()
    working = engine(config, kept if restoring else None, recordings)
    effects: list[Effect] = []
    counts: dict[str, Counts] = {}
    start = turn = 0
    while start < len(lying):
        size = sizes[turn % len(sizes)]
        applied = working.apply(lying[start : start + size])
        effects += applied.effects
        for topic, count in applied.counts.items():
            counts.setdefault(topic, Counts()).add(count)
        if restoring:
            kept.take(working.changes())
            working = engine(config, kept, recordings)
        start, turn = start + size, turn + 1
    return Run(effects, counts)


def normal(seed: int, rows: int, mean: float = 0.0, sd: float = 1.0) -> list[float]:
    draw = Random(seed)
    return [draw.gauss(mean, sd) for _ in range(rows)]


def chances(seed: int, rows: int, share: float) -> list[bool]:
    draw = Random(seed)
    return [draw.random() < share for _ in range(rows)]


def of_feature(name: str, values: Iterable[Any], first: int = 0) -> list[Event]:
    """Predictions with one feature each, a second apart."""
    return [prediction(number, {name: value}) for number, value in enumerate(values, first)]


def labelled(errors: Iterable[bool], first: int = 0, **more: Any) -> list[Event]:
    """Predictions of 1, each followed by its outcome, which is 0 where the model was wrong."""
    events = []
    for number, wrong in enumerate(errors, first):
        events += [prediction(number, **more), outcome(number, 0.0 if wrong else 1.0)]
    return events


def balanced(errors: Iterable[bool], first: int = 0, **more: Any) -> list[Event]:
    """The same, but that predictions are 0 as often as 1: labels stay as they are, however wrong the model is."""
    draw = Random(29)
    events = []
    for number, wrong in enumerate(errors, first):
        said = draw.random() < 0.5
        events += [prediction(number, prediction=float(said), **more), outcome(number, float(said is not wrong))]
    return events


def summary(alerts: Iterable[Alert]) -> list[tuple[str, str]]:
    return [(str(alert.event), alert.signal) for alert in alerts]
