"""Signed worlds: who may speak to the monitor, who only says so, and what was captured and is sent again."""

import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from random import Random
from typing import Any, NamedTuple

from schemas.records import Record

HEADER = "driftline-signature"
SECOND = 1_000
EXTRA = 12  # control events that a signed world has besides
SIGNAL = "feature:nobody's"  # muting it changes nothing that is seen elsewhere

Headers = tuple[tuple[str, bytes], ...]


class Door(NamedTuple):
    """What a seed's engine is told of keys, and how much it may remember."""

    secrets: Mapping[str, bytes]
    required: bool
    span_ms: int
    seen_max: int


def door_of(seed: int) -> Door:
    draw = Random(f"{seed}/door")
    secrets = {"ops": b"a secret of the simulation", "old": b"another secret of it"} if draw.random() < 0.5 else {}
    return Door(secrets, draw.random() < 0.8, draw.choice((20, 120, 600)) * SECOND, draw.choice((1, 3, 10_000)))


def signature(name: str, secret: bytes, key: bytes, value: bytes) -> Headers:
    text = b"driftline-control-v1\n" + key + b"\n" + value
    return ((HEADER, name.encode() + b":" + hmac.new(secret, text, sha256).hexdigest().encode()),)


class Said(NamedTuple):
    """A control event that an operator, or somebody else, puts on the topic."""

    at: int
    event: dict[str, Any]
    key: bytes
    value: bytes
    headers: Headers


def said(draw: Random, door: Door, at: int, event: dict[str, Any]) -> Said:
    """Mostly as it should be."""
    key, value = event["model"].encode(), json.dumps(event).encode()
    if not door.secrets:
        return Said(at, event, key, value, ())
    name = draw.choice(sorted(door.secrets))
    right = signature(name, door.secrets[name], key, value)
    wrong = signature(name, b"guessed", key, value)
    elsewhere = signature(name, door.secrets[name], b"another", value)
    unknown = signature("nobody", door.secrets[name], key, value)
    headers = draw.choices((right, (), wrong, elsewhere, unknown, (*wrong, *right)), (20, 2, 1, 1, 1, 1))[0]
    return Said(at, event, key, value, headers)


def more(draw: Random, door: Door, moments: Sequence[int], models: Sequence[str]) -> list[Said]:
    """Mutes and their ends, some with clocks that are off; each may be captured and sent again, soon or late."""
    words: list[Said] = []
    for number in range(EXTRA if door.secrets else 0):
        at = draw.choice(moments)
        ts = at + draw.choice((0, 0, 0, 0, -SECOND, SECOND, -door.span_ms, door.span_ms, door.span_ms + 1))
        event = {"type": "control", "v": 1, "id": f"x{number}", "ts": ts, "action": draw.choice(("mute", "unmute"))}
        event |= {"model": draw.choice(models), "signal": SIGNAL, "by": "ada", "reason": f"déjà vu {number}"}
        words.append(said(draw, door, at, event))
        while draw.random() < 0.4:
            later = draw.choice((0, 1, SECOND, door.span_ms, door.span_ms + 1, 2 * door.span_ms))
            words.append(words[-1]._replace(at=words[-1].at + later))
    return words


def milliseconds(ts: int | str) -> int:
    return ts if isinstance(ts, int) else round(datetime.fromisoformat(ts).timestamp() * 1_000)


class Doorkeeper:
    """The rules of docs/audit.md, over a plain list of all that was taken."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._taken: list[tuple[int, str, str]] = []  # ts, model and id of those that are remembered
        self._newest = self._forgotten = 0

    def ask(self, record: Record, event: dict[str, Any], now: int) -> tuple[str | None, str | None]:
        """The key's name where one signed it, and the reason to refuse it where there is one."""
        door, ts = self._door, milliseconds(event["ts"])
        header = next((given for name, given in record.headers if name == HEADER), None)
        if not door.secrets or (header is None and not door.required):
            return None, None
        if header is None:
            return None, "unsigned"
        key, value = record.key or b"", record.value or b""
        signers = [name for name, secret in door.secrets.items() if signature(name, secret, key, value)[0][1] == header]
        if not signers:
            return None, "bad_signature"
        now = max(now, self._newest)
        if abs(now - ts) > door.span_ms or ts <= self._forgotten:
            return signers[0], "too_old"
        if (event["model"], event["id"]) in [(model, name) for _, model, name in self._taken]:
            return signers[0], "repeated"
        self._newest = now
        self._taken.append((ts, event["model"], event["id"]))
        self._taken = [one for one in self._taken if one[0] >= now - door.span_ms]
        while len(self._taken) > door.seen_max:
            oldest = min(self._taken, key=lambda one: one[0])
            self._forgotten = oldest[0]
            self._taken.remove(oldest)
        return signers[0], None
