"""``driftline why``: an alert is rebuilt by the engine that told it, and what its detector saw is shown."""

import json
import math
import random
import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.codec import encode
from schemas.events import Alert, Kind, Position
from streams.cli import main
from streams.errors import UsageError
from streams.sinks import FILES
from streams.why.choice import NAMED_MAX, Choice
from streams.why.rows import Row, feature_of, window_of
from streams.why.story import plot
from tests.streams.events import START, file_of, prediction
from tests.streams.test_incidents import HOSTILE, alert
from tests.tidy.tree import text_files

SEED = 6
ROWS, CHANGE = 1_000, 700  # of each model; the first with other people in it
STEP_MS = 10_000
CONFIG = "[defaults]\nbaseline_rows = 200\n"


def history(seed: int) -> Iterator[bytes]:
    """Two models side by side. From a row on the older people ask churn, who leave more often than it thinks."""
    chance = random.Random(seed)
    for number in range(ROWS):
        ts = START + number * STEP_MS
        if number == 300:
            yield _line({"type": "control", "id": "d1", "action": "deploy", "version": "3", "by": "ci"}, ts)
        if number == 600:
            mute = {"action": "mute", "signal": "feature:plan", "by": "ann", "reason": HOSTILE}
            yield _line({"type": "control", "id": "m1"} | mute, ts)
        for model in ("churn", "fraud"):
            changed = model == "churn" and number >= CHANGE
            features = {
                "age": round(chance.gauss(54 if changed else 40, 10), 1),
                "plan": chance.choices("abc", (6, 3, 1))[0],
                f"odd={HOSTILE}": chance.random(),
            }
            answer = chance.random() < 0.3
            label = answer ^ (chance.random() < (0.4 if changed else 0.1))
            own = {"id": f"p{number}", "model": model}
            yield _line({"type": "prediction", **own, "features": features, "prediction": answer}, ts)
            yield _line({"type": "outcome", **own, "label": label}, ts + STEP_MS // 2)


def _line(event: dict[str, Any], ts: int) -> bytes:
    return json.dumps({"v": 1, "model": "churn", "ts": ts} | event).encode()


class Told:
    """A replay's alerts, and what to type to be told why."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.source = file_of(folder / "june.jsonl", history(seed))
        self.config = folder / "driftline.toml"
        self.config.write_text(CONFIG)
        self.results = folder / "results"
        words = ["--config", str(self.config), "--out", str(self.results)]
        assert main(["replay", str(self.source), *words]) == 0
        lines = (self.results / "alerts.jsonl").read_bytes().splitlines()
        self.alerts = [json.loads(line) for line in lines]

    def alert(self, signal: str) -> dict[str, Any]:
        return next(alert for alert in self.alerts if alert["signal"] == signal and alert["model"] == "churn")

    def words(self, name: str, *more: str) -> list[str]:
        words = ["why", name, str(self.source), "--config", str(self.config)]
        return [*words, "--results", str(self.results), *more]


@pytest.fixture(scope="module", params=[SEED], ids="seed={}".format)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    return Told(tmp_path_factory.mktemp("why"), request.param)


def answer(capsys: pytest.CaptureFixture[str], words: list[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    found: dict[str, Any] = json.loads(shown.out)
    return found


def story(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    capsys.readouterr()
    assert main(words) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    return shown.out


# -- the same alert again


def test_every_alert_of_a_replay_is_rebuilt_to_the_byte(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    assert {"feature:age", "loss"} <= {alert["signal"] for alert in told.alerts}
    for known in told.alerts:
        found = answer(capsys, told.words(known["id"]))
        assert (found["same"], found["again"], found["differs"]) == (True, known, [])


def test_an_alert_that_nobody_wrote_down_is_found_by_a_replay_of_all_models(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    known = told.alert("feature:age")
    words = ["why", known["id"], str(told.source), "--config", str(told.config)]
    assert answer(capsys, words) == answer(capsys, told.words(known["id"]))


def test_only_the_alerts_own_model_is_applied_up_to_the_record_that_decided(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    known = told.alert("feature:age")
    lines = told.source.read_bytes().splitlines()[: known["position"]["offset"] + 1]
    own = sum(json.loads(line)["model"] == "churn" for line in lines)
    assert answer(capsys, told.words(known["id"]))["records"] == own < len(lines)


# -- what the detector saw


def test_the_rows_are_those_of_the_file_and_the_statistic_ends_beyond_its_threshold(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    known = told.alert("feature:age")
    lines = [json.loads(line) for line in told.source.read_bytes().splitlines()]
    found = answer(capsys, told.words(known["id"]))
    for row in (*found["course"], *found["change"], *found["alarm"]):
        event = lines[row["position"]["offset"]]
        cell = event["features"]["age"]
        assert (row["id"], row["cell"], row["prediction"]) == (event["id"], cell, event["prediction"])
        assert math.isclose(row["measured"], cell, rel_tol=1e-6)
    last = found["course"][-1]
    value, threshold = found["report"]["evidence"]["value"], found["report"]["evidence"]["threshold"]
    assert (last["statistic"], last["threshold"], last["reported"]) == (value, threshold, True)
    assert all(row["statistic"] <= threshold < value for row in found["course"][:-1])
    assert [row["row"] for row in found["course"]] == list(range(found["course"][0]["row"], last["row"] + 1))


def test_what_was_normal_stands_beside_what_came_since(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    known = told.alert("feature:age")
    lines = [json.loads(line) for line in told.source.read_bytes().splitlines()]
    ages = [
        event["features"]["age"]
        for event in lines[: known["position"]["offset"] + 1]
        if event["type"] == "prediction" and event["model"] == "churn"
    ]
    found = answer(capsys, told.words(known["id"]))
    normal, window = found["baseline"], found["window"]
    taught = ages[300:500]  # since version 3 was deployed
    assert (normal["rows"], normal["name"]) == (200, "warm-up")
    assert math.isclose(normal["mean"], statistics.fmean(taught), rel_tol=0.01)  # wild ones are believed in part
    assert (normal["lowest"], normal["highest"]) == (min(taught), max(taught))
    since = ages[-window["rows"] :]
    assert len(since) == known["evidence"]["detail"]["rows_since_change"] == window["all_rows"]
    assert abs(len(ages) - len(since) - CHANGE) <= 8
    assert math.isclose(window["mean"], statistics.fmean(since), rel_tol=1e-6)
    assert math.isclose(window["spread"], statistics.stdev(since), rel_tol=1e-6)
    (by_then,) = re.findall(r"^by then(.*)$", story(capsys, told.words(known["id"])), re.MULTILINE)
    assert by_then.split() == [f"{known['evidence']['n']:,}"]  # and no mean, which is that of the first 200


def test_of_a_loss_the_rows_are_labels_with_the_predictions_that_they_are_of(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(capsys, told.words(told.alert("loss")["id"]))
    lines = [json.loads(line) for line in told.source.read_bytes().splitlines()]
    assert len(found["course"]) > 20
    for row in found["course"]:
        event = lines[row["position"]["offset"]]
        assert (event["type"], row["cell"]) == ("outcome", event["label"])
        assert row["measured"] == float(row["cell"] != row["prediction"])


def test_what_people_said_and_what_else_moved_is_told(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, told.words(told.alert("loss")["id"]))
    assert [(entry["action"], entry.get("version"), entry["by"]) for entry in found["said"]] == [
        ("deploy", "3", "ci"),
        ("mute", None, "ann"),
    ]
    assert [step["event"] for step in found["steps"]][-1] == told.alert("loss")["event"]
    assert (found["beside"][0]["signal"], found["beside"][0]["stands"]) == ("feature:age", "open")
    assert found["beside"][0]["of_threshold"] > 1.0


def test_of_silence_the_last_predictions_before_it_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [prediction(number, ts=START + number * STEP_MS) for number in range(400)]
    passed = [
        _line(
            {"type": "control", "id": f"t{number}", "action": "tick", "model": None},
            START + 5_000_000 + number * 60_000,
        )
        for number in range(60)
    ]
    source, config = file_of(tmp_path / "june.jsonl", [*asked, *passed]), tmp_path / "driftline.toml"
    config.write_text('[defaults]\nsilence_after = "10m"\n')
    words = [str(source), "--config", str(config)]
    assert main(["replay", *words, "--out", str(tmp_path / "results")]) == 0
    (known,) = map(json.loads, (tmp_path / "results" / "alerts.jsonl").read_bytes().splitlines())
    found = answer(capsys, ["why", known["id"], *words])
    assert (found["same"], found["alert"]["kind"], found["course"]) == (True, "silence", [])
    assert [row["id"] for row in found["alarm"]] == [f"p{number}" for number in range(392, 400)]


def test_rows_of_a_table_are_shown_as_those_of_lines_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(SEED)
    rows = ["model,time,prediction,age"]
    for number in range(800):
        for model in ("churn", "fraud"):
            age = chance.gauss(60 if model == "churn" and number > 600 else 40, 10)
            rows.append(f"{model},{START + number * STEP_MS},{number % 3},{age:.2f}")
    source, config = tmp_path / "june.csv", tmp_path / "driftline.toml"
    source.write_text("\n".join(rows))
    config.write_text(CONFIG)
    words = [str(source), "--config", str(config)]
    assert main(["replay", *words, "--out", str(tmp_path / "results")]) == 0
    known = json.loads((tmp_path / "results" / "alerts.jsonl").read_bytes().splitlines()[0])
    capsys.readouterr()
    assert main(["why", known["id"], *words, "--results", str(tmp_path / "results"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["same"], found["records"]) == (True, known["position"]["offset"] // 2 + 1)
    for row in found["course"]:
        assert f"{row['cell']:.2f}" == rows[row["position"]["offset"] + 1].split(",")[3]


def test_labels_of_a_table_need_not_come_in_the_order_of_its_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    rows = ["time,prediction,label,label_time"]
    for number in range(1_200):
        time, label = START + number * STEP_MS, chance.random() < (0.6 if number > 900 else 0.05)
        rows.append(f"{time},false,{str(label).lower()},{time + chance.randrange(60 * STEP_MS)}")
    source, config = tmp_path / "june.csv", tmp_path / "driftline.toml"
    source.write_text("\n".join(rows))
    config.write_text(CONFIG)
    words = [str(source), "--config", str(config)]
    assert main(["replay", *words, "--out", str(tmp_path / "results")]) == 0
    alerts = map(json.loads, (tmp_path / "results" / "alerts.jsonl").read_bytes().splitlines())
    known = next(alert for alert in alerts if alert["position"]["topic"] == "june.csv#label")
    capsys.readouterr()
    found = answer(capsys, ["why", known["id"], *words, "--results", str(tmp_path / "results")])
    assert found["same"]
    assert found["alarm"][-1]["position"] == known["position"]


# -- another history, another configuration


def test_under_another_configuration_it_is_said_what_is_other(
    told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known, other = told.alert("feature:age"), tmp_path / "other.toml"
    words = [*told.words(known["id"])[:4], str(other), "--results", str(told.results)]

    def differs(more: str) -> list[str]:
        other.write_text(f"{CONFIG}{more}\n")
        found = answer(capsys, words)
        assert not found["same"]
        assert found["alarm"]  # the rows are shown all the same
        reasons: list[str] = found["differs"]
        return reasons

    joins, origin, threshold, *_ = differs("false_pages_per_month = 30")
    assert re.fullmatch("shiryaev_roberts reports feature:age at .*, 10 seconds before it, and the alarm .*", joins)
    assert re.fullmatch("threshold_origin was days without .* of 30 false pages a month here", origin)
    assert threshold == "threshold was 550 and is 18.33 here"
    assert differs("false_pages_per_month = 0.1") == [
        "no detector reports feature:age here: at the end 731.9 of 5500 is reached"
    ]
    assert differs('detectors = ["ks"]') == ["shiryaev_roberts does not watch feature:age here"]


def test_of_a_history_that_begins_later_it_is_said_what_is_missing(
    told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    known = told.alert("feature:age")
    since = "2026-01-01T01:00:00Z"
    found = answer(capsys, told.words(known["id"], "--from", since))
    assert not found["same"]
    assert found["differs"][0] == f"--from {since} leaves out what came before, which taught what is normal"
    learning = told.words(known["id"], "--from", "2026-01-01T01:45:00Z")
    found = answer(capsys, learning)
    assert found["differs"][1].startswith("nothing is known of version 3 here, as where it was deployed before")
    assert (found["baseline"]["learned"], len(found["alarm"])) == (False, 8)
    assert "what is normal is still being learned" in story(capsys, learning)
    late = answer(capsys, told.words(known["id"], "--from", "2026-01-01T02:30:00Z"))
    assert (late["same"], late["records"]) == (False, 0)
    assert re.fullmatch("there is no record that concerns churn up to 2026-01-01 .*Z", late["differs"][0])


def test_a_record_that_lies_elsewhere_is_no_reason_to_show_nothing(
    told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = told.alert("feature:age")
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(told.source.read_bytes())
    words = told.words(known["id"])
    found = answer(capsys, [*words[:2], str(copy), *words[3:]])
    place = f"june.jsonl[0]@{known['position']['offset']}"
    assert (
        found["differs"][0] == f"the record that decided, {place}, lies elsewhere than in copy.jsonl, "
        "and an id says where"
    )
    assert found["again"]["evidence"] == known["evidence"]


# -- which alert is meant


def test_an_incident_stands_for_its_first_step(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    known = told.alert("feature:age")
    for name in (known["incident"], known["incident"][:10], known["id"][:10]):
        assert answer(capsys, told.words(name))["alert"] == known


def test_what_there_is_not_is_one_line_that_names_the_nearest(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    known = told.alert("feature:age")
    wrong = f"{known['id'][:-1]}x"
    for words in (told.words(wrong), told.words(wrong)[:5]):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        where = told.results if "--results" in words else told.source
        assert line.startswith(f"driftline: {wrong}: no alert and no incident of {where} begins so; nearest: ")
        assert known["id"] in line
    assert main(told.words("")) == 2
    assert "several ids begin so" not in capsys.readouterr().err


def test_of_several_that_begin_so_some_are_named() -> None:
    choice = Choice("a")
    for number in range(2 * NAMED_MAX):
        choice.add(alert(f"a{number}", id=f"b{number}"))
    with pytest.raises(UsageError, match="several ids begin so: a0, a1, a2, a3, a4; give more of it"):
        choice.alert("here")
    assert not choice.settled


def test_standard_input_is_refused_as_it_cannot_be_read_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "5d0c", "-"]) == 2
    assert capsys.readouterr().err == (
        "driftline: standard input: history is read twice, so it must lie in files; write it into a file first\n"
    )


# -- as a person reads it


def test_the_page_shows_what_the_command_writes(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    """Its example may leave lines out, and none may be another one."""
    shown = story(capsys, told.words(told.alert("feature:age")["id"])).splitlines()
    page = text_files()["docs/backtest.md"].partition("## Why an alert was told")[2].partition("\n## ")[0]
    block = page.split("```\n")[3]
    said = [line for line in block.splitlines() if line.strip() and line != "…"]
    assert len(said) > 25
    assert [line for line in said if line not in [known.rstrip() for known in shown]] == []


def test_no_name_steers_a_terminal(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    for known in told.alerts:
        shown = story(capsys, told.words(known["id"]))
        assert [letter for letter in shown if not letter.isprintable() and letter != "\n"] == []
    assert r"\x1b[2J" in story(capsys, told.words(told.alert("loss")["id"]))


def test_what_is_of_every_model_was_told_by_no_detector(
    told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone: Alert = alert("f00d", model="*", kind=Kind.SYSTEM, signal="gap", detector="gap")
    file_of(tmp_path / FILES["alerts"], [encode(gone)])
    words = ["why", "f00d", str(told.source), "--results", str(tmp_path)]
    assert answer(capsys, words)["differs"] == [
        "it is about a partition and not about a model: a worker told it, and no detector"
    ]
    assert "NOT the same alert, from 0 records" in story(capsys, words)


def test_a_feature_is_found_by_its_signal_whatever_it_is_called() -> None:
    cells = {"a": 1.0, "a=b": "c", "d=": None}
    assert [feature_of(f"feature:{name}", cells) for name in ("a", "a=b", "a=b=c", "d==x")] == ["a", "a=b", "a=b", "d="]
    assert feature_of("missing:a=b", cells) == "a=b"


def test_a_report_right_after_the_change_hides_no_word() -> None:
    rows = [
        Row(
            position=Position(topic="p", partition=0, offset=number),
            ts=START,
            row=number,
            id=None,
            cell=None,
            measured=float(number >= 12),
            prediction=None,
            score=None,
            statistic=10.0 ** (number - 13),
            threshold=1.0,
            reported=number == 14,
        )
        for number in range(15)
    ]
    *bars, values, changed, reported, _ = plot(rows, window_of(rows[12:], 12, 3, is_share=True))
    assert [bar[11] for bar in bars] == list("│┄││││││")
    assert values.split() == ["values", "▁" * 12 + "███"]
    assert changed == " " * 24 + "▲ changed"
    assert reported == " " * 26 + "▲ reported"
