"""Questions about where topics begin and end, to a real broker."""

import asyncio
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.offsets import Offsets

pytestmark = pytest.mark.broker

EVER_S = 1e6


def test_no_question_about_topics_that_were_not_met_waits_for_anything_but_the_brokers(bootstrap: str) -> None:
    names = [f"{uuid4().hex[:8]}.{number}" for number in range(6)]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        future.result(20)
    first, second, third = ([TopicPartition(name, 0) for name in some] for some in (names[:2], names[2:4], names[4:]))

    async def ask() -> None:
        async with Offsets({"bootstrap_servers": bootstrap}) as offsets:
            await offsets.ends([*first, *second, *third])  # a broker may not know yet that it leads what was just made
        async with Offsets({"bootstrap_servers": bootstrap}) as offsets:
            offsets._consumer_or_fail()._fetcher._retry_backoff = EVER_S
            async with asyncio.timeout(60):
                assert await offsets.ends(first) == dict.fromkeys(first, 0)
                assert await offsets.beginnings(second) == dict.fromkeys(second, 0)
                assert await offsets.first_times(third) == dict.fromkeys(third)

    asyncio.run(ask())
