"""What a kind of endpoint asks for: requests to make for a page, and how to read what it answers. No I/O."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson

from streams.pager.answers import Answer, Outcome, by_status
from streams.pager.http import Request, Response
from streams.pager.steps import Page

JSON: Mapping[str, str] = {"Content-Type": "application/json"}


class Form(Protocol):
    @property
    def repeats_s(self) -> float | None:
        """How often an open page is to be told again, where the endpoint forgets it otherwise."""

    def requests(self, page: Page) -> Sequence[Request]:
        """In order; none where the endpoint has no word for the action."""

    def answer(self, response: Response, now: float) -> Answer: ...


def json_request(url: str, content: object, headers: Mapping[str, str] = JSON) -> Request:
    return Request(url, orjson.dumps(content), headers)


def object_in(body: bytes) -> dict[str, Any] | None:
    """The JSON object that it is, if it is one."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def checked(response: Response, now: float, read: Callable[[dict[str, Any] | None], Answer]) -> Answer:
    """For endpoints that say in the body whether they took it: a success counts where they say so."""
    answer = by_status(response.status, response.headers, now)
    return read(object_in(response.body)) if answer.outcome is Outcome.DELIVERED else answer
