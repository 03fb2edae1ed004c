"""One monitor: a model, and where declared a version and a segment of it.

It collects the rows and losses of a batch, runs the detectors over them as columns, and then lives through what they
found in the order of the records that caused it. Nothing it decides depends on where a batch ended.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

import msgspec
import numpy as np

from detectors import wording
from detectors.banks.contract import Matrix
from detectors.baseline import Blocks
from detectors.config import ModelConfig
from detectors.effects import Decided
from detectors.encoding import Cell, Column, Encoder, EncoderState
from detectors.evidence import borne_out, of_finding, of_given
from detectors.group import Found, Group, GroupState, Recent
from detectors.lifecycle import (
    Closing,
    Disposition,
    Incident,
    Lifecycle,
    LifecycleState,
    Suspect,
    floor_of,
    severity_of,
)
from detectors.loss import Losses
from detectors.moment import Item, Moment, position_of
from detectors.reports import Reports, ScopeKey
from detectors.retrain import Policy, RetrainReason, request
from detectors.tally import Labels, Level
from detectors.timeline import Mark, Timeline, TimelineState
from detectors.windows import Archive, Book, BookState, Counted
from schemas.events import AlertEvent, Evidence, Kind, Position, Prediction

_LOSS = (Column("loss", Kind.CONCEPT_DRIFT),)
_LOG_LOSS = (Column("log_loss", Kind.CONCEPT_DRIFT),)


class _Loss(NamedTuple):
    item: Item
    losses: Losses
    predicted_at: int
    predicted_offset: int


class _Happening(NamedTuple):
    """A finding, or a block that is full. ``row`` is the group's, counted from the beginning of time."""

    item: Item
    group: Group
    row: int
    timeline: Timeline
    found: Found | None
    blocks: Blocks
    block: int = -1


class ScopeState(msgspec.Struct, array_like=True, frozen=True):
    key: ScopeKey
    retired: bool
    seen_at: int
    encoder: EncoderState
    groups: list[GroupState]
    lifecycle: LifecycleState
    book: BookState
    joined: int
    delays: list[int]
    retrains: dict[RetrainReason, int]
    timeline: TimelineState
    loss_timeline: TimelineState
    rate_loss: bool | None
    last: Position | None


