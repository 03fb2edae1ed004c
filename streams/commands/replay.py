"""``driftline replay``: monitors recorded history with the engine that works live."""

import argparse
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from streams.commands import Command, add_config
from streams.commands.files import SOURCES, add_files, history_of, identity_of, refuse_once
from streams.cores import PROCESSES_MAX
from streams.errors import ContentError, SourceError, UsageError
from streams.findings.outputs import add_outputs, wanted
from streams.terminal import complain, environment
from streams.text import printable

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from detectors.rows import Stretch
    from schemas.records import RecordLike
    from streams.journal import Journal
    from streams.sections import Settings
    from streams.sinks import ResultFiles
    from streams.summary import Opened, Summary
    from streams.topic_range import Between


class _Opened(NamedTuple):
    """Sources ready to be read."""

    records: "Iterable[RecordLike | Stretch]"
    fraction: Callable[[], float | None]
    blank_lines: Callable[[], int]
    left_over: Callable[[], str]  # what nothing was made of, in words
    any_stream: bool
    error: type[SourceError]  # what it is when it cannot be read to its end
    large: bool  # too large for a state in memory
    identity: Callable[[], str] | None  # of what decides the results; None where it cannot be read a second time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    sources = f"{SOURCES}; - for standard input; kafka: for all that the input topics hold now"
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=sources)
    add_config(parser)
    results = "directory for the results, default: %(default)s"
    parser.add_argument("--out", type=Path, default=Path("driftline-results"), metavar="DIR", help=results)
    offsets = "of kafka: only these, as TOPIC/PARTITION=FIRST-END, the last excluded; may be given again"
    parser.add_argument("--offsets", action="append", default=[], metavar="STRETCH", help=offsets)
    resume = "go on where a replay into the same directory was interrupted"
    many = "share the models out over so many processes, with the same results; default: %(default)s"
    parser.add_argument("--processes", type=int, default=1, metavar="N", help=many)
    parser.add_argument("--resume", action="store_true", help=resume)
    add_files(parser)
    add_outputs(parser, "--report")


