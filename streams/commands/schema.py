"""``driftline schema``: the contracts for other people's programs."""

import argparse

from streams.commands import Command
from streams.terminal import say

_FORMATS = ("json-schema", "asyncapi")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=_FORMATS, default=_FORMATS[0], help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    import orjson  # noqa: PLC0415 - for a quick --help

    from schemas import spec  # noqa: PLC0415 - for a quick --help

    document = spec.asyncapi() if args.format == "asyncapi" else spec.json_schema()
    say(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
    return 0


command = Command(
    "schema", "Print JSON Schema or AsyncAPI of every event", add_arguments, run, "driftline schema --format asyncapi"
)
