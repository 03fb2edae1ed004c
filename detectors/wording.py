"""The one sentence of an alert. A person reads it at night: what, how much, since when, what to look at."""

import math
from datetime import UTC, datetime

from detectors import together
from detectors.arrival import DUPLICATES, LATENCY, STALE
from detectors.banks.shiryaev import WATCH
from detectors.budget import in_words
from detectors.config import ModelConfig
from detectors.course import Course
from detectors.cure import Answer, Shown
from detectors.encoding import Column
from detectors.lifecycle import Closing
from schemas.events import Evidence, Kind
from schemas.times import UNIT_MS

_LOOK = {
    Kind.FEATURE_DRIFT: "look at what feeds it, or at who is asking",
    Kind.DATA_QUALITY: "look at the pipeline that fills it",
    Kind.PREDICTION_DRIFT: "compare with its inputs and the last deployment",
    Kind.SILENCE: "look at who calls it, and at what brings its predictions here",
    Kind.LABEL_DELAY: "look at what brings the labels; until they come, harm is not seen",
    Kind.VOLUME: "look at who calls it",
    Kind.LATENCY: "look at what serves it, and at what it waits for",
    Kind.LABEL_DRIFT: "look at who labels, and at what has become more or less frequent",
    Kind.CONCEPT_DRIFT: "the model is wrong more often: check the labels, then retrain or roll back",
    Kind.CHALLENGER: "the challenger differs; nobody is served by it",
}

_SHARES = {
    LATENCY: "slow predictions",
    DUPLICATES: "predictions that were followed by one of the same id",
    STALE: "predictions that came long after or before their own time",
}
CONSTANT = "constant"  # what a value that is always the same looks like
EXACT = 15  # digits of a number that is told as it is
# What is told as the cause of an alarm where inputs are watched and show none.
NONE_SEEN = "none seen in inputs: the relation between inputs and labels changed"


def opened(model: str, column: Column, evidence: Evidence, rate: bool, looks: str = "") -> str:
    """``looks``: what the change looks like, in words."""
    looks = f", {looks}" if looks else ""
    told = f"{_change(evidence, rate)}{_since(evidence)}{looks}{_cause(evidence)}{_harm(evidence)}"
    return f"{model}: {_subject(column, rate)} {told}; {_LOOK[column.kind]}."


def amended(model: str, column: Column, evidence: Evidence, rate: bool) -> str:
    labels, change = evidence.detail.get("corrected_labels"), f"{_change(evidence, rate)}{_since(evidence)}"
    return f"{model}: with {labels} corrected labels, {_subject(column, rate)} {change}."


def _cause(evidence: Evidence) -> str:
    cause = evidence.detail.get("cause_1")
    if cause == NONE_SEEN:
        return ", while no change is seen in its inputs"
    return f", likely cause: {cause}" if cause is not None else ""


def _harm(evidence: Evidence) -> str:
    harm = str(evidence.detail.get("harm", ""))
    if harm.startswith("none seen"):
        return f", no harm{harm.removeprefix('none')}"
    return f", with {harm}" if harm.startswith("loss") else ""


def resolved(model: str, column_signal: str, why: Closing, lasted_ms: int) -> str:
    reasons = {
        Closing.RECONFIGURED: "is closed: the model has another configuration now",
        Closing.RECOVERED: "is back at its baseline",
        Closing.DEPLOYED: "is closed: a new version was deployed",
        Closing.ROLLED_BACK: "is closed: the model was rolled back",
        Closing.NEW_BASELINE: "is closed: a new baseline was set",
        Closing.REPLACED: "is closed: newer versions took its place",
        Closing.BY_HAND: "was resolved by hand",
        Closing.FALSE_ALARM: "was a false alarm",
        Closing.LABELS: "was a false alarm: corrected labels show no harm",
        Closing.CURED: "is cured",
    }
    return f"{model}: {column_signal} {reasons[why]}, after {lasting(lasted_ms)}."


def checked(model: str, signal: str, version: str | None, shown: Shown, *, rate: bool) -> str:
    now, during, before = (
        ("at least " if level.at_least else "") + (f"{level.mean:.1%}" if rate else number(level.mean))
        for level in (shown.now, shown.during, shown.before)
    )
    new = f"version {version}"
    losses = f"{now} in {shown.now.labels:,} labels, {during} before it was deployed and {before} usually"
    return {
        Answer.CURED: f"{model}: {signal} is cured by {new}: {losses}.",
        Answer.NOT_CURED: f"{model}: {signal} is not cured by {new}: {losses}; train on newer data, or look by hand.",
        Answer.WORSE: f"{model}: {new} is worse than what it replaced, by its {signal}: {losses}; roll it back.",
        Answer.NOT_SHOWN: f"{model}: {signal} is closed: {new} was deployed, and labels do not show whether it cures.",
    }[shown.answer or Answer.NOT_SHOWN]


def lasting(ms: int) -> str:
    """So long, in the largest unit of which there are two."""
    for unit, length in (("days", UNIT_MS["d"]), ("hours", UNIT_MS["h"]), ("minutes", UNIT_MS["m"])):
        if ms >= 2 * length:
            return f"{ms // length} {unit}"
    return f"{ms // 1_000} seconds"


