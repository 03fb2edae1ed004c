"""A real Alertmanager takes what the sink sends, groups it, and tells its own receiver of beginnings and ends."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import time
from typing import Any

import orjson
import pytest

from load.brokers.common import free_port
from load.endpoint import Endpoint, endpoint, says
from streams.pager import build
from streams.pager.answers import Answer, Outcome
from streams.pager.http import HttpClient, Request, Response, tls_context
from streams.pager.steps import Action, First, Page, read_alert
from streams.secrets import Secret
from streams.sections import SinkSettings
from tests.pager.steps import alert

READY_WITHIN_S = 60.0
PATIENCE_S = 60.0
# One notification for a model; what comes to a group that was told already goes out after a second.
CONFIG = """
route:
  receiver: hook
  group_by: [model]
  group_wait: 1s
  group_interval: 1s
receivers:
  - name: hook
    webhook_configs:
      - url: {url}
        send_resolved: true
"""


class Manager:
    """An Alertmanager, and the receiver that it tells."""

    def __init__(self, url: str, hook: Endpoint) -> None:
        self.url, self.hook = url, hook
        settings = SinkSettings(type="alertmanager", url=Secret(url), allow_private=True)
        self._sink = build.sink(settings, time)
        self._client = HttpClient(tls_context(None), allow_private=True)
        self._firsts: dict[str, First] = {}

    async def take(self, action: Action, event: str, incident: str, **fields: Any) -> None:
        value = alert(event, incident, **{"ts": int(time() * 1000) - 5_000, **fields})
        shown = read_alert(value)
        first = self._firsts.setdefault(incident, First.of(shown))
        answer = await self._sink.deliver(Page(action, shown, value, time(), began_with=first))
        assert answer.outcome is Outcome.DELIVERED

    async def ask(self, path: str) -> Response | Answer:
        return await self._client.send(Request(f"{self.url}{path}", b"", {}, "GET"))

    async def open(self, incident: str) -> Sequence[Mapping[str, Any]]:
        """What it holds under this name."""
        response = await self.ask(f"/api/v2/alerts?filter=incident%3D{incident}")
        assert isinstance(response, Response)
        found: list[Mapping[str, Any]] = orjson.loads(response.body)
        return found

    def told(self) -> list[tuple[str, dict[str, str]]]:
        """Of each notification the model, and its alerts' states by incident."""
        return [(one["groupLabels"]["model"], _states(one["alerts"])) for one in self.notifications()]

    def notifications(self) -> list[Mapping[str, Any]]:
        return [got.content for got in self.hook.got]

    async def until_told(self, model: str, states: Mapping[str, str]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.hook.until(lambda: (model, states) in self.told())
        except TimeoutError:
            pytest.fail(f"was not told of {states}, but {self.told()}")


def _states(alerts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {one["labels"]["incident"]: one["status"] for one in alerts}


def _program() -> str:
    found = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if found is None:
        pytest.fail("there is no Alertmanager on the PATH (Debian: prometheus-alertmanager)", pytrace=False)
    return found


@contextmanager
def _process(folder: Path, address: str, hook: Endpoint) -> Iterator[Callable[[], str | None]]:
    """Yields what tells its log where it has ended, and nothing while it runs."""
    config, log = folder / "alertmanager.yml", folder / "alertmanager.log"
    config.write_text(CONFIG.format(url=hook.url("/told")))
    words = [f"--config.file={config}", f"--storage.path={folder}", f"--web.listen-address={address}"]
    # Without an address for others of its kind, it listens on the loopback alone.
    command = [_program(), *words, "--cluster.listen-address="]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, cwd=folder) as process:
        try:
            yield lambda: None if process.poll() is None else log.read_text()
        finally:
            process.kill()


@asynccontextmanager
async def alertmanager(folder: Path) -> AsyncIterator[Manager]:
    address = f"127.0.0.1:{free_port()}"
    async with endpoint(says(200)) as hook:
        with _process(folder, address, hook) as end:
            manager = Manager(f"http://{address}", hook)
            async with asyncio.timeout(READY_WITHIN_S):
                while not isinstance(answer := await manager.ask("/-/ready"), Response) or answer.status != 200:
                    assert end() is None
                    await asyncio.sleep(0.05)
            yield manager


async def test_incidents_of_one_model_are_one_group_that_begins_and_ends(tmp_path: Path) -> None:
    async with alertmanager(tmp_path) as manager:
        await manager.take(Action.TRIGGER, "opened", "inc-1")
        await manager.take(Action.TRIGGER, "opened", "inc-2", signal="feature:income")
        await manager.take(Action.TRIGGER, "opened", "inc-3", model="price")
        await manager.until_told("churn", {"inc-1": "firing", "inc-2": "firing"})
        await manager.until_told("price", {"inc-3": "firing"})
        await manager.take(Action.RESOLVE, "resolved", "inc-1")
        await manager.until_told("churn", {"inc-1": "resolved", "inc-2": "firing"})
        await manager.take(Action.RESOLVE, "resolved", "inc-2")
        await manager.take(Action.RESOLVE, "resolved", "inc-3", model="price")
        await manager.until_told("churn", {"inc-2": "resolved"})
        await manager.until_told("price", {"inc-3": "resolved"})
        fingerprints: dict[str, set[str]] = {}
        for notification in manager.notifications():
            for one in notification["alerts"]:
                fingerprints.setdefault(one["labels"]["incident"], set()).add(one["fingerprint"])
        assert [len(found) for found in fingerprints.values()] == [1, 1, 1]


async def test_an_incident_stays_one_alert_whatever_is_told_of_it(tmp_path: Path) -> None:
    async with alertmanager(tmp_path) as manager:
        began = int(time() * 1000) - 5_000
        seen, fingerprints = [], set()
        for action, event, fields in (
            (Action.TRIGGER, "opened", {}),
            (Action.UPDATE, "updated", {"summary": "churn: age shifted by a unit", "version": "8"}),
            (Action.TRIGGER, "escalated", {"severity": "critical", "detector": "ks", "signal": "feature:income"}),
            (Action.ACKNOWLEDGE, "acknowledged", {}),
        ):
            await manager.take(action, event, "inc-1", ts=began, **fields)
            (found,) = await manager.open("inc-1")
            seen.append((found["annotations"]["severity"], found["annotations"]["summary"].partition(";")[0]))
            fingerprints.add(found["fingerprint"])
            assert found["status"]["state"] in ("active", "unprocessed")
            assert {"alertname": "Driftline", "incident": "inc-1", "model": "churn"}.items() <= found["labels"].items()
        assert len(fingerprints) == 1
        assert seen == [
            ("warning", "churn: age shifted"),
            ("warning", "churn: age shifted by a unit"),
            ("critical", "churn: age shifted"),
            ("critical", "churn: age shifted"),
        ]
        await manager.until_told("churn", {"inc-1": "firing"})
        await manager.take(Action.RESOLVE, "resolved", "inc-1", severity="critical")
        await manager.until_told("churn", {"inc-1": "resolved"})
        assert await manager.open("inc-1") == []


async def test_what_joins_what_is_muted_and_what_opens_again_is_the_same_alert(tmp_path: Path) -> None:
    async with alertmanager(tmp_path) as manager:
        began = int(time() * 1000) - 5_000
        fingerprints = []
        for action, event, state, fields in (
            (Action.TRIGGER, "opened", "firing", {"ts": began}),
            (Action.UPDATE, "updated", "firing", {"kind": "performance", "segment": None, "signal": "loss"}),
            (Action.MUTE, "muted", "resolved", {"evidence": {"detail": {"until": None, "reason": "known"}}}),
            (Action.TRIGGER, "unmuted", "firing", {"kind": "performance"}),
            (Action.RESOLVE, "resolved", "resolved", {}),
            (Action.TRIGGER, "reopened", "firing", {"segment": "country=fr"}),
        ):
            told = len(manager.hook.got)
            await manager.take(action, event, "inc-1", **fields)
            if action is not Action.UPDATE:
                async with asyncio.timeout(PATIENCE_S):
                    await manager.hook.until(lambda told=told: len(manager.hook.got) > told)  # type: ignore[misc]
                assert manager.told()[-1] == ("churn", {"inc-1": state})
            fingerprints += [one["fingerprint"] for one in manager.notifications()[-1]["alerts"]]
        assert len(set(fingerprints)) == 1
