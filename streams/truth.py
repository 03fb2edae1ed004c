"""What is known to have changed: a file that alarms are held against, written beside what was injected or by hand.

One JSON object a line. ``model`` and ``starts`` are enough; whoever says ``signals`` asks for more than any alarm.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from schemas.events import EVERY_MODEL, Time
from schemas.times import to_ms
from streams.errors import UsageError

SUFFIX = ".truth.jsonl"  # of what stands beside an injected history, and is none itself
BYTES_MAX = 16 * 1024 * 1024
CHANGES_MAX = 10_000


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``ends`` is excluded; without one the change stays. Rows are the model's predictions, counted from 0."""

    model: str  # "*" for all
    starts: Time
    ends: Time | None = None
    what: str = ""
    kind: str = ""
    signals: list[str] = []  # an alarm on any of these finds it, or on a share of one; on any at all where it is empty
    segment: str | None = None  # such as "country=de": an alarm on another one is none
    from_row: int | None = None
    to_row: int | None = None  # excluded
    history: str = ""  # the file beside this one that it was put into

    @property
    def starts_ms(self) -> int:
        return to_ms(self.starts)

    @property
    def ends_ms(self) -> int | None:
        return None if self.ends is None else to_ms(self.ends)

    def is_of(self, model: str) -> bool:
        return self.model in (model, EVERY_MODEL)

    def shows_in(self, signal: str, segment: str | None) -> bool:
        """Whether an alarm there is about it."""
        if self.segment is not None and segment not in (None, self.segment):
            return False
        return not self.signals or any(signal == own or signal.startswith(f"{own}=") for own in self.signals)


def read(path: Path) -> list[Change]:
    where = str(path)
    try:
        content = path.read_bytes() if path.stat().st_size <= BYTES_MAX else None
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=where) from None
    if content is None:
        raise UsageError(f"is larger than {BYTES_MAX:,} bytes", where=where, advice="a line a known change will do")
    lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
    if len(lines) > CHANGES_MAX:
        raise UsageError(f"holds {len(lines):,} changes, more than {CHANGES_MAX:,}", where=where)
    return list(_changes(lines, where))


def _changes(lines: Iterable[tuple[int, bytes]], where: str) -> Iterator[Change]:
    for number, line in lines:
        place = f"{where} line {number}"
        try:
            change = msgspec.json.decode(line, type=Change)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            advice = 'write {"model": …, "starts": …, "ends": …, "what": …}'
            raise UsageError(f"is no known change: {error}", where=place, advice=advice) from None
        if change.ends_ms is not None and change.ends_ms < change.starts_ms:
            raise UsageError("ends before it starts", where=place)
        yield change


def write(path: Path, changes: Sequence[Change]) -> None:
    path.write_bytes(b"".join(msgspec.json.encode(change) + b"\n" for change in changes))


def in_history(change: Change, name: str) -> Change:
    return msgspec.structs.replace(change, history=name)
