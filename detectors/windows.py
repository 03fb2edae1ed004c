"""Counts and means over windows of stream time, the same for live and replay."""

import math
from collections.abc import Sequence

import msgspec

from schemas.events import Prediction


class Window(msgspec.Struct, array_like=True):
    """One monitor's sums for the window that is open. Sums are added in stream order, so no cut changes a digit."""

    predictions: int = 0
    joined: int = 0
    corrected: int = 0
    weight: float = 0.0
    loss: float = 0.0
    log_loss: float = 0.0
    log_loss_weight: float = 0.0
    latency_ms: float = 0.0
    latency_ms_max: float = 0.0
    latencies: int = 0
    cost: float = 0.0
    costs: int = 0

    @property
    def empty(self) -> bool:
        return not (self.predictions or self.joined or self.corrected)

    def saw(self, events: Sequence[Prediction]) -> None:
        self.predictions += len(events)
        latencies = [event.latency_ms for event in events if event.latency_ms is not None]
        if latencies:
            self.latencies += len(latencies)
            self.latency_ms = sum(latencies, self.latency_ms)  # one by one from the left, as any cut would
            self.latency_ms_max = max(self.latency_ms_max, *latencies)
        costs = [event.cost for event in events if event.cost is not None]
        self.costs += len(costs)
        self.cost = sum(costs, self.cost)

    def lost(self, loss: float, log_loss: float, weight: float) -> None:
        """Adds a joined pair; a loss that could not be had is not part of the mean."""
        self.joined += 1
        if not math.isnan(loss):
            self.weight += weight
            self.loss += weight * loss
        if not math.isnan(log_loss):
            self.log_loss_weight += weight
            self.log_loss += weight * log_loss

    def values(self, whole_model: dict[str, int]) -> dict[str, float | int | None]:
        """``whole_model`` is what only the join of all versions and segments knows."""
        return {
            "predictions": self.predictions,
            "joined": self.joined,
            "corrected": self.corrected,
            **whole_model,
            "loss_mean": _mean(self.loss, self.weight),
            "log_loss_mean": _mean(self.log_loss, self.log_loss_weight),
            "latency_ms_mean": _mean(self.latency_ms, self.latencies),
            "latency_ms_max": self.latency_ms_max if self.latencies else None,
            "cost_sum": self.cost if self.costs else None,
        }


def _mean(total: float, weight: float) -> float | None:
    return total / weight if weight > 0 else None
