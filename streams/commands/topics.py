"""``driftline topics``: what the catalogue says, made so on the brokers."""

import argparse

from streams.commands import Command, add_config
from streams.terminal import environment, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("create",), help="create: make every topic that is not there yet")
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415 - this and the client are not wanted for a quick --help

    from streams import topics  # noqa: PLC0415
    from streams.connection import check_login  # noqa: PLC0415
    from streams.permissions import permissions  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415

    kafka = load(args.config, environment()).kafka
    check_login(kafka, permissions(kafka))
    for name, made in asyncio.run(topics.create(kafka)).items():
        say(f"{name}: {made}")
    # What was there before may not be what a worker needs: better said now than when it starts.
    asyncio.run(topics.verify(kafka, permissions(kafka)))
    return 0


command = Command(
    "topics",
    "Create the topics as the catalogue says",
    add_arguments,
    run,
    "driftline topics create --config driftline.toml",
)
