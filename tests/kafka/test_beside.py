"""A worker that runs its pager: endpoints that hang cost it nothing, and the pager comes and goes with it."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from load.brokers.common import free_port
from load.endpoint import Endpoint, endpoint, hangs, says
from load.site.site import Keys, Site
from load.site.traffic import Traffic
from load.site.workers import Worker, gone, running, wait_until, wait_until_read
from schemas.topics import Stream
from tests.commands import NearSite

pytestmark = pytest.mark.broker

PATIENCE_S = 60.0
REGIME = 400  # predictions of a model between two changes: alerts come soon
GOOD = says(200)


def with_pager(server: Endpoint, site: Site, folder: Path) -> Keys:
    return {
        "log.format": "json",
        "worker.watchdog_stall": "15s",
        "worker.pager": True,
        "pager.group": f"{site.prefix}-pager",
        "pager.dir": str(folder / "pager"),
        "pager.metrics_port": free_port(),
        "pager.retry_pause_max": "1s",
        "pager.sinks.hook.type": "webhook",
        "pager.sinks.hook.url": server.url(),
        "pager.sinks.hook.allow_private": True,
        "pager.sinks.hook.pages_per_minute": 10_000,
    }


def pagers(worker: Worker) -> list[int]:
    """Process ids, as the worker says them."""
    lines = [json.loads(line) for line in worker.said.splitlines() if line.startswith("{")]
    return [line["pid"] for line in lines if line["event"] == "a pager was started beside this worker"]


async def test_a_hanging_endpoint_costs_the_worker_nothing_and_the_pager_comes_and_goes_with_it(
    bootstrap: str, tmp_path: Path
) -> None:
    site = NearSite(bootstrap, tmp_path).create_topics()
    async with endpoint(hangs) as server:
        with running() as start:
            worker = start(site, "worker", with_pager(server, site, tmp_path))
            traffic = Traffic(site, 7, REGIME)
            await asyncio.to_thread(traffic.send, 6_000, 6_000.0)
            async with asyncio.timeout(PATIENCE_S):
                await server.until(lambda: server.got != [])
            # The endpoint holds a page, and everything that is sent now is applied all the same.
            await asyncio.to_thread(traffic.send, 6_000, 6_000.0)
            await asyncio.to_thread(wait_until_read, [worker])
            assert any(site.read(Stream.ALERTS).values())

            (first,) = pagers(worker)
            os.kill(first, signal.SIGKILL)
            server.usual = GOOD
            await asyncio.to_thread(wait_until, lambda: len(pagers(worker)) == 2, "another pager")
            async with asyncio.timeout(PATIENCE_S):
                await server.until(lambda: server.took != [] and server.took[-1] is server.got[-1])
            assert worker.total("driftline_worker_pager_starts_total") == 2.0
            assert "the pager beside this worker ended and is started again" in worker.said

            second = pagers(worker)[-1]
            await asyncio.to_thread(worker.kill)
            await asyncio.to_thread(wait_until, lambda: gone(second), "the pager's end")

            worker = start(site, "worker", with_pager(server, site, tmp_path))
            await asyncio.to_thread(wait_until_read, [worker])
            (third,) = pagers(worker)
            assert (await asyncio.to_thread(worker.stop), gone(third)) == (0, True)
