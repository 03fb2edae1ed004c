"""What people answer at PagerDuty and in Slack becomes one control event, or a named reason why not."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson
import pytest
import structlog

from schemas.codec import Decoder, encode
from schemas.events import Control, ControlAction, Verdict
from schemas.records import Record
from schemas.topics import Stream
from streams.errors import BrokerError, DriftlineError, UsageError
from streams.pager.inbound import desk as desk_module
from streams.pager.inbound.desk import Desk
from streams.pager.inbound.words import STATUS, Post, Result, is_signed
from streams.pager.rows import Incident
from streams.pager.sinks import slack
from streams.pager.sinks.slack_buttons import message_with_buttons
from streams.pager.steps import Action, Page, read_alert
from streams.secrets import Secret
from tests.pager.posts import (
    DUTY_KEY,
    HANDLE,
    PERSON,
    SECRETS,
    SLACK_KEY,
    digest,
    duty,
    duty_event,
    press,
    pressed,
    rfc3339,
)
from tests.pager.steps import NOW, Box, alert

HOUR_MS = 3_600_000
MS = int(NOW * 1000)


class Brokers:
    """Take every event, or none."""

    def __init__(self) -> None:
        self.got: list[Control] = []
        self.away: DriftlineError | None = None

    async def send(self, event: Control, within_s: float) -> None:
        if self.away:
            raise self.away
        self.got.append(event)


class Office:
    """A desk, and an outbox that knows ``inc-1`` and has seen the end of ``over``."""

    def __init__(self, secrets: Mapping[str, Secret] = SECRETS) -> None:
        self.box, self.brokers, self.counted = Box(), Brokers(), Counter[tuple[str, str]]()
        self.now = NOW
        self.box.take(alert("opened"), alert("opened", "over"), alert("resolved", "over"))
        self.box.take(alert("opened", "every", model="*"))
        self.restart(secrets)

    def restart(self, secrets: Mapping[str, Secret] = SECRETS) -> None:
        self.box.restart()
        self.desk = Desk(secrets, self.box.outbox.whose, self.brokers, self, lambda: self.now)  # type: ignore[arg-type]

    def inbound(self, provider: str, result: str) -> None:
        self.counted[provider, result] += 1

    def take(self, post: Post) -> Result:
        provider = "slack" if "X-Slack-Signature" in post.headers else "pagerduty"
        before = self.counted.total()
        result = asyncio.run(self.desk.take(provider, post, 1.0))
        assert self.counted.total() == before + 1, "each request is counted once"
        assert self.counted[provider, result.value] > 0
        return result


def fields(event: Control) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads(encode(event))
    return content


def test_an_acknowledge_in_pagerduty_is_an_acknowledge_of_the_model_that_the_outbox_knows() -> None:
    office = Office()
    assert office.take(duty()) is Result.ACCEPTED
    (event,) = office.brokers.got
    assert fields(event) == {
        "type": "control",
        "v": 1,
        "id": event.id,
        "ts": MS,
        "action": "acknowledge",
        "model": "churn",
        "by": f"pagerduty:{PERSON}",
        "reason": "said in pagerduty",
        "incident": "inc-1",
    }


def test_a_resolve_in_pagerduty_is_a_resolve() -> None:
    office = Office()
    assert office.take(duty(duty_event("incident.resolved"))) is Result.ACCEPTED
    assert [event.action for event in office.brokers.got] == [ControlAction.RESOLVE]


@pytest.mark.parametrize(
    ("button", "expected"),
    [
        ("driftline-acknowledge", {"action": "acknowledge"}),
        (
            "driftline-mute",
            {"action": "mute", "until": MS + 2 * HOUR_MS},
        ),
        ("driftline-false-alarm", {"action": "verdict", "verdict": "false_alarm"}),
    ],
)
def test_each_button_in_slack_is_its_event(button: str, expected: dict[str, Any]) -> None:
    office = Office()
    assert office.take(press(pressed(button))) is Result.ACCEPTED
    (event,) = office.brokers.got
    common = {"model": "churn", "incident": "inc-1", "by": f"slack:{HANDLE}", "reason": "said in slack", "ts": MS}
    assert fields(event) == {"type": "control", "v": 1, "id": event.id, **common, **expected}


def test_every_event_is_one_that_a_worker_takes() -> None:
    office = Office()
    for post in (duty(), duty(duty_event("incident.resolved")), press(pressed("driftline-mute"))):
        assert office.take(post) is Result.ACCEPTED
    for event in office.brokers.got:
        value = encode(event)
        record = Record("control", 0, 0, 0, b"churn", value)
        assert type(Decoder().decode(Stream.CONTROL, record)) is Control


def test_a_repeated_delivery_is_the_same_event_and_is_told_once_and_after_a_restart_under_the_same_id() -> None:
    office = Office()
    assert [office.take(duty()), office.take(duty())] == [Result.ACCEPTED, Result.REPEATED]
    office.restart()
    office.now += 600.0
    assert office.take(duty()) is Result.ACCEPTED
    first, again = office.brokers.got
    assert again == msgspec.structs.replace(first, ts=MS + 600_000), "the time is that of sending: old ones are refused"


def test_other_occasions_have_other_ids() -> None:
    office = Office()
    posts = [
        duty(),
        duty(duty_event("incident.resolved")),
        duty(duty_event(id="another")),
        press(),
        press(pressed("driftline-mute")),
        press(pressed(trigger_id="another")),
    ]
    assert [office.take(post) for post in posts] == [Result.ACCEPTED] * 6
    assert len({event.id for event in office.brokers.got}) == 6


def test_a_number_of_occasions_is_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "HEARD_MAX", 2)
    office = Office()
    posts = [duty(duty_event(id=f"occasion-{number}")) for number in range(3)]
    assert [office.take(post) for post in (*posts, posts[2], posts[0])] == [
        *[Result.ACCEPTED] * 3,
        Result.REPEATED,
        Result.ACCEPTED,
    ]


@pytest.mark.parametrize(
    "error", [BrokerError("did not acknowledge it", where="broker:9092"), UsageError("signs nothing any more")]
)
def test_what_the_brokers_did_not_take_or_no_key_signs_is_to_be_delivered_again(error: DriftlineError) -> None:
    office = Office()
    office.brokers.away = error
    assert (office.take(duty()), STATUS[Result.UNAVAILABLE]) == (Result.UNAVAILABLE, 503)
    office.brokers.away = None
    assert office.take(duty()) is Result.ACCEPTED


@pytest.mark.parametrize("button", ["driftline-acknowledge", "driftline-mute"])
def test_what_is_over_is_not_answered_but_by_a_verdict(button: str) -> None:
    office = Office()
    said = (office.take(duty(duty_event(key="over"))), office.take(press(pressed(button, "over"))))
    assert said == (Result.OVER, Result.OVER)
    assert office.take(press(pressed("driftline-false-alarm", "over"))) is Result.ACCEPTED
    assert [event.verdict for event in office.brokers.got] == [Verdict.FALSE_ALARM]


@pytest.mark.parametrize("incident", ["nobody-knows-it", "every", "held-back-slack-1", "\x1b[31m\r\nforged"])
def test_an_incident_that_is_not_known_or_of_no_model_is_answered_and_nothing_is_sent(incident: str) -> None:
    office = Office()
    results = {office.take(duty(duty_event(key=incident))), office.take(press(pressed(value=incident)))}
    assert (results, STATUS[Result.UNKNOWN_INCIDENT], office.brokers.got) == ({Result.UNKNOWN_INCIDENT}, 200, [])


@pytest.mark.parametrize(
    "event",
    [
        duty_event("incident.triggered"),
        duty_event("incident.unacknowledged"),
        duty_event("incident.reopened"),
        duty_event("incident.annotated", data={"id": "P1", "type": "incident_note", "incident_key": 7}),
        duty_event("service.updated", data={"id": "P1"}, agent=None, client=None),
        duty_event("pagey.ping", data={"message": "Hello", "type": "ping"}),
        duty_event("incident.of_a_later_release"),
        duty_event(agent=None),
        duty_event(agent={"id": "PIR", "summary": "driftline", "type": "inbound_integration_reference"}),
        duty_event(key=None),
        duty_event(key=""),
    ],
)
def test_what_no_person_did_and_what_no_control_event_says_is_left_aside(event: dict[str, Any]) -> None:
    """What our own pages did over there comes back as done by an integration: it must not go round in a circle."""
    office = Office()
    assert (office.take(duty(event)), STATUS[Result.IGNORED], office.brokers.got) == (Result.IGNORED, 200, [])


@pytest.mark.parametrize(
    "interaction",
    [
        pressed("another-apps-button"),
        pressed(value=None),
        pressed(value=""),
        pressed(actions=[]),
        pressed(type="view_submission"),
        pressed(trigger_id=""),
    ],
)
def test_other_interactions_in_slack_are_left_aside(interaction: dict[str, Any]) -> None:
    office = Office()
    assert (office.take(press(interaction)), office.brokers.got) == (Result.IGNORED, [])


def test_a_signature_is_as_slacks_documents_show_it() -> None:
    key = Secret("8f742231b10e8888abcd99yyyzzz85a5")
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert is_signed(key, b"v0:1531420618:" + body, [signature])
    assert not is_signed(key, b"v0:1531420619:" + body, [signature])


def test_while_a_secret_is_changed_either_signature_and_either_secret_will_do() -> None:
    office = Office({**SECRETS, "pagerduty": Secret("old\nnew")})
    body = orjson.dumps(duty_event())
    both = Post({"X-PagerDuty-Signature": f"v1={digest('x', body)}, v1={digest('new', body)}"}, body)
    assert office.take(both) is Result.ACCEPTED
    assert office.take(duty(key="old")) is Result.REPEATED
    assert office.take(duty(key="oldnew")) is Result.REFUSED


GOOD = duty(), press()
SIGNATURES = {"X-PagerDuty-Signature", "X-Slack-Signature"}


def altered(post: Post, **headers: str | None) -> Post:
    changed = {name: value for name, value in {**post.headers, **headers}.items() if value is not None}
    return post._replace(headers=changed)


def forgeries(post: Post) -> list[Post]:
    (name,) = SIGNATURES & set(post.headers)
    version, _, right = post.headers[name].partition("=")
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    texts = ["", "=", version + "=", f"{version}={wrong}", f"{version}={right[:-1]}", f"{version}={right}0", "\udcff"]
    unsigned = [altered(post, **{name: text}) for text in (*texts, ",".join(["v1=0"] * 8 + [f"v1={right}"]))]
    return [*unsigned, post._replace(body=post.body + b" "), post._replace(body=b"")]


@pytest.mark.parametrize("post", [*forgeries(duty()), *forgeries(press()), duty(key=SLACK_KEY), press(key=DUTY_KEY)])
def test_whoever_does_not_know_the_secret_says_nothing(post: Post) -> None:
    office = Office()
    assert (office.take(post), STATUS[Result.REFUSED], office.brokers.got) == (Result.REFUSED, 401, [])


def test_a_request_of_slacks_holds_for_five_minutes_in_both_directions() -> None:
    office = Office()
    results = [office.take(press(pressed(trigger_id=f"{age}"), at=NOW - age)) for age in (-301, -299, 299, 301)]
    assert results == [Result.STALE, Result.ACCEPTED, Result.ACCEPTED, Result.STALE]
    assert STATUS[Result.STALE] == 401


@pytest.mark.parametrize("stamp", ["", "now", "-1", "1e9", "١٧٦٧٢٢٥٦٠٠", "9" * 13])
def test_a_time_that_is_none_is_stale_however_well_it_is_signed(stamp: str) -> None:
    body = press().body
    signature = digest(SLACK_KEY, b"v0:" + stamp.encode() + b":" + body)
    post = Post({"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={signature}"}, body)
    assert Office().take(post) is Result.STALE


def test_a_copy_of_pagerdutys_holds_for_as_long_as_pagerduty_tries() -> None:
    office = Office()
    results = [
        office.take(duty(duty_event(id=str(hours), occurred_at=rfc3339(NOW - hours * 3_600)))) for hours in (48, 50)
    ]
    assert results == [Result.ACCEPTED, Result.STALE]


@pytest.mark.parametrize(
    "post",
    [
        duty(body=b""),
        duty(body=b"{"),
        duty(body=b"[]"),
        duty(body=b"{}"),
        duty(body=b"\xff"),
        duty(body=b"[" * 100_000),
        duty(body=b'{"event":' * 20_000),
        duty({"messages": [{"event": "incident.acknowledge"}]}),
        duty(duty_event(occurred_at="soon")),
        duty(duty_event(occurred_at="2026-01-01T00:00:00")),
        duty(duty_event(id=7)),
        duty(duty_event(data={"incident_key": 7})),
        press(body=b""),
        press(body=b"\xff"),
        press(body=b"payload"),
        press(body=b"payload=%7B"),
        press(body=b"payload=%FF%FE"),
        press(body=b"a=1&" * 100 + press().body),
        press(body=b"payload=" + b"%5B" * 80_000),
        press([]),
        press({"type": "block_actions"}),
        press(pressed(actions={})),
    ],
)
def test_what_cannot_be_read_is_told_apart_and_leads_to_nothing(post: Post) -> None:
    office = Office()
    assert (office.take(post), STATUS[Result.UNREADABLE], office.brokers.got) == (Result.UNREADABLE, 400, [])


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("\x1b[2Jada\r\nlevel=error", "pagerduty:\\x1b[2Jada\\r\\nlevel=error"),
        ("x" * 5_000, "pagerduty:" + "x" * 100),
        ("", "pagerduty:PLH1HKV"),
        ("=cmd|'/c calc'!A0", "pagerduty:=cmd|'/c calc'!A0"),
    ],
)
def test_a_name_is_one_line_and_not_a_long_one(name: str, by: str) -> None:
    office = Office()
    agent = {"id": "PLH1HKV", "summary": name, "type": "user_reference"}
    assert office.take(duty(duty_event(agent=agent))) is Result.ACCEPTED
    assert [event.by for event in office.brokers.got] == [by]


def test_no_name_no_body_and_no_secret_is_logged_and_nonsense_is_a_line_a_minute() -> None:
    office = Office()
    with structlog.testing.capture_logs() as lines:
        for post in [*GOOD, *[duty(key="canary-wrong")] * 50, duty(body=b"canary"), press(pressed(value="canary-x"))]:
            office.take(post)
    assert [(line["event"], line.get("reason")) for line in lines] == [
        ("an answer came in", None),
        ("an answer came in", None),
        ("an answer led to nothing", "refused"),
        ("an answer led to nothing", "unreadable"),
        ("an answer led to nothing", "unknown_incident"),
    ]
    assert "canary" not in repr(lines)


def test_an_outbox_of_before_does_not_know_whose_an_incident_is() -> None:
    """A row of an earlier release holds no model: nothing is said until the incident's next step."""
    office = Office()
    office.box.outbox._incidents._rows["inc-1"] = Incident(("one",), ())
    assert office.take(duty()) is Result.UNKNOWN_INCIDENT
    office.box.take(alert("updated"))
    assert office.take(duty()) is Result.ACCEPTED


