"""Finds a real Apache Kafka for tests and measurements, or starts one on this machine.

Looked for in this order: the one that ``KAFKA_BOOTSTRAP`` names, a container where a Docker daemon answers, a plain
process from Maven's jars where there is a Java. What a start attempt lacked is said on standard error before the next
is tried. A broker that was started here listens on the loopback address only and is gone when the block ends.
"""

import asyncio
import logging
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from load.output import say

KAFKA_VERSION = "4.1.0"
IMAGE = f"apache/kafka:{KAFKA_VERSION}"
JARS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}",  # formats the storage
    "org.slf4j:slf4j-simple:1.7.36",  # the log goes to standard error without a configuration
)
CACHE = Path(__file__).resolve().parent.parent / ".cache" / "kafka" / KAFKA_VERSION
CLUSTER_ID = "ZHJpZnRsaW5lLWxvY2FsMQ"  # any 16 bytes in base64: the cluster lives as long as the block
JAVA_OLDEST = 17  # what a Kafka 4 broker asks for
HEAP = "-Xmx512m"  # a broker for tests shares a small machine with the workers under test
READY_WITHIN_S = 90.0  # five seconds on an idle machine; a busy shared runner can need ten times that
STOP_WITHIN_S = 15.0  # a clean stop takes one or two seconds; past this the process is killed
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
        _wait_until_ready(bootstrap, _nothing_to_check)
    except TimeoutError as error:
        raise BrokerUnavailableError(f"KAFKA_BOOTSTRAP={bootstrap}: {error}; start that broker or unset it") from error
    return Broker(bootstrap, BrokerKind.GIVEN)


def _started(running: ExitStack) -> Broker:
    reasons = []
    for way in (_container, _jars):
        try:
            return running.enter_context(way())
        except BrokerUnavailableError as error:
            say(f"broker: {error}")
            reasons.append(str(error).splitlines()[0])
    raise BrokerUnavailableError(
        "no Apache Kafka is to be had. Set KAFKA_BOOTSTRAP, or start Docker, or install Java and Maven "
        f"(Debian: apt-get install openjdk-{JAVA_OLDEST}-jre-headless maven). Tried: {'; '.join(reasons)}"
    )


# A container ---------------------------------------------------------------------------------------------------------


@contextmanager
def _container() -> Iterator[Broker]:
    _require_image()
    port = _free_port()
    container = _container_of_image(port)
    try:
        container.start()
        process = container.get_wrapped_container()
        _wait_until_ready(f"127.0.0.1:{port}", lambda: _require_running(process))
    except Exception as error:  # docker-py's errors have no root of their own
        tail = _container_log(container)
        container.stop()
        raise BrokerUnavailableError(f"no container: {IMAGE} did not come up: {error}\n{tail}") from error
    try:
        yield Broker(f"127.0.0.1:{port}", BrokerKind.CONTAINER)
    finally:
        container.stop()


def _require_image() -> None:
    try:
        import docker  # noqa: PLC0415 - comes with the development lock; a measurement does without it
        import docker.errors  # noqa: PLC0415
    except ImportError as error:
        raise BrokerUnavailableError(
            "no container: the docker and testcontainers packages are not installed"
        ) from error
    try:
        client = docker.from_env()
        client.ping()
    except docker.errors.DockerException as error:
        raise BrokerUnavailableError("no container: no Docker daemon answers") from error
    try:
        client.images.get(IMAGE)
    except docker.errors.ImageNotFound:
        _pull(client)
    finally:
        client.close()


def _pull(client: Any) -> None:
    say(f"broker: pulling {IMAGE}")
    try:
        client.images.pull(IMAGE)
    except Exception as error:  # the registry's, the daemon's and the connection's errors have no common root
        raise BrokerUnavailableError(f"no container: {IMAGE} is not here and cannot be pulled ({error})") from error


def _container_of_image(port: int) -> Any:
    from testcontainers.core.config import testcontainers_config  # noqa: PLC0415 - as docker above
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415

    # The reaper is a second image that is handed the daemon's socket; this module removes what it starts itself.
    testcontainers_config.ryuk_disabled = True
    container = DockerContainer(IMAGE)
    container.ports["9092/tcp"] = ("127.0.0.1", port)  # with_bind_ports would open it to the network
    settings = {
        **SETTINGS,
        "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": "1@localhost:9093",
    }
    for name, value in settings.items():
        container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    return container.with_env("KAFKA_HEAP_OPTS", HEAP).with_env("CLUSTER_ID", CLUSTER_ID)


