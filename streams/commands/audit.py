"""``driftline audit``: who said what to the monitor and what became of it, and whether the log of it is whole."""

import argparse
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

from streams.commands import Command, add_config, add_from, now_ms
from streams.terminal import complain, environment, say
from streams.text import json_line, printable

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from streams.settings import Settings

BROKEN = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    listed = actions.add_parser("list", help="Control events and what became of them, the oldest first")
    listed.add_argument("--model", metavar="NAME", help="only of this model")
    listed.add_argument("--since", metavar="WHEN", help="only since then: 24h, or 2026-01-31T12:00:00Z")
    verify = actions.add_parser("verify", help="Whether nothing was changed, left out or put in; status 1 where it was")
    for child, example in ((listed, "list --model churn --since 7d"), (verify, "verify")):
        child.epilog = f"example: driftline audit {example}"
        add_from(child)
        child.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
        add_config(child)


def run(args: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415 - this and the Kafka client are not wanted for a quick --help

    from streams.connection import check_login  # noqa: PLC0415
    from streams.permissions import permissions  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415

    settings = load(args.config, environment())
    if args.directory is None:
        check_login(settings.kafka, permissions(settings.kafka))
    return asyncio.run({"list": _list, "verify": _verify}[args.action](args, settings))


async def _list(args: argparse.Namespace, settings: "Settings") -> int:
    from schemas.codec import encode  # noqa: PLC0415
    from streams.audit import LISTED_MAX, Listing, in_directory, on_topic  # noqa: PLC0415
    from streams.audit_list import show  # noqa: PLC0415
    from streams.moments import when  # noqa: PLC0415

    since = when(args.since, "--since") if args.since else None
    listing = Listing(args.model)
    source = in_directory(args.directory) if args.directory else on_topic(settings.kafka, _tell)
    async with aclosing(source) as entries:
        async for entry in entries:
            listing.add(entry)
    # Of recorded history the end is the end of what was recorded, and not now.
    now = listing.newest if args.directory else now_ms()
    found = listing.since(since.before(now) if since is not None else 0)
    if listing.left_out:
        complain(f"{listing.left_out:,} entries are left out: the newest {LISTED_MAX:,} are kept")
    if args.json:
        for entry in found:
            say(json_line(encode(entry)))
    else:
        show(found, sys.stdout)
    return 0


async def _verify(args: argparse.Namespace, settings: "Settings") -> int:
    from streams.audit import chains_in_directory, chains_on_topic  # noqa: PLC0415
    from streams.audit_list import json_of, verdict  # noqa: PLC0415

    topic = settings.kafka.topics.audit
    if args.directory:
        chains = chains_in_directory(args.directory)
    else:
        chains = await chains_on_topic(settings.kafka, _tell)
    lines = [json_of(*one) for one in sorted(chains.items())] if args.json else verdict(topic, chains)
    for line in lines:
        say(line)
    return BROKEN if any(chain.fault for chain in chains.values()) else 0


def _tell(line: str) -> None:
    complain(printable(line))


command = Command(
    "audit",
    "List what was said to the monitor and what became of it; verify the log",
    add_arguments,
    run,
    "driftline audit verify",
)
