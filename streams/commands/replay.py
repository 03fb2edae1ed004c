"""``driftline replay``: monitors recorded history with the engine that works live."""

import argparse
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from streams.commands import Command, add_config
from streams.commands.files import SOURCES, add_files, history_of
from streams.errors import ContentError, SourceError, UsageError
from streams.terminal import complain, environment
from streams.text import printable

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from schemas.records import RecordLike
    from streams.sections import Settings


class _Opened(NamedTuple):
    """Sources ready to be read."""

    records: "Iterable[RecordLike]"
    fraction: Callable[[], float | None]
    blank_lines: Callable[[], int]
    left_over: Callable[[], str]  # what nothing was made of, in words
    any_stream: bool
    error: type[SourceError]  # what it is when it cannot be read to its end


def add_arguments(parser: argparse.ArgumentParser) -> None:
    sources = f"{SOURCES}; - for standard input; kafka: for all that the input topics hold now"
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=sources)
    add_config(parser)
    results = "directory for the results, default: %(default)s"
    parser.add_argument("--out", type=Path, default=Path("driftline-results"), metavar="DIR", help=results)
    add_files(parser)


def run(args: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415 - all of these bring the engine, or what a quick --help need not wait for

    from streams import embedded, report  # noqa: PLC0415
    from streams.process import prepare  # noqa: PLC0415
    from streams.progress import progress_on  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415
    from streams.sinks import ResultFiles  # noqa: PLC0415
    from streams.summary import Opened  # noqa: PLC0415

    settings = load(args.config, environment())
    shown = Opened()
    with ExitStack() as stack:
        source = _open(args, settings, stack)
        engines = embedded.engines(settings, any_stream=source.any_stream)
        files = stack.enter_context(ResultFiles(args.out))
        prepare()
        progress = stack.enter_context(progress_on(sys.stderr, source.fraction))
        summary = embedded.run(
            source.records,
            settings,
            sinks=(files, shown),
            progress=progress,
            engine_of=engines,
        )
        summary = msgspec.structs.replace(summary, blank_lines=source.blank_lines())
        where = files.finish(summary)
    report.show(summary, shown.alerts, shown.more, str(where), sys.stdout)
    if left_over := source.left_over():
        complain(printable(left_over))
    if summary.error is not None:
        raise source.error(f"{summary.error}; incomplete results are in {where}")
    return 0


def _open(args: argparse.Namespace, settings: "Settings", stack: ExitStack) -> _Opened:
    if any(source.startswith("kafka:") for source in args.sources):
        return _open_kafka(args, settings)
    history = stack.enter_context(history_of(args, settings))
    return _Opened(
        history.records,
        lambda: history.fraction,
        lambda: history.blank_lines,
        lambda: history.left_over,
        any_stream=True,
        error=ContentError,
    )


def _open_kafka(args: argparse.Namespace, settings: "Settings") -> _Opened:
    from streams.connection import check_login  # noqa: PLC0415 - these bring the Kafka client
    from streams.moments import between  # noqa: PLC0415
    from streams.permissions import permissions  # noqa: PLC0415
    from streams.topic_range import KAFKA, Between, TopicRange  # noqa: PLC0415

    if args.sources != [KAFKA] or args.labels or args.mapping:
        advice = "replay one after the other"
        raise UsageError(f"{KAFKA} stands alone, without a name and without files beside it", advice=advice)
    check_login(settings.kafka, permissions(settings.kafka))
    topics = TopicRange(settings.kafka, Between(*between(args.since, args.until)))
    return _Opened(topics, lambda: topics.fraction, lambda: 0, str, any_stream=False, error=SourceError)


command = Command(
    "replay",
    "Monitor recorded events, from files or from what topics hold",
    add_arguments,
    run,
    "driftline replay june.jsonl.gz july.jsonl.gz",
)
