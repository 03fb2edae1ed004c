"""The audit log of a partition: an entry for each control event, in stream order, linked by hashes into a chain."""

from collections.abc import Iterator

import msgspec

from detectors.effects import Decided, derived_id, place
from detectors.kept import Kept
from detectors.moment import Item, position_of
from detectors.sealing import open_sealed, seal
from detectors.signing import Checked, Guard, GuardState, Keys
from schemas.chain import hash_of
from schemas.codec import encode
from schemas.events import Audit
from schemas.reasons import AuditResult
from schemas.times import to_ms

_AUDIT = b"A"  # under this key it is kept
_PACK = msgspec.msgpack.Encoder().encode


class AuditState(msgspec.Struct, array_like=True):
    entries: int = 0
    last: str | None = None  # the hash of the newest entry
    guard: GuardState = msgspec.field(default_factory=GuardState)

    def link(self, entry: Audit) -> Audit:
        """The entry as the next of the chain, whatever chain it was of."""
        self.entries += 1
        entry = msgspec.structs.replace(entry, seq=self.entries, previous=self.last, hash="")
        self.last = hash_of(encode(entry))
        return msgspec.structs.replace(entry, hash=self.last)


class AuditLog:
    """Its own state lies under a key of its own: one of an earlier release has none, and begins its log here."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._state = AuditState()
        self._guard = Guard(keys, self._state.guard)
        self._unsaved = False

    def restore(self, kept: Kept) -> None:
        record = kept.read([_AUDIT])[0]
        if record is not None:
            self._state = msgspec.msgpack.decode(open_sealed(record), type=AuditState)
            self._guard = Guard(self._keys, self._state.guard)

    def check(self, item: Item) -> Checked:
        """Who has signed it, and why it is refused, where it is. Each event is asked about once, and has an entry."""
        _, time, record, event = item
        return self._guard.check(record, event, time)

    def entry(self, item: Item, result: AuditResult, signed_by: str | None) -> Decided:
        """The next link of the chain."""
        index, time, record, event = item
        position = position_of(record)
        state = self._state
        entry = Audit(
            id=derived_id("audit", event.id, *place(position)),
            seq=0,
            previous=None,
            hash="",
            result=result,
            signed_by=signed_by,
            control=event.id,
            action=event.action,
            model=event.model,
            by=event.by,
            reason=event.reason,
            version=event.version,
            incident=event.incident,
            signal=event.signal,
            segment=event.segment,
            baseline=event.baseline,
            until=None if event.until is None else to_ms(event.until),
            verdict=event.verdict,
            ts=time,
            position=position,
        )
        entry = state.link(entry)
        self._unsaved = True
        return Decided(index, entry)

    def changes(self) -> Iterator[tuple[bytes, bytes]]:
        """What is to be written since it was asked last."""
        if self._unsaved:
            self._unsaved = False
            yield _AUDIT, seal(_PACK(self._state))
