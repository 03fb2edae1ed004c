"""Tells the monitor, once, that a registered model's alias names another version.

Before an event is sent, the registry is told what will be; after it was sent, that it was. What lies between the two
when a process ends is looked for on the control topic by the next one.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
import structlog

from schemas.events import Control
from streams.control import checked
from streams.errors import UsageError
from streams.mlflow import aliases
from streams.mlflow.aliases import Standing
from streams.mlflow.metrics import MlflowMetrics
from streams.mlflow.names import Names
from streams.mlflow.once import Once
from streams.mlflow.registry import MODELS_MAX, Registered, Registry, RegistryError, Trouble
from streams.pager.sinks.text import time_of

log = structlog.get_logger(__name__)

Clock = Callable[[], float]  # epoch seconds


class Monitor(Protocol):
    """The way to it: the control topic."""

    async def send(self, event: Control) -> None: ...

    async def was_sent(self, event_id: str, since: int) -> bool:
        """Whether it lies on the topic; looked for among what was appended since then."""


class Announcer:
    def __init__(
        self, registry: Registry, monitor: Monitor, names: Names, alias: str, metrics: MlflowMetrics, clock: Clock
    ) -> None:
        self._registry, self._monitor, self._names, self._alias = registry, monitor, names, alias
        self._metrics, self._clock = metrics, clock
        self._told = Once()

    async def look(self) -> None:
        """At the aliases of all models that are watched."""
        found = await self._registry.models()
        watched = [(model, one) for one in found[:MODELS_MAX] if (model := self._names.watched(one.name))]
        for model, registered in watched:
            await self._bearing(self._look_at(model, registered), model)
        self._metrics.looked(len(watched), len(found) > MODELS_MAX, self._clock())

    async def _bearing(self, looking: Awaitable[None], model: str) -> None:
        """One model that cannot be looked at keeps no other from it."""
        try:
            await looking
        except RegistryError as error:
            if error.may_pass:
                raise
            if self._told.first(model, error.what):
                log.error("an alias cannot be followed", model=model, alias=self._alias, reason=error.what)

    async def _look_at(self, model: str, registered: Registered) -> None:
        last = aliases.read(registered.tags.get(aliases.tag(self._alias)))
        if last is None:
            if registered.live is not None:
                await self._stands(registered, aliases.first_seen(registered.live, self._now()))
                log.info(
                    "an alias was seen for the first time", model=model, alias=self._alias, version=registered.live
                )
            return
        if not last.said:
            known = await self._monitor.was_sent(last.event, last.at)
            await self._say(model, registered, last, known=known)
        elif registered.live not in (None, last.version):
            standing = await self._moved(model, registered, last, registered.live or "")
            if standing is not None:
                await self._say(model, registered, standing, known=False)

    async def _moved(self, model: str, registered: Registered, last: Standing, live: str) -> Standing | None:
        version = await self._registry.version(registered.name, live)
        name = self._names.of_version(version)
        if name is None:
            if self._told.first(model, f"no name {live}"):
                log.warning("a live version has no name yet; see mlflow.version_tag", model=model, version=live)
            return None
        was_live = aliases.live_tag(self._alias) in version.tags
        standing = aliases.moved(model, self._alias, last, live, name, was_live=was_live, now=self._now())
        try:  # before it is written down as what will be said: that would be tried for ever
            checked(aliases.event_of(standing, model, self._alias))
        except UsageError as error:
            raise RegistryError(Trouble.REFUSED, f"what predictions call version {live}: {error.what}") from error
        await self._registry.tag_model(registered.name, aliases.tag(self._alias), aliases.written(standing))
        return standing

    async def _say(self, model: str, registered: Registered, standing: Standing, *, known: bool) -> None:
        if not known:
            event = aliases.event_of(standing, model, self._alias)
            await self._monitor.send(event)
            self._metrics.deployment(event.action)
            log.info("told the monitor", action=event.action.value, model=model, version=event.version, id=event.id)
        await self._stands(registered, msgspec.structs.replace(standing, said=True))

    async def _stands(self, registered: Registered, standing: Standing) -> None:
        since = time_of(standing.at)
        try:
            await self._registry.tag_version(registered.name, standing.version, aliases.live_tag(self._alias), since)
        except RegistryError as error:
            if error.trouble is not Trouble.MISSING:  # somebody has deleted it since
                raise
        await self._registry.tag_model(registered.name, aliases.tag(self._alias), aliases.written(standing))

    def _now(self) -> int:
        return int(self._clock() * 1000)
