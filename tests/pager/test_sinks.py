"""What each kind of endpoint is sent, how its answers are read, and that no name can do anything there."""

import hmac
import re
from email import message_from_bytes
from hashlib import sha256
from typing import Any

import orjson
import pytest

from load.endpoint import endpoint, says
from schemas.events import Alert
from streams.pager import build
from streams.pager.answers import Outcome
from streams.pager.http import HttpClient, Request, Response, tls_context
from streams.pager.reasons import ANEW, Reason
from streams.pager.sinks import opsgenie, pagerduty, slack, teams
from streams.pager.sinks.alertmanager import LASTS_S, Alertmanager
from streams.pager.sinks.mail import mail
from streams.pager.sinks.sink import HttpSink
from streams.pager.sinks.text import details, headline, time_of
from streams.pager.sinks.webhook import Webhook
from streams.pager.steps import Action, First, Further, Page, read_alert
from streams.secrets import Secret
from streams.sections import SinkSettings
from tests.pager.steps import NOW, alert

KEY = Secret("canary-secret")
URL = "https://pager.example/x"
STEPS = {
    Action.TRIGGER: "opened",
    Action.ACKNOWLEDGE: "acknowledged",
    Action.RESOLVE: "resolved",
    Action.UPDATE: "updated",
    Action.MUTE: "muted",
}


def page(action: Action = Action.TRIGGER, reference: str | None = None, note: str = "", **fields) -> Page:  # type: ignore[no-untyped-def]
    value = alert(STEPS[action], **fields)
    return Page(action, read_alert(value), value, NOW, note, reference)


def joined(action: Action = Action.UPDATE) -> Page:
    """What a signal that joined later says of an incident that began with another one."""
    first = First.of(read_alert(alert("opened")))
    fields = {"kind": "performance", "signal": "loss", "segment": None, "detector": "bound", "ts": int(NOW * 1000)}
    return page(action, **fields)._replace(began_with=first)


MUTED = {"detail": {"until": NOW * 1000 + 3_600_000, "reason": "a known <release>"}}


def content(form, made: Page, index: int = 0):  # type: ignore[no-untyped-def]
    return orjson.loads(form.requests(made)[index].body)


FORMS = {
    "webhook": Webhook(URL, KEY),
    "pagerduty": pagerduty.PagerDuty(pagerduty.URL, KEY),
    "opsgenie": opsgenie.Opsgenie(opsgenie.URL, KEY),
    "alertmanager": Alertmanager(URL),
    "slack bot": slack.SlackBot(slack.URL, KEY, "C1"),
    "slack webhook": slack.SlackWebhook(URL),
    "teams": teams.Teams(URL),
}


def test_a_webhook_gets_the_alert_as_a_signed_cloudevent() -> None:
    made = page(note="by the fallback")
    (request,) = FORMS["webhook"].requests(made)
    event = orjson.loads(request.body)
    assert event["data"] == orjson.loads(made.value)
    assert (event["specversion"], event["type"], event["id"]) == ("1.0", "driftline.alert.v1", made.alert.id)
    assert (event["subject"], event["driftlinenote"]) == ("inc-1", "by the fallback")
    assert request.headers["Content-Type"].startswith("application/cloudevents+json")
    signed = f"{int(NOW)}.".encode() + request.body
    expected = hmac.new(b"canary-secret", signed, sha256).hexdigest()
    assert request.headers["Driftline-Signature"] == f"sha256={expected}"
    assert request.headers["Driftline-Timestamp"] == str(int(NOW))
    assert "Driftline-Signature" not in Webhook(URL, None).requests(made)[0].headers


def test_pagerduty_gets_a_trigger_an_acknowledge_and_a_resolve_with_one_key() -> None:
    form = FORMS["pagerduty"]
    events = [content(form, page(action)) for action in STEPS]
    assert [event["event_action"] for event in events] == [
        "trigger",
        "acknowledge",
        "resolve",
        "trigger",
        "acknowledge",
    ]
    assert {event["dedup_key"] for event in events} == {"inc-1"}
    payload = events[0]["payload"]
    assert (payload["severity"], payload["source"], payload["class"]) == ("warning", "driftline/churn", "feature_drift")
    assert payload["custom_details"]["value"] == "0.41"
    assert "payload" not in events[1]


