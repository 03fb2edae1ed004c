"""``driftline replay``: monitors recorded history with the engine that works live."""

import argparse
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from streams.commands import Command, add_config
from streams.errors import SourceError, UsageError
from streams.findings.outputs import add_outputs, wanted
from streams.terminal import environment

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from schemas.records import RecordLike
    from streams.sections import Settings


class _Opened(NamedTuple):
    """Sources ready to be read."""

    records: "Iterable[RecordLike]"
    fraction: Callable[[], float | None]
    blank_lines: Callable[[], int]
    any_stream: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    sources = "JSON lines, also gzipped; - for standard input; kafka: for all that the input topics hold now"
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=sources)
    add_config(parser)
    results = "directory for the results, default: %(default)s"
    parser.add_argument("--out", type=Path, default=Path("driftline-results"), metavar="DIR", help=results)
    parser.add_argument("--format", choices=("jsonl",), default="jsonl", help="of the files read, default: %(default)s")
    add_outputs(parser, "--report")


def run(args: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415 - all of these bring the engine, or what a quick --help need not wait for

    from streams import embedded, report  # noqa: PLC0415
    from streams.process import prepare  # noqa: PLC0415
    from streams.progress import progress_on  # noqa: PLC0415
    from streams.settings import load  # noqa: PLC0415
    from streams.sinks import ResultFiles  # noqa: PLC0415
    from streams.summary import Opened  # noqa: PLC0415

    settings = load(args.config, environment())
    further, shown = wanted(args, args.out), Opened()
    with ExitStack() as stack:
        source = _open(args.sources, settings, stack)
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
    further.of(where, sys.stdout)
    if summary.error is not None:
        raise SourceError(f"{summary.error}; incomplete results are in {where}")
    return 0


def _open(sources: list[str], settings: "Settings", stack: ExitStack) -> _Opened:
    from streams.sources import in_order, open_files  # noqa: PLC0415

    if any(source.startswith("kafka:") for source in sources):
        return _open_kafka(sources, settings)
    files = stack.enter_context(open_files(sources))
    sizes = [file.size for file in files]
    total = None if None in sizes else sum(size or 0 for size in sizes)

    def fraction() -> float | None:
        return sum(file.bytes_read for file in files) / total if total else None

    return _Opened(in_order(files), fraction, lambda: sum(file.blank_lines for file in files), any_stream=True)


def _open_kafka(sources: list[str], settings: "Settings") -> _Opened:
    from streams.connection import check_login  # noqa: PLC0415 - these bring the Kafka client
    from streams.permissions import permissions  # noqa: PLC0415
    from streams.topic_range import KAFKA, TopicRange  # noqa: PLC0415

    if sources != [KAFKA]:
        advice = "replay one after the other"
        raise UsageError(f"{KAFKA} stands alone, without a name and without files beside it", advice=advice)
    check_login(settings.kafka, permissions(settings.kafka))
    topics = TopicRange(settings.kafka)
    return _Opened(topics, lambda: topics.fraction, lambda: 0, any_stream=False)


command = Command(
    "replay",
    "Monitor recorded events, from files or from what topics hold",
    add_arguments,
    run,
    "driftline replay june.jsonl.gz july.jsonl.gz",
)
