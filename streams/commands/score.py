"""``driftline score``: a replay's alarms held against what is known to have changed."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from streams.commands import Command, add_config
from streams.commands.files import SOURCES, add_files, history_of
from streams.errors import UsageError
from streams.terminal import environment, say
from streams.text import json_line, printable

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from streams.history import History
    from streams.river_defaults import RiverDefaults
    from streams.scoring import Alarm, Score, Times
    from streams.truth import Change

OURS = "driftline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, metavar="DIR", help="results of a replay")
    history = f"the history that was replayed, default: the one that the truth names; {SOURCES}"
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help=history)
    truth = "what is known to have changed: a JSON object a line, as inject writes it"
    parser.add_argument("--truth", type=Path, required=True, metavar="FILE", help=truth)
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")
    add_files(parser)
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415 - all of these bring the events

    from streams import score_report, truth  # noqa: PLC0415
    from streams.scoring import always, score  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415

    changes = truth.read(args.truth)
    args.sources = args.sources or _named(changes, args.truth)
    ours = _alarms(args.directory)
    with history_of(args, load(args.config, environment()), quiet=args.json) as history:
        times, river = _gone_through(history)
    told = {OURS: ours, **river.alarms, "always": always(times), "never": []}
    found: dict[str, Score] = {name: score(changes, alarms, times) for name, alarms in told.items()}
    if args.json:
        say(json_line(msgspec.json.encode(found)))
    else:
        for line in score_report.lines(found, OURS):
            say(printable(line))
    return 0


def _named(changes: "list[Change]", path: Path) -> list[str]:
    """Beside the truth, where whoever wrote it says which."""
    names = sorted({str(path.parent / change.history) for change in changes if change.history})
    if not names:
        raise UsageError("names no history", where=str(path), advice="name the files after the directory")
    return names


def _alarms(directory: Path) -> "list[Alarm]":
    from streams.scoring import of_results  # noqa: PLC0415
    from streams.written import ALERTS, SIGNALS, lines_in  # noqa: PLC0415

    alerts = (alert for _, alert in lines_in(directory, ALERTS))
    return of_results(alerts, (finding for _, finding in lines_in(directory, SIGNALS)))


def _gone_through(history: "History") -> "tuple[dict[str, Times], RiverDefaults]":
    from streams.portraits import Reader  # noqa: PLC0415
    from streams.river_defaults import RiverDefaults  # noqa: PLC0415
    from streams.scoring import Times, note  # noqa: PLC0415

    reader, river, times = Reader(), RiverDefaults(), dict[str, Times]()
    for record in history.records:
        event, time = reader.event(record), record.timestamp
        note(times, event, time)
        river.take(event, time)
    return times, river


command = Command(
    "score",
    "Hold a replay's alarms against what is known to have changed, beside River's defaults",
    add_arguments,
    run,
    "driftline score results --truth drifted.truth.jsonl",
)
