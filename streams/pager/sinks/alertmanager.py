"""Prometheus Alertmanager, API v2. It forgets what is not told again, so an open incident is told every minute."""

from collections.abc import Sequence
from typing import Any

from streams.pager.answers import Answer, by_status
from streams.pager.http import Request, Response
from streams.pager.sinks.form import json_request
from streams.pager.sinks.text import details, headline, short, time_of
from streams.pager.steps import SILENT, Action, Page

REPEAT_S = 60.0
# An alert that is not told again ends by itself. Long enough for a pager that is started again, or an endpoint away.
LASTS_S = 600.0
TEXT_CHARACTERS_MAX = 2_000


class Alertmanager:
    repeats_s = REPEAT_S

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def requests(self, page: Page) -> Sequence[Request]:
        if page.action is Action.ACKNOWLEDGE:
            return []  # it has no word for it: a silence would hide what comes after as well
        ends = page.now if page.action in SILENT else page.now + LASTS_S
        alert: dict[str, Any] = {
            "labels": _labels(page),
            "annotations": {
                "summary": short(headline(page), TEXT_CHARACTERS_MAX),
                "severity": page.alert.severity,
                **{_annotation(name): value for name, value in details(page) if name != "time"},
            },
            "endsAt": time_of(ends * 1000),
        }
        if 0 < page.first.ts <= ends * 1000:  # a start after the end is refused
            alert["startsAt"] = time_of(page.first.ts)
        return [json_request(f"{self._url}/api/v2/alerts", [alert])]

    def answer(self, response: Response, now: float) -> Answer:
        return by_status(response.status, response.headers, now)


def _annotation(name: str) -> str:
    """Alertmanager takes letters, digits and underscores."""
    return name.replace(" ", "_")


def _labels(page: Page) -> dict[str, str]:
    """What it knows an alert by: the same from the first step to the last, so what may change is none of them."""
    first = page.first
    named = {
        "alertname": "Driftline",
        "incident": page.alert.incident,
        "model": first.model,
        "kind": first.kind,
        "segment": first.segment or "",
    }
    return {name: short(value, TEXT_CHARACTERS_MAX) for name, value in named.items() if value}
