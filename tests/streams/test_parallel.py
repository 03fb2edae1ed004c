"""Several processes say what one says, byte for byte."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from detectors.rows import Stretch
from schemas.parsed import Elsewhere, Parsed
from schemas.records import Record
from streams import parallel
from streams.cli import main
from streams.history import Given, History
from streams.share import NotSharedError, Share
from streams.table_mapping import Columns
from tests.streams.test_journal import results
from tests.streams.test_tables import START, as_csv, as_parquet, rows

MODELS = ("churn", "fraud", "eta")
CONFIG = """[defaults]
rows_per_false_alarm = 100_000
baseline_rows = 200
metrics_window = "1h"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("driftline.toml").write_text(CONFIG)
    return tmp_path


def table(models: int = 3, count: int = 6_000) -> list[dict[str, Any]]:
    draw = Random(3)
    return [{**line, "model": f"m{draw.randrange(models)}"} for line in rows(count)]


def replay(out: str, *words: str, status: int = 0) -> dict[str, Any]:
    assert main(["replay", *words, "--config", "driftline.toml", "--out", out]) == status
    return results(out) if status == 0 else {}


@pytest.mark.parametrize("processes", ["2", "3"])
def test_a_table_of_many_models_is_shared_out(processes: str, folder: Path) -> None:
    as_csv(Path("june.csv"), table())
    one = replay("one", "june.csv")
    assert replay("many", "june.csv", "--processes", processes) == one
    assert one["alerts.jsonl"].count(b"feature:age") >= 3
    assert sorted(path.name for path in Path("many").iterdir()) == sorted(one)


def test_pipes_as_the_system_allows_them_are_wide_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_PIPE_BYTES", 2**31 - 1)  # more than is allowed anybody
    as_csv(Path("june.csv"), table(count=600))
    assert replay("many", "june.csv", "--processes", "2") == replay("one", "june.csv")


def test_lines_with_ticks_and_with_what_cannot_be_read_are_shared_out(folder: Path) -> None:
    draw, lines = Random(1), []
    for number in range(3_000):
        model, ts = draw.choice(MODELS), START + number * 20_000
        common = {"v": 1, "id": f"p{number}", "model": model, "ts": ts}
        age = draw.gauss(40 if number < 2_000 else 60, 3)
        lines.append({"type": "prediction", **common, "features": {"age": age}, "prediction": "yes"})
        lines.append({"type": "outcome", **common, "label": draw.choice(("yes", "no"))})
        if number % 7 == 0:
            lines.append({"type": "control", "v": 1, "id": f"t{number}", "ts": ts, "action": "tick", "more": 1})
    texts = [json.dumps(line).encode() for line in lines]
    texts[300:300] = [b"broken", b"", b'{"type": "tick"}', b'{"model": "churn"}', b'{"model": 7}', b"\xff", b"[" * 200]
    Path("june.jsonl").write_bytes(b"\n".join(texts))
    one = replay("one", "june.jsonl")
    assert replay("two", "june.jsonl", "--processes", "2") == one
    assert one["dead-letters.jsonl"].count(b"\n") == 6
    assert one["alerts.jsonl"] != b""


def test_labels_of_their_own_are_shared_out_too(folder: Path) -> None:
    lines = table()
    as_csv(Path("june.csv"), lines)
    labels = [{name: line[name] for name in ("id", "model", "label")} for line in lines]
    as_csv(Path("labels.csv"), list(reversed(labels)))
    one = replay("one", "june.csv", "--labels", "labels.csv")
    assert replay("two", "june.csv", "--labels", "labels.csv", "--processes", "2") == one
    assert one["summary.json"]["partitions"]["labels.csv"]["0"]["applied"] == 4_000


def test_a_file_that_is_cut_off_ends_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    as_csv(Path("june.csv"), table())
    with Path("june.csv").open("a") as file:
        file.write("1,2\n")
    replay("one", "june.csv", status=2)
    one = capsys.readouterr().err.splitlines()[-1]
    replay("two", "june.csv", "--processes", "2", status=2)
    assert capsys.readouterr().err.splitlines()[-1].replace("two/", "one/") == one
    assert "row 6,001 has 2 columns" in one
    assert results("one/partial") == results("two/partial")


