"""A baseline that was recorded: rows of a file, run through the detectors that watch the stream, before it begins.

They learn from the rows as from the first ones of a stream, so nothing else needs to know where a baseline came from.
What they find on the way is no alarm, as nobody was asked to watch. It is told to whoever checks the configuration.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import NamedTuple

import msgspec
import numpy as np

from detectors.banks.shiryaev import WATCH
from detectors.cells import Cell, category_of, fits, kind_of, score_of
from detectors.config import FeatureConfig, ModelConfig
from detectors.encoded import LABEL
from detectors.feature import PREDICTION, SCORE
from detectors.happening import Happening
from detectors.lifecycle import Lifecycle, floor_of, harmful
from detectors.loss import EVIDENCE, Losses, LossRule, Pair, configured, found_out, losses
from detectors.moment import Item
from detectors.recorded import LEARN_MIN, Recorded
from detectors.reports import Origin
from detectors.rows import Items
from detectors.shelf import Label, Pending
from detectors.watched import Loss, Watched, WatchedState
from schemas.events import Prediction
from schemas.records import Record

_LABEL = LABEL.ljust(len(PREDICTION))  # no feature can be called so
_CHUNK = 2_000  # rows that run through the detectors at once
TOP = 3  # categories shown
_TOO_LARGE = 'the numbers are too large for a mean and a spread; scale them, or set kind = "ignore"'
_NUMERIC = ("numeric", "text-length")
_encode = msgspec.msgpack.Encoder().encode
_state = msgspec.msgpack.Decoder(WatchedState)


class Row(NamedTuple):
    """A prediction with its label, where that is known. ``time`` in epoch milliseconds never falls."""

    time: int
    prediction: Prediction
    label: Label | None


class Portrait(msgspec.Struct, frozen=True):
    """What a baseline says of a feature, the prediction, the score or the label."""

    name: str
    kind: str
    values: int
    missing: float  # share of the rows
    mean: float | None
    sd: float | None
    top: Sequence[tuple[str, float]]  # the most frequent categories, with their shares
    state: str  # "ready", or why not


class Learned(msgspec.Struct, frozen=True):
    """One baseline of one model."""

    origin: Origin
    rows: int
    labels: int
    span: tuple[int, int]
    rule: LossRule | None
    knows_losses: bool
    kinds: Mapping[str, str]  # what features came as
    portraits: Sequence[Portrait]
    states: Mapping[str | None, bytes]  # by segment, ``None`` is the whole model

    def start(self, segment: str | None) -> WatchedState | None:
        """A state of its own for each who asks; ``None`` where there were too few rows of the segment."""
        state = self.states.get(segment)
        return None if state is None else _state.decode(state)


class Recordings(msgspec.Struct, frozen=True):
    """All baselines that were recorded, by model and name; ``defaults`` are those of models that nobody configured."""

    defaults: Mapping[str, Learned] = {}
    models: Mapping[str, Mapping[str, Learned]] = {}

    def of(self, model: str) -> Mapping[str, Learned]:
        return self.models.get(model, self.defaults)


def learn(config: ModelConfig, origin: Origin, rows: Sequence[Row]) -> Learned:
    """At least one row."""
    rule = configured(config) or _found_out(config, rows)
    features = list(_features(config, rows))
    taught, drifts = _taught(config, rows, rule, None, features)
    states: dict[str | None, bytes] = {None: _encode(taught.state())}
    for segment, those in _by_segment(config, rows):
        states[segment] = _encode(_taught(config, those, rule, segment, list(_features(config, those)))[0].state())
    ready = taught.ready()
    return Learned(
        origin=origin,
        rows=len(rows),
        labels=sum(row.label is not None for row in rows),
        span=(rows[0].time, rows[-1].time),
        rule=rule,
        knows_losses=ready.get("loss", False),
        kinds={feature.key: feature.kind for feature in features if feature.cells and _watched(feature, ready)},
        portraits=[_portrait(feature, len(rows), ready, drifts) for feature in features],
        states=states,
    )


def _found_out(config: ModelConfig, rows: Sequence[Row]) -> LossRule | None:
    answered = (row for row in rows if row.label is not None and row.prediction.prediction is not None)
    pairs = [Pair(_entry(row, 0), row.label) for row in islice(answered, EVIDENCE) if row.label is not None]
    return found_out(config, pairs) if len(pairs) == EVIDENCE else None


def _entry(row: Row, offset: int) -> Pending:
    event = row.prediction
    return Pending(row.time, offset, 0, 0, event.prediction, event.score, event.scores)


def _by_segment(config: ModelConfig, rows: Sequence[Row]) -> Iterator[tuple[str, Sequence[Row]]]:
    """The values that have enough rows, of each segment the most frequent ones."""
    for name in config.segments:
        of_name = [(value, row) for row in rows if (value := (row.prediction.segments or {}).get(name)) is not None]
        of_name.sort(key=itemgetter(0))  # stable: rows stay in their order
        parts = [(value, [row for _, row in part]) for value, part in groupby(of_name, key=itemgetter(0))]
        parts.sort(key=lambda part: (-len(part[1]), part[0]))
        for value, part in parts[: config.segment_values_max]:
            if len(part) >= min(LEARN_MIN, config.baseline_rows):
                yield f"{name}={value}", part


# -- through the detectors -------------------------------------------------------------------------------------------


def _taught(
    config: ModelConfig,
    rows: Sequence[Row],
    rule: LossRule | None,
    segment: str | None,
    features: Sequence["_Feature"],
) -> tuple[Watched, dict[str, int]]:
    """The columns as they have learned from the rows, and from which row on a signal was not like those before."""
    watched = Watched(config, Lifecycle(), segment=segment is not None)
    labelled = [(number, row) for number, row in enumerate(rows) if row.label is not None]
    values = {feature.key: len(feature.cells) for feature in features}
    labels = Recorded(len(labelled), {PREDICTION: values.get(_LABEL, 0)})
    latencies = Recorded(sum(row.prediction.latency_ms is not None for row in rows))
    losses_taught = labels.taught(None, config.baseline_rows)
    learns = {
        "latency": latencies.taught(None, config.baseline_rows),
        "loss": losses_taught,
        "log_loss": losses_taught,
    }
    watched.learn_from(Recorded(len(rows), values), labels, learns)
    drifts: dict[str, int] = {}
    items = _items(rows, [feature.key for feature in features])
    for start in range(0, len(items), _CHUNK):
        _note(watched.predicted(Items(items[start : start + _CHUNK])), drifts)
        watched.settle()
    if labelled:
        watched.rate_loss = None if rule is None else rule.is_rate
        lost = [_loss(items[number], row, number, rule) for number, row in labelled]
        for start in range(0, len(lost), _CHUNK):
            _note(watched.joined(lost[start : start + _CHUNK]), drifts)
            watched.settle()
    watched.begin()
    return watched, drifts


def _items(rows: Sequence[Row], names: Sequence[str]) -> list[Item]:
    """The first row names all features: a column that appears late was missing until then."""
    items: list[Item] = [
        (number, row.time, Record("", 0, number, row.time, None, None), row.prediction)
        for number, row in enumerate(rows)
    ]
    number, time, record, first = items[0]
    absent = {name: None for name in names if name not in (PREDICTION, SCORE, _LABEL)}
    items[0] = (number, time, record, msgspec.structs.replace(first, features={**absent, **first.features}))
    return items


def _loss(item: Item, row: Row, number: int, rule: LossRule | None) -> Loss:
    """Data that the model was trained on has labels, and often no predictions."""
    assert row.label is not None
    known = rule is not None and row.prediction.prediction is not None
    scored = losses(rule, _entry(row, number), row.label) if known and rule else Losses(math.nan, math.nan)
    return Loss(item, scored, row.label, row.time, number)


def _note(happenings: Iterator[Happening], drifts: dict[str, int]) -> None:
    """Where a change that would have been an alarm began. It is the first of its signal: one that alarms is silent."""
    for happening in happenings:
        group, found = happening.group, happening.found
        if found is None:
            group.remember(happening.blocks, range(happening.block, happening.block + 1))
            continue
        column = group.columns[found.column]
        large = abs(found.effect) >= floor_of(column, group.rate)
        if found.detector == WATCH and large and harmful(column.kind, found.effect):
            since = max(1, group.rows_spanned(found.column, found.finding.since))
            drifts.setdefault(column.signal, max(0, happening.row - since + 1))


# -- what can be said of it ------------------------------------------------------------------------------------------


class _Feature(NamedTuple):
    key: str  # what the encoder calls it
    name: str
    kind: str
    cells: list[Cell]  # those that can be read


def _features(config: ModelConfig, rows: Sequence[Row]) -> Iterator[_Feature]:
    own = FeatureConfig()
    yield _feature(PREDICTION, "prediction", own, [row.prediction.prediction for row in rows])
    if any(row.prediction.score is not None or row.prediction.scores for row in rows):
        yield _feature(SCORE, "score", own, [score_of(row.prediction) for row in rows])
    for name in dict.fromkeys(name for row in rows for name in row.prediction.features):
        given = config.features.get(name, own)
        yield _feature(name, name, given, [row.prediction.features.get(name) for row in rows])
    if any(row.label is not None for row in rows):
        yield _feature(_LABEL, LABEL, own, [row.label for row in rows])


def _feature(key: str, name: str, given: FeatureConfig, cells: list[Cell]) -> _Feature:
    kind: str = given.kind
    forced = kind == "categorical"
    if kind == "auto":
        first = next((cell for cell in cells if cell is not None), None)
        kind = "auto" if first is None else kind_of(first)
    if kind in ("auto", "ignore"):
        return _Feature(key, name, kind, [])
    read = [cell for cell in cells if fits(cell, kind, forced=forced)]
    if given.range is not None and kind in _NUMERIC:
        low, high = given.range
        read = [cell for cell in read if low <= _number_of(cell) <= high]
    return _Feature(key, name, kind, read)


def _number_of(cell: Cell) -> float:
    return float(len(cell)) if isinstance(cell, str) else float(cell or 0.0)


def _portrait(feature: _Feature, rows: int, ready: Mapping[str, bool], drifts: Mapping[str, int]) -> Portrait:
    name, kind, cells = feature.name, feature.kind, feature.cells
    mean = sd = None
    top: Sequence[tuple[str, float]] = ()
    if kind in _NUMERIC and cells:
        numbers = np.array([_number_of(cell) for cell in cells])
        with np.errstate(over="ignore", invalid="ignore"):  # the largest numbers have no sum
            mean, sd = float(numbers.mean()), float(numbers.std())
    elif cells:
        counted = Counter(str(category_of(cell, True)) for cell in cells)
        ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        top = [(category, count / len(cells)) for category, count in ranked[:TOP]]
    own = name if feature.key in (PREDICTION, SCORE, _LABEL) else f"feature:{name}"
    too_large = mean is not None and sd is not None and not (math.isfinite(mean) and math.isfinite(sd))
    if too_large:
        mean = sd = None
    facts = {"constant": sd == 0.0, "too large": too_large}
    state = _state_of(feature, own, facts, ready, drifts)
    return Portrait(name, kind, len(cells), 1.0 - len(cells) / rows, mean, sd, top, state)


def _watched(feature: _Feature, ready: Mapping[str, bool]) -> bool:
    """Whether it is one of a prediction's parts, and not one too many."""
    return feature.key in (PREDICTION, SCORE) or (feature.key != _LABEL and f"missing:{feature.name}" in ready)


def _state_of(
    feature: _Feature, own: str, facts: Mapping[str, bool], ready: Mapping[str, bool], drifts: Mapping[str, int]
) -> str:
    if feature.kind == "ignore":
        return "ignored, as configured"
    if feature.kind == "auto":
        # A prediction that is missing is a dead letter, so that there is nothing to count.
        counted = "all values are missing; only how many are missing is watched"
        return f"not reportable: {'the file has none; the stream teaches it' if feature.key == PREDICTION else counted}"
    signals = [signal for signal in ready if signal == own or signal.startswith(f"{own}=")]
    if not signals and not _watched(feature, ready) and feature.key != _LABEL:
        return "not reportable: one feature too many, see features_max"
    if not signals or not all(ready[signal] for signal in signals):
        few = f"{len(feature.cells):,} values, {LEARN_MIN} needed; the stream teaches it"
        return f"not reportable: {_TOO_LARGE if facts['too large'] else few}"
    state = "ready; constant, so a change is measured by its size" if facts["constant"] else "ready"
    began = [drifts[signal] for signal in (*signals, f"missing:{feature.name}") if signal in drifts]
    return f"{state}; it drifts in the baseline itself, from row {min(began) + 1:,} on" if began else state
