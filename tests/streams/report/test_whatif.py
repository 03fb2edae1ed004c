"""Policies of retraining in the report: on the page, at the terminal and as tables."""

import io
import json
from pathlib import Path

import msgspec
import pytest

from streams.cli import main
from streams.findings.collect import collect
from streams.findings.export import export
from streams.findings.tables import tables
from streams.page.document import write as write_page
from streams.report import console_on
from streams.sinks import WHATIF
from streams.whatif import terminal, words
from streams.whatif.comparison import Level, OfModel, Step, WhatIf, tried
from streams.whatif.scenario import Costs, Plan, Scenario
from tests.streams.report.results import at, month, write
from tests.streams.report.test_browser import PHONE, SETTLED, opened
from tests.streams.report.test_document import HOSTILE, Parts

COSTS = Costs(loss=2.0, retraining=100.0, label=0.5, page=10.0)


def comparison(names: tuple[str, ...] = ("eager", "never"), currency: str = "€") -> WhatIf:
    policies = []
    for number, name in enumerate(names):
        plan = Plan(name=name, kind="never" if name == "never" else "policy", takes_ms=1, overrides={"min_labels": 9})
        of = OfModel(retrainings=number, labels=10 * number, pages=1, rows=50, loss=5.0 + number, above_ms=86_400_000)
        steps = [
            Step(model=name, asked_ts=at(2), deployed_ts=None, version=name, labels=3, reason=name)
            for _ in range(number)
        ]
        policies.append(tried(plan, {"churn": of}, steps, COSTS))
    return WhatIf(
        scenario=Scenario(currency=currency, costs=COSTS),
        from_ts=at(0),
        to_ts=at(30),
        rows=60,
        labelled=50,
        answered=0,
        changes_known=False,
        levels={"churn": [Level(from_ts=at(0), loss=0.1)]},
        policies=policies,
    )


def results(tmp_path: Path, found: WhatIf) -> Path:
    directory = write(tmp_path / "results", month("churn"))
    (directory / WHATIF).write_bytes(msgspec.json.encode(found))
    return directory


def page(tmp_path: Path, found: WhatIf) -> Path:
    write_page(collect(results(tmp_path, found)), tmp_path / "page.html")
    return tmp_path / "page.html"


def test_costs_are_told_part_by_part() -> None:
    found = comparison(("a", "never"))
    assert list(words.row(found, found.policies[1])) == [
        *("never", "1", "1", "1.0", "10", "0"),
        *("12", "100", "5", "10", "127"),
    ]
    assert words.headline(found) == "Cheapest: a, 20 €; 107 € less than never retraining."


def test_the_page_has_a_section_where_something_was_compared(tmp_path: Path) -> None:
    text = page(tmp_path, comparison()).read_text()
    assert ('id="what-if"' in text, 'href="#what-if"' in text) == (True, True)
    write_page(collect(write(tmp_path / "other", month("churn"))), tmp_path / "other.html")
    assert "what-if" not in (tmp_path / "other.html").read_text()


async def test_the_figure_is_drawn_on_a_desk_and_on_a_phone(tmp_path: Path) -> None:
    for size in ((1280, 900), PHONE):
        async with opened(page(tmp_path / str(size[0]), comparison()), size) as tab:
            await tab.evaluate("document.getElementById('what-if').scrollIntoView()")
            await tab.evaluate(SETTLED)
            bars = "[...document.querySelectorAll('[data-figure=whatif] text')].map(each => each.textContent)"
            assert {"eager", "never", "loss", "training", "20 €", "127 €"} <= set(await tab.evaluate(bars))
            assert await tab.evaluate("document.scrollingElement.scrollWidth") == size[0]


async def test_hostile_names_of_policies_stay_names(tmp_path: Path) -> None:
    found = comparison(HOSTILE, currency=HOSTILE[1])
    text = page(tmp_path, found)
    parts = Parts()
    parts.feed(text.read_text())
    assert parts.tags["img"] == parts.tags["svg"] == 0
    async with opened(text) as tab:
        await tab.evaluate("document.getElementById('what-if').scrollIntoView()")
        await tab.evaluate(SETTLED)
        assert await tab.evaluate("typeof hacked") == "undefined"
        assert await tab.evaluate("document.querySelectorAll('#what-if tbody tr').length") >= len(HOSTILE)


def test_the_terminal_shows_one_line_a_policy_where_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(results(tmp_path, comparison(("a\x1b[2J", "never"))))]) == 0
    said = capsys.readouterr().out
    assert "policy a\\x1b[2J (cheapest)  retrained 0" in said
    assert "policy never  retrained 1  pages 1  days above usual 1.0  labels 10" in said
    assert "Assumed, not measured: a new version takes away 100% of the harm" in said


def test_a_terminal_has_a_table(tmp_path: Path) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    terminal.show(comparison(), console_on(screen))
    assert "127" in screen.getvalue()
    assert "never (no retraining): retrained 1 time for 100 €, lost 12 € to wrong answers." in screen.getvalue()


def test_policies_and_their_retrainings_are_tables(tmp_path: Path) -> None:
    found = collect(results(tmp_path, comparison(("=1+1", "never"))))
    export(tables(found), tmp_path / "tables")
    told = (tmp_path / "tables" / "whatif.csv").read_text().splitlines()
    assert told[1:] == [
        "'=1+1,policy,churn,0,0,1,0,50,5.0,86400000,10.0,0.0,0.0,10.0,20.0",
        "never,never,churn,1,10,1,0,50,6.0,86400000,12.0,100.0,5.0,10.0,127.0",
    ]
    (step,) = (tmp_path / "tables" / "whatif_retrainings.csv").read_text().splitlines()[1:]
    assert step == "never,never,2026-01-03T00:00:00.000Z,,never,3,never"
    assert (tmp_path / "tables" / "whatif.parquet").exists()


def test_what_is_no_comparison_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = results(tmp_path, comparison())
    (directory / WHATIF).write_text('{"type": "what_if"}')
    assert main(["report", str(directory)]) == 1
    assert "whatif.json: is not what whatif writes" in capsys.readouterr().err


def test_a_replay_of_another_history_takes_the_comparison_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("june.jsonl").write_text(json.dumps({"type": "prediction"}) + "\n")
    Path("out").mkdir()
    Path("out", WHATIF).write_bytes(msgspec.json.encode(comparison()))
    assert main(["replay", "june.jsonl", "--out", "out"]) == 0
    assert not Path("out", WHATIF).exists()
