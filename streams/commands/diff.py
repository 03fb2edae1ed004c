"""``driftline diff``: what two histories told otherwise, replays' results or what stands on the live topics."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from streams.commands import Command, add_config
from streams.errors import UsageError
from streams.terminal import complain, environment, say
from streams.text import json_line, printable

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from streams.differences import Side
    from streams.settings import Settings

KAFKA = "kafka:"
DIFFER = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    side = f"directory of results of a replay; or {KAFKA} for what stands on the topics of alerts and of retrain events"
    parser.add_argument("a", metavar="A", help=side)
    parser.add_argument("b", metavar="B", help="the same")
    parser.add_argument("--from", dest="since", metavar="TIME", help="only what was told at this stream time or later")
    parser.add_argument("--to", dest="until", metavar="TIME", help="only what was told before this stream time")
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415 - all of these bring the engine, or what a quick --help need not wait for

    from streams import difference_report  # noqa: PLC0415
    from streams.differences import compare, within  # noqa: PLC0415
    from streams.moments import between  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415

    if args.a == args.b:
        raise UsageError("A and B are the same", where=args.a, advice="name two")
    since, until = between(args.since, args.until)
    settings = load(args.config, environment())
    a, b = (within(_side(name, settings), since, until) for name in (args.a, args.b))
    found = compare(a, b)
    if args.json:
        say(json_line(msgspec.json.encode(found)))
    else:
        for line in difference_report.lines(found, args.a, args.b):
            say(printable(line))
    return DIFFER if found.differences else 0


def _side(name: str, settings: "Settings") -> "Side":
    from streams.differences import Side, bounded  # noqa: PLC0415
    from streams.written import ADVICE, ALERTS, lines_in  # noqa: PLC0415

    if name == KAFKA:
        return _live(settings)
    alerts = bounded((alert for _, alert in lines_in(Path(name), ALERTS)), name)
    return Side(alerts, bounded((event for _, event in lines_in(Path(name), ADVICE)), name))


def _live(settings: "Settings") -> "Side":
    import asyncio  # noqa: PLC0415

    from streams.connection import check_login  # noqa: PLC0415
    from streams.differences import EVENTS_MAX, Side  # noqa: PLC0415
    from streams.permissions import permissions  # noqa: PLC0415
    from streams.written import ADVICE, ALERTS, on_topic  # noqa: PLC0415

    async def read() -> "Side":
        alerts = [one async for one in on_topic(settings.kafka, ALERTS, complain, EVENTS_MAX)]
        advice = [one async for one in on_topic(settings.kafka, ADVICE, complain, EVENTS_MAX)]
        return Side(alerts, advice)

    check_login(settings.kafka, permissions(settings.kafka))
    return asyncio.run(read())


command = Command(
    "diff",
    "Compare what two replays told, or a replay and the live topics; exit status 1 where they differ",
    add_arguments,
    run,
    "driftline diff results-before results-after",
)
