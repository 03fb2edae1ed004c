"""What every page says, in plain words. There are no templates: names and numbers stand in fixed places.

Names and summaries come from whoever feeds the topics, so every sink escapes them by its own rules.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from streams.pager.reasons import WORDS
from streams.pager.steps import Action, Further, Page
from streams.text import printable

VALUE_CHARACTERS_MAX = 300
DETAILS_MAX = 40
_MUTE = ("muted until", "muted because")
FURTHER_SHOWN_MAX = 25  # models named of those that are told with an incident
_LISTED = re.compile(r"(signal|incident)(s|_\d{1,3})")  # of an incident's evidence, and of a digest's


def short(text: str, characters_max: int) -> str:
    """One line of at most so many characters; control characters as escapes."""
    text = printable(text)
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"


def title(page: Page) -> str:
    return f"[{page.alert.severity}, {page.alert.event}] {headline(page)}"


def headline(page: Page) -> str:
    """The summary, and how far it goes beyond its model."""
    further = _further(page.further)
    return f"{page.alert.summary} And {further}." if further else page.alert.summary


def noted(page: Page) -> str:
    """The title, and what else there is to say where an endpoint shows no details."""
    said = [f"{name}: {value}" for name, value in details(page) if name in ("note", "reason", *_MUTE)]
    return "; ".join([title(page), *said])


def details(page: Page) -> Sequence[tuple[str, str]]:
    """What was seen, as names and values; those that are not known are left out."""
    alert, evidence, first = page.alert, page.alert.evidence, page.first
    began_with = f"{first.kind} of {first.signal}" if (first.kind, first.signal) != (alert.kind, alert.signal) else ""
    known: list[tuple[str, Any]] = [
        ("note", page.note),
        ("reason", f"{page.reason}: {WORDS[page.reason]}" if page.reason else None),
        *_mute(page),
        ("team", ", ".join(page.teams)),
        ("with it", _further(page.further)),
        ("model", alert.model),
        ("version", alert.version),
        ("segment", alert.segment),
        ("kind", alert.kind),
        ("signal", alert.signal),
        ("detector", alert.detector),
        ("began with", began_with),
        *((name, evidence.get(name)) for name in ("value", "threshold", "threshold_origin", "n", "baseline", "effect")),
        ("since", time_of(alert.began) if "change_point" in evidence else None),
        ("time", time_of(alert.ts) if alert.ts else None),
        ("incident", alert.incident),
        *((name.replace("_", " "), value) for name, value in alert.detail.items() if _LISTED.fullmatch(name)),
    ]
    shown = [(name, short(_text(value), VALUE_CHARACTERS_MAX)) for name, value in known if value not in (None, "")]
    return shown[:DETAILS_MAX]


def _mute(page: Page) -> Sequence[tuple[str, Any]]:
    if page.action is not Action.MUTE:
        return ()
    until = page.alert.muted_until
    ends = "somebody unmutes it" if until is None else time_of(until * 1000)
    return tuple(zip(_MUTE, (ends, page.alert.detail.get("reason")), strict=True))


def _further(further: Further) -> str:
    """Such as: 3 further incidents of 2 further models: a, b."""
    if not further.incidents:
        return ""
    incidents = f"{further.incidents} further incident{'' if further.incidents == 1 else 's'}"
    count = len(further.models)
    if not count:
        return f"{incidents} of the same model"
    left = count - FURTHER_SHOWN_MAX
    names = ", ".join(further.models[:FURTHER_SHOWN_MAX]) + (f" and {left} more" if left > 0 else "")
    return f"{incidents} of {count} further model{'' if count == 1 else 's'}: {names}"


def time_of(ms: float) -> str:
    """RFC 3339, as every endpoint takes it; a time beyond the calendar is the beginning of it."""
    try:
        when = datetime.fromtimestamp(ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        when = datetime.fromtimestamp(0, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
