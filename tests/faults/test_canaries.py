"""Secrets and personal values, sought in everything that a worker and its pager say: logs, metrics, topics and pages.

Everything is real: a broker with logins, a worker that runs its pager, endpoints that answer well and badly, a drift,
records that are refused, and people who answer. Each value is made up for this test and looks like nothing else.
"""

import asyncio
import base64
import random
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from time import time
from typing import Any

import orjson
import pytest

from load.brokers.common import free_port
from load.brokers.secure import PASSWORD, USER, Door, SecureBroker
from load.endpoint import Behaviour, Endpoint, closes, endpoint, resets_midway, says
from load.site.site import Keys, Site
from load.site.workers import wait_until
from schemas.topics import Stream
from streams.pager.inbound.words import Post
from tests.faults.trial import Subject, site_on
from tests.pager.posts import DUTY_KEY, HANDLE, PERSON, SLACK_KEY, duty, duty_event, press, pressed, rfc3339

pytestmark = pytest.mark.fault

Start = Callable[..., Subject]
MODEL = "churn"
ROWS = 3_000  # the second half drifts

# What a sink, a broker or a provider is authenticated by.
SECRETS = {
    "the broker's password": PASSWORD,
    "the routing key": "canary-routing-key-5b1c",
    "the bot's token": "canary-xoxb-77d0",
    "the webhook's key": "canary-signing-key-90ee",
    "a token in an address": "canary-address-token-31fa",
    "a token in the heartbeat's address": "canary-heartbeat-token-c2d8",
    "PagerDuty's secret": DUTY_KEY,
    "Slack's signing secret": SLACK_KEY,
    "the key of control events": "canary-control-key-68d4",
}
# What stands in records and in what people do.
VALUES = {
    "an id": "canary-id-",
    "a trace": "canary-trace-",
    "a category": "canary-city-",
    "a category that drifts": "canary-plan-",
    "a class": "canary-class-",
    "a segment that is not watched": "canary-street-",
    "a numeric outlier": "31415926.5358",
    "a refused record": "canary-refused-",
    "a person at PagerDuty": PERSON,
    "a person in Slack": HANDLE,
    "another person at PagerDuty": "canary assignee",
    "a token of Slack's": "canary-verification-token",
    "a forger": "canary-forger",
}

# Where each may be seen; everywhere else it must not. An alert names the category or class that it is about and the
# record that decided by its trace, and the control topic, the audit log and the alert about an answer name who gave it.
PAGES = ("requests to duty", "requests to slack", "requests to hook")
MAY_STAND: Mapping[str, set[str]] = {
    "the routing key": {"requests to duty"},
    "the bot's token": {"requests to slack"},
    "a token in an address": {"requests to hook"},
    "a token in the heartbeat's address": {"requests to alive"},
    "an id": {"predictions", "outcomes"},
    "a trace": {"predictions", "alerts", "signals", "requests to hook"},
    "a category": {"predictions"},
    "a category that drifts": {"predictions", "alerts", "signals", *PAGES},
    "a class": {"predictions", "outcomes", "alerts", "signals", *PAGES},
    "a segment that is not watched": {"predictions"},
    "a numeric outlier": {"predictions"},
    "a refused record": {"predictions"},
    "a person at PagerDuty": {"control", "audit", "alerts", *PAGES},
    "a person in Slack": {"control", "audit"},
}


def login(broker: SecureBroker, authority: str) -> Keys:
    return {
        "kafka.bootstrap": broker.at(Door.LOGIN),
        "kafka.protocol": "sasl_ssl",
        "kafka.ca_file": authority,
        "kafka.sasl_mechanism": "scram-sha-512",
        "kafka.username": USER,
        "kafka.password": PASSWORD,
    }


