"""aiokafka reads, orjson parses, and that is all: what this client and this language leave for any work."""

import asyncio

import orjson
from aiokafka import AIOKafkaConsumer

from load.peers.task import Stopwatch, Task, read_task

FETCH_BYTES = 4 << 20  # of a partition at a time: past this nothing was gained
RECORDS_AT_ONCE = 10_000


async def run(task: Task) -> None:
    """Reads until the stopwatch ends the process."""
    stopwatch = Stopwatch(task, ("aiokafka", "orjson"))
    async with AIOKafkaConsumer(
        *task.topics,
        bootstrap_servers=task.bootstrap,
        group_id=task.group,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES,
    ) as consumer:
        while True:
            read = await consumer.getmany(timeout_ms=500, max_records=RECORDS_AT_ONCE)
            for records in read.values():
                for record in records:
                    orjson.loads(record.value)
                stopwatch.add(len(records))


if __name__ == "__main__":
    asyncio.run(run(read_task()))
