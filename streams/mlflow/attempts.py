"""Work with the registry that may fail for a while: what keeps it from being done is told once, and its end as well."""

from collections.abc import Awaitable, Callable
from random import SystemRandom

import structlog

from streams.errors import BrokerError
from streams.mlflow.registry import RegistryError
from streams.pager.answers import pause

log = structlog.get_logger(__name__)

PAUSE_MAX_S = 60.0

_chance = SystemRandom().random


class Attempts:
    def __init__(self, what: str, failed: Callable[[str], None]) -> None:
        self._what, self._failed = what, failed
        self._failures = 0
        self._reason = ""  # of the last failure; empty while all is well

    async def tried(self, work: Awaitable[None]) -> bool:
        """Whether it was done. Any other error than one that may pass is its caller's."""
        try:
            await work
        except (RegistryError, BrokerError) as error:
            reason = error.trouble.value if isinstance(error, RegistryError) else "brokers"
            self._failures += 1
            self._failed(reason)
            if reason != self._reason:
                log.warning("the registry cannot be worked with", work=self._what, kind=reason, reason=str(error))
            self._reason = reason
            return False
        if self._reason:
            log.info("the registry can be worked with again", work=self._what)
        self._reason, self._failures = "", 0
        return True

    def pause(self) -> float:
        """Before the next try; it doubles, with full jitter."""
        return pause(self._failures, PAUSE_MAX_S, _chance)
