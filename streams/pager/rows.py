"""The rows of a pager's outbox: what each holds, how it is named, and one write of several.

========================  ==============================================================================================
``belongs``               whose outbox this is: consumer group and topic, and the version of everything below
``instance``              by which the group knows this outbox: its next process takes the place of the last at once
``positions``             by partition, the next offset to take
``i/`` + incident         which sinks know of it, the steps seen last, when it was over, what it began with, and what
                          sinks called it
``d/`` + 8 bytes          a delivery to do, in the order of taking
``s/`` + sink, incident   what a sink may know: whether a page may have arrived, and what it showed last
``h/`` + sink             the pages that were held back and are to be told together
``w/`` + incident         why it is not paged, and its newest alert
``c/`` + upstream, lead   an incident that others of its upstream are told with
``b/`` + budget           the pages that count against it, and when its last digest was due
========================  ==============================================================================================
"""

from secrets import token_hex
from typing import Any, NamedTuple, TypeVar

import msgspec

from detectors.banks.contract import StateError
from detectors.sealing import open_sealed, seal
from streams.durable import Disk
from streams.errors import CorruptStateError, UsageError
from streams.pager.reasons import Reason
from streams.pager.steps import Action, First, Further

VERSION = 1
BELONGS, INSTANCE, POSITIONS = b"belongs", b"instance", b"positions"
INCIDENT, DELIVERY, STANDING, HELD = b"i/", b"d/", b"s/", b"h/"
WITHHELD, CAUSE, BUDGET = b"w/", b"c/", b"b/"

T = TypeVar("T")


class Belongs(msgspec.Struct, frozen=True):
    group: str
    topic: str
    version: int = VERSION


class Incident(msgspec.Struct, frozen=True, array_like=True):
    sinks: tuple[str, ...]
    steps: tuple[str, ...]
    closed_at: float | None = None
    first: First | None = None
    references: dict[str, str] = {}  # by sink: what it called an incident that is over, should it open again


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
    reason: Reason | None = None
    further: Further = Further()  # of an end: what was told with it until then


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


class Withheld(msgspec.Struct, frozen=True, array_like=True):
    """An incident that is open, or waits for a digest, and is not paged by itself."""

    reason: Reason
    value: bytes  # its newest alert
    since: float
    by: str = ""  # the cause or the budget
    until: float | None = None  # of a mute
    over: bool = False  # and only waits for the digest to say so


class Cause(msgspec.Struct, frozen=True, array_like=True):
    """An incident that was paged, and what is told with it."""

    upstream: str
    lead: str
    model: str
    value: bytes  # the lead's newest alert
    rank: int  # the lead's severity
    began: int  # epoch milliseconds
    is_source: bool = False
    models: tuple[str, ...] = ()  # other models that joined, in that order
    incidents: int = 0  # that joined, those of the lead's own model among them
    told: int = 0  # how many of them were told last
    settled_at: float | None = None  # when more was told last because it was quiet
    joined_at: float = 0.0
    over_at: float | None = None

    @property
    def key(self) -> str:
        return f"{self.upstream}\0{self.lead}"


class Budget(msgspec.Struct, frozen=True, array_like=True):
    pages: tuple[tuple[float, str], ...]  # when, and which
    digest_due: float  # when the last one was


class Changes:
    """One write in the making. The last word about a key counts."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes | None] = {}

    def put(self, key: bytes, content: object) -> None:
        self.rows[key] = seal(_PACK(content))

    def delete(self, key: bytes) -> None:
        self.rows[key] = None

    def write(self, disk: Disk) -> None:
        """Where nothing changes, the disk is left alone."""
        if not self.rows:
            return
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
