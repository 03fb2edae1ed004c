"""What a person sees of a baseline: how much of it there is, what it says of each feature, and what it cannot say."""

from collections.abc import Iterator
from typing import TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from detectors.learning import Portrait
from streams.baselines import Baseline
from streams.report import console_on, time_of
from streams.text import printable

_COLUMNS = ("feature", "kind", "values", "missing", "usual", "state")


def show(baseline: Baseline, stream: TextIO) -> None:
    console = console_on(stream)
    for line in _heading(baseline):
        console.print(Text(printable(line)))
    table = Table(box=box.SIMPLE_HEAD)
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name in ("values", "missing") else "left", overflow="fold")
    for portrait in baseline.learned.portraits:
        table.add_row(*(Text(printable(cell)) for cell in _cells(portrait)))
    console.print(table)


def _heading(baseline: Baseline) -> Iterator[str]:
    learned, model = baseline.learned, baseline.model or "models without settings of their own"
    since, until = learned.span
    span = f", {time_of(since)} to {time_of(until)}" if since > 0 else ""
    yield f"{model}: baseline {learned.origin.name}, content {learned.origin.digest}, from {baseline.path}"
    losses = "the loss is known" if learned.knows_losses else "the loss is learned from the stream"
    yield f"  {learned.rows:,} rows{span}, {learned.labels:,} with a label: {losses}"
    if baseline.left:
        yield f"  the file has more: {baseline.left}"
    segments = sorted(segment for segment in learned.states if segment is not None)
    if segments:
        yield f"  segments with a baseline of their own: {', '.join(segments)}"


def _cells(portrait: Portrait) -> tuple[str, ...]:
    kind = "not known" if portrait.kind == "auto" else portrait.kind
    return (portrait.name, kind, f"{portrait.values:,}", f"{portrait.missing:.1%}", _usual(portrait), portrait.state)


def _usual(portrait: Portrait) -> str:
    if portrait.mean is not None and portrait.sd is not None:
        return f"{portrait.mean:.4g} ± {portrait.sd:.4g}"
    return ", ".join(f"{category} {share:.1%}" for category, share in portrait.top)
