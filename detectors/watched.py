"""The columns of one monitor, and how the rows and losses of a batch run through their detectors.

What comes out are *happenings*, in the order of the records that caused them: findings, and blocks of rows that are
full. They come piece by piece, as whoever lives through them may watch anew for what is over.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec
import numpy as np

from detectors import together
from detectors.arrival import ARRIVAL, SLOW, arrived, slow
from detectors.banks.packed import pack, unpack
from detectors.baseline import BLOCK, Row
from detectors.budget import ARRIVAL_COLUMNS, LOSS_COLUMNS, Family, allowance
from detectors.cells import Cell
from detectors.config import ModelConfig
from detectors.encoded import Encoded, Run, watch_alone
from detectors.encoding import Column, EncoderState
from detectors.evidence import of_given
from detectors.group import Group, GroupState
from detectors.happening import Detected, Happening, Piece, first_by_watch
from detectors.held import Held
from detectors.lifecycle import RECOVERED_ROWS, Lifecycle, Suspect, floor_of
from detectors.likeness import Name
from detectors.loss import Losses
from detectors.moment import Item
from detectors.recorded import Recorded
from detectors.rise import Rise, rise_of
from detectors.rows import Items, Rows
from detectors.timeline import Timeline, TimelineState
from detectors.together import Together
from schemas.events import JsonScalar, Kind
from schemas.times import duration_ms

_EVER = 1 << 62  # rows
CELLS_AT_ONCE = 1 << 18  # of rows that are run at once: what is made of them takes some ten megabytes

_LOSS = (Column("loss", Kind.CONCEPT_DRIFT),)
_LOG_LOSS = (Column("log_loss", Kind.CONCEPT_DRIFT),)
_TOGETHER = (Column(together.SIGNAL, Kind.FEATURE_DRIFT),)


class Loss(NamedTuple):
    item: Item
    losses: Losses
    label: Cell
    predicted_at: int
    predicted_offset: int


class WatchedState(msgspec.Struct, array_like=True, frozen=True):
    inputs: EncoderState
    outcomes: EncoderState
    groups: list[GroupState]
    together: bytes
    rows: TimelineState
    losses: TimelineState
    rate_loss: bool | None


class Watched:
    """``rate_loss``: whether the loss is right or wrong; not known before there is one."""

    def __init__(self, config: ModelConfig, lifecycle: Lifecycle, *, segment: bool) -> None:
        watch = watch_alone(config)
        self.rate_loss: bool | None = None
        self.rows, self.losses = Timeline(), Timeline()
        self._config, self._lifecycle, self._segment = config, lifecycle, segment
        self._objective_ms = duration_ms(config.latency_objective)
        self._freshness_ms = duration_ms(config.freshness_objective)
        self._stricter = 1
        self._reach = _EVER  # for so many rows at once, no watch has found anything lately
        self._sharing = 0  # columns that share the part of what is seen of a prediction
        self._learns: Mapping[str, int] = {}  # how many values teach a column of these signals, where not as usual
        self._inputs, self._outcomes = Encoded(config), Encoded(config, labels=True)
        self._together = Together(config.baseline_rows)
        self._joint = Group(config, watch, rate=False)
        # How predictions come is the whole model's; and it is told within a budget or not at all.
        self._arrival = () if segment or not watch else ARRIVAL
        self._arriving = Group(config, watch, rate=True)
        self._latency = Group(config, watch, rate=True)
        self.forget_losses()

    def forget_losses(self) -> None:
        """Whatever is known of losses is of another kind than those that come."""
        self._errors = Group(self._config, self._config.loss_detectors, rate=True)
        self._costs = Group(self._config, self._config.loss_detectors, rate=False)
        of_rows = (*self._inputs.groups, self._joint, self._arriving, self._latency)
        self.groups = (*of_rows, *self._outcomes.groups, self._errors, self._costs)
        for group in (self._errors, self._costs):
            group.baseline.rows = self.losses.rows  # so that blocks end at the same rows in every group

    # -- a baseline that was recorded -------------------------------------------------------------------------------

    def learn_from(self, inputs: Recorded, outcomes: Recorded, learns: Mapping[str, int]) -> None:
        """The rows and losses that come until ``begin`` are all that there is to learn from."""
        self._inputs.encoder.learn_from(inputs)
        self._outcomes.encoder.learn_from(outcomes)
        self._arrival = ()  # how these rows came, nobody knows
        self._learns = learns

    def begin(self) -> None:
        """It has learned: rows are counted from here on, evidence and time begin, and nothing was found before."""
        self._learns = {}
        if self._together.width:
            self._together.begin_again()
        elif len(self._features) > 1 and self._joint.watched:
            self._together.begin(len(self._features))  # all there are; they are standardised from the first row on
            self._share_out()
        self._inputs.begin()
        self._outcomes.begin()
        for group in (self._joint, self._arriving, self._latency, self._errors, self._costs):
            group.begin()
        self.rows, self.losses = Timeline(), Timeline()

    def known(self) -> Iterator[Column]:
        """Those of which it is known what is normal."""
        for group in self.groups:
            yield from (column for index, column in enumerate(group.columns) if group.ready(index))

    def ready(self) -> dict[str, bool]:
        """Of each signal, whether it is known what is normal."""
        return {
            column.signal: group.ready(index) for group in self.groups for index, column in enumerate(group.columns)
        }

    def start_from(self, state: WatchedState) -> None:
        """Goes on from what one like this one has learned elsewhere."""
        self.restore(state)
        self._doubt_given(self._inputs.values.columns, 0)

    # -- state, between two batches ---------------------------------------------------------------------------------

    def state(self) -> WatchedState:
        return WatchedState(
            self._inputs.encoder.state(),
            self._outcomes.encoder.state(),
            [group.state(self._lifecycle.wanted(group)) for group in self.groups],
            pack(self._together.numbers()),
            self.rows.state(),
            self.losses.state(),
            self.rate_loss,
        )

    def restore(self, state: WatchedState) -> None:
        self._inputs.restore(state.inputs)
        self._outcomes.restore(state.outcomes)
        self._together.restore(unpack(state.together))
        self.rate_loss = state.rate_loss
        columns: tuple[Sequence[Column], ...] = (
            *self._inputs.columns,
            _TOGETHER,
            self._arrival,
            (SLOW,),
            *self._outcomes.columns,
            *self._loss_columns(),
        )
        for group, held, watched in zip(self.groups, state.groups, columns, strict=True):
            group.restore(watched, held)
        self.allow_anew(self._stricter)  # what columns may spend is not kept
        self.rows, self.losses = Timeline.of(state.rows), Timeline.of(state.losses)

    def allow_anew(self, stricter: int) -> None:
        """Each column may have one false alarm in so many times as long as was asked for, from the next row on."""
        self._stricter = stricter
        for group in (self._arriving, self._latency):
            if group.columns:
                self._grow(group, group.columns, Family.ARRIVAL, ARRIVAL_COLUMNS)
        self._sharing = 0  # the others are shared out with the next row

    def _loss_columns(self) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
        """What the groups of errors and of costs watch: a rate and a log loss, or one plain loss."""
        if self.rate_loss is None:
            return (), ()
        return (_LOSS, _LOG_LOSS) if self.rate_loss else ((), _LOSS)

    def settle(self) -> None:
        """The batch is over."""
        self.rows.settle()
        self.losses.settle()

    def name_of(self, group: Group, index: int, blocks: int, changed: Iterable[int], *, last: bool) -> Name | None:
        """What the change of a column looks like in so many last blocks, beside those ``changed`` too."""
        for encoded in (self._inputs, self._outcomes):
            if group in encoded.groups:
                return encoded.name_of(group, index, blocks, changed, last=last)
        return None

    def distances(self, group: Group, index: int, row: int) -> dict[str, JsonScalar]:
        """How far the values since this row lie from the baseline of the watch, which has reported the column."""
        for encoded in (self._inputs, self._outcomes):
            together = encoded.distances(group, index, row)
            if together is not None:
                return together
        return group.distances(index, row)

    @property
    def of_loss(self) -> Group:
        return self._errors if self.rate_loss else self._costs

    @property
    def of_losses(self) -> tuple[Group, Group]:
        return self._errors, self._costs

    def rise(self, row: int, before: float | None = None) -> Rise:
        """How much higher than ``before``, or its baseline, the loss is since this row, in whole remembered blocks."""
        return rise_of(self.of_loss, row, before)

    @property
    def usual_loss(self) -> float:
        """``nan`` before blocks of losses have been held against it: it is still being learned."""
        group = self.of_loss
        _, counts = group.levels(0)
        return float(group.baseline.mean[0]) if counts.any() else math.nan

    def watched_signals(self) -> Iterator[str]:
        """Of what goes in and comes out, as far as values have been held against a baseline lately."""
        for group in self._inputs.groups:
            for index, column in enumerate(group.columns):
                if group.levels(index)[1].any():
                    yield column.signal

    def watch_again(self, signal: str) -> None:
        """What was found of it is dealt with."""
        for group in self.groups:
            for index, column in enumerate(group.columns):
                if column.signal == signal:
                    group.watch_again(index)

    # -- a batch ------------------------------------------------------------------------------------------------------

    def predicted(self, rows: Rows, repeated: Collection[int] = (), *, alone: bool = False) -> Iterator[Happening]:
        """What the predictions of a batch make happen. ``repeated``: which of them had one come again before them.

        ``alone``: nobody asks for anything meanwhile but who lives through it.
        """
        first = self.rows.rows
        self.rows.extend(len(rows), rows.marks)
        if len(self._arriving.columns) < len(self._arrival):
            self._grow(self._arriving, self._arrival, Family.ARRIVAL, ARRIVAL_COLUMNS)
        arriving = arrived(rows, repeated, self._freshness_ms) if self._arrival else np.empty((len(rows), 0))
        took = slow(rows, self._objective_ms)
        for runs in self._inputs.runs(*rows.answers()):
            for run in runs:
                self._doubt_given(run.columns[len(run.group.columns) :], first + run.start)
            self._share_out()
            start, stop = runs[0].start, runs[0].start + len(runs[0].matrix)
            runs.append(Run(self._arriving, self._arriving.columns, arriving[start:stop], start))
            runs.append(Run(self._latency, self._latency.columns, took[start:stop], start))
            yield from self._pieces(runs, rows, first, self.rows, alone=alone)

    def joined(self, losses: list[Loss]) -> Iterator[Happening]:
        """What the labels of a batch make happen."""
        first = self.losses.rows
        self.losses.extend(len(losses), lambda some: chain.from_iterable(losses[row][3:] for row in some))
        items = Items([loss.item for loss in losses])
        plain = np.array([[loss.losses.loss for loss in losses]]).T
        for group, columns in zip((self._errors, self._costs), self._loss_columns(), strict=True):
            self._grow(group, columns, Family.LOSSES, LOSS_COLUMNS)
        scored = [(self._costs, plain)]
        if self.rate_loss:
            scored = [(self._errors, plain), (self._costs, np.array([[loss.losses.log_loss for loss in losses]]).T)]
        for runs in self._outcomes.runs([loss.label for loss in losses], [None] * len(losses), [{}] * len(losses)):
            for run in runs:
                self._grow(run.group, run.columns, Family.LABELS, sum(map(len, self._outcomes.columns)))
            start, stop = runs[0].start, runs[0].start + len(runs[0].matrix)
            runs += [Run(group, group.columns, matrix[start:stop], start) for group, matrix in scored]
            yield from self._pieces(runs, items, first, self.losses)

    def _grow(self, group: Group, columns: Sequence[Column], family: Family, of_family: int) -> None:
        if self._learns:
            columns = [
                msgspec.structs.replace(column, learns=self._learns.get(column.signal, column.learns))
                for column in columns
            ]
        allowed = allowance(self._config, family, of_family, segment=self._segment, stricter=self._stricter)
        group.grow(columns, allowed)

    def _doubt_given(self, columns: Sequence[Column], row: int) -> None:
        """A detector sees change. Values that never were like a given baseline are looked at from the first row on."""
        for column in columns:
            if column.given_mean is not None and column.given_sd:
                evidence = of_given(column.given_mean, floor_of(column, rate=False))
                self._lifecycle.suspects[column.signal] = Suspect("baseline", row, evidence)

    def _pieces(
        self, runs: Sequence[Run], rows: Rows, first: int, timeline: Timeline, *, alone: bool = False
    ) -> Iterator[Happening]:
        """Piece by piece: what is over at the end of one is watched for anew in the next."""
        row, end = runs[0].start, runs[0].start + len(runs[0].matrix)
        clock = rows.times().astype(np.float64)
        while row < end:
            certain, due = _EVER, list[Group]()
            if self._lifecycle.restless:
                certain, due = self._lifecycle.certain([*(run.group for run in runs), self._joint], first + row)
                due += [self._inputs.values] if self._joint in due else []  # they are run together
            if timeline is self.rows:
                certain = min(certain, self._begin_together(first + row), self._begin_latency(runs[-1], row))
            stop, held = min(end, row + certain), None
            if stop - row > RECOVERED_ROWS:
                groups = (*(run.group for run in runs), self._joint)
                changing = [self._together, *(thing for group in groups for thing in group.changing())]
                stop = min(stop, row + min(self._reach, _far(changing, runs)))
                held = Held(changing) if stop - row > RECOVERED_ROWS else None
            ahead = [[] if run.group in due else self._detect(run, slice(row, stop), first, clock) for run in runs]
            found = first_by_watch(ahead, stop)
            # Where watches find much, as with a small budget, it does not pay to look far.
            self._reach = min(2 * self._reach, _EVER) if found == stop else RECOVERED_ROWS
            if held is not None and found + RECOVERED_ROWS < stop:
                held.go_back()
                stop = found + RECOVERED_ROWS
                ahead = [self._detect(run, slice(row, stop), first, clock) for run in runs]
            while row < stop:
                piece = slice(row, min(stop, row + BLOCK - (first + row) % BLOCK) if due else stop)
                detected: list[Detected] = []
                for run, known in zip(runs, ahead, strict=True):
                    parts = [one.part(piece) for one in known] if due else known
                    detected += parts or self._detect(run, piece, first, clock)
                made = Piece(detected, rows, first, timeline)
                yield from made.but_for_quiet(lambda: self._lifecycle.restless) if alone else made.happenings()
                row = piece.stop

    def _detect(self, run: Run, piece: slice, first: int, clock: Row) -> list[Detected]:
        group, row, times = run.group, first + piece.start, clock[piece]
        matrix = run.matrix[piece.start - run.start : piece.stop - run.start, : len(group.columns)]
        detected = [Detected.all_of(group, piece.start, *group.update(matrix, row, times))]
        standardised = group.last_standardised()
        if group is self._inputs.values:  # no column before there are features to look at together
            width = self._together.width
            distances = np.empty((len(standardised), 0))
            if width:
                distances = self._together.distances(standardised[:, self._features[:width]])
            detected.append(Detected.all_of(self._joint, piece.start, *self._joint.update(distances, row, times)))
        return detected

    def _begin_together(self, row: int) -> int:
        """From the row on at which the numbers are standardised for sure. Says for how many rows that holds."""
        begins = 2 * self._config.baseline_rows
        if row < begins:
            return begins - row
        if row == begins and not self._together.width and len(self._features) > 1 and self._joint.watched:
            self._together.begin(len(self._features))
            self._share_out()
        return _EVER

    @property
    def _features(self) -> list[int]:
        """Which columns of values are of features, not of the prediction or its score."""
        columns = self._inputs.values.columns
        return [index for index, column in enumerate(columns) if column.kind is Kind.FEATURE_DRIFT]

    def _begin_latency(self, run: Run, row: int) -> int:
        """From the first row on that says how long it took. Says for how many rows it stays as it is."""
        if self._latency.columns or not self._latency.watched:
            return _EVER
        (said,) = np.nonzero(~np.isnan(run.matrix[row - run.start :, 0]))
        if not len(said):
            return _EVER
        if said[0] > 0:
            return int(said[0])
        self._grow(self._latency, [SLOW], Family.ARRIVAL, ARRIVAL_COLUMNS)
        return _EVER

    def _share_out(self) -> None:
        """Features, predictions and scores share one part of the budget, from the same row on."""
        watched = (*self._inputs.columns, _TOGETHER[: self._together.width])
        columns = sum(map(len, watched))
        if columns == self._sharing:
            return
        self._sharing = columns
        for group, of_group in zip(self.groups, watched, strict=False):
            self._grow(group, of_group, Family.INPUTS, columns)


def _far(changing: Iterable[object], runs: Sequence[Run]) -> int:
    """So many rows are run at once where nothing is open or suspected.

    As long as no watch finds something in them, none is to watch again before their end; if one does, all go back.
    """
    if not all(map(Held.can_hold, changing)):
        return RECOVERED_ROWS
    return max(RECOVERED_ROWS, CELLS_AT_ONCE // max(1, sum(len(run.group.columns) for run in runs)))
