"""``driftline topics``: what the catalogue says, made so on the brokers."""

import argparse

from streams.commands import Command, add_config
from streams.terminal import environment, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("create",), help="create: declare every topic that is not there yet")
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    from streams import topics  # noqa: PLC0415 - brings the Kafka client
    from streams.settings import load  # noqa: PLC0415

    settings = load(args.config, environment())
    for line in topics.create(settings.kafka):
        say(line)
    return 0


command = Command(
    "topics",
    "Create the topics as the catalogue says",
    add_arguments,
    run,
    "driftline topics create --config driftline.toml",
)
