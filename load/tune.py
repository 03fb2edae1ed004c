"""``python -m load tune``: what ``driftline tune`` gains on real rows, on drifts with seeds that it never saw.

A naive Bayes classifier learns from the first quarter of Electricity and is frozen; the rest is its production, two
rows an hour, as they came: with seasons, and with changes that nobody has written down. ``--shuffled`` puts the rows
into an order in which nothing changes but what is put in. The command searches there. Then the configuration that it
wrote, the defaults and River's defaults are held against drifts of another seed, in the part that was not tuned on.
``f1_river`` is the better of River's two.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from load.arguments import seed
from load.output import result, say
from load.quality.data import table
from load.quality.learning import errors
from streams.commands import Command
from streams.commands.tune import CONFIGURATION, FOUND, TRIALS
from streams.cores import PROCESSES_MAX, cores
from streams.history import Given
from streams.scoring import Score
from streams.settings import load
from streams.terminal import environment
from streams.tuning.kept import KeptTrials, Trial
from streams.tuning.parts import parts_of
from streams.tuning.search import Tuned, held_against
from streams.tuning.space import budget
from streams.tuning.trials import OURS, Ground, Trials

DATA = "electricity/electricity.csv.gz"
BUDGET = "1/month"
TRAINED = 0.25
STEP_MS = 1_800_000
BEGINS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
UNSEEN = 1_000_000  # added to the seed
DRIFTS = 27  # of the last comparison: of each kind three
# Of two rows an hour, twelve a window: each would be one by itself, and close with an event that nobody reads.
GIVEN = '[defaults]\nmetrics_window = "6h"\n'
_ROOT = Path(__file__).resolve().parent.parent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="a folder of benchmark streams; without it nothing is measured")
    parser.add_argument(
        "--seed", type=seed, default=1, help="of the search; the figures have another, default: %(default)s"
    )
    parser.add_argument("--budget", default=BUDGET, help="as of driftline tune, default: %(default)s")
    parser.add_argument("--drifts", type=int, default=DRIFTS, help="of the last comparison, default: %(default)s")
    parser.add_argument("--shuffled", action="store_true", help="rows in an order without any change")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where all of it stays; default: nowhere")
    parser.add_argument("--candidates", type=int, default=12, help="as of driftline tune, default: %(default)s")
    parser.add_argument("--replays", type=int, default=9, help="as of driftline tune, default: %(default)s")
    many = min(cores(), PROCESSES_MAX)
    parser.add_argument("--processes", type=int, default=many, help="default: one for each core")


def run(arguments: argparse.Namespace) -> int:
    if arguments.data is not None and not arguments.data.is_dir():
        say(f"tune: --data {arguments.data}: there is no such folder")
        return 2
    source = None if arguments.data is None else arguments.data / DATA
    if source is None or not source.exists():
        skipped = "electricity: no --data" if source is None else f"electricity: no {DATA}"
        say(f"tune: skipped {skipped}")
        result({"f1_default": None, "f1_tuned": None, "f1_river": None, "skipped": [skipped]})
        return 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="driftline-tune-") as temporary:
        folder = Path(arguments.keep or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        history = production(source, folder / "electricity.csv", arguments.seed if arguments.shuffled else None)
        tuned = _tuned(history, folder / "tuned", arguments)
        scores = _held_against(history, folder, arguments)
    figures = {name: _told(score) for name, score in scores.items()}
    result(
        {
            "f1_default": scores["default"].f1,
            "f1_tuned": scores["tuned"].f1,
            "f1_river": max(score.f1 for name, score in scores.items() if name.startswith("river")),
            "better": tuned.better,
            "changes": tuned.changes,
            "pages": {"before": tuned.before.pages, "after": tuned.after.pages},
            "scores": figures,
            "budget": tuned.budget,
            "shuffled": arguments.shuffled,
            "seed": arguments.seed,
            "drifts": arguments.drifts,
            "skipped": [],
            "seconds": round(time.monotonic() - began),
        }
    )
    return 0


def production(source: Path, path: Path, shuffled: int | None) -> Path:
    """Rows with the answers of a classifier that learned before they came; as they came, or shuffled by a seed."""
    whole = table(source, leave_out=("date",))
    order = np.arange(len(whole.labels))
    if shuffled is not None:
        order = np.random.default_rng([shuffled, 0]).permutation(order)
    values, labels = whole.values[order], whole.labels[order]
    trained = int(TRAINED * len(labels))
    guesses = errors(values, labels, whole.classes, trained)[:, 1].astype(int)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ts", *(f"f{column}" for column in range(values.shape[1])), "prediction", "label"])
        for row in range(trained, len(labels)):
            time_ms = BEGINS + STEP_MS * (row - trained)
            writer.writerow([time_ms, *values[row].tolist(), f"c{guesses[row]}", f"c{labels[row]}"])
    return path


def _tuned(history: Path, out: Path, arguments: argparse.Namespace) -> Tuned:
    given = history.with_suffix(".toml")
    given.write_text(GIVEN)
    words = [sys.executable, "-m", "streams.cli", "tune", str(history), "--config", str(given), "--out", str(out)]
    words += ["--budget", arguments.budget, "--seed", str(arguments.seed)]
    words += [f"--{name}={getattr(arguments, name)}" for name in ("candidates", "replays", "processes")]
    say(subprocess.run(words, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return msgspec.json.decode((out / FOUND).read_bytes(), type=Tuned)


def _held_against(history: Path, folder: Path, arguments: argparse.Namespace) -> Mapping[str, Score]:
    """What each makes of the same drifts."""
    parts = {part.name: part for part in parts_of(Given([str(history)]))}
    ground = Ground(load(folder / "tuned" / CONFIGURATION, environment()), parts, arguments.seed + UNSEEN)
    given = ground._replace(settings=load(history.with_suffix(".toml"), environment()))
    tuned = _of(ground, [{}], folder, arguments)
    default = _of(given, [budget(arguments.budget).changes, None], folder, arguments)
    told = {"default": default.pop(OURS), "tuned": tuned[OURS], **default}
    for name, score in told.items():
        say(f"tune, {name}: {_told(score)}")
    return told


def _of(
    ground: Ground, settings: Sequence[Mapping[str, object] | None], folder: Path, arguments: argparse.Namespace
) -> dict[str, Score]:
    numbers = range(arguments.drifts + 1)
    found: dict[str, Score] = {}
    with (
        KeptTrials(folder / TRIALS, "", resume=False) as kept,
        Trials(ground, kept, arguments.processes) as running,
    ):
        for changes in settings:
            tried = running.of([Trial("validation", number, changes) for number in numbers])
            held = {name: held_against(ground.parts["validation"], tried, name) for name in tried[0].alarms}
            found |= {name: one.side().score for name, one in held.items()}
    return found


def _told(score: Score) -> dict[str, object]:
    names = ("f1", "found", "missed", "false", "delay_rows", "rows_per_false_alarm")
    return {name: getattr(score, name) for name in names}


command = Command(
    "tune",
    "what driftline tune gains, on drifts that it never saw",
    add_arguments,
    run,
    "python -m load tune --data DIR --json",
)
