"""Which baseline a version of a model is held against: the configured one, until somebody says otherwise."""

from collections.abc import Mapping
from zlib import crc32

import msgspec

from detectors.config import WARM_UP, ModelConfig
from detectors.learning import Learned
from detectors.reports import ScopeKey
from schemas.events import Control, ControlAction

CHOSEN_MAX = 20  # versions that were deployed with a baseline of their own: as many as are watched


class Choice(msgspec.Struct, array_like=True, frozen=True):
    """Names. ``model`` is what holds for all versions, where it is not the configured one any more."""

    model: str | None = None
    versions: dict[str, str] = {}

    def of(self, key: ScopeKey, configured: str) -> str:
        """What was recorded of one model says nothing of its challengers: these learn from the stream."""
        if key.challenger:
            return WARM_UP
        return self.versions.get(key.version or "", self.model or configured)

    def after(self, event: Control, name: str | None) -> "Choice":
        """What a deployment, a rollback or a new baseline changes. ``name``: what it says, where that is known."""
        if event.action is ControlAction.BASELINE:
            return Choice(name or WARM_UP)
        version = event.version or ""
        others = {known: chosen for known, chosen in self.versions.items() if known != version}
        if name is None and event.action is ControlAction.ROLLBACK and version in self.versions:
            name = self.versions[version]  # that version has a baseline already
        if name is not None:
            others[version] = name
        return Choice(self.model, dict(list(others.items())[-CHOSEN_MAX:]))

    def without(self, known: Mapping[str, Learned]) -> "Choice":
        """Under another configuration: names that it does not have are as if they had never been said."""
        kept = {version: name for version, name in self.versions.items() if name in known or name == WARM_UP}
        return Choice(self.model if self.model in known or self.model == WARM_UP else None, kept)


def checksum(config: ModelConfig, known: Mapping[str, Learned], choice: Choice) -> int:
    """Of the configuration as far as it decides: a baseline is its name and its content, and not where it lies.

    One that nobody has chosen yet has decided nothing, so that another one can be added while all goes on.
    """
    used = sorted({config.baseline, choice.model or config.baseline, *choice.versions.values()})
    contents = [(name, known[name].origin.digest if name in known else "") for name in used]
    plain = msgspec.structs.replace(config, baselines={})
    return crc32(msgspec.msgpack.encode((plain, contents), order="deterministic"))
