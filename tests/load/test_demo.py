"""The demo from its call to its last line, on the real engine: what it finds, what it shows, what it leaves behind."""

import gzip
import io
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import msgspec
import pytest

from load.demo_report import WIDTH, announce, console_on, judged, show
from load.scenarios import HEALTHY, Scenario, scenario
from load.score import score_scenario
from load.trial import Trial, try_out
from schemas.events import Alert, AlertEvent
from streams import embedded
from streams.cli import main
from streams.scoring import first_told
from streams.sections import Settings
from streams.sources import open_files
from streams.time_order import in_order

SEED = 1


@pytest.fixture(scope="module")
def day() -> Scenario:
    return scenario(SEED)


class Called(NamedTuple):
    """What the command has made of the day, and left."""

    trial: Trial
    out: Path
    events: Path


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> Called:
    folder, trials = tmp_path_factory.mktemp("demo"), list[Trial]()
    out, events = folder / "out", folder / "day.jsonl.gz"

    def kept(*words: Any, **more: Any) -> Trial:
        trials.append(try_out(*words, **more))
        return trials[-1]

    with patch("load.trial.try_out", kept):
        assert main(["demo", "--seed", str(SEED), "--out", str(out), "--write-events", str(events)]) == 0
    (trial,) = trials
    return Called(trial, out, events)


@pytest.fixture(scope="module")
def trial(called: Called) -> Trial:
    return called.trial


def alerts_in(file: Path) -> list[Alert]:
    return [msgspec.json.decode(line, type=Alert) for line in file.read_bytes().splitlines()]


def shown(trial: Trial) -> str:
    stream = io.StringIO()
    console = console_on(stream)
    announce(console, trial.day)
    show(console, trial)
    return stream.getvalue()


def test_every_drift_is_found_and_the_healthy_model_is_left_in_peace(trial: Trial) -> None:
    assert trial.score.missed == ()
    assert trial.score.false_on(HEALTHY) == ()


def test_every_event_is_applied(trial: Trial, day: Scenario) -> None:
    counts = [count for by_partition in trial.summary.partitions.values() for count in by_partition.values()]
    assert sum(count.consumed for count in counts) == day.event_count()
    assert sum(count.applied for count in counts) == day.event_count()


def test_every_alert_of_the_engine_has_a_place_in_the_score(trial: Trial) -> None:
    told = list(first_told(trial.alerts))
    placed = sum(
        (each.find is not None) + len(each.again) + len(each.consequences) + len(each.echoes)
        for each in trial.score.results
    )
    assert placed + len(trial.score.false_alarms) == len(told) > 0


def test_after_a_retrain_one_new_version_is_shown_to_cure_and_one_to_be_worse(trial: Trial) -> None:
    for model, answer, event in (("churn", "cured", AlertEvent.RESOLVED), ("eta", "worse", AlertEvent.ESCALATED)):
        alert = judged(trial, model)[-1]
        assert (alert.event, alert.evidence.detail["answer"]) == (event, answer)
        asked = [retrain for retrain in trial.retrains if alert.incident in (retrain.incidents or ())]
        deployment = next(traffic.deployment for traffic in trial.day.traffic if traffic.model == model)
        assert deployment is not None
        assert asked[0].ts < deployment.at_ms < alert.ts
    assert judged(trial, "intent") == []


def test_a_rollback_is_recommended_where_the_new_version_is_worse_and_shown(trial: Trial) -> None:
    (rollback,) = trial.rollbacks
    assert (rollback.model, rollback.version, rollback.to_version) == ("eta", "8", "7")
    text = shown(trial)
    assert "Deploy churn 2026-02 at 18:30" in text
    assert "is cured by version 2026-02" in text
    assert "rollback recommended: from 8 to 7" in text


def test_what_is_shown_fits_a_hundred_columns_and_needs_no_terminal(trial: Trial) -> None:
    text = shown(trial)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "\x1b" not in text


def test_what_is_shown_has_a_line_for_each_drift_and_counts_false_alarms_by_model(trial: Trial) -> None:
    text = shown(trial)
    for drift in trial.day.truth:
        assert drift.kind in text
        assert drift.description in text
    assert f"{len(trial.day.truth)} of {len(trial.day.truth)} drifts found" in text
    assert "fraud (healthy) none" in text


def test_a_miss_and_a_false_alarm_are_said_plainly(trial: Trial, day: Scenario) -> None:
    kept = next(each.find.alert for each in trial.score.results if each.find is not None)
    false = msgspec.structs.replace(kept, model=next(iter(HEALTHY)), summary="fraud: amount rose")
    text = shown(msgspec.structs.replace(trial, score=score_scenario(day, [false])))
    assert f"0 of {len(day.truth)} drifts found" in text
    assert text.count("missed") == len(day.truth)
    assert "fraud (healthy) 1" in text
    assert "fraud: amount rose" in text


def test_the_command_leaves_results_and_events_that_a_replay_agrees_with(called: Called, day: Scenario) -> None:
    _, out, events = called
    assert not events.with_name("day.jsonl.gz.partial").exists()
    with gzip.open(events) as lines:
        assert next(lines) == next(day.events()).encode() + b"\n"
    replayed: list[Alert] = []

    def keep(effect: embedded.EffectLike) -> None:
        if effect.stream == "alerts":
            replayed.append(msgspec.json.decode(effect.value, type=Alert))

    with open_files([str(events)]) as sources:
        embedded.run(in_order(sources), Settings(), sinks=(keep,))
    of_demo = [(alert.model, alert.signal, alert.event, alert.ts) for alert in alerts_in(out / "alerts.jsonl")]
    assert of_demo
    assert [(alert.model, alert.signal, alert.event, alert.ts) for alert in replayed] == of_demo


def test_a_place_that_cannot_be_written_to_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = tmp_path / "nowhere" / "day.jsonl"
    assert main(["demo", "--out", str(tmp_path / "out"), "--write-events", str(events)]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("driftline:")]
    assert said == [
        f"driftline: {events}: the events cannot be written: No such file or directory; "
        "name another file with --write-events"
    ]


def test_a_seed_that_is_none_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--seed", "-3"]) == 2
    assert "must be a whole number from 0 on, is -3" in capsys.readouterr().err
