"""Signed control events and the log of what became of them, on a real broker: commands, worker, replay."""

import json
import re
from pathlib import Path

import pytest
from confluent_kafka import Producer

from load.site.site import Keys, Site
from load.site.workers import Worker, running, wait_until_read
from schemas.signatures import HEADER, signature
from schemas.topics import Stream
from tests.commands import Done, NearSite, called
from tests.kafka.live import live_equals_replay

pytestmark = pytest.mark.broker

CANARY = "canary-of-a-secret-5c1"
OLD = "canary-of-an-old-secret-77a"
KEYS = {"control.keys.ops.secret": CANARY, "control.keys.old.secret": OLD, "control.sign_with": "ops"}


class Client:
    def __init__(self, site: Site, name: str, settings: Keys | None = None) -> None:
        self._config = str(site.config(name, settings=settings))

    def run(self, *words: str) -> Done:
        done = called(*words, "--config", self._config)
        assert not {CANARY, OLD} & set(re.findall(r"[\w-]+", done.stdout + done.stderr))
        return done

    def says(self, *words: str) -> str:
        done = self.run(*words)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


def sent_again(site: Site) -> None:
    """What lies on the control topic, captured and sent once more with all that it has; once also with other words."""
    captured = [message for message in site.messages(Stream.CONTROL) if message.headers()]
    producer = Producer({"bootstrap.servers": site.bootstrap, "partitioner": "murmur2_random"})
    for message in captured:
        for value in (message.value(), message.value().replace(b'"by":"', b'"by":"not ')):
            producer.produce(site.topic(Stream.CONTROL), value, key=b"churn", headers=message.headers())
    old = json.dumps({"type": "control", "v": 1, "id": "old", "model": "churn", "ts": 1, "action": "baseline"}).encode()
    headers = [(HEADER, signature("ops", CANARY.encode(), b"churn", old))]
    producer.produce(site.topic(Stream.CONTROL), old, key=b"churn", headers=headers)
    assert producer.flush(30) == 0


def test_only_what_is_signed_is_taken_and_the_log_of_it_is_whole(bootstrap: str, tmp_path: Path):
    site = NearSite(bootstrap, tmp_path, KEYS).create_topics()
    signing, rotated = Client(site, "signing"), Client(site, "rotated", {"control.sign_with": "old"})
    stranger = unsigned(bootstrap, site)
    mute = ("control", "mute", "--model", "churn", "--for-ever", "--reason", "x")
    assert signing.says(*mute).endswith(", signed with ops\n")
    assert rotated.says("control", "unmute", "--model", "churn").endswith(", signed with old\n")
    assert "signed" not in stranger.says(*mute)
    sent_again(site)
    with running() as start:
        worker = start(site)
        wait_until_read([worker])
        assert worker.stop() == 0
        assert CANARY not in worker.said
        listed = [json.loads(line) for line in signing.says("audit", "list", "--json").splitlines()]
        assert sorted((entry["result"], entry["signed_by"]) for entry in listed if entry["signed_by"]) == [
            ("applied", "old"),
            ("applied", "ops"),
            ("repeated", "old"),
            ("repeated", "ops"),
            ("too_old", "ops"),
        ]
        refused = [entry["result"] for entry in listed if not entry["signed_by"]]
        assert refused == ["unsigned", "bad_signature", "bad_signature"]
        assert " whole, entries 1 to 8; the last hash is " in signing.says("audit", "verify")
        live_equals_replay(site)
        again(start, site, signing)
        meddled(site, signing)
    searched = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".toml"]
    assert not [path for path in searched if CANARY.encode() in path.read_bytes()]


def unsigned(bootstrap: str, site: Site) -> Client:
    """A client that has no key."""
    other = Site(bootstrap, site.folder)
    other.prefix = site.prefix
    return Client(other, "stranger")


def again(start, site: Site, client: Client) -> None:  # type: ignore[no-untyped-def]
    """Another worker, with a disk of its own and one that knows the state from its checkpoint, goes on in the chain."""
    client.says("control", "unmute", "--model", "churn")
    worker: Worker = start(site, "another")
    wait_until_read([worker])
    assert worker.stop() == 0
    assert " whole, entries 1 to 9; " in client.says("audit", "verify")
    live_equals_replay(site)


def meddled(site: Site, client: Client) -> None:
    """Somebody writes an entry of their own."""
    (number, written), *_ = [(number, one) for number, one in site.read(Stream.AUDIT).items() if one]
    entry = json.loads(written[-1][1]) | {"by": "eve"}
    site.send(Stream.AUDIT, "churn", json.dumps(entry, sort_keys=True, separators=(",", ":")).encode())
    site.flush()
    done = client.run("audit", "verify")
    place = f"{site.topic(Stream.AUDIT)}[{number}]"
    assert (done.returncode, done.stderr) == (1, "")
    assert f"{place}: BROKEN (changed) at {place}@9: entry 9 is not what it was written as" in done.stdout
