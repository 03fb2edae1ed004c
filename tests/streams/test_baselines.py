"""Baselines from files: whatever the form, the same monitor; whatever is wrong with one, one line and no start."""

import csv
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from detectors.learning import Learned
from schemas.codec import decode_output
from schemas.events import Alert, AlertEvent, Signal
from streams import baseline_events, baselines
from streams.baseline_tables import Limits, Table, read_table, rows_of
from streams.baselines import BaselineError
from streams.cli import main
from streams.errors import UsageError
from streams.settings import load

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z
Line = dict[str, Any]


def rows(seed: int, count: int, first: int = 0, shift: float = 0.0) -> list[Line]:
    draw = Random(seed)
    return [
        {
            "ts": START + 1_000 * number,
            "id": f"r{number}",
            "age": draw.gauss(40.0 + shift, 3.0),
            "plan": draw.choice(("free", "pro")),
            "paid": draw.random() < 0.3,
            "rare": None if draw.random() < 0.5 else draw.random(),
            "prediction": draw.random() < 0.4,
            "score": draw.random(),
            "label": draw.random() < 0.4,
            "latency_ms": draw.uniform(10, 100),
            "version": "7",
            "country": draw.choice(("de", "fr")),
        }
        for number in range(first, first + count)
    ]


def events(lines: Sequence[Line], model: str = "churn") -> list[bytes]:
    written = []
    for line in lines:
        common = {"v": 1, "id": line["id"], "model": model, "ts": line["ts"]}
        own = {name: line[name] for name in ("prediction", "score", "latency_ms", "version")}
        features = {name: line[name] for name in ("age", "plan", "paid", "rare")}
        more = {"features": features, "segments": {"country": line["country"]}}
        written.append(json.dumps({"type": "prediction", **common, **own, **more}).encode())
        written.append(json.dumps({"type": "outcome", **common, "label": line["label"]}).encode())
    return written


def as_jsonl(path: Path, lines: Sequence[Line]) -> None:
    path.write_bytes(b"\n".join(events(lines)) + b"\n")


def as_packed(path: Path, lines: Sequence[Line]) -> None:
    path.write_bytes(gzip.compress(b"\n".join(events(lines))))


