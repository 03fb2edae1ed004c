"""The oracle's windows: what was seen and scored in each, and what follows from that when it is asked for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.classes import class_name
from tests.simulation.oracle_waiting import Label, Waiting
from tests.simulation.traffic import Event

LEAST_CHANCE = 1e-6


@dataclass
class Window:
    seen: list[Event] = field(default_factory=list)
    pairs: list[tuple[Waiting, Label]] = field(default_factory=list)  # by prediction, the label that counts
    corrected: int = 0
    whole_model: dict[str, int] = field(default_factory=dict)
    revision: int = 0
    amended: bool = False


@dataclass(eq=False)
class Scope:
    version: str | None
    segment: str | None
    challenger: bool
    windows: dict[int, Window] = field(default_factory=dict)

    def window(self, start: int) -> Window:
        return self.windows.setdefault(start, Window())


def losses(task: str | None, one: Waiting, label: Label) -> tuple[float | None, float | None]:
    """The loss and the log loss, None where there is none."""
    answer, truth = one.event["prediction"], label.value
    if task == "regression":
        return (None if isinstance(truth, str) else abs(float(answer) - float(truth))), None
    wrong = 0.0 if _same(answer, truth) else 1.0
    scores, score = one.event.get("scores"), one.event.get("score")
    if scores:
        return wrong, _surprise(scores.get(class_name(_as_read(truth)), 0.0))
    if score is None or task != "binary":
        return wrong, None
    return wrong, _surprise(score if _same(truth, True) else 1.0 - score)


def _as_read(value: Any) -> Any:
    """All numbers of an event are doubles."""
    return float(value) if type(value) is int else value


def _same(one: Any, other: Any) -> bool:
    """True is 1 and false is 0; otherwise classes are the same when they are spelled the same."""
    if not isinstance(one, str) and not isinstance(other, str):
        return float(one) == float(other)
    return class_name(_as_read(one)) == class_name(_as_read(other))


def _surprise(chance: float) -> float:
    return -math.log(min(max(chance, LEAST_CHANCE), 1.0))


def guess(pairs: Sequence[Waiting]) -> str:
    """Two classes are a binary task, more a multiclass one. The traffic gives a model nothing else to be guessed."""
    values = [value for one in pairs if one.unscored for value in (one.event["prediction"], one.unscored.value)]
    return "binary" if len({class_name(_as_read(value)) for value in values}) <= 2 else "multiclass"


def values_of(window: Window, task: str | None) -> dict[str, float | int | None]:
    scored = [(losses(task, one, label), label.weight) for one, label in window.pairs]
    latencies = [event["latency_ms"] for event in window.seen if event.get("latency_ms") is not None]
    costs = [event["cost"] for event in window.seen if event.get("cost") is not None]
    return {
        "predictions": len(window.seen),
        "joined": len(window.pairs),
        "corrected": window.corrected,
        "loss_mean": _mean([(loss, weight) for (loss, _), weight in scored if loss is not None]),
        "log_loss_mean": _mean([(loss, weight) for (_, loss), weight in scored if loss is not None]),
        "latency_ms_mean": sum(latencies) / len(latencies) if latencies else None,
        "latency_ms_max": max(latencies, default=None),
        "cost_sum": sum(costs) if costs else None,
    }


def _mean(pairs: Sequence[tuple[float, float]]) -> float | None:
    weight = sum(weight for _, weight in pairs)
    return sum(loss * weight for loss, weight in pairs) / weight if weight > 0 else None
