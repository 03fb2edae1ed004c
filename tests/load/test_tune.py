"""The measurement of the search for settings, in small."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from load.__main__ import main
from load.tune import DATA, production


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two classes apart in two features."""
    draw, path = np.random.default_rng(1), tmp_path / DATA
    path.parent.mkdir()
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", "price", "demand", "class"])
        for row in range(3_400):
            up = row % 2
            writer.writerow([row, *(draw.normal(size=2) + up).tolist(), "UP" if up else "DOWN"])
    return tmp_path


def test_three_quarters_are_the_production_of_a_classifier_that_learned_from_the_rest(data: Path) -> None:
    with production(data / DATA, data / "e.csv", 1).open() as file:
        rows = list(csv.DictReader(file))
    assert (len(rows), list(rows[0])) == (2_550, ["ts", "f0", "f1", "prediction", "label"])
    assert int(rows[1]["ts"]) - int(rows[0]["ts"]) == 1_800_000
    assert 0.7 < sum(row["prediction"] == row["label"] for row in rows) / len(rows) < 0.85
    assert production(data / DATA, data / "again.csv", 1).read_bytes() == (data / "e.csv").read_bytes()
    with production(data / DATA, data / "came.csv", None).open() as file:
        assert [row["label"] for row in csv.DictReader(file)][:4] == ["c0", "c1", "c0", "c1"]


def test_figures_come_as_one_object(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--candidates", "2", "--replays", "3", "--drifts", "2", "--processes", "1"]
    assert main(["tune", "--data", str(data), "--json", *few]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert all(0 <= told[name] <= 1 for name in ("f1_default", "f1_tuned", "f1_river"))
    assert (told["drifts"], told["skipped"]) == (2, [])
    assert set(told["scores"]) == {"default", "tuned", "river_adwin", "river_page_hinkley", "always", "never"}


def test_what_the_folder_lacks_is_skipped_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "--data", str(tmp_path), "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["skipped"] == [f"electricity: no {DATA}"]
    assert f"tune: skipped electricity: no {DATA}" in told.err
    assert main(["tune", "--data", str(tmp_path / "none")]) == 2
