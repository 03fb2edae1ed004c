"""``python -m load NAME``: the programs that drive and measure Driftline.

With ``--json`` a program prints one JSON object as the last line of standard output; all else goes to standard error.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from load.output import say
from streams.commands import Command

PROGRAMS = (
    "throughput",
    "poison",
    "crash",
    "rebalance",
    "recovery",
    "join",
    "soak",
    "quality",
    "detectors",
    "engine",
    "pagers",
    "storm",
    "latency",
    "demo-seeds",
    "backtest",
    "tune",
    "produce",
    "report",
)  # a module of this package each, with underscores, that has a ``command``


def main(words: Sequence[str] | None = None) -> int:
    """The exit status is 0 for done, 1 for failed, 2 for a call that makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m load", description="drive and measure Driftline")
    programs = parser.add_subparsers(dest="name", metavar="NAME", required=True)
    runs = {}
    for command in map(_command, PROGRAMS):
        # A program that has --json already says the same with it.
        own = programs.add_parser(command.name, help=command.help, conflict_handler="resolve")
        command.add_arguments(own)
        own.add_argument("--json", action="store_true", help="print the figures as one JSON object, last")
        runs[command.name] = command.run
    arguments = parser.parse_args(words)
    try:
        return runs[arguments.name](arguments)
    except KeyboardInterrupt:
        say("stopped")
        return 1


def _command(name: str) -> Command:
    command: Command = import_module(f"load.{name.replace('-', '_')}").command
    return command


if __name__ == "__main__":
    sys.exit(main())
