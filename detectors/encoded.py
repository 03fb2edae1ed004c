"""What comes as cells, watched as columns: an encoder with the groups of its values and of its shares."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from detectors.banks.contract import Matrix
from detectors.banks.shiryaev import WATCH
from detectors.cells import Cell
from detectors.config import ModelConfig
from detectors.distances import told
from detectors.encoding import Column, Encoder, EncoderState
from detectors.group import Group
from detectors.likeness import (
    Name,
    name_of_bit,
    name_of_category,
    name_of_missing,
    name_of_numbers,
    of_numbers,
    of_share,
)
from schemas.events import JsonScalar, Kind

LABEL = "label"


def watch_alone(config: ModelConfig) -> tuple[str, ...]:
    """Of the detectors, the one that keeps to the budget, where it is wanted."""
    return tuple(name for name in config.detectors if name == WATCH)


class Run(NamedTuple):
    """Some rows of one group. The group is to be grown to these columns first."""

    group: Group
    columns: list[Column]
    matrix: Matrix
    start: int  # of the rows given


class Encoded:
    """The features, prediction and score of a model; or with ``labels`` what its labels are."""

    def __init__(self, config: ModelConfig, *, labels: bool = False) -> None:
        watch = watch_alone(config)
        self._config = config
        self._renamed = labels
        self.encoder = Encoder(config)
        # A label's own drift is told once: the detectors of the loss see what it does to the model.
        self.values = Group(config, watch if labels else config.detectors, rate=False)
        self.shares = Group(config, watch if labels else (*watch, "adwin"), rate=True)

    @property
    def groups(self) -> tuple[Group, Group]:
        return self.values, self.shares

    @property
    def columns(self) -> tuple[list[Column], list[Column]]:
        if not self._renamed:
            return self.encoder.values, self.encoder.shares
        return list(map(_of_label, self.encoder.values)), list(map(_of_label, self.encoder.shares))

    def runs(
        self, predictions: Sequence[Cell], scores: Sequence[Cell], features: Sequence[dict[str, Cell]]
    ) -> Iterator[list[Run]]:
        """In order, of both groups together: the columns are as they are at each part."""
        start = 0
        for part in self.encoder.parts(predictions, scores, features):
            yield [
                Run(group, columns, matrix, start)
                for group, columns, matrix in zip(self.groups, self.columns, part, strict=True)
            ]
            start += len(part.values)

    def begin(self) -> None:
        """What taught the columns lies elsewhere; what comes from now on is watched."""
        self.encoder.forget_counts()
        for group in self.groups:
            group.begin()

    def name_of(self, group: Group, index: int, blocks: int, changed: Iterable[int], *, last: bool) -> Name | None:
        """What a change looks like in the last blocks. ``changed``: which columns have at about the same time."""
        if group is self.values:
            own = of_numbers(group, index, blocks)
            others = ((group.columns[other].signal, of_numbers(group, other, blocks)) for other in changed)
            there = [(signal, numbers) for signal, numbers in others if numbers is not None]
            return name_of_numbers(own, there, last=last) if own is not None else None
        share, feature = of_share(group, index, blocks), self.encoder.feature_of(index)
        if share is None or feature is None:
            return None
        if index == feature.missing:
            return name_of_missing(share)
        if feature.kind == "boolean":
            return name_of_bit(share)
        seen = float(feature.seen)
        every = {category: of_share(group, column, blocks, seen) for category, column in feature.categories.items()}
        shares = {category: each for category, each in every.items() if each is not None}
        rest = of_share(group, feature.rest, blocks, seen)
        category = next((each for each, column in feature.categories.items() if column == index), None)
        return name_of_category(category, shares, rest) if rest is not None else None

    def distances(self, group: Group, index: int, row: int) -> dict[str, JsonScalar] | None:
        """How far a feature's categories, all of them together, have moved since a row. ``None`` of anything else."""
        feature = self.encoder.feature_of(index) if group is self.shares else None
        if feature is None or index == feature.missing or feature.kind != "categorical":
            return None
        columns = [*feature.categories.values(), feature.rest]
        shares = np.array([group.columns[column].given_share or 0.0 for column in columns])
        return told(feature.seen * shares, np.array([group.ones(column, row) for column in columns]))

    def restore(self, state: EncoderState) -> None:
        """The groups are restored after it, with its ``columns``."""
        self.encoder = Encoder.of(self._config, state)


def _of_label(column: Column) -> Column:
    """The encoder takes a label for a prediction."""
    signal = LABEL + column.signal.removeprefix("prediction")
    return msgspec.structs.replace(column, signal=signal, kind=Kind.LABEL_DRIFT)
