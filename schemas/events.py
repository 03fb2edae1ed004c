"""Every event that crosses a wire, version 1.

What comes in is strict: an unknown field or a value out of bounds makes the fast decoder refuse, and the codec then
finds out whether it was a harmless extra or a violation with a reason. What goes out may gain fields later, so it is
read leniently. Numbers are IEEE doubles, as in most JSON readers: ``1`` and ``1.0`` are the same value, and whole
numbers are exact up to 2^53.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.reasons import AuditResult, DeadLetterReason
from schemas.times import TS_END, TS_MIN

VERSION = 1
ID_CHARACTERS_MAX = 128  # as the contract says; a UUID has 36
NAME_CHARACTERS_MAX = 256  # of a feature, class or segment: longer ones are data in the wrong place
ENTRIES_MAX = 10_000  # in one object: ten times the widest model that is monitored by default
EXACT_INT_MAX = 2**53 - 1  # the largest whole number that every JSON reader keeps exact
MODEL_PATTERN = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"  # safe as a file name, a topic name and a metric label
EVERY_MODEL = "*"  # stands for a model's name where all of a partition are meant; no model can be called so

Scalar = float | str | bool
JsonScalar = float | int | str | bool | None


class Kind(StrEnum):
    """What sort of trouble an alert or a signal is about."""

    FEATURE_DRIFT = "feature_drift"
    PREDICTION_DRIFT = "prediction_drift"
    CONCEPT_DRIFT = "concept_drift"
    PERFORMANCE = "performance"
    LABEL_DRIFT = "label_drift"
    CALIBRATION = "calibration"
    DATA_QUALITY = "data_quality"
    LABEL_DELAY = "label_delay"
    SILENCE = "silence"
    VOLUME = "volume"
    LATENCY = "latency"
    FAIRNESS = "fairness"
    CHALLENGER = "challenger"
    SYSTEM = "system"


class AlertEvent(StrEnum):
    """What happened to an incident."""

    OPENED = "opened"
    UPDATED = "updated"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    MUTED = "muted"  # nobody is to be paged about it until a given time
    UNMUTED = "unmuted"
    RESOLVED = "resolved"
    REOPENED = "reopened"  # it had been over for less than the time of grace
    AMENDED = "amended"  # corrected labels have changed its numbers
    RETRACTED = "retracted"  # labels or a person have shown that there was nothing


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Role(StrEnum):
    """A challenger answers under the same id as the champion."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"


class Verdict(StrEnum):
    TRUE_ALARM = "true_alarm"
    FALSE_ALARM = "false_alarm"


class ControlAction(StrEnum):
    """What an operator, a deployment or the clock of a partition says to the monitor."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    BASELINE = "baseline"
    MUTE = "mute"
    UNMUTE = "unmute"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    VERDICT = "verdict"
    TICK = "tick"  # time passes on a partition, for every model on it


# What comes in. Bounds stand in the types: msgspec checks them while it reads, and the JSON Schema shows them.
Id = Annotated[str, Meta(min_length=1, max_length=ID_CHARACTERS_MAX, description="Unique for its model.")]
# The pattern is for the schema alone: msgspec would run it on every record, the codec runs it once for each model name.
Model = Annotated[str, Meta(description="The model's name.", extra_json_schema={"pattern": f"^{MODEL_PATTERN}$"})]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
_EpochMs = Annotated[int, Meta(ge=TS_MIN, lt=TS_END)]
_Rfc3339 = Annotated[datetime, Meta(tz=True)]
Time = Annotated[
    _EpochMs | _Rfc3339, Meta(description="RFC 3339 with a zone, or integer epoch milliseconds; 1970 to 2199.")
]
Features = Annotated[
    dict[Name, float | str | bool | None],
    Meta(max_length=ENTRIES_MAX, description="What the model saw; null and absent are missing."),
]
Numbers = Annotated[dict[Name, float], Meta(max_length=ENTRIES_MAX)]
Segments = Annotated[dict[Name, str], Meta(max_length=ENTRIES_MAX, description='Such as {"country": "de"}.')]
Probability = Annotated[float, Meta(ge=0, le=1)]
Probabilities = Annotated[
    dict[Name, Probability],
    Meta(max_length=ENTRIES_MAX, description="Class to probability, for multiclass models."),
]
Weight = Annotated[float, Meta(ge=0, description="How much this outcome counts.")]
Revision = Annotated[
    int,
    Meta(
        ge=0,
        le=EXACT_INT_MAX,
        description="A higher one corrects an earlier one; an equal or lower one is a duplicate.",
    ),
]


class _In(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    pass


class Prediction(_In, tag="prediction", frozen=True, kw_only=True):
    """What a model answered, and to what."""

    v: Literal[1]
    id: Id
    model: Model
    ts: Time
    features: Features
    prediction: Annotated[Scalar, Meta(description="What the model answered: a class or a number.")]
    version: Annotated[str | None, Meta(description="The model's deployed version.")] = None
    score: Annotated[Probability | None, Meta(description="Probability of the positive class.")] = None
    scores: Probabilities | None = None
    segments: Segments | None = None
    latency_ms: Annotated[float | None, Meta(description="How long the model took.")] = None
    cost: Annotated[float | None, Meta(description="What the answer cost, in the user's unit.")] = None
    role: Role = Role.CHAMPION
    attributions: Annotated[Numbers | None, Meta(description="Explanation value of each feature.")] = None
    trace: Annotated[str | None, Meta(description="A trace id, carried into evidence.")] = None


class Outcome(_In, tag="outcome", frozen=True, kw_only=True):
    """What turned out to be true of a prediction, under the prediction's id."""

    v: Literal[1]
    id: Id
    model: Model
    ts: Time
    label: Annotated[Scalar, Meta(description="The true class or number.")]
    revision: Revision = 0
    weight: Weight = 1.0
    provisional: Annotated[bool, Meta(description="A later revision is expected.")] = False


