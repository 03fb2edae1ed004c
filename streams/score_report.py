"""Scores against the truth, in lines for people."""

from collections.abc import Iterator, Mapping, Sequence

from detectors.wording import lasting
from streams.report import time_of
from streams.scoring import Find, Score

_HEAD = ("", "found", "missed", "false", "F1", "delay", "rows", "labels", "rows per false", "days per false")


def lines(found: Mapping[str, Score], ours: str) -> Iterator[str]:
    for find in found[ours].finds:
        yield _line(find)
    yield ""
    yield from compared(found)


def compared(found: Mapping[str, Score]) -> Iterator[str]:
    """A line for each who told."""
    yield from aligned([_HEAD, *(_row(name, score) for name, score in found.items())])


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Cells below each other, the first of a row to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        yield "  ".join((first.ljust(widths[0]), *cells)).rstrip()


def _line(find: Find) -> str:
    change = find.change
    what = f"{time_of(change.starts_ms)} {find.model}: {change.what or 'a change'}"
    if find.delay_ms is None:
        return f"{what}: missed"
    labels = f", {find.labels:,} labels" if find.labels else ""
    return f"{what}: found in {find.signal} after {lasting(find.delay_ms)}, {find.delay_rows:,} rows{labels}"


def _row(name: str, score: Score) -> tuple[str, ...]:
    counted = f"> {score.rows:,}"
    return (
        name,
        f"{score.found:,}",
        f"{score.missed:,}",
        f"{score.false:,}",
        f"{score.f1:.3f}",
        "-" if score.delay_ms is None else lasting(int(score.delay_ms)),
        "-" if score.delay_rows is None else f"{score.delay_rows:,.0f}",
        "-" if score.labels is None else f"{score.labels:,.0f}",
        counted if score.rows_per_false_alarm is None else f"{score.rows_per_false_alarm:,.0f}",
        "-" if score.days_per_false_alarm is None else f"{score.days_per_false_alarm:,.2f}",
    )
