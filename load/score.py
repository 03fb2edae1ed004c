"""Holds alerts against the truth: what was found, how late, and what was a false alarm. Pure: values in, values out."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec
import numpy as np

from load.scenarios import InjectedDrift, Scenario, Traffic
from load.scenarios.time import HOUR_MS, Times
from schemas.events import Alert, AlertEvent
from streams.scoring import first_told

# For so long after a change has ended, windows still hold values of its time: an alarm then is late, not false.
SETTLES_MS = 1 * HOUR_MS


class Verdict(StrEnum):
    """What an opened alert turned out to be."""

    FOUND = "found"  # the first on a signal that the drift is about
    AGAIN = "again"  # a further one on such a signal while the drift lasts
    CONSEQUENCE = "consequence"  # on a signal that moves because of the drift
    ECHO = "echo"  # on either, shortly after the drift has ended
    FALSE = "false"


class Timeline(msgspec.Struct, frozen=True):
    """One model's events, to say how many of them a detector needed."""

    made_ms: Times  # of each prediction, in order
    label_ms: Times  # of each label's arrival, in order
    label_made_ms: Times  # when that label's prediction was made

    @classmethod
    def of(cls, traffic: Traffic) -> "Timeline":
        return cls(traffic.made_ms, *traffic.label_arrivals())

    def predictions(self, since_ms: int, until_ms: int) -> int:
        return int(np.count_nonzero((self.made_ms >= since_ms) & (self.made_ms <= until_ms)))

    def shows_from(self, drift: InjectedDrift) -> int | None:
        """When the first event that the change touches comes in: at once, or with the first label of that time."""
        if not drift.seen_by_labels_only:
            return drift.starts_ms
        touched = self.label_ms[self.label_made_ms >= drift.starts_ms]
        return int(touched[0]) if len(touched) else None

    def labels(self, since_ms: int, until_ms: int) -> int:
        """Labels that came by ``until_ms``, of predictions made at ``since_ms`` or later."""
        return int(np.count_nonzero((self.label_made_ms >= since_ms) & (self.label_ms <= until_ms)))


class Find(msgspec.Struct, frozen=True):
    """How a drift was found."""

    alert: Alert
    delay_ms: int
    predictions: int  # of the model, from the start of the drift to the alert
    labels: int  # of those, with their label in by then
    resolved_ms: int | None


class Result(msgspec.Struct, frozen=True):
    """One injected drift, and what became of it."""

    drift: InjectedDrift
    find: Find | None
    again: tuple[Alert, ...]
    consequences: tuple[Alert, ...]
    echoes: tuple[Alert, ...]


class Score(msgspec.Struct, frozen=True):
    results: tuple[Result, ...]
    false_alarms: tuple[Alert, ...]

    @property
    def missed(self) -> tuple[InjectedDrift, ...]:
        return tuple(result.drift for result in self.results if result.find is None)

    def false_on(self, models: Iterable[str]) -> tuple[Alert, ...]:
        wanted = frozenset(models)
        return tuple(alert for alert in self.false_alarms if alert.model in wanted)


def score(truth: Sequence[InjectedDrift], alerts: Sequence[Alert], timelines: Mapping[str, Timeline]) -> Score:
    """Gives each alarm that people were told of to the drift it belongs to. ``alerts`` are in stream order."""
    opened = list(first_told(alerts))
    resolved = {alert.incident: alert.ts for alert in alerts if alert.event is AlertEvent.RESOLVED}
    shows_from = [timelines[drift.model].shows_from(drift) for drift in truth]
    given: dict[tuple[int, Verdict], list[Alert]] = {}
    false_alarms = []
    for alert in opened:
        index, verdict = _judge(truth, shows_from, alert)
        if verdict is Verdict.FOUND and (index, verdict) in given:
            verdict = Verdict.AGAIN
        if verdict is Verdict.FALSE:
            false_alarms.append(alert)
        else:
            given.setdefault((index, verdict), []).append(alert)
    results = tuple(_result(index, drift, given, resolved, timelines) for index, drift in enumerate(truth))
    return Score(results, tuple(false_alarms))


def score_scenario(day: Scenario, alerts: Sequence[Alert]) -> Score:
    return score(day.truth, alerts, {traffic.model: Timeline.of(traffic) for traffic in day.traffic})


def _judge(truth: Sequence[InjectedDrift], shows_from: Sequence[int | None], alert: Alert) -> tuple[int, Verdict]:
    """The best that can be said of it, over all drifts: a find before a consequence, either before an echo."""
    verdicts = [
        (index, _verdict(drift, since, alert))
        for index, (drift, since) in enumerate(zip(truth, shows_from, strict=True))
        if drift.model == alert.model
    ]
    return min(verdicts, key=lambda each: _BEST_FIRST[each[1]], default=(-1, Verdict.FALSE))


_BEST_FIRST = {verdict: rank for rank, verdict in enumerate(Verdict)}


def _verdict(drift: InjectedDrift, shows_from: int | None, alert: Alert) -> Verdict:
    expected = alert.signal in drift.signals
    if not (expected or alert.signal in drift.consequences) or shows_from is None or alert.ts < shows_from:
        return Verdict.FALSE
    if drift.ends_ms is None or alert.ts < drift.ends_ms:
        return Verdict.FOUND if expected else Verdict.CONSEQUENCE
    return Verdict.ECHO if alert.ts < drift.ends_ms + drift.echo_ms + SETTLES_MS else Verdict.FALSE


def _result(
    index: int,
    drift: InjectedDrift,
    given: Mapping[tuple[int, Verdict], list[Alert]],
    resolved: Mapping[str, int],
    timelines: Mapping[str, Timeline],
) -> Result:
    first = given.get((index, Verdict.FOUND), [])
    rest = (tuple(given.get((index, verdict), ())) for verdict in (Verdict.AGAIN, Verdict.CONSEQUENCE, Verdict.ECHO))
    return Result(drift, _find(drift, first[0], resolved, timelines[drift.model]) if first else None, *rest)


def _find(drift: InjectedDrift, alert: Alert, resolved: Mapping[str, int], timeline: Timeline) -> Find:
    return Find(
        alert=alert,
        delay_ms=alert.ts - drift.starts_ms,
        predictions=timeline.predictions(drift.starts_ms, alert.ts),
        labels=timeline.labels(drift.starts_ms, alert.ts),
        resolved_ms=resolved.get(alert.incident),
    )
