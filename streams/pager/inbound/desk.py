"""Takes what was said at an endpoint, and says it to the monitor: as one control event, once the brokers have it.

Whose incident it is comes from the pager's own outbox: an endpoint only says which key it means. Who said it goes into
the control event and nowhere else.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from time import monotonic
from typing import Protocol

import structlog

from schemas.events import EVERY_MODEL, Control, ControlAction, Verdict
from schemas.times import UNIT_MS
from streams.control import checked
from streams.errors import DriftlineError
from streams.pager.inbound import pagerduty, slack
from streams.pager.inbound.words import Post, Provider, Result, Word
from streams.pager.rows import Whose
from streams.pager.sinks.slack_buttons import MUTE_HOURS
from streams.secrets import Secret

log = structlog.get_logger(__name__)

HEARD_MAX = 10_000  # occasions that were told lately; a provider repeats one within minutes, or hours at most
COMPLAIN_EVERY_S = 60.0  # whoever can reach the port can send nonsense, and must not fill the log

Heard = Callable[[Post, Secret, int], Word | Result]
HEARD: Mapping[Provider, Heard] = {pagerduty.NAME: pagerduty.heard, slack.NAME: slack.heard}


class Sends(Protocol):
    """``streams.control.ControlSender``."""

    async def send(self, event: Control, within_s: float) -> object: ...


class Counts(Protocol):
    """``streams.pager.metrics``."""

    def inbound(self, provider: str, result: str) -> None: ...


class Desk:
    """``whose`` tells what the outbox knows of an incident; ``clock`` the epoch's seconds."""

    def __init__(
        self,
        secrets: Mapping[Provider, Secret],
        whose: Callable[[str], Whose | None],
        sends: Sends,
        counts: Counts,
        clock: Callable[[], float],
    ) -> None:
        self.providers = list(secrets)
        self._secrets, self._whose, self._sends = secrets, whose, sends
        self._counts, self._clock = counts, clock
        self._told: dict[str, None] = {}  # ids of events that the brokers have, the oldest first
        self._complaints: dict[tuple[Provider, Result], tuple[float, int]] = {}

    async def take(self, provider: Provider, post: Post, within_s: float) -> Result:
        """Returns within that time, or not much later."""
        word = HEARD[provider](post, self._secrets[provider], int(self._clock() * 1000))
        result = word if isinstance(word, Result) else await self._tell(provider, word, within_s)
        return self.count(provider, result)

    def count(self, provider: Provider, result: Result) -> Result:
        self._counts.inbound(provider, result.value)
        if result not in (Result.ACCEPTED, Result.REPEATED, Result.IGNORED):
            self._complain(provider, result)
        return result

    async def _tell(self, provider: Provider, word: Word, within_s: float) -> Result:
        whose = self._whose(word.incident)
        if whose is None or whose.model in ("", EVERY_MODEL):
            return Result.UNKNOWN_INCIDENT
        if whose.over and word.action is not ControlAction.VERDICT:
            return Result.OVER
        event = control_event(provider, word, whose.model, int(self._clock() * 1000))
        if event.id in self._told:
            return Result.REPEATED
        try:
            await self._sends.send(checked(event), within_s)
        except DriftlineError as error:
            log.error("an answer was not taken by the brokers", provider=provider, id=event.id, reason=str(error))
            return Result.UNAVAILABLE
        self._remember(event.id)
        log.info("an answer came in", provider=provider, action=word.action, incident=word.incident, id=event.id)
        return Result.ACCEPTED

    def _remember(self, event_id: str) -> None:
        self._told[event_id] = None
        if len(self._told) > HEARD_MAX:
            del self._told[next(iter(self._told))]

    def _complain(self, provider: Provider, result: Result) -> None:
        """A line a minute for each reason, and never what was sent."""
        now = monotonic()
        said, silent = self._complaints.get((provider, result), (-COMPLAIN_EVERY_S, 0))
        if now - said < COMPLAIN_EVERY_S:
            self._complaints[provider, result] = (said, silent + 1)
            return
        self._complaints[provider, result] = (now, 0)
        log.warning("an answer led to nothing", provider=provider, reason=result.value, more_since_the_last=silent)


def control_event(provider: Provider, word: Word, model: str, now_ms: int) -> Control:
    """Of the same id for the same occasion, so that a delivery that is repeated is an event that is repeated.

    Its time is that of sending: workers refuse signed events that are old, and a provider tries for hours.
    """
    # Lengths in front, so that no two occasions read alike.
    parts = (provider, word.occasion, word.action.value, word.incident)
    content = "".join(f"{len(part)}:{part}" for part in parts)
    return Control(
        v=1,
        id=f"in-{sha256(content.encode()).hexdigest()[:32]}",
        ts=now_ms,
        action=word.action,
        model=model,
        by=word.by,
        reason=f"said in {provider}",
        incident=word.incident,
        until=now_ms + MUTE_HOURS * UNIT_MS["h"] if word.action is ControlAction.MUTE else None,
        verdict=Verdict.FALSE_ALARM if word.action is ControlAction.VERDICT else None,
    )
