"""``driftline check``: is this configuration right, and what can one say in it?"""

import argparse
from pathlib import Path

from streams.commands import Command
from streams.errors import UsageError
from streams.terminal import environment, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the TOML file to check")
    explanation = "print every setting with its type, default and meaning, or those of one section"
    parser.add_argument("--explain", nargs="?", const="", metavar="SECTION", help=explanation)


def run(args: argparse.Namespace) -> int:
    if args.explain is not None:
        return _explain(args.explain)
    if args.file is None:
        raise UsageError("no file was named", advice="call driftline check FILE, or driftline check --explain")
    return _check(args.file)


def _check(file: Path) -> int:
    from streams.settings import load  # noqa: PLC0415 - brings the detectors

    settings = load(file, environment())
    models = len(settings.monitor.models)
    said = "1 model with settings of its own" if models == 1 else f"{models:,} models with settings of their own"
    say(f"{file}: all right; {said}, the defaults for the rest")
    return 0


def _explain(section: str) -> int:
    from streams.explain import explained  # noqa: PLC0415 - brings the settings

    say(explained(section))
    return 0


command = Command(
    "check", "Validate a configuration; say every mistake at once", add_arguments, run, "driftline check driftline.toml"
)
