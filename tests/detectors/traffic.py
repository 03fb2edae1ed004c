"""Seeded traffic with all that can happen: three models, drifts, labels early, late and twice, poison, hands."""

from random import Random
from typing import Any

from detectors.config import FeatureConfig, ModelConfig, MonitorConfig, RetrainConfig
from tests.detectors.events import HOUR, SECOND, Event, control, outcome, prediction, tick

# Small numbers everywhere, so that a few thousand events reach each limit.
SMALL = ModelConfig(
    baseline_rows=60,
    label_horizon="20m",
    pending_max=300,
    segments=("country",),
    segment_values_max=2,
    features_max=7,
    categories_max=3,
    metrics_window="2m",
    retrain=RetrainConfig(cooldown="10m", min_labels=20, feature_drift_lasts="3m"),
    features={"spend": FeatureConfig(range=(-50.0, 50.0)), "note": FeatureConfig(kind="text-length")},
)
ETA = ModelConfig(
    baseline_rows=40,
    metrics_window="5m",
    features={"km": FeatureConfig(mean=5.0, sd=2.0), "who": FeatureConfig("ignore")},
)
CONFIG = MonitorConfig(defaults=SMALL, models={"eta": ETA}, models_max=5)

POISON: tuple[bytes | None, ...] = (
    None,
    b"",
    b"{",
    b"\xff\xfe",
    b"[1, 2]",
    b"null",
    b'{"type": "prediction"}',
    b'{"type": "prediction", "v": 2}',
    b'{"type": "outcome", "v": 1, "id": "x", "model": "churn", "ts": 1, "label": 1}',
    b'{"type":"prediction","v":1,"id":"x","model":"churn","ts":1,"features":{"age":1e999},"prediction":1}',
    b'{"type":"prediction","v":1,"id":"x","model":"churn","ts":"2026-01-01T00:00:00","features":{},"prediction":1}',
)
HANDS = ("mute", "unmute", "verdict", "acknowledge", "resolve")
TURNS = ("deploy", "rollback", "baseline")
NUMBERS = (0.0, 1e308, -1e308, 5e-324, 1e300)


def traffic(seed: int, rows: int) -> list[Event | bytes | None]:
    """A quarter as usual, a quarter drifted, then as usual again; the last tenth sees deployments."""
    draw = Random(seed)
    due: dict[int, list[Event]] = {}
    events: list[Event | bytes | None] = []
    now = 0
    for number in range(rows):
        now += draw.choice((0, 1, 500, SECOND, 2 * SECOND))
        now += draw.choices((0, -10 * SECOND, 90 * SECOND), (997, 2, 1))[0]
        made = _prediction(draw, number, rows)
        _schedule(draw, due, made, number, rows)
        coming = [*due.pop(number, []), made]
        coming += [made | draw.choice(({}, {"prediction": 77.0}))] if draw.random() < 0.02 else []
        coming += _control(draw, number, rows)
        events += [event | {"at": max(now, 0)} for event in coming]
        if draw.random() < 0.02:
            events.append(draw.choice(POISON))
    return events


def _prediction(draw: Random, number: int, rows: int) -> Event:
    drifted = rows // 4 <= number < rows // 2
    model = draw.choices(("churn", "eta", "intent", f"rare{number}"), (70, 15, 14, 1))[0]
    if model == "eta":
        weight = (60.0 + number * 7_919 % 31) * (1_000 if drifted else 1)
        features = {"km": draw.gauss(9 if drifted else 5, 2), "who": str(number), "weight": weight}
        return prediction(number, features, model=model, prediction=draw.gauss(20, 5), latency_ms=draw.random())
    if model == "intent":
        sure = draw.uniform(0.4, 0.9)
        scores = {"buy": sure, "ask": 1 - sure}
        return prediction(number, {"words": draw.randrange(20)}, model=model, prediction="buy", scores=scores)
    return prediction(number, _features(draw, number, rows, drifted), model=model, **_answer(draw, number, rows))


def _features(draw: Random, number: int, rows: int, drifted: bool) -> dict[str, Any]:
    features: dict[str, Any] = {
        "age": draw.gauss(43 if drifted else 40, 2),
        "plan": draw.choices(("free", "pro", "team", "*"), (1, 6, 2, 1) if drifted else (6, 2, 1, 1))[0],
        "paid": draw.random() < (0.8 if drifted else 0.3),
        "spend": draw.choices((draw.gauss(0, 9), None, 99.0, "12"), (6, 2, 1, 1) if drifted else (97, 1, 1, 1))[0],
        "note": "x" * draw.randrange(9),
    }
    if number > rows // 3:
        features["new"] = draw.choice((draw.random(), draw.choice(NUMBERS)))
    if draw.random() < 0.05:
        features |= {"rare": None, f"once{number % 5}": True}
    if draw.random() < 0.03:
        del features["note"]
    return features


def _answer(draw: Random, number: int, rows: int) -> Event:
    score = draw.random()
    role = {"role": "challenger"} if draw.random() < 0.05 else {}
    version = draw.choice((None, "1")) if number < rows * 9 // 10 else draw.choice((None, "1", "2"))
    country = draw.choice(("de", "de", "fr", "it", "*"))
    trace = {"trace": f"t{number}"} if draw.random() < 0.5 else {}
    return {
        "prediction": score > 0.5,
        "score": score,
        "version": version,
        "segments": {"country": country},
        **role,
        **trace,
    }


def _schedule(draw: Random, due: dict[int, list[Event]], made: Event, number: int, rows: int) -> None:
    """When its outcome comes: early, in time, late or never; then perhaps a revision, or the same again."""
    if draw.random() < 0.1:
        return
    wrong = draw.random() < (0.5 if rows // 4 <= number < rows // 2 else 0.1)
    answer = made["prediction"]
    truth = {"eta": draw.gauss(20, 9 if wrong else 5), "intent": "ask" if wrong else "buy"}.get(
        made["model"], answer ^ wrong if isinstance(answer, bool) else answer
    )
    first = outcome(number, truth, model=made["model"], weight=draw.choice((1.0, 1.0, 0.0, 2.5)))
    comes = number + draw.choices((draw.randint(1, 40), 900), (97, 3))[0]
    due.setdefault(comes, []).append(first | ({"provisional": True} if draw.random() < 0.05 else {}))
    if draw.random() < 0.08:
        due.setdefault(comes + draw.randint(0, 9), []).append(first | {"revision": draw.randint(0, 2)})
    if draw.random() < 0.03:
        early = outcome(number + 7, truth, model="churn")
        due.setdefault(number + 1, []).append(early)


def _control(draw: Random, number: int, rows: int) -> list[Event]:
    model = draw.choice(("churn", "eta", "intent"))
    if draw.random() < 0.03:
        return [tick(0)]
    if draw.random() < 0.004:
        until = draw.choice((None, 1_767_225_600_000 + number * SECOND + HOUR // 60))
        more = {
            "incident": "nobody's",
            "verdict": "false_alarm",
            "until": until,
            "signal": draw.choice((None, "score")),
        }
        return [control(draw.choice(HANDS), number, model=model, **more)]
    if number > rows * 9 // 10 and draw.random() < 0.01:
        return [control(draw.choice(TURNS), number, model=model, version=draw.choice("12"))]
    return []