class Scope:
    """State and logic of one monitor."""

    def __init__(self, key: ScopeKey, config: ModelConfig, policy: Policy, number: int, archive: Archive) -> None:
        self.key = key
        self.number = number  # of the model's scopes, in the order in which they were met
        self.retired = False  # replaced by a deployment or a new baseline: counts late labels, decides nothing
        self.seen_at = 0  # stream time of the newest prediction
        self._reports = Reports(key)
        self._config = config
        self._policy = policy
        self._encoder = Encoder(config)
        self._values = Group(config, config.detectors, rate=False)
        self._shares = Group(config, ("adwin",), rate=True)
        self._errors = Group(config, config.loss_detectors, rate=True)
        self._costs = Group(config, config.loss_detectors, rate=False)
        self._groups = (self._values, self._shares, self._errors, self._costs)
        self._rows: list[Item] = []
        self._losses: list[_Loss] = []
        self._timeline, self._loss_timeline = Timeline(), Timeline()
        self._lifecycle = Lifecycle()
        self._book = Book(archive)
        self._labels = Labels()
        self._retrains: dict[RetrainReason, int] = {}  # when each reason last led to one
        self._rate_loss: bool | None = None
        self._seen: list[Item] = []  # the predictions of this batch
        self._last: Position | None = None  # of the newest prediction before this batch

    @property
    def incidents(self) -> dict[str, Incident]:
        return self._lifecycle.incidents

    # -- state, between two batches ---------------------------------------------------------------------------------

    def state(self) -> ScopeState:
        return ScopeState(
            self.key,
            self.retired,
            self.seen_at,
            self._encoder.state(),
            [group.state(0 if self.retired else self._lifecycle.wanted(group)) for group in self._groups],
            self._lifecycle.state(),
            self._book.state(),
            self._labels.joined,
            list(self._labels.delays),
            self._retrains,
            self._timeline.state(),
            self._loss_timeline.state(),
            self._rate_loss,
            self._last,
        )

    def restore(self, state: ScopeState) -> None:
        self.retired = state.retired
        self.seen_at = state.seen_at
        self._encoder = Encoder.of(self._config, state.encoder)
        self._rate_loss = state.rate_loss
        columns = (self._encoder.values, self._encoder.shares, *self._loss_columns())
        for group, held, watched in zip(self._groups, state.groups, columns, strict=True):
            group.restore(watched, held)
        self._lifecycle.restore(state.lifecycle)
        self._book.restore(state.book)
        self._labels = Labels.of(state.joined, state.delays)
        self._retrains = state.retrains
        self._timeline = Timeline.of(state.timeline)
        self._loss_timeline = Timeline.of(state.loss_timeline)
        self._last = state.last

    def _loss_columns(self) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
        """What the groups of errors and of costs watch: a rate and a log loss, or one plain loss."""
        if self._rate_loss is None:
            return (), ()
        return (_LOSS, _LOG_LOSS) if self._rate_loss else ((), _LOSS)

    # -- taking in ----------------------------------------------------------------------------------------------------

    def predicted(self, item: Item) -> None:
        self.seen_at = item[1]
        self._rows.append(item)

    def joined(self, item: Item, losses: Losses, rate: bool, weight: float, predicted_at: int, offset: int) -> None:
        """A prediction met its final label. A weight of nothing says nothing to a detector."""
        self._rate_loss = rate
        self._labels.add(item[0], max(0, item[1] - predicted_at))
        self._book.window.lost(Counted(losses.loss, losses.log_loss, weight))
        if weight > 0:
            self._losses.append(_Loss(item, losses, predicted_at, offset))

    def corrected(self, counted_in: int, current: int, before: Counted, after: Counted) -> None:
        """A label turned out to be another one. Windows are named by their start."""
        self._book.corrected(counted_in, current, before, after)

    # -- deciding -----------------------------------------------------------------------------------------------------

    def decide(self, pending: Level, muted: Callable[[str, int], bool]) -> Iterator[Decided]:
        """Runs what was taken in since the last time through the detectors; events come in record order."""
        happenings = [*self._run_rows(), *self._run_losses()]
        if not self.retired:
            yield from self._live(happenings, pending, muted)
        self._labels.settle()
        self._timeline.settle()
        self._loss_timeline.settle()
        if self._seen:
            self._last = position_of(self._seen[-1][2])
            self._seen = []

    def tick(self, moment: Moment, pending: int) -> Iterator[Decided]:
        """What the passing of time alone decides."""
        if not self.retired:
            yield from self._retrain(moment, pending)

    def _live(
        self, happenings: list[_Happening], pending: Level, muted: Callable[[str, int], bool]
    ) -> Iterator[Decided]:
        """Lives through a batch in the order of its records."""
        if len(happenings) > 1:
            happenings.sort(key=lambda happening: happening.item[0])  # stable: rows before losses, as detected
        for happening in happenings:
            if happening.found is not None:
                yield from self._found(happening, happening.found, muted)
            else:
                happening.group.remember(happening.blocks, happening.block)
                if self._lifecycle.restless:
                    yield from self._block(happening, muted)
                    yield from self._retrain(Moment.of(happening.item), pending.at(happening.item[0]))

    def _run_rows(self) -> list[_Happening]:
        rows, self._rows = self._rows, []
        if not rows:
            return []
        first = self._timeline.rows
        self._timeline.extend(len(rows), lambda row: Mark(first + row, rows[row][1], rows[row][2].offset))
        self._seen = rows
        events: list[Prediction] = [row[3] for row in rows]
        self._book.window.saw(events)
        happenings: list[_Happening] = []
        start = 0
        for part in self._encoder.parts(
            [event.prediction for event in events],
            [event.score if event.scores is None else _score(event) for event in events],
            [event.features for event in events],
        ):
            items = rows[start : start + len(part.values)]
            for group, columns, matrix in (
                (self._values, self._encoder.values, part.values),
                (self._shares, self._encoder.shares, part.shares),
            ):
                self._doubt_given(columns[len(group.columns) :], first + start)
                group.grow(columns)
                happenings.extend(self._detect(group, matrix, items, first + start, self._timeline))
            start += len(items)
        return happenings

    def _doubt_given(self, columns: Sequence[Column], row: int) -> None:
        """A detector sees change. Values that never were like a given baseline are looked at from the first row on."""
        for column in columns:
            if column.given_mean is not None and column.given_sd:
                evidence = of_given(column.given_mean, floor_of(column, rate=False))
                self._lifecycle.suspects[column.signal] = Suspect("baseline", row, evidence)

    def _run_losses(self) -> list[_Happening]:
        losses, self._losses = self._losses, []
        if not losses:
            return []
        first = self._loss_timeline.rows
        self._loss_timeline.extend(
            len(losses), lambda row: Mark(first + row, losses[row].predicted_at, losses[row].predicted_offset)
        )
        items = [loss.item for loss in losses]
        plain = np.array([[loss.losses.loss] for loss in losses])
        for group, columns in zip((self._errors, self._costs), self._loss_columns(), strict=True):
            group.grow(columns)
        if not self._rate_loss:
            return self._detect(self._costs, plain, items, first, self._loss_timeline)
        logs = np.array([[loss.losses.log_loss] for loss in losses])
        return [
            *self._detect(self._errors, plain, items, first, self._loss_timeline),
            *self._detect(self._costs, logs, items, first, self._loss_timeline),
        ]

    def _detect(
        self, group: Group, matrix: Matrix, items: list[Item], first: int, timeline: Timeline
    ) -> list[_Happening]:
        found, blocks = group.update(matrix)
        happenings = [_Happening(items[it.row], group, first + it.row, timeline, it, blocks) for it in found]
        happenings += [
            _Happening(items[row], group, first + row, timeline, None, blocks, number)
            for number, row in enumerate(blocks.ends)
        ]
        if found and blocks.ends:
            happenings.sort(key=lambda happening: happening.row)  # stable: findings before the block they fall in
        return happenings

    # -- living through it --------------------------------------------------------------------------------------------

    def _found(self, at: _Happening, found: Found, muted: Callable[[str, int], bool]) -> Iterator[Decided]:
        column, moment = at.group.columns[found.column], Moment.of(at.item)
        evidence = of_finding(at.group, found, at.row, at.timeline, self._config, moment.trace)
        silent = muted(column.signal, moment.now)
        disposition = self._lifecycle.judge(column, found, silent)
        yield self._reports.signal(moment, at.row, column, found.detector, evidence, disposition)
        if disposition in (Disposition.SUSPECTED, Disposition.MUTED):
            self._lifecycle.suspect(column, found, at.row, evidence)

    def _block(self, at: _Happening, muted: Callable[[str, int], bool]) -> Iterator[Decided]:
        """What the recent rows say about what is open and what is suspected."""
        lifecycle, group, moment = self._lifecycle, at.group, Moment.of(at.item)
        for index, column in enumerate(group.columns):
            if column.signal in lifecycle.incidents:
                over = lifecycle.recovered(column, group, index, at.row)
                if over is not None:
                    shown = borne_out(group, index, lifecycle.incidents[column.signal].evidence, over)
                    shown = msgspec.structs.replace(shown, n=over.rows)
                    yield self._resolve(moment, column.signal, Closing.RECOVERED, shown)
            elif column.signal in lifecycle.suspects and not muted(column.signal, moment.now):
                confirmed = lifecycle.confirmed(column, group, index, at.row)
                if confirmed is not None:
                    yield self._open(at, moment, column, index, *confirmed)

    def _open(
        self, at: _Happening, moment: Moment, column: Column, index: int, suspect: Suspect, recent: Recent
    ) -> Decided:
        evidence = borne_out(at.group, index, suspect.evidence, recent)
        # Labels since the change, where it is labels that showed it.
        labels = at.row - suspect.row + 1 if at.timeline is self._loss_timeline else 0
        incident = self._lifecycle.open(
            column,
            suspect.detector,
            severity_of(column.kind, recent.effect, floor_of(column, at.group.rate)),
            evidence,
            moment.now,
            at.row,
            self._labels.joined_at(moment.at) - labels,
            self.key.text,
            moment.position,
        )
        return self._reports.alert(
            moment,
            incident,
            AlertEvent.OPENED,
            evidence,
            wording.opened(self.key.model, column, evidence, at.group.rate),
        )

    def resolve_all(self, moment: Moment, why: Closing) -> Iterator[Decided]:
        for signal in sorted(self._lifecycle.incidents):
            yield self._resolve(moment, signal, why, None)

    def resolve(self, moment: Moment, signal: str, why: Closing) -> Decided:
        return self._resolve(moment, signal, why, None)

    def _resolve(self, moment: Moment, signal: str, why: Closing, shown: Evidence | None) -> Decided:
        """``shown`` is what the recent rows say, where it is they that end it."""
        incident = self._lifecycle.close(signal)
        last = shown or incident.evidence
        evidence = msgspec.structs.replace(last, detail={**last.detail, "why": str(why)}, trace=moment.trace)
        return self._reports.alert(
            moment,
            incident,
            AlertEvent.RESOLVED,
            evidence,
            wording.resolved(self.key.model, signal, why),
        )

    def acknowledge(self, moment: Moment, incident: Incident, by: str | None) -> Decided:
        return self._reports.alert(
            moment,
            incident,
            AlertEvent.ACKNOWLEDGED,
            incident.evidence,
            f"{self.key.model}: {incident.signal} was acknowledged" + (f" by {by}." if by else "."),
        )

    def _retrain(self, moment: Moment, pending: int) -> Iterator[Decided]:
        if not self._lifecycle.incidents or self.key.segment is not None or self.key.challenger:
            return
        joined = self._labels.joined_at(moment.at)
        asked = request(self._policy, self._lifecycle.incidents.values(), moment.now, joined, self._retrains)
        if asked is None:
            return
        self._retrains[asked.reason] = moment.now
        for incident in asked.incidents:
            incident.retrained = True
        median_delay_ms = self._labels.median_delay_at(moment.at)
        yield self._reports.retrain(moment, asked, self._newest(moment), pending, median_delay_ms)

    def _newest(self, moment: Moment) -> Position:
        """The last prediction there was at that moment."""
        before = bisect_right(self._seen, moment.at, key=itemgetter(0))
        return position_of(self._seen[before - 1][2]) if before else self._last or moment.position

    @property
    def has_news(self) -> bool:
        """Whether the end of a window would say anything."""
        return self._book.has_news

    def close_window(self, moment: Moment, start: int, end: int, whole_model: dict[str, int]) -> Iterator[Decided]:
        """What the window held, where anything happened in it, and before that what was amended meanwhile."""
        for since, window in self._book.close(start, {} if self.key.segment else whole_model, moment.now):
            yield self._reports.metrics(moment, self.number, window, since, since + end - start)

    def adopt(self, lifecycle: LifecycleState) -> None:
        """Takes over the alarms of a configuration before."""
        self.retired = True
        self._lifecycle.restore(lifecycle)

    def forget_windows(self) -> None:
        self._book.archive.clear()


def _score(event: Prediction) -> Cell:
    """The score, or of many the highest: how sure the model was."""
    if event.score is not None or not event.scores:
        return event.score
    return max(event.scores.values())
