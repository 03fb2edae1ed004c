"""Results as a replay writes them, made without one."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from detectors.counts import Counts
from schemas.codec import encode
from schemas.events import (
    Alert,
    AlertEvent,
    ChangePoint,
    Event,
    Evidence,
    Kind,
    LabelCounts,
    Metrics,
    Position,
    Retrain,
    Rollback,
    Severity,
    Signal,
    TrainingData,
)
from schemas.topics import Stream
from streams.sinks import FILES
from streams.summary import Budget, Span, Summary

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def at(days: float) -> int:
    return START + int(days * DAY)


def evidence(**more: Any) -> Evidence:
    known: dict[str, Any] = {
        "value": 1_500.0,
        "threshold": 1_000.0,
        "threshold_origin": "days without a change for each false alarm",
        "n": 900,
        "baseline": 10.0,
        "effect": 0.5,
        "change_point": ChangePoint(ts=START + HOUR, offset=17),
        "detail": {"after": 12.0, "effect_low": 0.25, "effect_high": 0.75, "psi": 0.3, "wasserstein": 0.4},
    }
    return Evidence(**(known | more))


def alert(ts: int, event: AlertEvent = AlertEvent.OPENED, **more: Any) -> Alert:
    known: dict[str, Any] = {
        "id": f"{more.get('incident', 'i1')}-{event}-{ts}",
        "incident": "i1",
        "severity": Severity.WARNING,
        "kind": Kind.FEATURE_DRIFT,
        "model": "churn",
        "signal": "feature:age",
        "detector": "shiryaev_roberts",
        "evidence": evidence(),
        "position": Position(topic="driftline.predictions", partition=2, offset=ts % 1_000),
    }
    known |= more
    return Alert(event=event, ts=ts, **({"summary": f"{known['model']}: {known['signal']} rose."} | known))


def signal(ts: int, **more: Any) -> Signal:
    known: dict[str, Any] = {
        "id": f"s-{more.get('signal', 'feature:age')}-{ts}",
        "model": "churn",
        "signal": "feature:age",
        "detector": "shiryaev_roberts",
        "kind": Kind.FEATURE_DRIFT,
        "evidence": evidence(),
        "position": Position(topic="driftline.predictions", partition=2, offset=5),
        "disposition": "opened",
    }
    return Signal(ts=ts, **(known | more))


def window(start: int, length: int = HOUR, values: dict[str, Any] | None = None, **more: Any) -> Metrics:
    known: dict[str, Any] = {"id": f"m-{start}", "model": "churn", "version": "1", "ts": start + length}
    told = {"predictions": 100, "joined": 50, "pending": 7, "loss_mean": 0.2, "latency_ms_mean": 10.0} | (values or {})
    return Metrics(window_start=start, window_end=start + length, values=told, **(known | more))


def retrain(ts: int, **more: Any) -> Retrain:
    data = TrainingData(from_ts=START, to_ts=ts, topic="t", partition=0, from_offset=1, to_offset=9)
    labels = LabelCounts(joined=300, pending=5, median_delay_ms=2 * HOUR)
    known: dict[str, Any] = {"id": f"r-{ts}", "model": "churn", "reason": "drift_lasts", "alerts": ["a"]}
    return Retrain(ts=ts, data=data, labels=labels, **(known | more))


def rollback(ts: int, **more: Any) -> Rollback:
    known: dict[str, Any] = {"id": f"b-{ts}", "model": "churn", "version": "8", "to_version": "7", "incidents": ["i"]}
    position = Position(topic="t", partition=0, offset=9)
    shown = Evidence(value=4.0, threshold=3.1, threshold_origin="o", n=64, baseline=0.3, effect=0.2)
    return Rollback(ts=ts, reason="worse_than_replaced", evidence=shown, position=position, **(known | more))


def summary(**more: Any) -> Summary:
    known: dict[str, Any] = {
        "complete": True,
        "error": None,
        "records": 1_000,
        "partitions": {"events": {"0": Counts(consumed=1_000, applied=1_000)}},
        "effects": {},
        "alerts": {},
        "dead_letters": {},
        "time_range": Span(START, START + 30 * DAY),
        "seconds": 1.0,
        "records_per_second": 1_000.0,
        "budgets": {"*": Budget(1.0)},
    }
    return Summary(**(known | more))


def write(directory: Path, events: Iterable[Event], **more: Any) -> Path:
    """A file for each stream, the events in the order they are given."""
    directory.mkdir(parents=True, exist_ok=True)
    streams = {Alert: Stream.ALERTS, Signal: Stream.SIGNALS, Metrics: Stream.METRICS}
    streams |= {Retrain: Stream.RETRAIN, Rollback: Stream.RETRAIN}
    lines: dict[Stream, list[bytes]] = {stream: [] for stream in FILES}
    for event in events:
        lines[streams[type(event)]].append(encode(event) + b"\n")
    for stream, name in FILES.items():
        (directory / name).write_bytes(b"".join(lines[stream]))
    (directory / "summary.json").write_bytes(msgspec.json.encode(summary(**more)))
    return directory


def month(model: str = "churn", incidents: int = 3, **more: Any) -> Iterable[Event]:
    """Thirty days of one model: hourly windows, and incidents that open, grow and end."""
    for hour in range(30 * 24):
        yield window(START + hour * HOUR, model=model, **more)
    for number in range(incidents):
        opened, name = at(2 + 27 * number / max(incidents, 1)), f"{model}-{number}"
        about = {"incident": name, "model": model, "signal": f"feature:f{number % 8}"}
        yield signal(opened, model=model, signal=about["signal"])
        yield alert(opened, **about)
        yield alert(opened + HOUR, AlertEvent.UPDATED, **about, severity=Severity.WARNING)
        yield alert(opened + 2 * HOUR, AlertEvent.ESCALATED, **about, severity=Severity.CRITICAL)
        yield alert(opened + 9 * HOUR, AlertEvent.RESOLVED, **about, severity=Severity.CRITICAL)
    yield retrain(at(20), model=model)
    yield rollback(at(21), model=model)
