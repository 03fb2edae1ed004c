"""A monitor that has been replaced, by a deployment or a new baseline. It counts late labels, and decides nothing.

Every monitor counts as this one does. Those that watch have detectors too: ``detectors.scope``.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from detectors import wording
from detectors.awaited import AwaitedState
from detectors.causes import Basis
from detectors.corrections import NO_ROW, Correction, Corrections
from detectors.effects import Decided
from detectors.encoding import Column
from detectors.evidence import amended
from detectors.join import Labelled
from detectors.lifecycle import Alarm, Closing, Lifecycle, LifecycleState, loss_floor
from detectors.loss import Losses
from detectors.moment import Item, Moment
from detectors.reports import FROM_STREAM, Origin, Reports, ScopeKey, Step
from detectors.shelf import Pending
from detectors.tally import Labels
from detectors.usual_loss import LOSSES, About, Known
from detectors.watched import WatchedState
from detectors.windows import Archive, Book, BookState, Counted
from schemas.events import AlertEvent, Evidence, Position


class Scored(NamedTuple):
    """A prediction, its final label, and what was lost. ``item``: the record that made them meet."""

    item: Item
    losses: Losses
    label: Labelled
    entry: Pending


class ScopeState(msgspec.Struct, array_like=True, frozen=True):
    key: ScopeKey
    seen_at: int
    watched: WatchedState | None  # nothing by one that has been replaced
    lifecycle: LifecycleState
    book: BookState
    joined: int
    delays: list[int]
    last: Position | None = None
    repeats: bool = False
    origin: Origin = FROM_STREAM
    awaited: AwaitedState = {}
    basis: Basis = Basis()
    corrections: list[Correction] = []
    losses: dict[str, Known] = {}  # of one that has been replaced, by signal


class Late:
    """State and logic of one that only counts."""

    retired = True

    def __init__(self, key: ScopeKey, number: int, archive: Archive) -> None:
        self.key = key
        self.number = number  # of the model's scopes, in the order in which they were met
        self.changed = True  # since its state was written; one with open alarms may have all the same
        self.seen_at = 0  # stream time of the newest prediction
        self.reports = Reports(key)
        self.book = Book(archive)
        self.labels = Labels()
        self._lifecycle = Lifecycle()
        self._corrections = Corrections()
        self._losses_known: dict[str, Known] = {}  # when it was replaced

    @property
    def alarms(self) -> dict[str, Alarm]:
        return self._lifecycle.alarms

    # -- state, between two batches -----------------------------------------------------------------------------------

    def state(self) -> ScopeState:
        return ScopeState(
            self.key,
            self.seen_at,
            None,
            self._lifecycle.state(),
            self.book.state(),
            self.labels.joined,
            list(self.labels.delays),
            origin=self.reports.origin,
            corrections=self._corrections.state(),
            losses=self._losses_known,
        )

    def restore(self, state: ScopeState) -> None:
        self.changed = False
        self.seen_at = state.seen_at
        self._lifecycle.restore(state.lifecycle)
        self.book.restore(state.book)
        self.labels = Labels.of(state.joined, state.delays)
        self.reports.origin = state.origin
        self._corrections = Corrections(state.corrections)
        self._losses_known = state.losses

    def with_alarms_of(self, state: ScopeState) -> "Late":
        """Takes over those of a configuration before."""
        self._lifecycle.restore(state.lifecycle)
        self.reports.origin = state.origin
        return self

    # -- counting -----------------------------------------------------------------------------------------------------

    def joined(self, pairs: Sequence[Scored], rate: bool) -> Sequence[int]:
        """Predictions met their final labels. Returns which rows their losses are to detectors."""
        self.changed = True
        self.labels.add([pair.item[0] for pair in pairs], [max(0, pair.item[1] - pair.entry.time) for pair in pairs])
        self.book.window.lost([(*pair.losses, pair.label.weight) for pair in pairs])
        return [NO_ROW] * len(pairs)

    def corrected(
        self, predicted_at: int, row: int | None, counted_in: int, current: int, before: Counted, after: Counted
    ) -> None:
        """A label turned out to be another one, of the loss in this row. Windows are named by their start."""
        self.changed = True
        self.book.corrected(counted_in, current, before, after)
        seen = row != NO_ROW if row is not None else before.weight > 0  # by detectors, when it was the first
        if seen and (self.alarms or not self.retired):
            change = after.loss - before.loss, after.log_loss - before.log_loss
            self._corrections.add(Correction(predicted_at, *change, row))

    @property
    def is_corrected(self) -> bool:
        """Whether corrected labels are remembered."""
        return bool(self._corrections)

    def amended(self, moment: Moment) -> Iterator[Step]:
        """What corrected labels make of an alarm about the loss; detectors cannot take back what they saw."""
        for signal in LOSSES if self._corrections else ():
            alarm = self.alarms.get(signal)
            known = self.losses_known(About(signal)) if alarm is not None else None
            if alarm is None or known is None:
                continue
            shown, unit = amended(alarm, known.unit, self._corrections), known.unit
            if shown is None:
                continue
            if (shown.effect or 0.0) < loss_floor(unit.rate) / 2.0:
                yield self.end(moment, signal, Closing.LABELS, shown)
            else:
                alarm.evidence = shown
                summary = wording.amended(self.key.model, Column(signal, alarm.kind), shown, unit.rate)
                yield self.reports.step(moment, AlertEvent.AMENDED, alarm, summary)
        about = (alarm for signal, alarm in self.alarms.items() if signal in LOSSES)
        self.changed = self._corrections.forget([(alarm.row, alarm.opened_row) for alarm in about]) or self.changed

    def close_window(self, moment: Moment, start: int, end: int, whole_model: dict[str, int]) -> Iterator[Decided]:
        """What the window held, where anything happened in it, and before that what was amended meanwhile."""
        self.changed = self.changed or self.book.changes(moment.now)
        for since, window in self.book.close(start, {} if self.key.segment else whole_model, moment.now):
            yield self.reports.metrics(moment, self.number, window, since, since + end - start)

    @property
    def busy(self) -> bool:
        """Whether anything was taken in since the last time."""
        return self.labels.news

    def settle(self) -> None:
        """The batch has been lived through."""
        self.labels.settle()

    # -- what others ask ----------------------------------------------------------------------------------------------

    def losses_known(self, about: About) -> Known | None:
        """No label that came later has taught it anything."""
        known = self._losses_known.get(about.signal)
        return known.copy() if known is not None else None  # a trial goes on counting in its own

    def end_all(self, moment: Moment, why: Closing) -> Iterator[Step]:
        for signal in sorted(self.alarms):
            yield self.end(moment, signal, why)

    def end(
        self,
        moment: Moment,
        signal: str,
        why: Closing,
        shown: Evidence | None = None,
        row: int | None = None,
        summary: str | None = None,
    ) -> Step:
        """``shown`` is what the recent rows say, up to this row, where it is they that end it."""
        self.changed = True
        alarm = self._lifecycle.close(signal, moment.now, recovered=why is Closing.RECOVERED)
        rows = None if row is None else row - alarm.opened_row
        return self.reports.ended(moment, alarm, shown or alarm.evidence, why, rows, summary)
