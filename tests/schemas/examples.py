"""Plain good events for the tests beside this file, and records made of them."""

from typing import Any

import orjson

from schemas.records import Record

PREDICTION: dict[str, Any] = {
    "type": "prediction",
    "v": 1,
    "id": "p-1",
    "model": "churn",
    "ts": 1_767_225_600_000,
    "features": {"age": 41.5, "plan": "gold", "active": True, "income": None},
    "prediction": "leaves",
}
OUTCOME: dict[str, Any] = {"type": "outcome", "v": 1, "id": "p-1", "model": "churn", "ts": 1, "label": True}
CONTROL: dict[str, Any] = {"type": "control", "v": 1, "id": "c-1", "model": "churn", "ts": 1, "action": "mute"}


def record(value: dict[str, Any] | bytes | None, key: bytes | None = b"churn", topic: str = "predictions") -> Record:
    return Record(topic, 0, 7, 99, key, orjson.dumps(value) if isinstance(value, dict) else value)