def as_csv(path: Path, lines: Sequence[Line]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def as_parquet(path: Path, lines: Sequence[Line]) -> None:
    parquet.write_table(pa.Table.from_pylist(list(lines)), path)


FORMS: Mapping[str, Callable[[Path, Sequence[Line]], None]] = {
    "b.jsonl": as_jsonl,
    "b.jsonl.gz": as_packed,
    "b.csv": as_csv,
    "b.parquet": as_parquet,
}
CONFIG = """
[defaults]
segments = ["country"]
rows_per_false_alarm = 100_000
[models.churn]
baseline = "q1"
[models.churn.baselines]
q1 = "baselines/{file}"
"""


def configured(folder: Path, file: str, text: str = CONFIG) -> Path:
    (folder / "baselines").mkdir(exist_ok=True)
    config = folder / "driftline.toml"
    config.write_text(text.format(file=file))
    return config


def learned_from(folder: Path, file: str, lines: Sequence[Line]) -> Learned:
    config = configured(folder, file)
    FORMS[file](folder / "baselines" / file, lines)
    return baselines.load(load(config)).of("churn")["q1"]


def test_the_same_rows_teach_the_same_in_whatever_form_they_lie(tmp_path: Path) -> None:
    one, *others = (learned_from(tmp_path, file, rows(1, 1_500)) for file in FORMS)
    assert (one.rows, one.labels, one.span) == (1_500, 1_500, (START, START + 1_499_000))
    assert set(one.states) == {None, "country=de", "country=fr"}
    assert [portrait.kind for portrait in one.portraits] == [
        "boolean", "numeric", "numeric", "categorical", "boolean", "numeric", "boolean",
    ]  # fmt: skip
    for other in others:
        assert (other.states, other.portraits, other.kinds) == (one.states, one.portraits, one.kinds)
        assert other.origin != one.origin


@pytest.mark.parametrize("file", FORMS)
def test_a_replay_begins_with_the_baseline_and_names_it(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path, file)
    FORMS[file](tmp_path / "baselines" / file, rows(1, 1_500))
    stream, out = tmp_path / "stream.jsonl", tmp_path / "out"
    stream.write_bytes(b"\n".join(events(rows(2, 300, 1_500, 3.0))))
    assert main(["replay", str(stream), "--config", str(config), "--out", str(out)]) == 0
    assert capsys.readouterr().err == ""
    told = [decode_output(line) for line in (out / "alerts.jsonl").read_bytes().splitlines()]
    opened = [alert for alert in told if isinstance(alert, Alert) and alert.event is AlertEvent.OPENED]
    assert {(alert.signal, alert.segment) for alert in opened} >= {("feature:age", None)}
    assert opened[0].position.offset < 150
    digest = baselines.load(load(config)).of("churn")["q1"].origin.digest
    named = {(alert.evidence.detail["baseline_name"], alert.evidence.detail["baseline_hash"]) for alert in opened}
    assert named == {("q1", digest)}


def test_a_replay_takes_a_control_event_at_its_word(tmp_path: Path) -> None:
    text = CONFIG + 'q2 = "baselines/other.csv"\n'
    config = configured(tmp_path, "b.csv", text)
    as_csv(tmp_path / "baselines" / "b.csv", rows(1, 1_500))
    as_csv(tmp_path / "baselines" / "other.csv", rows(2, 1_500, shift=9.0))
    stream = events(rows(3, 300, 1_500, 9.0))
    for name in ("q2", "q3"):
        word = {
            "type": "control",
            "v": 1,
            "id": name,
            "model": "churn",
            "ts": START,
            "action": "baseline",
            "baseline": name,
        }
        (tmp_path / f"{name}.jsonl").write_bytes(b"\n".join([json.dumps(word).encode(), *stream]))
        out = tmp_path / name
        assert main(["replay", str(tmp_path / f"{name}.jsonl"), "--config", str(config), "--out", str(out)]) == 0
    assert (tmp_path / "q2" / "alerts.jsonl").read_bytes() == b""
    assert (tmp_path / "q3" / "alerts.jsonl").read_bytes() != b""
    signals = [decode_output(line) for line in (tmp_path / "q3" / "signals.jsonl").read_bytes().splitlines()]
    unknown = [signal for signal in signals if isinstance(signal, Signal) and signal.disposition == "unknown"]
    assert [signal.evidence.detail["why"] for signal in unknown] == [
        "there is no baseline 'q3': this model has warm-up, q1, q2"
    ]


def test_check_shows_what_a_baseline_says_and_what_it_cannot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path, "b.csv")
    lines = rows(1, 1_500)
    for line in lines:
        line |= {"same": 3, "gone": None, "few": 1.5 if line["ts"] < START + 12_000 else None}
    as_csv(tmp_path / "baselines" / "b.csv", lines)
    assert main(["check", str(config)]) == 0
    shown = capsys.readouterr().out
    assert "1,500 rows, 2026-01-01 00:00:00Z to 2026-01-01 00:24:59Z, 1,500 with a label: the loss is known" in shown
    of = {line.split()[0]: " ".join(line.split()) for line in shown.splitlines() if line.split()}
    assert of["age"].startswith("age numeric 1,500 0.0% ")
    assert of["age"].endswith(" ready")
    assert {"free", "pro"} < set(of["plan"].split())
    assert of["same"].endswith("3 ± 0 ready; constant, so a change is measured by its size")
    assert of["gone"] == "gone not known 0 100.0% " + (
        "not reportable: all values are missing; only how many are missing is watched"
    )
    assert of["few"].endswith("not reportable: 12 values, 100 needed; the stream teaches it")


def test_what_cannot_be_learned_is_said_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "huge,wide,few\n1e308,1e200,1e308\n" + "-1e308,-1e200,\n1e308,1e200,\n" * 100
    (configured(tmp_path, "b.csv").parent / "baselines" / "b.csv").write_text(text)
    assert main(["check", str(tmp_path / "driftline.toml")]) == 0
    shown = capsys.readouterr().out
    of = {line.split()[0]: " ".join(line.split()) for line in shown.splitlines() if line.split()}
    too_large = 'not reportable: the numbers are too large for a mean and a spread; scale them, or set kind = "ignore"'
    assert of["huge"] == f"huge numeric 201 0.0% {too_large}"
    assert of["wide"] == "wide numeric 201 0.0% ready"  # its spread is known in another way
    assert of["few"].endswith("not reportable: 1 values, 100 needed; the stream teaches it")
    none = "not reportable: the file has none; the stream teaches it"
    assert of["prediction"] == f"prediction not known 0 100.0% {none}"


# -- what is known by its name ----------------------------------------------------------------------------------------


