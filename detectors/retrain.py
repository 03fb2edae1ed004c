"""When to ask for a retrain: confirmed harm, or drift that lasts, with enough labels, not too often and not in vain."""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from detectors.budget import MONTH_MS
from detectors.config import RetrainConfig
from detectors.course import Course
from detectors.lifecycle import BY_LABELS, Alarm
from schemas.events import Kind
from schemas.times import duration_ms


class RetrainReason(StrEnum):
    CONCEPT_DRIFT = "concept_drift_confirmed"
    NOT_CURED = "retrain_did_not_cure"
    LASTING_DRIFT = "drift_lasts"


_HARM = (RetrainReason.CONCEPT_DRIFT, RetrainReason.NOT_CURED)


class Held(StrEnum):
    """Why a retrain that is wanted is not asked for."""

    CIRCUIT_OPEN = "circuit_open"
    BUDGET_SPENT = "budget_spent"
    COOLDOWN = "cooldown"
    TOO_FEW_LABELS = "too_few_labels"
    IMMATURE_LABELS = "immature_labels"


class DataWindow(StrEnum):
    """Which rows to train on."""

    SINCE_CHANGE = "since_change"
    RECENT = "recent"  # what changes little by little is best shown by the newest rows


class Request(NamedTuple):
    reason: RetrainReason
    alarms: list[Alarm]  # all that a retrain would answer
    causes: list[Alarm]  # those that say from when on the data is of the new kind
    labels: int  # of predictions since the first of the causes began
    held: Held | None

    @property
    def window(self) -> DataWindow:
        gradual = all(alarm.evidence.detail.get("change") == Course.GRADUAL for alarm in self.causes)
        return DataWindow.RECENT if gradual else DataWindow.SINCE_CHANGE


class Policy(msgspec.Struct, frozen=True):
    on: Sequence[str]
    cooldown_ms: int
    min_labels: int
    labels_share: float
    labels_wait_ms: int
    lasts_ms: int
    per_month: int
    give_up_after: int

    @classmethod
    def of(cls, config: RetrainConfig) -> "Policy":
        return cls(
            config.on,
            duration_ms(config.cooldown),
            config.min_labels,
            config.labels_share,
            duration_ms(config.labels_wait),
            duration_ms(config.feature_drift_lasts),
            config.per_month,
            config.give_up_after,
        )


class Asked(msgspec.Struct, array_like=True):
    """What a model was asked for so far, of whatever version."""

    last: dict[RetrainReason, int] = {}  # when each reason last led to a retrain
    times: list[int] = []  # of the last month, as many as its budget has
    failures: int = 0  # retrains one after the other whose deployment did not cure

    def note(self, reason: RetrainReason, now: int, policy: Policy) -> None:
        self.last[reason] = now
        if policy.per_month:
            self.times = [*self.times, now][-policy.per_month :]


class Known(NamedTuple):
    """What a monitor knows of its labels and predictions."""

    joined: int
    predicted_since: Callable[[int], int]  # how many predictions there were since a time
    labelled_since: Callable[[int], tuple[int, int]]  # of how many of these there is a label, at least and at most


def asking(policy: Policy, alarms: Iterable[Alarm], now: int) -> list[Alarm]:
    """Those that justify a retrain at this moment. An alarm asks once."""
    return [alarm for alarm in alarms if not alarm.retrained and _asks(policy, alarm, now)]


def request(policy: Policy, alarms: Iterable[Alarm], now: int, known: Known, asked: Asked) -> Request | None:
    """The retrain that the open alarms justify at this moment, and what holds it back."""
    those = asking(policy, alarms, now)
    if not those:
        return None
    harm = [alarm for alarm in those if alarm.kind is Kind.CONCEPT_DRIFT]
    reason = RetrainReason.LASTING_DRIFT
    if harm:
        reason = RetrainReason.NOT_CURED if all(alarm.uncured for alarm in harm) else RetrainReason.CONCEPT_DRIFT
    causes = harm or those
    labels = _labels_since(causes, known)
    held = _closed(policy, reason, now, asked) or _unfit(policy, causes, labels, now, known)
    return Request(reason, those, causes, labels, held)


def _labels_since(causes: Sequence[Alarm], known: Known) -> int:
    """How many labels there are of predictions since the first of the causes began."""
    joined = known.joined - min(alarm.opened_joined for alarm in causes)
    fewest, most = known.labelled_since(min(map(began_at, causes)))
    if all(alarm.kind in BY_LABELS for alarm in causes):  # it was labels since then that were counted
        return min(joined, most)
    return joined if fewest <= joined <= most else fewest  # those that came later may be of predictions from before


def _asks(policy: Policy, alarm: Alarm, now: int) -> bool:
    if alarm.kind not in policy.on:
        return False
    return alarm.kind is Kind.CONCEPT_DRIFT or now - alarm.opened_ts >= policy.lasts_ms


def _closed(policy: Policy, reason: RetrainReason, now: int, asked: Asked) -> Held | None:
    """What came before forbids it.

    Harm that labels have confirmed does not wait for the cooldown after a retrain that nobody was harmed by yet;
    everything else waits for the newest of either.
    """
    if policy.give_up_after and asked.failures >= policy.give_up_after:
        return Held.CIRCUIT_OPEN
    if policy.per_month and sum(now - when < MONTH_MS for when in asked.times) >= policy.per_month:
        return Held.BUDGET_SPENT
    before = [when for known, when in asked.last.items() if reason not in _HARM or known in _HARM]
    return Held.COOLDOWN if before and now - max(before) < policy.cooldown_ms else None


def _unfit(policy: Policy, causes: Sequence[Alarm], labels: int, now: int, known: Known) -> Held | None:
    """There is too little to train on: few labels, or only the quick ones, which are often of another kind."""
    if labels < policy.min_labels:
        return Held.TOO_FEW_LABELS
    if now - min(alarm.opened_ts for alarm in causes) >= policy.labels_wait_ms:
        return None
    predicted = known.predicted_since(min(began_at(alarm) for alarm in causes))
    return Held.IMMATURE_LABELS if labels < policy.labels_share * predicted else None


def began_at(alarm: Alarm) -> int:
    change = alarm.evidence.change_point
    return change.ts if change is not None else alarm.opened_ts


def why_held(policy: Policy, asked: Asked, wanted: Request) -> str:
    """In words, with what ends it."""
    if wanted.held is Held.CIRCUIT_OPEN:
        return (
            f"{asked.failures} retrains one after the other did not cure: none is asked for until a deployment does, "
            "or until somebody says baseline or verdict"
        )
    if wanted.held is Held.BUDGET_SPENT:
        return f"{policy.per_month} retrains were asked for within 30 days, which is all that per_month allows"
    if wanted.held is Held.COOLDOWN:
        return "the last retrain was asked for less than the cooldown ago"
    if wanted.held is Held.TOO_FEW_LABELS:
        return f"{wanted.labels} labels since the change, of at least {policy.min_labels}"
    return f"less than {policy.labels_share:.0%} of the predictions since the change have their label"
