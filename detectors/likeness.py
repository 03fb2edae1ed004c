"""What sort of change it is, from what came since: named where the rows leave no doubt, and not guessed otherwise.

Clipped values cannot tell a thousand times too large from twelve standard deviations off. So blocks are looked at
without a clip, and the middle half of them speaks: a few wild ones make no difference.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from detectors.baseline import BLOCK, Row
from detectors.group import Group
from detectors.wording import CONSTANT, EXACT, number

VALUES_MIN = 48  # of fewer nothing is said: of two blocks, some may be missing
CHANGED_MAX = 16  # columns that have changed together: of more, some look swapped by chance
NAMED_BLOCKS = 8  # whole blocks after which no name is looked for any more
MIDDLE = 1.2  # standard errors of the mean of the middle half, in those of a mean
CERTAIN = 4.0  # standard errors within which two means may be the same, and beyond which they differ
ALIKE = 0.2  # by how much two standard deviations may differ and be the same, as logarithms: tails make them uncertain
OUTSIDE = 0.95  # of the values, beyond all that was seen
HELD, EXACTLY = 2.0**-23, 2.0**-50  # parts of it by which a level may be off that was kept in 32 bits, and in 64
GONE = 8.0  # values that should have come: with none of them, chance is one in three thousand
NEW_SHARE, RARE = 0.05, 0.01  # how much is new, and how little there was before

# By how much a number grows where its unit is another one: from which to which. Powers of ten stand for what they are.
_FACTORS: dict[float, tuple[str, str]] = {
    60.0: ("minutes or hours", "seconds or minutes"),
    3_600.0: ("hours", "seconds"),
    24.0: ("days", "hours"),
    7.0: ("weeks", "days"),
    2.54: ("inches", "centimetres"),
    1.0 / 0.45359237: ("kilograms", "pounds"),
    1.609344: ("miles", "kilometres"),
    4.184: ("calories", "joules"),
    **{10.0**power: ("", "") for power in range(1, 7)},
}
# A small factor may be chance, so it must be known better to be named; a large one must not be taken for another one.
_SMALL, _SMALL_ERROR, _ERROR, _REACH, _SLACK = 5.0, 0.025, 0.12, 0.17, 0.005
_ALIKE_SMALL, _ALIKE_LARGE = 0.15, 0.5  # as ALIKE, beside such a factor
# value -> times value + plus
_SCALES = {
    (1.8, 32.0): ("Celsius", "Fahrenheit"),
    (1.0 / 1.8, -32.0 / 1.8): ("Fahrenheit", "Celsius"),
    (1.0, 273.15): ("Celsius", "kelvins"),
    (1.0, -273.15): ("kelvins", "Celsius"),
}


class Name(NamedTuple):
    """``word`` for programs, ``words`` for people."""

    word: str
    words: str
    times: float | None = None
    mean: float | None = None  # of the values since, as they came, where it is known


class Side(NamedTuple):
    """A mean and a standard deviation in the unit of the values, and one standard error of the mean."""

    mean: float
    sd: float
    error: float

    def like(self, other: "Side") -> bool:
        """Whether both may be of the same values."""
        near = abs(self.mean - other.mean) <= CERTAIN * math.hypot(self.error, other.error)
        return near and min(self.sd, other.sd) > 0.0 and abs(math.log(self.sd) - math.log(other.sd)) <= ALIKE

    def turned(self, times: float, plus: float = 0.0) -> "Side":
        return Side(self.mean * times + plus, self.sd * abs(times), self.error * abs(times))


class Numbers(NamedTuple):
    """One numeric column before and since."""

    before: Side
    since: Side
    constant: bool
    outside: bool
    values: int


def of_numbers(group: Group, column: int, blocks: int) -> Numbers | None:
    """``None`` where there are too few values, or the baseline has no spread to tell anything by."""
    baseline = group.baseline
    if not baseline.ready(column) or baseline.spread(column) == 0.0:
        return None
    seen = group.seen(column, blocks)
    values = int(seen.counts.sum())
    if values < VALUES_MIN:
        return None
    mean, scale, learned = float(baseline.mean[column]), float(baseline.scale[column]), float(baseline.n[column])
    centre, width = _middle(seen.centres), _middle(seen.widths) * (1.0 + 0.75 / BLOCK)  # of 32 values it falls short
    constant = bool((seen.widths == 0.0).all() and np.ptp(seen.centres) == 0.0)
    level = mean + scale * centre
    if constant:
        level = _plainest(level, HELD * abs(scale * centre) + EXACTLY * abs(mean))
    return Numbers(
        Side(mean, scale, scale / math.sqrt(learned) if learned else 0.0),
        Side(level, scale * width, scale * width * MIDDLE / math.sqrt(values)),
        constant,
        bool(seen.outside.sum() >= OUTSIDE * values),
        values,
    )


def _plainest(level: float, error: float) -> float:
    """What people would write of all that it may be: of a constant it is most likely that."""
    tried = (round(level, digits) + 0.0 for digits in range(-15, 16))  # 0.0 and not -0.0
    return next((plain for plain in tried if abs(plain - level) <= error), level)


def _middle(values: Row) -> float:
    """The mean of the middle half."""
    ordered = np.sort(values)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def name_of_numbers(own: Numbers, others: Iterable[tuple[str, Numbers]], *, last: bool) -> Name | None:
    """``others`` have changed at about the same time. ``last``: no better name is to be waited for."""
    name = _name_of_numbers(own, others, last)
    return name._replace(mean=own.since.mean) if name is not None else None


def _name_of_numbers(own: Numbers, others: Iterable[tuple[str, Numbers]], last: bool) -> Name | None:
    if own.constant:
        return Name(CONSTANT, f"it is always {number(own.since.mean, EXACT)}")
    for signal, other in others:
        if _swapped(own, other):
            plain = signal.removeprefix("feature:")
            return Name(f"swapped with {plain}", f"it looks swapped with {plain}")
    name = _other_unit(own.before, own.since)
    if name is None and last and own.outside:
        return Name("out of range", "nearly all of it lies outside of what was seen before")
    return name


def _swapped(own: Numbers, other: Numbers) -> bool:
    apart = not own.before.like(other.before)
    return apart and own.since.like(other.before) and other.since.like(own.before)


def _other_unit(before: Side, since: Side) -> Name | None:
    if since.sd <= 0.0 or abs(before.mean) <= 2.0 * CERTAIN * before.error:
        return None  # about zero, any factor gives zero
    for (times, plus), units in _SCALES.items():
        other = before.turned(times, plus)
        if CERTAIN * math.hypot(other.error, since.error) < 0.1 * abs(plus) and other.like(since):
            return Name("unit change", f"it looks like another unit{_from_to(*units)}", times)
    if before.turned(-1.0).like(since) and abs(before.mean) > CERTAIN * math.hypot(before.error, since.error):
        return Name("sign flipped", "its sign looks flipped", -1.0)
    return _factor(before, since) if since.mean * before.mean > 0.0 else None


def _factor(before: Side, since: Side) -> Name | None:
    """The mean tells the factor where values differ little for their size, and their spread bears it out."""
    times = math.log(abs(since.mean)) - math.log(abs(before.mean))
    spread = math.log(since.sd) - math.log(before.sd)
    error = math.hypot(before.error / before.mean, since.error / since.mean)
    for factor, (small, large) in _FACTORS.items():
        if _is_factor(math.log(factor), times, spread, error):
            return Name(
                "unit change",
                f"it looks like another unit, {number(factor)} times as much{_from_to(small, large)}",
                factor,
            )
        if _is_factor(-math.log(factor), times, spread, error):
            part = f"it looks like another unit, divided by {number(factor)}{_from_to(large, small)}"
            return Name("unit change", part, 1.0 / factor)
    return None


def _is_factor(known: float, times: float, spread: float, error: float) -> bool:
    """All as logarithms, the error as a part."""
    small = abs(known) < math.log(_SMALL)
    sure = error <= (_SMALL_ERROR if small else _ERROR)
    near = abs(times - known) <= min(2.0 * error + _SLACK, _REACH)
    return sure and near and abs(spread - known) <= (_ALIKE_SMALL if small else _ALIKE_LARGE)


def _from_to(one: str, other: str) -> str:
    return f", as from {one} to {other}" if one else ""


class Share(NamedTuple):
    """How many of the values are a category, or whatever a column of bits says."""

    before: float
    ones: int
    values: int
    learned: float

    @property
    def since(self) -> float:
        return self.ones / self.values

    def differs(self, by: float = 0.0) -> bool:
        """Whether it is certain that its change is not ``by`` so much."""
        share = min(max(self.before + by, 0.5 / self.values), 1.0 - 0.5 / self.values)
        doubt = math.sqrt(share * (1.0 - share) * (1.0 / self.values + 1.0 / max(self.learned, 1.0)))
        return abs(self.since - self.before - by) > CERTAIN * doubt

    @property
    def gone(self) -> bool:
        return self.ones == 0 and self.before * self.values >= GONE


def of_share(group: Group, column: int, blocks: int, learned: float | None = None) -> Share | None:
    """``learned``: of how many values the share of a category was, which is given to its column."""
    baseline, seen = group.baseline, group.seen(column, blocks)
    values = int(seen.counts.sum())
    if not baseline.ready(column) or values < VALUES_MIN:
        return None
    before, scale = float(baseline.mean[column]), float(baseline.scale[column])
    ones = round(before * values + scale * float((seen.centres * seen.counts).sum()))
    return Share(before, min(max(ones, 0), values), values, float(baseline.n[column]) if learned is None else learned)


def name_of_bit(own: Share) -> Name | None:
    """Of what is true or false."""
    if own.gone:
        return Name(CONSTANT, "it is always false", mean=0.0)
    if own._replace(before=1.0 - own.before, ones=own.values - own.ones).gone:
        return Name(CONSTANT, "it is always true", mean=1.0)
    return None


def name_of_missing(own: Share) -> Name | None:
    gone = own.before <= 0.5 and own.ones == own.values
    return Name("all missing", "all of it is missing", mean=1.0) if gone else None


def name_of_category(category: str | None, shares: Mapping[str, Share], rest: Share) -> Name | None:
    """``None`` is the rest, of those that were rare or never seen."""
    gone = [each for each, share in shares.items() if share.gone]
    if gone and (category is None or category in gone):
        lost = sum(shares[each].before for each in gone)
        others = any(share.differs() for each, share in shares.items() if each not in gone)
        if not others and not rest.differs(lost):
            return Name("renamed", f"{' and '.join(gone)} looks renamed: as much of what is new has come as is gone")
    if category in gone:
        return Name("category vanished", "there is none of it any more", mean=0.0)
    if category is None and not gone and rest.before <= RARE and rest.since >= NEW_SHARE:
        return Name("new category", "there is a category that was rare or never seen before")
    return None
