"""Policies of retraining on histories of which it is known what would have been right, and what that comes to."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from detectors.config import ModelConfig, MonitorConfig
from schemas.records import Record
from streams.cli import main
from streams.history import Given, History
from streams.settings import load as load_settings
from streams.state import EffectLike
from streams.truth import Change
from streams.whatif import scenario, stretches, trying
from streams.whatif.comparison import Tried
from streams.whatif.facts import NEVER, gather
from streams.whatif.known import known_of
from streams.whatif.running import Try
from streams.whatif.scenario import Plan
from tests.streams.test_tables import START, as_csv

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
ROWS, CHANGE = 8_000, 4_000
CHANGED = START + CHANGE * MINUTE
CONFIG = """[defaults]
rows_per_false_alarm = 100_000
baseline_rows = 500
metrics_window = "1h"
"""
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
"""
PATIENT = "[policies.patient]\nmin_labels = 2_000\n"
Line = dict[str, Any]


def history(drift: bool = True, rows: int = ROWS, seed: int = 4) -> Iterator[Line]:
    """A minute apart; one answer in ten is wrong, after the change four."""
    draw = Random(seed)
    for number in range(rows):
        ts, label = START + number * MINUTE, draw.random() < 0.5
        wrong = draw.random() < (0.4 if drift and number >= CHANGE else 0.1)
        yield prediction(number, ts, prediction=label is not wrong, features={"age": draw.gauss(40, 3)})
        yield outcome(number, ts + 30 * SECOND, label)


def prediction(number: int, ts: int, **more: Any) -> Line:
    common = {"type": "prediction", "v": 1, "id": f"p{number}", "model": "churn", "ts": ts}
    return common | {"features": {"age": 40.0}, "prediction": 1.0} | more


def outcome(number: int, ts: int, label: Any, **more: Any) -> Line:
    return {"type": "outcome", "v": 1, "id": f"p{number}", "model": "churn", "ts": ts, "label": label} | more


def lines(name: str, told: Iterator[Line] | list[Line]) -> str:
    Path(name).write_text("".join(json.dumps(line) + "\n" for line in sorted(told, key=lambda line: line["ts"])))
    return name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("driftline.toml").write_text(CONFIG)
    Path("whatif.toml").write_text(SCENARIO)
    return tmp_path


def call(*words: str, status: int = 0) -> dict[str, Any]:
    """What was written of each policy, and of all under no name."""
    given = ("--scenario", "whatif.toml", "--config", "driftline.toml", "--out", "out", "--processes", "1")
    assert main(["whatif", *given, *words]) == status
    if status:
        return {}
    found = json.loads(Path("out/whatif.json").read_text())
    return {"": found} | {tried["plan"]["name"]: tried for tried in found["policies"]}


def tried(
    name: str, plan: str, *, changes: list[Change] | None = None, batch_records: int = 4_000
) -> tuple[Tried, list[bytes]]:
    """One policy of the scenario, and all that the monitor said."""
    said, plans = scenario.load(Path("whatif.toml"))
    settings = load_settings(Path("driftline.toml"))
    wanted = next(each for each in plans if each.name == plan)
    with History(Given([name])) as source:
        version, delay = said.cured.version, said.label_delay
        facts = gather(source.records, settings.monitor, version=version, label_delay=delay)
    effects: list[bytes] = []

    def sink(effect: EffectLike) -> None:
        effects.append(effect.value)

    with History(Given([name])) as source:
        trial = Try(wanted, said, settings, known_of(facts, changes))
        return trial.run(source.records, sinks=[sink], batch_records=batch_records), effects


