"""HTML put together so that nothing from outside is ever markup: what is not ``Html`` already is escaped.

>>> tag("p", "1 < 2 ", tag("b", '"so"'), cls="note")
'<p class="note">1 &lt; 2 <b>&quot;so&quot;</b></p>'
"""

import html
from collections.abc import Iterable
from typing import NewType

from streams.text import printable

Html = NewType("Html", str)
Part = Html | str | Iterable["Part"]

NAME_CHARACTERS_MAX = 256  # the longest that the contract lets in
TEXT_CHARACTERS_MAX = 1_000  # of a sentence; what the monitor writes is far shorter
_VOID = frozenset({"meta", "input", "br", "col"})


class _Safe(str):
    """Markup that was put together here."""

    __slots__ = ()


def safe(markup: str) -> Html:
    """For what this package wrote itself: its scripts and styles."""
    return Html(_Safe(markup))


def tag(name: str, /, *parts: Part, cls: str = "", **attributes: str | int | bool | None) -> Html:
    """``data_of="m1"`` is written as ``data-of``; true is an attribute without a value, false and none leave it out."""
    written = [f"<{name}"]
    for key, value in (("class", cls or None), *attributes.items()):
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-")
        written.append(f" {word}" if value is True else f' {word}="{html.escape(str(value))}"')
    written.append(">")
    if name not in _VOID:
        written += [join(parts), f"</{name}>"]
    return safe("".join(written))


def join(parts: Iterable[Part]) -> Html:
    return safe("".join(_escaped(part) for part in parts))


def _escaped(part: Part) -> str:
    if isinstance(part, _Safe):
        return part
    if isinstance(part, str):
        return html.escape(printable(part))
    return join(part)


def named(text: str) -> Html:
    """A name from outside: in a direction of its own, whatever marks are in it, and never too long."""
    return tag("bdi", cut(text, NAME_CHARACTERS_MAX))


def sentence(text: str) -> Html:
    return tag("bdi", cut(text, TEXT_CHARACTERS_MAX))


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def table(
    caption: str, head: Iterable[Part], rows: Iterable[Iterable[Part]], *, cls: str = "", first_names: bool = True
) -> Html:
    """In a frame that scrolls by itself where it is too wide, also with the keyboard."""
    body = [
        tag(
            "tr",
            [
                tag("th", cell, scope="row") if first_names and not at else tag("td", cell)
                for at, cell in enumerate(row)
            ],
        )
        for row in rows
    ]
    heads = tag("tr", [tag("th", cell, scope="col") for cell in head])
    whole = tag("table", tag("caption", caption), tag("thead", heads), tag("tbody", body), cls=cls)
    return tag("div", whole, cls="wide", tabindex="0", role="region", aria_label=caption)
