"""What a live run wrote is what a replay of its topics says, byte for byte, whatever happened to the workers."""

import json
import random
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from load.site.site import Site
from load.site.traffic import Traffic
from load.site.workers import running, wait_until, wait_until_read
from schemas.topics import Stream
from streams.cli import main
from tests.commands import NearSite
from tests.kafka.live import fates_add_up, live_equals_replay

pytestmark = pytest.mark.broker

EVENTS = 18_000  # 3,000 a model: warm-up, a drift, its confirmation and the retrain after it
REGIME = 1_500  # the drift begins half-way
SEED = 20_260_101


def said_something(sizes: Mapping[Stream, int]) -> bool:
    return all(sizes[stream] > 0 for stream in (Stream.ALERTS, Stream.RETRAIN, Stream.SIGNALS, Stream.METRICS))


def test_one_worker_writes_what_a_replay_says(bootstrap: str, tmp_path: Path):
    site = Site(bootstrap, tmp_path).create_topics()
    with running() as start:
        worker = start(site)
        Traffic(site, SEED, REGIME).send(EVENTS, 12_000)
        wait_until_read([worker])
        fates = fates_add_up(worker)
        assert sum(sum(ends.values()) for ends in fates.values()) == site.sent
        assert sum(ends["duplicate"] for ends in fates.values()) == EVENTS / 50
        assert worker.stop() == 0
    assert said_something(live_equals_replay(site))


def test_the_live_topics_and_a_replay_of_them_do_not_differ(
    bootstrap: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    site = NearSite(bootstrap, tmp_path).create_topics()
    with running() as start:
        worker = start(site)
        Traffic(site, SEED + 7, REGIME).send(EVENTS, 12_000)
        wait_until_read([worker])
        assert worker.stop() == 0
    config, results = str(site.config("diff")), tmp_path / "results"
    assert main(["replay", "kafka:", "--config", config, "--out", str(results)]) == 0
    capsys.readouterr()
    assert main(["diff", "kafka:", str(results), "--config", config, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["differences"] == []
    assert said["incidents"][0] == said["incidents"][1] > 0
    assert said["advice"][0] == said["advice"][1] > 0
    assert_rebuilt(config, results, capsys)
    told = (results / "alerts.jsonl").read_bytes().splitlines(keepends=True)
    first = json.loads(told[0])["incident"].encode()
    (results / "alerts.jsonl").write_bytes(b"".join(line for line in told if first not in line))
    assert main(["diff", "kafka:", str(results), "--config", config]) == 1
    assert capsys.readouterr().out.startswith("Only in kafka:: 1\n")


def assert_rebuilt(config: str, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the topics, an alert that live wrote is rebuilt; and one that is known from a replay's results."""
    alerts = [json.loads(line) for line in (results / "alerts.jsonl").read_bytes().splitlines()]
    opened, last = next(alert for alert in alerts if alert["event"] == "opened"), alerts[-1]
    for alert, more in ((opened, []), (last, ["--results", str(results)])):
        assert main(["why", alert["id"], "kafka:", "--config", config, "--json", *more]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["same"], found["again"]) == (True, alert)
        assert found["report"]["position"]["partition"] == alert["position"]["partition"]


def test_a_worker_killed_half_way_and_started_again_writes_what_a_replay_says(bootstrap: str, tmp_path: Path):
    site = NearSite(bootstrap, tmp_path).create_topics()
    traffic = Traffic(site, SEED + 1, REGIME)
    with running() as start:
        first = start(site)
        traffic.send(EVENTS * 7 // 10, 12_000)
        first.kill()
        traffic.send(EVENTS * 3 // 10, 12_000)
        second = start(site)
        wait_until_read([second])
        fates_add_up(second)
        assert second.stop() == 0
    assert said_something(live_equals_replay(site))


def test_two_workers_one_joining_and_one_leaving_write_what_a_replay_says(bootstrap: str, tmp_path: Path):
    site = NearSite(bootstrap, tmp_path).create_topics()
    traffic = Traffic(site, SEED + 2, REGIME)
    with running() as start:
        first = start(site, "first")
        traffic.send(EVENTS * 4 // 10, 12_000)
        second = start(site, "second")
        traffic.send(EVENTS * 3 // 10, 4_000)
        wait_until_read([first, second])
        for worker in (first, second):
            fates_add_up(worker)
        assert first.stop() == 0
        traffic.send(EVENTS * 3 // 10, 12_000)
        wait_until_read([second])
        fates_add_up(second)
        assert second.stop() == 0
    assert said_something(live_equals_replay(site))


class LateSite(NearSite):
    """Predictions are seen up to a minute after their time, as where the replicas of a broker do not follow.

    One broker alone does not do so at will; so the times are the producer's. What a worker has not read yet it puts in
    order by them: only what is sent after it has read all is certain to come late.
    """

    late = random.Random(SEED)

    def time_of(self, stream: Stream) -> int:
        return int(time.time() * 1000) - (self.late.randrange(60_000) if stream is Stream.PREDICTIONS else 0)

    def create_topics(self) -> "LateSite":
        super().create_topics()
        self.set_topics((Stream.PREDICTIONS, Stream.OUTCOMES), {"message.timestamp.type": "CreateTime"})
        return self


LATE = {"kafka.allow_create_time": True, "state.checkpoint_interval": "2s"}


def test_records_that_are_seen_late_are_followed_and_a_replay_keeps_to_that_order(bootstrap: str, tmp_path: Path):
    site = LateSite(bootstrap, tmp_path, LATE).create_topics()
    with running() as start:
        worker, traffic = start(site), Traffic(site, SEED, REGIME)
        for _ in range(2):
            traffic.send(EVENTS // 2, 6_000)
            wait_until_read([worker])
        fates_add_up(worker)
        assert worker.total("driftline_order_cuts_total") > 0
        assert worker.stop() == 0
    assert said_something(live_equals_replay(site))


@pytest.mark.parametrize("checkpoints", [True, False])
def test_a_worker_that_lost_its_state_keeps_to_the_order_in_which_records_were_applied(
    checkpoints: bool, bootstrap: str, tmp_path: Path
):
    site = LateSite(bootstrap, tmp_path, LATE).create_topics()
    traffic = Traffic(site, SEED, REGIME)
    with running() as start:
        first = start(site)
        traffic.send(EVENTS * 4 // 10, 6_000)
        wait_until_read([first])
        traffic.send(EVENTS * 3 // 10, 6_000)
        wait_until(lambda: first.total("driftline_order_cuts_total") > 0, "records are seen late")
        first.kill()
        shutil.rmtree(site.state_dir("worker"))
        if not checkpoints:
            shutil.rmtree(site.checkpoints)
        second = start(site)
        traffic.send(EVENTS * 3 // 10, 6_000)
        wait_until_read([second])
        assert second.stop() == 0
    assert said_something(live_equals_replay(site))
