"""Settings searched for on a history: what is tried, how the best is found, and what is written of it."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from detectors.config import ModelConfig, MonitorConfig
from load.tune import command as load_tune_command
from streams import toml_text
from streams.cli import main
from streams.commands import Command
from streams.commands.tune import command as tune_command
from streams.commands.whatif import command as whatif_command
from streams.cores import PROCESSES_MAX
from streams.errors import UsageError
from streams.history import Given
from streams.scoring import Alarm
from streams.settings import load
from streams.truth import Change
from streams.tuning import report
from streams.tuning.kept import KeptTrials, Trial, Tried
from streams.tuning.parts import Part, facts_of, parts_of
from streams.tuning.search import Search, Wanted, held_against
from streams.tuning.space import (
    Budget,
    Candidate,
    Facts,
    asked,
    budget,
    budget_of,
    candidates,
    changed_everywhere,
    changed_table,
)
from tests.streams.events import START, file_of

STEP = 20_000
ROWS = 3_600
FACTS = Facts(predictions=10_000, gap_ms=STEP)
GIVEN = """
[kafka]
group = "own"
[defaults]
baseline_rows = 500
false_pages_per_month = 2
[defaults.incidents]
reopen_within = "2h"
[models.churn]
task = "binary"
baseline_rows = 700
rows_per_false_alarm = 5000
[models.churn.incidents]
lasts = "10m"
[models.churn.features."a \\"b\\" \\u007f"]
range = [0, 120.5]
[models.eta]
detectors = ["adwin"]
[models.eta.parameters.adwin]
delta = 0.1
"""


@pytest.fixture(autouse=True)
def hourly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of a few rows each take most of a replay, and nothing here is about them."""
    monkeypatch.setenv("DRIFTLINE_DEFAULTS__METRICS_WINDOW", "1h")


def history(folder: Path, rows: int = ROWS, models: Sequence[str] = ("churn",)) -> str:
    draw, lines = Random(1), []
    for number in range(rows * len(models)):
        model, wrong = models[number % len(models)], draw.random() < 0.2
        common = {"v": 1, "id": f"p{number}", "model": model, "ts": START + STEP * (number // len(models))}
        features = {"age": draw.gauss(40, 3), "income": draw.lognormvariate(2, 1), "plan": draw.choice(("free", "pro"))}
        answer = draw.choice(("yes", "no"))
        truth = {"yes": "no", "no": "yes"}[answer] if wrong else answer
        lines.append(json.dumps({"type": "prediction", **common, "features": features, "prediction": answer}).encode())
        lines.append(json.dumps({"type": "outcome", **common, "label": truth}).encode())
    return str(file_of(folder / "june.jsonl", lines))


# -- what is tried ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("1/month", Budget(1.0, None)),
        ("2 per week", Budget(60 / 7, None)),
        ("0.5/day", Budget(15.0, None)),
        ("1/100000 rows", Budget(None, 100_000)),
        ("2 in 1,000,000 rows", Budget(None, 500_000)),
    ],
)
def test_a_budget_is_so_many_pages_in_a_time_or_in_rows(text: str, is_so: Budget) -> None:
    assert budget(text) == is_so


@pytest.mark.parametrize(
    "text", ["", "month", "0/month", "1/year", "1/0rows", "100000/day", "1/5 rows", "1..2/day", "-1/day"]
)
def test_what_is_no_budget_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        budget(text)


