"""The comparison for a terminal; where there is none, a sentence a policy."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.text import printable
from streams.whatif import words
from streams.whatif.comparison import WhatIf


def show(found: WhatIf, console: Console) -> None:
    if console.is_terminal:
        console.print(_table(found))
    else:
        for tried in found.policies:
            cells = zip((*words.HEAD, *words.PARTS, words.TOTAL), words.row(found, tried), strict=True)
            console.print(Text(printable("  ".join(f"{name} {cell}" for name, cell in cells))))
    for tried in found.policies if console.is_terminal else ():
        console.print(Text(printable(words.told(found, tried))))
    for line in (words.headline(found), words.assumption(found), words.basis(found)):
        console.print(Text(printable(line)))


def _table(found: WhatIf) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for at, name in enumerate((*words.HEAD, *(f"cost of {part}" for part in words.PARTS), words.TOTAL)):
        table.add_column(name, justify="right" if at else "left", overflow="fold")
    for tried in found.policies:
        style = "bold" if tried.plan.name in found.cheapest else ""
        table.add_row(*(Text(printable(cell), style=style) for cell in words.row(found, tried)))
    return table
