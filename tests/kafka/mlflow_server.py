"""A real MLflow server on this machine, from an environment of its own: the product needs only its client."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from load.brokers.common import free_port

PROGRAM = Path(__file__).resolve().parents[2] / ".venv-mlflow" / "bin" / "mlflow"
READY_WITHIN_S = 180.0  # it brings pandas and makes its tables; four seconds on an idle machine
# The shell becomes the server, in a group of its own with all that it starts; what it leaves behind ends the group when
# the pipe from us closes, also where this process is killed.
_ENDS_WITH_US = 'exec 3<&0; (cat <&3 >/dev/null; kill -9 -$$ 2>/dev/null) & exec "$@" 3<&- </dev/null'


class MlflowServer:
    """Speaks its REST interface, and not through the client that is under test."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if not PROGRAM.exists():
            pytest.fail(f"there is no {PROGRAM}: `make mlflow-server` installs it", pytrace=False)
        store = f"sqlite:///{self._folder / 'mlflow.db'}"
        words = ["server", "--backend-store-uri", store, "--host", "127.0.0.1", "--port", str(self._port)]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self._folder / "mlflow.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _ENDS_WITH_US, "sh", str(PROGRAM), *words, "--workers", "1"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**os.environ, **quiet},
                start_new_session=True,
            )
        until = monotonic() + READY_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or monotonic() > until:
                pytest.fail(f"MLflow did not come up:\n{self._log()[-3_000:]}", pytrace=False)
            sleep(0.1)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdin.close()

    def ask(self, path: str, **fields: Any) -> Any:
        """GET without fields, POST with them."""
        body = json.dumps(fields).encode() if fields else None
        request = Request(f"{self.url}/api/2.0/mlflow/{path}", body, {"Content-Type": "application/json"})  # noqa: S310
        with urlopen(request, timeout=60) as response:  # noqa: S310 - its own address
            return json.load(response)

    def add(self, name: str, versions: int, live: int) -> None:
        self.ask("registered-models/create", name=name)
        for _ in range(versions):
            self.ask("model-versions/create", name=name, source="s3://models/any")
        self.move(name, live)

    def move(self, name: str, version: int, alias: str = "champion") -> None:
        self.ask("registered-models/alias", name=name, alias=alias, version=str(version))

    def live(self, name: str) -> str:
        model = self.ask(f"registered-models/get?name={name}")["registered_model"]
        return str({alias["alias"]: alias["version"] for alias in model["aliases"]}["champion"])

    def tags(self, name: str, version: int | None = None) -> Mapping[str, str]:
        if version is None:
            found = self.ask(f"registered-models/get?name={name}")["registered_model"]
        else:
            found = self.ask(f"model-versions/get?name={name}&version={version}")["model_version"]
        return {tag["key"]: tag["value"] for tag in found.get("tags", [])}

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/health", timeout=5):  # noqa: S310 - its own address
                return True
        except (HTTPError, URLError, OSError):
            return False

    def _log(self) -> str:
        return (self._folder / "mlflow.log").read_text(errors="replace")


@contextmanager
def mlflow_server(folder: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
