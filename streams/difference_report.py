"""What two histories told otherwise, in lines for people."""

from collections.abc import Iterator

from detectors.wording import lasting
from streams.differences import Difference, Differences, How, Told
from streams.report import counted, time_of

SHOWN_MAX = 200  # of one kind; all of them are in --json, and nobody reads more on a terminal
_HEADINGS = {
    How.ONLY_IN_A: "Only in {a}",
    How.ONLY_IN_B: "Only in {b}",
    How.EARLIER: "Earlier in {b}",
    How.LATER: "Later in {b}",
    How.SEVERITY: "Of another severity",
    How.DETAILS: "Told at the same time, in other words or with other steps after it",
}


def lines(found: Differences, a: str, b: str) -> Iterator[str]:
    for how, heading in _HEADINGS.items():
        # One that came at another time and with another severity is shown once, and says both.
        of_kind = [difference for difference in found.differences if difference.how[0] is how]
        if of_kind:
            yield f"{heading.format(a=a, b=b)}: {len(of_kind):,}"
            yield from map(_line, of_kind[:SHOWN_MAX])
            if len(of_kind) > SHOWN_MAX:
                yield f"  … and {len(of_kind) - SHOWN_MAX:,} more; --json has all"
    sizes = zip((a, b), found.incidents, found.advice, strict=True)
    held = "; ".join(
        f"{name}: {counted(many, 'incident')}, {advice:,} to retrain or to go back" for name, many, advice in sizes
    )
    yield f"{'They differ' if found.differences else 'No difference'}. {held}"


def _line(difference: Difference) -> str:
    a, b = difference.a, difference.b
    parts = [difference.model, f"version {difference.version}" if difference.version else "", difference.segment or ""]
    told = a or b
    assert told is not None
    name = " ".join(filter(None, (*parts, difference.what, difference.signal)))
    if difference.signal is None:
        name = f"{name}: {told.summary}"
    if a is None or b is None:
        return f"  {_side(told)} {name}" + (f": {told.summary}" if difference.signal is not None else "")
    apart = f", {lasting(abs(a.ts - b.ts))} apart" if a.ts != b.ts else ""
    return f"  {_side(a)} and {_side(b)}{apart}: {name}"


def _side(told: Told) -> str:
    return f"{time_of(told.ts)}{f' {told.severity}' if told.severity else ''}"
