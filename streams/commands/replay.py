"""``driftline replay``: monitors recorded history with the engine that works live."""

import argparse
from pathlib import Path

from streams.commands import Command, add_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    sources = "JSONL file, also gzipped; - for standard input; kafka: for all that the input topics hold now"
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=sources)
    add_config(parser)
    results = "directory for the results, default: %(default)s"
    parser.add_argument("--out", type=Path, default=Path("driftline-results"), metavar="DIR", help=results)
    parser.add_argument("--format", choices=("jsonl",), default="jsonl", help="of the files read, default: %(default)s")


def run(args: argparse.Namespace) -> int:
    raise NotImplementedError


command = Command(
    "replay",
    "Monitor recorded events, without a broker",
    add_arguments,
    run,
    "driftline replay june.jsonl.gz july.jsonl.gz",
)
