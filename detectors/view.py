"""A look at what a monitor knows of one signal, as of the last record that was applied. It changes nothing."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from detectors.banks.shiryaev import LIMIT_FACTORS, WATCH
from detectors.baseline import BLOCK
from detectors.budget import in_unit
from detectors.config import ModelConfig
from detectors.engine import Engine
from detectors.group import Group
from detectors.history import HISTORY
from detectors.lifecycle import blocks_since
from detectors.reports import ScopeKey
from detectors.scope import Scope
from detectors.shelf import Pending
from schemas.events import Kind

REST = "=*"  # what the share of all rare categories is called
_LOST = 1e-6  # standard deviations
OPEN, SUSPECTED, QUIET = "open", "suspected", "quiet"  # how a signal stands


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """What is normal for a signal: in its own unit, a share's as a share."""

    rows: int  # that taught it
    learned: bool  # whether these are enough
    mean: float
    spread: float | None  # the standard deviation; a share has none of its own
    lowest: float | None
    highest: float | None
    shares: dict[str, float]  # of each category, where it is one of a feature's
    name: str
    digest: str  # of its content, where it was recorded
    is_share: bool


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """How another signal of the same monitor stands."""

    signal: str
    kind: Kind
    stands: str
    effect: float | None  # of the last blocks of rows, from the baseline: in standard deviations, or of a share
    is_share: bool
    rows: int  # that this is of
    of_threshold: float | None  # the statistic of the detector that keeps to the budget, as a part of its threshold


class Glance(NamedTuple):
    """``value`` is that of the row since the last glance, as the detectors are given it but for a clip."""

    rows: int  # there have been, ever
    value: float | None
    statistic: float | None
    threshold: float | None


_NOTHING = Glance(0, None, None, None)