def paging(server: Endpoint, site: Site, folder: Path) -> Keys:
    heartbeat, token = SECRETS["a token in the heartbeat's address"], SECRETS["a token in an address"]
    return {
        "log.level": "debug",
        "log.format": "json",
        "monitor.dead_letter_content": False,
        "control.keys.ops.secret": SECRETS["the key of control events"],
        "worker.pager": True,
        "pager.group": f"{site.prefix}-pager",
        "pager.dir": str(folder / "pager"),
        "pager.retry_pause_max": "1s",
        "pager.heartbeat_url": server.url(f"/alive/{heartbeat}"),
        "pager.heartbeat_interval": "1s",
        "pager.heartbeat_allow_private": True,
        "pager.inbound.pagerduty_secret": DUTY_KEY,
        "pager.inbound.slack_secret": SLACK_KEY,
        "pager.sinks.duty.type": "pagerduty",
        "pager.sinks.duty.url": server.url("/duty"),
        "pager.sinks.duty.allow_private": True,
        "pager.sinks.chat.type": "slack",
        "pager.sinks.chat.url": server.url("/slack"),
        "pager.sinks.chat.secret": SECRETS["the bot's token"],
        "pager.sinks.chat.channel": "C1",
        "pager.sinks.chat.allow_private": True,
        "pager.sinks.hook.type": "webhook",
        "pager.sinks.hook.url": server.url(f"/hook/{token}"),
        "pager.sinks.hook.secret": SECRETS["the webhook's key"],
        "pager.sinks.hook.allow_private": True,
    }


