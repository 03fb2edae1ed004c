"""A report for whoever has no browser: the headline, and a line for each model with its course in eight heights."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.times import UNIT_MS
from streams.findings import words
from streams.findings.collect import Findings, Model
from streams.incident_story import number
from streams.report import counted
from streams.text import printable
from streams.whatif import terminal as whatif

MODELS_MAX = 20  # shown; those that paged most
SPARKS = "▁▂▃▄▅▆▇█"
WIDTH = 24  # characters of a course: an hour each in a day
_BESIDE = 46  # columns that a row needs besides its three courses


def show(found: Findings, console: Console) -> None:
    console.print(Text(printable(f"{words.headline(found)}. {words.for_what(found)}")))
    console.print(Text(f"{words.budget(found)} {words.right(found)}"))
    if said := words.never_right(found):
        console.print(Text(printable(said)))
    if console.is_terminal:
        console.print(_table(found, max(8, min(WIDTH, (console.width - _BESIDE) // 3))))
    else:
        for model in found.models[:MODELS_MAX]:
            console.print(Text("  ".join(_cells(model, found, WIDTH))))
    if len(found.all_models) > MODELS_MAX:
        console.print(Text(f"… and {counted(len(found.all_models) - MODELS_MAX, 'further model')}"))
    if found.whatif is not None:
        whatif.show(found.whatif, console)


def _table(found: Findings, width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("model", "pages", "traffic", "loss", "when paged", "labels"):
        table.add_column(name, no_wrap=name != "model", overflow="fold")
    for model in found.models[:MODELS_MAX]:
        table.add_row(*map(Text, _cells(model, found, width)))
    return table


def _cells(model: Model, found: Findings, width: int) -> Iterator[str]:
    figures, series = model.figures, model.series
    yield printable(words.shown(figures.name))
    bears = "" if figures.allowed is None else f" (budget {number(figures.allowed)})"
    yield f"{figures.pages:,}{bears}"
    yield sparkline(series.of("predictions"), width)
    yield sparkline(series.of("loss_mean"), width)
    yield sparkline(_pages(figures.name, found, width), width)
    yield words.coverage(model)


def _pages(model: str, found: Findings, width: int) -> list[float | None]:
    """Those of each stretch that a character stands for; none is blank."""
    hours = [0.0] * width
    first, last = found.from_ts // UNIT_MS["h"], found.to_ts // UNIT_MS["h"]
    for (name, hour), pages in found.hours.items():
        if name == model:
            hours[min((hour - first) * width // (last - first + 1), width - 1)] += pages
    return [pages or None for pages in hours]


def sparkline(values: Sequence[float | None], width: int = WIDTH) -> str:
    """From the least to the greatest; blank where there is nothing.

    >>> sparkline([0.0, 1.0, 2.0, None, 7.0])
    '▁▂▃ █'
    """
    shown = list(values)
    if len(shown) > width:
        shown = [_mean(shown[at * len(shown) // width : (at + 1) * len(shown) // width]) for at in range(width)]
    known = [value for value in shown if value is not None]
    if not known:
        return ""
    low, span = min(known), max(known) - min(known)
    heights = [None if value is None else round((value - low) / span * 7) if span else 3 for value in shown]
    return "".join(" " if height is None else SPARKS[height] for height in heights)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
