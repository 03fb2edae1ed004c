"""The broker finder itself: what it hands out is a Kafka that takes a topic, a record, and gives it back."""

import uuid

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

pytestmark = pytest.mark.broker


async def test_a_record_sent_is_a_record_read_with_the_brokers_own_time(bootstrap: str) -> None:
    topic = f"broker-{uuid.uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs={"message.timestamp.type": "LogAppendTime"})])
    finally:
        await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        sent = await producer.send_and_wait(topic, b"value", key=b"key", timestamp_ms=1)
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        read = await consumer.getone()
    assert (read.key, read.value, read.offset) == (b"key", b"value", sent.offset)
    assert read.timestamp > 1
