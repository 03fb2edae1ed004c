"""The comparison for a terminal; where there is none, a line a policy."""

from collections.abc import Sequence
from itertools import compress

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.text import printable
from streams.whatif import words
from streams.whatif.comparison import WhatIf

NARROW, LEFT_OUT = 110, ("labels", "cured")  # columns of a terminal that has no room for all of them


def show(found: WhatIf, console: Console) -> None:
    head = words.head(found)
    if console.is_terminal:
        console.print(_table(found, head, LEFT_OUT if console.width < NARROW else ()))
    for tried in found.policies:
        cells = zip(head, words.row(found, tried), strict=True)
        line = words.told(found, tried) if console.is_terminal else "  ".join(f"{name} {cell}" for name, cell in cells)
        console.print(Text(printable(line)))
    for line in (words.headline(found), words.assumption(found), words.basis(found)):
        console.print(Text(printable(line)))


def _table(found: WhatIf, head: Sequence[str], left_out: Sequence[str]) -> Table:
    shown = [name not in left_out for name in head]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in compress(head, shown):
        table.add_column(Text(printable(name)), justify="left" if name == head[0] else "right", overflow="fold")
    for tried in found.policies:
        style = "bold" if tried.plan.name in found.cheapest else ""
        cells = [tried.plan.name, *list(words.row(found, tried))[1:]]
        table.add_row(*(Text(printable(cell), style=style) for cell in compress(cells, shown)))
    return table