def test_pagerdutys_limits_are_kept() -> None:
    event = content(FORMS["pagerduty"], page(summary="x" * 5_000, model="m" * 5_000))
    assert len(event["payload"]["summary"]) == len(event["payload"]["source"]) == 1024
    many = page(**{"evidence": {}, "version": "\u0001" * 400_000})
    assert len(FORMS["pagerduty"].requests(many)[0].body) < 512_000


def test_opsgenie_is_spoken_to_by_the_alias() -> None:
    requests = [FORMS["opsgenie"].requests(page(action, incident="a/b?c"))[0] for action in STEPS]
    assert [request.url for request in requests] == [
        "https://api.opsgenie.com/v2/alerts",
        "https://api.opsgenie.com/v2/alerts/a%2Fb%3Fc/acknowledge?identifierType=alias",
        "https://api.opsgenie.com/v2/alerts/a%2Fb%3Fc/close?identifierType=alias",
        "https://api.opsgenie.com/v2/alerts/a%2Fb%3Fc/notes?identifierType=alias",
        "https://api.opsgenie.com/v2/alerts/a%2Fb%3Fc/acknowledge?identifierType=alias",
    ]
    assert {request.headers["Authorization"] for request in requests} == {"GenieKey canary-secret"}
    opened = content(FORMS["opsgenie"], page(severity="critical", summary="x" * 500))
    assert (opened["alias"], opened["priority"], len(opened["message"])) == ("inc-1", "P1", 130)


def test_alertmanager_knows_an_alert_by_labels_that_stay() -> None:
    (opened,) = content(FORMS["alertmanager"], page())
    (worse,) = content(FORMS["alertmanager"], page(severity="critical", summary="worse", version="8"))
    (over,) = content(FORMS["alertmanager"], page(Action.RESOLVE))
    assert opened["labels"] == worse["labels"] == over["labels"]
    assert (opened["labels"]["incident"], worse["annotations"]["summary"]) == ("inc-1", "worse")
    assert opened["startsAt"] == time_of(NOW * 1000 - 5_000)
    assert (opened["endsAt"], over["endsAt"]) == (time_of((NOW + LASTS_S) * 1000), time_of(NOW * 1000))
    assert FORMS["alertmanager"].requests(page(Action.ACKNOWLEDGE)) == []
    (early,) = content(FORMS["alertmanager"], page(Action.RESOLVE, ts=int(NOW * 1000) + 60_000))
    assert "startsAt" not in early


def test_slack_has_one_message_that_changes_and_its_history_in_the_thread() -> None:
    bot = FORMS["slack bot"]
    (post,) = bot.requests(page())
    assert (post.url, post.headers["Authorization"]) == (f"{slack.URL}/chat.postMessage", "Bearer canary-secret")
    update, reply = bot.requests(page(Action.RESOLVE, reference="C9/17.5"))
    assert (update.url, reply.url) == (f"{slack.URL}/chat.update", f"{slack.URL}/chat.postMessage")
    shown, said = orjson.loads(update.body), orjson.loads(reply.body)
    assert (shown["channel"], shown["ts"], said["thread_ts"], said["reply_broadcast"]) == ("C9", "17.5", "17.5", False)
    assert content(bot, page(reference="C9/17.5"), 1)["reply_broadcast"] is True


async def test_slack_remembers_the_message_and_not_the_reply() -> None:
    def posted(ts: str):  # type: ignore[no-untyped-def]
        return says(200, orjson.dumps({"ok": True, "channel": "C9", "ts": ts}))

    async with endpoint() as server:
        sink = _sink(slack.SlackBot(server.url("/api"), KEY, "C1"))
        server.script = [posted("1.0"), posted("1.0"), posted("2.0")]
        first = await sink.deliver(page())
        second = await sink.deliver(page(Action.UPDATE, reference=first.reference))
        assert (first.reference, second.reference) == ("C9/1.0", "C9/1.0")


