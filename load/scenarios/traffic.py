"""A model's day as columns, and the contract events made from them row by row."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import orjson

from load.scenarios.time import DAY_MS, DAY_STARTS_MS, Flags, Floats, Times
from load.scenarios.truth import Deployment, InjectedDrift
from schemas.topics import Stream

Scalar = float | int | str | bool | None
Column = Sequence[Scalar]


class Event(NamedTuple):
    """One contract event, still open to change: a live producer gives it another time and id."""

    at_ms: int  # when it reaches the topic
    stream: Stream
    model: str
    fields: dict[str, Any]  # JSON values, as the contracts name them

    def encode(self) -> bytes:
        return orjson.dumps(self.fields)


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one model saw, answered and was told on one day; a column has one value for each prediction."""

    model: str
    version: str
    made_ms: Times
    features: Mapping[str, Column]
    predictions: Column
    score: Floats | None = None
    scores: Mapping[str, Floats] | None = None
    segments: Mapping[str, Sequence[str]] = {}
    latency_ms: Floats
    labels: Column
    labelled: Flags  # a few labels never come
    label_ms: Times
    truth: tuple[InjectedDrift, ...] = ()
    deployment: Deployment | None = None  # from then on the columns hold what the new version answers
    times_as_text: bool = False  # RFC 3339 in place of epoch milliseconds: the contract takes both

    def label_arrivals(self) -> tuple[Times, Times]:
        """When the labels of the day came in, and when their predictions were made, in order of arrival."""
        rows = np.flatnonzero(self.labelled & (self.label_ms < DAY_STARTS_MS + DAY_MS))
        rows = rows[np.argsort(self.label_ms[rows], kind="stable")]
        return self.label_ms[rows], self.made_ms[rows]

    def events(self) -> Iterator[Event]:
        """Everything in order of arrival. Labels that come after midnight are another day's."""
        maker = _EventMaker(self)
        rows = len(self.made_ms)
        arrival = np.concatenate((self.made_ms, self.label_ms))
        wanted = np.concatenate((np.ones(rows, dtype=np.bool_), self.labelled))
        wanted &= arrival < DAY_STARTS_MS + DAY_MS
        deploys = maker.deployed()
        for index in np.argsort(arrival, kind="stable").tolist():
            if deploys is not None and arrival[index] >= deploys.at_ms:
                yield deploys
                deploys = None
            if wanted[index]:
                yield maker.prediction(index) if index < rows else maker.outcome(index - rows)


class _EventMaker:
    """Columns as plain Python values, because a JSON encoder is quickest with those."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._made = traffic.made_ms.tolist()
        self._told = traffic.label_ms.tolist()
        self._made_text = _as_times(traffic, traffic.made_ms)
        self._told_text = _as_times(traffic, traffic.label_ms)
        self._features = tuple(traffic.features.items())
        self._score = None if traffic.score is None else rounded(traffic.score, 4)
        self._scores = tuple((name, rounded(column, 4)) for name, column in (traffic.scores or {}).items())
        self._segments = tuple(traffic.segments.items())
        self._latency = rounded(traffic.latency_ms, 1)

    def prediction(self, row: int) -> Event:
        traffic = self._traffic
        fields: dict[str, Any] = {
            "type": "prediction",
            "v": 1,
            "id": _id(traffic.model, row),
            "model": traffic.model,
            "version": self._version_at(self._made[row]),
            "ts": self._made_text[row],
            "features": {name: column[row] for name, column in self._features},
            "prediction": traffic.predictions[row],
            "latency_ms": self._latency[row],
        }
        if self._score is not None:
            fields["score"] = self._score[row]
        if self._scores:
            fields["scores"] = {name: column[row] for name, column in self._scores}
        if self._segments:
            fields["segments"] = {name: column[row] for name, column in self._segments}
        return Event(self._made[row], Stream.PREDICTIONS, traffic.model, fields)

    def _version_at(self, made_ms: int) -> str:
        traffic, deployment = self._traffic, self._traffic.deployment
        return traffic.version if deployment is None or made_ms < deployment.at_ms else deployment.version

    def deployed(self) -> Event | None:
        """The word of whoever put another version in place."""
        model, deployment = self._traffic.model, self._traffic.deployment
        if deployment is None:
            return None
        fields = {
            "type": "control",
            "v": 1,
            "id": f"{model}-deploys-{deployment.version}",
            "model": model,
            "ts": deployment.at_ms,
            "action": "deploy",
            "version": deployment.version,
            "by": "retraining",
            "reason": deployment.description,
        }
        return Event(deployment.at_ms, Stream.CONTROL, model, fields)

    def outcome(self, row: int) -> Event:
        traffic = self._traffic
        fields: dict[str, Any] = {
            "type": "outcome",
            "v": 1,
            "id": _id(traffic.model, row),
            "model": traffic.model,
            "ts": self._told_text[row],
            "label": traffic.labels[row],
        }
        return Event(self._told[row], Stream.OUTCOMES, traffic.model, fields)


def rounded(column: Floats, digits: int) -> list[float]:
    """As a service would log it; it also hides the last bits, in which processors differ."""
    values: list[float] = np.round(column, digits).tolist()
    return values


def _id(model: str, row: int) -> str:
    return f"{model}-{row:06d}"


def _as_times(traffic: Traffic, times: Times) -> list[int] | list[str]:
    if not traffic.times_as_text:
        numbers: list[int] = times.tolist()
        return numbers
    stamps = times.astype("datetime64[ms]")
    return [f"{stamp}Z" for stamp in np.datetime_as_string(stamps, unit="ms").tolist()]
