"""When to ask for a retrain: confirmed harm, or feature drift that lasts, with enough labels and not too often."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

import msgspec

from detectors.config import RetrainConfig
from detectors.lifecycle import Incident
from schemas.events import Kind
from schemas.times import duration_ms


class RetrainReason(StrEnum):
    CONCEPT_DRIFT = "concept_drift_confirmed"
    LASTING_DRIFT = "drift_lasts"


class Request(NamedTuple):
    reason: RetrainReason
    incidents: list[Incident]
    labels: int  # joined since the first of the incidents began to show


class Policy(msgspec.Struct, frozen=True):
    cooldown_ms: int
    min_labels: int
    lasts_ms: int

    @classmethod
    def of(cls, config: RetrainConfig) -> "Policy":
        return cls(duration_ms(config.cooldown), config.min_labels, duration_ms(config.feature_drift_lasts))


def request(policy: Policy, incidents: Iterable[Incident], now: int, joined: int, last: int | None) -> Request | None:
    """The retrain that the open incidents justify at this moment. An incident asks once."""
    if last is not None and now - last < policy.cooldown_ms:
        return None
    asking = [incident for incident in incidents if not incident.retrained and _asks(policy, incident, now)]
    if not asking:
        return None
    labels = joined - min(incident.opened_joined for incident in asking)
    if labels < policy.min_labels:
        return None
    harm = any(incident.kind is Kind.CONCEPT_DRIFT for incident in asking)
    return Request(RetrainReason.CONCEPT_DRIFT if harm else RetrainReason.LASTING_DRIFT, asking, labels)


def _asks(policy: Policy, incident: Incident, now: int) -> bool:
    if incident.kind is Kind.CONCEPT_DRIFT:
        return True
    drifts = (Kind.FEATURE_DRIFT, Kind.PREDICTION_DRIFT)
    return incident.kind in drifts and now - incident.opened_ts >= policy.lasts_ms
