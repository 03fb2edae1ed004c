"""Slack: one message for an incident that shows how it stands, and its history in the thread; or an incoming webhook.

With a bot's token (scope chat:write) messages can be changed. An incoming webhook can only add one for each step.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from streams.pager.answers import GONE, Answer, Outcome, delivered, nonsense, permanent
from streams.pager.http import Request, Response
from streams.pager.sinks.form import JSON, checked, json_request
from streams.pager.sinks.text import details, noted, short, title
from streams.pager.steps import Action, Page
from streams.secrets import Secret

URL = "https://slack.com/api"
TEXT_CHARACTERS_MAX = 3_000  # of a section block
_MARKS = {"info": "large_blue_circle", "warning": "large_orange_circle", "critical": "red_circle"}
_ACTION_MARKS = {Action.RESOLVE: "white_check_mark", Action.MUTE: "mute"}
_GONE = ("message_not_found", "edit_window_closed", "cant_update_message")
_TRANSIENT = ("ratelimited", "rate_limited", "service_unavailable", "internal_error", "fatal_error", "request_timeout")


class SlackBot:
    repeats_s = None

    def __init__(
        self, url: str, secret: Secret, channel: str, show: Callable[[Page], dict[str, Any]] | None = None
    ) -> None:
        self._url, self._token, self._channel = url.rstrip("/"), secret, channel
        self._show = show or message

    def requests(self, page: Page) -> Sequence[Request]:
        if page.reference is None:
            return [self._call("chat.postMessage", {"channel": self._channel, **self._show(page)})]
        channel, _, ts = page.reference.partition("/")
        update = self._call("chat.update", {"channel": channel, "ts": ts, **self._show(page)})
        loud = page.action is Action.TRIGGER  # it became worse: those who do not follow the thread are to see it too
        reply = {"channel": channel, "thread_ts": ts, "text": escaped(noted(page)), "reply_broadcast": loud, **_QUIET}
        return [update, self._call("chat.postMessage", reply)]

    def answer(self, response: Response, now: float) -> Answer:
        return checked(response, now, lambda said: _read(said, response.status))

    def _call(self, method: str, content: dict[str, Any]) -> Request:
        headers = {"Content-Type": "application/json; charset=utf-8", "Authorization": f"Bearer {self._token.reveal()}"}
        return json_request(f"{self._url}/{method}", content, headers)


class SlackWebhook:
    repeats_s = None

    def __init__(self, url: str) -> None:
        self._url = url

    def requests(self, page: Page) -> Sequence[Request]:
        return [json_request(self._url, message(page), JSON)]

    def answer(self, response: Response, now: float) -> Answer:
        answer = checked(response, now, lambda _: delivered(f"status {response.status}"))
        if answer.outcome is Outcome.DELIVERED and response.body.strip() != b"ok":
            return nonsense(f"status {response.status}, without Slack's word that it was taken")
        return answer


_QUIET: dict[str, Any] = {"unfurl_links": False, "unfurl_media": False, "link_names": False, "parse": "none"}


def message(page: Page) -> dict[str, Any]:
    mark = _ACTION_MARKS.get(page.action) or _MARKS.get(page.alert.severity, "red_circle")
    head = f":{mark}: *{_bold(title(page))}*"
    lines = _cut([f"{name}: {escaped(value)}" for name, value in details(page)])
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}} for text in (head, lines)]
    return {"text": escaped(title(page)), "blocks": blocks, **_QUIET}


def escaped(text: str) -> str:
    """Nobody is mentioned and nothing is a link: both need angle brackets."""
    return short(text, 500).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _bold(text: str) -> str:
    return escaped(text).replace("*", "·").replace("`", "'")


def _cut(lines: Sequence[str]) -> str:
    """As many whole lines as there is room for: half an escape would be none."""
    ends = accumulate(len(line) + 1 for line in lines)
    return "\n".join(line for line, end in zip(lines, ends, strict=True) if end <= TEXT_CHARACTERS_MAX)


def _read(said: dict[str, Any] | None, status: int) -> Answer:
    if said is None or "ok" not in said:
        return nonsense(f"status {status}, without Slack's word that it was taken")
    if said["ok"] is True:
        channel, ts = said.get("channel"), said.get("ts")
        known = isinstance(channel, str) and isinstance(ts, str)
        return delivered(f"status {status}", f"{channel}/{ts}" if known else None)
    error = said.get("error")
    if error in _GONE:
        return permanent(GONE, f"Slack said {error}")
    if error in _TRANSIENT:
        return Answer(Outcome.RETRY, "rate_limited", f"Slack said {error}", None, arrived=False, whole_sink=True)
    word = error if isinstance(error, str) and error.replace("_", "").isalnum() and len(error) <= 40 else "no"
    return permanent("refused", f"Slack said {word}")
