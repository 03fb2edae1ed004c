"""Brings what waits for one sink to it, one page after another; what fails is tried again for hours.

Each sink has a courier of its own, so a slow endpoint delays no other. ``step`` does what is due and says when to come
again; the clock, chance and the waiting are handed in.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

import structlog

from streams.pager.answers import RETRY_AFTER_MAX_S, Answer, Chance, Outcome, is_due, pause
from streams.pager.budgets import DIGESTS
from streams.pager.outbox import Outbox
from streams.pager.rate import MINUTE_S, Rate
from streams.pager.rows import Delivery, Held
from streams.pager.sinks.sink import Clock, Sink
from streams.pager.steps import SEVERITIES, Action, Page, ShownAlert, read_alert

log = structlog.get_logger(__name__)

SUMMARY_AFTER_S = MINUTE_S  # pages held back are told together this long after the first of them
SUMMARIES = "held-back"  # how a summary's incident begins


class Post(NamedTuple):
    """How one sink is served."""

    name: str
    sink: Sink
    fallback: str | None
    pages_per_minute: int
    give_up_s: float
    longest_pause_s: float


class Told(Protocol):
    """What a courier tells while it works; ``streams.pager.metrics`` counts it."""

    def delivered(self, sink: str, action: str) -> None: ...

    def retried(self, sink: str, reason: str) -> None: ...

    def failed(self, sink: str, reason: str) -> None: ...

    def held_back(self, sink: str) -> None: ...


class Courier:
    def __init__(self, post: Post, outbox: Outbox, told: Told, clock: Clock, chance: Chance, wake: Callable[[], None]):
        self._post, self._outbox, self._told = post, outbox, told
        self._clock, self._chance, self._wake = clock, chance, wake
        self._rate = Rate(post.pages_per_minute)
        self._longest_s = post.longest_pause_s + RETRY_AFTER_MAX_S
        self._resting_until = 0.0  # the whole sink: it asked for it, or it cannot be reached
        self._failures = 0  # of the whole sink, one after another
        self._repeat_at = 0.0
        self._round: deque[str] = deque()  # of incidents to tell again: what is left of it

    async def step(self) -> float | None:
        """Makes one attempt where one is due; returns when the next may be, ``None`` where nothing waits."""
        now = self._clock()
        if not is_due(self._resting_until, now, self._longest_s):
            return self._resting_until
        self._summarise(now)
        delivery = self._outbox.due(self._post.name, now, self._longest_s)
        if delivery is not None:
            await self._attempt(delivery, now)
            return now
        await self._repeat(now)
        return self._next(now)

    async def _attempt(self, delivery: Delivery, now: float) -> None:
        alert = read_alert(delivery.value)
        new_page = delivery.action is Action.TRIGGER and not delivery.tries
        counts = new_page and not alert.incident.startswith((SUMMARIES, DIGESTS))
        if counts and (budget := self._outbox.spent(delivery, alert, now)) is not None:
            self._outbox.withhold(delivery, alert, budget, now)
            return
        if counts and not self._rate.take(SEVERITIES[alert.rank], now):
            self._told.held_back(self._post.name)
            self._outbox.hold(delivery, alert, now)
            return
        page = self._outbox.begin(delivery, now)
        self._settle(delivery, await self._delivered(page), self._clock())

    async def _delivered(self, page: Page) -> Answer:
        """A mistake of ours in one page must not keep all others from going out: it counts as refused."""
        try:
            return await self._post.sink.deliver(page)
        except Exception as error:
            log.exception("a page could not be made", sink=self._post.name, incident=page.alert.incident)
            return Answer(Outcome.PERMANENT, "error", f"an unexpected {type(error).__name__}")

    def _settle(self, delivery: Delivery, answer: Answer, now: float) -> None:
        name = self._post.name
        if answer.outcome is Outcome.DELIVERED:
            self._failures = 0
            self._outbox.delivered(delivery, answer.reference)
            self._told.delivered(name, delivery.action.value)
            if not answer.whole:
                log.error(
                    "delivered to some and not to all", sink=name, incident=delivery.incident, detail=answer.detail
                )
            if delivery.tries:
                log.info("delivered after all", sink=name, incident=delivery.incident, tries=delivery.tries + 1)
        elif answer.outcome is Outcome.RETRY:
            rest = self._pause(answer, delivery.tries + 1, now)
            # Asked after an attempt: the time may have passed while this pager did not run.
            if delivery.tries and now - delivery.since > self._post.give_up_s:
                self._give_up(delivery, now, "gave_up", f"for {self._post.give_up_s:g} s", arrived=answer.arrived)
                return
            self._told.retried(name, answer.reason)
            if not delivery.tries:
                log.warning("not delivered yet", sink=name, incident=delivery.incident, reason=answer.detail)
            self._outbox.again(delivery, now + rest, arrived=answer.arrived)
        else:
            self._give_up(delivery, now, answer.reason, answer.detail, arrived=answer.arrived)

    def _pause(self, answer: Answer, tries: int, now: float) -> float:
        """How long this delivery waits. Where the sink is at fault, all of it rests."""
        longest, asked = self._post.longest_pause_s, answer.retry_after_s or 0.0
        if not answer.whole_sink:
            return asked + pause(tries, longest, self._chance)
        self._failures += 1
        rest = asked + pause(self._failures, longest, self._chance)  # not all at the very moment that was named
        self._resting_until = now + rest
        return rest

    def _give_up(self, delivery: Delivery, now: float, reason: str, detail: str, *, arrived: bool) -> None:
        name, fallback = self._post.name, self._post.fallback
        self._told.failed(name, reason)
        log.error(
            "not delivered, and not tried again",
            sink=name,
            incident=delivery.incident,
            action=delivery.action.value,
            reason=reason,
            detail=detail,
            fallback=fallback,
        )
        note = f"{name} did not take it: {detail}"
        self._outbox.failed(delivery, fallback=fallback, note=note, now=now, arrived=arrived)
        self._wake()  # the courier of the fallback

    def _summarise(self, now: float) -> None:
        held = self._outbox.held(self._post.name)
        if held is not None and is_due(held.since + SUMMARY_AFTER_S, now, SUMMARY_AFTER_S):
            log.warning("pages were held back", sink=self._post.name, pages=held.count)
            self._outbox.summarise(self._post.name, _summary(self._post.name, held, now), now)

    async def _repeat(self, now: float) -> None:
        """Tells again what is open, where the endpoint would forget it. A failure is made good by the next round."""
        every = self._post.sink.repeats_s
        if every is None:
            return
        if not self._round and is_due(self._repeat_at, now, every):
            self._repeat_at = now + every
            self._round.extend(incident for incident, _ in self._outbox.standings(self._post.name))
        # What breaks a round off, it goes on from: else the last of many would never be told again.
        while self._round and self._outbox.due(self._post.name, self._clock(), self._longest_s) is None:
            page = self._outbox.open_page(self._post.name, self._round[0], self._clock())
            answer = None if page is None else await self._delivered(page)
            if answer is not None and answer.outcome is not Outcome.DELIVERED:
                self._told.retried(self._post.name, answer.reason)
                if answer.whole_sink:
                    self._pause(answer, 1, self._clock())
                    return
            elif answer is not None:
                self._failures = 0
            self._round.popleft()

    def _next(self, now: float) -> float | None:
        if not is_due(self._resting_until, now, self._longest_s):
            return self._resting_until
        held = self._outbox.held(self._post.name)
        moments = [
            self._outbox.next_due(self._post.name),
            now if self._round else None,
            held.since + SUMMARY_AFTER_S if held is not None else None,
            self._repeat_at if self._post.sink.repeats_s is not None else None,
        ]
        return min((moment for moment in moments if moment is not None), default=None)


Wait = Callable[[float | None], Awaitable[None]]  # until this time, or until somebody wakes; None: only that


async def serve(courier: Courier, wait: Wait) -> None:
    """For ever."""
    while True:
        await wait(await courier.step())


def _summary(sink: str, held: Held, now: float) -> ShownAlert:
    counts = ", ".join(f"{count} {severity}" for severity, count in sorted(held.by_severity.items()))
    severity = next((word for word in reversed(SEVERITIES) if word in held.by_severity), SEVERITIES[-1])
    ms = int(now * 1000)
    return ShownAlert(
        id=f"{SUMMARIES}-{sink}-{ms}",
        incident=f"{SUMMARIES}-{sink}-{ms}",
        event="opened",
        severity=severity,
        model="*",
        kind="system",
        summary=f"{held.count} further pages were held back ({counts}), such as: {'; '.join(held.summaries)}",
        ts=ms,
    )
