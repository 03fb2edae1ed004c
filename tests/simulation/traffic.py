"""What lies on the input topics of one partition number, drawn from a seed: all that predictions and labels can do.

Every record says what the contract makes of it where that can be told by looking at it alone: the reason for which it
must be refused. The rest (duplicates, late labels, too many models) is for the oracle to find out.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any, NamedTuple

from detectors.config import FeatureConfig, ModelConfig, MonitorConfig, RetrainConfig, Scalar
from schemas.records import Record
from schemas.topics import TopicNames
from tests.simulation import signing
from tests.simulation.signing import Door, Said, door_of

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z
SECOND = 1_000
TOPICS = TopicNames()
APPEND_WOBBLE_MS = (
    15  # what a broker's clock may step back without a record changing places: less than the merge's grace
)
STEPS = 110  # of one partition: about as many predictions, and as many outcomes
STEADY_STEPS = 190  # where there is one model, and time enough for its alarms
TOO_LARGE_BYTES = 1024 * 1024 + 1

Event = dict[str, Any]


class Lying(NamedTuple):
    """A record, when it can be seen, what it says where it can be read, and why it must be refused, where it must."""

    at: int
    record: Record
    event: Event | None
    refused: str | None


class _Planned(NamedTuple):
    at: int
    topic: str
    key: bytes | None
    value: bytes | None
    event: Event | None
    refused: str | None
    headers: tuple[tuple[str, bytes], ...] = ()


_HEAD = b'{"type":"prediction","v":1,"id":"x","model":"churn",'
MISPLACED = _HEAD + b'"ts":1,"features":{},"prediction":1}'
POISON: tuple[tuple[str, bytes | None], ...] = (
    ("empty", None),
    ("empty", b""),
    ("not_json", b"{"),
    ("not_utf8", b"\xff\xfe"),
    ("not_an_object", b"[1, 2]"),
    ("not_an_object", b"null"),
    ("missing_type", b"{}"),
    ("unknown_type", b'{"type": "guess"}'),
    ("too_deep", b'{"a":' * 101 + b"1" + b"}" * 101),
    ("unknown_version", b'{"type":"prediction","v":2,"id":"x","model":"churn","ts":1,"features":{},"prediction":1}'),
    ("missing_field", _HEAD + b'"ts":1,"prediction":1}'),
    ("wrong_type", _HEAD + b'"ts":1,"features":[],"prediction":1}'),
    ("bad_id", b'{"type":"prediction","v":1,"id":"","model":"churn","ts":1,"features":{},"prediction":1}'),
    ("bad_model", b'{"type":"prediction","v":1,"id":"x","model":"a b","ts":1,"features":{},"prediction":1}'),
    ("bad_time", _HEAD + b'"ts":"soon","features":{},"prediction":1}'),
    ("out_of_range", _HEAD + b'"ts":-1,"features":{},"prediction":1}'),
    (
        "not_finite",
        _HEAD + b'"ts":1,"features":{"a":1e999},"prediction":1}',
    ),
)


def config_of(seed: int) -> MonitorConfig:
    """Small numbers everywhere, so that a few hundred records reach each limit."""
    draw = Random(f"{seed}/config")
    horizon = draw.choice((5, 12, 30))
    detectors: dict[str, dict[str, Scalar]] = {
        "page_hinkley": {"threshold": draw.choice((3.0, 8.0)), "min_instances": 5}
    }
    # Predictions of a model with segments are never columns. In a draw of its own, which leaves the others as they are.
    segments = Random(f"{seed}/segments").choice((("country",), ()))
    usual = ModelConfig(
        task="binary",
        positive=True,
        baseline_rows=draw.choice((10, 20, 32)),
        label_horizon=f"{horizon}s",
        pending_max=draw.choice((3, 8, 40, 1_000)),
        segments=segments,
        segment_values_max=2,
        features_max=5,
        categories_max=2,
        parameters=detectors,
        metrics_window=draw.choice(("2s", "5s", "20s")),
        retrain=RetrainConfig(cooldown="20s", min_labels=5, feature_drift_lasts="10s"),
        features={"spend": FeatureConfig(range=(-50.0, 50.0)), "note": FeatureConfig(kind="text-length")},
    )
    eta = ModelConfig(
        task="regression",
        baseline_rows=15,
        label_horizon=f"{2 * horizon}s",
        pending_max=draw.choice((5, 50)),
        metrics_window="3s",
        features={"km": FeatureConfig(mean=5.0, sd=2.0)},
    )
    intent = ModelConfig(task="multiclass", baseline_rows=15, label_horizon=f"{horizon}s", metrics_window="7s")
    guessed = ModelConfig(baseline_rows=15, label_horizon=f"{horizon}s", metrics_window="5s", segments=segments)
    return MonitorConfig(
        defaults=usual,
        models={"eta": eta, "intent": intent, "guessed": guessed},
        models_max=draw.choice((5, 6, 1_000)),
        pending_max=draw.choice((6, 30, 1_000_000)),
    )


def lying_on(seed: int, partition: int, records: int | None = None) -> list[Lying]:
    """In the order in which they were appended; of a seed all of them, or only the first so many."""
    traffic = _Traffic(Random(f"{seed}/traffic/{partition}"), config_of(seed))
    planned = list(_signed(Random(f"{seed}/signing/{partition}"), door_of(seed), traffic.plan()))
    planned = sorted(planned, key=lambda one: one.at)[:records]  # stable
    draw = Random(f"{seed}/clock/{partition}")
    offsets = dict.fromkeys(TOPICS.inputs, 0)
    lying = []
    for one in planned:
        wobble = draw.randint(0, APPEND_WOBBLE_MS) if draw.random() < 0.05 else 0
        offset = offsets[one.topic]
        offsets[one.topic] = offset + 1
        record = Record(one.topic, partition, offset, one.at - wobble, one.key, one.value, one.headers)
        lying.append(Lying(one.at, record, one.event, one.refused))
    return lying


def _signed(draw: Random, door: Door, planned: Sequence[_Planned]) -> Iterator[_Planned]:
    """The same, and in a world with keys, control events that are signed, more or less."""
    for number, one in enumerate(planned):
        event = one.event
        if door.secrets and event and event["type"] == "control" and event["action"] != "tick":
            yield _of(signing.said(draw, door, one.at, event | {"id": f"c{number}"}))
        else:
            yield one
    models = sorted({str(one.event["model"]) for one in planned if one.event and "model" in one.event})
    for word in signing.more(draw, door, [one.at for one in planned], models):
        yield _of(word)


def _of(word: Said) -> _Planned:
    return _Planned(word.at, TOPICS.control, word.key, word.value, word.event, None, word.headers)


def with_hands(
    draw: Random,
    door: Door,
    lying: list[Lying],
    opened: Sequence[tuple[int, str, str]],
    asked: Sequence[tuple[int, str]],
) -> list[Lying]:
    """The same, with what operators say of incidents (time, model and name) and what is deployed after retrains."""
    said = list(lying)
    words = [(ts, model, {"action": draw.choice(("acknowledge", "resolve")), "incident": i}) for ts, model, i in opened]
    words += [(ts, model, {"action": "deploy", "version": draw.choice(("1", "2"))}) for ts, model in asked]
    for number, (ts, model, told) in enumerate(words):
        event = {"type": "control", "v": 1, "id": f"h-{number}-{model}-{ts}", "ts": ts, "model": model, **told}
        at = ts + draw.randrange(5 * SECOND)
        word = signing.said(Random(event["id"]), door, at, event)
        record = Record(TOPICS.control, lying[0].record.partition, 0, at, word.key, word.value, word.headers)
        said.append(Lying(at, record, event, None))
    said.sort(key=lambda one: one.at)  # stable
    offsets = {topic: count() for topic in TOPICS.inputs}
    return [one._replace(record=one.record._replace(offset=next(offsets[one.record.topic]))) for one in said]


class _Traffic:
    def __init__(self, draw: Random, config: MonitorConfig) -> None:
        self._draw = draw
        self._config = config
        self._planned: list[_Planned] = []
        self._steady = draw.random() < 0.4
        several = (("churn",), ("guessed",), ("churn", "eta"), ("churn", "eta", "intent", "guessed", "plain"))
        self._models = ("churn",) if self._steady else draw.choice(several)
        self._steps = STEADY_STEPS if self._steady else STEPS
        self._pace = draw.choice(((0, 1, 50, 200), (0, 20, 500, 1_500), (0, 0, 1, 3)))
        self._sent: list[_Planned] = []  # predictions that may come again
        self._versions = (None,) if self._steady else draw.choice(((None,), ("1",), (None, "1", "2")))
        self._ticks = draw.choice((0, SECOND, 5 * SECOND))
        self._drifted = False
        self._now = START + draw.randrange(10 * SECOND)

    def plan(self) -> list[_Planned]:
        """Outcomes come on top of the steps, and so do ticks."""
        draw = self._draw
        next_tick = self._now
        for number in range(self._steps):
            self._now += draw.choice(self._pace)
            if draw.random() < 0.008:
                self._now += draw.choice((4, 11, 40, 90)) * SECOND  # nothing comes for a while
            while self._ticks and next_tick <= self._now:
                self._tick(next_tick)
                next_tick += self._ticks
            self._one(number)
        for later in range(1, 5) if draw.random() < 0.7 else ():
            self._tick(self._now + later * 31 * SECOND)
        return self._planned

    def _one(self, number: int) -> None:
        draw = self._draw
        what = draw.random()
        if what < 0.04:
            self._poison()
        elif what < (0.045 if self._steady else 0.07):
            self._control()
        elif what < 0.085:
            self._outcome_of(f"never-{draw.randrange(20)}", draw.choice(self._models), self._now, True)
        elif what < 0.115 and self._sent:
            self._again()
        else:
            self._drifted = number > self._steps // 4
            self._prediction(number)

    # -- predictions --------------------------------------------------------------------------------------------------

    def _prediction(self, number: int) -> None:
        draw = self._draw
        model = f"rare{draw.randrange(12)}" if draw.random() < 0.02 else draw.choice(self._models)
        event = {"type": "prediction", "v": 1, "id": f"{model}-{number}", "model": model, "ts": self._ts()}
        event |= self._answer(model)
        if draw.random() < (0.02 if self._steady else 0.1):
            event |= {"role": "challenger", "version": "shadow"}
        elif (version := draw.choice(self._versions)) is not None:
            event["version"] = version
        if draw.random() < 0.3:
            event["trace"] = f"t{number}"
        unknown = {"shoe_size": 44} if draw.random() < 0.03 else {}
        planned = self._put(TOPICS.predictions, event | unknown, self._now)
        self._sent.append(planned)
        if draw.random() < (0.05 if self._steady else 0.25) and event.get("role") != "challenger":  # both answer
            self._put(TOPICS.predictions, event | {"role": "challenger", "version": "shadow"}, self._now)
        self._outcomes(event)

    def _answer(self, model: str) -> Event:
        draw, drifted = self._draw, self._drifted
        if model == "eta":
            features = {"km": draw.gauss(9 if drifted else 5, 2)}
            return {"features": features, "prediction": draw.gauss(20, 5), "latency_ms": draw.random() * 9}
        if model == "intent":
            sure = round(draw.uniform(0.4, 0.9), 3)
            scores = {"buy": sure, "ask": 1 - sure}
            return {
                "features": {"words": draw.randrange(20)},
                "prediction": draw.choice(("buy", "ask")),
                "scores": scores,
            }
        watched: Event = {
            "age": draw.gauss(52 if drifted else 40, 2),
            "plan": draw.choices(("free", "pro", "team"), (1, 8, 1) if drifted else (6, 2, 1))[0],
            "spend": draw.choice((draw.gauss(0, 9), None, 99.0, "12")) if drifted else draw.gauss(0, 9),
            "note": "x" * draw.randrange(9),
        }
        score = draw.random()
        more: Event = {"cost": draw.choice((0.5, 2)), "latency_ms": draw.randrange(50)} if draw.random() < 0.5 else {}
        if draw.random() < 0.8:
            more["segments"] = {"country": draw.choice(("de", "de", "fr", "it", "es")), "other": "x"}
        return {"features": watched, "prediction": score > 0.5, "score": score} | more

    def _again(self) -> None:
        """The same bytes, or other content under the same id, soon after or long after."""
        draw = self._draw
        old = draw.choice(self._sent[-30:] if draw.random() < 0.7 else self._sent)
        if old.event is None or draw.random() < 0.5:
            self._planned.append(old._replace(at=self._now))
        else:
            self._put(TOPICS.predictions, old.event | {"cost": 77.0, "latency_ms": 1}, self._now)

    # -- outcomes -----------------------------------------------------------------------------------------------------

    def _outcomes(self, prediction: Event) -> None:
        """When labels come: early, in time, at the very edge, late or never; once, twice, corrected, provisional."""
        draw = self._draw
        if draw.random() < 0.15:
            return
        at = self._now
        horizon = int(self._config.of(prediction["model"]).label_horizon.removesuffix("s")) * SECOND
        usual = draw.randrange(max(1, horizon // 4))
        edge = horizon + draw.choice((-1, 0, 1))
        late = horizon + draw.randrange(1, 2 * horizon)
        early = -draw.choice((0, 1, 30, 2 * SECOND, horizon + 5))
        delay = draw.choices((0, usual, edge, late, early), (1, 12, 1, 2, 2))[0]
        self._outcome_of(prediction["id"], prediction["model"], at + delay, prediction["prediction"])

    def _outcome_of(self, key: str, model: str, at: int, answer: Any) -> None:
        draw = self._draw
        event = {"type": "outcome", "v": 1, "id": key, "model": model, "ts": self._ts(), "label": self._label(answer)}
        if draw.random() < 0.15:
            event["weight"] = draw.choice((0, 0.25, 3))
        if draw.random() < 0.15:
            event["provisional"] = True
        elif draw.random() < 0.2:
            event["revision"] = draw.randrange(3)
        self._put(TOPICS.outcomes, event, at)
        again = 0.9 if event.get("provisional") else 0.3
        while draw.random() < again:
            at += draw.choice((0, 1, 300, 6 * SECOND, 25 * SECOND))
            event = dict(event)
            if draw.random() < 0.8:
                event["revision"] = event.get("revision", 0) + draw.choice((0, 1, 1, 2))
                event["label"] = self._label(answer)
                event["weight"] = draw.choice((1, 1, 0, 2.5))
            event["provisional"] = draw.random() < 0.2
            self._put(TOPICS.outcomes, event, at)
            again = 0.3

    def _label(self, answer: Any) -> Any:
        draw = self._draw
        wrong = draw.random() < (0.6 if self._drifted else 0.1)
        if isinstance(answer, bool):
            return draw.choice((1, 0, "yes")) if draw.random() < 0.02 else answer is not wrong
        if isinstance(answer, float):
            return draw.gauss(20, 9)
        return draw.choice(("buy", "ask", "leave")) if wrong else answer

    # -- the rest -----------------------------------------------------------------------------------------------------

    def _control(self) -> None:
        draw = self._draw
        action = draw.choice(("deploy", "rollback", "baseline", "mute", "unmute", "acknowledge", "resolve", "verdict"))
        event: Event = {"type": "control", "v": 1, "id": "c", "ts": self._ts(), "action": action}
        event["model"] = draw.choice((*self._models, "rare3"))
        if action in ("deploy", "rollback"):
            event["version"] = draw.choice(("1", "2"))
        if action == "mute":
            event["until"] = self._now + draw.choice((SECOND, 30 * SECOND))
        if action in ("mute", "unmute") and draw.random() < 0.5:
            event["signal"] = "feature:age"
        if action in ("acknowledge", "resolve", "verdict"):
            event |= {"incident": "nobody's", "verdict": "true_alarm"}
        self._put(TOPICS.control, event, self._now)

    def _tick(self, at: int) -> None:
        event = {"type": "control", "v": 1, "id": f"tick-{at}", "ts": at, "action": "tick", "partition": 0}
        value = json.dumps(event).encode()
        self._planned.append(_Planned(at, TOPICS.control, None, value, event, None))

    def _poison(self) -> None:
        draw = self._draw
        topic, key = draw.choice(tuple(TOPICS.inputs)), draw.choice((None, b"chrun"))
        if draw.random() < 0.3:  # what is good, in the wrong place or under the wrong key
            reason = "wrong_key" if topic == TOPICS.predictions else "wrong_topic"
            self._planned.append(_Planned(self._now, topic, key, MISPLACED, None, reason))
            return
        reason, value = draw.choice(POISON)
        if draw.random() < 0.005:
            reason, value = "too_large", b" " * TOO_LARGE_BYTES
        headers = (("where", b"from"),) if draw.random() < 0.3 else ()
        self._planned.append(_Planned(self._now, TOPICS.predictions, b"churn", value, None, reason, headers))

    def _put(self, topic: str, event: Event, at: int) -> _Planned:
        planned = _Planned(at, topic, event["model"].encode(), json.dumps(event).encode(), event, None)
        self._planned.append(planned)
        return planned

    def _ts(self) -> int | str:
        """A producer's clock, which may say anything."""
        draw = self._draw
        if draw.random() < 0.03:
            return draw.choice((0, 7_258_118_399_999, self._now - 10**9))
        if draw.random() < 0.1:
            return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self._now - START)).isoformat()
        return self._now
