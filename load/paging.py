"""The pager without a broker: alerts into the real outbox on a real disk, real requests to an endpoint that counts.

The clock is the alerts' own, so that an hour takes as long as its requests do.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from load.endpoint import Endpoint, Got, endpoint
from schemas.events import Alert
from streams.pager import build
from streams.pager.courier import Courier, Post
from streams.pager.decisions import Decision
from streams.pager.outbox import Outbox, Taken
from streams.pager.policy import policy
from streams.pager.reasons import WITHHOLDS
from streams.pager.rows import Belongs
from streams.rocks import Rocks, shared_cache
from streams.secrets import Secret
from streams.sections import PagerSettings, SinkSettings, UpstreamSettings

DUTY = "duty"
RATE = 10_000  # pages a minute: what is few must be so by itself, and not because a sink's rate holds pages back
AFTER_S = 3_600.0  # the time that passes when no more alerts come
STEP_S = 10.0


class Called(NamedTuple):
    """A page that called somebody."""

    incident: str
    model: str


class Desk(NamedTuple):
    """What came of it."""

    pages: Sequence[Called]
    requests: int
    withheld: Counter[str]  # by reason
    models_told: set[str]


class _Uncounted:
    """A courier tells of each delivery; here the endpoint's own count is what is asked for."""

    def delivered(self, sink: str, action: str) -> None: ...

    def retried(self, sink: str, reason: str) -> None: ...

    def failed(self, sink: str, reason: str) -> None: ...

    def held_back(self, sink: str) -> None: ...


async def paged(place: Path, alerts: Sequence[tuple[Alert, bytes]], upstreams: Mapping[str, UpstreamSettings]) -> Desk:
    """What people would get for these alerts; ``place`` is where the outbox goes."""
    rocks = Rocks(place, shared_cache(), create=True)
    try:
        async with endpoint() as server:
            pager = PagerSettings(sinks={DUTY: _duty(server)}, upstreams=dict(upstreams))
            decisions = await _Clocked(rocks, pager).run(alerts)
            return _seen(server.got, decisions)
    finally:
        rocks.close()


class _Clocked:
    def __init__(self, rocks: Rocks, pager: PagerSettings) -> None:
        self._now = 0.0
        self._outbox = Outbox(rocks, Belongs("storm", "alerts"), policy(pager, [DUTY]))
        post = Post(DUTY, build.sink(pager.sinks[DUTY], lambda: self._now), None, RATE, AFTER_S, 1.0)
        self._courier = Courier(post, self._outbox, _Uncounted(), lambda: self._now, lambda: 1.0, lambda: None)
        self._decisions: list[Decision] = []

    async def run(self, alerts: Sequence[tuple[Alert, bytes]]) -> Sequence[Decision]:
        for offset, (alert, value) in enumerate(alerts):
            await self._until(alert.ts / 1000)
            self._decisions += self._outbox.take([Taken(0, offset, value)], self._now).decisions
        await self._until(self._now + AFTER_S)
        return self._decisions

    async def _until(self, end: float) -> None:
        """As a pager would do it: it looks again and again what the time brings, and delivers what is due."""
        self._now = self._now or end
        while True:
            self._decisions += self._outbox.look(self._now).decisions
            due = await self._courier.step()
            while due is not None and due <= self._now:
                due = await self._courier.step()
            if self._now >= end:
                return
            self._now = min(self._now + STEP_S, end)


def _duty(server: Endpoint) -> SinkSettings:
    url = Secret(server.url("/page"))
    return SinkSettings(type="pagerduty", url=url, secret=Secret("key"), allow_private=True, pages_per_minute=RATE)


def _seen(got: Sequence[Got], decisions: Sequence[Decision]) -> Desk:
    """As the endpoint sees it: a trigger calls somebody where nothing is open under its key."""
    is_open, pages, told = set[str](), list[Called](), set[str]()
    for event in (one.content for one in got):
        key, action = event["dedup_key"], event["event_action"]
        if action == "resolve":
            is_open.discard(key)
        elif action == "trigger":
            model = event["payload"]["group"]
            if key not in is_open:
                pages.append(Called(key, model))
                is_open.add(key)
            told |= {model, *_further(event)}
    withheld = Counter(one.reason.value for one in decisions if one.reason in WITHHOLDS)
    return Desk(pages, len(got), withheld, told)


def _further(event: Mapping[str, Mapping[str, Mapping[str, str]]]) -> Sequence[str]:
    """The models that a page names besides its own."""
    _, _, names = event["payload"]["custom_details"].get("with it", "").partition(": ")
    return names.split(", ") if names else ()
