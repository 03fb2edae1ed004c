"""An operator at the command line: what is open, a word to the monitor, and what becomes of it, on a real broker."""

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from load.site.site import Site
from load.site.traffic import MODELS, Traffic
from load.site.workers import running, wait_until, wait_until_read
from schemas.codec import decode_output, encode
from schemas.events import Alert, Control
from schemas.topics import Stream
from streams.alerts import newest_first, on_topic
from streams.control import Named, find, send
from streams.errors import BrokerError
from streams.settings import load
from tests.commands import Done, NearSite, called
from tests.kafka.live import live_equals_replay
from tests.schemas.golden import GOLDEN

pytestmark = pytest.mark.broker

EVENTS, REGIME, SEED = 12_000, 1_000, 20_260_207  # 2,000 predictions a model: warm-up, then a drift that lasts
CLI = (sys.executable, "-m", "streams.cli")
PLACE = re.compile(r"^(\S+)\[(\d+)\]@(\d+): ")


class Operator:
    def __init__(self, site: Site) -> None:
        self._config = str(site.config("operator"))

    def run(self, *words: str) -> Done:
        return called(*words, "--config", self._config)

    def says(self, *words: str) -> str:
        done = self.run(*words)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def reads(self, *words: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.says(*words, "--json").splitlines()]

    @contextmanager
    def following(self, *words: str) -> Iterator["subprocess.Popen[str]"]:
        command = [*CLI, "incidents", "follow", "--json", *words, "--config", self._config]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                assert process.stderr.readline().startswith("following ")
                yield process
                process.send_signal(signal.SIGINT)
                assert process.wait() == 0
                assert process.stderr.read() == ""
            finally:
                process.kill()


def next_of(follow: "subprocess.Popen[str]") -> dict[str, Any]:
    assert follow.stdout is not None
    alert: dict[str, Any] = json.loads(follow.stdout.readline())
    return alert


def next_answer(follow: "subprocess.Popen[str]") -> dict[str, Any]:
    """The next step but for amendments: a window may have ended by the time of the operator's word."""
    while (alert := next_of(follow))["event"] == "amended":
        pass
    return alert


def test_an_incident_is_listed_acknowledged_and_ended_by_a_new_baseline(bootstrap: str, tmp_path: Path):
    site = NearSite(bootstrap, tmp_path).create_topics()
    operator = Operator(site)
    with running() as start:
        worker = start(site)
        Traffic(site, SEED, REGIME).send(EVENTS, 12_000)
        wait_until_read([worker])
        steps = [json.loads(value) for written in site.read(Stream.ALERTS).values() for _, value in written]
        over = {step["incident"] for step in steps if step["event"] == "resolved"}
        opened = {step["incident"] for step in steps} - over
        listed = operator.reads("incidents", "list")
        assert {incident["incident"] for incident in listed} == opened != set()

        one = next(incident for incident in listed if incident["signal"] == "feature:moving")
        name, model = one["incident"], one["model"]
        of_model = {incident["incident"] for incident in listed if incident["model"] == model}
        with operator.following("--model", model) as follow:
            said = operator.says("control", "acknowledge", "--incident", name[:12], "--by", "ada")
            place = PLACE.match(said)
            assert place is not None
            first = next(step for step in steps if step["incident"] == name)
            assert place[1] == site.topic(Stream.CONTROL)
            assert int(place[2]) == first["position"]["partition"]
            alert = next_answer(follow)
            assert (alert["incident"], alert["event"]) == (name, "acknowledged")
            operator.says("control", "baseline", "--model", model, "--reason", "prices changed for good")
            ended = [next_answer(follow) for _ in of_model]
        assert {alert["incident"] for alert in ended} == of_model
        assert {(alert["event"], alert["evidence"]["detail"]["why"]) for alert in ended} == {
            ("resolved", "new_baseline")
        }

        assert operator.reads("incidents", "list", "--model", model) == []
        story = operator.says("incidents", "show", name)
        assert f"{model}: {alert['signal']} was acknowledged by ada." in story
        assert f"{model}: {alert['signal']} is closed: a new baseline was set, after" in story
        assert worker.stop() == 0
    live_equals_replay(site)


def test_a_mute_keeps_a_model_silent_and_no_other(bootstrap: str, tmp_path: Path):
    site = NearSite(bootstrap, tmp_path).create_topics()
    operator = Operator(site)
    operator.says("control", "mute", "--model", "amber", "--until", "2h", "--reason", "backfill")
    with running() as start:
        worker = start(site)
        Traffic(site, SEED, REGIME).send(EVENTS, 12_000)
        wait_until_read([worker])
        models = {incident["model"] for incident in operator.reads("incidents", "list", "--all")}
        assert models
        assert "amber" not in models
        signals = [json.loads(value) for written in site.read(Stream.SIGNALS).values() for _, value in written]
        assert "muted" in {each["disposition"] for each in signals if each["model"] == "amber"}
        assert worker.stop() == 0


