"""Tables as history: the same results as the same rows in JSON lines, byte for byte; what is wrong is one line."""

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from schemas.events import Outcome, Prediction
from schemas.parsed import Parsed
from schemas.records import Record
from streams import table_files, table_mapping
from streams.cli import main
from streams.errors import ContentError, UsageError
from streams.history import Given, History
from streams.sinks import FILES
from streams.table_mapping import Columns
from streams.time_order import in_order

START = 1_767_225_600_000  # 2026-01-01T00:00:00Z
Line = dict[str, Any]
RESULTS = list(FILES.values())
AS_SAID = Columns()


def rows(count: int, seed: int = 1) -> list[Line]:
    """A feature moves half-way; some cells are empty, and every third label is not there."""
    draw = Random(seed)
    return [
        {
            "ts": START + 60_000 * number,
            "id": f"r{number}",
            "age": draw.gauss(40.0 if number < count // 2 else 55.0, 3.0),
            "plan": draw.choice(("free", "pro")),
            "paid": draw.random() < 0.3,
            "rare": None if draw.random() < 0.5 else draw.random(),
            "whole": draw.randrange(5),
            "prediction": draw.choice(("yes", "no")),
            "score": draw.random(),
            "label": None if number % 3 == 0 else draw.choice(("yes", "no")),
            "latency_ms": draw.uniform(10, 100),
            "version": "7",
            "segment:country": draw.choice(("de", "fr")),
        }
        for number in range(count)
    ]


def as_events(folder: Path, name: str, lines: Sequence[Line], delay_ms: int = 0) -> list[str]:
    """The same as two files of JSON lines."""
    predictions, outcomes = [], []
    for line in lines:
        common = {"v": 1, "id": line["id"], "model": "model", "ts": line["ts"]}
        own = {key: line[key] for key in ("prediction", "score", "latency_ms", "version")}
        features = {key: line[key] for key in ("age", "plan", "paid", "rare", "whole")}
        more = {"features": features, "segments": {"country": line["segment:country"]}}
        predictions.append(json.dumps({"type": "prediction", **common, **own, **more}))
        late = {**common, "ts": line["ts"] + delay_ms, "label": line["label"]}
        outcomes.append(json.dumps({"type": "outcome", **late}) if line["label"] is not None else "")
    for file, written in ((name, predictions), (f"{name}#label", outcomes)):
        (folder / file).write_text("\n".join(written) + "\n")
    return [str(folder / name), str(folder / f"{name}#label")]


def as_csv(path: Path, lines: Sequence[Line]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(lines[0]))
    writer.writeheader()
    writer.writerows(lines)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def as_parquet(path: Path, lines: Sequence[Line]) -> None:
    parquet.write_table(pa.Table.from_pylist(list(lines)), path, row_group_size=700)


FORMS: Mapping[str, Callable[[Path, Sequence[Line]], None]] = {
    "june.csv": as_csv,
    "june.csv.gz": as_csv,
    "june.parquet": as_parquet,
}
CONFIG = '[defaults]\nsegments = ["country"]\nrows_per_false_alarm = 100_000\n'


def replay(folder: Path, out: str, *words: str) -> dict[str, bytes]:
    """The results that were written."""
    (folder / "driftline.toml").write_text(CONFIG)
    assert main(["replay", *words, "--config", str(folder / "driftline.toml"), "--out", str(folder / out)]) == 0
    return {name: (folder / out / name).read_bytes() for name in RESULTS}


def read(folder: Path, content: str, columns: Columns = AS_SAID, **given: Any) -> list[Parsed]:
    file = folder / "a.csv"
    file.write_text(content)
    with History(Given([str(file)], columns=columns, **given)) as history:
        return [record for record in history.records if isinstance(record, Parsed)]


# -- the same as JSON lines -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("delay", ["0s", "6h"])
def test_a_table_gives_the_bytes_that_the_same_rows_give_as_json_lines(name: str, delay: str, tmp_path: Path) -> None:
    lines = rows(2_500)
    for folder in ("lines", "table"):
        (tmp_path / folder).mkdir()
    hours = int(delay[:-1])
    expected = replay(
        tmp_path, "one", *as_events(tmp_path / "lines", name, lines, hours * 3_600_000), "--format", "jsonl"
    )
    FORMS[name](tmp_path / "table" / name, lines)
    (tmp_path / "mapping.toml").write_text(f'label_delay = "{delay}"')
    table, mapping = str(tmp_path / "table" / name), str(tmp_path / "mapping.toml")
    assert replay(tmp_path, "two", table, "--mapping", mapping) == expected
    assert b"feature:age" in expected["alerts.jsonl"]
    assert b"country=de" in expected["metrics.jsonl"]


@pytest.mark.parametrize("rows_at_once", [1, 7, 4_096])
def test_how_a_file_is_read_in_parts_makes_no_difference(
    rows_at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_parquet(tmp_path / "a.parquet", rows(60))
    with History(Given([str(tmp_path / "a.parquet")])) as history:
        expected = list(history.records)
    monkeypatch.setattr(table_files, "ROWS", rows_at_once)
    with History(Given([str(tmp_path / "a.parquet")])) as history:
        assert list(history.records) == expected
    assert len(expected) == 60 + 40


def test_a_refused_row_is_shown_as_it_would_stand_on_a_topic(tmp_path: Path) -> None:
    (record,) = read(tmp_path, "ts,id,age,prediction\n1767225600000,a,40,yes\n")
    assert json.loads(record.value) == {
        "type": "prediction",
        "v": 1,
        "id": "a",
        "model": "model",
        "ts": START,
        "features": {"age": 40.0},
        "prediction": "yes",
        "role": "champion",
    }


def test_rows_of_other_content_have_other_fingerprints(tmp_path: Path) -> None:
    head = "ts,id,age,prediction\n"
    same = read(tmp_path, f"{head}{START},a,1,yes\n{START},a,1,yes\n{START},a,2,yes\n")
    assert [record.fingerprint == same[0].fingerprint for record in same] == [True, True, False]


def test_a_row_that_comes_again_is_a_duplicate_and_with_other_content_a_conflict(tmp_path: Path) -> None:
    lines = "".join(f"{START},{key},{age},yes\n" for key, age in (("a", 1), ("a", 1), ("a", 2), ("b", 1)))
    (tmp_path / "a.csv").write_text(f"ts,id,age,prediction\n{lines}")
    replay(tmp_path, "out", str(tmp_path / "a.csv"))
    counts = json.loads((tmp_path / "out" / "summary.json").read_bytes())["partitions"]["a.csv"]["0"]
    assert (counts["applied"], counts["duplicate"], counts["conflicts"]) == (2, 2, 1)


# -- labels -----------------------------------------------------------------------------------------------------------


def outcomes(history: History) -> list[tuple[str, int, int, object]]:
    events = [record for record in history.records if isinstance(record, Parsed) and isinstance(record.event, Outcome)]
    return [(one.topic, one.offset, one.timestamp, one.event.label) for one in events]  # type: ignore[union-attr]


def test_labels_come_when_their_column_says_whatever_their_order(tmp_path: Path) -> None:
    text = "ts,id,prediction,label,label_ts\n"
    for number, (label, after) in enumerate(((1, 900), (0, 100), ("", 5), (1, ""), (0, 100))):
        arrives = START + after if after != "" else ""
        text += f"{START + number},r{number},1,{label},{arrives}\n"
    (tmp_path / "a.csv").write_text(text)
    with History(Given([str(tmp_path / "a.csv")])) as history:
        told = outcomes(history)
    assert told == [("a.csv#label", 1, START + 100, 0.0), ("a.csv#label", 4, START + 100, 0.0),
                    ("a.csv#label", 0, START + 900, 1.0)]  # fmt: skip


def test_a_file_of_labels_is_joined_by_id_in_the_order_of_the_predictions(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("ts,id,prediction,label\n" + "".join(f"{START + n},{n},1,9\n" for n in range(4)))
    (tmp_path / "late.csv").write_text("id,repaid\n3,1\n77,0\n1,0\n0,1\n")
    with History(Given([str(tmp_path / "a.csv")], str(tmp_path / "late.csv"), Columns(label_delay="1s"))) as history:
        assert outcomes(history) == [
            ("late.csv", 3, START + 1_000, 1.0),
            ("late.csv", 2, START + 1_001, 0.0),
            ("late.csv", 0, START + 1_003, 1.0),
        ]
        assert history.left_over.endswith("late.csv: 1 labels have the id of no prediction")


def test_a_file_of_labels_may_say_when_each_came(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"ts,id,prediction\n{START},x,1\n{START + 1},y,1\n")
    (tmp_path / "late.csv").write_text(f"label_ts,id,label\n{START + 9},x,1\n{START + 2},y,0\n")
    with History(Given([str(tmp_path / "a.csv")], str(tmp_path / "late.csv"))) as history:
        assert outcomes(history) == [("late.csv", 1, START + 2, 0.0), ("late.csv", 0, START + 9, 1.0)]


def test_the_form_that_is_said_is_that_of_the_labels_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"ts,id,prediction\n{START},x,1\n")
    (tmp_path / "late.txt").write_text("id,label\nx,1\n")
    found = replay(tmp_path, "out", str(tmp_path / "a.txt"), "--labels", str(tmp_path / "late.txt"), "--format", "csv")
    assert found["dead-letters.jsonl"] == b""
    summary = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert summary["partitions"]["late.txt"]["0"]["applied"] == 1


def test_labels_that_name_no_model_are_found_by_their_ids_whatever_the_models_of_the_predictions(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.csv").write_text(f"ts,id,model,prediction\n{START},x,churn,1\n{START + 1},y,fraud,1\n")
    (tmp_path / "late.csv").write_text("id,label\ny,0\nz,0\nx,1\n")
    with History(Given([str(tmp_path / "a.csv")], str(tmp_path / "late.csv"))) as history:
        events = [one.event for one in history.records if isinstance(one, Parsed)]
        assert [(event.model, event.id, event.label) for event in events if isinstance(event, Outcome)] == [
            ("churn", "x", 1.0),
            ("fraud", "y", 0.0),
        ]
        assert history.left_over.endswith("late.csv: 1 labels have the id of no prediction")


def test_labels_that_say_when_they_came_must_name_their_model_where_the_predictions_do(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"ts,id,model,prediction\n{START},x,churn,1\n")
    (tmp_path / "late.csv").write_text(f"label_ts,id,label\n{START + 9},x,1\n")
    given = Given([str(tmp_path / "a.csv")], str(tmp_path / "late.csv"))
    with pytest.raises(UsageError, match=r"no column is known as the model.*\[labels\] model_column"):
        History(given)
    with History(given._replace(columns=Columns(model="churn", model_column="model"))) as history:
        assert outcomes(history) == [("late.csv", 0, START + 9, 1.0)]


def test_labels_may_be_json_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"ts,id,prediction\n{START},x,1\n")
    event = {"type": "outcome", "v": 1, "id": "x", "model": "model", "ts": START + 9, "label": 1}
    (tmp_path / "late.jsonl").write_text(json.dumps(event))
    found = replay(tmp_path, "out", str(tmp_path / "a.csv"), "--labels", str(tmp_path / "late.jsonl"))
    assert found["dead-letters.jsonl"] == b""
    summary = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert summary["partitions"]["late.jsonl"]["0"]["applied"] == 1


# -- what the columns are ---------------------------------------------------------------------------------------------


def test_columns_are_found_out_by_their_names() -> None:
    names = ["Timestamp", "ID", "age", "y_pred", "y_pred_proba", "target", "Unnamed: 0", "country"]
    found = table_mapping.found_out(Columns(), names, ("country",), "a.csv")
    assert list(table_mapping.shown_as_toml(found)) == [
        'model = "model"',
        'id = "ID"',
        'time = "Timestamp"',
        'time_zone = "UTC"  # of times that name none',
        'prediction = "y_pred"',
        'score = "y_pred_proba"',
        'label = "target"',
        'label_delay = "0s"  # labels come so long after their prediction',
        'features = ["age"]',
        'segments = ["country"]',
        'ignore = ["Unnamed: 0"]',
    ]


def test_what_is_shown_is_a_mapping_that_says_the_same(tmp_path: Path) -> None:
    names = ["ts", "id", "age", "feature:id", "prediction", "label", "label_ts", "segment:plan", "model"]
    found = table_mapping.found_out(Columns(text=["age"], missing=["NULL"]), names, (), "a.csv")
    (tmp_path / "m.toml").write_text("\n".join(table_mapping.shown_as_toml(found)))
    again = table_mapping.found_out(table_mapping.load(tmp_path / "m.toml"), names, (), "a.csv")
    assert again == found


def test_every_key_of_a_mapping_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "backtest.md").read_text()
    table = page.partition("| key | what it says |")[2].partition("\n\n")[0]
    told = {key for row in table.splitlines() for key in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    assert told == set(Columns.__struct_fields__)


def test_an_empty_name_says_that_there_is_none() -> None:
    found = table_mapping.found_out(Columns(score="", label=""), ["ts", "score", "label", "pred"], (), "a.csv")
    assert (found.score, found.label, found.features) == (None, None, ["score", "label"])


def test_times_without_a_zone_are_of_the_one_that_is_said(tmp_path: Path) -> None:
    text = "ts,prediction\n2026-01-01 01:00:00,1\n"
    (plain,) = read(tmp_path, text)
    (berlin,) = read(tmp_path, text, Columns(time_zone="Europe/Berlin"))
    assert (plain.timestamp - START, berlin.timestamp - START) == (3_600_000, 0)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_in_parquet_and_in_numbers_have_a_unit(unit: str, tmp_path: Path) -> None:
    naive = datetime.fromisoformat("2026-01-01 01:00")
    table = pa.table({"ts": pa.array([naive], pa.timestamp(unit)), "prediction": [1]})
    parquet.write_table(table, tmp_path / "a.parquet")
    with History(Given([str(tmp_path / "a.parquet")], columns=Columns(time_zone="Europe/Berlin"))) as history:
        assert [record.timestamp for record in history.records] == [START]
    seconds = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[unit]
    (record,) = read(tmp_path, f"ts,prediction\n{START // 1_000 * seconds},1\n", Columns(time_unit=unit))
    assert record.timestamp == START


def test_without_a_time_rows_are_a_step_apart(tmp_path: Path) -> None:
    records = read(tmp_path, "age,prediction\n1,1\n2,1\n3,1\n", Columns(step="30m"))
    begin = datetime(2000, 1, 1, tzinfo=UTC)
    expected = [begin + number * timedelta(minutes=30) for number in range(3)]
    assert [datetime.fromtimestamp(record.timestamp / 1_000, UTC) for record in records] == expected
    assert [record.event.id for record in records] == ["a.csv:0", "a.csv:1", "a.csv:2"]


def test_words_for_missing_and_numbers_that_are_names(tmp_path: Path) -> None:
    columns = Columns(missing=["NULL", "?"], text=["zip"])
    records = read(tmp_path, f"ts,zip,age,prediction\n{START},0815,NULL,1\n{START},?,3,1\n", columns)
    features = [record.event.features for record in records if isinstance(record.event, Prediction)]
    assert features == [{"zip": "0815", "age": None}, {"zip": None, "age": 3.0}]


def test_other_delimiters_and_a_mark_of_the_byte_order(tmp_path: Path) -> None:
    (record,) = read(tmp_path, f"\ufeffts;age;prediction\n{START};1.5;yes\n")
    assert isinstance(record.event, Prediction)
    assert (record.event.features, record.event.prediction) == ({"age": 1.5}, "yes")


def test_each_class_may_have_a_score(tmp_path: Path) -> None:
    columns = Columns(scores={"a": "pa", "b": "pb"})
    records = read(tmp_path, f"ts,prediction,pa,pb\n{START},a,0.75,0.25\n{START},b,,1\n", columns)
    assert [record.event.scores for record in records if isinstance(record.event, Prediction)] == [
        {"a": 0.75, "b": 0.25},
        {"b": 1.0},
    ]


# -- several files ----------------------------------------------------------------------------------------------------


def test_a_folder_is_the_files_in_it_and_a_pattern_those_that_fit(tmp_path: Path) -> None:
    (tmp_path / "in" / "day=2").mkdir(parents=True)
    for name, first in (("in/b.csv", 10), ("in/a.csv", 20), ("in/day=2/c.csv", 0)):
        (tmp_path / name).write_text("ts,id,prediction\n" + "".join(f"{START + first + n},{n},1\n" for n in range(2)))
    for name in ("in/_SUCCESS", "in/.hidden.csv", "in/notes.txt", "in/drifted.truth.jsonl"):
        (tmp_path / name).write_text("nothing")
    with History(Given([str(tmp_path / "in")])) as history:
        assert [(record.topic, record.offset) for record in history.records] == [
            ("c.csv", 0), ("c.csv", 1), ("b.csv", 0), ("b.csv", 1), ("a.csv", 0), ("a.csv", 1)
        ]  # fmt: skip
        assert len(history.told) == 7  # told once
    with History(Given([str(tmp_path / "in" / "?.csv")])) as history:
        assert [record.topic for record in history.records] == ["b.csv", "b.csv", "a.csv", "a.csv"]


def test_a_file_is_not_read_before_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        as_parquet(tmp_path / f"{number}.parquet", [line | {"ts": line["ts"] + number * 10**9} for line in rows(50)])
    with History(Given([str(tmp_path)])) as history:
        begun: list[str] = []
        original = table_files.ParquetFile.parts

        def parts(self: Any, *words: Any) -> Any:
            begun.append(self.path.name)
            return original(self, *words)

        monkeypatch.setattr(table_files.ParquetFile, "parts", parts)
        records = iter(history.records)
        next(records)
        assert set(begun) == {"0.parquet"}
        list(records)
        assert set(begun) == {"0.parquet", "1.parquet", "2.parquet"}


def test_a_part_of_the_time_can_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("ts,id,prediction\n" + "".join(f"{START + n},{n},1\n" for n in range(9)))
    with History(Given([str(tmp_path / "a.csv")], since=START + 3, until=START + 6)) as history:
        assert [record.offset for record in history.records] == [3, 4, 5]


class Rows:
    """A source of records at these times."""

    def __init__(self, name: str, *times: int) -> None:
        self.starts = times[0]
        self._records = [Record(name, 0, number, time, None, b"") for number, time in enumerate(times)]

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)


def test_of_one_time_the_source_named_first_goes_first_however_late_it_begins() -> None:
    merged = in_order([Rows("one", 5, 7), Rows("two", 0, 5, 5, 7, 9), Rows("three", 5)])
    assert [(record.timestamp, record.topic) for record in merged] == [
        (0, "two"), (5, "one"), (5, "two"), (5, "two"), (5, "three"), (7, "one"), (7, "two"), (9, "two")
    ]  # fmt: skip


# -- what is wrong ----------------------------------------------------------------------------------------------------

HEAD = "ts,id,age,prediction,score\n"
GOOD = HEAD + "".join(f"{START + n},r{n},{n},1,0.5\n" for n in range(3))
WRONG: Sequence[tuple[str, str]] = [
    (HEAD.replace("prediction", "cost"), 'no column is known as the prediction; say which one it is: prediction = "…"'),
    (f"{GOOD}{START},r9,1,1,0.5\n", f'row 4, column "ts": "{START}" is earlier than the row before it; sort the file'),
    (f"{GOOD}{START + 9},r9,old,1,0.5\n", 'row 4, column "age": "old" is no finite number; leave the cell empty where'),
    (f"{GOOD}{START + 9},r9,1,,0.5\n", 'row 4, column "prediction": is empty; leave the row out, or fill it in'),
    (f"{GOOD}{START + 9},,1,1,0.5\n", 'row 4, column "id": has no id; 1 to 128 characters are allowed'),
    (f"{GOOD}{START + 9},{'x' * 129},1,1,0.5\n", 'row 4, column "id": an id of 129 characters; 1 to 128'),
    (f"{GOOD}{START + 9},r9,1,1,1.5\n", 'row 4, column "score": 1.5 is no probability; 0 to 1 is allowed'),
    (f"{GOOD}yesterday,r9,1,1,0.5\n", 'row 4, column "ts": "yesterday" is no time; write epoch milliseconds or RFC'),
    (f"{GOOD}{START + 9},r9,1\n", "row 4 has 3 columns, and the first line has 5; is the file whole?"),
    (f'{GOOD}{START + 9},r9,"1', "row 4: unexpected end of data; is the file whole?"),
    (
        f"{GOOD}{START + 9},r9,N/A,1,0.5\n",
        'row 4, column "age": "N/A" is no finite number; leave the cell empty where the value is missing, list "N/A"',
    ),
    (
        f"{HEAD}1767225600,a,1,1,1\n",
        'column "ts": all times lie before 1990: these look like seconds; write epoch milliseconds or RFC 3339, or say '
        'time_unit = "s" in a mapping',
    ),
    (
        f"ts;age;prediction\n{START};40,5;1\n{START};1.041,0;1\n{START};;1\n",
        'column "age": "40,5" is no number, as it has a comma; write a point and no separators, or name',
    ),
    (f"ts,model,prediction\n{START},my model,1\n", 'row 1, column "model": "my model" cannot be a model\'s name'),
    ("ts,ts,prediction\n", 'has the column "ts" twice; give each its own name'),
    ("", "is empty; write a line with the columns' names, and rows below"),
]


@pytest.mark.parametrize(("content", "said"), WRONG)
def test_what_is_wrong_is_one_line_with_file_row_and_column(
    content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_files, "ROWS", 3)  # what a column is, the rows before have shown
    (tmp_path / "a.csv").write_text(content)
    assert main(["replay", str(tmp_path / "a.csv"), "--out", str(tmp_path / "out")]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("driftline: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"driftline: {tmp_path / 'a.csv'}: {said}")
    assert not (tmp_path / "out" / "summary.json").exists()


def test_a_column_of_times_that_nobody_named_can_be_named(tmp_path: Path) -> None:
    days = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2)]
    parquet.write_table(pa.table({"when": days, "prediction": [1, 2]}), tmp_path / "a.parquet")
    with History(Given([str(tmp_path / "a.parquet")])) as history, pytest.raises(ContentError) as caught:
        _take(history, [])
    assert "is a datetime; name it as a time in a mapping, make it a number" in str(caught.value)


def test_what_came_before_a_wrong_row_is_there_to_be_seen(tmp_path: Path) -> None:
    lines = "".join(f"{START + n},{n},1\n" for n in range(5_000))
    (tmp_path / "a.csv").write_text(f"ts,id,prediction\n{lines}1,2,3,4\n")
    taken: list[int] = []
    with History(Given([str(tmp_path / "a.csv")])) as history, pytest.raises(ContentError) as caught:
        _take(history, taken)
    assert "row 5,001 has 4 columns" in str(caught.value)
    assert taken == list(range(5_000))


def _take(history: History, taken: list[int]) -> None:
    for record in history.records:
        taken.append(record.offset)  # noqa: PERF401 - an extended list would lose what came before an error


@pytest.mark.parametrize("harm", [lambda whole: whole[:-100], lambda whole: whole[: len(whole) // 2], lambda _: b""])
@pytest.mark.parametrize("name", ["a.parquet", "a.csv.gz"])
def test_a_truncated_file_is_told(name: str, harm: Callable[[bytes], bytes], tmp_path: Path, capsys: Any) -> None:
    as_parquet(tmp_path / name, rows(3_000)) if name == "a.parquet" else as_csv(tmp_path / name, rows(3_000))
    (tmp_path / name).write_bytes(harm((tmp_path / name).read_bytes()))
    assert main(["replay", str(tmp_path / name), "--out", str(tmp_path / "out")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("driftline: ")]
    assert "is the file whole?" in line or "is empty" in line


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("column", ["id", "plan", "prediction"])
def test_bytes_in_parquet_that_are_no_text_are_one_line_with_row_and_column(
    column: str, coded: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = rows(3_000)
    lines[2_345][column] = "swapped"
    as_parquet(tmp_path / "whole.parquet", lines)
    table = parquet.read_table(tmp_path / "whole.parquet")
    place = table.schema.get_field_index(column)
    cells = [b"\xff\xfe" if cell == "swapped" else str(cell).encode() for cell in table.column(column).to_pylist()]
    buffers = pa.array(cells, pa.binary()).buffers()
    broken = table.set_column(place, column, pa.Array.from_buffers(pa.string(), len(cells), buffers))
    parquet.write_table(broken, tmp_path / "a.parquet", use_dictionary=coded)
    assert main(["replay", str(tmp_path / "a.parquet"), "--out", str(tmp_path / "out")]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("driftline: ")]
    assert len(said) == 1
    assert said[0].startswith(
        f'driftline: {tmp_path / "a.parquet"}: row 2,346: column "{column}" is not UTF-8; write it'
    )


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.string_view()])
def test_text_of_any_kind_that_is_none_is_told(kind: pa.DataType, tmp_path: Path, capsys: Any) -> None:
    as_parquet(tmp_path / "whole.parquet", rows(3))
    texts = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff", b"c"]).buffers())
    cells = pa.ListArray.from_arrays([0, 1, 2, 3], texts) if pa.types.is_list(kind) else texts.cast(kind)
    table = parquet.read_table(tmp_path / "whole.parquet").append_column("note", cells)
    parquet.write_table(table, tmp_path / "a.parquet")
    assert main(["replay", str(tmp_path / "a.parquet"), "--out", str(tmp_path / "out")]) == 2
    assert 'row 2: column "note" is not UTF-8; write it as UTF-8' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prediction = 1", "is no mapping: "),
        ("predicton = 'a'", "is no mapping: Object contains unknown field `predicton`"),
        ("prediction", "is not TOML: "),
        ("step = 'often'", "step: 'often' is not a duration"),
        ("time_unit = 'h'", 'time_unit = "h": must be one of s, ms, us, ns'),
        ("time_zone = 'Mars'", 'time_zone = "Mars": is not known here'),
        ("model = 'my model'", 'model = "my model": '),
    ],
)
def test_a_mapping_that_is_wrong_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        table_mapping.load(tmp_path / "m.toml")
    assert str(caught.value).startswith(f"{tmp_path / 'm.toml'}: {said}")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (Columns(score="scoer"), 'has no column "scoer", named as score; did you mean "score"?'),
        (
            Columns(features=["nothing"]),
            'has no column "nothing", named as features (0); its columns are "ts", "score"',
        ),
        (Columns(label="label"), "the labels are given twice, as a file and as a column; leave --labels or label out"),
    ],
)
def test_a_mapping_that_does_not_fit_is_one_line(columns: Columns, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        table_mapping.found_out(columns, ["ts", "score", "prediction"], (), "a.csv", labels_apart=True)
    assert str(caught.value).startswith(f"a.csv: {said}")


def test_labels_need_an_id_and_a_label() -> None:
    with pytest.raises(
        UsageError, match=r'no column is known as the label; say which one it is: \[labels\] label = "…"'
    ):
        table_mapping.labels_found_out(Columns(), ["id", "a", "b"], "late.csv")
    with pytest.raises(UsageError, match="no column is known as the id"):
        table_mapping.labels_found_out(Columns(), ["label"], "late.csv")
