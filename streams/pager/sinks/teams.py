"""Microsoft Teams: an Adaptive Card to a workflow's webhook. It can only add: a message for each step."""

import re
from collections.abc import Sequence
from typing import Any

from streams.pager.answers import Answer, Outcome, by_status, permanent
from streams.pager.http import Request, Response
from streams.pager.sinks.form import json_request
from streams.pager.sinks.text import details, short, title
from streams.pager.steps import Action, Page

CARD = "application/vnd.microsoft.card.adaptive"
CARD_BYTES_MAX = 28_000
TEXT_CHARACTERS_MAX = 2_000
_COLOURS = {"info": "accent", "warning": "warning", "critical": "attention"}
_MARKDOWN = re.compile(r"([\\`*_\[\]()#+\-!<>~|])")


class Teams:
    repeats_s = None

    def __init__(self, url: str) -> None:
        self._url = url

    def requests(self, page: Page) -> Sequence[Request]:
        request = json_request(self._url, _message(page, details(page)))
        if len(request.body) > CARD_BYTES_MAX:
            request = json_request(self._url, _message(page, ()))
        return [request]

    def answer(self, response: Response, now: float) -> Answer:
        answer = by_status(response.status, response.headers, now)
        # Its older connectors say 200 and tell in words that the next machine refused.
        told = re.search(rb"returned HTTP error (\d{3})", response.body)
        if answer.outcome is Outcome.DELIVERED and told:
            status = int(told[1])
            inner = by_status(status, {}, now)
            delivered = inner.outcome is Outcome.DELIVERED
            return permanent("refused", f"status {status} in the answer") if delivered else inner
        return answer


def _message(page: Page, shown: Sequence[tuple[str, str]]) -> dict[str, Any]:
    colour = "good" if page.action is Action.RESOLVE else _COLOURS.get(page.alert.severity, "attention")
    head = {
        "type": "TextBlock",
        "text": escaped(title(page)),
        "weight": "bolder",
        "wrap": True,
        "color": colour,
    }
    facts = {"type": "FactSet", "facts": [{"title": name, "value": escaped(value)} for name, value in shown]}
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [head, facts],
    }
    return {"type": "message", "attachments": [{"contentType": CARD, "contentUrl": None, "content": card}]}


def escaped(text: str) -> str:
    """Markdown is read in cards, and <at> mentions somebody."""
    return _MARKDOWN.sub(r"\\\1", short(text, TEXT_CHARACTERS_MAX)).replace("\\<", "&lt;").replace("\\>", "&gt;")