def test_where_the_world_changes_retraining_pays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = sum(a["prediction"] is not b["label"] for a, b in zip(*[history()] * 2, strict=True))
    lines("june.jsonl", history())
    Path("whatif.toml").write_text(SCENARIO + PATIENT)
    Path("known.jsonl").write_text(json.dumps({"model": "churn", "starts": CHANGED}))
    found = call("june.jsonl", "--truth", "known.jsonl")
    order = [each["plan"]["name"] for each in found[""]["policies"]]
    assert (order[0], order[-1]) == ("at the true changes", "never")
    assert order.index("eager") < order.index("patient")
    never, eager, known = (found[name]["models"]["churn"] for name in ("never", "eager", "at the true changes"))
    assert (never["loss"], never["retrainings"], never["rows"]) == (wrong, 0, ROWS)
    (step,) = found["eager"]["steps"]
    assert step["deployed_ts"] - step["asked_ts"] == 2 * HOUR
    (first,) = found["at the true changes"]["steps"]
    assert first["asked_ts"] == CHANGED + 199 * MINUTE + 30 * SECOND  # when the two hundredth label has come
    assert (known["labels"], eager["cured"]) == (200, 1)
    left = ROWS - (step["deployed_ts"] - START) / MINUTE
    assert abs((never["loss"] - eager["loss"]) / left - 0.3) < 0.03  # from four in ten to one
    for each in found[""]["policies"]:
        of = each["models"]["churn"]
        spent = 50 * of["retrainings"] + 5 * of["pages"] + 0.01 * of["labels"]
        assert each["total"] == pytest.approx(of["loss"] + spent)
    assert never["above_ms"] == (ROWS - 1 - CHANGE) * MINUTE
    assert eager["above_ms"] == pytest.approx(step["deployed_ts"] - CHANGED, abs=2 * MINUTE)
    assert "Cheapest: eager, " in capsys.readouterr().out


def test_where_nothing_changes_never_is_the_cheapest(folder: Path) -> None:
    lines("june.jsonl", history(drift=False))
    found = call("june.jsonl")
    assert found[""]["policies"][0]["plan"]["name"] == "never"
    assert len({each["money"]["loss"] for each in found[""]["policies"]}) == 1  # nothing to cure is nothing cured
    assert found["every 3d"]["models"]["churn"]["retrainings"] == 1


@pytest.mark.parametrize("plan", ["eager", "every 3d"])
def test_no_cut_of_a_batch_changes_anything(plan: str, folder: Path) -> None:
    lines("june.jsonl", history(rows=5_000))
    whole, effects = tried("june.jsonl", plan)
    assert whole.models["churn"].retrainings == 1
    assert tried("june.jsonl", plan, batch_records=37) == (whole, effects)
    longer = SCENARIO.replace('takes = "2h"', 'takes = "90s"')
    Path("whatif.toml").write_text(longer)  # shorter batches, and another time of deployment
    assert tried("june.jsonl", plan, batch_records=37) == tried("june.jsonl", plan)


def test_several_processes_say_what_one_says(folder: Path) -> None:
    lines("june.jsonl", history(rows=1_500))
    assert call("june.jsonl", "--processes", "2") == call("june.jsonl")


def test_a_state_on_disk_decides_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines("june.jsonl", history(rows=5_000))
    in_memory = call("june.jsonl")
    monkeypatch.setattr("streams.history.ROWS_IN_MEMORY", 0)
    monkeypatch.setattr("streams.whatif.running.COMMIT_RECORDS", 500)
    assert call("june.jsonl") == in_memory


def test_a_table_is_read_as_lines_are(folder: Path) -> None:
    told = list(history(rows=5_000))
    rows = [{"id": a["id"], "model": a["model"], "ts": a["ts"], "age": a["features"]["age"]} for a in told[::2]]
    answers = [(a["prediction"], b["label"], b["ts"]) for a, b in zip(told[::2], told[1::2], strict=True)]
    for row, (answer, label, came) in zip(rows, answers, strict=True):
        row |= {"prediction": answer, "label": label, "label_ts": came}
    as_csv(Path("june.csv"), rows)
    lines("june.jsonl", told)
    table, jsonl = (call(name)["eager"] for name in ("june.csv", "june.jsonl"))
    assert table == jsonl
    assert table["models"]["churn"]["retrainings"] == 1


