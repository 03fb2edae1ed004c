"""Whether a new version has cured what was wrong with the one before: its loss against what it replaced, and before.

Pure: losses are added one by one in stream order, and at 64, 128, … 2,048 labels of the new version it is looked at::

                 usual            half-way             what was replaced
    loss  ───────────┼───────────────┼───────────────────────┼────────────►
           cured: surely below it  ◄─┤├─► not cured: surely above it   ├─► worse: surely above that

Traffic changes as well as models. So losses are compared segment by segment, weighted as the new version's traffic has
them; and where the old version answers the same predictions as a challenger, pair by pair.

The labels that come first are of another kind than those that take long: a fraud is reported, an honest payment is not.
So predictions of the new version count a cohort at a time, once nearly all of its labels have had time to come.
"""

import math
from collections.abc import Iterator, Sequence
from enum import StrEnum
from statistics import NormalDist
from typing import NamedTuple

import msgspec

from detectors.baseline import CLIP, mostly_clipped

LOOKS = (64, 128, 256, 512, 1_024, 2_048)  # labels of the new version
# Of each wrong answer, however often it is looked: that it is worse or cured where nothing has changed, and that it is
# not cured where all is as before. Half of it for the last look, the other half shared out among those before.
WRONG = 0.01
CERTAIN = NormalDist().inv_cdf(1.0 - WRONG / 2 / (len(LOOKS) - 1))  # standard errors
CERTAIN_AT_LAST = NormalDist().inv_cdf(1.0 - WRONG / 2)
OLD_MIN = 32  # losses of the version before; of fewer there is nothing to compare with
STRATUM_MIN = 8  # losses of the version before in a segment; smaller ones are compared as one
STRATA_MAX = 50
BACK = 0.25  # what may be left of the harm where that is more than the floor
TWO_SIDED_95 = 1.96  # standard errors: the interval in which a mean lies 95 times in 100
COHORTS = 4  # that begin in the time that labels are waited for
REST = ""  # the segment of what has none


class Answer(StrEnum):
    CURED = "cured"
    NOT_CURED = "not_cured"
    WORSE = "worse"
    NOT_SHOWN = "not_shown"


class Unit(msgspec.Struct, array_like=True, frozen=True):
    """How a loss is measured: a share or a number, its usual spread, and the smallest change that is worth a page."""

    rate: bool
    spread: float
    floor: float
    cut: float  # a loss above it counts as this


class Moments(msgspec.Struct, array_like=True):
    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, loss: float) -> None:
        self.n += 1
        self.total += loss
        self.squares += loss * loss

    def take(self, other: "Moments") -> None:
        self.n += other.n
        self.total += other.total
        self.squares += other.squares

    @classmethod
    def of(cls, n: int, mean: float, variance: float) -> "Moments":
        return cls(n, n * mean, n * (mean * mean + variance))

    @property
    def mean(self) -> float:
        return self.total / self.n if self.n else 0.0

    def doubt(self, unit: Unit) -> float:
        """The variance of the mean. A share that was never seen is not known to be nothing."""
        if not self.n:
            return 0.0
        if unit.rate:
            share = (self.total + 1.0) / (self.n + 2.0)
            return share * (1.0 - share) / self.n
        return _variance(self.n, self.mean, self.squares, unit) / self.n


class Pairs(msgspec.Struct, array_like=True):
    """Losses of both versions on the same predictions."""

    n: int = 0
    new: float = 0.0
    old: float = 0.0
    new_squares: float = 0.0
    old_squares: float = 0.0
    products: float = 0.0

    def add(self, new: float, old: float) -> None:
        self.n += 1
        self.new += new
        self.old += old
        self.new_squares += new * new
        self.old_squares += old * old
        self.products += new * old

    def take(self, other: "Pairs") -> None:
        self.n += other.n
        self.new += other.new
        self.old += other.old
        self.new_squares += other.new_squares
        self.old_squares += other.old_squares
        self.products += other.products

    def replaced(self, unit: Unit) -> "Estimate":
        """Of the old version's loss."""
        mean = self.old / self.n
        return Estimate(mean, _variance(self.n, mean, self.old_squares, unit) / self.n)

    def difference(self, part: float, unit: Unit) -> "Estimate":
        """Of the new version's loss less this part of the old one's."""
        mean = (self.new - part * self.old) / self.n
        squares = self.new_squares - 2.0 * part * self.products + part * part * self.old_squares
        return Estimate(mean, _variance(self.n, mean, squares, unit) / self.n)


