import gzip
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from streams.cli import COMMANDS, main
from streams.sinks import FILES
from tests.streams.events import file_of, prediction

CLI = [sys.executable, "-m", "streams.cli"]
HEAVY = ("faust", "aiokafka", "numba", "river", "numpy", "rich", "prometheus_client", "asyncio", "msgspec")


def call(*words: str, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    path = str(Path(__file__).parents[2])
    return subprocess.run(
        [*CLI, *words], input=stdin, capture_output=True, cwd=cwd, env=os.environ | {"PYTHONPATH": path}, check=False
    )


@pytest.mark.parametrize("words", [["--help"], *([command.name, "--help"] for command in COMMANDS)])
def test_help_is_given_with_an_example(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "example: driftline " in shown
    assert shown.startswith("usage: driftline")


def test_the_list_of_commands_has_those_of_the_layers_above(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out.split()
    assert [name for name in ("demo", "produce", *(command.name for command in COMMANDS)) if name not in shown] == []


def test_help_and_version_import_nothing_heavy() -> None:
    script = f"""
import sys
from streams.cli import main
main(["--help"]); main(["--version"]); main(["replay", "--help"])
sys.stderr.write(" ".join(name for name in {HEAVY} if name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: COMMAND; see driftline --help"),
        (["repaly"], "argument COMMAND: invalid choice: 'repaly'"),
        (["replay"], "the following arguments are required: SOURCE; see driftline replay --help"),
        (["replay", "none.jsonl"], "none.jsonl: cannot be read: No such file or directory"),
        (["replay", "kafka:", "more.jsonl"], "kafka: stands alone"),
        (["replay", "a.csv"], "a.csv: cannot be read: No such file or directory"),
        (["replay", "*.csv"], "*.csv: fits no file"),
        (["replay", "a.csv", "--offsets", "a/0=1-2"], "--offsets are of kafka:; take a part of files with --from"),
        (["replay", "kafka:", "--offsets", "a=1"], "--offsets: 'a=1' is no stretch of a topic; write TOPIC/PARTITION="),
        (["replay", "a.csv", "--from", "2h"], "--from: '2h' is no time; write one such as 2026-01-31T12:00:00Z"),
        (
            ["replay", "a.csv", "--from", "2026-02-01T00:00:00Z", "--to", "2026-01-01T00:00:00Z"],
            "--from must be before",
        ),
        (["replay", "."], ".: holds no file to read"),
        (["replay", "a.csv", "--mapping", "a.toml"], "a.toml: cannot be read: No such file or directory"),
        (["check"], "no file was named"),
        (["check", "none.toml"], "none.toml: cannot be read: No such file or directory"),
        (["check", "--explain", "kafak"], "kafak is no section and no setting; did you mean kafka?"),
        (["worker", "--config", "none.toml"], "none.toml: cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(
    words: Sequence[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert shown.err.startswith(f"driftline: {said}")


def test_debug_adds_the_traceback_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "none.toml", "--debug"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert shown.endswith("driftline: none.toml: cannot be read: No such file or directory\n")


def test_check_says_every_mistake_on_a_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "driftline.toml"
    file.write_text('[kafka]\npartitions = 0\n[log]\nlevel = "loud"\n')
    assert main(["check", str(file)]) == 2
    assert capsys.readouterr().err == (
        f"driftline: {file}: kafka.partitions = 0: must be a whole number from 1 to 10,000\n"
        f'driftline: {file}: log.level = "loud": must be one of "debug", "info", "warning", "error"\n'
    )


def test_check_is_content_with_a_right_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "driftline.toml"
    file.write_text("[models.churn]\ntask = 'binary'\n")
    assert main(["check", str(file)]) == 0
    assert (
        capsys.readouterr().out == f"{file}: all right; 1 model with settings of its own, the defaults for the rest\n"
    )


def test_explain_shows_type_default_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--explain", "metrics.port"]) == 0
    assert capsys.readouterr().out == (
        "metrics.port = 9464  (DRIFTLINE_METRICS__PORT)\n"
        "    Port to serve metrics on; 0 takes a free one.\n"
        "    Allowed: a whole number from 0 to 65,535.\n"
    )


@pytest.mark.parametrize("format", ["json-schema", "asyncapi"])
def test_the_schema_is_json(format: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "--format", format]) == 0
    assert "driftline" in json.dumps(json.loads(capsys.readouterr().out)).lower()


def test_replay_writes_results_and_tells_of_them(tmp_path: Path) -> None:
    events = [prediction(number) for number in range(50)]
    file_of(tmp_path / "june.jsonl", [*events[:25], b"broken"])
    (tmp_path / "july.jsonl.gz").write_bytes(gzip.compress(b"\n".join(events[25:])))
    done = call("replay", "june.jsonl", "july.jsonl.gz", "--out", "out", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"51 records from 2026-01-01 00:00:00Z to 2026-01-01 00:00:49Z" in done.stdout
    assert b"Dead letters by reason: not_json 1\n" in done.stdout
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == sorted([*FILES.values(), "summary.json"])
    summary = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert summary["partitions"]["june.jsonl"]["0"]["dead_lettered"] == 1


def test_replay_reads_standard_input(tmp_path: Path) -> None:
    events = b"\n".join(prediction(number) for number in range(7))
    done = call("replay", "-", stdin=events, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "driftline-results" / "summary.json").read_bytes())
    assert summary["partitions"]["stdin"]["0"]["applied"] == 7


def test_a_replay_of_a_torn_file_fails_and_keeps_what_it_read(tmp_path: Path) -> None:
    packed = gzip.compress(b"\n".join(prediction(number) for number in range(5_000)))
    (tmp_path / "a.gz").write_bytes(packed[: len(packed) // 2])
    done = call("replay", "a.gz", "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(b"driftline: a.gz: cannot be read on after line ")
    assert done.stderr.endswith(
        b"the gzip data ends too early; what came before it counts; incomplete results are in out/partial\n"
    )
    summary = json.loads((tmp_path / "out" / "partial" / "summary.json").read_bytes())
    assert (summary["complete"], summary["records"] > 1_000) == (False, True)
    assert not (tmp_path / "out" / "summary.json").exists()


@pytest.mark.parametrize("words", [["--version"], ["check", "--explain"], ["schema"]])
def test_whoever_stops_reading_hears_no_complaint(words: Sequence[str]) -> None:
    process = subprocess.Popen([*CLI, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == b""
    assert process.wait() == 141


def test_brokers_that_do_not_answer_are_one_line_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "driftline.toml").write_text('[kafka]\nbootstrap = "127.0.0.1:1"\n')
    done = call("topics", "create", "--config", "driftline.toml", cwd=tmp_path)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr
    assert done.stderr.startswith(b"driftline: 127.0.0.1:1: does not answer")


def test_an_interrupt_ends_with_a_line_and_leaves_no_results(tmp_path: Path) -> None:
    command = [*CLI, "replay", "-", "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(prediction(1) + b"\n")
        process.stdin.flush()
        while not (tmp_path / "out" / "partial" / "alerts.jsonl").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b"driftline: interrupted\n"
    assert process.returncode == 130
    assert list((tmp_path / "out").iterdir()) == []