def _require_running(process: Any) -> None:
    process.reload()
    if process.status == "exited":
        raise BrokerUnavailableError("the container ended while it was starting")


def _container_log(container: Any) -> str:
    with suppress(Exception):  # there may be no container yet, and the first error is the one to tell
        return _tail(b"".join(container.get_logs()).decode(errors="replace"))
    return ""


# A process from jars -------------------------------------------------------------------------------------------------


@contextmanager
def _jars() -> Iterator[Broker]:
    java = _java()
    classpath = f"{_libraries()}/*"
    with tempfile.TemporaryDirectory(prefix="driftline-kafka-", ignore_cleanup_errors=True) as folder:
        area = Path(folder)
        port, controller_port = _free_port(), _free_port()
        properties = _write_properties(area, port, controller_port)
        command = [java, HEAP, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath]
        _format_storage(command, properties)
        log = area / "broker.log"
        with _process([*command, "kafka.Kafka", str(properties)], log) as process:
            try:
                _wait_until_ready(f"127.0.0.1:{port}", lambda: _require_alive(process))
            except (TimeoutError, BrokerUnavailableError) as error:
                tail = _tail(log.read_text(errors="replace"))
                raise BrokerUnavailableError(f"no process: the broker did not come up: {error}\n{tail}") from error
            yield Broker(f"127.0.0.1:{port}", BrokerKind.JARS)


def _java() -> str:
    java = shutil.which("java")
    if java is None:
        raise BrokerUnavailableError("no process: there is no java")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_OLDEST:
        raise BrokerUnavailableError(f"no process: Kafka {KAFKA_VERSION} needs Java {JAVA_OLDEST}, {java} is older")
    return java


def _libraries() -> Path:
    """Kafka's jars; the folder stands only when it is whole, because it is renamed into place."""
    libraries = CACHE / "libs"
    if libraries.is_dir():
        return libraries
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerUnavailableError("no process: there is no mvn to resolve Kafka's jars")
    say(f"broker: resolving Kafka {KAFKA_VERSION} with Maven (54 MB, once)")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        area = Path(folder)
        (area / "pom.xml").write_text(_pom())
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={area / 'libs'}"]
        done = subprocess.run(
            [maven, "-q", "-B", "-f", str(area / "pom.xml"), *goal], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise BrokerUnavailableError(f"no process: Maven could not resolve Kafka's jars\n{_tail(done.stdout)}")
        with suppress(OSError):  # another process was quicker: its folder is as good
            (area / "libs").rename(libraries)
    return libraries


def _pom() -> str:
    def dependency(coordinates: str) -> str:
        group, artifact, version = coordinates.split(":")
        parts = f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
        return f"<dependency>{parts}</dependency>"

    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>driftline</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{''.join(map(dependency, JARS))}</dependencies></project>"
    )


def _write_properties(area: Path, port: int, controller_port: int) -> Path:
    settings = {
        **SETTINGS,
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "log.dirs": str(area / "data"),
    }
    properties = area / "server.properties"
    properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return properties


def _format_storage(command: list[str], properties: Path) -> None:
    done = subprocess.run(
        [*command, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BrokerUnavailableError(f"no process: the storage could not be formatted\n{_tail(done.stderr)}")


# The shell becomes the broker; what it leaves behind waits for the pipe from us to close, which also happens when this
# process is killed, and then ends the broker: a test run that dies leaves none behind.
_ENDS_WITH_US = 'exec 3<&0; (cat <&3 >/dev/null; kill $$ 2>/dev/null) & exec "$@" 3<&- </dev/null'


@contextmanager
def _process(command: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _ENDS_WITH_US, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            start_new_session=True,  # the Ctrl-C that ends a test run must not end the broker before its clients
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _require_alive(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        raise BrokerUnavailableError(f"it ended with status {process.returncode}")


# What both need ------------------------------------------------------------------------------------------------------


def _nothing_to_check() -> None:
    """The check of a broker whose process is not ours to look at."""


def _wait_until_ready(bootstrap: str, check_alive: Callable[[], None]) -> None:
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
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=1.0):
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])
