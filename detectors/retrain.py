"""When to ask for a retrain: confirmed harm, or feature drift that lasts, with enough labels and not too often."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from detectors.config import RetrainConfig
from detectors.lifecycle import Alarm
from schemas.events import Kind
from schemas.times import duration_ms


class RetrainReason(StrEnum):
    CONCEPT_DRIFT = "concept_drift_confirmed"
    LASTING_DRIFT = "drift_lasts"


class Request(NamedTuple):
    reason: RetrainReason
    alarms: list[Alarm]  # all that a retrain would answer
    causes: list[Alarm]  # those that say from when on the data is of the new kind
    labels: int  # joined since the first of the causes began to show


class Policy(msgspec.Struct, frozen=True):
    cooldown_ms: int
    min_labels: int
    lasts_ms: int

    @classmethod
    def of(cls, config: RetrainConfig) -> "Policy":
        return cls(duration_ms(config.cooldown), config.min_labels, duration_ms(config.feature_drift_lasts))


def request(
    policy: Policy, alarms: Iterable[Alarm], now: int, joined: int, last: Mapping[RetrainReason, int]
) -> Request | None:
    """The retrain that the open alarms justify at this moment. An alarm asks once.

    ``last`` is when each reason led to a retrain. Harm that labels have confirmed does not wait for the cooldown after
    a retrain that nobody was harmed by yet; everything else waits for the newest of either.
    """
    asking = [alarm for alarm in alarms if not alarm.retrained and _asks(policy, alarm, now)]
    if not asking:
        return None
    harm = any(alarm.kind is Kind.CONCEPT_DRIFT for alarm in asking)
    reason = RetrainReason.CONCEPT_DRIFT if harm else RetrainReason.LASTING_DRIFT
    before = [when for known, when in last.items() if not harm or known is reason]
    if before and now - max(before) < policy.cooldown_ms:
        return None
    causes = [alarm for alarm in asking if alarm.kind is Kind.CONCEPT_DRIFT] if harm else asking
    labels = joined - min(alarm.opened_joined for alarm in causes)
    return Request(reason, asking, causes, labels) if labels >= policy.min_labels else None


def _asks(policy: Policy, alarm: Alarm, now: int) -> bool:
    if alarm.kind is Kind.CONCEPT_DRIFT:
        return True
    drifts = (Kind.FEATURE_DRIFT, Kind.PREDICTION_DRIFT, Kind.LABEL_DRIFT)
    return alarm.kind in drifts and now - alarm.opened_ts >= policy.lasts_ms