def test_a_budget_bears_so_many_pages() -> None:
    month = 30 * 86_400_000
    assert Budget(2.0, None).bears(month // 2, models=3, predictions=7) == 3.0
    assert Budget(None, 1_000).bears(month, models=3, predictions=2_500) == 2.5


def test_candidates_are_each_another_and_begin_with_what_is_there_now() -> None:
    given = ModelConfig()
    base = asked(MonitorConfig(given), None)
    found = candidates(base, given, budget_of(given), FACTS, 40, 1)
    assert found[0] == Candidate("as it is", {})
    configs = [msgspec.json.encode(changed_everywhere(MonitorConfig(given), one.changes)) for one in found]
    assert (len(found), len(set(configs)), len({one.name for one in found})) == (40, 40, 40)
    assert found == candidates(base, given, budget_of(given), FACTS, 40, 1)
    assert found != candidates(base, given, budget_of(given), FACTS, 40, 2)
    assert any("detectors" in one.changes and "incidents.lasts" in one.changes for one in found)


def test_a_baseline_that_is_longer_than_the_history_is_not_tried() -> None:
    given = ModelConfig()
    for rows, longest in ((1_000, 300), (2_500, 1_000), (100_000, 10_000)):
        found = candidates(asked(MonitorConfig(), None), given, budget_of(given), Facts(rows, STEP), 30, 1)
        assert max(one.changes.get("baseline_rows", 0) for one in found) == longest


def test_without_a_budget_to_keep_to_a_stricter_one_is_not_tried_again() -> None:
    given = ModelConfig()
    found = candidates(asked(MonitorConfig(), None), given, budget_of(given), FACTS, 200, 1)
    loose = [one for one in found if "shiryaev_roberts" not in one.changes.get("detectors", ("shiryaev_roberts",))]
    assert loose
    assert {one.changes.get("false_pages_per_month", 1.0) for one in loose} == {1.0}


@pytest.mark.parametrize("wanted", [None, Budget(0.5, None), Budget(None, 20_000.0)])
def test_what_is_written_means_what_was_tried(wanted: Budget | None, tmp_path: Path) -> None:
    path = tmp_path / "given.toml"
    path.write_text(GIVEN)
    monitor = load(path).monitor
    of = wanted or budget_of(monitor.defaults)
    found = candidates(asked(monitor, wanted), monitor.defaults, of, FACTS, 60, 1)
    assert len(found) == 60
    for one in found:
        changed = changed_table(tomllib.loads(GIVEN), one.changes)
        path.write_text(toml_text.written(changed))
        settings = load(path)
        assert settings.monitor == changed_everywhere(monitor, one.changes)
        assert settings.kafka.group == "own"
    assert tomllib.loads(GIVEN) == changed_table(tomllib.loads(GIVEN), {})


def test_toml_is_read_back_as_it_was() -> None:
    odd = {
        "a": {'"\\\x7f\n\t é': "x\x00\x7f'\"\\", "b": [1, 2.5, True, "y"], "c": {}, "d": {"e": {"f": 1e-9, "g": []}}}
    }
    assert tomllib.loads(toml_text.written({"a": odd})) == {"a": odd}
    assert tomllib.loads(toml_text.written({"top": 1, "t": {"k": [{"x": 1}]}})) == {"top": 1, "t": {"k": [{"x": 1}]}}


# -- the history ------------------------------------------------------------------------------------------------------


def test_the_later_part_is_not_tuned_on_and_has_drifts_of_its_own(tmp_path: Path) -> None:
    tuning, validation = parts_of(Given([history(tmp_path, models=("churn", "eta"))]))
    assert (tuning.predictions, validation.predictions) == (4_320, 2_880)
    assert tuning.span[1] < validation.span[0]
    assert tuning.records == 2 * tuning.predictions
    assert facts_of(tuning, validation) == Facts(1_440, pytest.approx(STEP, rel=0.01))
    first, again = tuning.drifts(1, 1), tuning.drifts(1, 1)
    assert [(one.spec, one.model, one.features, one.begins) for one in first] == [
        (one.spec, one.model, one.features, one.begins) for one in again
    ]
    assert [one.model for one in first] == ["churn", "eta"]
    begins = {one.begins for part in (tuning, validation) for number in range(1, 30) for one in part.drifts(1, number)}
    assert len(begins) == 2 * 29 * 2
    kinds = [one.spec for number in range(1, 11) for one in tuning.drifts(1, number)]
    assert len(set(kinds)) == len(kinds) == 2 * 10  # each in each model


def test_a_history_that_is_too_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="no model has 1,000 predictions with something to change in its validation part"
    ):
        parts_of(Given([history(tmp_path, rows=2_400)]))


# -- what is known already --------------------------------------------------------------------------------------------

