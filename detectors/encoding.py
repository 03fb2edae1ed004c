"""Predictions to numbers: a matrix of values and a matrix of shares, whose columns grow as features are met.

A value is a number (or the length of a text). A share is 0 or 1: was this feature missing, was it this category. What
kind a feature is, the configuration says, or else its first value. A categorical feature learns its frequent categories
first, and is watched from then on.

Columns change only between two parts of a batch, so a part is always a plain rectangle.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.banks.contract import Matrix
from detectors.cells import NUMBERS, Cell, Flags, category_of, kind_of, unreadable_in
from detectors.columns import FeatureRows, NumberCells, WordCells, lengths_of, numbers_of, says_nothing
from detectors.config import ModelConfig
from detectors.feature import PREDICTION, SCORE, Feature
from detectors.recorded import NOTHING, Recorded
from schemas.events import Kind

_OWN = (PREDICTION, SCORE)
COUNTED_MAX = 1_000  # distinct categories counted in warm-up; what comes after them is rare by construction
# Only a rise of these is trouble.
ONE_SIDED = (Kind.CONCEPT_DRIFT, Kind.DATA_QUALITY, Kind.LATENCY)
FREQUENT = 0.01  # a category below this share is part of the rest


class Column(msgspec.Struct, frozen=True, array_like=True):
    """One stream of numbers and what it is called in an alert."""

    signal: str
    kind: Kind
    given_share: float | None = None  # known from the category warm-up
    given_mean: float | None = None
    given_sd: float | None = None
    learns: int = 0  # values that teach it, where that is another number than usual


class Part(NamedTuple):
    """A run of rows between two changes of the columns."""

    values: Matrix
    shares: Matrix


class EncoderState(msgspec.Struct, array_like=True, frozen=True):
    features: list[Feature]  # the first two, prediction and score, without names: they are long and always the same
    values: list[Column]
    shares: list[Column]


class Encoder:
    """One monitor's columns. Features beyond the limit are left out, and ``full`` says so."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._recorded = NOTHING
        self.values: list[Column] = []
        self.shares: list[Column] = []
        self._features: list[Feature] = []
        self._known: set[str] = set()
        self._signals: set[str] = set()
        self._plain: list[Feature] = []
        self._others: list[Feature] = []
        self._plain_values: list[int] = []
        self._plain_missing: list[int] = []
        self._plain_row = self._other_row = _getter([])
        for name in _OWN:
            self._meet(name)

    def learn_from(self, recorded: Recorded) -> None:
        """What comes until further notice is all there is to learn from."""
        self._recorded = recorded

    # -- rows ---------------------------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        return len(self._features) - 2 >= self._config.features_max

    def feature_of(self, share: int) -> Feature | None:
        """Whose share a column is."""
        features = self._features
        return next((each for each in features if share in (each.missing, each.rest, *each.categories.values())), None)

    def parts(
        self, predictions: Sequence[Cell], scores: Sequence[Cell], features: Sequence[dict[str, Cell]]
    ) -> Iterator[Part]:
        """Encodes rows in order. The columns of a part are what ``values`` and ``shares`` name while it is held."""
        start = 0
        while start < len(features):
            self._grow(predictions[start], scores[start], features[start])
            stop = self._learned_by(predictions, features, start)
            part = self._usual(predictions[start:stop], scores[start:stop], features[start:stop])
            if part is None:
                stop = self._same_columns(predictions, scores, features, start, stop)
                part = self._encode(
                    [
                        (feature, self._cells(feature, predictions, scores, features)[start:stop])
                        for feature in self._features
                    ],
                    stop - start,
                )
            yield part
            self._learn()
            start = stop

    def _grow(self, prediction: Cell, score: Cell, features: dict[str, Cell]) -> None:
        """Meets what the first row of a part shows for the first time."""
        for name in features:
            if name not in self._known:
                self._meet(name)
        for feature in self._features:
            if feature.kind == "auto":
                cell = _cell(feature.name, prediction, score, features)
                if cell is not None:
                    self._settle(feature, cell)

    def _usual(
        self, predictions: Sequence[Cell], scores: Sequence[Cell], features: Sequence[dict[str, Cell]]
    ) -> Part | None:
        """The usual way: no row lacks a feature, brings a new one or settles a kind. None where that is not so."""
        if isinstance(features, FeatureRows):
            return self._usual_columns(predictions, scores, features)
        if any(map((len(self._features) - 2).__ne__, map(len, features))):
            return None
        try:
            plain = list(chain.from_iterable(map(self._plain_row, features)))
            others = list(zip(*map(self._other_row, features), strict=True))
        except KeyError:
            return None
        cells = list(zip(self._others, (predictions, scores, *others), strict=True))
        if any(feature.kind == "auto" and any(cell is not None for cell in column) for feature, column in cells):
            return None
        width = len(self._plain)
        if NUMBERS.issuperset(map(type, plain)):
            part = self._encode(cells, len(features))
            part.values[:, self._plain_values] = np.array(plain, dtype=np.float64).reshape(len(features), width)
            part.shares[:, self._plain_missing] = 0.0
            return part
        cells += [(feature, plain[column::width]) for column, feature in enumerate(self._plain)]
        return self._encode(cells, len(features))

    def _usual_columns(self, predictions: Sequence[Cell], scores: Sequence[Cell], features: FeatureRows) -> Part | None:
        """The same of what came as columns."""
        columns = features.columns
        if len(columns) != len(self._features) - 2 or not columns.keys() <= self._known:
            return None
        plain = [columns[feature.name] for feature in self._plain]
        others = [columns[feature.name] for feature in self._others[2:]]
        cells = list(zip(self._others, (predictions, scores, *others), strict=True))
        if any(feature.kind == "auto" and not says_nothing(column) for feature, column in cells):
            return None
        numbers = [column.values for column in plain if isinstance(column, NumberCells)]
        if len(numbers) < len(plain):
            return self._encode([*cells, *zip(self._plain, plain, strict=True)], len(features))
        part = self._encode(cells, len(features))
        for feature, column in zip(self._plain, numbers, strict=True):  # a fifth of what all at once would take
            part.values[:, feature.value] = column
            part.shares[:, feature.missing] = np.isnan(column)
        return part

    def _cells(
        self,
        feature: Feature,
        predictions: Sequence[Cell],
        scores: Sequence[Cell],
        features: Sequence[dict[str, Cell]],
    ) -> Sequence[Cell]:
        if feature.name == PREDICTION:
            return predictions
        if feature.name == SCORE:
            return scores
        if isinstance(features, FeatureRows) and feature.name in features.columns:
            return features.columns[feature.name]
        return [row.get(feature.name) for row in features]

    def _same_columns(
        self,
        predictions: Sequence[Cell],
        scores: Sequence[Cell],
        features: Sequence[dict[str, Cell]],
        start: int,
        stop: int,
    ) -> int:
        """The first row after ``start`` that would change the columns."""
        known, full = self._known, self.full
        undecided = [feature.name for feature in self._features if feature.kind == "auto"]
        for row in range(start + 1, stop):
            if not full and not features[row].keys() <= known:
                return row
            cells = (_cell(name, predictions[row], scores[row], features[row]) for name in undecided)
            if any(cell is not None for cell in cells):
                return row
        return stop

    def forget_counts(self) -> None:
        """A feature of which too few values were recorded learns its categories from what comes."""
        self._recorded = NOTHING
        for feature in self._features:
            if not feature.learned:
                feature.counted, feature.seen, feature.learns = {}, 0, 0

    def _learned_by(self, predictions: Sequence[Cell], features: Sequence[dict[str, Cell]], start: int) -> int:
        """The row after the one with which the next categorical feature has learned its categories."""
        stop = len(features)
        for feature in self._features:
            if feature.kind != "categorical" or feature.learned:
                continue
            forced, left = feature.config.kind == "categorical", self._needed(feature) - feature.seen
            cells = self._cells(feature, predictions, (), features)  # a score is never a category
            for row in range(start, stop):
                left -= category_of(cells[row], forced) is not None
                if left <= 0:
                    stop = row + 1
                    break
        return stop

    # -- features -----------------------------------------------------------------------------------------------

    def _meet(self, name: str) -> None:
        if self.full:
            return
        given = self._config.features.get(name)
        feature = Feature(name, given.kind if given is not None else "auto", given)
        self._features.append(feature)
        self._known.add(name)
        if feature.kind == "ignore":
            return self._index()
        if name not in (SCORE, PREDICTION):
            learns = self._recorded.taught(None, self._config.baseline_rows)
            feature.missing = self._share(f"missing:{name}", Kind.DATA_QUALITY, learns=learns)
        if feature.kind != "auto":
            self._open(feature)
        return self._index()

    def _index(self) -> None:
        """Sorts features into plain numbers, which nearly all are, and others."""
        plain: list[Feature] = []
        others: list[Feature] = []
        for feature in self._features[2:]:
            is_plain = feature.kind == "numeric" and feature.config.range is None
            (plain if is_plain else others).append(feature)
        self._plain, self._others = plain, self._features[:2] + others
        self._plain_values = [feature.value for feature in plain]
        self._plain_missing = [feature.missing for feature in plain]
        self._plain_row = _getter([feature.name for feature in plain])
        self._other_row = _getter([feature.name for feature in others])

    def _settle(self, feature: Feature, cell: Cell) -> None:
        """The first value says what an unconfigured feature is."""
        feature.kind = kind_of(cell)
        self._open(feature)
        self._index()

    def _open(self, feature: Feature) -> None:
        several = feature.kind == "categorical"
        feature.learns = self._recorded.taught(feature.name, self._config.baseline_rows, several=several)
        if feature.kind in ("numeric", "text-length"):
            given, name = feature.config, self._name(feature.signal)
            self.values.append(Column(name, feature.drift_kind, None, given.mean, given.sd, feature.learns))
            feature.value = len(self.values) - 1
        elif feature.kind == "boolean":
            feature.categories = {
                "true": self._share(f"{feature.signal}=true", feature.drift_kind, None, feature.learns)
            }

    def _share(self, signal: str, kind: Kind, given: float | None = None, learns: int = 0) -> int:
        self.shares.append(Column(self._name(signal), kind, given_share=given, learns=learns))
        return len(self.shares) - 1

    def _name(self, signal: str) -> str:
        """A name of its own: a category may be called ``*`` like the rest, a feature like another one's category."""
        name, number = signal, 1
        while name in self._signals:
            number += 1
            name = f"{signal} ({number})"
        self._signals.add(name)
        return name

    def _learn(self) -> None:
        """Features that have seen enough get a column for each frequent category and one for the rest."""
        for feature in self._features:
            if feature.kind == "categorical" and not feature.learned and feature.seen >= self._needed(feature):
                self._freeze(feature)

    def _needed(self, feature: Feature) -> int:
        return feature.learns or self._config.baseline_rows

    def _freeze(self, feature: Feature) -> None:
        ranked = sorted(feature.counted.items(), key=lambda item: (-item[1], item[0]))
        frequent = [item for item in ranked[: self._config.categories_max] if item[1] >= FREQUENT * feature.seen]
        left = 1.0
        for category, count in frequent:
            share = count / feature.seen
            left -= share
            signal = f"{feature.signal}={category}"
            feature.categories[category] = self._share(signal, feature.drift_kind, share, feature.learns)
        left = max(0.0, round(left, 12))
        feature.rest = self._share(f"{feature.signal}=*", feature.drift_kind, left, feature.learns)
        feature.counted = {}
        feature.learned = True

    # -- cells --------------------------------------------------------------------------------------------------

    def _encode(self, columns: Sequence[tuple[Feature, Sequence[Cell]]], rows: int) -> Part:
        values = np.full((rows, len(self.values)), np.nan)
        shares = np.full((rows, len(self.shares)), np.nan)
        for feature, cells in columns:
            if feature.value >= 0:
                column = lengths_of(cells) if feature.kind == "text-length" else numbers_of(cells)
                unreadable = unreadable_in(column, feature.config.range)
                column[unreadable] = np.nan
                values[:, feature.value] = column
            elif feature.kind == "boolean":
                unreadable = self._booleans(feature, cells, shares)
            elif feature.kind == "categorical":
                unreadable = self._categories(feature, cells, shares)
            else:
                unreadable = np.ones(rows, dtype=bool)  # nothing but nulls so far
            if feature.missing >= 0:
                shares[:, feature.missing] = unreadable
        return Part(values, shares)

    def _booleans(self, feature: Feature, cells: Sequence[Cell], shares: Matrix) -> Flags:
        column = np.array([float(cell) if isinstance(cell, bool) else np.nan for cell in cells])
        shares[:, feature.categories["true"]] = column
        unreadable: Flags = np.isnan(column)
        return unreadable

    def _categories(self, feature: Feature, cells: Sequence[Cell], shares: Matrix) -> Flags:
        forced = feature.config.kind == "categorical"  # then a number is a code, not a mistake
        if isinstance(cells, WordCells) and feature.learned:
            return self._known_categories(feature, cells.looked_up(_columns_of(feature, cells.words, forced)), shares)
        names = [category_of(cell, forced) for cell in cells]
        if not feature.learned:
            self._count(feature, names)
            return np.array([name is None for name in names], dtype=bool)
        return self._known_categories(feature, np.array(_columns_of(feature, names, forced=False)), shares)

    def _known_categories(self, feature: Feature, codes: NDArray[np.int64], shares: Matrix) -> Flags:
        """``codes``: the column of each row's category."""
        unreadable: Flags = codes < 0
        for column in (*feature.categories.values(), feature.rest):
            shares[:, column] = np.where(unreadable, np.nan, codes == column)
        return unreadable

    def _count(self, feature: Feature, names: list[str | None]) -> None:
        counted = feature.counted
        for name in names:
            if name is None:
                continue
            feature.seen += 1
            if name in counted or len(counted) < COUNTED_MAX:
                counted[name] = counted.get(name, 0) + 1

    # -- state --------------------------------------------------------------------------------------------------

    def state(self) -> EncoderState:
        unnamed = [msgspec.structs.replace(feature, name="") for feature in self._features[: len(_OWN)]]
        return EncoderState([*unnamed, *self._features[len(_OWN) :]], self.values, self.shares)

    @classmethod
    def of(cls, config: ModelConfig, state: EncoderState) -> "Encoder":
        encoder = cls(config)
        for name, feature in zip(_OWN, state.features, strict=False):
            feature.name = name
        encoder._features, encoder.values, encoder.shares = state.features, state.values, state.shares
        encoder._known = {feature.name for feature in state.features}
        encoder._signals = {column.signal for column in (*state.values, *state.shares)}
        encoder._index()
        return encoder


def _cell(name: str, prediction: Cell, score: Cell, features: dict[str, Cell]) -> Cell:
    """What one row holds under a feature's name, the prediction and its score among them."""
    if name == PREDICTION:
        return prediction
    return score if name == SCORE else features.get(name)


def _columns_of(feature: Feature, cells: Sequence[Cell], forced: bool) -> list[int]:
    """Of each the column of its category; -1 where it has none."""
    names = [category_of(cell, forced) for cell in cells]
    return [-1 if name is None else feature.categories.get(name, feature.rest) for name in names]


def _getter(names: list[str]) -> Callable[[dict[str, Cell]], tuple[Cell, ...]]:
    """The cells of these names; ``KeyError`` where one is absent."""
    if len(names) > 1:
        return itemgetter(*names)
    return (lambda row: (row[names[0]],)) if names else (lambda _: ())
