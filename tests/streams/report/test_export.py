"""Tables: whole, typed, and nothing in them that a spreadsheet would run."""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from streams.errors import SinkError
from streams.findings import export as exporting
from streams.findings import truth
from streams.findings.collect import collect
from streams.findings.export import FORMULA, export
from streams.findings.tables import NUMBER, TEXT, TIME, Table, tables
from tests.streams.report.results import START, alert, at, evidence, month, signal, window, write


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write(tmp_path / "results", month())


def test_every_alert_signal_and_window_is_a_row_in_both_forms(results: Path, tmp_path: Path) -> None:
    known = tmp_path / "truth.jsonl"
    known.write_text(f'{{"model": "churn", "starts": {at(1)}, "what": "prices"}}\n')
    assert export(tables(collect(results, truth.read(known))), tmp_path / "tables")
    rows = {path.stem: len(_read(path)) for path in (tmp_path / "tables").glob("*.csv")}
    assert rows == {
        "models": 1,
        "calendar": 6,
        "incidents": 3,
        "alerts": 12,
        "signals": 3,
        "metrics": 720,
        "retrain": 1,
        "rollback": 1,
        "changes": 1,
    }
    typed = {path.stem: parquet.read_table(path).num_rows for path in (tmp_path / "tables").glob("*.parquet")}
    assert typed == rows
    assert [path.name for path in (tmp_path / "tables").glob("*.partial")] == []


def test_what_stands_in_an_alert_stands_in_its_row(results: Path, tmp_path: Path) -> None:
    export(tables(collect(results)), tmp_path / "tables")
    row = _read(tmp_path / "tables" / "alerts.csv")[0]
    assert (row["incident"], row["event"], row["page"], row["ts"]) == (
        "churn-0",
        "opened",
        "true",
        "2026-01-03T00:00:00.000Z",
    )
    assert (row["value"], row["psi"], row["looks_like"], row["partition"]) == ("1500.0", "0.3", "", "2")
    typed: dict[str, Any] = parquet.read_table(tmp_path / "tables" / "alerts.parquet").slice(0, 1).to_pylist()[0]
    assert (typed["ts"], typed["value"], typed["change_point_offset"], typed["page"]) == (
        datetime(2026, 1, 3, tzinfo=UTC),
        1500.0,
        17,
        True,
    )


def test_text_that_a_spreadsheet_would_run_is_prefixed_and_numbers_are_numbers(tmp_path: Path) -> None:
    hostile = [f"{first}cmd|' /C calc'!A0" for first in FORMULA]
    rows = [(text, -0.5, START) for text in hostile]
    table = Table("t", {"=name": TEXT, "effect": NUMBER, "at": TIME}, lambda: iter(rows))
    export([table], tmp_path)
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.reader(file))
    assert read[0] == ["'=name", "effect", "at"]
    assert [row[0] for row in read[1:]] == [f"'{text}" for text in hostile]
    assert {row[1] for row in read[1:]} == {"-0.5"}
    assert parquet.read_table(tmp_path / "t.parquet").column("=name").to_pylist() == hostile  # typed: no spreadsheet's


def test_names_from_outside_cannot_be_formulas_in_any_table(tmp_path: Path) -> None:
    bad = "=HYPERLINK(1)"
    odd = evidence(detail={"looks_like": bad, "after": "@text", "psi": True, "cause_1": 3})
    events = [
        window(START, model=bad, version=bad, segment=bad, values={bad: 1.0}),
        alert(at(1), model=bad, incident=bad, signal=bad, summary=bad, evidence=odd),
        signal(at(1), model=bad, signal=bad, detector=bad),
    ]
    export(tables(collect(write(tmp_path / "results", events))), tmp_path / "tables")
    cells = []
    for path in sorted((tmp_path / "tables").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            cells += [cell for row in csv.reader(file) for cell in row]
    assert f"'{bad}" in cells
    assert [cell for cell in cells if cell.startswith(FORMULA)] == []


def test_a_metric_that_is_called_like_a_column_of_its_own_does_not_take_its_place(tmp_path: Path) -> None:
    results = write(tmp_path / "results", [window(START, values={"model": 1.0, "predictions": 3})])
    export(tables(collect(results)), tmp_path / "tables")
    (row,) = _read(tmp_path / "tables" / "metrics.csv")
    assert (row["model"], row["predictions"]) == ("churn", "3.0")


def test_large_tables_are_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "BATCH_ROWS", 10)
    rows = [(f"{number}", float(number), START) for number in range(25)]
    export([Table("t", {"name": TEXT, "n": NUMBER, "at": TIME}, lambda: iter(rows))], tmp_path)
    file = parquet.ParquetFile(tmp_path / "t.parquet")
    assert (file.metadata.num_row_groups, file.metadata.num_rows) == (3, 25)
    assert file.schema_arrow.field("at").type == pyarrow.timestamp("ms", tz="UTC")


def test_without_pyarrow_there_is_csv(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    assert not export(tables(collect(results)), tmp_path / "tables")
    assert {path.suffix for path in (tmp_path / "tables").iterdir()} == {".csv"}


def test_a_place_that_cannot_be_written_is_named(results: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match=r"file: the tables cannot be written"):
        export(tables(collect(results)), tmp_path / "file")
