"""The scorer of the quality benchmark, and that it sees what it is for."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from load.__main__ import main
from load.quality.calibration import _bank, _bits, _delays, _ratio
from load.quality.concepts import rebuilt
from load.quality.data import Table, table
from load.quality.scoring import Score, always, never, score, summed
from load.quality.watching import RIVALS, ours, rival
from load.quality.whole import KINDS, alarms, drifted


def test_the_first_alarm_of_a_drift_counts_and_every_alarm_elsewhere_is_false() -> None:
    assert score([5, 110, 130, 250], [(100, 200), (300, 400)]) == Score([10], missed=1, false=2)
    assert score([], []) == Score([], 0, 0)


def test_scores_of_streams_add_up() -> None:
    told = summed([Score([10, 30], 0, 1), Score([20], 1, 0)])
    assert (told["delay"], told["missed"], told["false"], told["false_per_stream"]) == (20, 1, 1, 0.5)
    assert told["f1"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 1))
    assert summed([Score([], 0, 0)])["f1"] == 1.0


def test_firing_always_finds_all_and_firing_never_nothing() -> None:
    drifts = [(1_000, 1_500)]
    assert summed([always(10_000, drifts)])["missed"] == 0
    assert summed([always(10_000, drifts)])["f1"] < 0.1
    assert summed([never(drifts)])["f1"] == 0.0


def test_a_table_of_numbers_and_words_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("day,x,colour,class\n1,0.5,red,UP\n2,1.5,blue,DOWN\n3,2.5,red,UP\n")
    read = table(path, leave_out=("day",))
    assert read.values.tolist() == [[0.5, 0.0], [1.5, 1.0], [2.5, 0.0]]
    assert (read.labels.tolist(), read.classes) == ([0, 1, 0], 2)


def clouds(seed: int, rows: int) -> Table:
    """Two classes apart in two features."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, rows)
    return Table(draw.normal(size=(rows, 2)) + 2.0 * labels[:, None] * np.array([1.0, -1.0]), labels, 2)


def test_a_classifier_is_rebuilt_where_its_concept_changes_and_nowhere_else() -> None:
    stream = clouds(1, 8_000)
    stream.labels[4_000:] = 1 - stream.labels[4_000:]
    (at,) = rebuilt(stream, ours(100_000, 300))
    assert 4_000 <= at < 4_100
    assert rebuilt(clouds(2, 8_000), ours(100_000, 300)) == []


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_is_asked_for_rises_only(name: str) -> None:
    draw = np.random.default_rng(3)
    falls = (draw.random(6_000) < np.repeat([0.5, 0.05], 3_000)).astype(float)
    rises = 1.0 - falls
    assert rival(name)(rises) is not None
    found = rival(name)(falls)
    assert found is None or name in ("ddm", "eddm", "hddm_a", "hddm_w")  # they may alarm where nothing rose


def test_the_whole_monitor_finds_each_kind_of_drift_in_rows_that_had_none() -> None:
    whole = clouds(4, 12_000)
    assert alarms(whole) == []
    for number, change in enumerate(KINDS.values()):
        stream, start, end = drifted(whole, np.random.default_rng(number), change, 1)
        told = score(alarms(stream), [(start, end)])
        assert (told.missed, told.false) == (0, 0)


def test_calibration_and_delay_measure_what_was_asked() -> None:
    bank = _bank(50, 2_000, bits=True)
    assert 0.6 < _ratio(bank, _bits(np.random.default_rng(5), 0.1, 50), 2_000) < 2.5
    draw = np.random.default_rng(6)
    stream = np.concatenate((draw.random((5_000, 20)) < 0.1, draw.random((500, 20)) < 0.5)).astype(float)
    assert 5 < np.median(_delays(_bank(20, 100_000, bits=True).update(stream), 20)) < 30


def test_a_folder_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quality", "--data", str(tmp_path / "none"), "--only", "still"]) == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_what_the_folder_lacks_is_skipped_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quality", "--data", str(tmp_path), "--only", "still", "--only", "concepts", "--json"]) == 0
    told = capsys.readouterr()
    assert '"still":{}' in told.out
    assert "skipped sine1: no tornado/" in told.err
