"""``driftline dead-letters``: what was refused, why, and sending it again once the cause is mended."""

import argparse
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

from streams.commands import Command, add_config
from streams.errors import UsageError
from streams.terminal import complain, environment, say
from streams.text import printable

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from schemas.events import DeadLetter
    from streams.dead_letters import Letters
    from streams.settings import Settings

_UNSENDABLE_SHOWN_MAX = 20  # examples of what cannot be sent; the rest is counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = "list: reasons with counts; show: one letter with its value; resend: send the original records again"
    parser.add_argument("action", choices=("list", "show", "resend"), help=actions)
    parser.add_argument("ids", nargs="*", metavar="ID", help="letters by id, or by how it begins")
    add_config(parser)
    parser.add_argument("--file", type=Path, metavar="FILE", help="a dead-letters.jsonl, in place of the Kafka topic")
    parser.add_argument("--reason", help="only letters with this reason")
    parser.add_argument("--all", action="store_true", help="resend: all of them")
    parser.add_argument("--to", metavar="TOPIC", help="resend: the input topic for lines of a replayed file")
    parser.add_argument("--yes", action="store_true", help="resend: do it, not only say what would be done")


def run(args: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415 - this and the Kafka client are not wanted for a quick --help

    from schemas.reasons import DeadLetterReason  # noqa: PLC0415
    from streams.connection import check_login  # noqa: PLC0415
    from streams.permissions import permissions  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415

    if args.reason is not None and args.reason not in list(DeadLetterReason):
        raise UsageError(f"--reason {args.reason}: must be one of {', '.join(DeadLetterReason)}")
    settings = load(args.config, environment())
    if args.file is None or args.action == "resend":
        check_login(settings.kafka, permissions(settings.kafka))
    actions = {"list": _list, "show": _show, "resend": _resend}
    return asyncio.run(actions[args.action](args, settings))


async def _list(args: argparse.Namespace, settings: "Settings") -> int:
    from streams.dead_letters import counted  # noqa: PLC0415
    from streams.report import time_of  # noqa: PLC0415

    counts = await counted(_letters(args, settings))
    for kind, count in sorted(counts.items(), key=lambda item: -item[1].letters):
        span = f"{time_of(count.first_ts)} to {time_of(count.last_ts)}"
        example = f"such as {count.example.id}: {count.example.detail}"
        say(printable(f"{count.letters:>9,}  {kind.reason}  {kind.topic}  {span}  {example}"))
    say(f"{sum(count.letters for count in counts.values()):>9,}  dead letters")
    return 0


async def _show(args: argparse.Namespace, settings: "Settings") -> int:
    if not args.ids:
        raise UsageError("no letter was named", advice="driftline dead-letters list shows an id for each reason")
    shown = 0
    async for letter in _letters(args, settings):
        shown += 1
        for line in _described(letter):
            say(line)
    if not shown:
        raise UsageError("there is no such letter", where=", ".join(args.ids))
    return 0


async def _resend(args: argparse.Namespace, settings: "Settings") -> int:
    from streams import dead_letters  # noqa: PLC0415

    if not (args.ids or args.reason or args.all):
        raise UsageError("which letters?", advice="name ids, a --reason, or --all")
    inputs = settings.kafka.topics.inputs
    to = dead_letters.checked_topic(args.to, inputs)
    ready = unsendable = 0
    if args.yes:
        async with dead_letters.resender(settings.kafka) as resender:
            async for letter in _letters(args, settings):
                record = dead_letters.again(letter, inputs, to)
                if isinstance(record, str):
                    unsendable = _refused(letter, record, unsendable)
                else:
                    await resender.send(record)
        say(f"sent again: {resender.sent:,}; not sent: {unsendable:,}")
        return 0
    async for letter in _letters(args, settings):
        record = dead_letters.again(letter, inputs, to)
        if isinstance(record, str):
            unsendable = _refused(letter, record, unsendable)
        else:
            ready += 1
    say(f"would send again: {ready:,}; not: {unsendable:,}. Nothing was sent; --yes sends")
    return 0


def _refused(letter: "DeadLetter", why: str, before: int) -> int:
    if before < _UNSENDABLE_SHOWN_MAX:
        complain(printable(f"{letter.id}: {why}"))
    return before + 1


def _letters(args: argparse.Namespace, settings: "Settings") -> "Letters":
    from streams.dead_letters import Choice, chosen, in_file, on_topic  # noqa: PLC0415

    source = in_file(args.file) if args.file else on_topic(settings.kafka, complain)
    return chosen(source, Choice(tuple(args.ids), args.reason))


def _described(letter: "DeadLetter") -> list[str]:
    from streams.report import time_of  # noqa: PLC0415

    headers = [f"{name}: {_text(value)}" for name, value in letter.headers]
    lines = [
        f"id        {letter.id}",
        f"reason    {letter.reason}",
        f"detail    {letter.detail}",
        f"position  {letter.topic}[{letter.partition}]@{letter.offset}",
        f"time      {time_of(letter.ts)}",
        f"key       {_text(letter.key)}",
        *(f"header    {header}" for header in headers),
        f"value     {letter.value_bytes:,} bytes{', cut here' if letter.truncated else ''}",
        f"          {_text(letter.value)}",
        "",
    ]
    return [printable(line) for line in lines]


def _text(encoded: str | None) -> str:
    return "none" if encoded is None else b64decode(encoded).decode(errors="backslashreplace")


command = Command(
    "dead-letters",
    "List, show or send again what was refused",
    add_arguments,
    run,
    "driftline dead-letters list --file driftline-results/dead-letters.jsonl",
)
