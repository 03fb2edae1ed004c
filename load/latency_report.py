"""What ``load.latency`` makes of the topics and the endpoint: which alarm came, how soon, and which did not."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from load.breaks import REHEARSED, Traffic
from schemas.events import Alert, AlertEvent, Position
from schemas.topics import Stream

SHARES: Mapping[str, float] = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}

Place = tuple[str, int, int]  # topic, partition, offset


class Told(NamedTuple):
    """An alert on its topic."""

    alert: Alert
    at_ms: float


class Decided(NamedTuple):
    """A record that an alert names."""

    stream: Stream
    number: int  # of the prediction that it is about
    due_ms: float
    at_ms: float


class Alarm(NamedTuple):
    """The first one of a model that broke; times are in milliseconds from the append of the record that decided."""

    stream: Stream  # of that record
    alert_ms: float
    since_due_ms: float  # the alert's, from when that record was due
    page_ms: float | None


class Judged(NamedTuple):
    alarms: Mapping[str, Alarm]  # by model
    false: Sequence[Alert]  # the beginnings of incidents of models that were as they should be


def place_of(position: Position) -> Place:
    return position.topic, position.partition, position.offset


def judge(
    traffic: Traffic, told: Iterable[Told], decided: Mapping[Place, Decided], paged_ms: Mapping[str, float]
) -> Judged:
    """``told`` in the order of each model's alerts; ``paged_ms``: by incident, when the first request about it came."""
    alarms: dict[str, Alarm] = {}
    false: list[Alert] = []
    for alert, at_ms in told:
        if alert.event is not AlertEvent.OPENED:
            continue
        record = decided.get(place_of(alert.position))
        if record is None or not traffic.broken(alert.model, record.number):
            false.append(alert)
        elif alert.model not in alarms:
            page_ms = paged_ms.get(alert.incident)
            alarms[alert.model] = Alarm(
                record.stream,
                at_ms - record.at_ms,
                at_ms - record.due_ms,
                None if page_ms is None else page_ms - record.at_ms,
            )
    return Judged(alarms, false)


def figures(traffic: Traffic, judged: Judged) -> dict[str, Any]:
    """The rehearsed alarms must be there; how soon they came does not count.

    Of a model that had a false alarm none is expected: its incident is open already.
    """
    counted = [judged.alarms[model] for model in list(traffic.breaks)[REHEARSED:] if model in judged.alarms]
    expected = traffic.breaks.keys() - {alert.model for alert in judged.false}
    missing = expected - judged.alarms.keys()
    unpaged = [model for model, alarm in judged.alarms.items() if alarm.page_ms is None]
    return {
        **spread("alert", [alarm.alert_ms for alarm in counted]),
        **spread("page", [alarm.page_ms for alarm in counted if alarm.page_ms is not None]),
        **spread("since_due", [alarm.since_due_ms for alarm in counted]),
        "n": len(counted),
        "by_stream": {
            stream.value: spread("alert", [alarm.alert_ms for alarm in counted if alarm.stream is stream])
            for stream in (Stream.PREDICTIONS, Stream.OUTCOMES)
        },
        "alarms_expected": len(expected),
        "alarms_seen": len(judged.alarms),
        "alarms_missing": len(missing),
        "pages_missing": len(missing) + len(unpaged),
        "false_alarms": len(judged.false),
    }


def spread(name: str, values: Collection[float]) -> dict[str, float | None]:
    """Each share is a value that was measured: the least that so many of them do not exceed."""
    ordered = sorted(values)
    return {
        f"{name}_{word}_ms": round(ordered[max(math.ceil(share * len(ordered)) - 1, 0)], 1) if ordered else None
        for word, share in SHARES.items()
    }


class Arrivals:
    """When the broker got the records that were due while alarms counted."""

    def __init__(self, counted: range) -> None:
        self._counted = counted  # the slots that were due meanwhile
        self._late_ms: list[float] = []
        self._by_second: Counter[int] = Counter()
        self._first_ms, self._last_ms = math.inf, -math.inf

    def add(self, slot: int, due_ms: float, at_ms: float) -> None:
        if slot in self._counted:
            self._late_ms.append(at_ms - due_ms)
            self._by_second[int(at_ms // 1000)] += 1
            self._first_ms, self._last_ms = min(self._first_ms, at_ms), max(self._last_ms, at_ms)

    def figures(self) -> dict[str, Any]:
        whole = range(min(self._by_second) + 1, max(self._by_second))  # also one in which nothing came
        return {
            "events_per_s": round(len(self._late_ms) / max((self._last_ms - self._first_ms) / 1000, 1)),
            "slowest_second": min((self._by_second[second] for second in whole), default=0),
            **spread("late", self._late_ms),
        }
