"""``driftline inject``: a copy of real history with drifts in it that are known."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from streams.commands import Command, add_config
from streams.commands.files import SOURCES, add_files, history_of, refuse_once
from streams.errors import UsageError
from streams.terminal import environment, say
from streams.whole import whole_bytes, writing

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from streams.history import History
    from streams.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=SOURCES)
    out = (
        "the copy, as JSON lines, packed where it ends in .gz; what is true of it stands beside it, in NAME.truth.jsonl"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=out)
    spec = (
        "KIND or KIND:key=value,…: shift, scale, missing, unit, swap, category, flip or delay, with any of model, "
        "feature, size, segment, from, to, over and every; may be given again; what is not said is drawn"
    )
    parser.add_argument("--spec", action="append", required=True, metavar="SPEC", help=spec)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what is drawn, default: %(default)s")
    add_files(parser)
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    from streams import truth  # noqa: PLC0415 - all of these bring the events
    from streams.injecting import Drift, injected, planned  # noqa: PLC0415
    from streams.injection_spec import parse  # noqa: PLC0415
    from streams.portraits import portraits  # noqa: PLC0415
    from streams.progress import progress_on  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415

    specs, beside = [parse(text) for text in args.spec], truth_of(args.out)
    if args.seed < 0:
        raise UsageError("must be 0 or more", where=f"--seed {args.seed}")
    for path in (args.out, beside):
        if path.exists():
            raise UsageError("is there already", where=str(path), advice="name another file with --out")
    settings = load(args.config, environment())
    with _read(args, settings) as history:
        models = portraits(history.records)
    drifts = [Drift(plan) for plan in planned(specs, models, args.seed)]
    with (
        _read(args, settings, quiet=True) as history,
        writing("the copy", args.out, "name another file with --out"),
        whole_bytes(args.out) as file,
        progress_on(sys.stderr, lambda: history.fraction) as progress,
    ):
        for line in injected(history.records, drifts):
            file.write(line + b"\n")
            progress(1)
    changes = sorted((change for drift in drifts for change in drift.changes), key=lambda change: change.starts_ms)
    truth.write(beside, [truth.in_history(change, args.out.name) for change in changes])
    for change in changes:
        say(f"{change.model}: {change.what}, from row {change.from_row:,}" + _until(change.to_row))
    say(f"{len(changes)} changes in {args.out}, told in {beside}")
    return 0


def truth_of(out: Path) -> Path:
    from streams.truth import SUFFIX  # noqa: PLC0415 - it brings the events

    name = out.name.removesuffix(".gz")
    return out.with_name(name.removesuffix(Path(name).suffix) + SUFFIX)


def _until(row: int | None) -> str:
    return f" to {row:,}" if row is not None else " to the end"


def _read(args: argparse.Namespace, settings: "Settings", *, quiet: bool = False) -> "History":
    refuse_once(args, "history is read twice")
    return history_of(args, settings, quiet=quiet)


command = Command(
    "inject",
    "Put known drifts into a copy of real history, to see what would be found",
    add_arguments,
    run,
    "driftline inject june.jsonl.gz --out drifted.jsonl.gz --seed 1 --spec shift:size=1 --spec missing",
)