async def test_a_message_that_somebody_deleted_is_posted_anew() -> None:
    async with endpoint(says(200, b'{"ok":true,"channel":"C9","ts":"3.0"}')) as server:
        server.script = [says(200, b'{"ok":false,"error":"message_not_found"}')]
        answer = await _sink(slack.SlackBot(server.url(), KEY, "C1")).deliver(page(reference="C9/1.0"))
        assert (answer.outcome, answer.reference) == (Outcome.DELIVERED, "C9/3.0")
        assert [got.path for got in server.got] == ["/chat.update", "/chat.postMessage"]


NAMES = [
    "<!channel> <@U1> <https://evil|x> & *b* `c`",
    "<script>alert(1)</script><at>all</at>[x](https://evil)",
    "a\r\nBcc: evil@evil\r\n\r\nbody",
    "=HYPERLINK(1)\t\x1b[31m\u2028",
    "{0.__class__} {{7*7}} %(x)s ${KEY} $(id)",
    "😀" * 2_000,
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("action", STEPS)
def test_no_name_mentions_links_or_breaks_out(name: str, action: Action) -> None:
    evidence = {"detail": {"signals": 1, "signal_1": name, "until": None, "reason": name}}
    made = page(
        action, summary=name, model=name, segment=name, signal=name, version=name, note=name, evidence=evidence
    )._replace(teams=(name,), further=Further((name,), 1))
    for form in (FORMS["slack bot"], FORMS["slack webhook"]):
        said = content(form, made)
        texts = [said["text"], *(block["text"]["text"] for block in said["blocks"])]
        assert not any("<" in text or ">" in text for text in texts)
        assert all(0 < len(text) <= slack.TEXT_CHARACTERS_MAX for text in texts)
    request = FORMS["teams"].requests(made)[0]
    assert len(request.body) <= teams.CARD_BYTES_MAX
    head, facts = orjson.loads(request.body)["attachments"][0]["content"]["body"]
    for text in [head["text"], *(fact["value"] for fact in facts["facts"])]:
        assert not {"<", ">"} & set(text)
        assert "](" not in text.replace("\\]", "").replace("\\(", "")
    raw = bytes(mail(made, "a@example.com", ("b@example.com",)))
    parsed = message_from_bytes(raw)
    assert (parsed["Bcc"], parsed["To"], parsed.get_content_type()) == (None, "b@example.com", "text/plain")
    for form in FORMS.values():
        for each in form.requests(made):
            assert not any("\r" in value or "\n" in value for value in (each.url, *each.headers.values()))
            orjson.loads(each.body)


@pytest.mark.parametrize("action", STEPS)
def test_what_joins_changes_no_key_no_label_and_no_group(action: Action) -> None:
    one, other = page(action), joined(action)

    def known_by(made: Page) -> list[object]:
        (duty,) = [orjson.loads(request.body) for request in FORMS["pagerduty"].requests(made)]
        cloud = content(FORMS["webhook"], made)
        labels = [each[0]["labels"] for each in map(_body, FORMS["alertmanager"].requests(made))]
        payload = duty.get("payload", {})
        return [
            duty["dedup_key"],
            *(payload.get(name) for name in ("source", "component", "group", "class")),
            FORMS["opsgenie"].requests(made)[0].url,
            labels,
            cloud["source"],
            cloud["subject"],
            mail(made, "a@example.com", ("b@example.com",))["References"],
        ]

    assert known_by(one) == known_by(other)


def test_a_page_shows_the_signal_that_joined_and_what_it_began_with() -> None:
    shown = dict(details(joined()))
    assert (shown["kind"], shown["signal"], shown["began with"]) == (
        "performance",
        "loss",
        "feature_drift of feature:age",
    )
    assert "began with" not in dict(details(page()))


def test_a_page_shows_the_signals_of_its_incident_the_team_and_its_reason() -> None:
    detail = {"signals": 2, "signal_1": "age shifted", "signal_2": "loss rose", "secret": "no"}
    made = page(evidence={"detail": detail})._replace(
        teams=("risk", "web"), reason=Reason.MUTE_ENDED, further=Further(("b", "c"), 3), note="the budget is spent"
    )
    shown = dict(details(made))
    assert (shown["signals"], shown["signal 1"], shown["signal 2"]) == ("2", "age shifted", "loss rose")
    assert (shown["team"], shown["with it"]) == ("risk, web", "3 further incidents of 2 further models: b, c")
    assert shown["reason"] == "mute_ended: its mute has ended, and it is still open"
    assert "no" not in shown.values()
    for form in FORMS.values():
        said = b"".join(request.body for request in form.requests(made)).decode()
        assert all(word in said for word in ("risk", "the budget is spent", "mute"))
    assert "And 3 further incidents of 2 further models: b, c." in content(FORMS["slack bot"], made)["text"]


def test_many_further_models_are_counted_and_not_all_named() -> None:
    made = page()._replace(further=Further(tuple(f"m{number}" for number in range(1_000)), 1_000))
    assert "And 1000 further incidents of 1000 further models: m0, m1" in headline(made)
    assert headline(made).endswith("m24 and 975 more.")
    for form in FORMS.values():
        assert all(len(request.body) < 30_000 for request in form.requests(made))


def test_a_mute_is_said_where_it_can_be_and_acknowledges_where_it_cannot() -> None:
    made = page(Action.MUTE, evidence=MUTED, reference="C9/17.5")
    for name in ("slack bot", "slack webhook", "teams"):
        said = FORMS[name].requests(made)[0].body.decode().replace("\\", "")
        assert "2026-01-01T01:00:00" in said
        assert "a known &lt;release" in said
    assert ":mute:" in content(FORMS["slack bot"], made)["blocks"][0]["text"]["text"]
    assert "a known" in content(FORMS["slack bot"], made, 1)["text"], "in the thread as well"
    assert "muted until: 2026-01-01T01:00:00.000Z" in mail(made, "a@example.com", ("b@example.com",)).get_content()
    assert "muted because: a known" in content(FORMS["opsgenie"], made)["note"]
    forever = page(Action.MUTE, evidence={"detail": {"until": None}})
    assert dict(details(forever))["muted until"] == "somebody unmutes it"


def test_alertmanager_ends_what_is_muted_under_the_same_labels() -> None:
    (quiet,) = content(FORMS["alertmanager"], page(Action.MUTE, evidence=MUTED))
    (opened,) = content(FORMS["alertmanager"], page())
    assert (quiet["endsAt"], quiet["labels"]) == (time_of(NOW * 1000), opened["labels"])
    assert all(re.fullmatch("[a-z_][a-z0-9_]*", name) for name in quiet["annotations"])


@pytest.mark.parametrize("reason", ANEW)
def test_what_was_muted_is_closed_and_opened_anew_so_that_people_are_called(reason: Reason) -> None:
    made = page()._replace(reason=reason)
    events = [orjson.loads(request.body) for request in FORMS["pagerduty"].requests(made)]
    assert [(event["event_action"], event["dedup_key"]) for event in events] == [
        ("resolve", "inc-1"),
        ("trigger", "inc-1"),
    ]
    urls = [request.url for request in FORMS["opsgenie"].requests(made)]
    assert urls == [
        "https://api.opsgenie.com/v2/alerts/inc-1/close?identifierType=alias",
        "https://api.opsgenie.com/v2/alerts",
    ]


def test_what_the_pager_says_by_itself_has_ids_of_its_own() -> None:
    made = page()
    further = made._replace(reason=Reason.FURTHER, number=7)
    assert content(FORMS["webhook"], made)["id"] == made.alert.id
    assert content(FORMS["webhook"], further)["id"] == f"{made.alert.id}-further-7"
    one, other = (mail(each, "a@example.com", ("b@example.com",)) for each in (made, further))
    assert (one["Message-ID"] != other["Message-ID"], one["References"]) == (True, other["References"])


def test_templates_are_none() -> None:
    said = content(FORMS["pagerduty"], page(summary="{{7*7}} {0.__class__} %(x)s"))
    assert said["payload"]["summary"] == "{{7*7}} {0.__class__} %(x)s"


@pytest.mark.parametrize(
    ("form", "status", "body", "outcome"),
    [
        ("webhook", 200, b"garbage", "delivered"),
        ("pagerduty", 202, b'{"status":"success"}', "delivered"),
        ("pagerduty", 200, b"<html>log in</html>", "retry"),
        ("pagerduty", 200, b"[1]", "retry"),
        ("pagerduty", 400, b'{"status":"invalid event"}', "permanent"),
        ("opsgenie", 202, b'{"result":"Request will be processed","requestId":"1"}', "delivered"),
        ("opsgenie", 202, b"", "retry"),
        ("alertmanager", 200, b"", "delivered"),
        ("slack bot", 200, b'{"ok":true,"channel":"C","ts":"1"}', "delivered"),
        ("slack bot", 200, b'{"ok":false,"error":"ratelimited"}', "retry"),
        ("slack bot", 200, b'{"ok":false,"error":"invalid_auth"}', "permanent"),
        ("slack bot", 200, b"\xff\xfe", "retry"),
        ("slack webhook", 200, b"ok", "delivered"),
        ("slack webhook", 200, b"{}", "retry"),
        ("slack webhook", 404, b"no_service", "permanent"),
        ("teams", 202, b"", "delivered"),
        ("teams", 200, b"Webhook message delivery failed: endpoint returned HTTP error 429 with", "retry"),
        ("teams", 200, b"Webhook message delivery failed: endpoint returned HTTP error 413 with", "permanent"),
    ],
)
def test_answers_are_read_as_each_endpoint_means_them(form: str, status: int, body: bytes, outcome: str) -> None:
    answer = FORMS[form].answer(Response(status, {}, body), NOW)
    assert answer.outcome == outcome
    assert "canary" not in repr(answer)


def test_what_an_endpoint_says_of_itself_is_not_repeated() -> None:
    answer = FORMS["slack bot"].answer(Response(200, {}, b'{"ok":false,"error":"x\\nforged <line>"}'), NOW)
    assert (answer.outcome, answer.detail) == (Outcome.PERMANENT, "Slack said no")


@pytest.mark.parametrize("kind", ["webhook", "pagerduty", "opsgenie", "alertmanager", "slack", "teams"])
async def test_every_kind_is_built_from_settings_and_speaks_to_its_address(kind: str) -> None:
    answers = {"slack": b"ok", "opsgenie": b'{"requestId":"1"}'}
    async with endpoint(says(200, answers.get(kind, b'{"status":"success"}'))) as server:
        secret = None if kind in ("slack", "alertmanager", "teams") else KEY
        settings = SinkSettings(type=kind, url=Secret(server.url("/in")), secret=secret, allow_private=True)  # type: ignore[arg-type]
        answer = await build.sink(settings, lambda: NOW).deliver(page())
        assert (answer.outcome, len(server.got)) == (Outcome.DELIVERED, 1)
        assert server.got[0].path.startswith("/in")


def test_a_page_reads_every_alert_that_the_contract_allows() -> None:
    shown = read_alert(alert("opened"))
    assert {"incident", "event", "severity", "model", "summary", "kind", "evidence"} <= set(Alert.__struct_fields__)
    assert (shown.severity, shown.evidence["n"]) == ("warning", 9)
    assert read_alert(alert("snoozed", severity="fatal")).action is Action.UPDATE
    assert read_alert(alert("opened", severity="fatal")).rank == 2


def _body(request: Request) -> Any:
    return orjson.loads(request.body)


def _sink(form) -> HttpSink:  # type: ignore[no-untyped-def]
    return HttpSink(form, HttpClient(tls_context(None), allow_private=True), lambda: NOW)