def test_a_file_that_is_cut_off_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines("june.jsonl", history(rows=2_000))
    Path("june.jsonl.gz").write_bytes(gzip.compress(Path("june.jsonl").read_bytes())[:-9])
    call("june.jsonl.gz", status=2)
    assert "june.jsonl.gz: cannot be read on after line" in capsys.readouterr().err
    assert not Path("out").exists()


def test_an_interrupt_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines("june.jsonl", history(rows=1_500))
    begun: list[trying.Trials] = []

    def interrupted(trials: trying.Trials) -> Iterator[tuple[int, trying.Said]]:
        begun.append(trials)
        trials.begin(trials.waiting[0][1])
        raise KeyboardInterrupt

    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr(trying.Trials, "read", interrupted)
    call("june.jsonl", "--processes", "2", status=130)
    assert [process.poll() for process in begun[0].running] == [-9]
    assert not Path("out").exists()
    assert list(folder.glob("driftline-whatif-*")) == []
    assert capsys.readouterr().err.splitlines()[-1] == "driftline: interrupted"


def test_money_is_what_comes_of_it_by_hand(folder: Path) -> None:
    told = [prediction(number, START + number * HOUR, prediction=number % 2 == 0) for number in range(60)]
    told += [outcome(number, START + number * HOUR, True, weight=2.5) for number in range(0, 60, 3)]
    told += [outcome(3, START + 4 * HOUR, False, revision=1), outcome(9, START + 10 * HOUR, False, provisional=True)]
    lines("june.jsonl", told)
    text = SCENARIO.replace('schedule = "3d"', 'schedule = "1d"')
    Path("whatif.toml").write_text(text + "[costs.models.churn]\nloss = 3\nretraining = 7\n")
    found = call("june.jsonl")
    # Every third has a label: ten of the twenty answers are wrong, and one of these a correction has made right.
    assert found["never"]["models"]["churn"]["loss"] == 9 * 2.5
    assert found["never"]["total"] == 9 * 2.5 * 3
    schedule = found["every 1d"]
    assert [step["asked_ts"] for step in schedule["steps"]] == [START + DAY, START + 2 * DAY]
    assert [step["labels"] for step in schedule["steps"]] == [9, 8]  # each counts once
    assert schedule["money"] == {"loss": 67.5, "retraining": 14.0, "labels": 0.17, "pages": 0.0}


def test_the_error_of_a_number_shrinks_to_what_was_usual(folder: Path) -> None:
    draw, told = Random(5), []
    for number in range(5_000):
        ts, label = START + number * MINUTE, draw.gauss(100, 10)
        error = draw.gauss(0, 2) * (1 if number < 3_000 else 4)
        told += [prediction(number, ts, prediction=label + error), outcome(number, ts, label)]
    lines("june.jsonl", told)
    found = call("june.jsonl")
    never, eager = (found[name]["models"]["churn"] for name in ("never", "eager"))
    usual, after = (level["loss"] for level in found[""]["levels"]["churn"])
    assert after > 3 * usual
    assert eager["retrainings"] == eager["cured"] == 1
    left = 5_000 - (found["eager"]["steps"][0]["deployed_ts"] - START) / MINUTE
    assert (never["loss"] - eager["loss"]) / left == pytest.approx(after - usual, rel=0.1)


