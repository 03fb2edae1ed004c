"""A consumer that is a member of a group: made as the settings say, and subscribed to a topic that must be there."""

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener

from schemas.times import duration_ms
from streams.connection import client_settings, start_client
from streams.errors import UsageError
from streams.sections import KafkaSettings


def member(kafka: KafkaSettings, group: str, *, records_max: int, instance: str | None = None) -> AIOKafkaConsumer:
    """It commits nothing by itself. ``instance``: by which the group knows it again in its next process."""
    return AIOKafkaConsumer(
        group_id=group,
        group_instance_id=instance,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=duration_ms(kafka.session_timeout),
        heartbeat_interval_ms=duration_ms(kafka.heartbeat_interval),
        max_poll_records=records_max,
        **client_settings(kafka),
    )


async def join(consumer: AIOKafkaConsumer, topic: str, listener: ConsumerRebalanceListener | None = None) -> None:
    """It must be stopped in any case, also where this raises."""
    await start_client(consumer)
    if topic not in await consumer.topics():
        raise UsageError("there is no such topic", where=topic, advice="make it with driftline topics create")
    consumer.subscribe([topic], listener=listener)
