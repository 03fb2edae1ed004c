"""What comes as cells, watched as columns: an encoder with the groups of its values and of its shares."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from detectors.banks.contract import Matrix
from detectors.banks.shiryaev import WATCH
from detectors.cells import Cell
from detectors.config import ModelConfig
from detectors.encoding import Column, Encoder, EncoderState
from detectors.group import Group
from schemas.events import Kind

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

    def restore(self, state: EncoderState) -> None:
        """The groups are restored after it, with its ``columns``."""
        self.encoder = Encoder.of(self._config, state)


def _of_label(column: Column) -> Column:
    """The encoder takes a label for a prediction."""
    signal = LABEL + column.signal.removeprefix("prediction")
    return msgspec.structs.replace(column, signal=signal, kind=Kind.LABEL_DRIFT)