class Estimate(NamedTuple):
    mean: float
    variance: float

    @property
    def error(self) -> float:
        return math.sqrt(self.variance)

    def below(self, certain: float) -> bool:
        """Below nothing by more than so many standard errors."""
        return self.mean + certain * self.error < 0.0

    def above(self, certain: float) -> bool:
        return self.mean - certain * self.error > 0.0


def around(middle: float, reach: float, *, rate: bool, lowest: float = -1.0) -> tuple[float, float]:
    """Between which values a mean or a change of one lies. No share is above 1, and none changes by more than that."""
    low, high = middle - reach, middle + reach
    return (max(low, lowest), min(high, 1.0)) if rate else (low, high)


class Level(NamedTuple):
    """A mean loss, between which values it lies, and how many labels say so.

    ``at_least``: so many losses lie where they are cut that it is larger than is seen.
    """

    mean: float
    low: float
    high: float
    labels: int
    at_least: bool = False

    @classmethod
    def of(cls, estimate: Estimate, labels: int, unit: Unit, *, at_least: bool = False) -> "Level":
        low, high = around(estimate.mean, TWO_SIDED_95 * estimate.error, rate=unit.rate, lowest=0.0)
        return cls(estimate.mean, low, high, labels, at_least)


class Shown(NamedTuple):
    answer: Answer | None  # none yet
    before: Level
    during: Level
    now: Level
    change: Estimate  # from what was replaced to the new version
    certain: float  # standard errors that were asked for
    paired: bool
    segments: int  # by how many it was compared; 1 where by none


class _Sides(NamedTuple):
    """On the same kind of traffic. ``half``: the new version's loss less half of the old one's."""

    usual: Estimate
    old: Estimate
    new: Estimate
    change: Estimate
    half: Estimate
    labels: tuple[int, int]  # of the old one and the new one
    paired: bool
    segments: int


class Cohort(msgspec.Struct, array_like=True):
    """Predictions of the new version from some time on, as far as their labels have come."""

    losses: dict[str, Moments] = {}
    pairs: Pairs = msgspec.field(default_factory=Pairs)


