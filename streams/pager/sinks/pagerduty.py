"""PagerDuty, Events API v2."""

from collections.abc import Sequence
from typing import Any

import orjson

from streams.pager.answers import Answer, delivered, nonsense
from streams.pager.http import Request, Response
from streams.pager.reasons import ANEW
from streams.pager.sinks.form import JSON, checked
from streams.pager.sinks.text import details, headline, short, time_of
from streams.pager.steps import Action, Page
from streams.secrets import Secret

URL = "https://events.pagerduty.com/v2/enqueue"
SUMMARY_CHARACTERS_MAX = 1024
EVENT_BYTES_MAX = 512_000
# Another trigger with the same key adds to the incident's log and opens none. It knows no mute: who acknowledges is not
# called again either.
_EVENTS = {
    Action.TRIGGER: "trigger",
    Action.UPDATE: "trigger",
    Action.ACKNOWLEDGE: "acknowledge",
    Action.MUTE: "acknowledge",
    Action.RESOLVE: "resolve",
}
_SEVERITIES = {"info": "info", "warning": "warning", "critical": "critical"}


class PagerDuty:
    repeats_s = None

    def __init__(self, url: str, secret: Secret) -> None:
        self._url, self._routing_key = url, secret

    def requests(self, page: Page) -> Sequence[Request]:
        if page.reason in ANEW:  # it was acknowledged while it was muted, and another trigger would call nobody
            return [self._request(page, "resolve"), self._request(page, "trigger")]
        return [self._request(page, _EVENTS[page.action])]

    def _request(self, page: Page, action: str) -> Request:
        event: dict[str, Any] = {
            "routing_key": self._routing_key.reveal(),
            "event_action": action,
            "dedup_key": page.alert.incident,
        }
        if action == "trigger":
            event |= {"client": "driftline", "payload": _payload(page, dict(details(page)))}
        body = orjson.dumps(event)
        if len(body) > EVENT_BYTES_MAX:
            event["payload"] = _payload(page, {"note": "left out: too large"})
            body = orjson.dumps(event)
        return Request(self._url, body, JSON)

    def answer(self, response: Response, now: float) -> Answer:
        return checked(response, now, lambda said: _read(said, response.status))


def _payload(page: Page, custom: dict[str, str]) -> dict[str, Any]:
    alert, first = page.alert, page.first
    return {
        "summary": short(headline(page), SUMMARY_CHARACTERS_MAX),
        "source": short(f"driftline/{first.model}", SUMMARY_CHARACTERS_MAX),
        "severity": _SEVERITIES.get(alert.severity, "critical"),
        "timestamp": time_of(alert.ts),
        "component": short(first.signal, SUMMARY_CHARACTERS_MAX),
        "group": short(first.model, SUMMARY_CHARACTERS_MAX),
        "class": first.kind,
        "custom_details": custom,
    }


def _read(said: dict[str, Any] | None, status: int) -> Answer:
    if said is None or said.get("status") != "success":
        return nonsense(f"status {status}, without PagerDuty's word that it was taken")
    return delivered(f"status {status}")