def test_answers_that_stand_in_the_history_are_taken_from_the_deployment_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Line] = []
    for line in history(rows=5_000):
        told.append(line)
        if line["type"] == "prediction":
            draw = Random(line["id"])
            other = {**line, "role": "challenger", "version": "2", "prediction": draw.random() < 0.5}
            told.append(other)
    lines("june.jsonl", told)
    Path("whatif.toml").write_text(
        SCENARIO.replace("[cured]\nlabels = 200", '[cured]\nanswers = "replayed"\nversion = "2"')
    )
    found = call("june.jsonl")
    assert found[""]["answered"] == 5_000
    step = found["eager"]["steps"][0]
    others = {line["id"]: line["prediction"] for line in told if line.get("role")}
    answers = {
        line["id"]: (line["ts"], line["prediction"])
        for line in told
        if line["type"] == "prediction" and not line.get("role")
    }
    wrong = 0
    for line in told:
        if line["type"] == "outcome":
            ts, own = answers[line["id"]]
            wrong += (others[line["id"]] if ts >= step["deployed_ts"] else own) is not line["label"]
    assert found["eager"]["models"]["churn"]["loss"] == wrong
    assert "A new version answers as version 2 does in the history" in capsys.readouterr().out
    Path("whatif.toml").write_text(
        SCENARIO.replace("[cured]\nlabels = 200", '[cured]\nanswers = "replayed"\nversion = "3"')
    )
    call("june.jsonl", status=2)
    assert "holds no answers of version 3" in capsys.readouterr().err


def test_labels_come_when_the_scenario_says(folder: Path) -> None:
    lines("june.jsonl", history(rows=6_000))
    soon, _ = tried("june.jsonl", "eager")
    Path("whatif.toml").write_text('label_delay = "6h"\n' + SCENARIO)
    late, _ = tried("june.jsonl", "eager")
    delay = late.steps[0].asked_ts - soon.steps[0].asked_ts
    assert 5 * HOUR < delay < 7 * HOUR
    assert late.sum("rows") == soon.sum("rows") == 6_000


def test_a_version_of_the_history_ends_the_one_that_was_deployed_here(folder: Path) -> None:
    told = [
        line | ({"version": "8"} if at >= 2 * 5_000 and "prediction" in line else {})
        for at, line in enumerate(history(rows=6_000))
    ]
    lines("june.jsonl", told)
    found = call("june.jsonl")
    never, eager = (found[name]["models"]["churn"]["loss"] for name in ("never", "eager"))
    step = found["eager"]["steps"][0]
    between = [
        a["prediction"] is not b["label"]
        for a, b in zip(told[::2], told[1::2], strict=True)
        if step["deployed_ts"] <= a["ts"] < START + 5_000 * MINUTE
    ]
    assert 0.6 * sum(between) < never - eager < sum(between)


def test_a_training_cures_what_it_saw(folder: Path) -> None:
    """A tenth of the labels that teach a stretch whole takes a tenth of the harm away."""
    lines("june.jsonl", history(rows=7_000))
    Path("whatif.toml").write_text(SCENARIO.replace("[cured]\nlabels = 200", "[cured]\nlabels = 3_000"))
    known = [Change(model="churn", starts=CHANGED)]
    schedule, _ = tried("june.jsonl", "every 3d", changes=known)
    never, _ = tried("june.jsonl", "never", changes=known)
    (step,) = schedule.steps
    left = 7_000 - ((step.deployed_ts or 0) - START) / MINUTE
    saved = (never.sum("loss") - schedule.sum("loss")) / left
    assert saved == pytest.approx(0.3 * 320 / 3_000, rel=0.4)  # 320 rows after the change when it begins


def test_truth_of_one_model_or_of_none_leaves_the_others_alone(folder: Path) -> None:
    eta = [{**line, "model": "eta"} for line in history(rows=300)]
    lines("june.jsonl", [*history(rows=300), *eta])
    Path("known.jsonl").write_text(json.dumps({"model": "churn", "starts": START + HOUR}))
    found = call("june.jsonl", "--truth", "known.jsonl")["at the true changes"]["models"]
    assert [found[model]["retrainings"] for model in ("churn", "eta")] == [1, 0]
    Path("known.jsonl").write_text("")
    found = call("june.jsonl", "--truth", "known.jsonl")["at the true changes"]["models"]
    assert [found[model]["retrainings"] for model in ("churn", "eta")] == [0, 0]


