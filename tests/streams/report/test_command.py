"""``driftline report``, and what ``driftline replay`` makes of its results."""

import gzip
import io
import re
import shlex
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from streams import truth
from streams.cli import main
from streams.findings import collect as collecting
from streams.findings import courses, series, stories, terminal
from streams.findings.collect import collect
from streams.findings.terminal import WIDTH, sparkline
from streams.page import data, document, markup
from streams.summary import Budget, Summary
from tests.streams.events import file_of, prediction
from tests.streams.report.results import month, write

PAGE = Path(__file__).parents[3] / "docs" / "backtest.md"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write(tmp_path / "results", [*month("churn"), *month("eta", incidents=0)])


def test_a_report_is_told_at_the_terminal_written_and_put_into_tables(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, tables = tmp_path / "june.html", tmp_path / "tables"
    assert main(["report", str(results), "--to", str(page), "--tables", str(tables)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "You would have been paged 6 times in 30 days. For 1 model: churn 6; 1 model never paged."
    assert said[1].startswith("The budgets of all models together bear 2 false pages in this time.")
    assert [line.split()[0] for line in said[2:4]] == ["churn", "eta"]
    assert said[4:] == [f"Report: {page}", f"Tables: {tables}"]
    assert page.read_text().startswith("<!doctype html>")
    assert (tables / "alerts.csv").exists()


def test_without_a_file_to_write_it_only_tells(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(results.iterdir())
    assert main(["report", str(results)]) == 0
    assert "█" in capsys.readouterr().out
    assert sorted(results.iterdir()) == before


def test_a_replay_makes_its_report_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [prediction(number, 1_767_225_600_000 + number * 60_000) for number in range(500)]
    file_of(tmp_path / "june.jsonl", lines)
    assert main(["replay", "june.jsonl", "--out", "out", "--report", "june.html", "--tables", "tables"]) == 0
    said = capsys.readouterr().out
    assert "You would not have been paged in 8 hours. No page on 1 model" in said
    assert "Report: june.html" in said
    assert (tmp_path / "june.html").exists()
    summary = msgspec.json.decode((tmp_path / "out" / "summary.json").read_bytes(), type=Summary)
    assert summary.budgets == {"*": Budget(1.0)}
    assert (tmp_path / "tables" / "metrics.parquet").exists()
    assert main(["replay", "june.jsonl", "--out", "out"]) == 0  # nothing of it lies among the results


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--to", "results"], "results: is a directory"),
        (["--to", "nowhere/june.html"], "nowhere/june.html: lies in a directory that there is not"),
        (["--to", "results/june.html"], "results: is the directory of the results"),
        (["--tables", "results"], "results: is the directory of the results"),
        (["--tables", "results/tables"], "results/tables: is the directory of the results, or lies in it"),
        (["--truth", "none.jsonl"], "none.jsonl: cannot be read"),
    ],
)
def test_a_wrong_place_is_named_before_anything_is_read(
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    what: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (results / "alerts.jsonl").write_text("broken")
    assert main(["report", "results", *words]) == 2
    assert what in capsys.readouterr().err


def test_a_course_is_as_long_as_it_is_allowed_to_be() -> None:
    assert sparkline([float(number) for number in range(1_000)]) == "▁▁▂▂▂▃▃▃▃▄▄▄▅▅▅▆▆▆▆▇▇▇██"
    assert len(sparkline([1.0] * 1_000)) == WIDTH
    assert (sparkline([]), sparkline([None, None]), sparkline([3.0])) == ("", "", "▄")


@pytest.mark.parametrize("width", [80, 100, 200])
def test_on_a_terminal_a_model_is_one_line(results: Path, width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    terminal.show(collect(results, drawn=False), console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    rows = [line for line in lines if line.strip().startswith(("churn", "eta"))]
    assert len(rows) == 2
    assert all("%" in row for row in rows)


def test_the_commands_on_the_page_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "driftline-results", month())
    (tmp_path / "known.jsonl").write_text(re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), re.M | re.S)[0])
    file_of(tmp_path / "june.jsonl", [prediction(number) for number in range(50)])
    (tmp_path / "june.jsonl.gz").write_bytes(gzip.compress((tmp_path / "june.jsonl").read_bytes()))
    lines = re.findall(r"^driftline (.*)$", PAGE.read_text(), re.M)
    calls = [
        words for line in lines if (words := shlex.split(line, comments=True))[0] == "report" or "--report" in words
    ]
    assert len(calls) == 7
    assert [main(words) for words in calls] == [0] * 7


def test_the_limits_on_the_page_are_those_of_the_code() -> None:
    (table,) = (part for part in PAGE.read_text().split("\n\n") if "points of a line" in part)
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+)(?: [^|]*)? \| [^|]+ \|$", table, re.M)
    assert {what.strip(): int(limit.replace(",", "")) for what, limit in rows} == {
        "points of a line": series.STRETCHES_MAX,
        "models with figures": collecting.MODELS_MAX,
        "rows of the timeline and of the calendar": data.TIMELINE_ROWS_MAX,
        "columns of the calendar": data.CALENDAR_CELLS_MAX,
        "signals of a model": courses.COURSES_MAX,
        "reports of a signal": courses.POINTS_MAX,
        "incidents told one by one": stories.INCIDENTS_MAX,
        "steps of an incident": stories.STEPS_MAX,
        "further alarms of an incident": stories.BESIDE_MAX,
        "a text": markup.TEXT_CHARACTERS_MAX,
        "known changes": truth.CHANGES_MAX,
        "the file": document.BYTES_MAX // 2**20,
    }
