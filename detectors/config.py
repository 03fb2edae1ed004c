"""What a user can say about a model, as data. The shell decodes it from TOML and environment; the core reads it."""

from typing import Literal

import msgspec

FeatureKind = Literal["auto", "numeric", "categorical", "boolean", "text-length", "ignore"]
Task = Literal["auto", "binary", "multiclass", "regression", "ranking"]
SeverityName = Literal["info", "warning", "critical"]
Loss = Literal["auto", "zero_one", "absolute", "squared"]
RetrainKind = Literal["concept_drift", "feature_drift", "prediction_drift", "label_drift"]
Scalar = float | int | str | bool
AUTO, OFF = "auto", "off"

WARM_UP = "warm-up"  # the baseline that is learned from the first values of the stream


class FeatureConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One feature of one model."""

    kind: FeatureKind = "auto"  # auto: what the first value shows
    range: tuple[float, float] | None = None  # a value outside counts as unreadable
    mean: float | None = None  # of the baseline, with `sd`: then nothing is learned in warm-up
    sd: float | None = None


class RetrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a retrain event is worth its cost."""

    on: tuple[RetrainKind, ...] = ("concept_drift", "feature_drift", "prediction_drift", "label_drift")
    cooldown: str = "24h"  # stream time between two retrain events of a model
    min_labels: int = 200  # joined labels since the change; fewer train nothing
    labels_share: float = 0.2  # of the predictions since the change; quick labels alone are often of another kind
    labels_wait: str = "24h"  # so long it waits for that share, and no longer
    feature_drift_lasts: str = "6h"  # how long feature drift stays open before it alone asks for a retrain
    per_month: int = 0  # retrain events in 30 days; 0: as many as there are reasons for
    give_up_after: int = 3  # retrains in a row that did not cure; 0: never


class IncidentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of alarms."""

    lasts: str = "0s"  # an alarm must be on for so long before anyone is told
    reopen_within: str = "1h"  # what comes back so soon is the same incident; then it must be gone for so long


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything about one model. Keys not given come from ``[defaults]``, then from here."""

    task: Task = "auto"
    positive: Scalar | None = None  # the positive class; found out where not said
    loss: Loss = "auto"
    baseline: str = WARM_UP  # or a name of ``baselines``, or a file's path
    baselines: dict[str, str] = {}  # files by the names that control events may choose
    baseline_rows: int = 1_000  # warm-up: the first so many values of each signal
    label_horizon: str = "30d"  # an outcome later than this after its prediction is late
    false_pages_per_month: float = 1.0
    rows_per_false_alarm: float | None = None  # asked for in rows instead
    pending_max: int = 1_000_000  # predictions held for their outcome; ~250 bytes each
    segments: tuple[str, ...] = ()  # segment names that get a monitor for each of their values
    segment_values_max: int = 50  # per segment name; the rest share one monitor
    features_max: int = 1_000
    categories_max: int = 8  # frequent categories watched one by one; the rest as one
    detectors: tuple[str, ...] = (
        "shiryaev_roberts",
        "adwin",
        "page_hinkley",
    )  # on numeric features, scores and predictions
    loss_detectors: tuple[str, ...] = (
        "shiryaev_roberts",
        "adwin",
        "page_hinkley",
    )  # on the loss; here ddm and its like are allowed too
    parameters: dict[str, dict[str, Scalar]] = {}  # by detector name
    metrics_window: str = "5m"
    latency_objective: str = "200ms"  # a prediction that took longer was slow
    freshness_objective: str = "5m"  # a prediction whose `ts` is further from its arrival was stale
    silence_after: str = AUTO  # without predictions: several times the longest pause so far; or a duration, or "off"
    volume: Literal["auto", "off"] = "auto"  # how many predictions come, against what is usual at the hour
    features: dict[str, FeatureConfig] = {}
    retrain: RetrainConfig = RetrainConfig()
    incidents: IncidentConfig = IncidentConfig()
    severity: dict[str, SeverityName] = {}  # by kind of alarm; others have that of their size
    importance: Literal["low", "normal", "high"] = "normal"  # a level of severity less, or more, for every alarm


class MonitorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The defaults and the models that differ from them, already merged by the shell."""

    defaults: ModelConfig = ModelConfig()
    models: dict[str, ModelConfig] = {}
    models_max: int = 20_000  # per partition; a cardinality bomb must not take the worker down
    pending_max: int = 10_000_000  # predictions held for their outcome, of all models of a partition together
    dead_letter_content: bool = True  # whether a dead letter holds the record that was refused

    def of(self, model: str) -> ModelConfig:
        return self.models.get(model, self.defaults)
