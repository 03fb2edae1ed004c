"""``driftline check``: is this configuration right, and what can one say in it?"""

import argparse
import sys
from pathlib import Path

from streams.commands import Command
from streams.errors import UsageError
from streams.terminal import environment, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the TOML file to check")
    explanation = "print every setting with its type, default and meaning, or those of one section"
    calibration = "print what the budget of false alarms means: thresholds, and how soon changes are found"
    parser.add_argument("--calibration", action="store_true", help=calibration)
    parser.add_argument(
        "--rows-per-month", type=float, default=1e6, metavar="N", help="traffic to say it for, default: %(default)g"
    )
    parser.add_argument(
        "--columns", type=int, default=20, metavar="N", help="features and shares to say it for, default: %(default)s"
    )
    parser.add_argument("--explain", nargs="?", const="", metavar="SECTION", help=explanation)


def run(args: argparse.Namespace) -> int:
    if args.explain is not None:
        return _explain(args.explain)
    if args.file is None:
        raise UsageError("no file was named", advice="call driftline check FILE, or driftline check --explain")
    if not 0 < args.rows_per_month < float("inf") or args.columns < 1:
        raise UsageError("--rows-per-month and --columns must be above 0", advice="leave them out for the defaults")
    return _check(args)


def _check(args: argparse.Namespace) -> int:
    from streams.baseline_report import show  # noqa: PLC0415 - these bring the detectors
    from streams.baselines import loaded  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415

    settings = load(args.file, environment())
    baselines = loaded(settings)
    models = len(settings.monitor.models)
    said = "1 model with settings of its own" if models == 1 else f"{models:,} models with settings of their own"
    say(f"{args.file}: all right; {said}, the defaults for the rest")
    for baseline in baselines:
        show(baseline, sys.stdout)
    if args.calibration:
        from streams.calibration import Traffic, explained  # noqa: PLC0415 - brings the detectors

        traffic = Traffic(args.rows_per_month, args.columns)
        for name, config in {"defaults": settings.monitor.defaults, **settings.monitor.models}.items():
            for line in explained(name, config, traffic):
                say(line)
    return 0


def _explain(section: str) -> int:
    from streams.explain import explained  # noqa: PLC0415 - brings the settings

    say(explained(section))
    return 0


command = Command(
    "check", "Validate a configuration; say every mistake at once", add_arguments, run, "driftline check driftline.toml"
)