@pytest.fixture
def authority(broker: SecureBroker, tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    path.write_text(broker.certificates.authority)
    return str(path)


async def test_secrets_and_personal_values_stand_where_they_must_and_nowhere_else(
    broker: SecureBroker, authority: str, tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = site_on(broker.bootstrap, tmp_path)
    broker.acls().grant_a_worker(site.prefix)
    monkeypatch.setenv("DRIFTLINE_PAGER__SINKS__DUTY__SECRET", SECRETS["the routing key"])
    inbound, pager_metrics = free_port(), free_port()
    async with endpoint(says(200, b'{"status":"success","ok":true,"channel":"C1","ts":"1.2"}')) as server:
        server.script = [*[repeats_what_it_got(server)] * 5, closes, resets_midway]
        settings = {
            **login(broker, authority),
            **paging(server, site, tmp_path),
            "pager.inbound.listen": f"127.0.0.1:{inbound}",
            "pager.metrics_port": pager_metrics,
        }
        worker = start(site, "worker", settings)
        await asyncio.to_thread(send_records, site)
        async with asyncio.timeout(PATIENCE_S):
            await server.until(lambda: steps(server) != [])
            incident, _ = steps(server)[0]
            assert await asyncio.to_thread(answer, inbound, incident) == ANSWERED
            await server.until(lambda: (incident, "acknowledge") in steps(server))
            false_alarm = press(pressed("driftline-false-alarm", incident), at=time())
            assert await asyncio.to_thread(posted, inbound, "/slack", false_alarm) == 200
            await server.until(lambda: (incident, "resolve") in steps(server))
        await asyncio.to_thread(wait_until, lambda: seen(site, Stream.DEAD_LETTERS) != "", "dead letters")
        places = {
            "the log of worker and pager": worker.said,
            "the worker's metrics": worker.page(),
            "the pager's metrics": page_of(pager_metrics),
            **{stream.value: await asyncio.to_thread(seen, site, stream) for stream in Stream},
            **requests(server),
        }
    assert worker.stop() == 0
    assert [place for place, text in places.items() if not text and place not in SILENT] == []
    found = {
        (what, place)
        for what, canary in (SECRETS | VALUES).items()
        for place, text in places.items()
        if canary in text and place not in MAY_STAND.get(what, set())
    }
    assert found == set()
    # What may stand somewhere is really there, or the search proves nothing.
    assert {
        what for what in MAY_STAND if not any((SECRETS | VALUES)[what] in text for text in places.values())
    } == set()


PATIENCE_S = 60.0
SILENT = {"retrain"}  # nothing asks for one here
ANSWERED = [200, 401, 401, 400, 200]


def repeats_what_it_got(server: Endpoint) -> Behaviour:
    """The worst that an endpoint can do with a page: refuse it with all that was in it."""

    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = server.got[-1]
        await says(500, f"{got.path} {got.headers} {got.body!r}".encode()[:4_000])(reader, writer)

    return behaviour


def send_records(site: Site) -> None:
    chance = random.Random(7)
    for number in range(ROWS):
        amount = 31415926.5358 if number == ROWS - 1 else chance.gauss(0.0 if number < ROWS // 2 else 4.0, 1.0)
        prediction = {
            "type": "prediction",
            "v": 1,
            "id": f"canary-id-{number}",
            "model": MODEL,
            "version": "1",
            "ts": 1_760_000_000_000 + number,
            "features": {
                "amount": amount,
                "city": f"canary-city-{number % 3}",
                "plan": f"canary-plan-{chance.random() < (0.1 if number < ROWS // 2 else 0.9)}",
            },
            "prediction": f"canary-class-{chance.random() < 0.5}",
            "segments": {"street": f"canary-street-{number % 7}"},
            "trace": f"canary-trace-{number}",
        }
        site.send(Stream.PREDICTIONS, MODEL, orjson.dumps(prediction))
        outcome = {
            "type": "outcome",
            "v": 1,
            "id": f"canary-id-{number}",
            "model": MODEL,
            "ts": 1_760_000_000_000 + number,
            "label": f"canary-class-{chance.random() < (0.5 if number < ROWS // 2 else 0.9)}",
        }
        site.send(Stream.OUTCOMES, MODEL, orjson.dumps(outcome))
    for refused in (
        b'{"type":"prediction","canary-refused-1',
        b"\xffcanary-refused-2",
        orjson.dumps({"type": "prediction", "v": 1, "id": "canary-refused-3" * 20, "model": MODEL, "ts": 1}),
        orjson.dumps({"type": "canary-refused-4", "v": 1}),
    ):
        site.send(Stream.PREDICTIONS, MODEL, refused)
    site.flush()


def answer(inbound: int, incident: str) -> list[int]:
    """What people and a forger say, and how each was answered."""
    now = time()
    forged = duty(duty_event(key=incident), key="canary-forger")
    return [
        posted(inbound, "/pagerduty", duty(duty_event(key=incident, occurred_at=rfc3339(now)))),
        posted(inbound, "/pagerduty", forged),
        posted(inbound, "/slack", press(pressed(value=incident), at=now - 3_600.0)),
        posted(inbound, "/pagerduty", duty(body=b'{"event": "canary-forger')),
        posted(inbound, "/pagerduty", duty(duty_event(key="canary-forger", occurred_at=rfc3339(now)))),
    ]


def posted(port: int, path: str, post: Post) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("POST", path, post.body, dict(post.headers))
        return connection.getresponse().status
    finally:
        connection.close()


def steps(server: Endpoint) -> list[tuple[str, str]]:
    """What PagerDuty has taken: incidents and actions."""
    events = [got.content for got in server.took if got.path == "/duty"]
    return [(event["dedup_key"], event["event_action"]) for event in events]


def requests(server: Endpoint) -> dict[str, str]:
    """By sink, all that it was sent."""
    texts: dict[str, list[str]] = {"duty": [], "slack": [], "hook": [], "alive": []}
    for got in server.got:
        texts[got.path.split("/")[1]].append(f"{got.path} {got.headers} {got.body.decode()}")
    return {f"requests to {sink}": "\n".join(sent) for sink, sent in texts.items()}


def seen(site: Site, stream: Stream) -> str:
    """Everything on a topic, as text; what a dead letter packs up is opened."""
    return "\n".join(text for message in site.messages(stream) for text in texts_of(message, stream))


def texts_of(message: Any, stream: Stream) -> Iterator[str]:
    parts = [message.key(), message.value(), *(value for _, value in message.headers() or ())]
    yield from (part.decode(errors="replace") for part in parts if part)
    if stream is Stream.DEAD_LETTERS:
        letter = orjson.loads(message.value())
        yield from (base64.b64decode(letter[name] or "").decode(errors="replace") for name in ("key", "value"))


def page_of(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as response:
        text: str = response.read().decode()
        return text