def test_models_are_given_out_in_turn_as_they_are_met() -> None:
    shares = [Share(number, 2, 3) for number in range(2)]
    met = [
        Record("t", 0, number, START, None, b'{"model": "%s"}' % name)
        for number, name in enumerate([b"a", b"b", b"a", b"c"])
    ]
    assert [[share.takes(record, record.offset) for record in met] for share in shares] == [
        [True, False, True, True],
        [False, True, False, False],
    ]
    assert shares[0].since == {b"a": 0, b"c": 3}
    with pytest.raises(NotSharedError):
        shares[0].takes(Record("t", 0, 9, START, None, b'{"model": "d"}'), 9)


@pytest.mark.parametrize("of", [1, 2, 3])
def test_each_row_of_a_table_is_in_one_share(of: int, tmp_path: Path) -> None:
    as_parquet(tmp_path / "june.parquet", table(count=400))
    with History(Given([str(tmp_path / "june.parquet")], columns=Columns(label=""))) as history:
        (stretch,) = history.stretches
    assert isinstance(stretch, Stretch)
    owners: dict[str, int] = {}
    for model in stretch.models:
        owners.setdefault(model, len(owners) % of)
    for number in range(of):
        mine = Share(number, of, models_max=3).of(stretch, before=0)
        assert list(mine.ids) == [
            key for key, model in zip(stretch.ids, stretch.models, strict=True) if owners[model] == number
        ]


def test_rows_of_others_only_keep_their_places(folder: Path) -> None:
    as_csv(Path("june.csv"), table(count=50))
    with History(Given(["june.csv"]), lambda model: model == "m1") as history:
        predictions = [record for record in history.records if record.topic == "june.csv"]
    assert [record.offset for record in predictions] == list(range(50))
    assert {record.event.model for record in predictions if isinstance(record, Parsed)} == {"m1"}
    assert 10 < sum(isinstance(record, Elsewhere) for record in predictions) < 45


def test_what_operators_say_is_shared_out_and_its_log_is_one_chain(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw, lines = Random(2), []
    for number in range(4_000):
        model, ts = MODELS[number % 3], START + number * 20_000
        common = {"v": 1, "id": f"p{number}", "model": model, "ts": ts}
        age = draw.gauss(40 if number < 2_000 else 60, 3)
        lines.append({"type": "prediction", **common, "features": {"age": age}, "prediction": "yes"})
        if number % 500 == 7:
            word = {"type": "control", **common, "id": f"c{number}", "by": "ann"}
            lines.append(
                {**word, "action": "deploy", "version": "2"} if number < 1_500 else {**word, "action": "verdict"}
            )
            lines.append({**word, "id": f"m{number}", "action": "mute", "signal": f"feature:{number}"})
    Path("june.jsonl").write_text("\n".join(map(json.dumps, lines)))
    one = replay("one", "june.jsonl")
    for processes in ("2", "3"):
        assert replay(f"many{processes}", "june.jsonl", "--processes", processes) == one
    entries = [json.loads(line) for line in one["audit.jsonl"].splitlines()]
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert {entry["model"] for entry in entries} == set(MODELS)
    assert one["alerts.jsonl"] != b""
    capsys.readouterr()
    assert main(["audit", "verify", "--from", "many3"]) == 0


@pytest.mark.parametrize("setting", ["models_max = 2", "pending_max = 17_000"])
def test_a_limit_of_all_models_together_is_for_one_process_to_meet(
    setting: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("driftline.toml").write_text(f"{CONFIG}[monitor]\n{setting}\n")
    as_csv(Path("june.csv"), table())
    replay("two", "june.csv", "--processes", "2", status=2)
    assert f"than {setting.split(maxsplit=1)[0]}; replay it with --processes 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["june.csv", "--processes", "0"], "--processes 0"),
        (["-", "--processes", "2"], "standard input"),
        (["a", "--processes", "2", "--resume"], "--resume"),
    ],
)
def test_a_call_that_makes_no_sense_is_one_line(
    words: list[str], where: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replay("out", *words, status=2)
    said = capsys.readouterr().err
    assert (said.count("\n"), said.startswith(f"driftline: {where}: ")) == (1, True)
