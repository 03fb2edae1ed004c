"""``driftline dead-letters``: what was refused, why, and sending it again once the cause is mended."""

import argparse

from streams.commands import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(args: argparse.Namespace) -> int:
    raise NotImplementedError


command = Command(
    "dead-letters", "List, show or send again what was refused", add_arguments, run, "driftline dead-letters list"
)
