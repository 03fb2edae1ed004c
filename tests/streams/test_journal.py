"""A replay that is broken off is gone on with, and nobody sees it in the results."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detectors.kept import Changes
from streams import embedded, history, journal
from streams.cli import main
from streams.journal import Journal, reached
from streams.progress import Lines
from streams.sinks import FILES, PARTIAL, STATE, SUMMARY
from streams.summary import Tally
from streams.table_mapping import Columns
from tests.streams.test_tables import as_csv, as_parquet, rows

NAMES = list(FILES.values())
ROWS = 2_500
CONFIG = """[defaults]
segments = ["country"]
rows_per_false_alarm = 100_000
metrics_window = "1h"
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(journal, "COMMIT_RECORDS", 400)
    monkeypatch.setattr(embedded.run, "__kwdefaults__", {**embedded.run.__kwdefaults__, "batch_records": 100})
    (tmp_path / "driftline.toml").write_text(CONFIG)
    as_parquet(tmp_path / "june.parquet", rows(ROWS))
    return tmp_path / "june.parquet"


def replay(out: str, *words: str) -> int:
    return main(["replay", "june.parquet", "--config", "driftline.toml", "--out", out, *words])


def results(out: str) -> dict[str, Any]:
    found: dict[str, Any] = {name: (Path(out) / name).read_bytes() for name in NAMES}
    summary = json.loads((Path(out) / SUMMARY).read_bytes())
    return {**found, SUMMARY: {key: value for key, value in summary.items() if "second" not in key}}


