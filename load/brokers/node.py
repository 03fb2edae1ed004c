"""A broker that can be stopped, killed, held still and started again: in a container, or as a process from the jars.

Either way it is one folder with ``server.properties`` and one shell script, so both run the same. Neither is left
behind by a test run that is killed: each waits for a pipe from us to close.
"""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import uuid4

from load.brokers.common import CLUSTER_ID, KAFKA_VERSION, SETTINGS, BrokerUnavailableError, tail_of, wait_until_ready
from load.brokers.container import IMAGE
from load.brokers.jars import find_java, libraries
from load.output import say

# A node for tests holds a few thousand records. The serial collector and the first compiler only: it starts in half
# the time, and three of them leave room for the workers on a machine with two cores.
JAVA_FLAGS = ("-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
STOP_WITHIN_S = 30.0  # a controlled shutdown of a leader takes a few seconds
PULLED_WITHIN_S = 600.0  # 200 MB from a registry that may be slow
# A node that was killed comes back when the controller has given up on its last life: nine seconds, unless told.
SESSION = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}
AREA = "@AREA@"  # stands for the node's folder in settings: it lies elsewhere in a container

# The folder is formatted once and kept over restarts, so that a node comes back with what it had.
_RUN = """
cd {area} || exit 1
[ -f data/meta.properties ] || {java} {log} -cp '{libraries}/*' \
    kafka.tools.StorageTool format -t {cluster} -c server.properties >/dev/null || exit 1
exec {java} {log} -cp '{libraries}/*' kafka.Kafka server.properties
"""
_LOG = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
# What is left behind of the shell ends the broker when the pipe from us closes; SIGKILL, because it may be held still.
_ENDS_WITH_US = 'exec 3<&0; (cat <&3 >/dev/null; kill -9 $$ 2>/dev/null) & exec /bin/sh -c "$0" 3<&- </dev/null'


class Home(Protocol):
    """Where a node runs."""

    def put(self, name: str, text: str) -> None:
        """Writes a file into the node's folder, before the first start."""

    def read(self, name: str) -> str:
        """A file of the node's folder; empty where there is none."""

    def start(self) -> None: ...

    def signal(self, number: signal.Signals) -> None:
        """SIGTERM, SIGKILL, SIGSTOP or SIGCONT."""

    def wait(self) -> None: ...

    def running(self) -> bool: ...

    def log(self) -> str: ...

    def remove(self) -> None: ...


class Node:
    """One broker of ours, by its id."""

    def __init__(self, number: int, bootstrap: str, home: Home) -> None:
        self.number, self.bootstrap = number, bootstrap
        self._home = home

    def start(self) -> None:
        self._home.start()

    def wait_until_ready(self) -> None:
        try:
            wait_until_ready(self.bootstrap, self._require_running)
        except (TimeoutError, BrokerUnavailableError) as error:
            raise BrokerUnavailableError(f"broker {self.number} did not come up: {error}\n{self.log()}") from error

    def kill(self) -> None:
        self._home.signal(signal.SIGKILL)
        self._home.wait()

    def stop(self) -> None:
        """As an operator does: leadership is handed over first."""
        self._home.signal(signal.SIGTERM)
        self._home.wait()

    def hang(self) -> None:
        """Its connections stay open and nothing answers."""
        self._home.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._home.signal(signal.SIGCONT)

    @contextmanager
    def hanging(self, seconds: float) -> Iterator[None]:
        """Hangs while the block runs and until so many seconds have passed."""
        until = time.monotonic() + seconds
        self.hang()
        try:
            yield
            time.sleep(max(0.0, until - time.monotonic()))
        finally:
            self.go_on()

    def read(self, name: str) -> str:
        return self._home.read(name)

    def log(self) -> str:
        return tail_of(self._home.log())

    def remove(self) -> None:
        self._home.remove()

    def _require_running(self) -> None:
        if not self._home.running():
            raise BrokerUnavailableError("it ended while it was starting")


