"""Every Prometheus metric of ``driftline mlflow``. Labels are words of the contract and reasons."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from streams.mlflow.advice import RETRAIN, ROLLBACK


class MlflowMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._ready = False
        self._events = Counter(
            "driftline_mlflow_events", "Events of the retrain topic", ("type", "fate"), registry=registry
        )
        self._deployments = Counter(
            "driftline_mlflow_deployments", "Control events that were sent", ("action",), registry=registry
        )
        self._rollbacks = Counter(
            "driftline_mlflow_aliases_moved",
            "Aliases that were moved because a rollback asked for it",
            registry=registry,
        )
        self._errors = Counter(
            "driftline_mlflow_errors", "Calls that failed and are made again", ("reason",), registry=registry
        )
        self._models = Gauge("driftline_mlflow_models", "Models whose alias is watched", registry=registry)
        self._left_out = Gauge(
            "driftline_mlflow_models_left_out",
            "Whether the registry has more models than are looked at",
            registry=registry,
        )
        self._looked = Gauge(
            "driftline_mlflow_looked_timestamp_seconds", "When all aliases were looked at last", registry=registry
        )
        self._lag = Gauge("driftline_mlflow_lag_records", "Events not taken yet", registry=registry)

    def is_ready(self) -> bool:
        """Whether brokers and the registry have answered."""
        return self._ready

    def ready(self) -> None:
        self._ready = True

    def event(self, kind: str, fate: str) -> None:
        self._events.labels(kind if kind in (RETRAIN, ROLLBACK) else "other", fate).inc()

    def deployment(self, action: str) -> None:
        self._deployments.labels(action).inc()

    def alias_moved(self) -> None:
        self._rollbacks.inc()

    def failed(self, reason: str) -> None:
        self._errors.labels(reason).inc()

    def looked(self, models: int, left_out: bool, at: float) -> None:
        self._models.set(models)
        self._left_out.set(left_out)
        self._looked.set(at)

    def lag(self, records: int) -> None:
        self._lag.set(records)
