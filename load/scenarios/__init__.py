"""A day of traffic for four models, made from one seed, with every injected drift written down.

Three models drift, one of each kind (binary, regression, multiclass); the fourth never does. Two are trained again in
the evening: one of the new versions cures its model, the other is worse than what it replaces. Volume follows the hour,
nothing else does. The same seed gives the same bytes.
"""

import heapq
from collections.abc import Iterator
from itertools import count

import msgspec
import numpy as np

from load.scenarios import churn, eta, fraud, intent
from load.scenarios.time import DAY_MS, DAY_STARTS_MS
from load.scenarios.traffic import Event, Traffic
from load.scenarios.truth import Deployment, DriftKind, InjectedDrift
from schemas.records import Record
from schemas.topics import TopicNames

__all__ = [
    "DAY_MS",
    "DAY_STARTS_MS",
    "HEALTHY",
    "Deployment",
    "DriftKind",
    "Event",
    "InjectedDrift",
    "Scenario",
    "Traffic",
    "scenario",
]

HEALTHY = frozenset({fraud.MODEL})
# Each model draws from a generator of its own, so that a change to one leaves the others' bytes alone.
_MAKERS = (churn.make, eta.make, intent.make, fraud.make)


class Scenario(msgspec.Struct, frozen=True):
    """One seed's day."""

    seed: int
    traffic: tuple[Traffic, ...]

    @property
    def truth(self) -> tuple[InjectedDrift, ...]:
        return tuple(drift for traffic in self.traffic for drift in traffic.truth)

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(traffic.model for traffic in self.traffic)

    def event_count(self) -> int:
        labels = sum(len(traffic.label_arrivals()[0]) for traffic in self.traffic)
        return self.prediction_count() + labels + sum(traffic.deployment is not None for traffic in self.traffic)

    def prediction_count(self) -> int:
        return sum(len(traffic.made_ms) for traffic in self.traffic)

    def events(self) -> Iterator[Event]:
        """All models' events in order of arrival."""
        streams = (traffic.events() for traffic in self.traffic)
        return heapq.merge(*streams, key=lambda event: event.at_ms)

    def records(self, topics: TopicNames, partition: int = 0) -> Iterator[Record]:
        """The same events as they would lie on the topics of one partition."""
        names = {stream: name for name, stream in topics.inputs.items()}
        offsets = {stream: count() for stream in names}
        for event in self.events():
            offset = next(offsets[event.stream])
            yield Record(names[event.stream], partition, offset, event.at_ms, event.model.encode(), event.encode())


def scenario(seed: int) -> Scenario:
    """The day that this seed stands for."""
    return Scenario(seed, tuple(make(np.random.default_rng([seed, index])) for index, make in enumerate(_MAKERS)))