def written(site: Site, count: int) -> list[Alert]:
    """So many alerts of a model for each partition, as workers would write them."""
    one = decode_output(GOLDEN["alert-opened"])
    assert isinstance(one, Alert)
    alerts = [
        msgspec.structs.replace(one, id=f"{number}", incident=f"{number:04}", model=model, ts=number)
        for number in range(count)
        for model in MODELS
    ]
    for alert in alerts:
        site.send(Stream.ALERTS, alert.model, encode(alert))
    site.flush()
    return alerts


async def test_the_topic_is_read_backwards_stretch_by_stretch(bootstrap: str, tmp_path: Path):
    site = await asyncio.to_thread(NearSite(bootstrap, tmp_path).create_topics)
    alerts = await asyncio.to_thread(written, site, 25)
    kafka = load(site.config("operator"), {}).kafka
    said: list[str] = []
    stretches = [stretch async for stretch in newest_first(kafka, said.append, stretch=4)]
    read = [alert for stretch in stretches for alert in stretch]
    assert (sorted(map(encode, read)), said) == (sorted(map(encode, alerts)), [])
    newest = [max(alert.ts for alert in stretch) for stretch in stretches]
    assert newest == sorted(newest, reverse=True)
    assert len(stretches) == -(-2 * 25 // 4)  # some partition has two of the models, and none has more
    assert await find(kafka, "0003", said.append) in [Named("0003", model) for model in MODELS]


async def test_of_too_many_alerts_the_newest_are_read_and_that_is_said(bootstrap: str, tmp_path: Path):
    site = await asyncio.to_thread(NearSite(bootstrap, tmp_path).create_topics)
    await asyncio.to_thread(written, site, 10)
    kafka = load(site.config("operator"), {}).kafka
    said: list[str] = []
    read = [alert async for alert in on_topic(kafka, said.append, most=20)]
    assert len(read) == 20
    assert min(alert.ts for alert in read) == 5
    assert said == [f"{kafka.topics.alerts} holds more than 20 alerts: only the newest of each partition are looked at"]


def test_what_the_topics_do_not_hold_is_told(bootstrap: str, tmp_path: Path):
    site = NearSite(bootstrap, tmp_path).create_topics()
    operator = Operator(site)
    done = operator.run("control", "resolve", "--incident", "5d0c")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"driftline: 5d0c: there is no such incident on {site.topic(Stream.ALERTS)}; ")
    done = operator.run("incidents", "show", "5d0c")
    assert (done.returncode, done.stdout) == (2, "")
    site.send(Stream.ALERTS, "churn", b"\x1b[2J not an alert")
    site.flush()
    done = operator.run("incidents", "list")
    assert (done.returncode, done.stdout) == (0, "No incident is open.\n")
    assert re.match(rf"{re.escape(site.topic(Stream.ALERTS))}\[\d\]@0 is no alert: ", done.stderr)


def test_a_topic_that_is_not_there_is_told_and_not_made(bootstrap: str, tmp_path: Path):
    operator = Operator(NearSite(bootstrap, tmp_path))  # no topics
    for words in (("control", "baseline", "--model", "churn"), ("incidents", "list"), ("incidents", "follow")):
        for _ in range(2):
            done = operator.run(*words)
            assert (done.returncode, done.stdout) == (2, "")
            assert "is not there; see driftline topics create" in done.stderr


def test_an_event_that_is_not_acknowledged_in_time_may_be_there_and_that_is_said(bootstrap: str, tmp_path: Path):
    site = NearSite(bootstrap, tmp_path).create_topics()
    kafka = load(site.config("operator"), {}).kafka
    event = msgspec.json.decode(GOLDEN["control-deploy"], type=Control)
    with pytest.raises(BrokerError, match=f"did not acknowledge {event.id} within 0 s; it may lie on .*: look before"):
        asyncio.run(send(kafka, event, within_s=0))


def test_an_event_that_the_brokers_refuse_is_one_line_and_status_1(bootstrap: str, tmp_path: Path):
    site = NearSite(bootstrap, tmp_path).create_topics()
    site.set_topics([Stream.CONTROL], {"max.message.bytes": "100"})
    operator = Operator(site)
    answers: list[Done] = []

    def refused() -> bool:
        answers.append(operator.run("control", "baseline", "--model", "churn"))
        return answers[-1].returncode != 0

    wait_until(refused, "the topic's new limit", within_s=20)  # the broker keeps to it a moment after it has said so
    done = answers[-1]
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(
        f"driftline: {site.topic(Stream.CONTROL)}: did not take the event: MessageSizeTooLarge"
    )