def of_csv(folder: Path, text: str, segments: Sequence[str] = ()) -> list[Any]:
    path = folder / "b.csv"
    path.write_text(text)
    return rows_of(read_table(path, Limits(1_000, 1_000_000)), segments, str(path))


def test_columns_are_features_unless_they_are_known_by_name(tmp_path: Path) -> None:
    text = "score,age,segment:country,tier,feature:score,version\n0.5,40,de,a,7,3\n,,,,,\n"
    first, second = of_csv(tmp_path, text, segments=["tier"])
    assert first.prediction.features == {"age": 40.0, "score": 7.0}
    assert (first.prediction.score, first.prediction.version) == (0.5, "3")
    assert first.prediction.segments == {"country": "de", "tier": "a"}
    assert (first.label, first.prediction.prediction) == (None, None)
    assert second.prediction.features == {"age": None, "score": None}
    assert second.prediction.segments == {}


def test_text_is_numbers_or_booleans_only_where_the_whole_column_is(tmp_path: Path) -> None:
    text = "a,b,c,d,e\n1,1,true,true,1_0\n-2.5e3,x,FALSE,1,2\n"
    first, second = of_csv(tmp_path, text)
    assert first.prediction.features == {"a": 1.0, "b": "1", "c": True, "d": "true", "e": "1_0"}
    assert second.prediction.features == {"a": -2_500.0, "b": "x", "c": False, "d": "1", "e": "2"}


def test_rows_are_in_order_of_time_where_it_is_known(tmp_path: Path) -> None:
    taken = of_csv(tmp_path, "ts,a\n2026-01-02T00:00:00Z,2\n1767225600000,1\n2026-01-02T02:00:00+02:00,3\n")
    assert [row.prediction.features["a"] for row in taken] == [1.0, 2.0, 3.0]
    assert [row.time for row in of_csv(tmp_path, "a\n5\n6\n")] == [0, 1_000]


def test_whole_milliseconds_may_come_as_floats(tmp_path: Path) -> None:
    taken = of_csv(tmp_path, f"ts,a\n{START}.0,1\n1.767225601e12,2\n{START + 2_000},3\n")
    assert [row.time - START for row in taken] == [0, 1_000, 2_000]
    path = tmp_path / "b.parquet"
    parquet.write_table(pa.table({"ts": [float(START), START + 1_000.0], "a": [1.0, 2.0]}), path)
    assert [row.time - START for row in rows_of(read_table(path, Limits(10, 100)), (), str(path))] == [
        0,
        1_000,
    ]
    with pytest.raises(UsageError, match='row 2, column "ts": "None" is no time'):
        rows_of(Table({"ts": [float(START), None], "a": [1.0, 2.0]}, 1, more=False, typed=True), (), "b")
    with pytest.raises(UsageError, match="these look like seconds"):
        rows_of(Table({"ts": [1.7e9, 1.7e9 + 1], "a": [1.0, 2.0]}, 1, more=False, typed=True), (), "b")


def test_one_time_of_today_is_enough_to_be_no_seconds(tmp_path: Path) -> None:
    assert [row.time for row in of_csv(tmp_path, f"ts,a\n5,1\n{START},2\n")] == [5, START]


def test_no_more_rows_are_read_than_teach(tmp_path: Path) -> None:
    path = tmp_path / "b.csv"
    as_csv(path, rows(1, 50))
    few = read_table(path, Limits(rows=20, cells=10_000))
    assert (len(few.columns["age"]), few.more) == (20, True)
    assert len(read_table(path, Limits(rows=20, cells=12 * 7)).columns["age"]) == 7
    assert read_table(path, Limits(rows=50, cells=10_000)).more is False
    lines = tmp_path / "b.jsonl"
    as_jsonl(lines, rows(1, 50))
    some = baseline_events.read_events(lines, "churn", Limits(rows=20, cells=10_000))
    assert len(some.rows) == 20
    assert some.left.startswith(
        "only the model's first 60 events are read, and outcomes after them teach nothing; put "
    )
    as_jsonl(lines, rows(1, 25))
    some = baseline_events.read_events(lines, "churn", Limits(rows=20, cells=10_000))
    assert (len(some.rows), some.left) == (20, "only its first 20 rows teach")
    as_jsonl(lines, rows(1, 20))
    assert baseline_events.read_events(lines, "churn", Limits(rows=20, cells=10_000)).left == ""


SMALL = Limits(rows=200, cells=1_000_000, lines=5_000)


