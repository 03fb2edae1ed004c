"""A dead man's switch outside: it is told every minute that pages can go out, and raises the alarm when it is not."""

import asyncio
from collections.abc import Callable
from time import monotonic, time

import structlog

from schemas.times import duration_ms
from streams.pager.answers import Answer, Outcome, by_status
from streams.pager.http import HttpClient, Request, tls_context
from streams.sections import PagerSettings

log = structlog.get_logger(__name__)

STALE_S = 60.0  # reading turns twice a second and the brokers are asked every five seconds
BEHIND_S = 300.0  # alerts that are not taken for so long are stuck

Clock = Callable[[], float]


class Pulse:
    """Whether alerts are being taken."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turned: float | None = None
        self._answered: float | None = None
        self._behind_since: float | None = None

    def turned(self) -> None:
        """The consumer was asked for records, and came back."""
        self._turned = self._clock()

    def answered(self, behind: int) -> None:
        """The brokers said where the topic ends."""
        self._answered = self._clock()
        if not behind:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = self._answered

    def is_well(self) -> bool:
        now = self._clock()
        fresh = all(at is not None and now - at <= STALE_S for at in (self._turned, self._answered))
        return fresh and (self._behind_since is None or now - self._behind_since <= BEHIND_S)


class Heartbeat:
    def __init__(self, settings: PagerSettings, pulse: Pulse, told: Callable[[float], None]) -> None:
        self._url = settings.heartbeat_url.reveal() if settings.heartbeat_url else None
        self._every_s = duration_ms(settings.heartbeat_interval) / 1000
        self._client = HttpClient(tls_context(None), allow_private=settings.heartbeat_allow_private)
        self._pulse, self._told = pulse, told
        self._said = True  # whether the last one was taken, so that a change is one line

    async def beat(self) -> None:
        """For ever, at the same moments also where an answer takes its time."""
        if self._url is None:
            await asyncio.Event().wait()
        due = monotonic()
        while True:
            await self.once()
            due = max(due + self._every_s, monotonic())
            await asyncio.sleep(due - monotonic())

    async def once(self) -> None:
        if not self._pulse.is_well():
            self._say(False, "alerts are not being taken")
            return
        response = await self._client.send(Request(self._url or "", b"", {}))
        answer = response if isinstance(response, Answer) else by_status(response.status, response.headers, time())
        taken = answer.outcome is Outcome.DELIVERED
        if taken:
            self._told(time())
        self._say(taken, answer.detail)

    def _say(self, taken: bool, detail: str) -> None:
        if taken != self._said:
            log.info("heartbeats again") if taken else log.warning("no heartbeat", reason=detail)
        self._said = taken
