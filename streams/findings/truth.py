"""What is known to have changed, from a file: so that a page can be called right or false, and a change missed."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from schemas.events import EVERY_MODEL, Time
from schemas.times import UNIT_MS, to_ms
from streams.errors import UsageError

BYTES_MAX = 16 * 1024 * 1024
CHANGES_MAX = 10_000
# For so long after a change has ended, windows still hold values of its time: a page then is late and not false.
SETTLES_MS = UNIT_MS["h"]


class _Line(msgspec.Struct):
    model: str
    starts: Time
    ends: Time | None = None
    what: str = ""


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
    try:
        content = path.read_bytes() if path.stat().st_size <= BYTES_MAX else None
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if content is None:
        raise UsageError(f"is larger than {BYTES_MAX:,} bytes", where=str(path), advice="a line a known change will do")
    lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
    if len(lines) > CHANGES_MAX:
        raise UsageError(f"holds {len(lines):,} changes, more than {CHANGES_MAX:,}", where=str(path))
    return Truth(list(_changes(lines, path)))


def _changes(lines: Iterable[tuple[int, bytes]], path: Path) -> Iterable[Change]:
    for number, line in lines:
        try:
            told = msgspec.json.decode(line, type=_Line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            where, advice = f"{path} line {number}", 'write {"model": …, "starts": …, "ends": …, "what": …}'
            raise UsageError(f"is no known change: {error}", where=where, advice=advice) from error
        starts, ends = to_ms(told.starts), None if told.ends is None else to_ms(told.ends)
        if ends is not None and ends < starts:
            raise UsageError("ends before it starts", where=f"{path} line {number}")
        yield Change(told.model, starts, ends, told.what)
