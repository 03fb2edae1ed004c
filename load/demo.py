"""``driftline demo``: a generated day of traffic through the real engine, and what it found beside what was hidden."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from load.arguments import seed
from streams.commands import Command
from streams.whole import whole_bytes, writing

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from load.scenarios import Scenario
    from schemas.records import Record

SEED = 1
OUT = Path("driftline-demo")
NEWLINE = b"\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=seed, default=SEED, metavar="N", help="which day, default: %(default)s")
    results = "directory for the results, default: %(default)s"
    parser.add_argument("--out", type=Path, default=OUT, metavar="DIR", help=results)
    events = "also write the day's events, for `driftline replay FILE`; .gz compresses"
    parser.add_argument("--write-events", type=Path, metavar="FILE", help=events)


def run(args: argparse.Namespace) -> int:
    # The engine and the generators take a second to load, which a quick --help need not wait for.
    from load.demo_report import announce, console_on, show  # noqa: PLC0415
    from load.scenarios import scenario  # noqa: PLC0415
    from load.trial import try_out  # noqa: PLC0415
    from streams.process import prepare  # noqa: PLC0415
    from streams.progress import progress_on  # noqa: PLC0415
    from streams.sections import Settings  # noqa: PLC0415
    from streams.sinks import ResultFiles  # noqa: PLC0415

    console, day, settings = console_on(sys.stdout), scenario(args.seed), Settings()
    announce(console, day)
    prepare()
    total, done = day.event_count(), 0
    with ExitStack() as stack:
        files = stack.enter_context(ResultFiles(args.out))
        write = stack.enter_context(_writing(args.write_events))
        progress = stack.enter_context(progress_on(sys.stderr, lambda: done / total))

        def advance(records: int) -> None:
            nonlocal done
            done += records
            progress(records)

        records = _seen(day, write)
        trial = try_out(day, settings, records=records, sinks=(files,), progress=advance)
        where = files.finish(trial.summary)
    show(console, trial)
    console.print(_closing(where, args.write_events, args.seed), soft_wrap=True)
    return 0


def _seen(day: "Scenario", write: Callable[[bytes], object]) -> "Iterator[Record]":
    from schemas.topics import TopicNames  # noqa: PLC0415

    for record in day.records(TopicNames()):
        write(record.value + NEWLINE if record.value else NEWLINE)
        yield record


@contextmanager
def _writing(path: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Where the events go as lines; the file stands under its name only when it is whole."""
    if path is None:
        yield lambda line: None
        return
    with writing("the events", path, "name another file with --write-events"), whole_bytes(path) as file:
        yield file.write


def _closing(where: Path, events: Path | None, seed: int) -> str:
    further = f"driftline replay {events}" if events else f"driftline demo --seed {seed + 1}"
    return f"Alerts, signals and metrics are in {where}/. Try next: {further}"


command = Command(
    "demo",
    "Monitor a generated day of traffic with known drifts, without a broker",
    add_arguments,
    run,
    "driftline demo --seed 7",
)
