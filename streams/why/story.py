"""What a detector saw before an alert, for whoever was paged: the numbers, the rows, and the statistic as a plot."""

import math
from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from detectors.lifecycle import Disposition
from detectors.view import Baseline
from schemas.events import Audit, Evidence, Signal
from streams.findings.terminal import SPARKS, sparkline
from streams.findings.words import NOTHING
from streams.incident_story import details, facts, number, row
from streams.report import COLOURS, counted, time_of
from streams.text import printable
from streams.why.answer import Answer
from streams.why.rows import Row, Window
from streams.why.sources import told

PLOT_WIDTH, PLOT_HEIGHT = 60, 8
CELL_CHARACTERS_MAX = 40
_STEPS = len(SPARKS)
_LEAST = 1e-6  # of a threshold: what is less is nothing to look at
_CAUSES = "cause_"
_COLUMNS = ("", "row", "time", "record", "id", "holds", "measured", "answer", "score", "threshold")
_NUMBERS = frozenset({"row", "record", "holds", "measured", "threshold"})
_WIDE = 110  # columns that all of these need
_CHANGED, _REPORTED = "▲ changed", "▲ reported"
# What became of a report, for whoever has not read docs/detection.md.
_MEANT: Mapping[str, str] = {
    Disposition.OPENED: "an alarm opened",
    Disposition.SUSPECTED: "held back: the rows after it were to bear it out",
    Disposition.NOTED: "noted: this detector keeps to no budget, and another one here does",
    Disposition.ALREADY_OPEN: "an alarm of it was open already",
    Disposition.IMPROVEMENT: "no harm: it got better",
    Disposition.MUTED: "muted; looked at again when the mute ended",
    Disposition.GROUPED: "the alarm joined an incident",
    Disposition.SHOWN: "more was known of an alarm",
    Disposition.OVER: "an alarm was over, and its incident was not",
    Disposition.WAITING: "the alarm waited for having lasted long enough",
    Disposition.PASSED: "the alarm did not last long enough",
}


def show(answer: Answer, console: Console) -> None:
    style = COLOURS.get(answer.alert.severity, "")
    console.print(Text(printable(answer.alert.summary), style=style))
    console.print()
    for line in (*_head(answer), "", *_report(answer)):
        console.print(Text(line))
    _titled(console, "What was normal, and what came", _normal(answer))
    _titled(console, _title_of_plot(answer), plot(answer.course, answer.window))
    _rows(console, "Rows around the change", answer.change, answer.window)
    shown = {each.row for each in answer.change}
    _rows(console, "Rows up to the alert", [each for each in answer.alarm if each.row not in shown], answer.window)
    _titled(console, "Likely causes, the likeliest first", _causes(_here(answer)))
    _beside(console, answer)
    _titled(console, "What was reported of this signal before", map(_signal, answer.signals))
    _titled(console, "What people and deployments said before", map(_said, answer.said))


def _titled(console: Console, title: str, lines: Iterator[str]) -> None:
    """Nothing where there is no line."""
    for at, line in enumerate(lines):
        if not at:
            console.print(Text(f"\n{title}", style="bold"))
        console.print(Text(line))


def _head(answer: Answer) -> Iterator[str]:
    alert = answer.alert
    version = f", version {alert.version}" if alert.version is not None else ""
    segment = f", segment {alert.segment}" if alert.segment is not None else ""
    yield row("alert", f"{alert.id}  {alert.event}, {alert.severity}, {time_of(alert.ts)}")
    steps = f", {counted(len(answer.steps), 'step')} up to this one" if answer.steps else ""
    yield row("incident", f"{alert.incident}{steps}")
    yield row("model", f"{alert.model}{version}{segment}")
    yield row("signal", f"{alert.signal} ({alert.kind})")
    yield row("decided", f"by {alert.detector} at {told(alert.position)}")
    read = f"from {counted(answer.records, 'record')} that concern{'s' if answer.records == 1 else ''} {alert.model}"
    if answer.same:
        yield row("rebuilt", f"the same alert, byte for byte, {read}")
        return
    by_id = answer.again is not None and answer.again.id == alert.id
    yield row("rebuilt", f"{'the same id, and other numbers' if by_id else 'NOT the same alert'}, {read}")
    for reason in answer.differs:
        yield row("", reason)
    yield row("", "what follows is what this history and this configuration make of it")


def _here(answer: Answer) -> Evidence:
    """Of the alert as it comes here; as it was told, where it does not come."""
    return (answer.again or answer.alert).evidence


def _report(answer: Answer) -> Iterator[str]:
    """Of the detector's own word, where there is one: an alert may rest on the rows after it."""
    report = answer.report
    evidence = report.evidence if report is not None else _here(answer)
    for label, what in facts(evidence):
        yield row(label, what)
    low, high = (evidence.detail.get(f"change_point_{end}") for end in ("low", "high"))
    if isinstance(low, int) and isinstance(high, int):
        yield row("between", f"{time_of(low)} and {time_of(high)}, nine times in ten")
    if report is not None and report.position != answer.alert.position:
        yield row("reported", f"{time_of(report.ts)} at {told(report.position)}: {_meant(report.disposition)}")
    if answer.window is not None and answer.window.from_change:
        first = answer.window.first
        yield row(
            "changed",
            f"with row {first.row:,}, {time_of(first.ts)} at {told(first.position)}, as the detector counts back",
        )
    shown = (what for what in details(_here(answer)) if not what.startswith((_CAUSES, "change_point")))
    yield row("detail", ", ".join(shown))


