from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from detectors.effects import Effect
from schemas.topics import Stream
from streams.errors import SinkError, UsageError
from streams.sinks import FILES, ResultFiles
from streams.summary import Summary, Tally

RESULTS = sorted([*FILES.values(), "summary.json"])


def summary(error: str | None = None) -> Summary:
    return Tally().summary(seconds=1.0, error=error)


def effect(value: bytes) -> Effect:
    return Effect(Stream.ALERTS, "1", b"churn", value)


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def write(directory: Path, value: bytes, error: str | None = None) -> Path:
    with ResultFiles(directory) as files:
        files(effect(value))
        return files.finish(summary(error))


def test_results_are_the_effects_bytes_line_by_line(tmp_path: Path) -> None:
    with ResultFiles(tmp_path / "new" / "out") as files:
        files(effect(b'{"a":1}'))
        files(effect(b'{"b":2}'))
        where = files.finish(summary())
    assert names(where) == RESULTS
    assert (where / "alerts.jsonl").read_bytes() == b'{"a":1}\n{"b":2}\n'
    assert msgspec.json.decode((where / "summary.json").read_bytes(), type=Summary) == summary()


def test_a_run_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path, b"old")
    with suppress(ZeroDivisionError), ResultFiles(tmp_path) as files:
        files(effect(b"new"))
        raise ZeroDivisionError
    assert names(tmp_path) == RESULTS
    assert (tmp_path / "alerts.jsonl").read_bytes() == b"old\n"


def test_an_incomplete_run_is_kept_apart_and_the_last_whole_one_stays(tmp_path: Path) -> None:
    write(tmp_path, b"old")
    assert write(tmp_path, b"new", "torn") == tmp_path / "partial"
    assert (tmp_path / "alerts.jsonl").read_bytes() == b"old\n"
    assert (tmp_path / "partial" / "alerts.jsonl").read_bytes() == b"new\n"
    assert msgspec.json.decode((tmp_path / "partial" / "summary.json").read_bytes())["complete"] is False


def test_own_results_are_replaced(tmp_path: Path) -> None:
    write(tmp_path, b"old", "torn")
    write(tmp_path, b"old")
    write(tmp_path, b"new")
    assert names(tmp_path) == RESULTS
    assert (tmp_path / "alerts.jsonl").read_bytes() == b"new\n"


def test_while_results_are_moved_there_is_no_summary_beside_old_ones(tmp_path: Path) -> None:
    write(tmp_path, b"old")
    with ResultFiles(tmp_path) as files:
        (tmp_path / "metrics.jsonl").unlink()
        (tmp_path / "metrics.jsonl").mkdir()  # in the way
        with pytest.raises(SinkError, match="the results cannot be written"):
            files.finish(summary())
    assert "summary.json" not in names(tmp_path)


@pytest.mark.parametrize("name", ["notes.txt", "alerts.jsonl"])
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=f"holds {name}, which is no result of a replay"), ResultFiles(tmp_path):
        pass
    assert names(tmp_path) == [name]


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="is no directory to write to"), ResultFiles(tmp_path / "out"):
        pass
