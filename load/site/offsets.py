"""Where a partition ends, asked with patience."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from confluent_kafka import Consumer, TopicPartition

WITHIN_S = 20.0


def end_of(consumer: "Consumer", place: "TopicPartition") -> int:
    """Of a topic that was just made, a broker may not know yet that it leads it: only clients that read ask again."""
    from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415 - comes with the development lock

    until = time.monotonic() + WITHIN_S
    while True:
        try:
            return int(consumer.get_watermark_offsets(place, timeout=WITHIN_S)[1])
        except KafkaException as error:
            if not error.args[0].retriable() and error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                raise
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
