"""Takes what the monitor advises into the registry: tags of the model and the version, and an alias where allowed."""

from collections.abc import Callable
from enum import StrEnum

import structlog

from streams.mlflow import aliases
from streams.mlflow.advice import AT, ROLLBACK, Advice, key, tags
from streams.mlflow.metrics import MlflowMetrics
from streams.mlflow.names import Names
from streams.mlflow.once import Once
from streams.mlflow.registry import Registered, Registry, RegistryError, Trouble

log = structlog.get_logger(__name__)

# An older one is history: whoever left the alias where it is since then has decided.
ROLLBACK_APPLIED_WITHIN_MS = 24 * 3_600_000

Clock = Callable[[], float]  # epoch seconds


class Fate(StrEnum):
    """What became of an event."""

    TAGGED = "tagged"
    REPEATED = "repeated"  # its tags stand already
    OVERTAKEN = "overtaken"  # those of a later one do
    UNKNOWN_MODEL = "unknown_model"
    REFUSED = "refused"
    LEFT_ASIDE = "left_aside"  # neither a retrain nor a rollback


class Tagger:
    def __init__(
        self,
        registry: Registry,
        names: Names,
        alias: str,
        metrics: MlflowMetrics,
        clock: Clock,
        *,
        apply_rollbacks: bool,
    ) -> None:
        self._registry, self._names, self._alias = registry, names, alias
        self._metrics, self._clock = metrics, clock
        self._apply_rollbacks = apply_rollbacks
        self._told = Once()

    async def take(self, advice: Advice) -> Fate:
        """Raises ``RegistryError`` only where the same may fare better later."""
        name = self._names.in_registry(advice.model)
        try:
            registered = await self._registry.model(name)
        except RegistryError as error:
            return self._not_taken(advice, error, Fate.UNKNOWN_MODEL)
        if registered.tags.get(key(advice)) == advice.id:
            return Fate.REPEATED
        if registered.tags.get(key(advice, AT), "") > advice.at:
            return Fate.OVERTAKEN
        try:
            await self._tag(advice, registered)
        except RegistryError as error:
            return self._not_taken(advice, error, Fate.REFUSED)
        log.info("tags were set", type=advice.type, model=advice.model, version=advice.version, id=advice.id)
        return Fate.TAGGED

    async def _tag(self, advice: Advice, registered: Registered) -> None:
        """The model's own tags last: where its id stands, all was done."""
        number = await self._names.number_of(self._registry, registered, advice.version)
        for name, value in tags(advice) if number is not None else ():
            await self._registry.tag_version(registered.name, number or "", name, value)
        if advice.type == ROLLBACK and self._apply_rollbacks:
            await self._roll_back(advice, registered, number)
        for name, value in tags(advice):
            await self._registry.tag_model(registered.name, name, value)

    async def _roll_back(self, advice: Advice, registered: Registered, number: str | None) -> None:
        """Where the alias names the version that is worse; anywhere else somebody has moved it already."""
        target = await self._names.number_of(self._registry, registered, advice.to_version or "")
        why_not = {
            "the event is older than a day": self._clock() * 1000 - advice.ts > ROLLBACK_APPLIED_WITHIN_MS,
            "the version to go back to is not in the registry": target is None,
            "the alias names another version by now": number is None or registered.live != number,
        }
        reason = next((reason for reason, holds in why_not.items() if holds), None)
        if reason is not None or target is None:
            log.warning("a rollback was not applied", model=advice.model, id=advice.id, reason=reason)
            return
        # It was live, or nobody would go back to it: the announcer is to call it a rollback.
        await self._registry.tag_version(registered.name, target, aliases.live_tag(self._alias), advice.at)
        await self._registry.move_alias(registered.name, target)
        self._metrics.alias_moved()
        log.warning("the alias was moved back", model=advice.model, alias=self._alias, version=target, id=advice.id)

    def _not_taken(self, advice: Advice, error: RegistryError, fate: Fate) -> Fate:
        if error.may_pass:
            raise error
        missing = error.trouble is Trouble.MISSING
        fate = fate if missing else Fate.REFUSED
        if self._told.first(advice.model, fate, error.what):
            log.error("an event was not taken into the registry", model=advice.model, id=advice.id, reason=error.what)
        return fate
