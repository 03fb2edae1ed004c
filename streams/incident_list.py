"""Incidents and alerts as people see them one below the other, and as lines of JSON for programs."""

from collections.abc import Sequence
from typing import TextIO

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.events import Alert
from streams.incidents import Incident
from streams.report import COLOURS, console_on, counted, time_of
from streams.text import json_line, printable

ID_SHOWN = 12  # characters of an id where there is little room: enough to name it by, for it may be given shortened


def show(incidents: Sequence[Incident], *, over_too: bool, stream: TextIO) -> None:
    console = console_on(stream)
    if not incidents:
        console.print(Text("There is no incident." if over_too else "No incident is open."))
    elif console.is_terminal:
        console.print(_table(incidents))
    else:
        for incident in incidents:
            console.print(Text(_line(incident)))
    if incidents:
        kind = "incident" if over_too else "open incident"
        console.print(Text(f"{counted(len(incidents), kind)}; driftline incidents show ID tells of one"))


def print_step(alert: Alert, console: Console) -> None:
    """An alert on one line, as it comes."""
    console.print(
        Text.assemble(
            f"{time_of(alert.ts)} ",
            (alert.severity, COLOURS.get(alert.severity, "")),
            printable(f" {alert.event} {alert.model} {alert.kind}: {alert.summary} ({alert.incident})"),
        )
    )


def json_of(incident: Incident) -> str:
    return json_line(msgspec.json.encode(incident))


def _line(incident: Incident) -> str:
    when, what = time_of(incident.opened_ts), f"{incident.kind}: {incident.summary}"
    return printable(f"{incident.incident} {when} {incident.severity} {incident.status} {incident.model} {what}")


def _table(incidents: Sequence[Incident]) -> Table:
    """Two things in a cell, so that 80 columns are enough."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("incident", "opened", "is", "what"):
        table.add_column(name, no_wrap=name != "what", overflow="fold")
    for incident in incidents:
        named, when = Text(printable(incident.incident[:ID_SHOWN])), time_of(incident.opened_ts).partition(" ")
        how = Text.assemble((incident.severity, COLOURS.get(incident.severity, "")), f"\n{incident.status}")
        about = printable(f"  {incident.signal}")
        what = Text.assemble((printable(incident.model), "bold"), f"{about}\n{printable(incident.summary)}")
        table.add_row(named, f"{when[0]}\n{when[2]}", how, what)
    return table
