"""A broker as a plain process from Maven's jars, where there is a Java."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from load.brokers.common import (
    CLUSTER_ID,
    HEAP,
    KAFKA_VERSION,
    SETTINGS,
    Broker,
    BrokerKind,
    BrokerUnavailableError,
    free_port,
    tail_of,
    wait_until_ready,
)
from load.output import say

JARS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}",  # formats the storage
    "org.slf4j:slf4j-simple:1.7.36",  # the log goes to standard error without a configuration
)
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "kafka" / KAFKA_VERSION
JAVA_OLDEST = 17  # what a Kafka 4 broker asks for
STOP_WITHIN_S = 15.0  # a clean stop takes one or two seconds; past this the process is killed


@contextmanager
def broker_from_jars() -> Iterator[Broker]:
    """For as long as the block runs; data and log lie in a folder that goes with it."""
    java = find_java()
    classpath = f"{libraries()}/*"
    with tempfile.TemporaryDirectory(prefix="driftline-kafka-", ignore_cleanup_errors=True) as folder:
        area = Path(folder)
        port, controller_port = free_port(), free_port()
        properties = _write_properties(area, port, controller_port)
        command = [java, HEAP, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath]
        _format_storage(command, properties)
        log = area / "broker.log"
        with _process([*command, "kafka.Kafka", str(properties)], log) as process:
            try:
                wait_until_ready(f"127.0.0.1:{port}", lambda: _require_alive(process))
            except (TimeoutError, BrokerUnavailableError) as error:
                tail = tail_of(log.read_text(errors="replace"))
                raise BrokerUnavailableError(f"no process: the broker did not come up: {error}\n{tail}") from error
            yield Broker(f"127.0.0.1:{port}", BrokerKind.JARS)


def find_java() -> str:
    java = shutil.which("java")
    if java is None:
        raise BrokerUnavailableError("no process: there is no java")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_OLDEST:
        raise BrokerUnavailableError(f"no process: Kafka {KAFKA_VERSION} needs Java {JAVA_OLDEST}, {java} is older")
    return java


def libraries() -> Path:
    """Kafka's jars; the folder stands only when it is whole, because it is renamed into place."""
    whole = CACHE / "libs"
    if whole.is_dir():
        return whole
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
            raise BrokerUnavailableError(f"no process: Maven could not resolve Kafka's jars\n{tail_of(done.stdout)}")
        with suppress(OSError):  # another process was quicker: its folder is as good
            (area / "libs").rename(whole)
    return whole


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
        raise BrokerUnavailableError(f"no process: the storage could not be formatted\n{tail_of(done.stderr)}")


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
