"""One incident told from its first step to its last: evidence in words and as a plot of text, and what to do next."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from detectors.wording import lasting
from schemas.events import EVERY_MODEL, Alert, Evidence, JsonScalar, Kind
from streams.incidents import OVER, Choice, Incident, Incidents
from streams.report import COLOURS, counted, time_of
from streams.text import printable, quoted

PLOT_WIDTH = 41  # odd, so that nothing lies in the middle where both sides are alike
_LABEL_WIDTH = 11
# Told in words or drawn by themselves, so not once more among the details.
_TOLD = frozenset({"after", "effect_low", "effect_high"})
_TIMES, _SPAN_MS = frozenset({"change_point_low", "change_point_high", "last_ended"}), "lasted_ms"
_NUMBER_MAX = 1e300  # beyond it differences overflow
# What comes, and not what is in it: no version and no baseline of the model is to blame.
_OF_TRAFFIC = frozenset({Kind.SILENCE, Kind.LABEL_DELAY, Kind.VOLUME})


class Interval(NamedTuple):
    low: float
    high: float


def show(steps: Sequence[Alert], left_out: int, console: Console, config: Sequence[str] | None) -> None:
    """``config`` are the words that make a command speak to this monitor; ``None`` where there is none to speak to."""
    stands = _standing(steps)
    for line in _head(stands, len(steps)):
        console.print(Text(line))
    told: Evidence | None = None
    for number, step in enumerate(steps):
        if left_out and number == 1:
            console.print(Text(f"\n… {counted(left_out, 'step')} between these are left out"))
        console.print()
        style = COLOURS.get(step.severity, "")
        console.print(Text.assemble(f"{time_of(step.ts)}  ", (step.event, "bold"), "  ", (step.severity, style)))
        console.print(Text(f"  {printable(step.summary)}"))
        for line in _evidence(step, told):
            console.print(Text(f"  {line}"))
        told = step.evidence
    if config is not None:
        console.print()
        for line in (*_look(stands, config), *next_steps(stands, config)):
            console.print(Text(line), soft_wrap=True)  # one that was cut in two could not be copied


def _standing(steps: Sequence[Alert]) -> Incident:
    incidents = Incidents()
    for step in steps:
        incidents.add(step)
    (stands,) = incidents.chosen(Choice(over_too=True))
    return stands


def _head(stands: Incident, steps: int) -> Iterator[str]:
    version = f", version {stands.version}" if stands.version is not None else ""
    segment = f", segment {stands.segment}" if stands.segment is not None else ""
    yield row("incident", f"{stands.incident}  {stands.status}")
    yield row("model", f"{stands.model}{version}{segment}")
    yield row("signal", f"{stands.signal} ({stands.kind})")
    yield row("time", f"{time_of(stands.opened_ts)} to {time_of(stands.last_ts)}, {counted(steps, 'step')}")


# -- evidence -------------------------------------------------------------------------------------------------------


def _evidence(step: Alert, told: Evidence | None) -> Iterator[str]:
    evidence, place = step.evidence, step.position
    yield row("decided", f"by {step.detector} at {place.topic}[{place.partition}]@{place.offset}")
    if evidence.trace is not None:
        yield row("trace", evidence.trace)
    if told is not None and _without_trace(told) == _without_trace(evidence):
        yield row("evidence", "as before")
        return
    for label, what in facts(evidence):
        yield row(label, what)
    if told_too := list(details(evidence)):
        yield row("detail", ", ".join(told_too))
    yield from plots(evidence)


def facts(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """What an alert rests on, in words: a label and what stands behind it."""
    yield "value", f"{number(evidence.value)}, threshold {number(evidence.threshold)}"
    yield "threshold", evidence.threshold_origin
    yield "values", f"{evidence.n:,}"
    if evidence.change_point is not None:
        since = evidence.change_point
        yield "since", f"{time_of(since.ts)}, offset {since.offset}"


def details(evidence: Evidence) -> Iterator[str]:
    """What is known beside it, each with its name."""
    return (_named(name, value) for name, value in evidence.detail.items() if name not in _TOLD)


def _without_trace(evidence: Evidence) -> tuple[object, ...]:
    return tuple(getattr(evidence, name) for name in evidence.__struct_fields__ if name != "trace")


def plots(evidence: Evidence) -> Iterator[str]:
    """Before and after on one scale, the effect with its interval on another; a scale always holds nothing, ``│``."""
    before, after = _finite(evidence.baseline), _finite(evidence.detail.get("after"))
    if before is not None and after is not None:
        yield row("before", f"{axis(before, (before, after))}  {number(before)}")
        yield row("after", f"{axis(after, (before, after))}  {number(after)}")
    elif before is not None:
        yield row("before", number(before))
    effect = _finite(evidence.effect)
    low, high = (_finite(evidence.detail.get(name)) for name in ("effect_low", "effect_high"))
    if effect is None:
        return
    if low is None or high is None or low > high:
        yield row("effect", number(effect))
        return
    drawn = axis(effect, (effect, low, high), Interval(low, high))
    yield row("effect", f"{drawn}  {number(effect)} ({number(low)} to {number(high)})")


def axis(point: float, scale: Sequence[float], interval: Interval | None = None) -> str:
    """A line from the least to the greatest of the scale and 0.

    >>> axis(2.0, (0.0, 2.0))
    '│───────────────────────────────────────●'
    >>> axis(-1.0, (-1.0, 1.0))
    '●───────────────────│────────────────────'
    """
    low, high = min(0.0, *scale), max(0.0, *scale)
    span = high - low

    def place(value: float) -> int:
        return round((value - low) / span * (PLOT_WIDTH - 1)) if span else 0

    cells = ["─"] * PLOT_WIDTH
    cells[place(0.0)] = "│"
    if interval is not None:
        cells[place(interval.low)], cells[place(interval.high)] = "├", "┤"
    cells[place(point)] = "●"
    return "".join(cells)


def row(label: str, what: str) -> str:
    return f"{label:<{_LABEL_WIDTH}}{printable(what)}"


def _finite(value: JsonScalar) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _NUMBER_MAX:
        return None
    return float(value)


def number(value: float | None) -> str:
    """Four digits that count; whole where there are more before the point."""
    if value is None or not math.isfinite(value):
        return "unknown"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def _named(name: str, value: JsonScalar) -> str:
    """A detail as people read it; whoever wants milliseconds asks for JSON."""
    if isinstance(value, int) and not isinstance(value, bool):
        if name in _TIMES:
            return f"{name} {time_of(value)}"
        if name == _SPAN_MS:
            return f"lasted {lasting(value)}"
    return f"{name} {number(value) if isinstance(value, float) else value}"


# -- what to do next ------------------------------------------------------------------------------------------------


def _look(stands: Incident, config: Sequence[str]) -> Iterator[str]:
    if stands.model != EVERY_MODEL:
        yield "To see what its detector saw:"
        yield f"  driftline why {quoted(stands.incident)} kafka: {_given(*config)}".rstrip()


def next_steps(stands: Incident, config: Sequence[str]) -> Iterator[str]:
    """Commands to copy. They name the model, so that none has to look for it."""
    if stands.model == EVERY_MODEL:
        yield "It is of every model of a partition: no command closes it."
        return

    def control(action: str, *options: str) -> str:
        return f"  driftline control {action} {_given('--model', stands.model, *options, *config)}"

    incident = ("--incident", stands.incident)
    if stands.status not in OVER:
        segment = ("--segment", stands.segment) if stands.segment is not None else ()
        yield "To say that somebody looks after it:"
        yield control("acknowledge", *incident)
        yield "To hear no more of its signal for a time, because the cause is known:"
        yield control("mute", "--signal", stands.signal, *segment, "--until", "4h", "--reason", "WHY")
        if stands.kind in _OF_TRAFFIC:
            yield "When it is over:"
            yield control("resolve", *incident, "--reason", "WHY")
        else:
            yield "When another version of the model serves:"
            yield control("rollback", "--version", "VERSION")
            yield control("deploy", "--version", "VERSION")
            yield "When it is over, or when what comes now is normal from now on:"
            yield control("resolve", *incident, "--reason", "WHY")
            yield control("baseline", "--reason", "WHY")
    yield "To say whether it was worth an alarm:"
    yield control("verdict", *incident, "--verdict", "true_alarm")
    yield control("verdict", *incident, "--verdict", "false_alarm")


def _given(*options: str) -> str:
    """Options and their values by turns. One that begins with a dash would be taken for another option."""
    pairs = zip(options[::2], options[1::2], strict=True)
    return " ".join(f"{option}{'=' if value.startswith('-') else ' '}{quoted(value)}" for option, value in pairs)
