"""The first pass over the metrics: from when to when, of which models, and which windows were amended later."""

from collections.abc import Mapping
from typing import NamedTuple

from schemas.events import Metrics
from schemas.times import TS_END, TS_MIN

MODELS_MAX = 100_000  # a name and a few numbers each: five times what one partition may watch
NAMES_MAX = 64  # of metrics; this release writes twelve
VERSIONS_MAX = 100  # of one model whose first window is remembered
REVISED_MAX = 100_000  # windows that corrected labels have amended; ~200 bytes each

_Window = tuple[str, str | None, str | None, int]


class Deploy(NamedTuple):
    """The first window of a version that was not the model's first: what results of a replay tell of a deployment."""

    ts: int
    version: str


class Survey:
    def __init__(self) -> None:
        self.from_ts = self.to_ts = 0
        self.longest_ms = 0  # of the windows
        self.names: dict[str, None] = {}
        self.models: dict[str, int] = {}  # predictions of each, champions and challengers of all versions
        self.left_out = 0  # windows of further models, or amended ones that were too many
        self._versions: dict[str, dict[str, int]] = {}
        self._revised: dict[_Window, int] = {}

    def saw(self, ts: int) -> None:
        """A time that must be on the page. One that no date has is not."""
        if TS_MIN < ts < TS_END:
            self.from_ts = min(ts, self.from_ts or ts)
            self.to_ts = max(ts, self.to_ts)

    def add(self, window: Metrics) -> None:
        if window.model not in self.models and len(self.models) >= MODELS_MAX:
            self.left_out += 1
            return
        if window.revision is not None:
            self._revise(window)
            return
        self.saw(window.window_start)
        self.saw(window.window_end - 1)
        self.longest_ms = max(self.longest_ms, window.window_end - window.window_start)
        for name in window.values:
            if name not in self.names and len(self.names) < NAMES_MAX:
                self.names[name] = None
        if window.segment is not None:
            return
        self.models[window.model] = self.models.get(window.model, 0) + int(window.values.get("predictions") or 0)
        versions = self._versions.setdefault(window.model, {})
        if window.version is not None and len(versions) < VERSIONS_MAX:
            versions[window.version] = min(window.window_start, versions.get(window.version, TS_END))

    def stands(self, window: Metrics) -> bool:
        """Whether this is the window as it was amended last: the highest revision stands."""
        highest = self._revised.get(_key(window))
        return window.revision == highest if highest is not None else window.revision is None

    def deploys(self, model: str) -> list[Deploy]:
        first = sorted((ts, version) for version, ts in self._versions.get(model, {}).items())
        return [Deploy(ts, version) for ts, version in first[1:]]

    def _revise(self, window: Metrics) -> None:
        key = _key(window)
        if key not in self._revised and len(self._revised) >= REVISED_MAX:
            self.left_out += 1
        else:
            self._revised[key] = max(window.revision or 0, self._revised.get(key, 0))


def _key(window: Metrics) -> _Window:
    return window.model, window.version, window.segment, window.window_start


def ranked(models: Mapping[str, int], pages: Mapping[str, int]) -> list[str]:
    """Those that paged most come first, then those with most traffic."""
    return sorted({*models, *pages}, key=lambda name: (-pages.get(name, 0), -models.get(name, 0), name))
