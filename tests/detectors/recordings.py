"""Baselines as a file would have them, made from the events of a stream."""

from collections.abc import Sequence
from typing import Any

import msgspec

from detectors.config import ModelConfig
from detectors.learning import Learned, Recordings, Row, learn
from detectors.reports import Origin
from schemas.events import Prediction
from tests.detectors.events import START, Event, Run, run

ORIGIN = Origin("q1", "0123456789ab")
WARM = ModelConfig(baseline_rows=400, rows_per_false_alarm=100_000)
FROM_FILE = msgspec.structs.replace(WARM, baseline="q1")


def rows_of(events: Sequence[Event]) -> list[Row]:
    labels: dict[str, Any] = {event["id"]: event["label"] for event in events if event["type"] == "outcome"}
    return [
        Row(START + event["at"], msgspec.convert(_plain(event), Prediction), labels.get(event["id"]))
        for event in events
        if event["type"] == "prediction"
    ]


def _plain(event: Event) -> Event:
    return {name: value for name, value in event.items() if name != "at"}


def learned(events: Sequence[Event], config: ModelConfig, origin: Origin = ORIGIN) -> Learned:
    return learn(config, origin, rows_of(events))


def recordings(*baselines: Learned) -> Recordings:
    return Recordings(defaults={one.origin.name: one for one in baselines})


def later(events: Sequence[Event], by: int) -> list[Event]:
    return [event | {"at": event["at"] + by, "ts": event["ts"] + by} for event in events]


def from_file(base: Sequence[Event], stream: Sequence[Event], config: ModelConfig = FROM_FILE) -> Run:
    return run(stream, config, recordings=recordings(learned(base, config)))
