"""How wrong a prediction was, and what kind of task it was an answer to."""

import math
from typing import NamedTuple

from detectors.config import ModelConfig, Scalar
from detectors.shelf import Label, Pending
from detectors.windows import Counted
from schemas.classes import class_name

# Joined pairs looked at before a task is settled that nobody configured: enough to meet a fraction or a third class.
EVIDENCE = 50
CLASSES_MAX = 20  # more whole numbers than this are quantities, not classes
TINY = 1e-6  # a score of 0 that was wrong costs -ln(1e-6) = 13.8, not infinity


class Losses(NamedTuple):
    """``nan`` where there is none: no score was sent, or the pair cannot be compared."""

    loss: float
    log_loss: float


class Pair(NamedTuple):
    entry: Pending
    label: Label


class LossRule(NamedTuple):
    """Settled once per model: how its pairs are scored."""

    task: str
    positive: Label | None
    loss: str  # zero_one, absolute, squared

    @property
    def is_rate(self) -> bool:
        return self.loss == "zero_one"


def configured(config: ModelConfig) -> LossRule | None:
    """The rule, where the configuration says enough to need no evidence."""
    if config.task == "auto" or (config.task == "binary" and config.positive is None):
        return None
    return LossRule(config.task, _as_label(config.positive), _loss_of(config, config.task))


def found_out(config: ModelConfig, pairs: list[Pair]) -> LossRule:
    """The rule that the evidence suggests."""
    task = config.task if config.task != "auto" else _task(pairs)
    positive = _as_label(config.positive)
    if positive is None and task == "binary":
        positive = _positive(pairs)
    return LossRule(task, positive, _loss_of(config, task))


def _as_label(value: Scalar | None) -> Label | None:
    """A configured class as it would come in an event, where every number is a float."""
    return float(value) if type(value) is int else value


def _loss_of(config: ModelConfig, task: str) -> str:
    if config.loss in ("absolute", "squared", "zero_one"):
        return config.loss
    return "absolute" if task == "regression" else "zero_one"


def _task(pairs: list[Pair]) -> str:
    values = [value for pair in pairs for value in (pair.entry.prediction, pair.label)]
    if any(pair.entry.scores for pair in pairs):
        return "multiclass"
    if any(type(value) is float and not value.is_integer() for value in values):
        return "regression"
    classes = {class_name(value) for value in values}
    if len(classes) <= 2:
        return "binary"
    if any(isinstance(value, (str, bool)) for value in values) or len(classes) <= CLASSES_MAX:
        return "multiclass"
    return "regression"


def _positive(pairs: list[Pair]) -> Label:
    """True, 1 and names that sort last are the positive class: no, 0 and negative come before yes, 1 and positive."""
    values = [value for pair in pairs for value in (pair.entry.prediction, pair.label)]
    for favourite in (True, 1.0):
        if any(value == favourite and not isinstance(value, str) for value in values):
            return favourite
    if not any(isinstance(value, str) for value in values):
        return 1.0
    return max(values, key=class_name)


def same_class(one: Label, other: Label) -> bool:
    """Whether a label confirms a prediction: true and 1 are the same answer, "1" and 1 too."""
    if type(one) is float and type(other) is float:  # as nearly always; no name is made of them then
        return one == other
    if isinstance(one, bool) is not isinstance(other, bool) and not isinstance(one, str) and not isinstance(other, str):
        return float(one) == float(other)
    return class_name(one) == class_name(other)


def losses(rule: LossRule, entry: Pending, label: Label) -> Losses:
    if rule.is_rate:
        return Losses(0.0 if same_class(entry.prediction, label) else 1.0, _log_loss(rule, entry, label))
    distance = _distance(entry.prediction, label)
    return Losses(_finite(distance * distance if rule.loss == "squared" else distance), math.nan)


def _distance(prediction: Label, label: Label) -> float:
    if isinstance(prediction, str) or isinstance(label, str):
        return math.nan
    return abs(float(prediction) - float(label))


def _finite(loss: float) -> float:
    return loss if math.isfinite(loss) else math.nan


def _log_loss(rule: LossRule, entry: Pending, label: Label) -> float:
    scores, score = entry.scores, entry.score
    if scores:
        chance = scores.get(class_name(label), 0.0)
    elif score is None or rule.positive is None or rule.task != "binary":
        return math.nan
    else:
        chance = score if same_class(label, rule.positive) else 1.0 - score
    return -math.log(min(max(chance, TINY), 1.0))


def counted(rule: LossRule, entry: Pending, label: Label, weight: float) -> Counted:
    """What a prediction with this label adds to a window."""
    scored = losses(rule, entry, label)
    return Counted(scored.loss, scored.log_loss, weight)
