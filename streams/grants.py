"""What a worker must be allowed to do with the topics: asked before it reads, and again while it runs.

A write is refused only when there is something to write, and an alert may be the first thing for weeks. Who lost the
permission to page learns it within seconds instead.
"""

import asyncio
from collections.abc import Iterator, Sequence

from aiokafka.errors import KafkaError

from schemas.topics import CATALOGUE, Direction, Stream, Topic
from streams.errors import MistakesError
from streams.offsets import Offsets
from streams.sections import KafkaSettings
from streams.topic_facts import Allowed, Operation

LOOK_EVERY_S = 10.0


class PermissionTakenError(MistakesError):
    """What this user may no longer do, a line for each topic."""


def missing(kafka: KafkaSettings, allowed: Allowed, *, ticks: bool) -> Iterator[str]:
    """What this user may not do and a worker must. Who may write to a topic may also write idempotently."""
    for stream, topic in CATALOGUE.items():
        name = kafka.topics.of(stream)
        operations = allowed.get(name)
        if operations is None:
            continue
        lacking = [each.name.title() for each in _needed(topic, ticks) if each not in operations]
        if lacking:
            instead = ", or set worker.tick_interval to 0s" if lacking == ["Write"] and stream is Stream.CONTROL else ""
            yield f"{name}: this user lacks {' and '.join(lacking)} on the topic; allow it{instead}"


def _needed(topic: Topic, ticks: bool) -> Sequence[Operation]:
    """Outputs are read too: what is on them already is not sent again."""
    writes = topic.direction is Direction.OUT or (topic.stream is Stream.CONTROL and ticks)
    return (Operation.READ, Operation.WRITE) if writes else (Operation.READ,)


async def keep_looking(kafka: KafkaSettings, offsets: Offsets, *, ticks: bool) -> None:
    """Ends with ``PermissionTakenError`` once something is taken away; brokers that are away take nothing away.

    Two looks must say so: one broker may not have heard yet of what was granted just now.
    """
    names = [kafka.topics.of(stream) for stream in CATALOGUE]
    before: list[str] = []
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            allowed = await offsets.operations(names)
        except KafkaError:
            continue
        lines = list(missing(kafka, allowed, ticks=ticks))
        if lines and before:
            raise PermissionTakenError(lines)
        before = lines
