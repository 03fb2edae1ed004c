"""Policies of retraining on histories of which it is known what would have been right, and what that comes to."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from schemas.events import Prediction
from schemas.parsed import Parsed
from streams.cli import main
from streams.history import Given, History
from streams.settings import load as load_settings
from streams.whatif import scenario, stretches
from streams.whatif.comparison import Tried
from streams.whatif.facts import gather
from streams.whatif.known import known_of
from streams.whatif.running import Try
from tests.streams.test_tables import START

MINUTE, DAY = 60_000, 86_400_000
ROWS, CHANGE = 12_000, 6_000
CONFIG = "[defaults]\nrows_per_false_alarm = 100_000\nbaseline_rows = 500\n"
SCENARIO = """
takes = "2h"
schedule = "3d"
[costs]
loss = 1
retraining = 50
page = 5
label = 0.01
[cured]
labels = 200
[policies.eager]
min_labels = 200
cooldown = "1d"
[policies.patient]
min_labels = 2_000
labels_wait = "0s"
[policies.weekly]
every = "1d"
takes = "1h"
"""


def events(drift: bool, seed: int = 4, **more: Any) -> Iterator[dict[str, Any]]:
    """A minute apart; one answer in ten is wrong, after the change four."""
    draw = Random(seed)
    for number in range(ROWS):
        ts, label = START + number * MINUTE, draw.random() < 0.5
        wrong = draw.random() < (0.4 if drift and number >= CHANGE else 0.1)
        common = {"v": 1, "id": f"p{number}", "model": "churn"}
        answer = {"features": {"age": draw.gauss(40, 3)}, "prediction": label is not wrong, **more}
        yield {"type": "prediction", **common, "ts": ts, **answer}
        yield {"type": "outcome", **common, "ts": ts + 30_000, "label": label}


def lines(path: Path, told: Iterator[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(event) + "\n" for event in sorted(told, key=lambda event: event["ts"])))
    return str(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("driftline.toml").write_text(CONFIG)
    Path("whatif.toml").write_text(SCENARIO)
    lines(Path("drift.jsonl"), events(True))
    lines(Path("calm.jsonl"), events(False))
    return tmp_path


def compared(*words: str, status: int = 0, config: str = "driftline.toml") -> dict[str, Any]:
    call = ["whatif", *words, "--config", config, "--out", "out"]
    assert main([*call, *(() if "--scenario" in words else ("--scenario", "whatif.toml"))]) == status
    return json.loads(Path("out/whatif.json").read_text()) if status == 0 else {}


def by_name(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {tried["plan"]["name"]: tried for tried in found["policies"]}


def test_where_the_world_changes_retraining_pays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("known.jsonl").write_text(json.dumps({"model": "churn", "starts": START + CHANGE * MINUTE}))
    found = compared("drift.jsonl", "--truth", "known.jsonl", "--processes", "1")
    print(capsys.readouterr().out)
    print(json.dumps(found, indent=1)[:6000])
    raise AssertionError