class Trial(msgspec.Struct, array_like=True):
    """What is known of both versions, by segment. ``usual`` has the whole as that of no segment."""

    unit: Unit
    usual: dict[str, Moments]
    old: dict[str, Moments]
    wait_ms: int = 0  # for the labels of a cohort
    begun: int = 0  # when the new version was deployed
    new: dict[str, Moments] = {}
    pairs: Pairs = msgspec.field(default_factory=Pairs)
    look: int = LOOKS[0]  # at so many labels of the new version
    cohorts: dict[int, Cohort] = {}  # that wait, by their number

    def begin(self, now: int) -> None:
        """Another version is the new one."""
        self.begun, self.new, self.pairs, self.look, self.cohorts = now, {}, Pairs(), LOOKS[0], {}

    @property
    def labels(self) -> int:
        return sum(one.n for one in self.new.values())

    def add_old(self, segment: str, loss: float) -> None:
        _place(self.old, segment).add(min(loss, self.unit.cut))

    def add_new(self, segment: str, loss: float, made: int, now: int, old: float | None = None) -> None:
        """Of a prediction made then; ``old``: what the replaced version lost on the same one, where it answered it."""
        losses, pairs = self._cohort_of(made, now)
        loss = min(loss, self.unit.cut)
        _place(losses, segment).add(loss)
        if old is not None:
            pairs.add(loss, min(old, self.unit.cut))
        self.ripen(now)

    def ripen(self, now: int) -> None:
        """Cohorts that have had time by now count from here on."""
        for number in sorted(self.cohorts):
            if self._end_of(number) <= now:
                cohort = self.cohorts.pop(number)
                self.pairs.take(cohort.pairs)
                for name, part in sorted(cohort.losses.items()):
                    _place(self.new, name).take(part)

    def _cohort_of(self, made: int, now: int) -> tuple[dict[str, Moments], Pairs]:
        """Where it counts: with those that have had time, or with its own."""
        number = (made - self.begun) // self._step_ms
        if self._end_of(number) <= now:
            return self.new, self.pairs
        cohort = self.cohorts.setdefault(number, Cohort())
        return cohort.losses, cohort.pairs

    @property
    def _step_ms(self) -> int:
        return max(1, self.wait_ms // COHORTS)

    def _end_of(self, number: int) -> int:
        """When the labels of a cohort have had time to come."""
        return self.begun + (number + 1) * self._step_ms + self.wait_ms if self.wait_ms else self.begun

    @property
    def due(self) -> bool:
        """Whether there are enough labels to look again."""
        enough = self.pairs.n >= LOOKS[0] or sum(one.n for one in self.old.values()) >= OLD_MIN
        return enough and self.labels >= self.look

    def judge(self) -> Shown:
        """Looks, and says when to look next. The last look always has an answer."""
        sides, labels = self._sides(), self.labels
        last = labels >= LOOKS[-1]
        answer = _at_last(sides, self.unit) if last else _answer(sides, self.unit)
        self.look = next((look for look in LOOKS if look > labels), LOOKS[-1])
        return self._shown(sides, answer, CERTAIN_AT_LAST if last else CERTAIN)

    def shown(self) -> Shown:
        """What there is by now, without an answer."""
        return self._shown(self._sides(), None)

    def _shown(self, sides: _Sides, answer: Answer | None, certain: float = CERTAIN) -> Shown:
        unit, pairs, old, new = self.unit, self.pairs, _all(self.old), _all(self.new)
        if sides.paired:
            old = Moments(pairs.n, pairs.old, pairs.old_squares)
            new = Moments(pairs.n, pairs.new, pairs.new_squares)
        before = Level.of(sides.usual, self.usual[REST].n, unit)
        during = Level.of(sides.old, sides.labels[0], unit, at_least=_is_cut(old, unit))
        now = Level.of(sides.new, sides.labels[1], unit, at_least=_is_cut(new, unit))
        return Shown(answer, before, during, now, sides.change, certain, sides.paired, sides.segments)

    def _sides(self) -> _Sides:
        strata = list(_compared(self.usual, self.old, self.new))
        if not strata or 2 * sum(new.n for _, _, new in strata) < self.labels:  # few of its segments were there before
            strata = [(self.usual[REST], _all(self.old), _all(self.new))]
        replaced, labels = (sum(sides[one].n for sides in strata) for one in (1, 2))
        shares = [new.n / labels if labels else 1.0 for _, _, new in strata]
        usual, old, new = (_weighted(shares, side, self.unit) for side in zip(*strata, strict=True))
        pairs, paired = self.pairs, self.pairs.n >= LOOKS[0] and 2 * self.pairs.n >= self.labels
        if paired:
            new, old = pairs.difference(0.0, self.unit), pairs.replaced(self.unit)
            change, half = pairs.difference(1.0, self.unit), pairs.difference(0.5, self.unit)
            return _Sides(usual, old, new, change, half, (pairs.n, pairs.n), paired, len(strata))
        change = Estimate(new.mean - old.mean, new.variance + old.variance)
        half = Estimate(new.mean - old.mean / 2.0, new.variance + old.variance / 4.0)
        return _Sides(usual, old, new, change, half, (replaced, labels), paired, len(strata))


def _answer(sides: _Sides, unit: Unit) -> Answer | None:
    """While labels go on coming."""
    if _worse(sides, unit, CERTAIN):
        return Answer.WORSE
    over = _over(sides, unit)
    if over.below(CERTAIN) and _is_back(sides, unit):
        return Answer.CURED
    may_be_worse = sides.change.mean >= unit.floor / 2.0  # and then more labels say so
    return Answer.NOT_CURED if over.above(CERTAIN) and not may_be_worse else None


def _at_last(sides: _Sides, unit: Unit) -> Answer:
    if _worse(sides, unit, CERTAIN_AT_LAST):
        return Answer.WORSE
    if not _is_back(sides, unit):
        return Answer.NOT_CURED
    better = _over(sides, unit).below(CERTAIN_AT_LAST) or sides.change.below(CERTAIN_AT_LAST)
    return Answer.CURED if better else Answer.NOT_SHOWN


def _worse(sides: _Sides, unit: Unit, certain: float) -> bool:
    return sides.change.above(certain) and sides.change.mean >= unit.floor / 2.0


def _over(sides: _Sides, unit: Unit) -> Estimate:
    """How far the new version is above half-way from what was usual to what was replaced."""
    usual = sides.usual
    if sides.old.mean - usual.mean >= unit.floor:
        return Estimate(sides.half.mean - usual.mean / 2.0, sides.half.variance + usual.variance / 4.0)
    # On the same kind of traffic the version before was hardly worse than usual: then the new one must not be either.
    return Estimate(sides.new.mean - usual.mean - unit.floor / 2.0, sides.new.variance + usual.variance)


def _is_back(sides: _Sides, unit: Unit) -> bool:
    harm = sides.old.mean - sides.usual.mean
    return sides.new.mean <= sides.usual.mean + max(unit.floor, BACK * harm)


def _place(side: dict[str, Moments], segment: str) -> Moments:
    if segment not in side and len(side) >= STRATA_MAX:
        segment = REST
    return side.setdefault(segment, Moments())


def _compared(
    usual: dict[str, Moments], old: dict[str, Moments], new: dict[str, Moments]
) -> Iterator[tuple[Moments, Moments, Moments]]:
    """Segment by segment; those of which little is known are one, and what only one version has met is left out."""
    rest = Moments(), Moments(), Moments()
    for segment in sorted({*old, *new} - {REST}):
        sides = (usual.get(segment, Moments()), old.get(segment, Moments()), new.get(segment, Moments()))
        if sides[1].n >= STRATUM_MIN and sides[2].n and sides[0].n:
            yield sides
        else:
            for whole, part in zip(rest, sides, strict=True):
                whole.take(part)
    rest[1].take(old.get(REST, Moments()))
    rest[2].take(new.get(REST, Moments()))
    if rest[1].n >= STRATUM_MIN and rest[2].n:
        yield (rest[0] if rest[0].n else usual[REST]), rest[1], rest[2]


def _all(side: dict[str, Moments]) -> Moments:
    whole = Moments()
    for part in side.values():
        whole.take(part)
    return whole


def _is_cut(part: Moments, unit: Unit) -> bool:
    """Whether many of these lie at the cut."""
    if unit.rate or not part.n:
        return False
    level = part.mean - (unit.cut - CLIP * unit.spread)
    spread = math.sqrt(max(0.0, part.squares / part.n - part.mean * part.mean))
    nearly = (1.0 + 1e-9) / unit.spread  # the mean of what is cut comes out a little beside the cut
    return mostly_clipped(nearly * level, nearly * spread)


def _weighted(shares: Sequence[float], parts: Sequence[Moments], unit: Unit) -> Estimate:
    mean = sum(share * part.mean for share, part in zip(shares, parts, strict=True))
    return Estimate(mean, sum(share * share * part.doubt(unit) for share, part in zip(shares, parts, strict=True)))


def _variance(n: int, mean: float, squares: float, unit: Unit) -> float:
    """Never nothing: of values that were all the same it is not known that they always are."""
    least = 1.0 / (n + 2.0) if unit.rate else 0.01 * unit.spread * unit.spread  # a power would raise where it is inf
    return max((squares - n * mean * mean) / max(1, n - 1), least)
