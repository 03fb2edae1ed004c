"""What the settings allow that is refused otherwise."""

from streams.connection import Permissions
from streams.sections import KafkaSettings


def permissions(kafka: KafkaSettings) -> Permissions:
    return Permissions(login_without_tls=kafka.allow_login_without_tls, create_time=kafka.allow_create_time)
