"""``driftline tune``: settings that find more in this history, or sooner, and page no more than you can bear."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.commands import Command, add_config
from streams.commands.files import SOURCES, add_files, given, history_of, identity_of, refuse_once
from streams.cores import PROCESSES_MAX, cores
from streams.errors import UsageError
from streams.terminal import complain, environment, say
from streams.text import json_line, printable
from streams.whole import PARTIAL, whole, writing

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from streams.sections import Settings
    from streams.tuning.search import Tuned, Wanted

CONFIGURATION, TRIALS, FOUND = "driftline.toml", "trials.jsonl", "tuning.json"
_OURS = frozenset({CONFIGURATION, TRIALS, FOUND, CONFIGURATION + PARTIAL, FOUND + PARTIAL})
_MOST = {"--candidates": (2, 1_000), "--replays": (3, 1_000), "--processes": (1, PROCESSES_MAX), "--seed": (0, 2**32)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=SOURCES)
    budget = "false pages that a model may have, such as 1/month or 1/100000rows; default: what the configuration says"
    parser.add_argument("--budget", metavar="BUDGET", help=budget)
    out = f"directory for {CONFIGURATION}, what was found and the trials, default: %(default)s"
    parser.add_argument("--out", type=Path, default=Path("driftline-tuned"), metavar="DIR", help=out)
    many = "settings to try, default: %(default)s"
    parser.add_argument("--candidates", type=int, default=24, metavar="N", help=many)
    replays = "replays with drifts, for those that come to the last round; twice as many validate; default: %(default)s"
    parser.add_argument("--replays", type=int, default=12, metavar="N", help=replays)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what is drawn, default: %(default)s")
    most = min(cores(), PROCESSES_MAX)
    parser.add_argument("--processes", type=int, default=most, metavar="N", help="default: one for each core")
    resume = "go on where the same search into the same directory was interrupted"
    parser.add_argument("--resume", action="store_true", help=resume)
    tables = "directory for what was gained by model and by feature, as CSV, and as Parquet with the extra `parquet`"
    parser.add_argument("--tables", type=Path, metavar="DIR", help=tables)
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    add_files(parser)
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415 - all of these bring the engine

    from streams.findings.export import export  # noqa: PLC0415
    from streams.settings import content_of, load  # noqa: PLC0415
    from streams.tuning import report  # noqa: PLC0415
    from streams.tuning.search import Wanted  # noqa: PLC0415
    from streams.tuning.space import budget  # noqa: PLC0415

    _check(args)
    wanted = Wanted(budget(args.budget) if args.budget else None, args.candidates, args.replays, args.seed)
    content = b"" if args.config is None else content_of(args.config)  # once: it may be changed during the search
    settings = load(args.config, environment(), content)
    tuned = _searched(args, settings, wanted)
    _write(args.out / FOUND, msgspec.json.format(msgspec.json.encode(tuned), indent=2) + b"\n")
    written = _configuration(args, content, tuned)
    _write(args.out / CONFIGURATION, written)
    if args.tables is not None:
        export(report.tables(tuned), args.tables)
    if above := _above(written, tuned.written):
        what = "stand above what was written; unset them where it is to be replayed"
        complain(printable(f"in the environment, {', '.join(above)} {what}"))
    if args.json:
        say(json_line(msgspec.json.encode(tuned)))
        return 0
    for line in report.lines(tuned):
        say(printable(line))
    say(printable(f"Configuration: {args.out / CONFIGURATION}"))
    return 0


def _check(args: argparse.Namespace) -> None:
    refuse_once(args, "history is read many times")
    for option, (low, high) in _MOST.items():
        value = getattr(args, option.removeprefix("--"))
        if not low <= value <= high:
            raise UsageError(f"must be from {low:,} to {high:,}", where=f"{option} {value}")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        strangers = {entry.name for entry in args.out.iterdir()} - _OURS
    except OSError as error:
        raise UsageError(f"is no directory to write to: {error.strerror}", where=str(args.out)) from error
    if strangers:
        what = f"holds {min(strangers)}, which no search has written"
        raise UsageError(what, where=str(args.out), advice="name an empty directory with --out")
    if args.tables is not None and args.tables.resolve().is_relative_to(args.out.resolve()):
        advice = "name another place: a later search refuses a directory with other files"
        raise UsageError("lies in the directory of the search", where=str(args.tables), advice=advice)


def _searched(args: argparse.Namespace, settings: "Settings", wanted: "Wanted") -> "Tuned":
    from streams.progress import progress_on  # noqa: PLC0415
    from streams.tuning.kept import KeptTrials  # noqa: PLC0415
    from streams.tuning.parts import parts_of  # noqa: PLC0415
    from streams.tuning.search import Search  # noqa: PLC0415
    from streams.tuning.trials import Ground, Trials  # noqa: PLC0415

    with history_of(args, settings, quiet=args.json) as history:
        of = _identity(identity_of(history, settings), args.seed)
    parts = parts_of(given(args, settings))
    ground = Ground(settings, {part.name: part for part in parts}, args.seed)
    try:
        with (
            KeptTrials(args.out / TRIALS, of, resume=args.resume) as kept,
            Trials(ground, kept, args.processes) as trials,
        ):
            if len(kept):
                complain(f"{len(kept):,} trials are known already")
            search = Search(trials, parts, settings.monitor, wanted)
            with progress_on(sys.stderr, lambda: trials.fraction) as progress:
                trials.progress = progress
                return search.run()
    except KeyboardInterrupt:
        complain(printable(f"what is done lies in {args.out}; the same call with --resume goes on"))
        raise


def _identity(of_history: str, seed: int) -> str:
    from importlib.metadata import version  # noqa: PLC0415

    return f"{of_history} {seed} {version('driftline')}"


def _configuration(args: argparse.Namespace, content: bytes, tuned: "Tuned") -> bytes:
    """As it was given, to the byte, where nothing is to be changed in it and it still means the same there."""
    import tomllib  # noqa: PLC0415

    from streams.tuning import report  # noqa: PLC0415

    table = tomllib.loads(content.decode("utf-8-sig"))
    moved = _moved(table, args.config.parent if args.config is not None else Path(), args.out)
    if args.config is not None and not tuned.written and moved == table:
        return content
    return report.configuration(moved, tuned).encode()


def _above(content: bytes, changes: Mapping[str, Any]) -> list[str]:
    """Variables of the environment that set what was changed: they hold in place of what the file says."""
    import tomllib  # noqa: PLC0415

    from streams.environment import overlay  # noqa: PLC0415
    from streams.problems import one_above_other  # noqa: PLC0415

    origins, _ = overlay(tomllib.loads(content.decode("utf-8-sig")), environment())
    changed = [tuple(key.split(".")) for key in changes]
    own = {"defaults": 1, "models": 2}  # what stands before the key
    keys = {name: path[own[path[0]] :] for path, name in origins.items() if path[0] in own}
    return sorted(name for name, key in keys.items() if any(one_above_other(key, one) for one in changed))


def _moved(table: Mapping[str, Any], before: Path, after: Path) -> dict[str, Any]:
    """Paths of baselines begin where the configuration lies."""
    from detectors.config import WARM_UP  # noqa: PLC0415

    def path(name: str) -> str:
        return name if Path(name).is_absolute() else os.path.relpath(before / name, after)

    def model(own: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
        files = own.get("baselines", {})
        changed: dict[str, Any] = {**own}
        if files:
            changed["baselines"] = {name: path(file) for name, file in files.items()}
        if own.get("baseline", WARM_UP) not in (WARM_UP, *files, *named):
            changed["baseline"] = path(own["baseline"])
        return changed

    named = table.get("defaults", {}).get("baselines", {})
    moved = dict(table)
    if "defaults" in table:
        moved["defaults"] = model(table["defaults"], {})
    if "models" in table:
        moved["models"] = {name: model(own, named) for name, own in table["models"].items()}
    return moved


def _write(path: Path, content: bytes) -> None:
    with writing("what was found", path, "name another directory with --out"), whole(path) as partial:
        partial.write_bytes(content)


command = Command(
    "tune",
    "Search for settings that suit a history, and hold them against drifts that they were not tuned on",
    add_arguments,
    run,
    'driftline tune june.jsonl.gz --budget "1/month"',
)
