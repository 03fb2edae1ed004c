"""The history in two parts by time: one that settings are tuned on, and a later one that they are held against."""

import statistics
from bisect import bisect_left
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from streams.errors import UsageError
from streams.history import Given, History
from streams.injecting import Planned, planned
from streams.injection_spec import Spec, parse
from streams.portraits import Portrait, Reader, portraits
from streams.scoring import Times, note
from streams.tuning.space import Facts

TUNED_SHARE = 0.6  # of the predictions; what is later validates
PREDICTIONS_MIN = 1_000  # of a model in a part, to have drifts put into: half of them come before any
PREDICTIONS_MAX = 2_000_000  # each process holds those that wait for labels in memory, and reads all of them many times
# From what is hard to see to what is plain. Labels that come late are left out: no setting of the search decides that.
SPECS = tuple(
    map(
        parse,
        (
            "shift:size=0.5",
            "missing:size=0.1",
            "flip:size=0.15",
            "scale:size=2",
            "shift:size=1,over=10%",
            "swap",
            "category:size=0.1",
            "shift:size=-1",
            "flip:size=0.3",
            "unit:size=1000",
        ),
    )
)


class Part(NamedTuple):
    """``given``: what is to be read of the history for it."""

    name: str
    given: Given
    models: Mapping[str, Portrait]
    times: Mapping[str, Times]

    @property
    def predictions(self) -> int:
        return sum(len(own.made) for own in self.times.values())

    @property
    def records(self) -> int:
        return self.predictions + sum(len(own.labelled) for own in self.times.values())

    @property
    def span(self) -> tuple[int, int]:
        """The times of the first and the last prediction."""
        made = [own.made for own in self.times.values() if own.made]
        return min(each[0] for each in made), max(each[-1] for each in made)

    @property
    def drifting(self) -> list[str]:
        """Models that are large enough, and have something to change."""
        return [name for name, one in sorted(self.models.items()) if one.rows >= PREDICTIONS_MIN and _fitting(one)]

    def drifts(self, seed: int, number: int) -> list[Planned]:
        """A drift in each model, of one kind after the other; where and in which feature is drawn."""
        specs = []
        for index, name in enumerate(self.drifting):
            fitting = _fitting(self.models[name])
            specs.append(fitting[(number + index) % len(fitting)]._replace(model=name))
        # The name makes it another draw in each part, under one seed.
        drawn = np.random.default_rng([seed, number, *self.name.encode()]).integers(1 << 32)
        return planned(specs, self.models, int(drawn))


def _fitting(portrait: Portrait) -> list[Spec]:
    return [spec for spec in SPECS if _fits(spec, portrait)]


def _fits(spec: Spec, portrait: Portrait) -> bool:
    try:
        planned([spec], {"": portrait}, 0)
    except UsageError:
        return False
    return True


def parts_of(given: Given) -> tuple[Part, Part]:
    """Reads the history three times: for where to part it, and for what each part is like."""
    with History(given) as history:
        reader, times = Reader(), dict[str, Times]()
        for record in history.records:
            note(times, reader.event(record), record.timestamp)
    made = sorted(ts for own in times.values() for ts in own.made)
    if len(made) > PREDICTIONS_MAX:
        what, advice = f"more than {PREDICTIONS_MAX:,} predictions", "take a part of them with --from and --to"
        raise UsageError(what, where="the history", advice=advice)
    split = made[int(TUNED_SHARE * len(made))] if made else 0
    before = _part("tuning", given._replace(until=split), {name: _cut(own, None, split) for name, own in times.items()})
    after = _part(
        "validation", given._replace(since=split), {name: _cut(own, split, None) for name, own in times.items()}
    )
    for part in (before, after):
        if not part.drifting:
            what = f"no model has {PREDICTIONS_MIN:,} predictions with something to change in its {part.name} part"
            raise UsageError(what, where="the history", advice="name a longer one")
    return before, after


def facts_of(*parts: Part) -> Facts:
    rows = [min(part.models[name].rows for part in parts if name in part.models) for name in parts[0].drifting]
    gaps = [
        (own.made[-1] - own.made[0]) / len(own.made)
        for part in parts
        for name, own in part.times.items()
        if name in part.drifting
    ]
    return Facts(int(statistics.median(rows)), statistics.median(gaps))


def _part(name: str, given: Given, times: dict[str, Times]) -> Part:
    with History(given) as history:
        return Part(name, given, portraits(history.records), {model: own for model, own in times.items() if own.made})


def _cut(times: Times, since: int | None, until: int | None) -> Times:
    cut = Times()
    for own, whole in ((cut.made, times.made), (cut.labelled, times.labelled)):
        first = 0 if since is None else bisect_left(whole, since)
        own.extend(whole[first : len(whole) if until is None else bisect_left(whole, until)])
    return cut
