"""One module a command. ``driftline --help`` imports them all, so what is heavy is imported where it is used."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Command(NamedTuple):
    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    example: str


def add_from(parser: argparse.ArgumentParser) -> None:
    results = "results of a replay or a demo, in place of the Kafka topic"
    parser.add_argument("--from", dest="directory", type=Path, metavar="DIR", help=results)


def now_ms() -> int:
    return int(time.time() * 1000)


def add_config(parser: argparse.ArgumentParser) -> None:
    explanation = "TOML file; without one, the defaults and the environment (DRIFTLINE_…) hold"
    parser.add_argument("--config", type=Path, metavar="FILE", help=explanation)
