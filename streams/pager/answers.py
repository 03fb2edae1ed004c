"""What came of an attempt to deliver, and when the next one is due."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NamedTuple

RETRY_AFTER_MAX_S = 900.0  # one that asks for more is asked again all the same: an hour without pages is too long
FIRST_PAUSE_S = 1.0
PAUSE_MAX_S = 2 * 3_600.0  # longer than what settings allow and what an endpoint may ask for together
_DOUBLINGS_MAX = 30  # of the first pause, long past any cap: keeps the power of two small

Chance = Callable[[], float]  # from 0 to 1


class Outcome(StrEnum):
    DELIVERED = "delivered"
    RETRY = "retry"
    PERMANENT = "permanent"


class Answer(NamedTuple):
    outcome: Outcome
    reason: str  # short, one of few, never with anything in it that an endpoint, a setting or an alert said
    detail: str = ""  # for a person: a status, a kind of error; never an address or a secret
    retry_after_s: float | None = None
    arrived: bool = True  # whether the page may have been taken in, although no answer said so
    whole_sink: bool = False  # whether other pages would fare no better just now
    reference: str | None = None
    whole: bool = True  # of what was delivered: whether to everybody


def delivered(detail: str, reference: str | None = None, *, whole: bool = True) -> Answer:
    return Answer(Outcome.DELIVERED, "delivered", detail, reference=reference, whole=whole)


def permanent(reason: str, detail: str) -> Answer:
    return Answer(Outcome.PERMANENT, reason, detail, arrived=False)


GONE = "gone"  # what was told before is not there any more: it is told anew


def unreachable(detail: str, *, arrived: bool) -> Answer:
    return Answer(Outcome.RETRY, "network", detail, arrived=arrived, whole_sink=True)


def nonsense(detail: str) -> Answer:
    """A success that is none: something else than the endpoint answered, or it is broken."""
    return Answer(Outcome.RETRY, "nonsense", detail)


def by_status(status: int, headers: Mapping[str, str], now: float) -> Answer:
    """For every sink alike. ``headers`` finds names whatever their case."""
    detail = f"status {status}"
    if 200 <= status < 300:
        return delivered(detail)
    if 300 <= status < 400:
        return permanent("redirect", f"{detail}; redirects are not followed")
    wait = retry_after(headers.get("Retry-After"), now)
    if status in (429, 503):
        reason = "rate_limited" if status == 429 else "server_error"
        return Answer(Outcome.RETRY, reason, detail, wait, arrived=False, whole_sink=True)
    if status == 408 or status >= 500 or status < 200:
        return Answer(Outcome.RETRY, "server_error", detail, wait)
    return permanent("refused", detail)


def retry_after(text: str | None, now: float) -> float | None:
    """Seconds to wait, bounded; ``None`` where nothing that makes sense was said."""
    if text is None:
        return None
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,400}", text):
        seconds = float(text[:12])  # longer ones are beyond the bound anyway
    else:
        try:
            when = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_S)


def is_due(moment: float, now: float, longest_s: float = PAUSE_MAX_S) -> bool:
    """Also where it lies further ahead than any pause: then the clock was set back, as by an hour at a start."""
    return moment <= now or moment - now > longest_s


def pause(tries: int, longest_s: float, chance: Chance) -> float:
    """Full jitter: anything between nothing and a bound that doubles with each try up to ``longest_s``."""
    bound = min(FIRST_PAUSE_S * 2.0 ** min(max(tries - 1, 0), _DOUBLINGS_MAX), longest_s)
    return bound * chance()