class Control(_In, tag="control", frozen=True, kw_only=True):
    """A word to the monitor, applied in stream order. Which fields an action needs is in docs/events.md."""

    v: Literal[1]
    id: Id
    ts: Time
    action: ControlAction
    model: Annotated[Model | None, Meta(description="Absent only for a tick.")] = None
    by: Annotated[str | None, Meta(description="Who says so.")] = None
    reason: Annotated[str | None, Meta(description="Why, in words for the audit log.")] = None
    version: Annotated[str | None, Meta(description="The version deployed, or gone back to.")] = None
    until: Annotated[Time | None, Meta(description="When a mute ends by itself.")] = None
    incident: Annotated[str | None, Meta(description="The incident that is meant.")] = None
    signal: Annotated[str | None, Meta(description="The signal that is meant; every one where absent.")] = None
    segment: Annotated[str | None, Meta(description="The segment that is meant; every one where absent.")] = None
    verdict: Annotated[Verdict | None, Meta(description="What a person found an incident to be.")] = None
    baseline: Annotated[str | None, Meta(description="The baseline from now on, by its configured name.")] = None
    partition: Annotated[
        Annotated[int, Meta(ge=0, le=EXACT_INT_MAX)] | None, Meta(description="The partition a tick was written for.")
    ] = None


Input = Prediction | Outcome | Control


