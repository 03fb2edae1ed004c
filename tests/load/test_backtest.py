"""The measurement of replays, in small."""

import json
from pathlib import Path

import pytest
from pyarrow import parquet

from load import backtest
from load.__main__ import main


def test_the_same_seed_makes_the_same_file_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtest, "_PART", 300)
    one = parquet.read_table(backtest.made(tmp_path / "one.parquet", 1_000, 7, models=3))
    two = parquet.read_table(backtest.made(tmp_path / "two.parquet", 1_000, 7, models=3))
    assert one.equals(two)
    assert (one.num_rows, len(one.column_names)) == (1_000, 8 + 5)
    assert one.column("id").to_pylist()[299:301] == ["r299", "r300"]


def test_figures_come_as_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["backtest", "--rows", "3000", "--rounds", "1", "--large-rows", "0", "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(told["ratios"]) == {"river_loop", "processes"}
    assert all(ratio > 0 for ratio in (*told["ratios"].values(), told["processes_bound"]))
    assert (told["differences"], told["rss_mib"]) == (0, None)