TRIED = Tried(
    {"driftline": [Alarm("churn", START, "feature:age", None, opens=True)]},
    [Change(model="churn", starts=START, signals=["feature:age"])],
    {"churn": 2},
)


def test_a_trial_that_is_kept_is_known_again_but_one_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    one, two = (Trial("tuning", number, {"detectors": ("adwin",), "incidents.lasts": "1s"}) for number in (1, 2))
    with KeptTrials(path, "x", resume=True) as kept:
        kept.add(one, TRIED)
        kept.add(two, TRIED)
    path.write_bytes(path.read_bytes()[:-5] + b" " * 10_000)
    with KeptTrials(path, "x", resume=True) as kept:
        assert (kept.get(one), kept.get(two)) == (TRIED, None)
        kept.add(two, TRIED)
    assert path.read_bytes().endswith(b"}\n")
    with KeptTrials(path, "x", resume=True) as kept:
        assert len(kept) == 2
    with KeptTrials(path, "x", resume=False) as kept:
        assert len(kept) == 0


def test_trials_of_something_else_are_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    KeptTrials(path, "x", resume=False).__exit__()
    with pytest.raises(UsageError, match="was begun with another history, configuration, seed or version"):
        KeptTrials(path, "y", resume=True)
    path.write_bytes(b"{}\n")
    with pytest.raises(UsageError, match="cannot be gone on with"):
        KeptTrials(path, "x", resume=True)


# -- the search, with trials that are made up -------------------------------------------------------------------------

Making = Callable[[Trial], tuple[bool, int, int]]  # whether it finds the drift; false alarms and pages, untouched
END = START + STEP * ROWS
BEGINS = {"tuning": START + STEP * ROWS // 2, "validation": END - 60 * STEP}


class Made:
    """What the search asks for, and answers that a test has thought of."""

    def __init__(self, making: Making, delay: Callable[[Trial], int] = lambda trial: 10) -> None:
        self.expected = 0
        self.asked: dict[bytes, Trial] = {}
        self._making, self._delay = making, delay

    def of(self, trials: Sequence[Trial]) -> list[Tried]:
        return [self._of(trial) for trial in trials]

    def _of(self, trial: Trial) -> Tried:
        self.asked[trial.key] = trial
        found, false, pages = self._making(trial)
        begins = BEGINS[trial.part]
        alarms = [Alarm("churn", begins - STEP * (number + 1), "score") for number in reversed(range(false))]
        changes = [Change(model="churn", starts=begins, signals=["feature:age"])] if trial.number else []
        if found and trial.number:
            alarms.append(Alarm("churn", begins + STEP * self._delay(trial), "feature:age"))
        names = ["driftline"] if trial.changes is not None else ["river_adwin", "always", "never"]
        return Tried(dict.fromkeys(names, alarms), changes, {"churn": pages})


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Part]:
    return parts_of(Given([history(tmp_path_factory.mktemp("history"))]))


def search(making: Making, parts: Sequence[Part], **more: Any) -> tuple[Any, Made]:
    trials = Made(making)
    wanted = Wanted(**{"budget": None, "candidates": 12, "replays": 6, "seed": 1} | more)
    return Search(trials, parts, MonitorConfig(), wanted).run(), trials  # type: ignore[arg-type]


def strict(changes: Mapping[str, Any] | None) -> bool:
    return changes is not None and changes.get("false_pages_per_month", 1.0) < 0.05


def test_what_pages_less_and_finds_as_much_is_found_and_is_better(parts: Sequence[Part]) -> None:
    tuned, trials = search(lambda trial: (True, 0, 0) if strict(trial.changes) else (True, 12, 5), parts)
    # Of twelve replays all find theirs, and what is false in the untouched history counts once: 24 / (24 + 12).
    assert (tuned.better, tuned.scores["tuned"].f1, tuned.scores["as it is"].f1) == (True, 1.0, 0.667)
    assert tuned.changes["false_pages_per_month"] < 0.05
    assert (tuned.before.pages, tuned.after.pages) == (5, 0)
    assert (tuned.gain, tuned.gain_low, tuned.gain_high) == (0.333, 0.333, 0.333)
    assert [(gain.model, gain.before.pages, gain.after.pages) for gain in tuned.models] == [("churn", 5, 0)]
    assert [(gain.model, gain.feature, gain.after.score.found) for gain in tuned.features] == [("churn", "age", 12)]
    assert set(tuned.scores) == {"tuned", "as it is", "river_adwin", "always", "never"}
    assert len(trials.asked) == trials.expected


