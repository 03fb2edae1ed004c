"""``python -m load backtest``: a replay of a Parquet file beside a plain loop of River's detectors over its columns.

Both read the same file of eight number features, and rounds alternate. The replay is the command itself with everything
that is on by default, and its clock is that of its summary: reading included, starting not. ``rss_mib`` is the most
that a replay of a large file had resident.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet
from river.drift import ADWIN, PageHinkley

from load.arguments import seed
from load.output import result, say
from streams.commands import Command
from streams.sinks import SUMMARY

ROWS = 300_000
LARGE_ROWS = 20_000_000
ROUNDS = 3
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
        small = made(folder / "small.parquet", arguments.rows, arguments.seed)
        ours, theirs = [], []
        for number in range(arguments.rounds):
            ours.append(replayed(small, folder / "results").rows_per_s)
            theirs.append(river_loop(small))
            say(f"round {number + 1} of {arguments.rounds}: {ours[-1]:,.0f} rows/s against {theirs[-1]:,.0f}")
        rss_mib, large_rate = None, None
        if arguments.large_rows:
            large = replayed(made(folder / "large.parquet", arguments.large_rows, arguments.seed), folder / "results")
            rss_mib, large_rate = round(large.rss_mib), round(large.rows_per_s)
            say(f"{arguments.large_rows:,} rows: {large_rate:,} rows/s, {rss_mib} MiB at most")
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    report: dict[str, Any] = {
        "ratios": {"river_loop": round(statistics.median(ratios), 3)},
        "rows_per_s": {"driftline": round(statistics.median(ours)), "river_loop": round(statistics.median(theirs))},
        "rss_mib": rss_mib,
        "large_rows_per_s": large_rate,
        "rows": arguments.rows,
        "large_rows": arguments.large_rows,
        "features": FEATURES,
        "rounds": arguments.rounds,
        "seed": arguments.seed,
        "cpus": os.cpu_count(),
    }
    result(report)
    return 0


def made(path: Path, rows: int, seed: int) -> Path:
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
        table = pa.table(columns)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return path


def replayed(source: Path, results: Path, options: Sequence[str] = ()) -> Replayed:
    """By the command, in a process of its own."""
    words = [sys.executable, "-m", "streams.cli", "replay", str(source), "--out", str(results), *options]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(words, cwd=_ROOT, stdout=said, stderr=said)
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
