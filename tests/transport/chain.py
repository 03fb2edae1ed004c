"""The smallest engine that shows every mistake in order: a hash chain over the records, told every so many records.

Run as a program it is a worker with that engine. Its first argument holds the settings as JSON. With ``--unverified``
as the second it does not look at the topics first, which librdkafka's mock brokers cannot tell about; ``--stuck`` and
``--broken`` give it an engine that is so.
"""

import asyncio
import hashlib
import sys
import threading
from collections.abc import Generator, Sequence
from typing import NamedTuple

import msgspec

from detectors.kept import Changes, Kept
from schemas.records import RecordLike
from streams.preflight import require
from streams.running import run, serve
from streams.settings import Settings
from streams.stores import opened
from streams.telemetry import NoTelemetry
from streams.worker import build

LINK = b"link"  # the key of all that is kept


class Told(NamedTuple):
    stream: str
    id: str
    key: bytes
    value: bytes


class Counts(NamedTuple):
    consumed: int
    applied: int
    duplicate: int = 0
    late: int = 0
    dead_lettered: int = 0
    conflicts: int = 0
    unknown_fields: int = 0


class Applied(NamedTuple):
    effects: list[Told]
    counts: dict[str, Counts]


class Stats(NamedTuple):
    seen: int


class ChainEngine:
    """Tells the hash of everything before, after each ``every`` records, on the alerts topic."""

    def __init__(self, partition: int, kept: Kept | None = None, every: int = 50) -> None:
        self._partition, self._every = partition, every
        self._hash, self._seen = b"", 0
        (known,) = kept.read([LINK]) if kept else [None]
        if known is not None:
            self._seen, self._hash = int.from_bytes(known[:8], "big"), known[8:]

    def apply(self, records: Sequence[RecordLike]) -> Applied:
        effects: list[Told] = []
        consumed: dict[str, int] = {}
        for record in records:
            step = b"%s/%d/%s" % (record.topic.encode(), record.offset, record.value or b"")
            self._hash = hashlib.blake2b(self._hash + step, digest_size=12).digest()
            self._seen += 1
            consumed[record.topic] = consumed.get(record.topic, 0) + 1
            if self._seen % self._every == 0:
                name = f"{self._partition}-{self._seen}"
                effects.append(Told("alerts", name, b"chain", self._hash.hex().encode()))
        return Applied(effects, {topic: Counts(n, n) for topic, n in consumed.items()})

    def applying(self, records: Sequence[RecordLike]) -> Generator[None, None, Applied]:
        """In two parts, of which the first does nothing yet."""
        yield
        return self.apply(records)

    def make_ready(self, models: int) -> bool:
        return False

    def changes(self) -> Changes:
        return Changes([(LINK, self._seen.to_bytes(8, "big") + self._hash)], [])

    @property
    def stats(self) -> Stats:
        return Stats(self._seen)


class StuckEngine(ChainEngine):
    """Never comes back, and with it the event loop."""

    def apply(self, records: Sequence[RecordLike]) -> Applied:
        threading.Event().wait()
        return super().apply(records)


class BrokenEngine(ChainEngine):
    """Raises what nobody foresaw."""

    def apply(self, records: Sequence[RecordLike]) -> Applied:
        raise ZeroDivisionError(f"with {len(records)} records in hand")


async def unverified(settings: Settings) -> int:
    with opened(settings, ChainEngine) as store:
        return await serve(build(settings, store), asyncio.Event(), NoTelemetry())


def main(argument: str, *more: str) -> int:
    settings = msgspec.json.decode(argument, type=Settings)
    if more == ("--unverified",):
        return asyncio.run(unverified(settings))
    require(settings)
    match more:
        case ("--stuck",):
            return run(settings, StuckEngine)
        case ("--broken",):
            return run(settings, BrokenEngine)
        case _:
            return run(settings, ChainEngine)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
