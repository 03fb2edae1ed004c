"""What an operator does not want to be paged about, and until when."""

from collections.abc import Iterable
from itertools import product

from schemas.events import Control
from schemas.reasons import AuditResult
from schemas.times import to_ms

MUTES_MAX = (
    1_000  # of one model: people set them by hand; a further one is not heard: it pages too much, not too little
)

Mute = tuple[tuple[str, str], int | None]  # segment and signal, "" for all of them; its end, None for never


class Mutes:
    def __init__(self, mutes: Iterable[Mute] = ()) -> None:
        self._ends: dict[tuple[str, str], int | None] = dict(mutes)

    def holds(self, segment: str, signal: str, now: int) -> bool:
        for name in product(("", segment), ("", signal)):
            if name in self._ends:
                end = self._ends[name]
                if end is None or now < end:
                    return True
        return False

    def add(self, event: Control, now: int) -> AuditResult:
        self._ends = {name: end for name, end in self._ends.items() if end is None or now < end}
        name = _name(event)
        if name not in self._ends and len(self._ends) >= MUTES_MAX:
            return AuditResult.TOO_MANY_MUTES
        self._ends[name] = to_ms(event.until) if event.until is not None else None
        return AuditResult.APPLIED

    def remove(self, event: Control, now: int) -> AuditResult:
        name = _name(event)
        if name not in self._ends:
            return AuditResult.NOT_MUTED
        end = self._ends.pop(name)
        return AuditResult.APPLIED if end is None or now < end else AuditResult.NOT_MUTED

    def state(self) -> list[Mute]:
        return list(self._ends.items())


def _name(event: Control) -> tuple[str, str]:
    return event.segment or "", event.signal or ""
