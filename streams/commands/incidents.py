"""``driftline incidents``: what is open, the whole story of one, and alerts as they come."""

import argparse
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

from streams.commands import Command, add_config, add_from, now_ms
from streams.errors import UsageError
from streams.terminal import complain, environment, say
from streams.text import json_line, printable

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from schemas.events import Severity
    from streams.alerts import Alerts
    from streams.moments import When
    from streams.settings import Settings

_SEVERITIES = ("info", "warning", "critical")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    listed = _action(actions, "list", "Those that are open", "--model churn --severity warning")
    listed.add_argument("--all", action="store_true", help="also those that are over")
    _add_filters(listed, "only what had a step since then: 24h, or 2026-01-31T12:00:00Z")
    add_from(listed)
    shown = _action(actions, "show", "One of them, from its first step to its last", "5d0c3f9a1b7e4c26")
    shown.add_argument("id", metavar="ID", help="the incident, or how its id begins")
    add_from(shown)
    follow = _action(actions, "follow", "Alerts as they come, until Ctrl-C", "--severity critical")
    _add_filters(follow, "begin with those that were written since then: 24h, or 2026-01-31T12:00:00Z")
    for child in (listed, shown, follow):
        child.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
        add_config(child)


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, about: str, example: str
) -> argparse.ArgumentParser:
    return actions.add_parser(
        name,
        help=about,
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"example: driftline incidents {name} {example}",
    )


def _add_filters(parser: argparse.ArgumentParser, since: str) -> None:
    parser.add_argument("--model", metavar="NAME", help="only of this model")
    parser.add_argument("--severity", choices=_SEVERITIES, help="only of this severity, or a worse one")
    parser.add_argument("--since", metavar="WHEN", help=since)


def run(args: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415 - this and the Kafka client are not wanted for a quick --help

    from streams.connection import check_login  # noqa: PLC0415
    from streams.permissions import permissions  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415

    settings = load(args.config, environment())
    if getattr(args, "directory", None) is None:
        check_login(settings.kafka, permissions(settings.kafka))
    actions = {"list": _list, "show": _show, "follow": _follow}
    try:
        return asyncio.run(actions[args.action](args, settings))
    except KeyboardInterrupt:
        if args.action == "follow":
            return 0  # as it was said that it ends
        raise


async def _list(args: argparse.Namespace, settings: "Settings") -> int:
    from streams.incident_list import json_of, show  # noqa: PLC0415
    from streams.incidents import INCIDENTS_MAX, Choice, Incidents  # noqa: PLC0415

    since = _since(args)
    choice = Choice(args.all, args.model, _severity(args))
    incidents, newest = Incidents(), 0
    async with aclosing(_alerts(args, settings)) as alerts:
        async for alert in alerts:
            newest = max(newest, alert.ts)
            if choice.might_include(alert):
                incidents.add(alert)
    if since is not None:
        # Of recorded history the end is the end of what was recorded, of whatever model, and not now.
        now = newest if args.directory else now_ms()
        choice = Choice(args.all, args.model, _severity(args), since.before(now))
    found = incidents.chosen(choice)
    if incidents.left_out:
        complain(f"{incidents.left_out:,} incidents are left out: {INCIDENTS_MAX:,} are kept, and what is open first")
    if args.json:
        for incident in found:
            say(json_of(incident))
    else:
        show(found, over_too=args.all, stream=sys.stdout)
    return 0


async def _show(args: argparse.Namespace, settings: "Settings") -> int:
    from schemas.codec import encode  # noqa: PLC0415
    from streams.incident_story import show  # noqa: PLC0415
    from streams.incidents import Story  # noqa: PLC0415
    from streams.report import console_on  # noqa: PLC0415

    if not args.id:
        raise UsageError("no incident was named", advice="driftline incidents list shows their ids")
    story = Story(args.id)
    async with aclosing(_alerts(args, settings)) as alerts:
        async for alert in alerts:
            story.add(alert)
    steps = story.steps()
    if args.json:
        for step in steps:
            say(json_line(encode(step)))
        return 0
    config = ("--config", str(args.config)) if args.config else ()
    # What a replay found is history: nobody waits for it to be acknowledged.
    show(steps, story.left_out, console_on(sys.stdout), None if args.directory else config)
    return 0


async def _follow(args: argparse.Namespace, settings: "Settings") -> int:
    from schemas.codec import encode  # noqa: PLC0415
    from streams.alerts import live  # noqa: PLC0415
    from streams.incident_list import print_step  # noqa: PLC0415
    from streams.incidents import severe  # noqa: PLC0415
    from streams.report import console_on  # noqa: PLC0415

    since, least, console = _since(args), _severity(args), console_on(sys.stdout)
    start = since.before(now_ms()) if since is not None else None
    async with aclosing(live(settings.kafka, start, _tell)) as alerts:
        async for alert in alerts:
            if args.model not in (None, alert.model) or not severe(alert, least):
                continue
            if args.json:
                say(json_line(encode(alert)))
            else:
                print_step(alert, console)
            sys.stdout.flush()  # whoever reads it through a pipe wants it now
    return 0


def _alerts(args: argparse.Namespace, settings: "Settings") -> "Alerts":
    from streams.alerts import in_directory, on_topic  # noqa: PLC0415

    return in_directory(args.directory) if args.directory else on_topic(settings.kafka, _tell)


def _tell(line: str) -> None:
    complain(printable(line))


def _severity(args: argparse.Namespace) -> "Severity | None":
    from schemas.events import Severity  # noqa: PLC0415

    return Severity(args.severity) if args.severity else None


def _since(args: argparse.Namespace) -> "When | None":
    from streams.moments import when  # noqa: PLC0415

    return when(args.since, "--since") if args.since else None


command = Command(
    "incidents",
    "List incidents, show the whole story of one, follow alerts live",
    add_arguments,
    run,
    "driftline incidents list --since 24h",
)