def _normal(answer: Answer) -> Iterator[str]:
    known, window = answer.baseline, answer.window
    if known is None:
        return
    yield f"{'':<11}{'rows':>9}{'mean':>12}{'spread':>12}{'lowest':>12}{'highest':>12}"
    yield _figures("normal", known.rows or None, known.mean, known.spread, known.lowest, known.highest)
    report = answer.report
    if report is not None and report.evidence.baseline is not None:
        usual = report.evidence.baseline  # of a number that of the first values, however many are counted
        yield _figures("by then", report.evidence.n, usual if known.is_share or usual != known.mean else None)
    if window is not None:
        yield _figures("since", window.values, window.mean, window.spread, window.lowest, window.highest)
        if window.rows < window.all_rows:
            yield row("", f"{window.rows:,} of the {window.all_rows:,} rows since the change were looked at one by one")
        if not known.learned:
            yield row("", "what is normal is still being learned: nothing is held against it yet")
        elif window.values < window.rows:
            yield row("", f"in {window.rows - window.values:,} rows since the change there was no value")
    yield row("from", _whence(known))
    for name, share in sorted(known.shares.items(), key=lambda item: -item[1]):
        now = window.shares.get(name.removeprefix("="), 0.0) if window is not None else None
        yield row("", f"{name}: {share:.1%}" + (f", now {now:.1%}" if now is not None else ""))
    for name, share in window.shares.items() if window is not None else ():
        if known.shares and name not in known.shares:
            yield row("", f"{name}: not among the frequent ones, now {share:.1%}")


def _figures(label: str, rows: int | None, *figures: float | None) -> str:
    many = "" if rows is None else f"{rows:,}"
    return f"{label:<11}{many:>9}" + "".join(f"{'' if each is None else number(each):>12}" for each in figures)


def _whence(known: Baseline) -> str:
    return f"{known.name} (hash {known.digest})" if known.digest else f"{known.name}, the first values of the stream"


# -- the plot ---------------------------------------------------------------------------------------------------------


def _title_of_plot(answer: Answer) -> str:
    if answer.report is None and not _runs(answer.course):
        return "The values up to the alert"
    if not _runs(answer.course):
        return f"The values up to the report: {answer.alert.detector} shows nothing between its reports"
    return f"{answer.alert.detector}, row by row, on a logarithmic scale"


def _runs(course: Sequence[Row]) -> bool:
    """Whether there is more of the statistic than what was reported."""
    return any(each.statistic for each in course if not each.reported)