def test_a_schedule_has_an_end(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines("june.jsonl", [prediction(0, START), outcome(0, START, 40), prediction(1, START + 20 * 365 * DAY)])
    own = '[policies.hourly]\nevery = "1h"\n[policies.slower]\nevery = "2h"\n'
    Path("whatif.toml").write_text(SCENARIO.replace('"3d"', '"1h"') + own)
    call("june.jsonl", status=2)
    what = "trains 175,200 times in this history, more than 100,000"
    advice = "name a longer time, or take less of the history with --from and --to"
    wanted = [f"driftline: whatif.toml: {key}: {what}; {advice}" for key in ("schedule", "policies.hourly.every")]
    assert capsys.readouterr().err.splitlines() == wanted


def test_results_of_another_history_stay_as_they_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines("june.jsonl", history(rows=5_000))
    others = {
        "longer.jsonl": [
            line | ({"ts": line["ts"] + DAY} if line["id"] == "p4999" else {}) for line in history(rows=5_000)
        ],
        "fewer.jsonl": [line for line in history(rows=5_000) if line["id"] != "p7"],
        "named.jsonl": [{**line, "model": "eta"} for line in history(rows=5_000)],
    }
    assert main(["replay", "june.jsonl", "--config", "driftline.toml", "--out", "out"]) == 0
    assert json.loads(Path("out/summary.json").read_text())["alerts"]
    for name, told in others.items():
        capsys.readouterr()
        call(lines(name, told), status=2)
        advice = "name a new directory with --out, or replay this history into it first"
        (line,) = capsys.readouterr().err.splitlines()
        assert line == f"driftline: out: holds the replay of another history; {advice}"
    assert not Path("out/whatif.json").exists()
    call("june.jsonl")


def test_numbers_past_all_measure_are_no_change_and_no_warning(folder: Path) -> None:
    told = []
    for number in range(400):
        ts, huge = START + number, 1e200 * (number % 50 + 0.5)
        told += [prediction(number, ts, prediction=huge), outcome(number, ts, number)]
    lines("june.jsonl", told)
    found = call("june.jsonl")
    assert [level["from_ts"] for level in found[""]["levels"]["churn"]] == [START]
    losses = np.tile([0.0, 1e308, 1e308], 200)
    assert stretches.changes(losses, rate=False) == []
    assert stretches.stretches(losses, [300])[0].end == 300


def test_stretches_begin_where_the_loss_is_another_one() -> None:
    draw = np.random.default_rng(1)
    losses = (draw.random(9_000) < np.repeat([0.1, 0.3, 0.1], 3_000)).astype(float)
    losses[::7] = np.nan
    cuts = stretches.changes(losses, rate=True)
    assert np.allclose(cuts, [3_000, 6_000], atol=150)
    found = stretches.stretches(losses, cuts)
    assert [round(one.excess, 1) for one in found] == [0.0, 0.2, 0.0]
    calm = [stretches.changes((draw.random(5_000) < 0.2).astype(float), rate=True) for _ in range(50)]
    assert calm == [[]] * 50
    assert stretches.changes(np.full(5_000, np.nan), rate=True) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["costs.loss: must be set", "costs.retraining: must be set", "policies: names none"]),
        ("[costs]\nlos = 1", ["costs.los: is not a setting; did you mean costs.loss?"]),
        (
            SCENARIO + "min_label = 2",
            ["policies.eager.min_label: is not a setting; did you mean policies.eager.min_labels?"],
        ),
        (SCENARIO + "per_month = -1", ["policies.eager.per_month = -1: must be a whole number from 0 to 1,000"]),
        (SCENARIO.replace('"2h"', '"0s"'), ['takes = "0s": must be a duration such as']),
        (SCENARIO.replace("loss = 1", "loss = -1"), ["costs.loss = -1: must be a number from 0 to"]),
        (SCENARIO.replace("[cured]\nlabels = 200", '[cured]\nanswers = "replayed"'), ["cured.version: must be set"]),
        (SCENARIO + 'every = "7d"', ["policies.eager.cooldown: is of no use beside every"]),
        (SCENARIO + '[policies."a b"]', ['policies."a b": is no name of a policy']),
        (
            SCENARIO + "[costs.models.eta]\nloss = 1",
            ["costs.models.eta: the history has no prediction of it; there are churn"],
        ),
        ("[", ["is not TOML"]),
        ('currency = "\\u001b[31m"\n' + SCENARIO, [r'currency = "\u001b[31m": must be one to eight printable']),
    ],
)
def test_a_scenario_that_is_wrong_says_where(
    text: str, said: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines("june.jsonl", history(rows=60))
    Path("whatif.toml").write_text(text)
    call("june.jsonl", status=2)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("driftline: ")]
    assert len(told) == len(said)
    for line, wanted in zip(told, said, strict=True):
        assert f"whatif.toml: {wanted}" in line