def shown(action: Action, event: str, **more: Any) -> dict[str, Any]:
    value = alert(event, **more)
    return message_with_buttons(Page(action, read_alert(value), value, NOW))


def test_a_page_in_slack_has_buttons_and_one_that_is_over_only_the_verdict() -> None:
    opened, over = shown(Action.TRIGGER, "opened"), shown(Action.RESOLVE, "resolved")
    every = shown(Action.TRIGGER, "opened", model="*")
    (buttons,) = [block["elements"] for block in opened["blocks"] if block["type"] == "actions"]
    assert [(one["action_id"], one["text"]["text"], one["value"]) for one in buttons] == [
        ("driftline-acknowledge", "Acknowledge", "inc-1"),
        ("driftline-mute", "Mute 2 h", "inc-1"),
        ("driftline-false-alarm", "False alarm", "inc-1"),
    ]
    (buttons,) = [block["elements"] for block in over["blocks"] if block["type"] == "actions"]
    assert [one["action_id"] for one in buttons] == ["driftline-false-alarm"]
    assert every == slack.message(Page(Action.TRIGGER, read_alert(value := alert("opened", model="*")), value, NOW))


def test_what_is_pressed_is_what_was_shown() -> None:
    """The button as it was sent comes back as it is heard."""
    office = Office()
    for block in shown(Action.TRIGGER, "opened")["blocks"]:
        for button in block.get("elements", ()):
            assert office.take(press(pressed(button["action_id"], button["value"]))) is Result.ACCEPTED
    actions = [event.action for event in office.brokers.got]
    assert actions == [ControlAction.ACKNOWLEDGE, ControlAction.MUTE, ControlAction.VERDICT]
