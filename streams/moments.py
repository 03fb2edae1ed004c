"""Times as people type them: ``2h`` from now or before it, or RFC 3339."""

from datetime import datetime
from typing import NamedTuple

import msgspec

from schemas.times import TS_END, TS_MIN, duration_ms, to_ms
from streams.errors import UsageError


class When(NamedTuple):
    """A moment, or a distance from one that is only known later."""

    ms: int
    is_span: bool

    def before(self, now: int) -> int:
        return now - self.ms if self.is_span else self.ms

    def after(self, now: int) -> int:
        return now + self.ms if self.is_span else self.ms


def when(text: str, option: str) -> When:
    """Raises ``UsageError`` under the option's name where it is neither."""
    try:
        return When(duration_ms(text), is_span=True)
    except ValueError:
        return When(moment(text, option), is_span=False)


def moment(text: str, option: str) -> int:
    try:
        found = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        what = f"{text!r} is neither a duration such as 2h nor a time such as 2026-01-31T12:00:00Z"
        raise UsageError(what, where=option) from None
    if found.tzinfo is None:
        raise UsageError(f"{text!r} has no zone", where=option, advice="end it with Z or an offset such as +02:00")
    milliseconds = to_ms(found)
    if not TS_MIN <= milliseconds < TS_END:
        raise UsageError(f"{text!r} is out of range: 1970 to 2199 is allowed", where=option)
    return milliseconds


def between(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    """The options ``--from`` and ``--to``: two times, either of which may be left out."""
    low, high = (
        None if text is None else _fixed(text, option) for option, text in (("--from", since), ("--to", until))
    )
    if low is not None and high is not None and low >= high:
        raise UsageError("--from must be before --to")
    return low, high


def _fixed(text: str, option: str) -> int:
    moment = when(text, option)
    if moment.is_span:
        raise UsageError(f"{text!r} is no time", where=option, advice="write one such as 2026-01-31T12:00:00Z")
    return moment.ms