def test_one_price_for_losses_of_different_units_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    eta = [prediction(number, START + number, model="eta", prediction=number + 0.5) for number in range(60)]
    eta += [outcome(number, START + number, number, model="eta") for number in range(60)]
    lines("june.jsonl", [*history(rows=60), *eta])
    Path("whatif.toml").write_text(SCENARIO + "[costs.models.eta]\nloss = 7\n")
    found = call("june.jsonl")
    assert "different units" not in capsys.readouterr().err
    assert found["never"]["money"]["loss"] == found["never"]["models"]["churn"]["loss"] + 60 * 0.5 * 7
    Path("whatif.toml").write_text(SCENARIO)
    call("june.jsonl")
    assert "different units (zero_one of churn, absolute of eta)" in capsys.readouterr().err


def test_what_comes_before_its_prediction_waits_for_it() -> None:
    def event(line: Line) -> Record:
        return Record("june.jsonl", 0, 0, line["ts"], None, json.dumps(line).encode())

    other = prediction(0, START, role="challenger", version="2", prediction="no", score=0.25)
    told = [outcome(0, START, "yes"), other, prediction(0, START + 1, prediction="yes"), prediction(0, START + 2)]
    facts = gather(map(event, told), MonitorConfig(), version="2")["churn"]
    assert (facts.rows, facts.labelled, facts.answered) == (2, 1, 1)  # an id that comes twice has one label
    assert (facts.label(0), facts.other(0), facts.label(1)) == ("yes", "no", None)
    assert list(facts.columns["came"]) == [START + 1, NEVER]
    assert [facts.columns[name][0] for name in ("losses", "other_losses", "other_scores")] == [0.0, 1.0, 0.25]


def test_what_waits_for_its_prediction_waits_as_in_the_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.whatif.facts.EARLY_MAX", 2)
    monitor = MonitorConfig(defaults=ModelConfig(label_horizon="1d"))

    def labels(*told: Line) -> list[Any]:
        records = [Record("j", 0, 0, line["ts"], None, json.dumps(line).encode()) for line in told]
        facts = gather(records, monitor, version="2")["churn"]
        return [[facts.label(row), facts.other(row)] for row in range(facts.rows)]

    def other(number: int, ts: int, answer: str = "no") -> Line:
        return prediction(number, ts, role="challenger", version="2", prediction=answer)

    seen = [prediction(number, START + DAY, prediction="yes") for number in range(3)]
    # Up to the horizon, and not longer: neither by itself, nor by another word on it.
    assert labels(outcome(0, START, "yes"), other(0, START), seen[0]) == [["yes", "no"]]
    assert labels(outcome(0, START - 1, "yes"), other(0, START - 1), seen[0]) == [[None, None]]
    again = [outcome(0, START, "no", revision=1), other(0, START)]
    assert labels(outcome(0, START - 1, "yes"), other(0, START - 1), *again, seen[0]) == [[None, None]]
    # The oldest makes room, and what is held takes none.
    full = [part for number in range(3) for part in (outcome(number, START, "yes"), other(number, START))]
    assert labels(*full, *seen) == [[None, None], ["yes", "no"], ["yes", "no"]]
    newer = [outcome(1, START, "no", revision=1), other(1, START, "late")]
    assert labels(*full[:4], *newer, *seen[:2]) == [["yes", "no"], ["no", "late"]]
    # The highest revision stands.
    assert labels(outcome(0, START, "no", revision=1), outcome(0, START, "yes"), seen[0]) == [["no", None]]


