"""What is being made of the records of one batch."""

from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping
from itertools import groupby
from typing import Any, TypeVar

from detectors.ahead import Ahead, Part
from detectors.counts import Applied, Counts
from detectors.effects import Decided, effect_of
from detectors.gathered import Bunch, Gathered
from detectors.moment import Item
from detectors.monitor import Monitor

T = TypeVar("T")
Parts = Generator[None, None, T]  # work that can be left alone for a while after each of its parts

MODELS_AT_ONCE = 50  # in a part: some ten milliseconds


class Batch:
    """Records are gathered by model until one comes that is taken in by itself. Some were read ahead of the others."""

    __slots__ = ("ahead", "counts", "decided", "gathered", "touched")

    def __init__(self) -> None:
        self.counts: dict[str, Counts] = {}
        self.decided: list[Decided] = []
        self.touched: dict[str, Monitor] = {}  # those that took in something
        self.ahead: Mapping[str, Ahead] = {}
        self.gathered: defaultdict[str, list[Item | Part]] = defaultdict(list)  # still to be taken in

    @property
    def models(self) -> list[str]:
        return list({**self.gathered, **self.ahead})

    def gather(self, model: str, item: Item, ticked: int) -> None:
        if model in self.ahead:
            self._gather_ahead(model, item[0], ticked)
        self.gathered[model].append(item)

    def _gather_ahead(self, model: str, place: int, ticked: int) -> None:
        part = self.ahead[model].before(place, ticked)
        if part is not None:
            self.gathered[model].append(part)

    def gathered_before(self, model: str, place: int, ticked: int) -> Iterator[Bunch]:
        """Those of a model that come before this place, in their order, kind by kind. ``ticked``: nothing is older."""
        if model in self.ahead:
            self._gather_ahead(model, place, ticked)
        if model in self.gathered:
            for (kind, _), run in groupby(self.gathered.pop(model), key=_kind):
                told: list[Any] = list(run)
                yield from told if kind is Part else [Gathered(told)]


def _kind(told: Item | Part) -> tuple[type, str | None]:
    return (Part, None) if isinstance(told, Part) else (type(told[3]), told[2].topic)


def decided_by(touched: dict[str, Monitor]) -> Parts[list[Decided]]:
    """Each model gets its rows of the batch at once: that is what makes columns of them."""
    decided = list[Decided]()
    for number, monitor in enumerate(touched.values(), 1):
        decided += monitor.decide()
        if number % MODELS_AT_ONCE == 0:
            yield
    touched.clear()
    return decided


def applied(batch: Batch) -> Parts[Applied]:
    decided = batch.decided
    decided += yield from decided_by(batch.touched)
    decided.sort(key=lambda event: event.at)  # stable: what one record caused stays in the order it was decided
    return Applied([effect_of(event) for event in decided], batch.counts, [event.at for event in decided])


def whole(parts: Parts[T]) -> T:
    """All of them at once."""
    while True:
        try:
            next(parts)
        except StopIteration as end:
            result: T = end.value
            return result
