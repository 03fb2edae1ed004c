"""A broker in a container, where a Docker daemon answers and the image is here or can be pulled."""

import gc
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

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

IMAGE = f"apache/kafka:{KAFKA_VERSION}"
REMOVED_WITHIN_S = 30.0  # killing and removing a container takes less than a second on an idle machine


@contextmanager
def broker_in_container() -> Iterator[Broker]:
    """For as long as the block runs; the container is removed with all it wrote."""
    _require_image()
    port = free_port()
    container = _container_of_image(port)
    with ExitStack() as running:
        try:
            _start(container)
            running.enter_context(_removed_with_us(container.get_container_id()))
            process = container.get_wrapped_container()
            wait_until_ready(f"127.0.0.1:{port}", lambda: _require_running(process))
        except Exception as error:  # docker-py's errors have no root of their own
            tail = _container_log(container)
            raise BrokerUnavailableError(f"no container: {IMAGE} did not come up: {error}\n{tail}") from error
        finally:
            container.get_docker_client().client.close()
        yield Broker(f"127.0.0.1:{port}", BrokerKind.CONTAINER)


def _start(container: Any) -> None:
    try:
        container.start()
    except Exception:
        container.stop()  # it may have been made and not started, when its port was taken meanwhile
        raise


# Its standard input is a pipe from us, which closes when the block ends, and also when this process is killed: either
# way the container goes. testcontainers' own reaper does the same with a second image that is handed Docker's socket.
_REMOVE = (
    "import sys; sys.stdin.read(); import docker; docker.from_env().containers.get(sys.argv[1]).remove(force=True)"
)


@contextmanager
def _removed_with_us(container_id: str) -> Iterator[None]:
    remover = subprocess.Popen(
        [sys.executable, "-c", _REMOVE, container_id],
        stdin=subprocess.PIPE,
        start_new_session=True,  # so that what ends a test run does not end the remover first
    )
    try:
        yield
    finally:
        remover.communicate(timeout=REMOVED_WITHIN_S)


def _require_image() -> None:
    try:
        import docker  # noqa: PLC0415 - comes with the development lock; a measurement does without it
        import docker.errors  # noqa: PLC0415
    except ImportError as error:
        raise BrokerUnavailableError(
            "no container: the docker and testcontainers packages are not installed"
        ) from error
    client = _daemon(docker.from_env, docker.errors.DockerException)
    if client is None:
        raise BrokerUnavailableError("no container: no Docker daemon answers")
    try:
        client.images.get(IMAGE)
    except docker.errors.ImageNotFound:
        _pull(client)
    finally:
        client.close()


def _daemon(connect: Callable[[], Any], refused: type[Exception]) -> Any | None:
    """The daemon if one answers. Where none does, docker-py leaves an open socket behind, which is collected here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with suppress(refused):
            client = connect()
            client.ping()
            return client
        gc.collect()
    return None


def _pull(client: Any) -> None:
    say(f"broker: pulling {IMAGE}")
    try:
        client.images.pull(IMAGE)
    except Exception as error:  # the registry's, the daemon's and the connection's errors have no common root
        raise BrokerUnavailableError(f"no container: {IMAGE} is not here and cannot be pulled ({error})") from error


def _container_of_image(port: int) -> Any:
    from testcontainers.core.config import testcontainers_config  # noqa: PLC0415 - as docker above
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415

    testcontainers_config.ryuk_disabled = True  # see _REMOVE
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
        return tail_of(b"".join(container.get_logs()).decode(errors="replace"))
    return ""
