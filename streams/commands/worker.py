"""``driftline worker``: the live worker on Kafka."""

import argparse

from streams.commands import Command, add_config
from streams.terminal import environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    from streams import logs, worker  # noqa: PLC0415 - brings Faust and the detectors
    from streams.settings import load  # noqa: PLC0415

    settings = load(args.config, environment())
    logs.set_up(settings.log)
    return worker.run(settings)


command = Command(
    "worker",
    "Monitor live, on Kafka, until told to stop",
    add_arguments,
    run,
    "driftline worker --config driftline.toml",
)
