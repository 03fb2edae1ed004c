"""aiokafka reads, orjson parses, and that is all: what this client and this language leave for any work.

Fetching more of a partition at a time than the client's default was tried: 4 MiB in place of 1 MiB gained nothing.
"""

import asyncio

import orjson
from aiokafka import AIOKafkaConsumer

from load.peers.task import Stopwatch, Task, read_task

RECORDS_AT_ONCE = 10_000


async def run(task: Task) -> None:
    """Reads until the stopwatch ends the process."""
    stopwatch = Stopwatch(task, ("aiokafka", "orjson"))
    async with AIOKafkaConsumer(
        *task.topics,
        bootstrap_servers=task.bootstrap,
        group_id=task.group,
        auto_offset_reset="earliest",
    ) as consumer:
        while True:
            read = await consumer.getmany(timeout_ms=500, max_records=RECORDS_AT_ONCE)
            for records in read.values():
                for record in records:
                    orjson.loads(record.value)
                stopwatch.add(len(records))


if __name__ == "__main__":
    asyncio.run(run(read_task()))