def interrupt_after(records: int, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0

    def count(self: Lines, more: int) -> None:
        nonlocal taken
        taken += more
        if taken >= records:
            raise KeyboardInterrupt

    monkeypatch.setattr(Lines, "__call__", count)


@pytest.mark.parametrize("records", [100, 400, 1_000, 4_000])
def test_what_is_gone_on_with_is_what_was_never_interrupted(
    records: int, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay("whole") == 0
    with monkeypatch.context() as interrupted:
        interrupt_after(records, interrupted)
        assert replay("out", "--resume") == 130
    said = capsys.readouterr().err
    assert "what is done lies in out/partial; the same call with --resume goes on" in said
    assert not (Path("out") / SUMMARY).exists()
    assert replay("out", "--resume") == 0
    assert ("there is nothing to go on from" in capsys.readouterr().err) is (records < 400)
    assert results("out") == results("whole")
    assert results("whole")["alerts.jsonl"].count(b"feature:age") > 0
    assert sorted(path.name for path in Path("out").iterdir()) == sorted([*NAMES, SUMMARY])


def test_it_may_be_interrupted_again_and_again(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert replay("whole") == 0
    for _ in range(3):
        with monkeypatch.context() as interrupted:
            interrupt_after(1_000, interrupted)
            assert replay("out", "--resume") == 130
    assert replay("out", "--resume") == 0
    assert results("out") == results("whole")


def test_a_process_that_is_killed_is_gone_on_with_as_well(source: Path) -> None:
    assert replay("whole") == 0
    words = ["replay", "june.parquet", "--config", "driftline.toml", "--out", "out", "--resume"]
    script = f"""
import sys
from streams import embedded, journal
from streams.cli import main
journal.COMMIT_RECORDS = 400
embedded.run.__kwdefaults__["batch_records"] = 100
took = journal.Journal.took
def die(self, *words):
    took(self, *words)
    if words[2].records >= 2_000:
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
journal.Journal.took = die
main({words!r})
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert replay("out", "--resume") == 0
    assert results("out") == results("whole")


def test_all_that_changed_is_written(tmp_path: Path) -> None:
    class Engine:
        rounds = iter([Changes([(b"a", b"1"), (b"gone", b"2")], []), Changes([(b"b", b"3"), (b"c", b"4")], [b"gone"])])

        def changes(self) -> Changes:
            return next(self.rounds)

    class Files:
        def written(self) -> dict[str, int]:
            return {"alerts.jsonl": 7}

    engine, so_far = Engine(), Tally().summary(seconds=1.0, error="not finished")
    with Journal(tmp_path / "state", "this", Files()) as begun:
        kept = begun.kept(0)
        for _ in range(2):
            begun.took(journal.COMMIT_RECORDS, engine, so_far)
        assert kept.read([b"a", b"b", b"c", b"gone"]) == [b"1", b"3", b"4", None]
    found = reached(tmp_path / "state", "this")
    assert found is not None
    assert (found.of, found.sizes) == ("this", {"alerts.jsonl": 7})


def test_what_is_large_keeps_its_state_on_disk_and_decides_the_same(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert replay("memory") == 0
    monkeypatch.setattr(history, "ROWS_IN_MEMORY", 1_000)
    seen: list[bool] = []
    took = journal.Journal.took

    def look(self: journal.Journal, *words: Any) -> None:
        seen.append((Path("disk") / PARTIAL / STATE / "0").is_dir())
        took(self, *words)

    monkeypatch.setattr(journal.Journal, "took", look)
    assert replay("disk") == 0
    assert all(seen)
    assert len(seen) > 10
    assert results("disk") == results("memory")


def test_more_rows_wait_in_memory_where_nothing_comes_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_parquet(tmp_path / "june.parquet", rows(150, seed=2))
    (tmp_path / "labels.jsonl").write_text("")
    monkeypatch.setattr(history, "ROWS_IN_MEMORY", 100)
    names = [str(tmp_path / name) for name in ("june.parquet", "labels.jsonl")]
    alone = history.Given(names[:1], columns=Columns(label=""))
    for given, is_large in (
        (alone, False),
        (alone._replace(segments=("country",)), True),
        (alone._replace(until=1 << 42), True),
        (alone._replace(columns=Columns(label="label")), True),
        (alone._replace(labels=names[1]), True),
    ):
        with history.History(given) as opened:
            assert opened.outgrows_memory is is_large, given


Change = Callable[[Path], object]
CHANGES: list[Change] = [
    lambda source: as_parquet(source, rows(ROWS, seed=2)),
    lambda source: Path("driftline.toml").write_text("[defaults]\nrows_per_false_alarm = 200_000\n"),
    lambda source: source.touch() or os.utime(source, (time.time() + 5, time.time() + 5)),
]


@pytest.mark.parametrize("change", CHANGES)
def test_another_file_or_configuration_is_not_gone_on_with(
    change: Change, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as interrupted:
        interrupt_after(1_000, interrupted)
        assert replay("out", "--resume") == 130
    change(source)
    capsys.readouterr()
    assert replay("out", "--resume") == 2
    what = "was begun with other files, another mapping or another configuration; leave --resume out to begin anew"
    assert f"driftline: out/partial/state: {what}\n" in capsys.readouterr().err
    assert replay("out") == 0


def test_a_state_that_is_broken_is_told(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as interrupted:
        interrupt_after(1_000, interrupted)
        assert replay("out", "--resume") == 130
    for path in (Path("out") / PARTIAL / STATE / "0").glob("MANIFEST*"):
        path.write_bytes(b"nonsense")
    capsys.readouterr()
    assert replay("out", "--resume") == 2
    assert "out/partial/state: cannot be gone on with: " in capsys.readouterr().err


def test_what_cannot_be_read_twice_cannot_be_gone_on_with(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "kafka:", "--resume"]) == 2
    assert capsys.readouterr().err.startswith("driftline: --resume goes on with files alone; leave it out")
    assert reached(Path("none"), "x") is None


def test_labels_of_their_own_are_gone_on_with_too(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = rows(ROWS)
    as_csv(Path("labels.csv"), [{"id": line["id"], "label": line["label"]} for line in reversed(lines)])
    words = ("--labels", "labels.csv")
    assert replay("whole", *words) == 0
    with monkeypatch.context() as interrupted:
        interrupt_after(1_500, interrupted)
        assert replay("out", "--resume", *words) == 130
    assert replay("out", "--resume", *words) == 0
    assert results("out") == results("whole")
