"""``driftline replay``: monitors recorded history with the engine that works live."""

import argparse
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from streams.commands import Command, add_config
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
    sources = (
        "JSON lines, CSV, both also gzipped, or Parquet; a folder or a pattern of them; - for standard input; "
        "kafka: for all that the input topics hold now"
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=sources)
    add_config(parser)
    results = "directory for the results, default: %(default)s"
    parser.add_argument("--out", type=Path, default=Path("driftline-results"), metavar="DIR", help=results)
    form = "of all files read; without it each one's name says it"
    parser.add_argument("--format", choices=("jsonl", "csv", "parquet"), help=form)
    mapping = "TOML file that says what the columns of tables are; without it that is found out and shown"
    parser.add_argument("--mapping", type=Path, metavar="FILE", help=mapping)
    labels = "labels in a file of their own: outcomes as JSON lines, or a table with the ids of predictions"
    parser.add_argument("--labels", metavar="FILE", help=labels)
    since = (
        "only what came at this time or later, such as 2026-01-31T12:00:00Z: append time of a topic, else event time"
    )
    parser.add_argument("--from", dest="since", metavar="TIME", help=since)
    parser.add_argument("--to", dest="until", metavar="TIME", help="only what came before this time")


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
    from streams import table_mapping  # noqa: PLC0415
    from streams.history import Given, History  # noqa: PLC0415
    from streams.moments import between  # noqa: PLC0415
    from streams.table_files import Form  # noqa: PLC0415

    if any(source.startswith("kafka:") for source in args.sources):
        return _open_kafka(args, settings)
    columns = table_mapping.load(args.mapping) if args.mapping is not None else table_mapping.Columns()
    monitor = settings.monitor
    segments = {name for config in (monitor.defaults, *monitor.models.values()) for name in config.segments}
    form = Form(args.format) if args.format is not None else None
    history = stack.enter_context(
        History(Given(args.sources, args.labels, columns, segments, form, *between(args.since, args.until)))
    )
    for line in history.told:
        complain(printable(line))
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