def test_only_what_is_best_goes_on_to_more_drifts(parts: Sequence[Part]) -> None:
    tuned, _ = search(lambda trial: (True, 0, 0) if strict(trial.changes) else (True, 12, 5), parts)
    replays = [one.replays for one in tuned.tried]
    assert (replays.count(6), replays.count(4), replays.count(2)) == (2, 2, 8)
    assert all(strict(one.changes) for one in tuned.tried[:1])


def test_what_pages_more_on_the_untouched_history_than_the_budget_bears_is_not_taken(parts: Sequence[Part]) -> None:
    bears = 1  # the budget of a month in some hours, rounded up

    def making(pages: int) -> Making:
        return lambda trial: (True, 0, pages) if strict(trial.changes) else (True, 2, 0)

    assert search(making(bears), parts)[0].changes
    assert not search(making(bears + 1), parts)[0].changes


def test_pages_that_come_under_any_settings_count_against_none(parts: Sequence[Part]) -> None:
    def making(trial: Trial) -> tuple[bool, int, int]:
        if strict(trial.changes):
            return True, 0, 35
        return (True, 10, 30) if trial.changes else (True, 20, 40)

    tuned, _ = search(making, parts)
    assert (tuned.better, strict(tuned.changes)) == (True, True)


def test_of_those_that_find_as_much_the_quickest_is_best(parts: Sequence[Part]) -> None:
    trials = Made(lambda trial: (True, 0, 0), lambda trial: 5 if strict(trial.changes) else 10)
    tuned = Search(trials, parts, MonitorConfig(), Wanted(None, 12, 6, 1)).run()  # type: ignore[arg-type]
    assert (tuned.better, strict(tuned.changes), tuned.after.score.delay_rows) == (True, True, 6)


def test_where_nothing_is_better_it_says_so(parts: Sequence[Part]) -> None:
    tuned, _ = search(lambda trial: (True, 1, 0), parts)
    assert (tuned.better, tuned.why) == (False, "nothing that was tried is better where it was tuned")
    assert tuned.written == {}


def test_what_does_not_hold_later_is_not_better(parts: Sequence[Part]) -> None:
    def making(trial: Trial) -> tuple[bool, int, int]:
        if trial.part == "tuning":
            return (True, 0, 0) if strict(trial.changes) else (True, 9, 0)
        return bool(trial.number % 3 if strict(trial.changes) else trial.number % 2), 0, 0

    tuned, _ = search(making, parts)
    assert (tuned.better, "not surely better" in tuned.why) == (False, True)
    assert tuned.gain_low < 0 < tuned.gain


def test_another_budget_is_written_even_where_nothing_is_better(parts: Sequence[Part]) -> None:
    tuned, _ = search(lambda trial: (True, 1, 0), parts, budget=Budget(0.5, None))
    assert (tuned.better, tuned.written) == (False, {"false_pages_per_month": 0.5, "rows_per_false_alarm": None})


def test_an_alarm_that_stands_in_the_untouched_history_finds_nothing_and_is_false_once(parts: Sequence[Part]) -> None:
    begins, by_chance = BEGINS["tuning"], Alarm("churn", BEGINS["tuning"] + 5 * STEP, "feature:age")
    changes = [Change(model="churn", starts=begins, signals=["feature:age"])]
    untouched = Tried({"driftline": [by_chance]}, [], {})
    drifted = [Tried({"driftline": [by_chance]}, changes, {})] * 3
    score = held_against(parts[0], [untouched, *drifted]).side().score
    assert (score.found, score.missed, score.false) == (0, 3, 1)
    later = Tried({"driftline": [by_chance, by_chance._replace(ts=by_chance.ts + STEP)]}, changes, {})
    assert held_against(parts[0], [untouched, later]).side().score.delay_rows == 7


