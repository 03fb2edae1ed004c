"""The program that measures the report, on little."""

from pathlib import Path

from load.report import SHIFTS, measure


def test_a_report_is_made_measured_and_asks_for_nothing(tmp_path: Path) -> None:
    figures = measure(tmp_path, events=40_000, models=2, number=1, runs=1)
    assert (figures["events"], figures["models"], figures["requests"], figures["complaints"]) == (40_000, 2, 0, [])
    assert figures["incidents"] >= SHIFTS
    assert 1 < figures["mib"] < 10
    assert figures["first_view_s"] > 0
