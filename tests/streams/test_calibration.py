"""What a budget means, before it is lived with."""

from pathlib import Path

import pytest

from detectors.config import ModelConfig
from streams.calibration import Traffic, explained
from streams.cli import main

TRAFFIC = Traffic(rows_per_month=1e6, columns=20)


def rows_of(lines: list[str], start: str) -> float:
    (line,) = (line for line in lines if line.strip().startswith(start))
    return float(line.rsplit(" ", 1)[1].replace(",", ""))


def test_larger_changes_are_found_sooner_and_a_larger_budget_finds_all_sooner() -> None:
    strict = list(explained("churn", ModelConfig(false_pages_per_month=0.01), TRAFFIC))
    free = list(explained("churn", ModelConfig(false_pages_per_month=100.0), TRAFFIC))
    for lines in (strict, free):
        shifts = [rows_of(lines, f"a feature moves by {shift} ") for shift in ("0.5", "1", "2")]
        assert shifts == sorted(shifts, reverse=True)
    for what in ("errors 10% to 15%", "errors 10% to 30%", "a feature moves by 0.5 ", "a feature spreads"):
        assert rows_of(free, what) < rows_of(strict, what)


def test_the_parts_of_the_budget_are_said_in_the_unit_that_was_asked_in() -> None:
    months = list(explained("churn", ModelConfig(), TRAFFIC))
    assert months[0] == "churn: 1 false pages a month, at 1,000,000 rows a month"
    assert months[1] == "  losses: 2 columns, each with 12.50% of the budget: a false alarm in 240 days"
    rows = list(explained("churn", ModelConfig(rows_per_false_alarm=1_000), TRAFFIC))
    assert rows[0] == "churn: one false alarm in 1,000 rows"
    assert rows[1] == "  losses: 2 columns, each with 12.50% of the budget: a false alarm in 8,000 rows"


def test_the_command_says_it_for_the_defaults_and_each_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "driftline.toml"
    file.write_text("[models.churn]\nfalse_pages_per_month = 2\n")
    assert main(["check", str(file), "--calibration", "--columns", "5"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said if not line.startswith(" ")] == [str(file), "defaults", "churn"]
    assert sum("5 columns" in line for line in said) == 2


def test_traffic_that_cannot_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "driftline.toml"
    file.write_text("")
    assert main(["check", str(file), "--calibration", "--rows-per-month", "0"]) == 2
    assert "must be above 0" in capsys.readouterr().err
