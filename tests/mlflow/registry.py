"""A registry of models in memory, and a control topic, that fail when they are told to."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from schemas.events import Control
from streams.errors import BrokerError
from streams.mlflow.aliases import Standing, read, tag
from streams.mlflow.registry import Registered, RegistryError, Trouble, Version

ALIAS = "champion"
NOW = 1_767_225_600.0


class MemoryRegistry:
    """``versions`` and ``tags`` by name; a version's by number too."""

    def __init__(self) -> None:
        self.live: dict[str, str] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.versions: dict[str, dict[str, dict[str, str]]] = {}
        self.fails: Callable[[str], RegistryError | None] = lambda call: None
        self.loses: Callable[[str], RegistryError | None] = lambda call: None  # the answer: the call itself was done
        self.calls: list[str] = []

    def add(self, name: str, *versions: str, live: str | None = None) -> None:
        self.tags[name] = {}
        self.versions[name] = {number: {} for number in versions}
        if live is not None:
            self.live[name] = live

    def standing(self, name: str = "churn") -> Standing | None:
        return read(self.tags[name].get(tag(ALIAS)))

    def writes(self) -> list[str]:
        return [call for call in self.calls if call.startswith(("tag_", "move_"))]

    async def models(self) -> Sequence[Registered]:
        self._called("models")
        return [self._model(name) for name in sorted(self.tags)]

    async def model(self, name: str) -> Registered:
        self._called("model", name)
        return self._model(name)

    async def version(self, name: str, number: str) -> Version:
        self._called("version", name, number)
        return Version(number, dict(self._version(name, number)))

    async def newest_versions(self, name: str) -> Sequence[Version]:
        self._called("newest_versions", name)
        return [Version(number, dict(tags)) for number, tags in reversed(self.versions[name].items())]

    async def tag_model(self, name: str, key: str, value: str) -> None:
        self._called("tag_model", name, key)
        self._model(name)
        self.tags[name][key] = value
        self._answered()

    async def tag_version(self, name: str, number: str, key: str, value: str) -> None:
        self._called("tag_version", name, number, key)
        self._version(name, number)[key] = value
        self._answered()

    async def move_alias(self, name: str, number: str) -> None:
        self._called("move_alias", name, number)
        self._version(name, number)
        self.live[name] = number
        self._answered()

    def _called(self, *words: str) -> None:
        self.calls.append(" ".join(words))
        error = self.fails(self.calls[-1])
        if error is not None:
            raise error

    def _answered(self) -> None:
        error = self.loses(self.calls[-1])
        if error is not None:
            raise error

    def _model(self, name: str) -> Registered:
        if name not in self.tags:
            raise RegistryError(Trouble.MISSING, "there is no such model or version")
        return Registered(name, self.live.get(name), dict(self.tags[name]))

    def _version(self, name: str, number: str) -> dict[str, str]:
        if number not in self.versions.get(name, {}):
            raise RegistryError(Trouble.MISSING, "there is no such model or version")
        return self.versions[name][number]


class MemoryControl:
    """``lost``: the event lies on the topic, and whoever sent it does not hear of it."""

    def __init__(self) -> None:
        self.sent: list[Control] = []
        self.away = self.lost = False
        self.asked: list[tuple[str, int]] = []

    async def send(self, event: Control) -> None:
        if self.away:
            raise BrokerError("does not answer")
        self.sent.append(event)
        if self.lost:
            raise BrokerError("did not acknowledge")

    async def was_sent(self, event_id: str, since: int) -> bool:
        self.asked.append((event_id, since))
        return any(event.id == event_id for event in self.sent)

    def said(self) -> list[tuple[str, str | None, str | None]]:
        return [(event.action.value, event.model, event.version) for event in self.sent]


def event(kind: str = "retrain", number: int = 1, **fields: Any) -> bytes:
    """As on the topic; ``number`` orders them in time."""
    content = {
        "type": kind,
        "v": 1,
        "id": f"{kind}-{number}",
        "model": "churn",
        "version": "7",
        "reason": "concept_drift",
        "ts": int(NOW * 1000) + number,
        **fields,
    }
    if kind == "retrain":
        span = {"topic": "driftline.predictions", "partition": 3, "from_offset": 40, "to_offset": 90}
        data = {**span, "from_ts": int(NOW * 1000) - 1_000, "to_ts": int(NOW * 1000)}
        labels = {"joined": 200, "pending": 3, "median_delay_ms": None}
        gain = {"value": 0.05, "low": 0.01, "high": 0.09}
        more = {"alerts": ["al-1", "al-2"], "incidents": ["inc-1"], "data": data, "expected_gain": gain}
        content = {"labels": labels, **more, **content}
    return msgspec.json.encode(content)
