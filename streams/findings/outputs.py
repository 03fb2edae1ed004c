"""What a person wants of results besides the files: a page, tables, and a look at the terminal."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from streams.errors import UsageError
from streams.text import printable

if TYPE_CHECKING:  # what is heavy is imported when there is something to do
    from streams.findings.truth import Truth


class Wanted(NamedTuple):
    """Checked before anything is read, so that a wrong name does not show after an hour."""

    page: Path | None
    tables: Path | None
    truth: "Truth | None"

    def of(self, results: Path, stream: TextIO) -> None:
        """Shows what there is in short, and makes what was asked for."""
        from streams.findings import terminal  # noqa: PLC0415
        from streams.findings.collect import collect  # noqa: PLC0415
        from streams.report import console_on  # noqa: PLC0415

        found = collect(results, self.truth, drawn=self.page is not None)
        console = console_on(stream)
        terminal.show(found, console)
        if self.page is not None:
            from streams.page.document import write  # noqa: PLC0415

            write(found, self.page)
            console.print(f"Report: {printable(str(self.page))}", markup=False)
        if self.tables is not None:
            from streams.findings.export import export  # noqa: PLC0415
            from streams.findings.tables import tables  # noqa: PLC0415

            parquet = export(tables(found), self.tables)
            also = "" if parquet else "; for Parquet as well: pip install 'driftline[parquet]'"
            console.print(f"Tables: {printable(str(self.tables))}{also}", markup=False)


def add_outputs(parser: argparse.ArgumentParser, page_option: str) -> None:
    page = "one HTML file with everything to look at, which opens without a network"
    parser.add_argument(page_option, dest="page", type=Path, metavar="FILE", help=page)
    tables = "directory for all tables as CSV, and as Parquet where the extra `parquet` is installed"
    parser.add_argument("--tables", type=Path, metavar="DIR", help=tables)
    truth = "known changes, a JSON object a line, to hold pages against"
    parser.add_argument("--truth", type=Path, metavar="FILE", help=truth)


def wanted(args: argparse.Namespace, results: Path) -> Wanted:
    from streams.findings.truth import read  # noqa: PLC0415

    if args.page is not None and (args.page.is_dir() or not args.page.absolute().parent.is_dir()):
        what = "is a directory" if args.page.is_dir() else "lies in a directory that there is not"
        raise UsageError(what, where=str(args.page), advice="name a file for the report")
    for path in (args.page and args.page.absolute().parent, args.tables):
        if path is not None and path.resolve().is_relative_to(results.resolve()):
            advice = "name another place: a later replay refuses a directory with other files"
            raise UsageError("is the directory of the results, or lies in it", where=str(path), advice=advice)
    return Wanted(args.page, args.tables, read(args.truth) if args.truth is not None else None)
