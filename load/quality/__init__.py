"""``python -m load quality``: how well drifts are found, how late, and how often an alarm is false.

Everything goes through one scorer, beside a detector that always fires, one that never does, and River's defaults.
Streams that are made here need nothing; the others need ``--data``, and what it lacks is skipped and said.

* ``calibration``: the time to the first false alarm, measured over asked;
* ``river_rows_per_false_alarm``: the same of River's defaults, in rows, by the rate of errors;
* ``baselines``: columns that alarm although nothing changes, where few rows have taught them;
* ``delay``: rows from a jump of the error rate to the alarm, at one false alarm in 100,000 rows;
* ``concepts``: a classifier that learns on the way, and is rebuilt with its detector at each alarm;
* ``improvement``: what it costs to take what gets better for damage;
* ``flow``: silence and volume, where traffic is as ever and where it is not;
* ``electricity``, ``still``: the whole monitor on real rows, with a drift put in and without one.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from load.arguments import seed
from load.output import result, say
from load.quality.calibration import calibration, delays, rivals, short_baselines
from load.quality.concepts import concepts, improvement
from load.quality.flow import flow
from load.quality.whole import electricity, still
from streams.commands import Command

SEED = 1
PARTS = ("calibration", "baselines", "delay", "concepts", "improvement", "flow", "electricity", "still")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="a folder of benchmark streams; without it, only those made here")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part, or several; default: all")
    parser.add_argument("--seed", type=seed, default=SEED, help="of what is made, default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    if arguments.data is not None and not arguments.data.is_dir():
        say(f"quality: --data {arguments.data}: there is no such folder")
        return 2
    began = time.monotonic()
    wanted = arguments.only or PARTS
    skipped: list[str] = []
    figures: dict[str, Any] = {"seed": arguments.seed}
    if "calibration" in wanted:
        figures["calibration"] = calibration(arguments.seed)
        figures["river_rows_per_false_alarm"] = rivals(arguments.seed)
    if "baselines" in wanted:
        figures["short_baselines"] = short_baselines(arguments.seed)
    if "delay" in wanted:
        figures["delay"] = delays(arguments.seed)
    if "improvement" in wanted:
        figures["improvement"] = improvement(arguments.seed)
    if "flow" in wanted:
        figures["flow"] = flow(arguments.seed)
    figures |= _of_data(arguments.data, wanted, arguments.seed, skipped)
    for what in skipped:
        say(f"quality: skipped {what}")
    result(figures | {"skipped": skipped, "seconds": round(time.monotonic() - began)})
    return 0


def _of_data(folder: Path | None, wanted: Sequence[str], seed: int, skipped: list[str]) -> dict[str, Any]:
    of_data = [part for part in ("concepts", "electricity", "still") if part in wanted]
    if folder is None:
        skipped += [f"{part}: no --data" for part in of_data]
        return {}
    figures: dict[str, Any] = {}
    if "concepts" in of_data:
        figures |= concepts(folder, skipped)
    if "electricity" in of_data:
        figures["electricity"] = electricity(folder, seed, skipped)
    if "still" in of_data:
        figures["still"] = still(folder, seed, skipped)
    return figures


command = Command(
    "quality",
    "how late drifts are found, and how often an alarm is false",
    add_arguments,
    run,
    "python -m load quality --data DIR --json",
)