def acknowledged(model: str, signal: str, by: str | None) -> str:
    return f"{model}: {signal} was acknowledged" + (f" by {by}." if by else ".")


def muted(model: str, signal: str, until: int | None, reason: str | None) -> str:
    end = "until somebody unmutes it" if until is None else f"until {_moment(until)}"
    return f"{model}: {signal} is muted {end}" + (f": {reason}." if reason else ".")


def unmuted(model: str, signal: str) -> str:
    return f"{model}: {signal} is muted no more."


def reopened(again: str, ago_ms: int) -> str:
    return f"{again.removesuffix('.')}; it is back {lasting(ago_ms)} after it was over."


def with_others(summary: str, more: int) -> str:
    """``more``: how many further signals an incident has."""
    if not more:
        return summary
    return f"{summary.removesuffix('.')}; with {more} further {'signal' if more == 1 else 'signals'}."


def lasts(model: str, signal: str, lasted_ms: int, evidence: Evidence) -> str:
    """Of an alarm that was not told when it began."""
    size = "" if evidence.effect is None else f" by {number(evidence.effect)}"
    return f"{model}: {signal} is off{size} for {lasting(lasted_ms)} now{_since(evidence)}."


def silent(model: str, what: str, pause_ms: int, usual_ms: int | None) -> str:
    usual = "" if usual_ms is None else f", and at these hours never for longer than {lasting(usual_ms)} before"
    look = _LOOK[Kind.SILENCE if what == "predictions" else Kind.LABEL_DELAY]
    return f"{model}: no {what} for {lasting(pause_ms)}{usual}; {look}."


def comes_again(model: str, what: str, lasted_ms: int) -> str:
    if what == "volume":
        return f"{model}: as many predictions come as is usual, after {lasting(lasted_ms)}."
    return f"{model}: {what} come again, after {lasting(lasted_ms)} without any."


def volume(model: str, minutes: int, seen: int, usual: float) -> str:
    span = {60: "hour", 1_440: "day"}.get(minutes, f"{minutes // 60} hours")
    verb = "only " if seen < usual else ""
    return (
        f"{model}: {verb}{seen:,} predictions in the last {span}, where {usual:,.0f} are usual; {_LOOK[Kind.VOLUME]}."
    )


def _subject(column: Column, rate: bool) -> str:
    name = column.signal
    if name.startswith("missing:"):
        return f"share of missing or unreadable values of {name.removeprefix('missing:')}"
    if name.startswith("feature:"):
        plain = name.removeprefix("feature:")
        return f"share of {plain}" if rate else f"feature {plain}"
    if name == together.SIGNAL:
        return "distance of features from what they were like together"
    if name in _SHARES:
        return f"share of {_SHARES[name]}"
    if name.startswith("prediction="):
        return f"share of {name}"
    return {"loss": "loss", "log_loss": "log loss"}.get(name, name)


def _change(evidence: Evidence, rate: bool) -> str:
    before, after = evidence.baseline, evidence.detail.get("after")
    if before is None or not isinstance(after, float) or evidence.effect is None:
        return "changed"
    slowly = " little by little" if evidence.detail.get("change") == Course.GRADUAL else ""
    spread = evidence.detail.get("spread")
    if spread == 0.0:
        return "does not vary any more"
    cut = evidence.detail.get("at_least") is True  # the values lie farther off than is looked
    if isinstance(spread, float):
        return f"has {'at least ' if cut else ''}{spread:.2g} times the spread that it had"
    verb = ("rose" if evidence.effect > 0 else "fell") + slowly
    if rate:
        return f"{verb} from {before:.1%} to {max(0.0, min(after, 1.0)):.1%}"
    level = number(after, EXACT if evidence.detail.get("looks_like") == CONSTANT else 4)
    if cut:
        bound = "at least" if evidence.effect > 0 else "at most"
        away = math.floor(abs(evidence.effect))
        return f"{verb} from {number(before)} to {bound} {level} (at least {away} standard deviations)"
    return f"{verb} from {number(before)} to {level} ({abs(evidence.effect):,.1f} standard deviations)"


def number(value: float, digits: int = 4) -> str:
    """As people write it.

    >>> number(167_049.3), number(12_345.678, EXACT), number(0.00012345)
    ('167,000', '12,345.678', '0.0001234')
    """
    plain = float(f"{value:.{digits}g}")
    if plain and not 1e-4 <= abs(plain) < 1e15:
        return f"{plain:.{digits}g}"
    return f"{int(plain):,}" if plain.is_integer() else f"{plain:,}"


def _since(evidence: Evidence) -> str:
    if evidence.change_point is None:
        return ""
    return f" since {_moment(evidence.change_point.ts)}"


def _moment(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def origin(detector: str, config: ModelConfig, share: float, stricter: int) -> str:
    """Where a threshold came from, in words."""
    if detector == WATCH:
        return in_words(config, share, stricter)
    source = "configured" if config.parameters.get(detector) else "default"
    return {
        "adwin": f"ADWIN cut at the {source} delta",
        "page_hinkley": f"{source} Page-Hinkley threshold on baseline standard deviations",
    }.get(detector, f"{source} parameters of {detector}")
