"""What an operator does not want to be paged about, and until when."""

from collections.abc import Iterable
from itertools import product

from schemas.events import Control, ControlAction
from schemas.reasons import AuditResult
from schemas.times import to_ms

MUTES_MAX = (
    1_000  # of one model: people set them by hand; a further one is not heard: it pages too much, not too little
)

Mute = tuple[tuple[str, str], int | None]  # segment and signal, "" for all of them; its end, None for never


class Mutes:
    """A segment or signal with a star in it stands for every name that fits, and for that very name."""

    def __init__(self, mutes: Iterable[Mute] = ()) -> None:
        self._ends: dict[tuple[str, str], int | None] = dict(mutes)

    def holds(self, segment: str, signal: str, now: int) -> bool:
        if not self._ends:
            return False
        names = product(("", segment), ("", signal))
        if any(name in self._ends and _lasts(self._ends[name], now) for name in names):
            return True
        starred = [(name, end) for name, end in self._ends.items() if "*" in name[0] or "*" in name[1]]
        return any(_lasts(end, now) and _fits(name[0], segment) and _fits(name[1], signal) for name, end in starred)

    def heard(self, event: Control, now: int) -> AuditResult:
        """A mute, or the end of one."""
        return self._add(event, now) if event.action is ControlAction.MUTE else self._remove(event, now)

    def _add(self, event: Control, now: int) -> AuditResult:
        self._ends = {name: end for name, end in self._ends.items() if end is None or now < end}
        name = _name(event)
        if name not in self._ends and len(self._ends) >= MUTES_MAX:
            return AuditResult.TOO_MANY_MUTES
        self._ends[name] = to_ms(event.until) if event.until is not None else None
        return AuditResult.APPLIED

    def _remove(self, event: Control, now: int) -> AuditResult:
        name = _name(event)
        if name not in self._ends:
            return AuditResult.NOT_MUTED
        end = self._ends.pop(name)
        return AuditResult.APPLIED if _lasts(end, now) else AuditResult.NOT_MUTED

    def state(self) -> list[Mute]:
        return list(self._ends.items())


def _lasts(end: int | None, now: int) -> bool:
    return end is None or now < end


def _fits(pattern: str, name: str) -> bool:
    """Part by part from the left, so that no pattern takes longer than the name is long."""
    first, *rest = pattern.split("*")
    if not pattern or not rest:
        return pattern in ("", name)
    last, start = rest.pop(), len(first)
    end = len(name) - len(last)
    if end < start or not name.startswith(first) or not name.endswith(last):
        return False
    for part in rest:
        found = name.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True


def _name(event: Control) -> tuple[str, str]:
    return event.segment or "", event.signal or ""