def read(folder: Path, *lines: bytes, model: str | None = "churn", limits: Limits = SMALL) -> baseline_events.Events:
    path = folder / "b.jsonl"
    path.write_bytes(b"\n".join(lines))
    return baseline_events.read_events(path, model, limits)


def test_events_of_other_models_do_not_count_against_what_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, *events(rows(1, 1_000), "eta"), *events(rows(2, 100)))
    assert ([row.prediction.id for row in found.rows], found.left) == ([f"r{number}" for number in range(100)], "")


def test_an_outcome_is_found_however_far_it_is_behind_events_of_others(tmp_path: Path) -> None:
    mine, strange = events(rows(1, 150)), events(rows(2, 200, 1_000))
    found = read(tmp_path, *strange[1::2], *mine[::2], *events(rows(1, 1_000), "eta"), *mine[1::2])
    assert len(found.rows) == 150
    assert None not in {row.label for row in found.rows}
    assert found.left == ""


def test_outcomes_that_are_not_read_are_told_with_what_to_do(tmp_path: Path) -> None:
    mine, others = events(rows(1, 150)), events(rows(1, 2_500), "eta")
    found = read(tmp_path, *mine[::2], *others, *mine[1::2])
    assert len(found.rows) == 150
    assert {row.label for row in found.rows} == {None}
    assert found.left == (
        "only its first 5,000 lines are read, and outcomes after them teach nothing; "
        "put into a file of its own what the model is to learn from"
    )


