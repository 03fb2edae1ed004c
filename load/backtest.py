"""``python -m load backtest``: a replay of a Parquet file beside a plain loop of River's detectors over its columns.

Both read the same file of eight number features, and rounds alternate. The replay is the command itself with everything
that is on by default, and its clock is that of its summary: reading included, starting not. ``rss_mib`` is the most
that a replay of a large file had resident. ``ratios.processes`` is the rate of two processes over that of one, on a
file of several models, and ``differences`` counts the result files in which they are not the same. ``processes_bound``
is what the machine allows: the rate of as many replays that know nothing of each other, at the same time, over that of
one alone.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet
from river.drift import ADWIN, PageHinkley

from load.arguments import seed
from load.output import result, say
from streams.commands import Command
from streams.sinks import FILES, SUMMARY

ROWS = 300_000
LARGE_ROWS = 20_000_000
ROUNDS = 5
MODELS = 8  # of the file that is shared out over processes
PROCESSES = 2
SEED = 1
FEATURES = 8
_PART = 250_000  # rows made at once
_STEP_MS = 1_000
_BEGINS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_ROOT = Path(__file__).resolve().parent.parent


class Replayed(NamedTuple):
    rows_per_s: float
    rss_mib: float


class _Summary(msgspec.Struct):
    records: int
    records_per_second: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=ROWS, help="of the file that speed is measured on: %(default)s")
    large = "of the file that memory is measured on, 0 for none: %(default)s"
    parser.add_argument("--large-rows", type=int, default=LARGE_ROWS, help=large)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--seed", type=seed, default=SEED, help="of the values, default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="driftline-backtest-") as name:
        folder = Path(name)
        report = {
            **_beside_river(arguments, folder),
            **_shared_out(arguments, folder),
            **_large(arguments, folder),
            "features": FEATURES,
            "rounds": arguments.rounds,
            "seed": arguments.seed,
            "cpus": os.cpu_count(),
        }
    ratios = {name: report.pop(name) for name in ("river_loop", "processes")}
    result({"ratios": ratios, **report})
    return 0


def _beside_river(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    small = made(folder / "small.parquet", arguments.rows, arguments.seed)
    ours, theirs = [], []
    for number in range(arguments.rounds):
        ours.append(replayed(small, folder / "results").rows_per_s)
        theirs.append(river_loop(small))
        say(f"round {number + 1} of {arguments.rounds}: {ours[-1]:,.0f} rows/s, River's loop {theirs[-1]:,.0f}")
    return {
        "river_loop": _middle(ours, theirs),
        "rows_per_s": {"driftline": round(statistics.median(ours)), "river_loop": round(statistics.median(theirs))},
        "rows": arguments.rows,
    }


def _shared_out(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    source = made(folder / "models.parquet", arguments.rows, arguments.seed, MODELS)
    one, many, apart, differences = [], [], [], 0
    for number in range(arguments.rounds):
        one.append(replayed(source, folder / "one").rows_per_s)
        beside = replayed_at_once(source, [folder / f"apart-{place}" for place in range(PROCESSES)])
        apart.append(sum(each.rows_per_s for each in beside))
        many.append(replayed(source, folder / "many", ["--processes", str(PROCESSES)]).rows_per_s)
        differences += sum(
            (folder / "one" / file).read_bytes() != (folder / "many" / file).read_bytes() for file in FILES.values()
        )
        say(f"round {number + 1} of {arguments.rounds}: {many[-1]:,.0f} rows/s in two processes, {one[-1]:,.0f} in one")
    return {
        "processes": _middle(many, one),
        "processes_bound": _middle(apart, one),
        "differences": differences,
        "models": MODELS,
    }


def _large(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    if not arguments.large_rows:
        return {"rss_mib": None, "large_rows": 0}
    source = made(folder / "large.parquet", arguments.large_rows, arguments.seed)
    found = replayed(source, folder / "results")
    say(f"{arguments.large_rows:,} rows: {found.rows_per_s:,.0f} rows/s, {found.rss_mib:,.0f} MiB at most")
    return {
        "rss_mib": round(found.rss_mib),
        "large_rows": arguments.large_rows,
        "large_rows_per_s": round(found.rows_per_s),
    }


def _middle(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return round(statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True)), 3)


def made(path: Path, rows: int, seed: int, models: int = 0) -> Path:
    """Numbers that do not drift, an answer and a score; in row groups, as files that grow are written."""
    draw = np.random.default_rng(seed)
    writer = None
    for first in range(0, rows, _PART):
        many = min(_PART, rows - first)
        values = draw.normal(size=(many, FEATURES))
        numbers = np.arange(first, first + many)
        columns: dict[str, Any] = {
            "id": pa.array([f"r{number}" for number in numbers.tolist()]),
            "ts": pa.array(_BEGINS + _STEP_MS * numbers),
            **{f"f{column}": pa.array(values[:, column]) for column in range(FEATURES)},
            "prediction": pa.array(np.where(values[:, 0] > 0, "yes", "no")),
            "score": pa.array(draw.random(many)),
        }
        if models:
            columns["model"] = pa.array([f"m{number % models}" for number in numbers.tolist()])
        table = pa.table(columns)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return path


def replayed(source: Path, results: Path, options: Sequence[str] = ()) -> Replayed:
    """By the command, in a process of its own."""
    return replayed_at_once(source, [results], options)[0]


def replayed_at_once(source: Path, results: Sequence[Path], options: Sequence[str] = ()) -> list[Replayed]:
    """The same, by a command for each place for results."""
    words = [sys.executable, "-m", "streams.cli", "replay", str(source), *options, "--out"]
    with ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile()) for _ in results]
        processes = [
            subprocess.Popen([*words, str(each)], cwd=_ROOT, stdout=heard, stderr=heard)
            for each, heard in zip(results, said, strict=True)
        ]
        return list(map(_ended, processes, said, results))


def _ended(process: "subprocess.Popen[bytes]", said: IO[bytes], results: Path) -> Replayed:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said.seek(0)
        raise RuntimeError(f"the replay ended with status {process.returncode}: {said.read()[-2_000:].decode()}")
    summary = msgspec.json.decode((results / SUMMARY).read_bytes(), type=_Summary)
    return Replayed(summary.records_per_second, usage.ru_maxrss / 1024)


def river_loop(source: Path) -> float:
    """Rows a second of what one writes with River alone: every value of every column into both detectors."""
    detectors = [(ADWIN(), PageHinkley()) for _ in range(FEATURES)]
    names, rows, drifts = [f"f{column}" for column in range(FEATURES)], 0, 0
    began = time.perf_counter()
    with parquet.ParquetFile(source) as file:
        for batch in file.iter_batches(columns=names):
            columns = [column.to_pylist() for column in batch.columns]
            for row in zip(*columns, strict=True):
                for value, (adwin, page_hinkley) in zip(row, detectors, strict=True):
                    adwin.update(value)
                    page_hinkley.update(value)
                    drifts += adwin.drift_detected or page_hinkley.drift_detected
            rows += len(batch)
    return rows / (time.perf_counter() - began)


command = Command(
    "backtest",
    "a replay of a Parquet file, beside a plain loop of River's detectors; and its memory",
    add_arguments,
    run,
    "python -m load backtest --json",
)
