"""What the audit log must say, byte for byte but for the ids: computed from the control events, the plain way."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from schemas.records import Record
from tests.simulation.signing import milliseconds

SAID = ("by", "reason", "version", "incident", "signal", "segment", "verdict", "baseline")
OF_INCIDENTS = ("applied", "not_open")  # which of them, only the monitor knows


class Entry(NamedTuple):
    """A control event at its place in the order, and what became of it where that can be told."""

    record: Record
    event: dict[str, Any]
    now: int
    signed_by: str | None
    result: str | None


def differing_entries(must: Sequence[Entry], written: Sequence[bytes]) -> list[str]:
    if len(must) != len(written):
        return [f"V3 the audit log has {len(written)} entries, {len(must)} must be"]
    previous, ids = None, set()
    for number, (entry, value) in enumerate(zip(must, written, strict=True), 1):
        told = json.loads(value)
        expected = _fields(entry, number, previous, told)
        if told["result"] not in (OF_INCIDENTS if entry.result is None else (entry.result,)):
            return [f"V3 entry {number} of the audit log says {told['result']}, must be {entry.result}"]
        if value != _canonical(expected):
            return [f"V3 entry {number} of the audit log is {value!r}, must be {_canonical(expected)!r}"]
        previous = expected["hash"]
        ids.add(told["id"])
    return [] if len(ids) == len(written) else ["V3 two entries of the audit log have the same id"]


def _fields(entry: Entry, number: int, previous: str | None, told: dict[str, Any]) -> dict[str, Any]:
    event, record = entry.event, entry.record
    fields = {
        "type": "audit",
        "v": 1,
        "id": told["id"],
        "seq": number,
        "previous": previous,
        "result": told["result"],
        "signed_by": entry.signed_by,
        "control": event["id"],
        "action": event["action"],
        "model": event["model"],
        "ts": entry.now,
        "position": {"topic": record.topic, "partition": record.partition, "offset": record.offset},
    }
    fields |= {name: event[name] for name in SAID if event.get(name) is not None}
    if event.get("until") is not None:
        fields["until"] = milliseconds(event["until"])
    return fields | {"hash": sha256(_canonical(fields)).hexdigest()}


def _canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