@pytest.mark.parametrize(
    ("lines", "model", "said"),
    [
        (events(rows(1, 2_501), "eta"), "churn", 'has no prediction of model "churn" in its first 5,000 lines, but of'),
        (events(rows(1, 700))[1::2], "churn", 'has no prediction of model "churn" in the model\'s first 600 events; '),
        (events(rows(1, 50))[1::2], None, "has no prediction; see whether it is the right file"),
        (events(rows(1, 700))[1::2], None, "has no prediction in the model's first 600 events; put into a file of"),
    ],
)  # fmt: skip
def test_that_there_is_no_prediction_is_said_of_no_more_than_was_read(
    lines: Sequence[bytes], model: str | None, said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        read(tmp_path, *lines, model=model)


def test_parquet_stops_where_csv_does(tmp_path: Path) -> None:
    as_parquet(tmp_path / "b.parquet", rows(1, 5_000))
    table: Table = read_table(tmp_path / "b.parquet", Limits(rows=4_500, cells=1_000_000))
    assert ({len(column) for column in table.columns.values()}, table.more) == ({4_500}, True)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_in_parquet_have_a_zone(unit: str, tmp_path: Path) -> None:
    path, odd = tmp_path / "b.parquet", 1 if unit == "ns" else 0
    second = START // 1_000 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    for zone in ("Europe/Berlin", None):
        times = pa.array([second + odd], pa.timestamp(unit, zone))
        parquet.write_table(pa.table({"ts": times, "age": [1.0], "kind": pa.array(["a"]).dictionary_encode()}), path)
        table = read_table(path, Limits(10, 10))
        if zone is None:
            with pytest.raises(
                UsageError, match='row 1, column "ts": "2026-01-01 00:00:00" has no time zone; say which'
            ):
                rows_of(table, (), str(path))
        else:
            (row,) = rows_of(table, (), str(path))
            assert (row.time, row.prediction.features) == (START, {"age": 1.0, "kind": "a"})


def test_text_in_parquet_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "b.parquet"
    table = pa.table({"code": ["007", "008"], "size": [1.5, float("nan")], "on": [True, None], "few": [1, None]})
    parquet.write_table(table, path)
    first, second = rows_of(read_table(path, Limits(10, 100)), (), str(path))
    assert first.prediction.features == {"code": "007", "size": 1.5, "on": True, "few": 1.0}
    assert second.prediction.features == {"code": "008", "size": None, "on": None, "few": None}


def test_what_parquet_has_and_events_have_not_is_told(tmp_path: Path) -> None:
    path = tmp_path / "b.parquet"
    parquet.write_table(pa.table({"age": [1.0, 2.0], "seen": pa.array([0, 1], pa.date32())}), path)
    with pytest.raises(UsageError, match='row 1, column "seen": "1970-01-01" is a date; make it a number, text or a'):
        rows_of(read_table(path, Limits(10, 10)), (), str(path))


def test_events_of_other_models_challengers_and_repeats_are_left_out_and_labels_are_the_last_ones(
    tmp_path: Path,
) -> None:
    mine, other = rows(1, 3), rows(2, 3)
    shadow = json.loads(events(rows(3, 1, 100))[0]) | {"role": "challenger"}
    corrected = {"type": "outcome", "v": 1, "id": "r1", "model": "churn", "ts": START, "label": "sure", "revision": 2}
    perhaps = corrected | {"id": "r2", "label": "perhaps", "revision": 3, "provisional": True}
    more = [json.dumps(event).encode() for event in (shadow, corrected, perhaps)]
    path = tmp_path / "b.jsonl"
    repeated = [line | {"age": 0.0} for line in mine]
    path.write_bytes(b"\n".join([*events(other, "eta"), *events(mine), *events(repeated), *more]))
    taken = baseline_events.read_events(path, "churn", Limits(1_000, 1_000_000)).rows
    assert [row.prediction.features["age"] for row in taken] == [line["age"] for line in mine]
    assert [row.prediction.id for row in taken] == ["r0", "r1", "r2"]
    assert [row.label for row in taken] == [mine[0]["label"], "sure", mine[2]["label"]]


def test_data_without_predictions_teaches_features_and_labels(tmp_path: Path) -> None:
    lines = [{name: line[name] for name in ("age", "plan", "label")} for line in rows(1, 1_500)]
    taught = learned_from(tmp_path, "b.csv", lines)
    assert [(portrait.name, portrait.state) for portrait in taught.portraits if portrait.name != "prediction"] == [
        ("age", "ready"), ("plan", "ready"), ("label", "ready"),
    ]  # fmt: skip
    assert (taught.rule, taught.knows_losses) == (None, False)


# -- what is wrong ----------------------------------------------------------------------------------------------------


HEAD = "ts,age,prediction\n"
GOOD = f"{START},40,1\n"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("b.csv", b"", "is empty; write a line with the columns' names, and rows below"),
        ("b.csv", (HEAD + GOOD * 99).encode(), "has 99 rows, and a baseline needs 100; record more, or leave it to"),
        ("b.csv", (HEAD + GOOD * 7 + f"{START},4").encode(), "row 8 has 2 columns, and the first line has 3; is"),
        ("b.csv", (HEAD + GOOD + f'{START},"4').encode(), "row 2: unexpected end of data; is the file whole?"),
        ("b.csv", (HEAD + GOOD + f"{START},nan,1\n").encode(), 'row 2, column "age": "nan" is no finite number; leave'),
        ("b.csv", (HEAD + GOOD + "2026-01-01,4,1\n").encode(), 'row 2, column "ts": "2026-01-01" has no time zone;'),
        ("b.csv", (HEAD + GOOD + "soon,4,1\n").encode(), 'row 2, column "ts": "soon" is no time; write epoch milli'),
        ("b.csv", (HEAD + GOOD + f"{START}.5,4,1\n").encode(), f'row 2, column "ts": "{START}.5" is no time; wr'),
        ("b.csv", (HEAD + GOOD + "inf,4,1\n").encode(), 'row 2, column "ts": "inf" is no time; write epoch milli'),
        (
            "b.csv",
            (HEAD + "".join(f"{START // 1_000 + 3_600 * hour},40,1\n" for hour in range(200))).encode(),
            'column "ts": all times lie before 1990: these look like seconds; write epoch milliseconds or RFC 3339',
        ),
        ("b.csv", b"score,age\n0.5,1\nhigh,2\n", 'row 2, column "score": "high" is no finite number; leave the cell'),
        ("b.csv", b"score,age\n0.5,1\n1_0,2\n", 'row 2, column "score": "1_0" is no finite number; leave the cell'),
        ("b.csv", b",age\n0,1\n", "column \"\": a feature's name has 1 to 256 characters; leave the column out"),
        ("b.csv", b"age,age\n1,2\n", 'has the column "age" twice; give each its own name'),
        ("b.csv", b"age,feature:age\n1,2\n", 'column "feature:age": another column is the feature "age" already;'),
        ("b.csv", b"feature:age,age\n1,2\n", 'column "age": another column is the feature "age" already; leave one of'),
        ("b.csv", b"country,segment:country\nde,fr\n", 'column "segment:country": another column is the segment "c'),
        ("b.csv", b"id,version\n1,2\n", "has no feature, no prediction and no label; see docs/detection.md"),
        ("b.csv", b"age\n\xff\xfe\n", "is not UTF-8; save it as UTF-8"),
        ("b.jsonl", b"", "has 0 rows, and a baseline needs 100"),
        ("b.jsonl", events(rows(1, 2))[0] + b'\n{"type": "pred', "row 2: not_json: "),
        ("b.jsonl", b"\n".join(events(rows(1, 2), "eta")), 'has no prediction of model "churn", but of "eta"; see'),
        ("b.jsonl.gz", gzip.compress(b"\n".join(events(rows(1, 500))))[:-2_000], "cannot be read on after line "),
        ("b.parquet", b"", "is no Parquet: "),
        ("b.parquet", b"PAR1" + bytes(100), "is no Parquet: "),
        ("b.csv", None, "cannot be read: No such file or directory"),
        ("b.jsonl", None, "cannot be read: No such file or directory"),
        ("b.parquet", None, "cannot be read: "),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_a_baseline_is_one_line_and_nothing_starts(
    file: str, content: bytes | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path, file)
    if content is not None:
        (tmp_path / "baselines" / file).write_bytes(content)
    (tmp_path / "stream.jsonl").write_bytes(b"")
    out = tmp_path / "out"
    replay = ["replay", str(tmp_path / "stream.jsonl"), "--config", str(config), "--out", str(out)]
    for words in (["check", str(config)], replay):
        assert main(words) == 2
        shown = capsys.readouterr()
        assert (shown.out, shown.err.count("\n")) == ("", 1)
        assert shown.err.startswith(f"driftline: {tmp_path / 'baselines' / file}: {said}")
    assert not out.exists()


def test_a_worker_does_not_start_either(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streams.cli", "worker", "--config", str(configured(tmp_path, "b.csv"))]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=False)
    missing = f"driftline: {tmp_path}/baselines/b.csv: cannot be read: No such file or directory\n"
    assert (done.returncode, done.stdout, done.stderr.decode()) == (2, b"", missing)


def test_every_file_that_is_wrong_is_told_and_each_once(tmp_path: Path) -> None:
    text = '[defaults]\nbaseline = "a.csv"\n[models.one]\n[models.two]\nbaseline = "b.csv"\n'
    with pytest.raises(BaselineError) as caught:
        baselines.load(load(configured(tmp_path, "", text)))
    missing = "cannot be read: No such file or directory"
    assert caught.value.lines == (f"{tmp_path}/a.csv: {missing}", f"{tmp_path}/b.csv: {missing}")


def test_one_file_may_have_two_names_and_serve_two_models(tmp_path: Path) -> None:
    text = '[models.{0}.baselines]\nq1 = "b.jsonl"\nq2 = "b.jsonl"\n'
    config = configured(tmp_path, "", (text.format("one") + text.format("two")))
    (tmp_path / "b.jsonl").write_bytes(b"\n".join([*events(rows(1, 300), "one"), *events(rows(2, 200), "two")]))
    found = baselines.load(load(config))
    taught = {
        (model, name, one.origin.name, one.rows) for model in ("one", "two") for name, one in found.of(model).items()
    }
    assert taught == {
        ("one", "q1", "q1", 300),
        ("one", "q2", "q2", 300),
        ("two", "q1", "q1", 200),
        ("two", "q2", "q2", 200),
    }


def test_events_for_every_model_must_be_of_one(tmp_path: Path) -> None:
    config = configured(tmp_path, "", '[defaults]\nbaseline = "b.jsonl"\n')
    (tmp_path / "b.jsonl").write_bytes(b"\n".join([*events(rows(1, 300), "one"), *events(rows(2, 200), "two")]))
    with pytest.raises(BaselineError, match='has events of "one", "two"; name the baseline under'):
        baselines.load(load(config))


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError) as caught:
        read_table(tmp_path / "b.parquet", Limits(1, 1))
    assert "needs pyarrow, which is not installed; install it with: pip install 'driftline[parquet]'" in str(
        caught.value
    )


def test_the_defaults_baseline_is_that_of_every_model_that_nobody_configured(tmp_path: Path) -> None:
    text = '[defaults]\nbaseline = "baselines/b.csv"\n[models.eta]\nbaseline = "warm-up"\n'
    as_csv(configured(tmp_path, "", text).parent / "baselines" / "b.csv", rows(1, 300))
    found = baselines.load(load(tmp_path / "driftline.toml"))
    assert set(found.of("anything")) == {"baselines/b.csv"}
    assert set(found.of("eta")) == set()
