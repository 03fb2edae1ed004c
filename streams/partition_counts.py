"""How many partitions topics have, asked in a way that never makes a topic."""

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code

from streams.connection import client_settings, start_client
from streams.errors import BrokerError, UsageError
from streams.sections import KafkaSettings


async def partition_counts(kafka: KafkaSettings, topics: Sequence[str]) -> dict[str, int]:
    """In the order asked for; a topic that is not there or may not be seen is an error."""
    admin = AIOKafkaAdminClient(**client_settings(kafka))
    try:
        await start_client(admin)
        found = {topic["topic"]: topic for topic in await admin.describe_topics(list(topics))}
    except KafkaError as error:
        advice = "see whether kafka.bootstrap is right and the brokers run"
        raise BrokerError(f"does not answer as it should: {error}", where=kafka.bootstrap, advice=advice) from error
    finally:
        await admin.close()
    return {name: _count(name, found[name]["error_code"], found[name]["partitions"]) for name in topics}


def _count(name: str, code: int, partitions: Sequence[object]) -> int:
    if for_code(code) is UnknownTopicOrPartitionError:
        raise UsageError("is not there", where=f"topic {name}", advice="see driftline topics create")
    if code:
        raise BrokerError(f"cannot be looked at: {for_code(code).description}", where=f"topic {name}")
    return len(partitions)
