"""What every page says, in plain words. There are no templates: names and numbers stand in fixed places.

Names and summaries come from whoever feeds the topics, so every sink escapes them by its own rules.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from streams.pager.steps import Page
from streams.text import printable

VALUE_CHARACTERS_MAX = 300
DETAILS_MAX = 20


def short(text: str, characters_max: int) -> str:
    """One line of at most so many characters; control characters as escapes."""
    text = printable(text)
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"


def title(page: Page) -> str:
    return f"[{page.alert.severity}, {page.alert.event}] {page.alert.summary}"


def details(page: Page) -> Sequence[tuple[str, str]]:
    """What was seen, as names and values; those that are not known are left out."""
    alert, evidence = page.alert, page.alert.evidence
    known: list[tuple[str, Any]] = [
        ("note", page.note),
        ("model", alert.model),
        ("version", alert.version),
        ("segment", alert.segment),
        ("kind", alert.kind),
        ("signal", alert.signal),
        ("detector", alert.detector),
        *((name, evidence.get(name)) for name in ("value", "threshold", "threshold_origin", "n", "baseline", "effect")),
        ("since", _since(evidence)),
        ("time", time_of(alert.ts) if alert.ts else None),
        ("incident", alert.incident),
    ]
    shown = [(name, short(_text(value), VALUE_CHARACTERS_MAX)) for name, value in known if value not in (None, "")]
    return shown[:DETAILS_MAX]


def time_of(ms: float) -> str:
    """RFC 3339, as every endpoint takes it; a time beyond the calendar is the beginning of it."""
    try:
        when = datetime.fromtimestamp(ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        when = datetime.fromtimestamp(0, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _since(evidence: dict[str, Any]) -> str | None:
    change = evidence.get("change_point")
    ts = change.get("ts") if isinstance(change, dict) else None
    return time_of(ts) if isinstance(ts, int | float) else None


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
