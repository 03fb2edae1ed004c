"""What settings become when a client is made of them, and what is left of one that was broken off."""

import asyncio
import ssl
import struct

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from streams.connection import Permissions, Startable, check_login, client_settings, start_client
from streams.errors import UsageError
from streams.secrets import Secret
from streams.sections import KafkaSettings

LOGIN = {"sasl_mechanism": "scram-sha-256", "username": "driftline", "password": Secret("s3cret")}


def test_a_password_without_tls_is_refused():
    with pytest.raises(UsageError, match=r"kafka\.protocol: would send the password without TLS"):
        check_login(KafkaSettings(protocol="sasl_plaintext", **LOGIN))


def test_a_password_without_tls_can_be_allowed():
    check_login(KafkaSettings(protocol="sasl_plaintext", **LOGIN), Permissions(login_without_tls=True))


def test_a_login_with_tls_checks_certificate_and_host_name():
    made = client_settings(KafkaSettings(protocol="sasl_ssl", bootstrap="a:1,b:2", **LOGIN))
    context = made.pop("ssl_context")
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert made == {
        "bootstrap_servers": ["a:1", "b:2"],
        "client_id": "driftline",
        "request_timeout_ms": 90_000,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "driftline",
        "sasl_plain_password": "s3cret",
    }


def test_a_certificate_file_that_is_not_there_is_named():
    with pytest.raises(UsageError, match=r"/nowhere/ca\.pem: cannot be used"):
        client_settings(KafkaSettings(protocol="ssl", ca_file="/nowhere/ca.pem"))


def test_without_security_nothing_is_claimed():
    made = client_settings(KafkaSettings())
    assert (made["security_protocol"], made["ssl_context"]) == ("PLAINTEXT", None)


class Broker:
    """Says which requests it takes, and then nothing more."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        _, _, correlation = struct.unpack_from(">hhi", await reader.readexactly(size))
        # No error, and one kind of request: metadata (3), of its first version.
        writer.write(struct.pack(">iihihhh", 16, correlation, 0, 1, 3, 0, 0))
        await reader.readexactly(4)
        self.asked.set()
        while await reader.read(1024):
            pass
        self.left.set()
        writer.close()


@pytest.mark.parametrize("kind", [AIOKafkaConsumer, AIOKafkaProducer, AIOKafkaAdminClient])
def test_a_start_that_is_broken_off_while_the_brokers_are_asked_leaves_no_connection_open(kind):
    async def broken_off() -> None:
        broker = Broker()
        async with await asyncio.start_server(broker.serve, "127.0.0.1", 0) as server, asyncio.timeout(20):
            host, port = server.sockets[0].getsockname()
            client: Startable = kind(bootstrap_servers=f"{host}:{port}")
            starting = asyncio.create_task(start_client(client))
            await broker.asked.wait()
            starting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await starting
            await broker.left.wait()
            await (client.close() if kind is AIOKafkaAdminClient else client.stop())

    asyncio.run(broken_off())
