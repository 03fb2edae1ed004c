"""Events as producers would write them, and records of them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from schemas.records import Record

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def prediction(number: int, ts: int | str | None = None, **more: Any) -> bytes:
    event = {"type": "prediction", "v": 1, "id": f"p{number}", "model": "churn", "features": {"age": number % 50}}
    return _line(event | {"ts": START + number * 1000 if ts is None else ts, "prediction": number % 2} | more)


def outcome(number: int, ts: int, **more: Any) -> bytes:
    event = {"type": "outcome", "v": 1, "id": f"p{number}", "model": "churn", "ts": ts, "label": number % 2}
    return _line(event | more)


def records(values: Iterable[bytes], topic: str = "events.jsonl", partition: int = 0) -> list[Record]:
    return [Record(topic, partition, offset, START + offset, None, value) for offset, value in enumerate(values)]


def file_of(path: Path, lines: Iterable[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()
