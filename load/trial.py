"""One seed's day through the real engine, and what came of it."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from detectors.lifecycle import Disposition
from load.scenarios import Scenario
from load.score import Score, score_scenario
from schemas.events import Alert, Retrain, Rollback, Signal
from schemas.records import RecordLike
from schemas.topics import Stream
from streams import embedded
from streams.embedded import Sink
from streams.sections import Settings
from streams.state import EffectLike
from streams.summary import Summary

_alert = msgspec.json.Decoder(Alert).decode
_signal = msgspec.json.Decoder(Signal).decode
_asked: Callable[[bytes], Retrain | Rollback] = msgspec.json.Decoder(Retrain | Rollback).decode


class Trial(msgspec.Struct, frozen=True):
    day: Scenario
    score: Score
    alerts: tuple[Alert, ...]
    grouped: int  # alarms that joined an incident
    retrains: tuple[Retrain, ...]
    rollbacks: tuple[Rollback, ...]
    summary: Summary


def try_out(
    day: Scenario,
    settings: Settings,
    *,
    records: Iterable[RecordLike] | None = None,
    sinks: Sequence[Sink] = (),
    progress: Callable[[int], object] = lambda records: None,
) -> Trial:
    """Monitors the day as the worker would; ``records`` are the day's own where somebody wants to see them pass."""
    kept = _Kept()
    passing = day.records(settings.kafka.topics) if records is None else records
    summary = embedded.run(passing, settings, sinks=(kept, *sinks), progress=progress, any_stream=False)
    score, alerts = score_scenario(day, kept.alerts), tuple(kept.alerts)
    return Trial(day, score, alerts, kept.grouped, tuple(kept.retrains), tuple(kept.rollbacks), summary)


class _Kept:
    """A sink that keeps what the score and the table need."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.retrains: list[Retrain] = []
        self.grouped = 0
        self.rollbacks: list[Rollback] = []

    def __call__(self, effect: EffectLike) -> None:
        if effect.stream == Stream.ALERTS:
            self.alerts.append(_alert(effect.value))
        elif effect.stream == Stream.SIGNALS:
            self.grouped += _signal(effect.value).disposition == Disposition.GROUPED
        elif effect.stream == Stream.RETRAIN:
            event = _asked(effect.value)
            if isinstance(event, Retrain):
                self.retrains.append(event)
            else:
                self.rollbacks.append(event)
