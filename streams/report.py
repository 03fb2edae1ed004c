"""What a person sees after a replay: the models, and each alert with its time and its sentence."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NoReturn, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from detectors.counts import Counts
from schemas.events import Alert
from schemas.times import TS_END, TS_MIN
from streams.summary import Summary
from streams.text import printable

_PLAIN_WIDTH = 200  # where there is no terminal: more than any table needs, so that no name is cut
_COLUMNS = ("consumed", "applied", "duplicate", "late", "dead_lettered")
COLOURS = {"critical": "bold red", "warning": "yellow"}


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise  # noqa: PLE0704 - the command's own way with whoever stops reading; rich would end the process


def console_on(stream: TextIO) -> Console:
    """Where there is no terminal, a line stays one line."""
    plain = not stream.isatty()
    return _Console(file=stream, highlight=False, soft_wrap=plain, width=_PLAIN_WIDTH if plain else None)


def show(summary: Summary, opened: Sequence[Alert], more: int, where: str, stream: TextIO) -> None:
    console = console_on(stream)
    console.print(_records(summary.partitions))
    for line in _refused(summary.dead_letters):
        console.print(line)
    for alert in () if stream.isatty() else opened:
        console.print(_line(alert))
    if stream.isatty() and opened:
        console.print(_alerts(opened))
    if not opened:
        console.print(Text("No alert was opened."))
    if more:
        console.print(Text(f"… and {more:,} more, in alerts.jsonl"))
    console.print(Text(_closing(summary, where)))


def _records(partitions: Mapping[str, Mapping[str, Counts]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("records of", overflow="fold")
    table.add_column("partition", justify="right")
    for name in _COLUMNS:
        table.add_column(name.replace("_", " "), justify="right")
    for topic, by_partition in sorted(partitions.items()):
        for number, counts in sorted(by_partition.items(), key=lambda item: int(item[0])):
            table.add_row(Text(printable(topic)), number, *(f"{getattr(counts, name):,}" for name in _COLUMNS))
    return table


def _refused(reasons: Mapping[str, int]) -> Iterator[Text]:
    if reasons:
        counted = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
        yield Text(f"Dead letters by reason: {counted}")


def _line(alert: Alert) -> Text:
    """Where there is no terminal a sentence stays on one line, for grep."""
    return Text(printable(f"{time_of(alert.ts)} {alert.severity} {alert.model} {alert.kind}: {alert.summary}"))


def _alerts(opened: Sequence[Alert]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("opened", "severity", "model", "kind", "what"):
        table.add_column(name, no_wrap=name == "opened", overflow="fold")
    for alert in opened:
        severity = Text(alert.severity, style=COLOURS.get(alert.severity, ""))
        words = (Text(printable(part)) for part in (alert.model, alert.kind, alert.summary))
        table.add_row(time_of(alert.ts), severity, *words)
    return table


def _closing(summary: Summary, where: str) -> str:
    span = summary.time_range
    period = f" from {time_of(span.from_ts)} to {time_of(span.to_ts)}" if span else ""
    alerts = sum(count for kinds in summary.alerts.values() for count in kinds.values())
    models = f" on {counted(len(summary.alerts), 'model')}" if alerts else ""
    rate = f"{summary.records_per_second:,.0f} a second"
    said = f"{counted(summary.records, 'record')}{period} in {summary.seconds:.1f} s, {rate}."
    return f"{said} {counted(alerts, 'alert')}{models}. Results: {printable(where)}"


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def time_of(milliseconds: int) -> str:
    if not TS_MIN <= milliseconds < TS_END:  # somebody else's number: no date has it
        return f"{milliseconds} ms"
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"