# -- the command ------------------------------------------------------------------------------------------------------


def tune(folder: Path, *words: str, out: str = "tuned", status: int = 0) -> dict[str, Any]:
    few = ["--candidates", "2", "--replays", "3", "--out", str(folder / out)]
    source = folder / "june.jsonl"
    assert main(["tune", str(source) if source.exists() else history(folder), *few, *words]) == status
    found: dict[str, Any] = json.loads((folder / out / "tuning.json").read_text())
    return found


def test_the_command_writes_a_configuration_that_holds_and_says_what_it_gains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tune(tmp_path, "--processes", "1", "--budget", "1/month", "--tables", str(tmp_path / "tables"))
    said = capsys.readouterr()
    written = tmp_path / "tuned" / "driftline.toml"
    assert "F1" in said.out
    assert "river_adwin" in said.out
    assert f"Configuration: {written}" in said.out
    changes = found["changes"] if found["better"] else found["asked"]
    assert load(written).monitor == changed_everywhere(MonitorConfig(), changes)
    assert main(["check", str(written)]) == 0
    assert (tmp_path / "tables" / "tuned_models.csv").read_text().splitlines()[1].startswith("churn,")
    assert (found["drifts"], len(found["tried"])) == (6, 2)


def test_what_is_known_is_not_done_again_and_several_processes_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = tune(tmp_path, "--processes", "1")
    assert tune(tmp_path, "--processes", "2", out="two") == one
    trials = tmp_path / "two" / "trials.jsonl"
    lines = trials.read_bytes().splitlines(keepends=True)
    trials.write_bytes(b"".join(lines[: len(lines) // 2]))
    capsys.readouterr()
    assert tune(tmp_path, "--processes", "1", "--resume", out="two") == one
    assert f"{len(lines) // 2 - 1} trials are known already" in capsys.readouterr().err
    assert sorted(trials.read_bytes().splitlines()) == sorted(line.rstrip() for line in lines)


def test_interrupted_it_stops_says_how_to_go_on_and_leaves_no_process(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "streams.cli", "tune", history(tmp_path), "--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    trials = tmp_path / "out" / "trials.jsonl"
    with subprocess.Popen(
        [*words, "--processes", "2"], stderr=subprocess.PIPE, env=environment, start_new_session=True
    ) as running:
        while not trials.exists() or trials.read_bytes().count(b"\n") < 3:
            assert running.poll() is None
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGINT)
        said = running.communicate()[1].decode()
    assert running.returncode == 130
    assert (
        f"what is done lies in {tmp_path / 'out'}; the same call with --resume goes on\ndriftline: interrupted\n"
        in said
    )
    assert "Traceback" not in said
    assert "Warning" not in said
    while is_there(running.pid):  # whoever they now belong to takes a moment to see that they have ended
        time.sleep(0.05)


def is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_configuration_that_is_not_changed_is_the_same_to_the_byte_and_finds_its_baselines(tmp_path: Path) -> None:
    from streams.commands.tune import _moved

    files = {"baseline": "b.csv", "baselines": {"q1": "q1.csv", "far": "/far.csv"}}
    table = {"defaults": files, "models": {"churn": {"baseline": "q1"}, "eta": {"baseline": "e.csv"}}}
    assert _moved(table, tmp_path, tmp_path) == table
    assert _moved(table, tmp_path, tmp_path / "tuned") == {
        "defaults": {"baseline": "../b.csv", "baselines": {"q1": "../q1.csv", "far": "/far.csv"}},
        "models": {"churn": {"baseline": "q1"}, "eta": {"baseline": "../e.csv"}},
    }


def tuned_to(monkeypatch: pytest.MonkeyPatch, parts: Sequence[Part]) -> None:
    """The search of the command finds this at once, whatever it is asked."""
    found, _ = search(lambda trial: (True, 0, 0) if strict(trial.changes) else (True, 12, 5), parts)
    monkeypatch.setattr("streams.commands.tune._searched", lambda *_: found)


def test_what_a_killed_search_was_writing_is_written_over(
    tmp_path: Path, parts: Sequence[Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned_to(monkeypatch, parts)
    for name in ("tuning.json.partial", "driftline.toml.partial"):
        (tmp_path / name).write_bytes(b"{")
    assert main(["tune", "a.csv", "--out", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["driftline.toml", "tuning.json"]


def test_trials_that_cannot_be_read_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("driftline-tuned", "trials.jsonl").mkdir(parents=True)
    assert main(["tune", history(tmp_path), "--processes", "1", "--resume"]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("driftline: driftline-tuned/trials.jsonl: trials cannot be kept: Is a directory; name anoth")


def test_what_the_environment_sets_in_place_of_the_file_is_said(
    tmp_path: Path, parts: Sequence[Part], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tuned_to(monkeypatch, parts)
    monkeypatch.setenv("DRIFTLINE_DEFAULTS__BASELINE_ROWS", "500")
    monkeypatch.setenv("DRIFTLINE_KAFKA__GROUP", "own")
    assert main(["tune", "a.csv", "--out", str(tmp_path)]) == 0
    assert "in the environment" not in capsys.readouterr().err
    monkeypatch.setenv("DRIFTLINE_DEFAULTS__FALSE_PAGES_PER_MONTH", "2")
    monkeypatch.setenv("DRIFTLINE_MODELS__eta__FALSE_PAGES_PER_MONTH", "3")
    assert main(["tune", "a.csv", "--out", str(tmp_path), "--json"]) == 0
    assert capsys.readouterr().err == (
        "in the environment, DRIFTLINE_DEFAULTS__FALSE_PAGES_PER_MONTH, DRIFTLINE_MODELS__eta__FALSE_PAGES_PER_MONTH"
        " stand above what was written; unset them where it is to be replayed\n"
    )


def test_the_configuration_is_that_of_the_beginning_whatever_becomes_of_its_file(
    tmp_path: Path, parts: Sequence[Part], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "given.toml"
    given.write_text('[kafka]\ngroup = "own"\n')

    def parted(of: Given) -> Sequence[Part]:
        given.unlink()
        return parts

    monkeypatch.setattr("streams.tuning.parts.parts_of", parted)
    tune(tmp_path, "--processes", "1", "--config", str(given))
    assert load(tmp_path / "tuned" / "driftline.toml").kafka.group == "own"


def test_names_with_control_characters_stand_in_their_columns(parts: Sequence[Part]) -> None:
    tuned, _ = search(lambda trial: (True, 1, 0), parts)
    odd = [msgspec.structs.replace(one, model="a\x1b[31m\n", feature="b\t") for one in tuned.features]
    told = list(report.lines(msgspec.structs.replace(tuned, models=tuned.models + odd, features=tuned.features + odd)))
    for head, names in (("model", ("churn", "a\\x1b[31m\\n")), ("feature", ("churn: age", "a\\x1b[31m\\n: b\\t"))):
        at = next(number for number, line in enumerate(told) if line.startswith(f"{head} "))
        assert [line.partition("  ")[0].rstrip() for line in told[at + 1 : at + 3]] == list(names)
        assert len({len(line) for line in told[at : at + 3]}) == 1


@pytest.mark.parametrize("command", [tune_command, whatif_command, load_tune_command])
def test_a_command_runs_on_the_cores_there_are_on_any_system(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def default() -> int:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        return int(parser.get_default("processes"))

    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 2, 7}, raising=False)
    assert default() == 3  # and not the others of the machine
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(200)))
    assert default() == PROCESSES_MAX
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS and Windows
    assert default() == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert default() == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-"], "history is read many times, so it must lie in files"),
        (["a.csv", "--replays", "1"], "--replays 1: must be from 3 to 1,000"),
        (["a.csv", "--budget", "often"], '--budget: "often" is no budget of false pages'),
        (["a.csv"], "a.csv: cannot be read"),
        (["a.csv", "--out", "."], ".: holds mine, which no search has written"),
        (["a.csv", "--tables", "driftline-tuned/tables"], "lies in the directory of the search"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_read(
    words: Sequence[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").touch()
    assert main(["tune", *words]) == 2
    assert said in capsys.readouterr().err
