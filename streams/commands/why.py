"""``driftline why``: rebuilds the state around an alert, and shows what the detector saw."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from streams.commands import Command, add_config
from streams.commands.files import SOURCES, add_files, given
from streams.errors import UsageError
from streams.terminal import complain, environment, say
from streams.text import json_line, printable

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from schemas.events import Alert
    from streams.progress import Fraction, Progress
    from streams.settings import Settings
    from streams.why.choice import Choice
    from streams.why.sources import Origin


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("alert", metavar="ALERT", help="id of an alert or of an incident, or how one begins")
    sources = f"where its records lie: {SOURCES}; kafka: for the input topics"
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=sources)
    add_config(parser)
    results = (
        "results of the replay that told it; without it, it is looked for on the topic, or by replaying all models"
    )
    parser.add_argument("--results", type=Path, metavar="DIR", help=results)
    offsets = "of kafka: only these, as TOPIC/PARTITION=FIRST-END, the last excluded; may be given again"
    parser.add_argument("--offsets", action="append", default=[], metavar="STRETCH", help=offsets)
    add_files(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")


def run(args: argparse.Namespace) -> int:
    from streams.process import prepare  # noqa: PLC0415 - these bring the engine, or what --help need not wait for
    from streams.report import console_on  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415
    from streams.why import story  # noqa: PLC0415
    from streams.why.answer import answer, as_json  # noqa: PLC0415
    from streams.why.rebuild import see  # noqa: PLC0415

    settings = load(args.config, environment())
    origin = _origin(args, settings)
    alert = _alert(args, settings, origin)
    prepare()
    found = answer(alert, see(origin, settings, alert, _progress_on), origin)
    if args.json:
        say(json_line(as_json(found)))
    else:
        story.show(found, console_on(sys.stdout))
    return 0


def _origin(args: argparse.Namespace, settings: "Settings") -> "Origin":
    from streams.topic_range import KAFKA  # noqa: PLC0415
    from streams.why.sources import Files, Topics  # noqa: PLC0415

    if not any(source.startswith(KAFKA) for source in args.sources):
        if args.offsets:
            raise UsageError("--offsets are of kafka:", advice="take a part of files with --from and --to")
        return Files(given(args, settings), args.since)
    from streams.commands.replay import range_of  # noqa: PLC0415

    return Topics(settings.kafka, range_of(args, settings), args.since)


def _alert(args: argparse.Namespace, settings: "Settings", origin: "Origin") -> "Alert":
    from streams.why.choice import Choice  # noqa: PLC0415
    from streams.why.rebuild import find  # noqa: PLC0415
    from streams.written import ALERTS, lines_in  # noqa: PLC0415

    choice = Choice(args.alert)
    if args.results is not None:
        for _, alert in lines_in(args.results, ALERTS):
            choice.add(alert)
        return choice.alert(str(args.results))
    if origin.any_stream:
        return find(origin, settings, choice, _progress_on)
    return _on_topic(settings, choice)


def _on_topic(settings: "Settings", choice: "Choice") -> "Alert":
    import asyncio  # noqa: PLC0415
    from contextlib import aclosing  # noqa: PLC0415

    from streams.alerts import on_topic  # noqa: PLC0415

    async def read() -> None:
        async with aclosing(on_topic(settings.kafka, _tell)) as alerts:
            async for alert in alerts:
                choice.add(alert)
                if choice.settled:
                    return

    asyncio.run(read())
    return choice.alert(settings.kafka.topics.alerts)


def _tell(line: str) -> None:
    complain(printable(line))


def _progress_on(fraction: "Fraction") -> "Progress":
    from streams.progress import progress_on  # noqa: PLC0415

    return progress_on(sys.stderr, fraction)


command = Command(
    "why",
    "Rebuild the state around an alert, and show what the detector saw",
    add_arguments,
    run,
    "driftline why 5d0c3f9a1b7e june.jsonl.gz --results driftline-results",
)
