"""``driftline control``: says something to the monitor, as one event on the control topic."""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from streams.commands import Command, add_config, now_ms
from streams.errors import UsageError
from streams.terminal import complain, environment, say, user
from streams.text import json_line, printable

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from schemas.events import Control
    from streams.settings import Settings


def _word(text: str) -> str:
    """What is longer is a document, and is better linked."""
    from schemas.events import WORD_CHARACTERS_MAX  # noqa: PLC0415 - it is not wanted for a quick --help

    if not text.strip():
        raise argparse.ArgumentTypeError("is empty")
    if len(text) > WORD_CHARACTERS_MAX:
        raise argparse.ArgumentTypeError(f"has {len(text):,} characters: at most {WORD_CHARACTERS_MAX:,} are allowed")
    return text


_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "--model": {"metavar": "NAME", "help": "the model's name"},
    "--version": {"metavar": "VERSION", "help": "the version that serves from now on, as in its predictions"},
    "--incident": {"metavar": "ID", "help": "the incident; without --model, how it begins is enough"},
    "--verdict": {"choices": ("true_alarm", "false_alarm"), "help": "what the incident turned out to be"},
    "--signal": {"metavar": "SIGNAL", "help": "only this signal, such as feature:age; without it, every one"},
    "--segment": {"metavar": "SEGMENT", "help": "only this segment, such as country=de; without it, every one"},
    "--baseline": {"metavar": "NAME", "help": "what is normal from now on: one of the model's baselines, or warm-up"},
    "--reason": {"metavar": "TEXT", "help": "why, for whoever asks later"},
    "--until": {"metavar": "WHEN", "help": "its end: 2h from now, or 2026-01-31T12:00:00Z"},
    "--for-ever": {"action": "store_true", "help": "it has no end but an unmute"},
}
_ENDS = ("--until", "--for-ever")  # a mute has one of them


class _Action(NamedTuple):
    about: str
    needs: Sequence[str]
    takes: Sequence[str]
    example: str


_ACTIONS: Mapping[str, _Action] = {
    "deploy": _Action(
        "Another version serves: alarms of the one before are closed",
        ("--model", "--version"),
        ("--baseline", "--reason"),
        "--model churn --version 2026.02.1",
    ),
    "rollback": _Action(
        "An earlier version serves again",
        ("--model", "--version"),
        ("--baseline", "--reason"),
        "--model churn --version 2026.01.3 --reason 'worse on new customers'",
    ),
    "baseline": _Action(
        "What comes from now on is what is normal, or what a baseline of that name says: alarms are closed",
        ("--model",),
        ("--baseline", "--reason"),
        "--model churn --reason 'prices changed for good'",
    ),
    "mute": _Action(
        "Open no alarm of a model, or of signals or segments of it, for a time; or page nobody about one incident",
        ("--reason",),
        ("--model", "--incident", "--signal", "--segment", *_ENDS),
        "--model churn --signal feature:age --until 2h --reason backfill",
    ),
    "unmute": _Action(
        "End a mute: name signal and segment, or the incident, as the mute did",
        (),
        ("--model", "--incident", "--signal", "--segment", "--reason"),
        "--model churn --signal feature:age",
    ),
    "acknowledge": _Action(
        "Somebody looks after an incident", ("--incident",), ("--model", "--reason"), "--incident 5d0c3f9a1b7e4c26"
    ),
    "resolve": _Action(
        "Close an incident by hand",
        ("--incident",),
        ("--model", "--reason"),
        "--incident 5d0c3f9a1b7e4c26 --reason 'the upstream table is mended'",
    ),
    "verdict": _Action(
        "Say whether an incident was a true or a false alarm",
        ("--incident", "--verdict"),
        ("--model", "--reason"),
        "--incident 5d0c3f9a1b7e4c26 --verdict false_alarm",
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")
    for name, action in _ACTIONS.items():
        child = actions.add_parser(
            name,
            help=action.about,
            description=action.about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=f"example: driftline control {name} {action.example}",
        )
        for option in action.needs:
            _add(child, option, required=True)
        ends = [option for option in action.takes if option in _ENDS]
        for option in action.takes:
            if option not in ends:
                _add(child, option)
        if ends:
            group = child.add_mutually_exclusive_group(required=True)
            for option in ends:
                _add(group, option)
        child.add_argument("--by", type=_word, metavar="WHO", help="who says so; without it, the system's user")
        child.add_argument("--dry-run", action="store_true", help="print the event as JSON and send nothing")
        add_config(child)


def _add(parser: Any, option: str, **more: Any) -> None:
    settings = dict(_OPTIONS[option])
    if "action" not in settings and "choices" not in settings:
        settings["type"] = _word
    parser.add_argument(option, **settings, **more)


def run(args: argparse.Namespace) -> int:
    import asyncio  # noqa: PLC0415 - this and the Kafka client are not wanted for a quick --help

    from streams.settings import load  # noqa: PLC0415

    by = args.by or user()
    if by is None:
        raise UsageError("the system has no name for whoever runs this", advice="say it with --by")
    return asyncio.run(_run(args, by, load(args.config, environment())))


async def _run(args: argparse.Namespace, by: str, settings: "Settings") -> int:
    from schemas.codec import encode  # noqa: PLC0415 - these bring the Kafka client
    from streams.connection import check_login  # noqa: PLC0415
    from streams.control import find, send  # noqa: PLC0415
    from streams.permissions import permissions  # noqa: PLC0415
    from streams.signing import signer_of  # noqa: PLC0415

    if args.model is None and args.incident is None:
        raise UsageError("whose alarms?", advice="say it with --model or --incident")
    event = _event(args, by)  # what is wrong with the call is said before any broker is asked
    signer = signer_of(settings.control, now_ms())
    if event.model is None or not args.dry_run:
        check_login(settings.kafka, permissions(settings.kafka))
    if event.model is None:
        named = await find(settings.kafka, args.incident, lambda line: complain(printable(line)))
        args.incident, args.model = named
        event = _event(args, by)
    if args.dry_run:
        say(json_line(encode(event)))
        return 0
    place = await send(settings.kafka, event, signer)
    of = f" of {event.incident}" if event.incident else ""
    signed = f", signed with {signer.name}" if signer else ""
    say(printable(f"{place}: {event.action}{of} for {event.model}, id {event.id}{signed}"))
    return 0


def _event(args: argparse.Namespace, by: str) -> "Control":
    """The event that the call means. Where the incident says whose it is, any name will do until that is known."""
    from uuid import uuid4  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from schemas.events import Control, ControlAction, Verdict  # noqa: PLC0415
    from streams.control import checked  # noqa: PLC0415
    from streams.moments import when  # noqa: PLC0415

    now = now_ms()
    given = {
        name: getattr(args, name, None) for name in ("version", "incident", "signal", "segment", "baseline", "verdict")
    }
    verdict = given.pop("verdict")
    until = when(args.until, "--until").after(now) if getattr(args, "until", None) else None
    if until is not None and until <= now:
        raise UsageError(f"{args.until!r} is over already", where="--until")
    event = Control(
        v=1,
        id=str(uuid4()),
        ts=now,
        action=ControlAction(args.action),
        model=args.model,
        by=by,
        reason=args.reason,
        until=until,
        verdict=Verdict(verdict) if verdict else None,
        **given,
    )
    checked(event if event.model is not None else msgspec.structs.replace(event, model="unknown"))
    return event


command = Command(
    "control",
    "Tell the monitor of a deployment, a mute, or what became of an incident",
    add_arguments,
    run,
    "driftline control mute --model churn --signal feature:age --until 2h --reason backfill",
)
