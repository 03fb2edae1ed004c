"""Puts drifts into a copy of history: first what is drawn, then every record as it came or as a drift makes it.

The same seed, history and specs give the same bytes. Predictions and scores stay as they were: the model is not asked
again, so what shows is what the drift does to its inputs and its labels.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

import msgspec
import numpy as np

from detectors.cells import Cell
from schemas.codec import encode
from schemas.events import Outcome, Prediction, Role
from schemas.parsed import Parsed
from schemas.records import RecordLike
from schemas.times import TS_END, to_ms
from streams.errors import UsageError
from streams.injection_spec import OF_LABELS, OPTION, Kind, Place, Spec
from streams.portraits import LABELS_MAX, Portrait, Reader
from streams.truth import Change

NEW_CATEGORY = "never seen before"
HELD_MAX = 1_000_000  # labels that wait because they come later: some 500 MB
_NUMERIC = frozenset({Kind.SHIFT, Kind.SCALE, Kind.UNIT, Kind.SWAP})
_ALONE = (0.5, 0.8)  # where a drift begins that is the only one of its model; it stays
_FIRST = 0.3  # of several, none begins before this share: the model must know what is normal

Draw = np.random.Generator


class Planned(NamedTuple):
    """A spec of which nothing is left to be drawn."""

    spec: Spec
    model: str
    features: tuple[str, ...]
    begins: Place
    ends: Place | None
    over: int  # rows
    every: int
    rows: int  # of the model
    portrait: Portrait
    draw: Draw


# -- drawing ----------------------------------------------------------------------------------------------------------


def planned(specs: Sequence[Spec], models: Mapping[str, Portrait], seed: int) -> list[Planned]:
    chosen = [_chosen(spec, models, np.random.default_rng([seed, number, 0])) for number, spec in enumerate(specs)]
    slots: dict[str, int] = {}
    found = []
    for number, (spec, (model, features)) in enumerate(zip(specs, chosen, strict=True)):
        slot = slots[model] = slots.get(model, -1) + 1
        of = sum(name == model for name, _ in chosen)
        draw, rows = np.random.default_rng([seed, number, 1]), models[model].rows
        begins, ends = _placed(spec, slot, of, draw)
        over, every = (place.rows(rows) if place is not None else 0 for place in (spec.over, spec.every))
        found.append(Planned(spec, model, features, begins, ends, over, every, rows, models[model], draw))
    return found


def _chosen(spec: Spec, models: Mapping[str, Portrait], draw: Draw) -> tuple[str, tuple[str, ...]]:
    where = f"{OPTION} {spec.kind}"
    if spec.model is not None and spec.model not in models:
        advice = f"there are {', '.join(sorted(models)[:5])}"
        raise UsageError(f"the history has no prediction of {spec.model}", where=where, advice=advice)
    among = {spec.model: models[spec.model]} if spec.model is not None else models
    wanted = 0 if spec.kind in OF_LABELS else 2 if spec.kind is Kind.SWAP else 1
    fitting = {
        name: features for name, portrait in among.items() if (features := _fitting(spec, portrait, wanted)) is not None
    }
    if not fitting:
        asked = f" {' and '.join(spec.features)}" if spec.features else ""
        raise UsageError(f"no model has{asked or ' anything'} that can have it", where=where, advice=_needs(spec.kind))
    model = sorted(fitting)[int(draw.integers(len(fitting)))]
    features = fitting[model] if wanted else []
    if not spec.features and wanted:
        features = [features[int(place)] for place in draw.choice(len(features), wanted, replace=False)]
    return model, tuple(features)


def _fitting(spec: Spec, portrait: Portrait, wanted: int) -> list[str] | None:
    """The features that it can be drawn from, ``None`` where there are too few."""
    if spec.kind is Kind.FLIP and not (
        2 <= len(portrait.labels) <= LABELS_MAX and all(map(_is_class, portrait.labels))
    ):
        return None
    if spec.kind is Kind.DELAY and not portrait.outcomes:
        return None
    names = spec.features or sorted(portrait.features)
    fit = [name for name in names if name in portrait.features and _fits(spec.kind, portrait, name)]
    return fit if len(fit) >= wanted and (not spec.features or len(fit) == len(spec.features)) else None


def _fits(kind: Kind, portrait: Portrait, name: str) -> bool:
    numbers = portrait.features[name]
    if kind in _NUMERIC:
        return not numbers.texts and numbers.sd > 0
    return kind is not Kind.CATEGORY or numbers.texts > 0


def _is_class(label: float | str | bool) -> bool:
    return not isinstance(label, float) or label.is_integer()


def _needs(kind: Kind) -> str:
    if kind in OF_LABELS:
        return "it takes labels" if kind is Kind.DELAY else "it takes labels of two classes or more"
    if kind in _NUMERIC:
        return f"it takes {'two features' if kind is Kind.SWAP else 'a feature'} of numbers that differ"
    return "it takes a feature of text" if kind is Kind.CATEGORY else "it takes a feature"


def _placed(spec: Spec, slot: int, of: int, draw: Draw) -> tuple[Place, Place | None]:
    """Alone it begins in the second half, and stays. Several follow each other, each with a time after it."""
    if spec.begins is not None:
        return spec.begins, spec.ends
    if of == 1:
        return Place(share=float(draw.uniform(*_ALONE))), spec.ends
    width = (1 - _FIRST) / of
    first = _FIRST + slot * width
    return Place(share=first + float(draw.uniform(0.2, 0.4)) * width), spec.ends or Place(share=first + 0.8 * width)


# -- putting in -------------------------------------------------------------------------------------------------------


class Drift:
    """One of them, as the history goes by."""

    def __init__(self, plan: Planned) -> None:
        self.plan = plan
        self.changes: list[Change] = []
        self.on = False
        self._row = -1
        self._first: int | None = None
        self._begun: tuple[int, int] | None = None

    def predicted(self, event: Prediction) -> Prediction:
        """The prediction as the drift makes it."""
        plan, time = self.plan, to_ms(event.ts)
        self._row += 1
        on = self._is_on(time)
        if on is not self.on:
            self._turn(on, time)
        segment = plan.spec.segment
        if not on or plan.spec.kind in OF_LABELS or (segment and (event.segments or {}).get(segment[0]) != segment[1]):
            return event
        since = self._row - (self._first or 0)
        if plan.over and plan.draw.random() >= (since + 1) / plan.over:
            return event
        return msgspec.structs.replace(event, features=self._changed(event.features))

    def labelled(self, event: Outcome) -> Outcome:
        plan = self.plan
        if not self.on or plan.spec.kind not in OF_LABELS:
            return event
        if plan.spec.kind is Kind.DELAY:
            return msgspec.structs.replace(event, ts=min(to_ms(event.ts) + int(plan.spec.size), TS_END - 1))
        if plan.draw.random() >= plan.spec.size:
            return event
        labels = list(plan.portrait.labels)
        others = [label for label in labels if label != event.label] or labels
        return msgspec.structs.replace(event, label=others[int(plan.draw.integers(len(others)))])

    def finish(self) -> None:
        """The history is over, and what is on stays on."""
        if self.on:
            self._turn(False, None)

    def _is_on(self, time: int) -> bool:
        plan = self.plan
        if not _reached(plan.begins, plan.rows, self._row, time):
            return False
        if plan.ends is not None and _reached(plan.ends, plan.rows, self._row, time):
            return False
        if self._first is None:
            self._first = self._row
        return not plan.every or (self._row - self._first) // plan.every % 2 == 0

    def _turn(self, on: bool, time: int | None) -> None:
        self.on = on
        if on and time is not None:
            self._begun = (time, self._row)
        elif self._begun is not None:
            self.changes.append(self._change(*self._begun, time, self._row if time is not None else None))

    def _change(self, starts: int, from_row: int, ends: int | None, to_row: int | None) -> Change:
        spec, plan = self.plan.spec, self.plan
        return Change(
            model=plan.model,
            starts=starts,
            ends=max(ends, starts + 1) if ends is not None else None,
            what=f"{spec.kind} {' and '.join(plan.features)}".strip() + (f", size {spec.size:g}" if spec.size else ""),
            kind=spec.kind,
            signals=list(_signals(spec.kind, plan.features)),
            segment="=".join(spec.segment) if spec.segment else None,
            from_row=from_row,
            to_row=to_row,
        )

    def _changed(self, features: Mapping[str, Cell]) -> dict[str, Cell]:
        spec, changed = self.plan.spec, dict(features)
        name = self.plan.features[0]
        if name not in changed:
            return changed
        cell = changed[name]
        if spec.kind is Kind.SWAP:
            other = self.plan.features[1]
            if other in changed:
                changed[name], changed[other] = changed[other], cell
        elif spec.kind in (Kind.MISSING, Kind.CATEGORY):
            if self.plan.draw.random() < spec.size:
                changed[name] = None if spec.kind is Kind.MISSING else NEW_CATEGORY
        elif isinstance(cell, float):
            changed[name] = self._number(spec, name, cell)
        return changed

    def _number(self, spec: Spec, name: str, value: float) -> float:
        numbers = self.plan.portrait.features[name]
        if spec.kind is Kind.SHIFT:
            return value + spec.size * numbers.sd
        if spec.kind is Kind.SCALE:
            return numbers.mean + spec.size * (value - numbers.mean)
        return value * spec.size


def _reached(place: Place, rows: int, row: int, time: int) -> bool:
    return time >= place.ts if place.ts is not None else row >= place.rows(rows)


def _signals(kind: Kind, features: Iterable[str]) -> Iterator[str]:
    """Where it shows, in the words of alerts."""
    if kind is Kind.FLIP:
        yield from ("loss", "log_loss", "label")
    elif kind is Kind.DELAY:
        yield "labels"
    else:
        yield from (f"missing:{name}" if kind is Kind.MISSING else f"feature:{name}" for name in features)


def injected(records: Iterable[RecordLike], drifts: Sequence[Drift]) -> Iterator[bytes]:
    """The lines of the copy, in order of time."""
    reader = Reader()
    by_model: dict[str, list[Drift]] = {}
    for drift in drifts:
        by_model.setdefault(drift.plan.model, []).append(drift)
    held: list[tuple[int, int, bytes]] = []
    for number, record in enumerate(records):
        while held and held[0][0] <= record.timestamp:
            yield heappop(held)[2]
        event = reader.event(record)
        own = by_model.get(event.model or "", ()) if event is not None else ()
        after = event
        for drift in own:
            if isinstance(after, Prediction) and after.role is Role.CHAMPION:
                after = drift.predicted(after)
            elif isinstance(after, Outcome):
                after = drift.labelled(after)
        line = encode(after) if after is not None and (after is not event or type(record) is Parsed) else record.value
        later = isinstance(after, Outcome) and to_ms(after.ts) > record.timestamp
        if later and after is not event:
            if len(held) == HELD_MAX:
                raise UsageError(f"more than {HELD_MAX:,} labels wait", where=OPTION, advice="delay them for less long")
            heappush(held, (to_ms(after.ts), number, line or b""))  # type: ignore[union-attr]
        else:
            yield line or b""
    while held:
        yield heappop(held)[2]
    for drift in drifts:
        drift.finish()