def test_a_label_is_late_by_its_own_time() -> None:
    told = [prediction(0, START), outcome(0, START + DAY + 1, 40)]
    records = [Record("j", 0, 0, line["ts"], None, json.dumps(line).encode()) for line in told]
    monitor = MonitorConfig(defaults=ModelConfig(label_horizon="1d"))
    assert gather(records, monitor)["churn"].labelled == 0
    assert gather(records, MonitorConfig())["churn"].labelled == 1


def test_a_label_later_than_the_horizon_is_none(folder: Path) -> None:
    told = [prediction(0, START), prediction(1, START + 2 * DAY), outcome(0, START + 2 * DAY, 40)]
    records = [Record("j", 0, 0, line["ts"], None, json.dumps(line).encode()) for line in told]
    monitor = MonitorConfig(defaults=ModelConfig(label_horizon="1d"))
    assert gather(records, monitor)["churn"].labelled == 0
    assert gather(records, MonitorConfig())["churn"].labelled == 1


def test_a_call_that_makes_no_sense_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines("june.jsonl", [line for line in history(rows=60) if line["type"] == "prediction"])
    calls = [
        ["june.jsonl"],
        ["-"],
        ["kafka:"],
        ["june.jsonl", "--processes", "0"],
        ["june.jsonl", "--out", str(folder)],
    ]
    for words in calls:
        call(*words, status=2)
    told = capsys.readouterr().err.splitlines()
    wanted = [
        "no prediction has a label",
        "must lie in files",
        "must lie in files",
        "must be from 1 to",
        "holds driftline.toml",
    ]
    assert [part for part, line in zip(wanted, told, strict=True) if part not in line] == []


def test_the_documentation_names_every_key_of_a_scenario(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "backtest.md").read_text(encoding="utf-8")
    section = page.partition("\n## What if\n")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)) == sorted(scenario.SCENARIO)
    (example,) = re.findall(r"^```toml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    (tmp_path / "whatif.toml").write_text(example)
    assert scenario.load(tmp_path / "whatif.toml")[1][2].overrides == {"min_labels": 500, "cooldown": "1d"}


def test_prices_of_a_model_stand_before_those_of_all() -> None:
    costs = msgspec.convert({"loss": 2, "retraining": 9, "models": {"eta": {"loss": 0}}}, scenario.Costs)
    assert [costs.of(model, "loss") for model in ("churn", "eta")] == [2.0, 0.0]
    assert [costs.of(model, "retraining") for model in ("churn", "eta")] == [9.0, 9.0]


def test_a_policy_is_the_configuration_but_for_what_it_says(folder: Path) -> None:
    Path("driftline.toml").write_text('[defaults.retrain]\nmin_labels = 7\n[models.eta.retrain]\ncooldown = "9d"\n')
    settings = load_settings(Path("driftline.toml"))
    plan = Plan(name="x", kind="policy", takes_ms=1, overrides={"per_month": 3})
    monitor = plan.settings(settings).monitor
    of_all, of_eta = monitor.defaults.retrain, monitor.of("eta").retrain
    assert (of_all.min_labels, of_all.cooldown, of_all.per_month) == (7, "24h", 3)
    assert (of_eta.min_labels, of_eta.cooldown, of_eta.per_month) == (7, "9d", 3)
    never = Plan(name="never", kind="never", takes_ms=1)
    assert never.settings(settings).monitor.of("eta").retrain.on == ()
