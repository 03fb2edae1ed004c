"""What may have caused an alarm: what else changed at about the same time, as far as this model's monitors know.

Only what is known at that record counts, so a cause that shows later is told later. Nothing here decides anything.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from detectors import together
from detectors.baseline import BLOCK
from detectors.encoding import Column
from detectors.lifecycle import Alarm, Lifecycle, Suspect
from detectors.rise import CERTAIN, Rise
from detectors.wording import lasting
from schemas.events import ChangePoint, Evidence, JsonScalar, Kind
from schemas.times import UNIT_MS

NOT_KNOWN = "not known yet"  # whether there is harm
TOLD = 3  # causes, the likeliest first
NEAR_MS = UNIT_MS["m"]  # what lies no further apart has changed at the same time
BEFORE_MS = UNIT_MS["d"]  # how long before a change a deployment may still be its cause
# How long before it another change may: from the latest time at which that one may have begun to the earliest of this
# one, and however uncertain these are, so long by the likeliest. What changed in the morning and what goes wrong in the
# evening are mostly two things.
INPUT_BEFORE_MS, INPUT_FARTHEST_MS = UNIT_MS["h"], 2 * UNIT_MS["h"]
OF_INPUTS = (Kind.FEATURE_DRIFT, Kind.DATA_QUALITY)
EXPLAINED = (Kind.CONCEPT_DRIFT, Kind.PREDICTION_DRIFT, Kind.LABEL_DRIFT, Kind.LATENCY)
HARMLESS = (*OF_INPUTS, Kind.PREDICTION_DRIFT)  # as long as labels do not say otherwise
PARTS_MAX = 200  # segments looked at for one alarm
LABELS_MIN = 2 * BLOCK  # of fewer nothing is said
UNCERTAIN = 2.0  # standard errors within which there is no rise to be seen
MIX_MIN = 0.1  # of all: a smaller change of a segment's share explains little
_SIZE_MAX = 10.0  # an effect of so many units weighs no more than any larger one


class Turn(NamedTuple):
    """When which version was deployed last, or gone back to."""

    at: int
    version: str | None
    back: bool


class Basis(msgspec.Struct, array_like=True, frozen=True):
    """What one monitor holds its values against: learned from its own stream, or ``given`` for these signals."""

    began: int | None = None  # when its first prediction came
    given: Sequence[str] = ()  # those that a recorded baseline knows, of the signals of which causes are told

    def older(self, turn: Turn, signal: str) -> bool:
        """Whether it says what was normal before the turn: a version that taught it has not changed since."""
        return signal in self.given or (self.began is not None and self.began < turn.at)


class Cause(NamedTuple):
    weight: float
    text: str


def explained(column: Column) -> bool:
    """Whether causes are looked for: inputs are what other alarms come from, and come from outside."""
    return column.kind in EXPLAINED or column.signal == together.SIGNAL


class Dated(NamedTuple):
    """When a change began: at the earliest, most likely, at the latest."""

    low: int
    at: int
    high: int

    @classmethod
    def of(cls, change: ChangePoint, evidence: Evidence) -> "Dated":
        low, high = evidence.detail.get("change_point_low"), evidence.detail.get("change_point_high")
        earliest = low if isinstance(low, int) else change.ts
        latest = high if isinstance(high, int) else change.ts
        return cls(min(change.ts, earliest), change.ts, max(change.ts, latest))

    @property
    def likeliest(self) -> "Dated":
        return Dated(self.at, self.at, self.at)

    def may_follow(self, other: "Dated") -> bool:
        """Whether it may have come of another one: by its dates not before it, and not long after."""
        near = other.low - self.high <= NEAR_MS and self.low - other.high <= INPUT_BEFORE_MS
        return near and abs(self.at - other.at) <= INPUT_FARTHEST_MS


def of_inputs(column: Column, lifecycle: Lifecycle, since: Dated, now: int) -> list[Cause]:
    """Features whose alarm or suspicion may have begun no later than what is to be explained, and not long before."""
    found = []
    span = min(max(now - since.at, NEAR_MS), INPUT_BEFORE_MS)
    known: list[tuple[str, Alarm | Suspect]] = [*lifecycle.alarms.items(), *lifecycle.suspects.items()]
    for signal, other in known:
        began = other.evidence.change_point
        if signal in (column.signal, together.SIGNAL) or not _of_input(signal) or began is None:
            continue
        suspected, dated = isinstance(other, Suspect), Dated.of(began, other.evidence)
        # What is in doubt itself gets no benefit of the doubt.
        if not (since.likeliest.may_follow(dated.likeliest) if suspected else since.may_follow(dated)):
            continue
        apart = since.at - began.ts
        weight = _size(signal, other.evidence) / (1.0 + abs(apart) / span)
        looks = other.evidence.detail.get("looks_like")
        if looks is not None or signal.startswith("missing:"):
            weight *= 2.0  # broken is likelier a cause than different
        if suspected:
            weight /= 4.0
        sort = f" ({looks})" if looks is not None else ""
        verb = "seems to have changed" if suspected else "changed"
        found.append(Cause(weight, f"{_plain(signal)} {verb}{sort} {_when(apart)}"))
    return found


def of_turn(turn: Turn, since: int) -> list[Cause]:
    if not -NEAR_MS <= since - turn.at <= BEFORE_MS:
        return []
    apart = since - turn.at
    version = f"version {turn.version}" if turn.version is not None else "another version"
    what = f"the model was rolled back to {version}" if turn.back else f"{version} was deployed"
    return [Cause(_SIZE_MAX / (1.0 + abs(apart) / (0.05 * BEFORE_MS)), f"{what} {_when(apart)}")]


class Part(NamedTuple):
    """The losses of one segment: how many before the change and since, what was usual, and how much higher it is."""

    name: str
    before: int
    since: int
    usual: float
    rise: Rise


def of_segments(parts: Sequence[Part], floor: float, *, rate: bool) -> list[Cause]:
    """A loss that rises within one segment alone; or in none of them, where the mix of segments is another one."""
    known = [part for part in parts if part.rise.values >= LABELS_MIN]
    up = [part for part in known if part.rise.certain(floor / 2.0)]
    still = [part for part in known if abs(part.rise.effect) <= max(floor / 2.0, UNCERTAIN * part.rise.error)]
    if len(known) < 2 or len(up) + len(still) < len(known):
        return []
    if len(up) == 1:
        text = f"change within {up[0].name} alone: loss up by {_much(up[0].rise, rate)}, elsewhere as before"
        return [Cause(_SIZE_MAX, text)]
    return _mix(parts) if not up else []


def _mix(parts: Sequence[Part]) -> list[Cause]:
    """Segments by one name at a time: each of these is the whole model."""
    causes = []
    for name in sorted({part.name.partition("=")[0] for part in parts}):
        own = [part for part in parts if part.name.partition("=")[0] == name and not math.isnan(part.usual)]
        before, since = sum(part.before for part in own), sum(part.since for part in own)
        if not before or not since:
            continue
        usual = sum(part.usual * part.before for part in own) / before
        more = max(own, key=lambda part: (part.since / since - part.before / before) * (part.usual - usual))
        was, now = more.before / before, more.since / since
        if abs(now - was) >= MIX_MIN and (now > was) is (more.usual > usual):
            harder = "harder" if more.usual > usual else "easier"
            shift = f"mix shift: {more.name}, which is {harder}, went from {was:.0%} to {now:.0%} of labels"
            causes.append(Cause(_SIZE_MAX, f"{shift}; within segments the loss is as before"))
    return causes


def harm(rise: Rise, floor: float, *, rate: bool) -> str:
    """Whether what changed has made the model worse, as far as labels tell."""
    if rise.values < LABELS_MIN:
        return NOT_KNOWN
    if rise.certain(floor / 2.0):
        return f"loss up by {_much(rise, rate)}"
    # Of few labels, or beside a baseline of few, a harm would not have been seen either.
    return f"none seen in {rise.values} labels since" if floor >= CERTAIN * rise.error else NOT_KNOWN


def _much(rise: Rise, rate: bool) -> str:
    least = "at least " if rise.at_least else ""
    return f"{rise.effect:.1%}" if rate else f"{least}{rise.effect:.1f} standard deviations"


def told(causes: Iterable[Cause], otherwise: str | None) -> dict[str, JsonScalar]:
    """The likeliest, best first; ``otherwise`` where there are none."""
    best = sorted(causes, key=lambda cause: (-cause.weight, cause.text))[:TOLD]
    texts = [cause.text for cause in best] or ([otherwise] if otherwise is not None else [])
    return {f"cause_{number}": text for number, text in enumerate(texts, 1)}


def without(detail: dict[str, JsonScalar]) -> dict[str, JsonScalar]:
    return {name: what for name, what in detail.items() if not name.startswith("cause_")}


def quiet(watched: Iterable[str], lifecycle: Lifecycle) -> bool:
    """Whether features are watched, and nothing is seen in any."""
    return any(map(_of_input, watched)) and not any(map(_of_input, (*lifecycle.alarms, *lifecycle.suspects)))


def _of_input(signal: str) -> bool:
    return signal.startswith(("feature:", "missing:")) or signal == together.SIGNAL


def _size(signal: str, evidence: Evidence) -> float:
    """In standard deviations; a tenth is as much of a share."""
    rate = "=" in signal or signal.startswith("missing:")
    return min(max(abs(evidence.effect or 0.0) * (10.0 if rate else 1.0), 0.1), _SIZE_MAX)


def _plain(signal: str) -> str:
    if signal.startswith("missing:"):
        return f"missing values of {signal.removeprefix('missing:')}"
    return f"feature {signal.removeprefix('feature:')}"


def _when(apart: int) -> str:
    if abs(apart) <= NEAR_MS:
        return "at the same time"
    return f"{lasting(abs(apart))} {'before' if apart > 0 else 'after'}"