# What goes out. A field without a default is always there, as null where it is not known; one that is None by
# default is left out.
class _Part(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    pass


class _Out(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="type"):
    pass


EventId = Annotated[str, Meta(description="Derived from content and positions: the same event again has the same id.")]
EpochMs = Annotated[int, Meta(description="Epoch milliseconds.")]


class ChangePoint(_Part, frozen=True, kw_only=True):
    """Where the detector dates the change."""

    ts: EpochMs
    offset: Annotated[int, Meta(description="Of the prediction with which it began, on its topic and partition.")]


class Position(_Part, frozen=True, kw_only=True):
    """The record that decided."""

    topic: str
    partition: int
    offset: int


class Evidence(_Part, frozen=True, kw_only=True):
    """What an alert or a signal rests on."""

    value: Annotated[float | None, Meta(description="The statistic that crossed its threshold.")]
    threshold: float | None
    threshold_origin: Annotated[str, Meta(description="Where the threshold came from.")]
    n: Annotated[int, Meta(description="Values the decision rests on.")]
    baseline: Annotated[float | None, Meta(description="What was normal.")]
    effect: Annotated[float | None, Meta(description="How far from normal, in the signal's own unit.")]
    change_point: ChangePoint | None = None
    detail: dict[str, JsonScalar] = {}
    trace: Annotated[str | None, Meta(description="The trace id of the record that decided.")] = None


class Alert(_Out, tag="alert", frozen=True, kw_only=True):
    """A step in the life of an incident: what people are paged on."""

    v: Literal[1] = 1
    id: EventId
    incident: Annotated[str, Meta(description="One cause until it is over; the pager's deduplication key.")]
    event: AlertEvent
    severity: Severity
    kind: Kind
    model: Annotated[str, Meta(description='"*" where every model of the partition is meant, as for kind system.')]
    version: str | None = None
    segment: Annotated[str | None, Meta(description="Such as country=de; absent for the whole model.")] = None
    signal: Annotated[str, Meta(description="What was watched.")]
    detector: str
    ts: Annotated[int, Meta(description="Stream time, epoch milliseconds.")]
    evidence: Evidence
    position: Position
    summary: Annotated[str, Meta(description="One sentence a person can act on.")]


class Signal(_Out, tag="signal", frozen=True, kw_only=True):
    """One detector's finding, also where it never becomes an alert."""

    v: Literal[1] = 1
    id: EventId
    model: str
    version: str | None = None
    segment: str | None = None
    signal: str
    detector: str
    kind: Kind
    ts: EpochMs
    evidence: Evidence
    position: Position
    disposition: Annotated[str, Meta(description="The named reason why it did or did not become an alert.")]


class TrainingData(_Part, frozen=True, kw_only=True):
    """What to train on: records of one partition and the event times they span, all ends included."""

    from_ts: EpochMs
    to_ts: EpochMs
    topic: str
    partition: int
    from_offset: int
    to_offset: int


class LabelCounts(_Part, frozen=True, kw_only=True):
    """How mature the labels of the training data are."""

    joined: Annotated[int, Meta(description="Predictions whose outcome has come.")]
    pending: Annotated[int, Meta(description="Predictions that still wait for theirs.")]
    median_delay_ms: int | None


class ExpectedGain(_Part, frozen=True, kw_only=True):
    """By how much the loss of a prediction should fall, in the loss's own unit, were all as before the change."""

    value: float
    low: Annotated[float, Meta(description="Between this and `high` in 95 of 100 cases.")]
    high: float


class Retrain(_Out, tag="retrain", frozen=True, kw_only=True):
    """Time to train a model again, on this data."""

    v: Literal[1] = 1
    id: EventId
    model: str
    version: str | None = None
    reason: str
    alerts: Annotated[list[str], Meta(description="Ids of the alerts that asked for it.")]
    data: TrainingData
    labels: LabelCounts
    ts: EpochMs
    incidents: Annotated[list[str] | None, Meta(description="Ids of the incidents that it is to cure.")] = None
    window: Annotated[str | None, Meta(description="`since_change`, or `recent`: the newest rows.")] = None
    expected_gain: Annotated[ExpectedGain | None, Meta(description="Absent where labels do not say.")] = None


class Rollback(_Out, tag="rollback", frozen=True, kw_only=True):
    """A deployed version is worse than the one that it replaced: time to go back. A recommendation, nothing is done."""

    v: Literal[1] = 1
    id: EventId
    model: str
    version: Annotated[str | None, Meta(description="The one that is worse.")]
    to_version: Annotated[str | None, Meta(description="The one that it replaced; null where it had no name.")]
    reason: str
    incidents: Annotated[list[str], Meta(description="Ids of the incidents that the version was to cure.")]
    evidence: Evidence
    ts: EpochMs
    position: Position


class Metrics(_Out, tag="metrics", frozen=True, kw_only=True):
    """Performance, quality, volume, latency and label coverage over one window."""

    v: Literal[1] = 1
    id: EventId
    model: str
    version: str | None = None
    segment: str | None = None
    ts: EpochMs
    window_start: EpochMs
    window_end: Annotated[int, Meta(description="Epoch milliseconds, excluded.")]
    values: Annotated[dict[str, float | int | None], Meta(description="Metric to value; null where it has none.")]
    revision: Annotated[
        int | None,
        Meta(description="Corrected labels have amended the window so often; the highest stands. Absent at first."),
    ] = None


class DeadLetter(_Out, tag="dead_letter", frozen=True, kw_only=True):
    """A record that could not be taken, as it was and where it lies."""

    v: Literal[1] = 1
    id: EventId
    reason: DeadLetterReason
    detail: Annotated[str, Meta(description="What is wrong, where, and what is allowed.")]
    topic: str
    partition: int
    offset: int
    key: Annotated[str | None, Meta(description="Base64; null where the record had none.")]
    value: Annotated[str | None, Meta(description="Base64, capped; null where the record had none.")]
    value_bytes: Annotated[int, Meta(description="Length of the original value.")]
    truncated: Annotated[bool, Meta(description="Whether key, value or headers were capped.")]
    headers: Annotated[list[tuple[str, str]], Meta(description="Original headers: name and base64 value.")]
    ts: EpochMs


class Audit(_Out, tag="audit", frozen=True, kw_only=True):
    """What became of a control event: an entry of the audit log of a partition."""

    v: Literal[1] = 1
    id: EventId
    seq: Annotated[int, Meta(description="From 1, of the partition, without a gap.")]
    previous: Annotated[str | None, Meta(description="The hash of the entry before; null for the first.")]
    hash: Annotated[str, Meta(description="SHA-256 of the entry's canonical JSON without this field, in hex.")]
    result: AuditResult
    signed_by: Annotated[str | None, Meta(description="Name of the key; null without a good signature.")]
    control: Annotated[str, Meta(description="The control event's id; what follows is as it said.")]
    action: ControlAction
    model: str
    by: str | None = None
    reason: str | None = None
    version: str | None = None
    until: EpochMs | None = None
    incident: str | None = None
    signal: str | None = None
    segment: str | None = None
    verdict: Verdict | None = None
    baseline: str | None = None
    ts: Annotated[int, Meta(description="Stream time, epoch milliseconds.")]
    position: Annotated[Position, Meta(description="Where the control event lies.")]


Output = Alert | Retrain | Rollback | Signal | Metrics | DeadLetter | Audit
Event = Input | Output
INPUTS: tuple[type[Input], ...] = (Prediction, Outcome, Control)
OUTPUTS: tuple[type[Output], ...] = (Alert, Retrain, Rollback, Signal, Metrics, DeadLetter, Audit)


def event_type(event: type[Event] | Event) -> str:
    """The word in the field ``type``."""
    return str(event.__struct_config__.tag)
