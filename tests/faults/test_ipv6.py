"""Brokers, endpoints and providers that can only be reached by IPv6.

On a machine without an IPv6 loopback these fail: a way that was not tried is not one that works.
"""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from load.brokers.common import free_port
from load.brokers.node import find_way, nodes
from load.endpoint import endpoint, says
from schemas.topics import Stream
from tests.faults.trial import PER_SECOND, Subject, settle, site_on, traffic_on
from tests.pager.posts import SLACK_KEY

pytestmark = pytest.mark.fault

Start = Callable[..., Subject]


def broker_settings(port: int) -> dict[str, str]:
    """Controllers speak among themselves, which is none of ours."""
    controller = free_port()
    return {
        "listeners": f"PLAINTEXT://[::1]:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://[::1]:{port}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
    }


def test_a_worker_with_its_pager_needs_no_ipv4(tmp_path: Path, start: Start) -> None:
    socket.create_server(("::1", 0), family=socket.AF_INET6).close()  # says at once where this machine has none
    port, inbound = free_port(), free_port()
    with nodes({1: broker_settings(port)}, {}, find_way()):
        site = site_on(f"[::1]:{port}", tmp_path)
        traffic_on(site).send(8_000, PER_SECOND)

        async def paged() -> None:
            async with endpoint(says(200), host="::1") as server:
                worker = start(
                    site,
                    "worker",
                    {
                        "worker.pager": True,
                        "pager.group": f"{site.prefix}-pager",
                        "pager.dir": str(tmp_path / "pager"),
                        "pager.metrics_port": free_port(),
                        "pager.sinks.hook.type": "webhook",
                        "pager.sinks.hook.url": server.url(host="[::1]"),
                        "pager.sinks.hook.allow_private": True,
                        "pager.inbound.listen": f"[::1]:{inbound}",
                        "pager.inbound.slack_secret": SLACK_KEY,
                    },
                )
                async with asyncio.timeout(60.0):
                    await server.until(lambda: any(got.content["type"] == "driftline.alert.v1" for got in server.got))
                reader, writer = await asyncio.open_connection("::1", inbound)
                writer.write(b"POST /slack HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
                assert (await reader.readline()).startswith(b"HTTP/1.1 401")
                writer.close()
                await asyncio.to_thread(settle, site, [worker])

        asyncio.run(paged())
        assert any(site.read(Stream.ALERTS).values())
