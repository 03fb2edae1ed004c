"""What every way to a broker shares: its version, its settings, and how to tell that it is up."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

KAFKA_VERSION = "4.1.0"
CLUSTER_ID = "ZHJpZnRsaW5lLWxvY2FsMQ"  # any 16 bytes in base64: the cluster lives as long as the block
HEAP = "-Xmx512m"  # a broker for tests shares a small machine with the workers under test
READY_WITHIN_S = 90.0  # five seconds on an idle machine; a busy shared runner can need ten times that
POLL_EVERY_S = 0.1  # how often a starting broker is asked whether it is there
LOG_TAIL_LINES = 30  # enough to hold a Java stack trace and the line before it

SETTINGS: Mapping[str, str] = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",  # fifty, the default, take seconds to make
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",  # nobody waits for a second worker that a test did not start
    "auto.create.topics.enable": "false",  # a topic that nobody declared is a mistake that must show
    "log.cleaner.dedupe.buffer.size": "4194304",  # 128 MB, the default, is a quarter of the heap
}


class BrokerKind(StrEnum):
    """Where a broker came from."""

    GIVEN = "given"
    CONTAINER = "container"
    JARS = "jars"


class Broker(NamedTuple):
    """A broker that has answered."""

    bootstrap: str
    kind: BrokerKind


class BrokerUnavailableError(RuntimeError):
    """No broker could be found or started this way; the message says why and what would help."""


def wait_until_ready(bootstrap: str, check_alive: Callable[[], None]) -> None:
    """Returns when the broker names itself in its metadata: it then takes topics and records."""
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until:
        check_alive()
        if _port_open(bootstrap) and asyncio.run(_answers(bootstrap)):
            return
        time.sleep(POLL_EVERY_S)
    raise TimeoutError(f"no answer from {bootstrap} within {READY_WITHIN_S:.0f} s")


def _port_open(bootstrap: str) -> bool:
    host, _, port = bootstrap.split(",", maxsplit=1)[0].rpartition(":")
    with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=1.0):
        return True
    return False


async def _answers(bootstrap: str) -> bool:
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    try:
        with _quiet(logging.getLogger("aiokafka")):
            await client.bootstrap()
        return bool(client.cluster.brokers())
    except KafkaError:
        return False
    finally:
        await client.close()


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """A broker that is not up yet is what we wait for, no error worth a line ten times a second."""
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tail_of(text: str) -> str:
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])
