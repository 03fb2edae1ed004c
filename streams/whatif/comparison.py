"""What came of each policy, in counts and in money: written as ``whatif.json`` beside the results of a replay."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from schemas.times import UNIT_MS
from streams.sinks import WHATIF
from streams.truth import Change
from streams.whatif.facts import Facts
from streams.whatif.known import known_of
from streams.whatif.scenario import Costs, Plan, Scenario
from streams.whole import whole, writing

STEPS_MAX = 1_000  # retrainings of one policy told one by one; all are counted


class OfModel(msgspec.Struct, kw_only=True):
    """One model under one policy. ``loss`` is in its own unit, times the labels' weights."""

    retrainings: int = 0
    labels: int = 0  # that they learned from, each counted once
    pages: int = 0
    cured: int = 0  # incidents that the monitor found to be cured by a new version
    rows: int = 0  # predictions with a label
    loss: float = 0.0
    above_ms: int = 0  # of the time its loss was above what was usual


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A retraining. It is deployed when the history is over already, or not at all, where ``deployed_ts`` is null."""

    model: str
    asked_ts: int
    deployed_ts: int | None
    version: str
    labels: int
    reason: str


class Money(msgspec.Struct, frozen=True, kw_only=True):
    loss: float
    retraining: float
    labels: float
    pages: float

    @property
    def parts(self) -> tuple[float, float, float, float]:
        return self.loss, self.retraining, self.labels, self.pages

    @property
    def total(self) -> float:
        return sum(self.parts)


class Tried(msgspec.Struct, kw_only=True):
    """A policy and what came of it."""

    plan: Plan
    models: dict[str, OfModel]
    steps: list[Step]
    money: Money
    total: float

    def sum(self, name: str) -> float:
        total: float = sum(getattr(of, name) for of in self.models.values())
        return total

    @property
    def days_above(self) -> float:
        return self.sum("above_ms") / UNIT_MS["d"]


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a model's time and the mean loss of what the history answered in it."""

    from_ts: int
    loss: float


class WhatIf(msgspec.Struct, kw_only=True, tag_field="type", tag="what_if"):
    v: int = 1
    scenario: Scenario
    from_ts: int
    to_ts: int
    rows: int  # predictions
    labelled: int  # of them
    answered: int  # of the new version; of replayed answers alone
    changes_known: bool
    levels: dict[str, list[Level]]  # by model
    policies: list[Tried]  # the cheapest first

    @property
    def cheapest(self) -> list[str]:
        """Several where they cost the same. What needs to know the changes beforehand is none that could be chosen."""
        could = [tried for tried in self.policies if tried.plan.kind != "changes"]
        least = min((tried.total for tried in could), default=0.0)
        return [tried.plan.name for tried in could if tried.total == least]


def money_of(models: Mapping[str, OfModel], costs: Costs) -> Money:
    def price(what: str, counted: str) -> float:
        amount = sum(costs.of(model, what) * float(getattr(of, counted)) for model, of in models.items())
        return round(amount, 6)  # below any money there is

    return Money(
        loss=price("loss", "loss"),
        retraining=price("retraining", "retrainings"),
        labels=price("label", "labels"),
        pages=price("page", "pages"),
    )


def tried(plan: Plan, models: dict[str, OfModel], steps: Sequence[Step], costs: Costs) -> Tried:
    money = money_of(models, costs)
    return Tried(plan=plan, models=models, steps=list(steps[:STEPS_MAX]), money=money, total=round(money.total, 6))


def compared(
    scenario: Scenario, models: Mapping[str, Facts], policies: Sequence[Tried], changes: Sequence[Change] | None
) -> WhatIf:
    known = known_of(models, changes)
    made = {model: facts.columns["made"] for model, facts in models.items()}
    return WhatIf(
        scenario=scenario,
        from_ts=min(int(times[0]) for times in made.values()),
        to_ts=max(int(times[-1]) for times in made.values()),
        rows=sum(facts.rows for facts in models.values()),
        labelled=sum(facts.labelled for facts in models.values()),
        answered=sum(facts.answered for facts in models.values()),
        changes_known=changes is not None,
        levels={
            model: [Level(from_ts=int(made[model][one.first]), loss=one.level) for one in found]
            for model, found in known.stretches.items()
        },
        policies=sorted(policies, key=lambda tried: tried.total),
    )


def write(found: WhatIf, directory: Path) -> Path:
    path = directory / WHATIF
    with writing("the comparison", directory, "name another directory with --out"):
        directory.mkdir(parents=True, exist_ok=True)
        with whole(path) as partial:
            partial.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    return path
