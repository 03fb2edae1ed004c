"""Every Prometheus metric of a pager. Labels are sinks, actions, reasons and budgets: bounded by the configuration."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from schemas.events import AlertEvent
from streams.pager.reasons import Reason

_SINK = ("sink",)


class PagerMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._ready = False
        self._alerts = Counter("driftline_pager_alerts", "Alerts taken from the topic", ("event",), registry=registry)
        self._repeated = Counter("driftline_pager_repeated", "Alerts that were taken before", registry=registry)
        self._unreadable = Counter(
            "driftline_pager_unreadable", "Records of the alerts topic that are no alert", registry=registry
        )
        self._delivered = Counter(
            "driftline_pager_delivered", "Pages that a sink took", (*_SINK, "action"), registry=registry
        )
        self._retried = Counter(
            "driftline_pager_retried", "Attempts that failed and are made again", (*_SINK, "reason"), registry=registry
        )
        self._failed = Counter(
            "driftline_pager_failed", "Pages that are not tried again", (*_SINK, "reason"), registry=registry
        )
        self._cancelled = Counter(
            "driftline_pager_cancelled", "Pages that were over before they could go out", _SINK, registry=registry
        )
        self._held_back = Counter(
            "driftline_pager_held_back", "Pages above the rate, told in a summary", _SINK, registry=registry
        )
        self._withheld = Counter(
            "driftline_pager_withheld", "Incidents that were not paged at once", ("reason",), registry=registry
        )
        self._budget_left = Gauge(
            "driftline_pager_budget_left_pages", "Pages that a budget has left", ("budget",), registry=registry
        )
        self._waiting = Gauge("driftline_pager_waiting", "Pages that wait to be delivered", _SINK, registry=registry)
        self._oldest = Gauge(
            "driftline_pager_oldest_seconds", "How long the oldest of them has waited", _SINK, registry=registry
        )
        self._inbound = Counter(
            "driftline_pager_inbound",
            "Answers of people that endpoints delivered",
            ("provider", "result"),
            registry=registry,
        )
        self._lag = Gauge("driftline_pager_lag_records", "Alerts not taken yet", registry=registry)
        self._heartbeat = Gauge(
            "driftline_pager_heartbeat_timestamp_seconds", "When the last heartbeat was answered", registry=registry
        )

    def is_ready(self) -> bool:
        """Whether the brokers have told where the topic ends."""
        return self._ready

    def alert(self, event: str) -> None:
        """An event of a later release must not make series of its own."""
        self._alerts.labels(event if event in EVENTS else "other").inc()

    def repeated(self, alerts: int) -> None:
        self._repeated.inc(alerts)

    def unreadable(self) -> None:
        self._unreadable.inc()

    def cancelled(self, sink: str) -> None:
        self._cancelled.labels(sink).inc()

    def delivered(self, sink: str, action: str) -> None:
        self._delivered.labels(sink, action).inc()

    def retried(self, sink: str, reason: str) -> None:
        self._retried.labels(sink, reason).inc()

    def failed(self, sink: str, reason: str) -> None:
        self._failed.labels(sink, reason).inc()

    def held_back(self, sink: str) -> None:
        self._held_back.labels(sink).inc()

    def inbound(self, provider: str, result: str) -> None:
        self._inbound.labels(provider, result).inc()

    def withheld(self, reason: Reason) -> None:
        self._withheld.labels(reason.value).inc()

    def budgets_left(self, pages: Mapping[str, int]) -> None:
        for budget, left in pages.items():
            self._budget_left.labels(budget).set(left)

    def waiting(self, pages: Mapping[str, tuple[int, float]]) -> None:
        """By sink: how many, and for how many seconds the oldest has."""
        for sink, (count, oldest_s) in pages.items():
            self._waiting.labels(sink).set(count)
            self._oldest.labels(sink).set(oldest_s)

    def lag(self, records: int) -> None:
        self._ready = True
        self._lag.set(records)

    def heartbeat(self, at: float) -> None:
        self._heartbeat.set(at)


EVENTS = tuple(event.value for event in AlertEvent)
