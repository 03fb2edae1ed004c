"""The commands on the page about incidents are ones that there are, with options that they take."""

import re
import shlex
from pathlib import Path

import pytest

from streams.cli import main
from tests.tidy.tree import text_files

BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _commands(page: str, name: str) -> list[list[str]]:
    """The words of each call of one command, as a shell would hand them over."""
    lines = [line for block in BLOCK.findall(text_files()[page]) for line in block.splitlines()]
    calls = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("driftline ")]
    return [words for words in calls if words[0] == name]


def test_every_answer_on_the_page_is_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    calls = _commands("docs/incidents.md", "control")
    assert len(calls) == 9
    for words in calls:
        model = [] if "--model" in words else ["--model", "churn"]  # without it the incident is looked up
        assert main([*words, *model, "--dry-run"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 9


def test_every_question_on_the_page_is_one_that_can_be_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIFTLINE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    calls = _commands("docs/incidents.md", "incidents")
    assert len(calls) == 6
    for words in calls:
        main(words)
    said = capsys.readouterr().err.splitlines()
    asked, read = said[:-1], said[-1]
    assert [line for line in asked if "does not answer" not in line] == []
    assert (len(asked), read) == (
        5,
        "driftline: driftline-results/alerts.jsonl: cannot be read: No such file or directory",
    )


def test_every_question_why_on_the_pages_is_one_that_can_be_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIFTLINE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    Path("driftline.toml").write_text("")
    pages = "\n".join(text_files()[page] for page in ("README.md", "docs/backtest.md", "docs/incidents.md"))
    lines = [line for line in pages.splitlines() if line.startswith("driftline why ")]
    calls = [shlex.split(line, comments=True)[1:] for line in lines]
    assert len(calls) == 4
    for words in calls:
        assert main(words) != 0
    said = sorted(capsys.readouterr().err.splitlines())
    assert [line for line in said if "does not answer" not in line and "cannot be read" not in line] == []
    assert len(said) == 4
