"""``driftline pager`` as it is called, and what it finds in its directory."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from load.endpoint import Endpoint, endpoint, says
from streams import cli
from streams.errors import BrokerError
from streams.pager.metrics import PagerMetrics
from streams.pager.outbox import Taken
from streams.pager.policy import policy
from streams.pager.rows import Belongs
from streams.pager.running import CATCH_UP_S, COMMIT_S, Pager, _opened
from streams.pager.steps import Action
from streams.pager.trial import trial
from streams.sections import PagerSettings
from streams.settings import Settings, load
from streams.state_dir import StateDir
from tests.pager.steps import NOW, WHOSE, alert

WHOM = policy(PagerSettings(), ["one"])


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A command sets them up for its process, which is this one."""
    yield
    structlog.reset_defaults()


def configuration(tmp_path: Path, server: Endpoint) -> Path:
    file = tmp_path / "driftline.toml"
    file.write_text(
        f"""
        [pager.sinks.hook]
        type = "webhook"
        url = "{server.url("/canary")}"
        allow_private = true
        [pager.sinks.inside]
        type = "webhook"
        url = "{server.url("/canary")}"
        [pager.sinks.duty]
        type = "pagerduty"
        url = "{server.url("/duty")}"
        secret = "canary"
        allow_private = true
        """
    )
    return file


async def test_a_test_page_goes_to_each_sink_and_is_ended_and_it_is_said_what_came_back(tmp_path: Path) -> None:
    async with endpoint(says(202, b'{"status":"success"}')) as server:
        server.script = [says(204), says(204), says(403, b"canary")]
        results = [str(result) for result in await trial(load(configuration(tmp_path, server)).pager, None)]
        events = [got.content for got in server.got if got.path == "/canary"]
    shown = [line.partition(" after ")[0] + line.partition(" s")[2] for line in results]
    assert shown == [
        "hook: trigger delivered: status 204",
        "hook: resolve delivered: status 204",
        "inside: trigger FAILED: the host is within a private network; see allow_private",
        "duty: trigger FAILED: status 403",
    ]
    assert [event["data"]["event"] for event in events] == ["opened", "resolved"]
    assert events[0]["subject"] == events[1]["subject"]
    assert "canary" not in str(results)


async def test_one_sink_can_be_tested_alone(tmp_path: Path) -> None:
    async with endpoint(says(204)) as server:
        results = await trial(load(configuration(tmp_path, server)).pager, "hook")
        assert {result.sink for result in results} == {"hook"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["test"], "pager.sinks: no sink is configured, so nobody would be paged"),
        ([], "pager.sinks: no sink is configured, so nobody would be paged"),
        (["run", "hook"], "hook: a sink is named only for a test"),
    ],
)
def test_a_call_that_makes_no_sense_is_told(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pager", *words]) == 2
    assert said in capsys.readouterr().err


def test_an_outbox_that_is_broken_is_put_aside_and_begun_anew(tmp_path: Path) -> None:
    with StateDir(tmp_path, setting="pager.dir", user="pager") as folder:
        rocks, outbox = _opened(folder, WHOSE, WHOM)
        outbox.take([Taken(0, 0, alert("opened"))], NOW)
        rocks.close()
        rocks, outbox = _opened(folder, WHOSE, WHOM)
        assert (len(list(outbox.waiting())), outbox.positions) == (1, {"0": 1})
        rocks.close()
        (folder.place(0) / "CURRENT").unlink()
        rocks, outbox = _opened(folder, WHOSE, WHOM)
        assert (list(outbox.waiting()), outbox.positions, len(folder.quarantined())) == ([], {}, 1)
        rocks.close()


def test_another_groups_outbox_is_refused_and_left_alone(tmp_path: Path) -> None:
    with StateDir(tmp_path, setting="pager.dir", user="pager") as folder:
        rocks, _ = _opened(folder, WHOSE, WHOM)
        rocks.close()
        with pytest.raises(Exception, match="the outbox there is that of group driftline-pager"):
            _opened(folder, Belongs("another", "driftline.alerts"), WHOM)
        assert folder.quarantined() == []


def test_a_topic_that_was_made_again_is_read_from_its_beginning_and_not_passed_over(tmp_path: Path) -> None:
    """Its offsets begin anew: each alert on it would count as taken until there are as many as there were."""
    with StateDir(tmp_path, setting="pager.dir", user="pager") as folder:
        rocks, outbox = _opened(folder, WHOSE, WHOM)
        try:
            pager = Pager(Settings(), outbox, {}, PagerMetrics(CollectorRegistry()))
            pager.take([Taken(0, 999, alert("opened")), Taken(1, 9, alert("opened", "inc-2"))])
            pager.require_whole({0: 1_000, 1: 10})
            pager.require_whole({0: 1, 1: 10})  # one look may be at a broker that is behind
            pager.require_whole({0: 1_000, 1: 10})
            pager.require_whole({0: 1, 1: 10})
            with pytest.raises(BrokerError, match="ends before what was taken from it, partition 0"):
                pager.require_whole({0: 1, 1: 10})
        finally:
            rocks.close()
        rocks, outbox = _opened(folder, WHOSE, WHOM)
        assert outbox.positions == {"1": 10}
        outbox.take([Taken(0, 0, alert("opened", "inc-3"))], NOW)
        assert {one.incident for one in outbox.waiting()} == {"inc-1", "inc-2", "inc-3"}
        rocks.close()


class Broken:
    """A consumer whose group's broker is away: what is committed is never acknowledged."""

    def __init__(self) -> None:
        self.records = [SimpleNamespace(offset=number, value=alert("opened", f"inc-{number}")) for number in range(2)]

    async def getmany(self, **_: object) -> dict[TopicPartition, list[SimpleNamespace]]:
        await asyncio.sleep(0)
        return {TopicPartition("driftline.alerts", 0): [self.records.pop(0)]} if self.records else {}

    async def commit(self, _: object) -> None:
        await asyncio.Event().wait()


async def test_alerts_are_taken_while_the_groups_own_broker_is_away(tmp_path: Path) -> None:
    with StateDir(tmp_path, setting="pager.dir", user="pager") as folder:
        rocks, outbox = _opened(folder, WHOSE, WHOM)
        try:
            pager = Pager(Settings(), outbox, {}, PagerMetrics(CollectorRegistry()))
            with suppress(TimeoutError):
                await asyncio.wait_for(pager._poll(Broken()), COMMIT_S + 1)
            assert outbox.positions == {"0": 2}
        finally:
            rocks.close()


def test_time_decides_nothing_before_the_topic_was_read_to_its_end(tmp_path: Path) -> None:
    """A pager without an outbox would page for a mute that ended long ago, and is unmuted and over further on."""
    registry = CollectorRegistry()
    with StateDir(tmp_path, setting="pager.dir", user="pager") as folder:
        rocks, outbox = _opened(folder, WHOSE, WHOM)
        try:
            pager = Pager(Settings(), outbox, {}, PagerMetrics(registry))
            long_ago = alert("muted", evidence={"detail": {"until": 1}})
            pager.take([Taken(0, 0, alert("opened")), Taken(0, 1, long_ago)])
            pager._look(NOW)
            assert list(outbox.waiting()) == []
            pager._began -= CATCH_UP_S + 1  # a long topic: reading moves on, and is not at the end
            pager._look(NOW)
            assert list(outbox.waiting()) == []
            pager._caught_up.set()
            pager._look(NOW)
            assert [one.action for one in outbox.waiting()] == [Action.TRIGGER]
        finally:
            rocks.close()
    assert registry.get_sample_value("driftline_pager_withheld_total", {"reason": "muted"}) == 1
