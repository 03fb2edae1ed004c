"""The frame of a figure: what it shows in words, the place where it is drawn, and its numbers as a table on demand."""

from streams.page.markup import Html, Part, tag


def figure(
    kind: str, title: Part, said: Part, *, of: str = "", number: int | None = None, height: int, small: bool = False
) -> Html:
    """``of`` names the block of data; ``number`` is that of the signal in it. Without scripts the words remain."""
    alike = "A figure; what it shows stands beside it in words" + ("." if small else ", and below it as a table.")
    plot = tag(
        "div",
        cls="plot",
        role="img",
        aria_label=alike,
        data_figure=kind,
        data_of=of,
        data_number=number,
        style=f"height:{height}px",
    )
    words = tag("figcaption", tag("strong", title), " ", said)
    numbers = None if small else tag("details", tag("summary", "The numbers of this figure"), cls="numbers")
    return tag("figure", words, plot, numbers or "", cls="small" if small else "")
