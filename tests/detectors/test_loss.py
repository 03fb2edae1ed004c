"""How wrong an answer was, and what kind of question it answered."""

import math
from typing import Any

import pytest

from detectors.config import ModelConfig
from detectors.loss import CLASSES_MAX, Losses, LossRule, Pair, configured, found_out, losses, same_class
from detectors.shelf import Label, Pending


def pair(prediction: Label, label: Label, score: float | None = None, scores: dict[str, float] | None = None) -> Pair:
    return Pair(Pending(0, 0, 0, 0, prediction, score, scores), label)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1.0, 1.0, True),
        (1.0, 0.0, False),
        (True, 1.0, True),
        (False, 0.0, True),
        (True, 0.0, False),
        (True, 2.0, False),
        ("1", 1.0, True),
        ("1.0", 1.0, False),
        ("true", True, True),
        ("True", True, False),
        ("a", "a", True),
        ("a", "A", False),
        (0.0, -0.0, True),
        (0.5, 0.5, True),
        ("0.5", 0.5, True),
        (1e300, 1e300, True),
    ],
)
def test_the_same_class_in_another_spelling(one: Label, other: Label, same: bool) -> None:
    assert same_class(one, other) is same
    assert same_class(other, one) is same


@pytest.mark.parametrize(
    ("pairs", "task"),
    [
        ([pair(1.0, 0.0)], "binary"),
        ([pair(True, False)], "binary"),
        ([pair("yes", "no")], "binary"),
        ([pair("a", "b"), pair("c", "a")], "multiclass"),
        ([pair("a", "b", scores={"a": 0.9})], "multiclass"),
        ([pair(1.0, 2.0), pair(3.0, 1.0)], "multiclass"),
        ([pair(1.5, 2.0)], "regression"),
        ([pair(2.0, 1.5)], "regression"),
        ([pair(float(n), float(n)) for n in range(CLASSES_MAX + 1)], "regression"),
        ([pair(float(n), float(n)) for n in range(CLASSES_MAX)], "multiclass"),
        ([pair(str(n), str(n)) for n in range(CLASSES_MAX + 1)], "multiclass"),
    ],
)
def test_the_task_is_found_out(pairs: list[Pair], task: str) -> None:
    assert found_out(ModelConfig(), pairs).task == task


@pytest.mark.parametrize(
    ("pairs", "positive"),
    [
        ([pair(0.0, 1.0)], 1.0),
        ([pair(0.0, 0.0)], 1.0),
        ([pair(False, True)], True),
        ([pair("no", "yes")], "yes"),
        ([pair("positive", "negative")], "positive"),
    ],
)
def test_the_positive_class_is_found_out(pairs: list[Pair], positive: Label) -> None:
    assert found_out(ModelConfig(), pairs).positive == positive


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        (ModelConfig(), None),
        (ModelConfig(task="binary"), None),
        (ModelConfig(task="binary", positive=1), LossRule("binary", 1.0, "zero_one")),
        (ModelConfig(task="binary", positive="yes"), LossRule("binary", "yes", "zero_one")),
        (ModelConfig(task="multiclass"), LossRule("multiclass", None, "zero_one")),
        (ModelConfig(task="regression"), LossRule("regression", None, "absolute")),
        (ModelConfig(task="regression", loss="squared"), LossRule("regression", None, "squared")),
    ],
)
def test_what_the_configuration_says_needs_no_evidence(config: ModelConfig, rule: LossRule | None) -> None:
    assert configured(config) == rule


def test_a_configured_number_is_a_number_like_those_in_events() -> None:
    rule = configured(ModelConfig(task="binary", positive=1))
    assert rule is not None
    assert type(rule.positive) is float


def test_a_configured_task_or_class_is_not_overruled_by_the_evidence() -> None:
    assert found_out(ModelConfig(task="binary"), [pair(1.5, 2.5)]).task == "binary"
    assert found_out(ModelConfig(positive="no"), [pair("yes", "no")]).positive == "no"


BINARY = LossRule("binary", 1.0, "zero_one")


@pytest.mark.parametrize(
    ("rule", "given", "loss", "log_loss"),
    [
        (BINARY, pair(1.0, 1.0), 0.0, math.nan),
        (BINARY, pair(1.0, 0.0, score=0.75), 1.0, -math.log(0.25)),
        (BINARY, pair(1.0, 1.0, score=0.75), 0.0, -math.log(0.75)),
        (BINARY, pair(1.0, 0.0, score=1.0), 1.0, -math.log(1e-6)),
        (BINARY, pair(1.0, 1.0, score=1.0), 0.0, 0.0),
        (LossRule("multiclass", None, "zero_one"), pair("a", "b", scores={"a": 0.9, "b": 0.1}), 1.0, -math.log(0.1)),
        (LossRule("multiclass", None, "zero_one"), pair("a", "c", scores={"a": 0.9, "b": 0.1}), 1.0, -math.log(1e-6)),
        (LossRule("multiclass", None, "zero_one"), pair("a", "a", score=0.9), 0.0, math.nan),
        (LossRule("multiclass", None, "zero_one"), pair(1.0, 1.0, scores={"1": 0.5}), 0.0, -math.log(0.5)),
        (LossRule("regression", None, "absolute"), pair(3.0, 5.0), 2.0, math.nan),
        (LossRule("regression", None, "squared"), pair(3.0, 5.0), 4.0, math.nan),
        (LossRule("regression", None, "absolute"), pair("3", 5.0), math.nan, math.nan),
        (LossRule("regression", None, "absolute"), pair(1.7e308, -1.7e308), math.nan, math.nan),
        (LossRule("regression", None, "squared"), pair(1e200, -1e200), math.nan, math.nan),
    ],
)
def test_how_wrong_an_answer_was(rule: LossRule, given: Pair, loss: float, log_loss: float) -> None:
    assert losses(rule, *given) == pytest.approx(Losses(loss, log_loss), nan_ok=True)


@pytest.mark.parametrize("loss", ["zero_one", "absolute", "squared"])
def test_a_configured_loss_is_taken(loss: Any) -> None:
    rule = configured(ModelConfig(task="regression", loss=loss))
    assert rule is not None
    assert (rule.loss, rule.is_rate) == (loss, loss == "zero_one")
