"""The rows of a pager's outbox: what each holds, how it is named, and one write of several.

========================  ==============================================================================================
``belongs``               whose outbox this is: consumer group and topic, and the version of everything below
``instance``              by which the group knows this outbox: its next process takes the place of the last at once
``positions``             by partition, the next offset to take
``i/`` + incident         which sinks know of it, the steps seen last, when it was over, and of what model it is
``d/`` + 8 bytes          a delivery to do, in the order of taking
``s/`` + sink, incident   what a sink may know: whether a page may have arrived, and what it showed last
``h/`` + sink             the pages that were held back and are to be told together
========================  ==============================================================================================
"""

from secrets import token_hex
from typing import Any, NamedTuple, TypeVar

import msgspec

from detectors.banks.contract import StateError
from detectors.sealing import open_sealed, seal
from streams.durable import Disk
from streams.errors import CorruptStateError, UsageError
from streams.pager.steps import Action

VERSION = 1
BELONGS, INSTANCE, POSITIONS = b"belongs", b"instance", b"positions"
INCIDENT, DELIVERY, STANDING, HELD = b"i/", b"d/", b"s/", b"h/"

T = TypeVar("T")


class Belongs(msgspec.Struct, frozen=True):
    group: str
    topic: str
    version: int = VERSION


class Incident(msgspec.Struct, frozen=True, array_like=True):
    sinks: tuple[str, ...]
    steps: tuple[str, ...]
    closed_at: float | None = None
    model: str = ""  # whose it is, for answers to it


class Delivery(msgspec.Struct, frozen=True, array_like=True):
    sequence: int
    sink: str
    incident: str
    action: Action
    value: bytes  # the alert as on the topic
    since: float
    tries: int = 0
    due: float = 0.0
    note: str = ""


class Standing(msgspec.Struct, frozen=True, array_like=True):
    value: bytes | None = None  # the alert that was delivered last; None: a page may have arrived, no answer says so
    reference: str | None = None
    acknowledged: bool = False


class Held(msgspec.Struct, frozen=True, array_like=True):
    since: float
    count: int
    by_severity: dict[str, int]
    summaries: tuple[str, ...]


class Whose(NamedTuple):
    """Of an incident that was taken in; the model is empty where an earlier release did."""

    model: str
    over: bool


class Changes:
    """One write in the making. The last word about a key counts."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes | None] = {}

    def put(self, key: bytes, content: object) -> None:
        self.rows[key] = seal(_PACK(content))

    def delete(self, key: bytes) -> None:
        self.rows[key] = None

    def write(self, disk: Disk) -> None:
        puts = [(key, row) for key, row in self.rows.items() if row is not None]
        disk.write(puts, [key for key, row in self.rows.items() if row is None])


def delivery_key(sequence: int) -> bytes:
    return DELIVERY + sequence.to_bytes(8, "big")


def standing_key(sink: str, incident: str) -> bytes:
    return STANDING + sink.encode() + b"\0" + incident.encode()


_PACK = msgspec.msgpack.Encoder().encode


def require_ours(disk: Disk, whose: Belongs) -> None:
    written = read_row(disk, BELONGS, Belongs)
    if written is None:
        disk.write([(BELONGS, seal(_PACK(whose))), (INSTANCE, seal(_PACK(f"pager-{token_hex(8)}")))], [])
    elif written != whose:
        what = f"group {written.group}, topic {written.topic}, version {written.version}"
        advice = "set pager.dir to a directory of its own, or name things as before"
        raise UsageError(f"the outbox there is that of {what}", where="pager.dir", advice=advice)


def all_of(disk: Disk, prefix: bytes, kind: type[T]) -> list[tuple[bytes, T]]:
    return [(key[len(prefix) :], _opened(row, kind)) for key, row in disk.scan(prefix)]


def read_row(disk: Disk, key: bytes, kind: type[T]) -> T | None:
    (row,) = disk.read([key])
    return None if row is None else _opened(row, kind)


def _opened(row: bytes, kind: Any) -> Any:
    try:
        return msgspec.msgpack.decode(open_sealed(row), type=kind)
    except (StateError, msgspec.MsgspecError) as error:
        raise CorruptStateError(str(error), where="pager.dir") from error
