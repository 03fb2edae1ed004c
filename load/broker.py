"""Finds a real Apache Kafka for tests and measurements, or starts one on this machine.

Looked for in this order: the one that ``KAFKA_BOOTSTRAP`` names, a container where a Docker daemon answers, a plain
process from Maven's jars where there is a Java. What a start attempt lacked is said on standard error before the next
is tried. A broker that was started here listens on the loopback address only and is gone when the block ends.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from load.brokers.common import Broker, BrokerKind, BrokerUnavailableError, wait_until_ready
from load.brokers.container import broker_in_container
from load.brokers.jars import JAVA_OLDEST, broker_from_jars
from load.output import say


def _nothing_to_check() -> None:
    """The process behind a given address is not ours to look at."""


@contextmanager
def find_broker(env: Mapping[str, str] = os.environ) -> Iterator[Broker]:
    """The first broker that is to be had, for as long as the block runs. Not from within a running event loop."""
    with ExitStack() as running:
        given = env.get("KAFKA_BOOTSTRAP")
        broker = _given(given) if given else _started(running)
        say(f"broker: {broker.bootstrap} ({broker.kind})")
        yield broker


def _given(bootstrap: str) -> Broker:
    say(f"broker: asking {bootstrap}")
    try:
        wait_until_ready(bootstrap, _nothing_to_check)
    except TimeoutError as error:
        raise BrokerUnavailableError(f"KAFKA_BOOTSTRAP={bootstrap}: {error}; start that broker or unset it") from error
    return Broker(bootstrap, BrokerKind.GIVEN)


def _started(running: ExitStack) -> Broker:
    reasons = []
    for way in (broker_in_container, broker_from_jars):
        try:
            return running.enter_context(way())
        except BrokerUnavailableError as error:
            say(f"broker: {error}")
            reasons.append(str(error).splitlines()[0])
    raise BrokerUnavailableError(
        "no Apache Kafka is to be had. Set KAFKA_BOOTSTRAP, or start Docker, or install Java and Maven "
        f"(Debian: apt-get install openjdk-{JAVA_OLDEST}-jre-headless maven). Tried: {'; '.join(reasons)}"
    )
