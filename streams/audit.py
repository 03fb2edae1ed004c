"""The audit log read back: whether its chains are whole, and which entries there are."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from enum import StrEnum
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple

from schemas.chain import hash_of
from schemas.events import Audit
from streams import written
from streams.connection import client_settings
from streams.offsets import Offsets
from streams.sections import KafkaSettings
from streams.written import ENTRIES, EVENTS_READ_MAX, Tell, WrittenTopic

# Hashes of a partition that tell a repeat; repeats come within one commit of a worker.
REMEMBERED_MAX = 100_000
LISTED_MAX = 10_000  # of the newest that a list keeps, of ~1 KiB; programs page by --since and --model

Entries = AsyncGenerator[Audit, None]


class Break(StrEnum):
    """How a chain is not whole."""

    NO_ENTRY = "no_entry"
    CHANGED = "changed"
    NOT_LINKED = "not_linked"
    MISSING = "missing"
    OUT_OF_ORDER = "out_of_order"
    OTHER_CONTENT = "other_content"


class Fault(NamedTuple):
    """The first place at which it is not whole."""

    kind: Break
    where: str
    what: str


class Chain:
    """One partition's entries, taken in the order in which they lie.

    ``cut_off``: retention may have taken those that lay before.
    """

    def __init__(self, *, cut_off: bool = False) -> None:
        self.first: int | None = None
        self.last = 0
        self.hash: str | None = None  # of the last one
        self.repeats = 0
        self.fault: Fault | None = None
        self._cut_off = cut_off
        self._known: dict[int, str] = {}  # hashes by number

    @property
    def lacks_its_beginning(self) -> bool:
        return self._cut_off and self.first != 1

    def take(self, where: str, value: bytes) -> None:
        """After the first fault only one question is left: whether what is missing comes later."""
        if self.fault is not None and self.fault.kind is not Break.MISSING:
            return
        entry = ENTRIES.read(value)
        if isinstance(entry, str):
            self._breaks(Break.NO_ENTRY, where, entry)
        elif not _is_itself(entry, value):
            self._breaks(Break.CHANGED, where, f"entry {entry.seq} is not what it was written as: its hash is another")
        elif self.fault is not None:
            if entry.seq == self.last + 1:
                self.fault = Fault(Break.OUT_OF_ORDER, where, f"entry {entry.seq} comes after later ones")
        elif self.first is not None and entry.seq <= self.last:
            self._repeated(entry, where)
        else:
            self._next(entry, where)

    def _next(self, entry: Audit, where: str) -> None:
        begins = self.first is None
        if entry.seq > self.last + 1 and not (begins and self._cut_off):
            first, last = self.last + 1, entry.seq - 1
            gone = f"entry {first} is" if first == last else f"entries {first} to {last} are"
            self._breaks(Break.MISSING, where, f"{gone} missing before entry {entry.seq}")
        elif entry.previous != self.hash and (not begins or entry.seq == 1):
            what = f"entry {entry.seq} does not follow from what lies before it"
            self._breaks(Break.NOT_LINKED, where, what)
        else:
            self.first = entry.seq if begins else self.first
            self.last, self.hash = entry.seq, entry.hash
            self._known[entry.seq] = entry.hash
            if len(self._known) > REMEMBERED_MAX:
                del self._known[next(iter(self._known))]

    def _repeated(self, entry: Audit, where: str) -> None:
        known = self._known.get(entry.seq)
        if known == entry.hash:
            self.repeats += 1
        elif known is None:
            self._breaks(Break.OUT_OF_ORDER, where, f"entry {entry.seq} comes after later ones")
        else:
            what = f"entry {entry.seq} comes again and says something else, or another chain begins"
            self._breaks(Break.OTHER_CONTENT, where, what)

    def _breaks(self, kind: Break, where: str, what: str) -> None:
        self.fault = self.fault or Fault(kind, where, what)


def _is_itself(entry: Audit, value: bytes) -> bool:
    try:
        return hash_of(value) == entry.hash
    except ValueError:
        return False


async def chains_on_topic(kafka: KafkaSettings, tell: Tell) -> Mapping[int, Chain]:
    """By partition number. However many entries there are, all are looked at."""
    topic = await WrittenTopic.asked(kafka, ENTRIES, tell)
    async with Offsets(client_settings(kafka)) as offsets:
        starts, ends = await topic.whole_range(offsets)
        chains = {tp.partition: Chain(cut_off=starts[tp] > 0) for tp in topic.partitions}
        async with aclosing(topic.read(offsets, starts, ends)) as pieces:
            async for records in pieces:
                for record in records:
                    place = f"{record.topic}[{record.partition}]@{record.offset}"
                    chains[record.partition].take(place, record.value or b"")
    return chains


def chains_in_directory(directory: Path) -> Mapping[int, Chain]:
    chains: dict[int, Chain] = {}
    for line, entry in written.lines_in(directory, ENTRIES):
        chain = chains.setdefault(entry.position.partition, Chain())
        chain.take(f"{directory / line.topic} line {line.offset + 1}", line.value or b"")
    return chains


def on_topic(kafka: KafkaSettings, tell: Tell) -> Entries:
    return written.on_topic(kafka, ENTRIES, tell, EVENTS_READ_MAX)


async def in_directory(directory: Path) -> Entries:
    for _, entry in written.lines_in(directory, ENTRIES):
        yield entry


class Listing:
    """The newest entries, of one model or of all, each once."""

    def __init__(self, model: str | None = None, most: int = LISTED_MAX) -> None:
        self.left_out = 0
        self.newest = 0  # time of the newest entry, of whatever model
        self._model = model
        self._most = most
        self._entries: dict[str, Audit] = {}  # by id
        self._oldest: list[tuple[int, str]] = []  # a heap of time and id

    def add(self, entry: Audit) -> None:
        self.newest = max(self.newest, entry.ts)
        if self._model not in (None, entry.model) or entry.id in self._entries:
            return
        self._entries[entry.id] = entry
        heappush(self._oldest, (entry.ts, entry.id))
        if len(self._entries) > self._most:
            del self._entries[heappop(self._oldest)[1]]
            self.left_out += 1

    def since(self, ts: int) -> list[Audit]:
        """Those of that time and later, the oldest first."""
        found = [entry for entry in self._entries.values() if entry.ts >= ts]
        return sorted(found, key=lambda entry: (entry.ts, entry.position.partition, entry.seq))
