"""Opsgenie, Alert API v2; Jira Service Management takes the same under another address."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from streams.pager.answers import Answer, delivered, nonsense
from streams.pager.http import Request, Response
from streams.pager.reasons import ANEW
from streams.pager.sinks.form import JSON, checked, json_request
from streams.pager.sinks.text import details, headline, noted, short
from streams.pager.steps import Action, Page
from streams.secrets import Secret

URL = "https://api.opsgenie.com"
MESSAGE_CHARACTERS_MAX = 130
DESCRIPTION_CHARACTERS_MAX = 15_000
NOTE_CHARACTERS_MAX = 25_000
_PRIORITIES = {"info": "P5", "warning": "P3", "critical": "P1"}
# A snooze would call people by Opsgenie's own clock, beside the page that the end of a mute is.
_PATHS = {
    Action.ACKNOWLEDGE: "acknowledge",
    Action.MUTE: "acknowledge",
    Action.RESOLVE: "close",
    Action.UPDATE: "notes",
}


class Opsgenie:
    repeats_s = None

    def __init__(self, url: str, secret: Secret) -> None:
        self._url, self._key = url.rstrip("/"), secret

    def requests(self, page: Page) -> Sequence[Request]:
        if page.action is not Action.TRIGGER:
            return [self._follow_up(page, page.action)]
        opened = json_request(f"{self._url}/v2/alerts", _alert(page), self._headers())
        # It was acknowledged while it was muted, and another alert of this alias would only be counted.
        return [self._follow_up(page, Action.RESOLVE), opened] if page.reason in ANEW else [opened]

    def _follow_up(self, page: Page, action: Action) -> Request:
        path = f"{quote(page.alert.incident, safe='')}/{_PATHS[action]}?identifierType=alias"
        content = {"source": "driftline", "note": short(noted(page), NOTE_CHARACTERS_MAX)}
        return json_request(f"{self._url}/v2/alerts/{path}", content, self._headers())

    def _headers(self) -> Mapping[str, str]:
        return {**JSON, "Authorization": f"GenieKey {self._key.reveal()}"}

    def answer(self, response: Response, now: float) -> Answer:
        return checked(response, now, lambda said: _read(said, response.status))


def _alert(page: Page) -> dict[str, Any]:
    alert = page.alert
    return {
        "message": short(alert.summary, MESSAGE_CHARACTERS_MAX),
        "alias": alert.incident,
        "description": short(headline(page), DESCRIPTION_CHARACTERS_MAX),
        "details": dict(details(page)),
        "entity": short(page.first.model, 512),
        "source": "driftline",
        "priority": _PRIORITIES.get(alert.severity, "P1"),
    }


def _read(said: dict[str, Any] | None, status: int) -> Answer:
    if said is None or "requestId" not in said:
        return nonsense(f"status {status}, without Opsgenie's word that it was taken")
    return delivered(f"status {status}")
