"""How every client of ours reaches the brokers: settings as aiokafka asks for them, and a start that leaves nothing."""

import ssl
from traceback import walk_tb
from typing import Any, NamedTuple, Protocol

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context

from schemas.times import duration_ms
from streams.errors import UsageError
from streams.sections import KafkaSettings


class Permissions(NamedTuple):
    """What is refused unless somebody who knows the price allows it."""

    login_without_tls: bool = False  # the password crosses the network in the clear
    create_time: bool = False  # producers' clocks order the records: each that comes late by them is told as a signal


_NOTHING_PERMITTED = Permissions()


def check_login(kafka: KafkaSettings, permissions: Permissions = _NOTHING_PERMITTED) -> None:
    """Raises ``UsageError`` where a password would be sent to whoever listens."""
    if kafka.protocol == "sasl_plaintext" and not permissions.login_without_tls:
        raise UsageError(
            'would send the password without TLS ("sasl_plaintext")',
            where="kafka.protocol",
            advice='set it to "sasl_ssl", or allow a login without TLS where nobody else shares the network',
        )


def client_settings(kafka: KafkaSettings) -> dict[str, Any]:
    """The keyword arguments that every aiokafka client takes."""
    return {
        "bootstrap_servers": kafka.bootstrap.split(","),
        "client_id": kafka.client_id,
        "request_timeout_ms": duration_ms(kafka.request_timeout),
        **security(kafka),
    }


def security(kafka: KafkaSettings) -> dict[str, Any]:
    """How to speak to the brokers, as aiokafka's keyword arguments."""
    security: dict[str, Any] = {"security_protocol": kafka.protocol.upper(), "ssl_context": _ssl_context(kafka)}
    if kafka.protocol.startswith("sasl"):
        security["sasl_mechanism"] = (kafka.sasl_mechanism or "plain").upper()
        security["sasl_plain_username"] = kafka.username
        security["sasl_plain_password"] = _password(kafka)
    return security


class Startable(Protocol):
    """A consumer, producer or admin client of aiokafka's."""

    async def start(self) -> None: ...


async def start_client(client: Startable) -> None:
    """As its own ``start``. It must be stopped in any case, also where this raises.

    aiokafka closes the first connection, on which it asks for the brokers, when the answer is an error or does not come
    in time. When the asking is cancelled, nobody has that connection but the frame in which it was made.
    """
    try:
        await client.start()
    except BaseException as error:
        for frame, _ in walk_tb(error.__traceback__):
            if frame.f_code is AIOKafkaClient.bootstrap.__code__ and "bootstrap_conn" in frame.f_locals:
                frame.f_locals["bootstrap_conn"].close()
        raise


def is_refusal(error: BaseException) -> bool:
    """Whether a broker said that this user may not do what was asked. aiokafka has one class for each kind of thing."""
    return isinstance(error, KafkaError) and "Authorization" in type(error).__name__


def _password(kafka: KafkaSettings) -> str | None:
    return kafka.password.reveal() if kafka.password else None


def _ssl_context(kafka: KafkaSettings) -> ssl.SSLContext | None:
    """Certificates and host names are always checked; there is no setting that turns it off."""
    if not kafka.protocol.endswith("ssl"):
        return None
    try:
        context: ssl.SSLContext = create_ssl_context(
            cafile=kafka.ca_file, certfile=kafka.certificate_file, keyfile=kafka.key_file
        )
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(name for name in (kafka.ca_file, kafka.certificate_file, kafka.key_file) if name)
        raise UsageError(f"cannot be used: {error}", where=files or "the system's certificates") from error
    return context
