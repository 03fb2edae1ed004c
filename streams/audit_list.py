"""The audit log as people see it, and as lines of JSON for programs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from schemas.events import Audit
from schemas.reasons import AuditResult
from streams.audit import Chain
from streams.report import console_on, counted, time_of
from streams.text import printable


def show(entries: Sequence[Audit], stream: TextIO) -> None:
    console = console_on(stream)
    if not entries:
        console.print(Text("There is no entry."))
    elif console.is_terminal:
        console.print(_table(entries))
    else:
        for entry in entries:
            console.print(Text(printable(f"{time_of(entry.ts)} {entry.model} {_said(entry)}: {entry.result}")))
    if entries:
        told = counted(len(entries), "control event")
        console.print(Text(f"{told}; driftline audit verify says whether the log is whole"))


def _table(entries: Sequence[Audit]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("when", "model", "what", "came of it"):
        table.add_column(name, no_wrap=name != "what", overflow="fold")
    for entry in entries:
        when = time_of(entry.ts).partition(" ")
        model, said = Text(printable(entry.model), "bold"), Text(printable(_said(entry)))
        result = Text(entry.result, "" if entry.result is AuditResult.APPLIED else "yellow")
        table.add_row(f"{when[0]}\n{when[2]}", model, said, result)
    return table


def _said(entry: Audit) -> str:
    """What was to be done to what, by whom and why."""
    about = {
        "version": entry.version,
        "baseline": entry.baseline,
        "incident": entry.incident,
        "signal": entry.signal,
        "segment": entry.segment,
        "until": None if entry.until is None else time_of(entry.until),
        "verdict": entry.verdict,
    }
    words = [f"{name} {value}" for name, value in about.items() if value is not None]
    signed = f"signed with {entry.signed_by}" if entry.signed_by is not None else "unsigned"
    by = f"by {entry.by or 'nobody named'} ({signed})"
    why = f": {entry.reason}" if entry.reason else ""
    return " ".join((str(entry.action), *words, by)) + why


def verdict(topic: str, chains: Mapping[int, Chain]) -> Iterator[str]:
    """A line for each partition."""
    for number, chain in sorted(chains.items()):
        yield printable(f"{topic}[{number}]: {_state(chain)}")


def _state(chain: Chain) -> str:
    if chain.fault is not None:
        return f"BROKEN ({chain.fault.kind}) at {chain.fault.where}: {chain.fault.what}"
    if chain.first is None:
        return "no entry is kept any more" if chain.lacks_its_beginning else "there is no entry"
    gone = f"; those before entry {chain.first} are no longer kept" if chain.lacks_its_beginning else ""
    return f"whole, entries {chain.first} to {chain.last}{gone}; the last hash is {chain.hash}"


def json_of(number: int, chain: Chain) -> str:
    fields = {
        "partition": number,
        "whole": chain.fault is None,
        "first": chain.first,
        "last": chain.last or None,
        "hash": chain.hash,
        "cut_off": chain.lacks_its_beginning,
        "repeats": chain.repeats,
        "fault": chain.fault and chain.fault._asdict(),
    }
    return json.dumps(fields)