def plot(course: Sequence[Row], window: Window | None) -> Iterator[str]:
    """The statistic as a logarithm, the threshold as a line, the values below. A character stands for several rows."""
    if not course:
        return
    width = min(PLOT_WIDTH, len(course))
    cut = [course[at * len(course) // width : (at + 1) * len(course) // width] for at in range(width)]
    threshold = next((each.threshold for each in reversed(course) if each.threshold), None)
    highest = [max((each.statistic or 0.0 for each in part), default=0.0) for part in cut]
    if threshold is not None and _runs(course):
        yield from _bars([height / threshold for height in highest], threshold)
    values = sparkline([_mean(part) for part in cut], width)
    if values.strip():
        yield row("values", f" {values}")
    for marks in _marks(cut, window):
        yield row("", f" {marks}")
    first, last = course[0], course[-1]
    yield row("rows", f" {first.row:,} ({time_of(first.ts)}) to {last.row:,} ({time_of(last.ts)})")


def _bars(parts: Sequence[float], threshold: float) -> Iterator[str]:
    """``parts`` of the threshold, which is one of the lines."""
    logs = [math.log10(max(part, _LEAST)) for part in parts]
    low, high = min(logs), max(*logs, 0.0)
    span = high - low or 1.0
    eighths = [round((each - low) / span * PLOT_HEIGHT * _STEPS) for each in logs]
    line = min(PLOT_HEIGHT - 1, int(-low / span * PLOT_HEIGHT))
    for level in reversed(range(PLOT_HEIGHT)):
        at = 10 ** (low + span * (level + 1) / PLOT_HEIGHT) * threshold
        name = f"{number(threshold)} ┄" if level == line else f"{number(at)} │"
        empty = "┄" if level == line else " "
        yield f"{name:>12}" + "".join(_bar(each - level * _STEPS, empty) for each in eighths)


def _bar(eighths: int, empty: str) -> str:
    return empty if eighths <= 0 else SPARKS[min(eighths, _STEPS) - 1]


def _marks(cut: Sequence[Sequence[Row]], window: Window | None) -> Iterator[str]:
    """Where the change is dated, and where the report came; on two lines where one would hide the other."""
    change = next((at for at, part in enumerate(cut) if window and any(_begins(each, window) for each in part)), None)
    report = next((at for at, part in enumerate(cut) if any(each.reported for each in part)), None)
    changed = f"{' ' * change}{_CHANGED}" if change is not None else ""
    reported = f"{' ' * report}{_REPORTED}" if report is not None else ""
    if changed and report is not None and report > len(changed):
        yield changed + reported[len(changed) :]
    else:
        yield from filter(None, (changed, reported))


def _begins(each: Row, window: Window) -> bool:
    return each.row == window.first.row


def _mean(part: Sequence[Row]) -> float | None:
    known = [each.measured for each in part if each.measured is not None]
    return sum(known) / len(known) if known else None


# -- tables -----------------------------------------------------------------------------------------------------------


def _rows(console: Console, title: str, rows: Sequence[Row], window: Window | None) -> None:
    """Columns in which there is nothing, or nothing new, are left out; and ids where there is no room."""
    if not rows:
        return
    lies_in = {f"{each.position.topic}[{each.position.partition}]" for each in rows}
    where = f", in {printable(*lies_in)}" if len(lies_in) == 1 else ""
    console.print(Text(f"\n{title}{where}", style="bold"))
    lines = [list(_cells(each, window, offset=bool(where))) for each in rows]
    columns = dict(zip(_COLUMNS, zip(*lines, strict=True), strict=True))
    if columns["measured"] == columns["holds"] or console.width < _WIDE:
        del columns["measured" if columns["measured"] == columns["holds"] else "id"]
    table = Table(box=box.SIMPLE_HEAD)
    shown = {name: cells for name, cells in columns.items() if set(cells) - {NOTHING}}
    for name in shown:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=name == "time", overflow="fold")
    for cells in zip(*shown.values(), strict=True):
        table.add_row(*map(Text, cells))
    console.print(table)


def _cells(each: Row, window: Window | None, *, offset: bool) -> Iterator[str]:
    yield "reported" if each.reported else "changed" if window is not None and _begins(each, window) else ""
    yield f"{each.row:,}" if each.row >= 0 else NOTHING
    yield time_of(each.ts)
    yield f"{each.position.offset}" if offset else printable(told(each.position))
    for what in (each.id, each.cell, each.measured, each.prediction, each.score):
        yield _short(what)
    yield _part(each.statistic, each.threshold)


def _short(what: object) -> str:
    if what is None:
        return NOTHING
    text = number(what) if isinstance(what, float) else printable(str(what))
    return text if len(text) <= CELL_CHARACTERS_MAX else f"{text[: CELL_CHARACTERS_MAX - 1]}…"


def _part(statistic: float | None, threshold: float | None) -> str:
    return f"{statistic / threshold:.2%}" if statistic is not None and threshold else NOTHING


def _beside(console: Console, answer: Answer) -> None:
    if not answer.beside:
        return
    console.print(Text("\nOther signals of the same monitor at that record", style="bold"))
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("signal", "kind", "stands", "effect", "rows", "threshold"):
        table.add_column(name, justify="right" if name in ("effect", "rows", "threshold") else "left")
    for each in answer.beside:
        effect = (
            NOTHING if each.effect is None else f"{each.effect:+.1%}" if each.is_share else f"{each.effect:+.2f} sd"
        )
        part = NOTHING if each.of_threshold is None else f"{each.of_threshold:.2%}"
        words = (printable(each.signal), each.kind, each.stands, effect, f"{each.rows:,}", part)
        table.add_row(*map(Text, words))
    console.print(table)


def _causes(evidence: Evidence) -> Iterator[str]:
    causes = [str(what) for name, what in evidence.detail.items() if name.startswith(_CAUSES)]
    return (f"{place}. {printable(cause)}" for place, cause in enumerate(causes, 1))


def _signal(signal: Signal) -> str:
    evidence = signal.evidence
    stood = f"{number(evidence.value)} of {number(evidence.threshold)}" if evidence.threshold is not None else ""
    what = f"{signal.detector} {stood}, effect {number(evidence.effect)}: {_meant(signal.disposition)}"
    return f"{time_of(signal.ts)}  {printable(told(signal.position))}  {printable(what)}"


def _meant(disposition: str) -> str:
    return _MEANT.get(disposition, disposition)


def _said(entry: Audit) -> str:
    about = [
        f"version {entry.version}" if entry.version is not None else "",
        f"signal {entry.signal}" if entry.signal is not None else "",
        f"segment {entry.segment}" if entry.segment is not None else "",
        f"incident {entry.incident}" if entry.incident is not None else "",
        str(entry.verdict) if entry.verdict is not None else "",
        f"baseline {entry.baseline}" if entry.baseline is not None else "",
        f"until {time_of(entry.until)}" if entry.until is not None else "",
        f"by {entry.by}" if entry.by is not None else "",
        f"because {entry.reason}" if entry.reason is not None else "",
    ]
    what = " ".join(filter(None, (str(entry.action), *about)))
    return f"{time_of(entry.ts)}  {printable(told(entry.position))}  {printable(what)}: {entry.result}"
