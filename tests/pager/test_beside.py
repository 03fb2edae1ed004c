"""A pager beside a worker: it is started again, it ends with the worker, and it is a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from threading import Event
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from load.site.workers import gone
from streams import cli
from streams.errors import SettingsError
from streams.metrics import WorkerMetrics
from streams.pager import beside
from streams.pager.beside import Keeper, command, pager_beside
from streams.settings import load

PATIENCE_S = 30.0
LINE = "import sys, os; print(os.getpid(), flush=True); "
AT_WORK = LINE + "sys.stdin.read()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + LINE + "signal.pause()"
PAGER = (
    "from streams.pager.beside import end_with_standard_input as end; end(); " + LINE + "import signal; signal.pause()"
)


def words(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def lives_of(code: str, into: Path) -> list[str]:
    """The command, with what it prints at the end of a file."""
    return ["/bin/sh", "-c", 'exec "$0" "$@" >>"$OUT"'.replace("$OUT", str(into)), *words(code)]


class Starts:
    """Tells of each start."""

    def __init__(self) -> None:
        self.queue: Queue[None] = Queue()

    def __call__(self) -> None:
        self.queue.put(None)

    def next(self) -> None:
        self.queue.get(timeout=PATIENCE_S)


def first_line(file: Path) -> str:
    """As soon as it is there."""
    return _soon(lambda: file.read_text() if file.exists() and file.read_text().endswith("\n") else "")


def _soon(found: Callable[[], Any]) -> Any:
    wait, left = Event(), int(PATIENCE_S / 0.02)
    while not (result := found()) and left:
        wait.wait(0.02)
        left -= 1
    assert result
    return result


def test_it_is_started_again_and_the_worker_says_so() -> None:
    starts = Starts()
    with structlog.testing.capture_logs() as lines:
        keeper = Keeper(words("raise SystemExit(3)"), starts, first_pause_s=0.01)
        keeper.start()
        for _ in range(3):
            starts.next()
        keeper.end()
    said = [line for line in lines if line["event"] == "the pager beside this worker ended and is started again"]
    assert [(line["status"], line["pause_s"]) for line in said][:2] == [(3, 0.01), (3, 0.02)]


def test_pauses_grow_and_begin_anew_after_a_life_that_was_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "PAUSE_MAX_S", 0.02)
    pauses: dict[float, list[float]] = {}
    for well_after_s in (1e9, 0.0):
        monkeypatch.setattr(beside, "WELL_AFTER_S", well_after_s)
        starts = Starts()
        with structlog.testing.capture_logs() as lines:
            keeper = Keeper(words("pass"), starts, first_pause_s=0.01)
            keeper.start()
            for _ in range(4):
                starts.next()
            keeper.end()
        pauses[well_after_s] = [line["pause_s"] for line in lines if "pause_s" in line][:3]
    assert pauses == {1e9: [0.01, 0.02, 0.02], 0.0: [0.01, 0.01, 0.01]}


def test_a_program_that_is_not_there_is_told_and_tried_again() -> None:
    with structlog.testing.capture_logs() as lines:
        keeper = Keeper(["/nowhere/python"], Starts(), first_pause_s=0.01)
        keeper.start()
        _soon(lambda: len(lines) >= 2)
        keeper.end()
    assert lines[0]["status"] == "No such file or directory"


def test_it_ends_with_the_block_and_is_counted() -> None:
    registry = CollectorRegistry()
    with pager_beside(words(AT_WORK), WorkerMetrics(registry, ["predictions"]).pager_started):
        _soon(lambda: registry.get_sample_value("driftline_worker_pager_starts_total"))
    assert registry.get_sample_value("driftline_worker_pager_starts_total") == 1.0


def test_one_that_does_not_end_when_it_is_asked_to_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(beside, "STOP_S", 0.1)
    keeper = Keeper(lives_of(DEAF, tmp_path / "out"), Starts())
    keeper.start()
    pid = int(first_line(tmp_path / "out"))
    keeper.end()
    assert gone(pid)


def test_it_is_asked_to_end_before_it_is_ended(tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('asked', flush=True))); "
    keeper = Keeper(lives_of(f"{asked}{LINE}signal.pause()", out), Starts())
    keeper.start()
    first_line(out)
    keeper.end()
    assert out.read_text().splitlines()[1:] == ["asked"]


def test_an_interrupt_that_is_meant_for_the_worker_does_not_reach_it(tmp_path: Path) -> None:
    keeper = Keeper(lives_of(AT_WORK, tmp_path / "out"), Starts())
    keeper.start()
    try:
        assert os.getsid(int(first_line(tmp_path / "out"))) != os.getsid(0)
    finally:
        keeper.end()


def test_it_ends_when_the_worker_is_killed(tmp_path: Path) -> None:
    """Nobody is left to tell it: its standard input comes to an end."""
    out = tmp_path / "out"
    worker = f"from streams.pager.beside import Keeper; Keeper({lives_of(PAGER, out)!r}, lambda: None)._keep()"
    with subprocess.Popen(words(worker)) as process:
        pid = int(first_line(out))
        assert not gone(pid)
        process.send_signal(signal.SIGKILL)
    _soon(lambda: gone(pid))


def test_it_is_called_as_the_worker_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    called = ["-P", "-m", "streams.cli"]
    assert command(None)[1:] == [*called, "pager", "run", "--with-worker"]
    config = tmp_path / "driftline.toml"
    config.write_text("[pager]\ngroup = 'driftline'\n")
    assert cli.main(list(command(config)[1 + len(called) :])) == 2
    assert 'pager.group = "driftline": must differ' in capsys.readouterr().err


def test_a_worker_with_a_pager_and_no_sink_is_a_mistake(tmp_path: Path) -> None:
    config = tmp_path / "driftline.toml"
    config.write_text("[worker]\npager = true\n")
    with pytest.raises(SettingsError, match=r"worker\.pager = true: needs a sink"):
        load(config)


def test_a_pager_with_what_is_a_workers_is_a_mistake(tmp_path: Path) -> None:
    config = tmp_path / "driftline.toml"
    sink = '[pager.sinks.hook]\ntype = "webhook"\nurl = "https://example.com/"\n'
    shared = '[state]\ndir = "/var/lib/driftline/"\n[pager]\ndir = "/var/lib/driftline"\nmetrics_port = 9464\n'
    config.write_text("[worker]\npager = true\n" + shared + sink)
    with pytest.raises(SettingsError) as mistakes:
        load(config)
    assert str(mistakes.value).splitlines() == [
        f"{config}: pager.metrics_port = 9464: must differ from metrics.port, where worker.pager is true",
        f'{config}: pager.dir = "/var/lib/driftline": must differ from state.dir, which is a worker\'s',
    ]
