"""What is known to have changed, from a file: so that a page can be called right or false, and a change missed."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from schemas.events import EVERY_MODEL
from schemas.times import UNIT_MS
from streams import truth

# For so long after a change has ended, windows still hold values of its time: a page then is late and not false.
SETTLES_MS = UNIT_MS["h"]


class Change(msgspec.Struct, frozen=True):
    model: str  # "*" for all
    starts: int
    ends: int | None
    what: str

    def explains(self, model: str, ts: int) -> bool:
        over = None if self.ends is None else self.ends + SETTLES_MS
        return self.model in (model, EVERY_MODEL) and self.starts <= ts and (over is None or ts < over)


class Truth:
    """The changes that are known, and which of them were found by a page."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self.found: list[int | None] = [None] * len(changes)  # when the first page came, of each

    def judge(self, model: str, ts: int) -> bool:
        """Whether a page was right: it came while something that is known was going on."""
        explained = False
        for number, change in enumerate(self.changes):
            if change.explains(model, ts):
                explained = True
                found = self.found[number]
                self.found[number] = ts if found is None else min(ts, found)
        return explained

    @property
    def missed(self) -> list[Change]:
        return [change for change, found in zip(self.changes, self.found, strict=True) if found is None]


def read(path: Path) -> Truth:
    """One JSON object a line: ``{"model": "churn", "starts": TIME, "ends": TIME, "what": "prices changed"}``."""
    return Truth([Change(known.model, known.starts_ms, known.ends_ms, known.what) for known in truth.read(path)])
