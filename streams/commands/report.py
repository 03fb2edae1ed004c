"""``driftline report``: what a replay found, at the terminal, as one page to open, and as tables."""

import argparse
import sys
from pathlib import Path

from streams.commands import Command
from streams.findings.outputs import add_outputs, wanted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    results = "directory that driftline replay or driftline demo wrote"
    parser.add_argument("results", type=Path, metavar="RESULTS", help=results)
    add_outputs(parser, "--to")


def run(args: argparse.Namespace) -> int:
    wanted(args, args.results).of(args.results, sys.stdout)
    return 0


command = Command(
    "report",
    "Look at what a replay found: at the terminal, as one page, as tables",
    add_arguments,
    run,
    "driftline report driftline-results --to june.html",
)
