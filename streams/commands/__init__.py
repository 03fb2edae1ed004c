"""One module a command. ``driftline --help`` imports them all, so what is heavy is imported where it is used."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Command(NamedTuple):
    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    example: str


def add_config(parser: argparse.ArgumentParser) -> None:
    explanation = "TOML file; without one, the defaults and the environment (DRIFTLINE_…) hold"
    parser.add_argument("--config", type=Path, metavar="FILE", help=explanation)
