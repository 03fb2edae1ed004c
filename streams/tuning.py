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
from streams.scoring import Find, Score, scored, together
from streams.truth import Change
from streams.tuning_kept import Trial, Tried
from streams.tuning_parts import Part, facts_of
from streams.tuning_space import Budget, Candidate, Changes, asked, budget_of, candidates
from streams.tuning_trials import OURS, Trials

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


class Stretch(msgspec.Struct, frozen=True):
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
    tuning: Stretch
    validation: Stretch
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
                standings[one.name] = _standing(one, [next(tried) for _ in range(replays + 1)])
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
        before, after = (self._replayed(one.changes, replays) for one in (self._base, best))
        rivals = self._trials.of([Trial(part.name, number, None) for number in range(1, replays + 1)])
        names = {"tuned": _scores(after[1:]), "as it is": _scores(before[1:])}
        for rival in rivals[0].scores:
            names[rival] = [_of_all(one, rival) for one in rivals]
        gains = _gained(names["as it is"], names["tuned"], self._wanted.seed)
        scores = {name: together(each) for name, each in names.items()}
        sides = [Side(scores[name], sum(tried[0].pages.values())) for name, tried in _named(before, after)]
        better, why = self._verdict(best, sides[0], sides[1], gains)
        return Tuned(
            better=better,
            why=why,
            name=best.name,
            changes=best.changes,
            asked=self._base.changes,
            budget=str(self._budget),
            seed=self._wanted.seed,
            drifts=len(sides[0].score.finds),
            tuning=self._stretch(self._tuning),
            validation=self._stretch(part),
            scores={name: msgspec.structs.replace(each, finds=[]) for name, each in scores.items()},
            before=_bare(sides[0]),
            after=_bare(sides[1]),
            gain=gains[0],
            gain_low=gains[1],
            gain_high=gains[2],
            models=_by_model(before, after),
            features=_by_feature(before, after),
            tried=standings,
        )

    def _replayed(self, changes: Changes, replays: int) -> list[Tried]:
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

    def _stretch(self, part: Part) -> Stretch:
        return Stretch(*part.span, part.predictions, round(self._bears(part), 2))

    def _expected(self) -> int:
        before, trials = -1, 0
        for many, replays in self._rounds:
            trials += many * (replays - before)
            before = replays
        validated = VALIDATED * self._wanted.replays
        return trials + 2 * (validated + 1) + validated


def _rounds(many: int, replays: int) -> list[tuple[int, int]]:
    """How many candidates each has, and how many replays with drifts every one of them."""
    return [
        (max(1, math.ceil(many / 3**number)), math.ceil(replays * (number + 1) / ROUNDS)) for number in range(ROUNDS)
    ]


def _standing(candidate: Candidate, tried: Sequence[Tried]) -> Standing:
    untouched, *injected = tried
    score = together(_scores(injected))
    pages = sum(untouched.pages.values())
    return Standing(candidate.name, candidate.changes, len(injected), score.f1, score.delay_rows, pages)


def _rank(one: Standing, limit: int) -> tuple[int, float, float]:
    """The least is the best: within the limit, then F1 to two digits, then the delay."""
    return max(0, one.pages - limit), -round(one.f1, 2), math.inf if one.delay_rows is None else one.delay_rows


def _scores(injected: Sequence[Tried]) -> list[Score]:
    return [_of_all(one, OURS) for one in injected]


def _of_all(tried: Tried, name: str) -> Score:
    return together(list(tried.scores[name].values()))


def _named(before: list[Tried], after: list[Tried]) -> list[tuple[str, list[Tried]]]:
    return [("as it is", before), ("tuned", after)]


def _bare(side: Side) -> Side:
    return Side(msgspec.structs.replace(side.score, finds=[]), side.pages)


def _quicker(before: Score, after: Score) -> bool:
    return None not in (before.delay_rows, after.delay_rows) and after.delay_rows < QUICKER * before.delay_rows  # type: ignore[operator]


def _gained(before: Sequence[Score], after: Sequence[Score], seed: int) -> tuple[float, float, float]:
    """Of F1, and between what it lies in nine of ten resamples of the replays, the same ones for both."""
    draw = np.random.default_rng([seed, 1])
    picked = draw.integers(len(before), size=(RESAMPLES, len(before)))
    gains = _f1(after, picked) - _f1(before, picked)
    low, high = np.quantile(gains, (SURE, 1 - SURE))
    all_of_them = np.arange(len(before))[None, :]
    gain = float((_f1(after, all_of_them) - _f1(before, all_of_them))[0])
    return round(gain, 3), round(float(low), 3), round(float(high), 3)


def _f1(scores: Sequence[Score], picked: NDArray[np.int64]) -> NDArray[np.float64]:
    counts = np.array([(one.found, one.missed, one.false) for one in scores], dtype=float)[picked].sum(axis=1)
    worth: NDArray[np.float64] = 2 * counts[:, 0] / np.maximum(1.0, 2 * counts[:, 0] + counts[:, 1] + counts[:, 2])
    return worth


# -- by model and feature ---------------------------------------------------------------------------------------------


def _by_model(before: Sequence[Tried], after: Sequence[Tried]) -> list[Gain]:
    models = sorted(before[0].scores[OURS])
    return [Gain(model=model, before=_of_model(before, model), after=_of_model(after, model)) for model in models]


def _of_model(tried: Sequence[Tried], model: str) -> Side:
    untouched, *injected = tried
    score = together([one.scores[OURS][model] for one in injected])
    return _bare(Side(score, untouched.pages.get(model, 0)))


def _by_feature(before: Sequence[Tried], after: Sequence[Tried]) -> list[Gain]:
    sides: dict[tuple[str, str], list[list[Find]]] = {}
    for side, tried in enumerate((before, after)):
        for one in (score for each in tried[1:] for score in each.scores[OURS].values()):
            for find in one.finds:
                sides.setdefault((find.model, _feature(find.change)), [[], []])[side].append(find)
    return [
        Gain(model=model, feature=feature, before=Side(_found(finds[0])), after=Side(_found(finds[1])))
        for (model, feature), finds in sorted(sides.items())
    ]


def _feature(change: Change) -> str:
    """What was changed: a feature, two of them, or labels."""
    names = [signal.partition(":")[2] for signal in change.signals]
    return " and ".join(names) if all(names) else LABELS


def _found(finds: list[Find]) -> Score:
    return msgspec.structs.replace(scored(finds), finds=[])