class Sight:
    """One signal of one monitor, looked at again and again as records come.

    ``any_version``: where there is no monitor of this version, it is that of the one that was asked last.
    """

    def __init__(
        self,
        engine: Engine,
        config: ModelConfig,
        key: ScopeKey,
        signal: str,
        detector: str,
        *,
        any_version: bool = False,
    ) -> None:
        self._any_version = any_version
        self._engine, self._config, self._key, self._signal, self._detector = engine, config, key, signal, detector
        self._at_hand = 0.0, 0
        self._rows = 0

    @property
    def version(self) -> str | None:
        scope = self._scope()
        return scope.key.version if scope is not None else self._key.version

    def glance(self) -> Glance:
        """Of at most a row since the last one, to know that row's value."""
        place = self._place()
        if place is None:
            return _NOTHING
        group, index = place
        rows, ready = group.baseline.rows, group.baseline.ready(index)
        now = group.baseline.at_hand(index)
        total, n = now
        if rows % BLOCK == 0 and rows != self._rows:  # it has been handed on
            last = group.seen(index, 1)
            total, n = (float(last.centres[0] * last.counts[0]), int(last.counts[0])) if len(last.counts) else (0.0, 0)
        one = rows - self._rows == 1 and n - self._at_hand[1] == 1 and ready
        value = _in_own_unit(group, index, total - self._at_hand[0]) if one else None
        self._at_hand, self._rows = now, rows
        statistic, threshold = self._statistic(group, index, self._detector)
        return Glance(rows, value, statistic, threshold)

    def baseline(self) -> Baseline | None:
        """``None`` before anything of the signal has been seen."""
        place, scope = self._place(), self._scope()
        if place is None or scope is None:
            return None
        group, index = place
        known, column = group.baseline, group.columns[index]
        low, high = known.range(index)
        scale = float(known.scale[index])
        origin = scope.reports.origin
        return Baseline(
            rows=int(known.n[index]),
            learned=group.ready(index),
            mean=float(known.mean[index]),
            spread=None if group.rate or not math.isfinite(scale) else scale * known.spread(index),
            lowest=low if math.isfinite(low) else None,
            highest=high if math.isfinite(high) else None,
            shares=dict(_categories(group, index)) if column.given_share is not None else {},
            name=origin.name,
            digest=origin.digest,
            is_share=group.rate,
        )

    def beside(self, since: int) -> list[Beside]:
        """The monitor's other signals, of which it is known what is normal; ``since``: a row of this one's."""
        place, scope = self._place(), self._scope()
        if place is None or scope is None:
            return []
        own, index = place
        found = []
        for group in scope.explainer.watched.groups:
            fresh = blocks_since(since, own.baseline.rows - 1) if group.baseline.rows == own.baseline.rows else HISTORY
            for other, column in enumerate(group.columns):
                if (group is own and other == index) or not group.ready(other):
                    continue
                recent = group.recent(other, min(max(fresh, 1), HISTORY))
                statistic, threshold = self._statistic(group, other, WATCH)
                found.append(
                    Beside(
                        signal=column.signal,
                        kind=column.kind,
                        stands=_stands(scope, column.signal),
                        effect=recent.effect if recent.rows else None,
                        is_share=group.rate,
                        rows=recent.rows,
                        of_threshold=statistic / threshold if statistic is not None and threshold else None,
                    )
                )
        return found

    def judged(self, name: str) -> Pending | None:
        """The prediction of this id, as long as it is remembered."""
        monitor = self._engine.monitor(self._key.model)
        entry = monitor.joins[self._key.challenger].shelf.fetched(name) if monitor is not None else None
        return entry if isinstance(entry, Pending) else None

    def _scope(self) -> Scope | None:
        """Of those that watch: what a deployment or a new baseline has replaced knows of its signals no more."""
        monitor = self._engine.monitor(self._key.model)
        scopes = list(monitor.scopes) if monitor is not None else []
        found = next((scope for scope in scopes if scope.key == self._key), None)
        if found is not None or not self._any_version:
            return found
        own = (self._key.segment, self._key.challenger)
        others = (scope for scope in scopes if (scope.key.segment, scope.key.challenger) == own)
        return max(others, key=lambda scope: (scope.seen_at, scope.number), default=None)

    def _place(self) -> tuple[Group, int] | None:
        scope = self._scope()
        for group in scope.explainer.watched.groups if scope is not None else ():
            for index, column in enumerate(group.columns):
                if column.signal == self._signal:
                    return group, index
        return None

    def _statistic(self, group: Group, index: int, detector: str) -> tuple[float | None, float | None]:
        """As evidence has it, in the unit that is told there."""
        standing = next((stands for name, stands in group.standings(index) if name == detector), None)
        if standing is None:
            return None, None
        value, threshold = standing
        if not math.isfinite(threshold):
            return value, None
        if detector != WATCH:
            return value, threshold
        unit = LIMIT_FACTORS[group.rate]
        return in_unit(self._config, value / unit), in_unit(self._config, threshold / unit)


def _in_own_unit(group: Group, index: int, standardised: float) -> float:
    """It comes of differences of sums: what these lose on the way is not shown."""
    scale = float(group.baseline.scale[index])
    value = float(group.baseline.mean[index]) + standardised * scale
    if group.rate:
        return float(round(value))
    return value if abs(value) > _LOST * scale else 0.0


def _stands(scope: Scope, signal: str) -> str:
    if signal in scope.alarms:
        return OPEN
    return SUSPECTED if signal in scope.explainer.lifecycle.suspects else QUIET


def _categories(group: Group, index: int) -> Iterator[tuple[str, float]]:
    """Each category of the feature that a column is one of, with its share. They stand side by side, the rest last."""
    columns = group.columns
    last = next((at for at in range(index, len(columns)) if REST in columns[at].signal), index)
    feature = columns[last].signal.rpartition(REST)[0]
    first = index
    while first > 0 and columns[first - 1].signal.startswith(f"{feature}=") and REST not in columns[first - 1].signal:
        first -= 1
    for column in columns[first : last + 1]:
        if column.given_share is not None:
            yield column.signal.removeprefix(f"{feature}="), column.given_share
