"""Any endpoint: the alert as a CloudEvent, signed with HMAC-SHA256 over the time and the body."""

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256

import orjson

from streams.pager.answers import Answer, by_status
from streams.pager.http import Request, Response
from streams.pager.sinks.text import time_of
from streams.pager.steps import Page
from streams.secrets import Secret

SIGNATURE, TIMESTAMP = "Driftline-Signature", "Driftline-Timestamp"
SPEC_VERSION = "1.0"  # of CloudEvents


class Webhook:
    repeats_s = None

    def __init__(self, url: str, secret: Secret | None) -> None:
        self._url, self._secret = url, secret

    def requests(self, page: Page) -> Sequence[Request]:
        event = {
            "specversion": SPEC_VERSION,
            "id": page.id,
            "source": f"driftline/{page.first.model}",
            "type": "driftline.alert.v1",
            "subject": page.alert.incident,
            "time": time_of(page.alert.ts),
            "datacontenttype": "application/json",
            "data": orjson.Fragment(page.value),
            **{name: value for name, value in _extensions(page).items() if value},
        }
        body = orjson.dumps(event)
        headers = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
        if self._secret:
            headers |= {TIMESTAMP: str(int(page.now)), SIGNATURE: signature(self._secret, int(page.now), body)}
        return [Request(self._url, body, headers)]

    def answer(self, response: Response, now: float) -> Answer:
        return by_status(response.status, response.headers, now)


def _extensions(page: Page) -> Mapping[str, str]:
    """What the alert itself cannot say. Names of extensions are small letters and digits."""
    return {
        "driftlinenote": page.note,
        "driftlinereason": page.reason or "",
        "driftlineteam": ",".join(page.teams),
        "driftlinefurther": ",".join(page.further.models),
    }


def signature(secret: Secret, timestamp: int, body: bytes) -> str:
    """Whoever receives it computes the same, compares in constant time, and refuses a time that is minutes old."""
    signed = b"%d." % timestamp + body
    return "sha256=" + hmac.new(secret.reveal().encode(), signed, sha256).hexdigest()