class _Process:
    """From the jars, where there is a Java."""

    def __init__(self, number: int) -> None:
        self._area = Path(tempfile.mkdtemp(prefix=f"driftline-node{number}-"))
        flags = " ".join((find_java(), *JAVA_FLAGS))
        self._script = _RUN.format(area=self._area, java=flags, log=_LOG, libraries=libraries(), cluster=CLUSTER_ID)
        self._log = self._area / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def put(self, name: str, text: str) -> None:
        (self._area / name).write_text(text.replace(AREA, str(self._area)))

    def read(self, name: str) -> str:
        path = self._area / name
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _ENDS_WITH_US, self._script],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,  # the Ctrl-C that ends a test run must not end the broker before its clients
            )

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            try:
                process.wait(STOP_WITHIN_S)
            finally:
                process.kill()
                process.communicate()  # closes the pipe, which the shell's helper waits for

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        return self.read(self._log.name)

    def remove(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()
        shutil.rmtree(self._area, ignore_errors=True)


class _Container:
    """On the host's own network, so that the address a node is known by is the same everywhere."""

    def __init__(self, number: int) -> None:
        self._name = f"driftline-node{number}-{uuid4().hex[:8]}"
        flags = " ".join(("java", *JAVA_FLAGS))
        script = _RUN.format(area="/broker", java=flags, log=_LOG, libraries="/opt/kafka/libs", cluster=CLUSTER_ID)
        options = ["--network", "host", "--user", "0", "--entrypoint", "/bin/sh"]
        docker("create", "--name", self._name, *options, IMAGE, "-c", script)
        self._area = Path(tempfile.mkdtemp(prefix="driftline-node-"))
        self._remover = subprocess.Popen(
            ["/bin/sh", "-c", f"cat >/dev/null; docker rm --force --volumes {self._name} >/dev/null 2>&1"],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def put(self, name: str, text: str) -> None:
        (self._area / name).write_text(text.replace(AREA, "/broker"))

    def read(self, name: str) -> str:
        with suppress(BrokerUnavailableError):  # it may be held still or be down, and then it says nothing
            return docker("exec", self._name, "cat", f"/broker/{name}")
        return ""

    def start(self) -> None:
        if self._area.exists():
            docker("cp", f"{self._area}/.", f"{self._name}:/broker")
            shutil.rmtree(self._area)
        docker("start", self._name)

    def signal(self, number: signal.Signals) -> None:
        if not self.running():
            return
        if number is signal.SIGSTOP:
            docker("pause", self._name)
        elif number is signal.SIGCONT:
            docker("unpause", self._name)
        else:
            docker("kill", "--signal", number.name, self._name)

    def wait(self) -> None:
        docker("wait", self._name, within_s=STOP_WITHIN_S)

    def running(self) -> bool:
        return docker("inspect", "--format", "{{.State.Running}}", self._name).strip() == "true"

    def log(self) -> str:
        return docker("logs", self._name)

    def remove(self) -> None:
        self._remover.communicate(timeout=STOP_WITHIN_S)
        shutil.rmtree(self._area, ignore_errors=True)


def docker(*words: str, within_s: float = 60.0) -> str:
    try:
        done = subprocess.run(
            ["docker", *words],  # noqa: S607 - whichever docker the user has
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within_s,
            check=False,
        )
    except OSError as error:
        raise BrokerUnavailableError(f"no container: {error}") from error
    if done.returncode != 0:
        raise BrokerUnavailableError(f"no container: docker {words[0]}: {done.stdout.strip()}")
    return done.stdout


class Way(NamedTuple):
    """One of the two ways to run a node."""

    name: str
    home: Callable[[int], Home]


def find_way() -> Way:
    """The first that is to be had here; the same order as for a single broker."""
    reasons = []
    for way, ready in ((Way("container", _Container), _image_is_here), (Way("process", _Process), _jars_are_here)):
        try:
            ready()
            return way
        except (BrokerUnavailableError, subprocess.TimeoutExpired) as error:
            reasons.append(str(error).splitlines()[0])
    raise BrokerUnavailableError(
        f"brokers of one's own (Kafka {KAFKA_VERSION}) need Docker, or Java and Maven: {'; '.join(reasons)}"
    )


def _image_is_here() -> None:
    with suppress(BrokerUnavailableError):
        docker("image", "inspect", IMAGE)
        return
    docker("version")
    say(f"broker: pulling {IMAGE}")
    docker("pull", "--quiet", IMAGE, within_s=PULLED_WITHIN_S)


def _jars_are_here() -> None:
    find_java()
    libraries()


@contextmanager
def nodes(properties: Mapping[int, Mapping[str, str]], files: Mapping[str, str], way: Way) -> Iterator[dict[int, Node]]:
    """Nodes with these settings, by id; all have answered. They are gone, with all they wrote, when the block ends."""
    start = time.monotonic()
    with ExitStack() as running:
        made: dict[int, Node] = {}
        for number, settings in properties.items():
            home = way.home(number)
            running.callback(home.remove)
            merged = {**SETTINGS, **SESSION, "log.dirs": f"{AREA}/data", **settings, "node.id": str(number)}
            home.put("server.properties", "".join(f"{name}={value}\n" for name, value in merged.items()))
            for name, text in files.items():
                home.put(name, text)
            made[number] = Node(number, settings["advertised.listeners"].split(",")[0].rpartition("//")[2], home)
        for node in made.values():
            node.start()
        for node in made.values():
            node.wait_until_ready()
        say(f"broker: {len(made)} by {way.name} after {time.monotonic() - start:.1f} s")
        yield made
