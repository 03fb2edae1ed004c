"""A pager of its own process on a real broker: alert to page, and what becomes of pages when it is killed."""

import asyncio
import random
import signal
import sys
from pathlib import Path

import pytest

from load.endpoint import endpoint
from load.pagers import GOOD, SECRET, Place, killed, pages

pytestmark = pytest.mark.broker

KILLS = 10
MOMENT = 1_760_000_000_000


async def test_an_alert_on_the_topic_becomes_a_page_and_a_stop_is_in_order(bootstrap: str, tmp_path: Path) -> None:
    async with endpoint(GOOD) as server:
        place = Place(bootstrap, tmp_path, server)
        async with place.alerts() as alerts:
            await alerts.send("opened", "over-before-it-began")
            await alerts.send("resolved", "over-before-it-began")
            await alerts.send("opened", "inc-1")
            with place.pager() as process:
                await place.until(lambda: ("inc-1", "trigger") in pages(server), "a page")
                await place.until(lambda: any(got.path == "/alive" for got in server.got), "a heartbeat")
                await alerts.send("acknowledged", "inc-1")
                await place.until(lambda: ("inc-1", "acknowledge") in pages(server), "an acknowledge")
                await alerts.send("resolved", "inc-1")
                await place.until(lambda: ("inc-1", "resolve") in pages(server), "a resolve")
                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, 30) == 0
        assert pages(server) == [("inc-1", "trigger"), ("inc-1", "acknowledge"), ("inc-1", "resolve")]
        assert SECRET not in place.said()
        assert {got.content["routing_key"] for got in server.got if got.path == "/page"} == {SECRET}


async def test_a_pager_that_is_killed_again_and_again_loses_nothing(bootstrap: str, tmp_path: Path) -> None:
    """Each incident is paged, in order, under its own name; a page may come twice and never goes missing."""
    seed = random.randrange(1 << 32)
    sys.stdout.write(f"seed {seed}\n")
    async with endpoint(GOOD) as server:
        place = Place(bootstrap, tmp_path, server)
        figures = await killed(place, KILLS, random.Random(seed))
        assert [figures[name] for name in ("lost", "out_of_order", "keys_changed")] == [0, 0, 0]
        assert figures["requests"] >= figures["incidents"] == KILLS * 5
        assert SECRET not in place.said()


async def test_mutes_and_causes_outlive_a_pager_that_is_killed(bootstrap: str, tmp_path: Path) -> None:
    async with endpoint(GOOD) as server:
        place = Place(bootstrap, tmp_path, server, further="[pager.upstreams.feed]")
        async with place.alerts() as alerts:
            with place.pager() as process:
                await alerts.send("opened", "quiet", kind="system", model="*")
                await place.until(lambda: ("quiet", "trigger") in pages(server), "a page")
                await alerts.send("muted", "quiet", kind="system", model="*")
                await place.until(lambda: ("quiet", "acknowledge") in pages(server), "a mute")
                await alerts.send("opened", "first", model="a", ts=MOMENT)
                await place.until(lambda: ("first", "trigger") in pages(server), "a page")
                await alerts.send("opened", "second", model="b", ts=MOMENT)
                await place.until(lambda: pages(server).count(("first", "trigger")) == 2, "an update")
                process.send_signal(signal.SIGKILL)
                await asyncio.to_thread(process.wait)
            before = len(server.got)
            with place.pager():
                await alerts.send("escalated", "quiet", kind="system", model="*")
                await alerts.send("opened", "third", model="c", ts=MOMENT)
                await alerts.send("opened", "fourth", model="d", ts=MOMENT)
                await place.until(lambda: pages(server).count(("first", "trigger")) == 3, "an update")
                await alerts.send("unmuted", "quiet", kind="system", model="*")
                await place.until(lambda: pages(server)[-1] == ("quiet", "trigger"), "a page")
        told = [got.content for got in server.got[before:] if got.path == "/page"]
        assert [(event["dedup_key"], event["event_action"]) for event in told] == [
            ("first", "trigger"),
            ("quiet", "resolve"),
            ("quiet", "trigger"),
        ]
        with_it = told[0]["payload"]["custom_details"]["with it"]  # models on other partitions come in any order
        assert with_it.replace("d, c", "c, d") == "3 further incidents of 3 further models: b, c, d"
