"""Whether a control event comes from whom it may: its signature, its age, and that it was not taken before.

What was captured and is sent again has the same bytes, so its ``ts`` and ``id`` are those that were signed. Within a
span around its ``ts`` its id is remembered; outside of it, it is too old.
"""

from collections.abc import Mapping
from hashlib import blake2b
from heapq import heappop, heappush
from hmac import compare_digest
from typing import NamedTuple

import msgspec

from schemas.codec import Rejection
from schemas.events import Control
from schemas.reasons import DeadLetterReason
from schemas.records import RecordLike
from schemas.signatures import HEADER, signature
from schemas.times import TS_END, TS_MIN, UNIT_MS, to_ms
from schemas.violations import quoted

# Between ``ts`` and the append: clocks of people's machines are minutes off, and a pipeline may try again for minutes.
SPAN_MS = 10 * UNIT_MS["m"]
# Of one partition, 16 bytes and a time each. Past it the oldest is forgotten, and whatever is as old is refused.
SEEN_MAX = 10_000
_MARK_BYTES = 16


class Keys:
    """Secrets by their names. It prints without them.

    ``ends``: from when on a key signs nothing any more. What it signed before still counts when state is rebuilt.
    """

    def __init__(
        self,
        secrets: Mapping[str, bytes] | None = None,
        ends: Mapping[str, int] | None = None,
        *,
        required: bool = True,
    ) -> None:
        self._secrets = dict(secrets or {})
        self._ends = dict(ends or {})
        self.required = required

    def __bool__(self) -> bool:
        return bool(self._secrets)

    def __repr__(self) -> str:
        return f"Keys({', '.join(self._secrets)})"

    def signer(self, given: bytes, record: RecordLike, now: int) -> str | None:
        """The name of the key with which the record was signed, where that is one for now."""
        name = given.partition(b":")[0].decode(errors="replace")
        secret = self._secrets.get(name)
        if secret is None or now >= self._ends.get(name, TS_END):
            return None
        expected = signature(name, secret, record.key or b"", record.value or b"")
        return name if compare_digest(expected, given) else None


NO_KEYS = Keys()


class GuardState(msgspec.Struct, array_like=True):
    newest: int = TS_MIN  # the time at which the newest event was taken
    floor: int = TS_MIN  # what is as old may have been forgotten
    seen: list[tuple[int, bytes]] = []  # a heap of ``ts`` and mark


class Checked(NamedTuple):
    signed_by: str | None
    refusal: Rejection | None


class Guard:
    def __init__(self, keys: Keys, state: GuardState | None = None) -> None:
        self._keys = keys
        self.state = state or GuardState()
        self._marks = {mark for _, mark in self.state.seen}

    def check(self, record: RecordLike, event: Control, time: int) -> Checked:
        """``time``: when it was appended. One that is not refused counts as taken."""
        given = next((value for name, value in record.headers if name == HEADER), None) if self._keys else None
        if given is None:
            return Checked(None, _unsigned() if self._keys and self._keys.required else None)
        now = max(time, self.state.newest)  # a clock may step back: what is forgotten must stay too old
        name = self._keys.signer(given, record, now)
        if name is None:
            return Checked(None, _forged(given))
        return Checked(name, self._taken_before(event, now))

    def _taken_before(self, event: Control, now: int) -> Rejection | None:
        state, ts = self.state, to_ms(event.ts)
        if abs(now - ts) > SPAN_MS or ts <= state.floor:
            return _too_old(ts, now)
        mark = blake2b(f"{event.model}\n{event.id}".encode("utf-8", "surrogatepass"), digest_size=_MARK_BYTES).digest()
        if mark in self._marks:
            detail = f"an event with the id {quoted(event.id)} was taken already: give each one an id of its own"
            return Rejection(DeadLetterReason.REPEATED, detail)
        state.newest = now
        self._remember(ts, mark)
        return None

    def _remember(self, ts: int, mark: bytes) -> None:
        state = self.state
        heappush(state.seen, (ts, mark))
        self._marks.add(mark)
        while state.seen[0][0] < state.newest - SPAN_MS:
            self._marks.discard(heappop(state.seen)[1])
        while len(state.seen) > SEEN_MAX:
            state.floor, forgotten = heappop(state.seen)
            self._marks.discard(forgotten)


def _unsigned() -> Rejection:
    detail = f"the record has no header {HEADER}: sign it with one of control.keys, as docs/audit.md says"
    return Rejection(DeadLetterReason.UNSIGNED, detail)


def _forged(given: bytes) -> Rejection:
    name = quoted(given.partition(b":")[0].decode(errors="replace"))
    detail = (
        f"the header {HEADER} names the key {name} and is no signature of these bytes with it, or there is no such key "
        "at this time: see control.keys"
    )
    return Rejection(DeadLetterReason.BAD_SIGNATURE, detail)


def _too_old(ts: int, now: int) -> Rejection:
    minutes = SPAN_MS // UNIT_MS["m"]
    detail = (
        f"ts is {ts} and the event came at {now}: at most {minutes} minutes may lie between, and {SEEN_MAX:,} events "
        "after it; sign it anew"
    )
    return Rejection(DeadLetterReason.TOO_OLD, detail)
