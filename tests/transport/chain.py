"""The smallest engine that shows every mistake in order: a hash chain over the records, told every so many records.

Run as a program it is a worker with that engine. Its first argument holds the settings as JSON. With ``--unverified``
as the second it does not look at the topics first, which librdkafka's mock brokers cannot tell about; ``--stuck`` and
``--broken`` give it an engine that is so.
"""

import asyncio
import hashlib
import sys
import threading
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from schemas.records import RecordLike
from streams.settings import Settings
from streams.telemetry import NoTelemetry
from streams.worker import build, run, serve


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


class ChainEngine:
    """Tells the hash of everything before, after each ``every`` records, on the alerts topic."""

    def __init__(self, partition: int, every: int = 50) -> None:
        self._partition, self._every = partition, every
        self._hash, self._seen = b"", 0

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
    return await serve(build(settings, ChainEngine), asyncio.Event(), NoTelemetry())


def main(argument: str, *more: str) -> int:
    settings = msgspec.json.decode(argument, type=Settings)
    match more:
        case ("--unverified",):
            return asyncio.run(unverified(settings))
        case ("--stuck",):
            return run(settings, StuckEngine)
        case ("--broken",):
            return run(settings, BrokenEngine)
        case _:
            return run(settings, ChainEngine)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
