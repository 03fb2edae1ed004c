"""The options of every command that reads history from files, and the files they name."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from streams.terminal import complain
from streams.text import printable

if TYPE_CHECKING:  # what is heavy is imported when the command runs
    from streams.history import Given, History
    from streams.settings import Settings

SOURCES = "JSON lines, CSV, both also gzipped, or Parquet; a folder or a pattern of them"


def add_files(parser: argparse.ArgumentParser) -> None:
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


def refuse_once(args: argparse.Namespace, why: str) -> None:
    """Refuses sources and labels that can be read but once."""
    from streams import sources  # noqa: PLC0415

    sources.refuse_once([*args.sources, *([args.labels] if args.labels is not None else [])], why)


def given(args: argparse.Namespace, settings: "Settings") -> "Given":
    from streams import table_mapping  # noqa: PLC0415
    from streams.history import Given  # noqa: PLC0415
    from streams.moments import between  # noqa: PLC0415
    from streams.table_files import Form  # noqa: PLC0415

    columns = table_mapping.load(args.mapping) if args.mapping is not None else table_mapping.Columns()
    monitor = settings.monitor
    segments = {name for config in (monitor.defaults, *monitor.models.values()) for name in config.segments}
    form = Form(args.format) if args.format is not None else None
    return Given(args.sources, args.labels, columns, sorted(segments), form, *between(args.since, args.until))


def history_of(args: argparse.Namespace, settings: "Settings", *, quiet: bool = False) -> "History":
    """Opened; what was found out about tables is told, unless that was done before."""
    from streams.history import History  # noqa: PLC0415

    history = History(given(args, settings))
    for line in () if quiet else history.told:
        complain(printable(line))
    return history


def identity_of(history: "History", settings: "Settings") -> str:
    """Everything that decides the results, the content of files by their sizes and times."""
    from hashlib import blake2b  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from streams.baselines import files_of  # noqa: PLC0415
    from streams.history import stamp_of  # noqa: PLC0415

    monitor = settings.monitor
    baselines = sorted(
        {name for config in (monitor.defaults, *monitor.models.values()) for name in files_of(config).values()}
    )
    stamps = [stamp_of(Path(settings.folder) / name) for name in baselines]
    parts = [history.identity, monitor, settings.kafka.topics, stamps]
    return blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()
