"""The search of ``driftline tune``: successive halving on one part of the history, a verdict on a later one.

Every candidate is held against the same drifts, which are drawn from the seed, and against the untouched part. Those
that are best go on to more drifts. What is left is held against drifts that nothing was tuned on, in the later part,
beside the configuration as it is and River's defaults. It is better only where that does not hang on a few drifts.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.config import ModelConfig, MonitorConfig
from streams.scoring import Alarm, Find, Score, score, scored, together
from streams.truth import Change
from streams.tuning.kept import Trial, Tried
from streams.tuning.parts import Part, facts_of
from streams.tuning.space import Budget, Candidate, Changes, asked, budget_of, candidates
from streams.tuning.trials import OURS, Trials

ROUNDS = 3  # of each round a third goes on, to as many drifts again as in the first
VALIDATED = 2  # times as many drifts as in the last round
RESAMPLES = 1_000
SURE = 0.05  # of resamples, the lowest and the highest that are left out
QUICKER = 0.9  # where as much is found, delays must be shorter than this share of what they were
LABELS = "labels"


class Wanted(NamedTuple):
    budget: Budget | None  # that of the configuration, where none is asked for
    candidates: int
    replays: int  # with drifts, of the last round
    seed: int


class Standing(msgspec.Struct, frozen=True):
    """How a candidate did in the last round it was in."""

    name: str
    changes: Mapping[str, Any]
    replays: int
    f1: float
    delay_rows: float | None
    pages: int  # on the untouched part


class Side(msgspec.Struct, frozen=True):
    """Of a model or a feature, or of all of them: what would have come of one configuration."""

    score: Score
    pages: int = 0


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """``feature`` is empty where it is of the whole model."""

    model: str
    feature: str = ""
    before: Side
    after: Side


class Held(NamedTuple):
    """What one configuration, or one rival, made of a part, by model: alone, and what it found in each replay."""

    untouched: dict[str, Score]
    finds: list[dict[str, list[Find]]]
    pages: Mapping[str, int]

    def side(self, model: str | None = None) -> Side:
        """Of one model, or of all. An alarm of the untouched history is false once, however many replays show it."""
        models = list(self.untouched) if model is None else [model]
        finds = [find for replay in self.finds for name in models for find in replay[name]]
        alone = together([self.untouched[name] for name in models])
        score = scored(finds, alone.false, alone.rows, alone.days)
        return Side(score, sum(self.pages.get(name, 0) for name in models))

    @property
    def counts(self) -> tuple[NDArray[np.float64], int]:
        """Found and missed in each replay, and what is false in the untouched history."""
        pairs = []
        for replay in self.finds:
            each = scored([find for finds in replay.values() for find in finds])
            pairs.append((each.found, each.missed))
        return np.array(pairs, dtype=float), together(list(self.untouched.values())).false


class Period(msgspec.Struct, frozen=True):
    from_ts: int
    to_ts: int
    predictions: int
    bears: float  # false pages, by the budget


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """``changes`` are those of the best candidate, also where they are not better; ``asked`` those of the budget."""

    better: bool
    why: str
    name: str
    changes: Mapping[str, Any]
    asked: Mapping[str, Any]
    budget: str
    seed: int
    drifts: int  # of the validation
    tuning: Period
    validation: Period
    scores: dict[str, Score]  # of the validation, by who told
    before: Side
    after: Side
    gain: float  # of F1
    gain_low: float
    gain_high: float
    models: list[Gain]
    features: list[Gain]
    tried: list[Standing]

    @property
    def written(self) -> Changes:
        """What is to be changed in the configuration."""
        return self.changes if self.better else self.asked


class Search:
    def __init__(self, trials: Trials, parts: Sequence[Part], monitor: MonitorConfig, wanted: Wanted) -> None:
        self._trials, self._wanted = trials, wanted
        self._tuning, self._validation = parts
        self._budget = wanted.budget or budget_of(monitor.defaults)
        self._base = asked(monitor, wanted.budget)
        facts = facts_of(*parts)
        self._candidates = candidates(self._base, monitor.defaults, self._budget, facts, wanted.candidates, wanted.seed)
        self._rounds = _rounds(len(self._candidates), wanted.replays)
        self._is_default = monitor.defaults == ModelConfig() and not monitor.models
        trials.expected = self._expected()

    def run(self) -> Tuned:
        best, standings = self._halved()
        return self._held_against(best, standings)

    # -- on the first part --------------------------------------------------------------------------------------------

    def _halved(self) -> tuple[Candidate, list[Standing]]:
        left, standings, limit = self._candidates, dict[str, Standing](), 0
        for many, replays in self._rounds:
            left = left[:many]
            pairs = [(one, number) for one in left for number in range(replays + 1)]
            tried = iter(self._trials.of([Trial(self._tuning.name, number, one.changes) for one, number in pairs]))
            for one in left:
                held = held_against(self._tuning, [next(tried) for _ in range(replays + 1)])
                standings[one.name] = _standing(one, held, replays)
            # What the history holds of real changes pages under any settings; nobody may page more than now for that.
            limit = max(math.ceil(self._bears(self._tuning)), standings[self._base.name].pages)
            left = sorted(left, key=lambda one: _rank(standings[one.name], limit))
        best = left[0]
        if _rank(standings[best.name], limit) >= _rank(standings[self._base.name], limit):
            best = self._base
        return best, sorted(standings.values(), key=lambda one: (-one.replays, _rank(one, limit)))

    # -- on the second ------------------------------------------------------------------------------------------------

    def _held_against(self, best: Candidate, standings: list[Standing]) -> Tuned:
        part, replays = self._validation, VALIDATED * self._wanted.replays
        before, after = (held_against(part, self._replayed(one.changes, replays)) for one in (self._base, best))
        rivals = self._replayed(None, replays)
        held = {"tuned": after, "as it is": before}
        held |= {name: held_against(part, rivals, name) for name in rivals[0].alarms}
        sides = {name: one.side() for name, one in held.items()}
        gains = _gained(before, after, self._wanted.seed)
        better, why = self._verdict(best, sides["as it is"], sides["tuned"], gains)
        return Tuned(
            better=better,
            why=why,
            name=best.name,
            changes=best.changes,
            asked=self._base.changes,
            budget=str(self._budget),
            seed=self._wanted.seed,
            drifts=len(sides["tuned"].score.finds),
            tuning=self._period(self._tuning),
            validation=self._period(part),
            scores={name: _bare(side).score for name, side in sides.items()},
            before=_bare(sides["as it is"]),
            after=_bare(sides["tuned"]),
            gain=gains[0],
            gain_low=gains[1],
            gain_high=gains[2],
            models=_by_model(before, after),
            features=_by_feature(before, after),
            tried=standings,
        )

    def _replayed(self, changes: Changes | None, replays: int) -> list[Tried]:
        return self._trials.of([Trial(self._validation.name, number, changes) for number in range(replays + 1)])

    def _verdict(
        self, best: Candidate, before: Side, after: Side, gains: tuple[float, float, float]
    ) -> tuple[bool, str]:
        if best == self._base:
            return False, "nothing that was tried is better where it was tuned"
        gain, low, _ = gains
        if after.pages > max(math.ceil(self._bears(self._validation)), before.pages):
            return False, "what was best where it was tuned pages more than the budget bears on what came later"
        if gain > 0 and low >= 0:
            return True, ""
        if gain >= 0 and low >= 0 and _quicker(before.score, after.score):
            return True, ""
        return False, "what was best where it was tuned is not surely better on what came later"

    # -- of a part ----------------------------------------------------------------------------------------------------

    def _bears(self, part: Part) -> float:
        first, last = part.span
        return self._budget.bears(last - first, len(part.times), part.predictions)

    def _period(self, part: Part) -> Period:
        return Period(*part.span, part.predictions, round(self._bears(part), 2))

    def _expected(self) -> int:
        before, trials = -1, 0
        for many, replays in self._rounds:
            trials += many * (replays - before)
            before = replays
        validated = VALIDATED * self._wanted.replays
        return trials + 3 * (validated + 1)


def _rounds(many: int, replays: int) -> list[tuple[int, int]]:
    """How many candidates each has, and how many replays with drifts every one of them."""
    return [
        (max(1, math.ceil(many / 3**number)), math.ceil(replays * (number + 1) / ROUNDS)) for number in range(ROUNDS)
    ]


def held_against(part: Part, tried: Sequence[Tried], name: str = OURS) -> Held:
    """``tried``: untouched, and then the replays with drifts.

    An alarm that stands in the untouched history too, at the same record, says nothing of a drift, and finds none.
    """
    untouched, *injected = tried
    known = untouched.alarms[name]
    there = frozenset(alarm for alarm in known if alarm.signal is not None)
    finds = []
    for one in injected:
        alarms = [alarm for alarm in one.alarms[name] if alarm not in there]
        finds.append({model: each.finds for model, each in _by_models(part, one.changes, alarms).items()})
    return Held(_by_models(part, [], known), finds, untouched.pages)


def _by_models(part: Part, changes: Sequence[Change], alarms: Sequence[Alarm]) -> dict[str, Score]:
    by_model: dict[str, list[Alarm]] = {}
    for alarm in alarms:
        by_model.setdefault(alarm.model, []).append(alarm)
    return {
        model: score([one for one in changes if one.model == model], by_model.get(model, []), {model: times})
        for model, times in part.times.items()
    }


def _standing(candidate: Candidate, held: Held, replays: int) -> Standing:
    side = held.side()
    return Standing(candidate.name, candidate.changes, replays, side.score.f1, side.score.delay_rows, side.pages)


def _rank(one: Standing, limit: int) -> tuple[int, float, float]:
    """The least is the best: within the limit, then F1 to two digits, then the delay."""
    return max(0, one.pages - limit), -round(one.f1, 2), math.inf if one.delay_rows is None else one.delay_rows


def _bare(side: Side) -> Side:
    return Side(msgspec.structs.replace(side.score, finds=[]), side.pages)


def _quicker(before: Score, after: Score) -> bool:
    return None not in (before.delay_rows, after.delay_rows) and after.delay_rows < QUICKER * before.delay_rows  # type: ignore[operator]


def _gained(before: Held, after: Held, seed: int) -> tuple[float, float, float]:
    """Of F1, and between what it lies in nine of ten resamples of the replays, the same ones for both."""
    many = len(before.finds)
    picked = np.random.default_rng([seed, 1]).integers(many, size=(RESAMPLES, many))
    low, high = np.quantile(_f1(after, picked) - _f1(before, picked), (SURE, 1 - SURE))
    gain = after.side().score.f1 - before.side().score.f1
    return round(gain, 3), round(float(low), 3), round(float(high), 3)


def _f1(held: Held, picked: NDArray[np.int64]) -> NDArray[np.float64]:
    pairs, false = held.counts
    counts = pairs[picked].sum(axis=1)
    worth: NDArray[np.float64] = 2 * counts[:, 0] / np.maximum(1.0, 2 * counts[:, 0] + counts[:, 1] + false)
    return worth


# -- by model and feature ---------------------------------------------------------------------------------------------


def _by_model(before: Held, after: Held) -> list[Gain]:
    return [
        Gain(model=model, before=_bare(before.side(model)), after=_bare(after.side(model)))
        for model in sorted(before.untouched)
    ]


def _by_feature(before: Held, after: Held) -> list[Gain]:
    sides: dict[tuple[str, str], list[list[Find]]] = {}
    for side, held in enumerate((before, after)):
        for find in (find for replay in held.finds for finds in replay.values() for find in finds):
            sides.setdefault((find.model, _feature(find.change)), [[], []])[side].append(find)
    return [
        Gain(model=model, feature=feature, before=_bare(Side(scored(finds[0]))), after=_bare(Side(scored(finds[1]))))
        for (model, feature), finds in sorted(sides.items())
    ]


def _feature(change: Change) -> str:
    """What was changed: a feature, two of them, or labels."""
    names = [signal.partition(":")[2] for signal in change.signals]
    return " and ".join(names) if all(names) else LABELS