def run(args: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415 - all of these bring the engine, or what a quick --help need not wait for

    from streams import embedded, report  # noqa: PLC0415
    from streams.process import prepare  # noqa: PLC0415
    from streams.progress import progress_on  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415
    from streams.summary import Opened  # noqa: PLC0415

    settings = load(args.config, environment())
    further, shown = wanted(args, args.out), Opened()
    _check_processes(args)
    with ExitStack() as stack:
        source = _open(args, settings, stack)
        engines = embedded.engines(settings, any_stream=source.any_stream)
        files, journal = _results(args, source, stack)
        for alert in files.told_before():
            shown(alert)
        try:
            if args.processes > 1:
                summary, source = _run_shared(args, settings, source, files, shown)
            else:
                prepare()
                with journal or nullcontext(), progress_on(sys.stderr, source.fraction) as progress:
                    summary = embedded.run(
                        source.records,
                        settings,
                        sinks=(files, shown),
                        progress=progress,
                        engine_of=engines,
                        journal=journal,
                    )
        except KeyboardInterrupt:
            if files.goes_on:
                complain(f"what is done lies in {files.partial}; the same call with --resume goes on")
            raise
        summary = msgspec.structs.replace(summary, blank_lines=source.blank_lines())
        where = files.finish(summary)
    report.show(summary, shown.alerts, shown.more, str(where), sys.stdout)
    further.of(where, sys.stdout)
    if left_over := source.left_over():
        complain(printable(left_over))
    if summary.error is not None:
        raise source.error(f"{summary.error}; incomplete results are in {where}")
    return 0


def _check_processes(args: argparse.Namespace) -> None:
    if not 1 <= args.processes <= PROCESSES_MAX:
        raise UsageError(f"must be from 1 to {PROCESSES_MAX}", where=f"--processes {args.processes}")
    if args.processes > 1 and args.resume:
        raise UsageError("what several processes do is not gone on with", where="--resume", advice="leave one out")
    if args.processes > 1:
        refuse_once(args, "each of several processes reads the history")


def _run_shared(
    args: argparse.Namespace, settings: "Settings", source: _Opened, files: "ResultFiles", shown: "Opened"
) -> "tuple[Summary, _Opened]":
    """In several processes. What only shows when all is read, the first of them says."""
    from streams.commands.files import given  # noqa: PLC0415
    from streams.parallel import Processes  # noqa: PLC0415
    from streams.progress import progress_on  # noqa: PLC0415
    from streams.share import Task  # noqa: PLC0415
    from streams.sinks import STATE  # noqa: PLC0415

    tasks = []
    for number in range(args.processes):
        state = files.partial / STATE / str(number)
        state.parent.mkdir(exist_ok=True)
        tasks.append(
            Task(
                given=given(args, settings),
                config=None if args.config is None else str(args.config),
                number=number,
                of=args.processes,
                state=str(state) if source.large else None,
            )
        )
    with (
        Processes(tasks, settings.monitor) as processes,
        progress_on(sys.stderr, lambda: processes.fraction) as progress,
    ):
        summary, last = processes.run((files, shown), progress)
    return summary, source._replace(blank_lines=lambda: last.blank_lines, left_over=lambda: last.left_over)


def _results(args: argparse.Namespace, source: _Opened, stack: ExitStack) -> "tuple[ResultFiles, Journal | None]":
    """Where effects go. The state of what is large is kept on disk, and that of what is to be gone on with."""
    from streams.journal import Journal, reached  # noqa: PLC0415
    from streams.sinks import PARTIAL, STATE, ResultFiles  # noqa: PLC0415

    if args.resume and source.identity is None:
        raise UsageError("--resume goes on with files alone", advice="leave it out: topics and pipes are read anew")
    folder, identity = args.out / PARTIAL / STATE, source.identity() if source.identity is not None else ""
    begins = reached(folder, identity) if args.resume else None
    if args.resume and begins is None:
        complain("there is nothing to go on from: begins at the beginning")
    on_disk = (args.resume or source.large) and args.processes == 1
    goes_on = on_disk and source.identity is not None
    files = stack.enter_context(ResultFiles(args.out, goes_on=goes_on, sizes=begins.sizes if begins else None))
    return files, Journal(folder, identity, files, begins) if on_disk else None


def _open(args: argparse.Namespace, settings: "Settings", stack: ExitStack) -> _Opened:
    if any(source.startswith("kafka:") for source in args.sources):
        return _open_kafka(args, settings)
    if args.offsets:
        raise UsageError("--offsets are of kafka:", advice="take a part of files with --from and --to")
    history = stack.enter_context(history_of(args, settings))
    return _Opened(
        history.stretches,
        lambda: history.fraction,
        lambda: history.blank_lines,
        lambda: history.left_over,
        any_stream=True,
        error=ContentError,
        large=history.outgrows_memory,
        identity=(lambda: identity_of(history, settings)) if history.rereadable else None,
    )


def _open_kafka(args: argparse.Namespace, settings: "Settings") -> _Opened:
    from streams.topic_range import TopicRange  # noqa: PLC0415 - these bring the Kafka client

    topics = TopicRange(settings.kafka, range_of(args, settings))
    return _Opened(
        topics,
        lambda: topics.fraction,
        lambda: 0,
        str,
        any_stream=False,
        error=SourceError,
        large=True,
        identity=None,
    )


def range_of(args: argparse.Namespace, settings: "Settings") -> "Between":
    """What is to be read of the topics, by whoever may read them."""
    from streams.connection import check_login  # noqa: PLC0415 - these bring the Kafka client
    from streams.moments import between  # noqa: PLC0415
    from streams.permissions import permissions  # noqa: PLC0415
    from streams.topic_range import KAFKA, Between, Stretch  # noqa: PLC0415

    if args.sources != [KAFKA] or args.labels or args.mapping:
        advice = "replay one after the other"
        raise UsageError(f"{KAFKA} stands alone, without a name and without files beside it", advice=advice)
    check_login(settings.kafka, permissions(settings.kafka))
    return Between(*between(args.since, args.until), [Stretch.of(text) for text in args.offsets])


command = Command(
    "replay",
    "Monitor recorded events, from files or from what topics hold",
    add_arguments,
    run,
    "driftline replay june.jsonl.gz july.jsonl.gz",
)
