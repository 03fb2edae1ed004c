"""One monitor: a model, and where declared a version and a segment of it.

It collects the rows and losses of a batch, runs the detectors over them as columns, and then lives through what they
found in the order of the records that caused it. Nothing it decides depends on where a batch ended.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from heapq import merge
from operator import attrgetter

import msgspec

from detectors import wording
from detectors.asking import Asker, Here, Retraining
from detectors.awaited import Awaited
from detectors.causes import NOT_KNOWN
from detectors.collected import Collected
from detectors.config import ModelConfig
from detectors.corrections import NO_ROW
from detectors.effects import Decided
from detectors.encoding import Column
from detectors.evidence import borne_out, named, of_finding
from detectors.explaining import LOOKS, Around, Explainer, is_news
from detectors.group import Found
from detectors.happening import Happening
from detectors.late import Late, ScopeState, Scored
from detectors.learning import Learned
from detectors.lifecycle import (
    BY_LABELS,
    REPLACED,
    Alarm,
    Closing,
    Disposition,
    LifecycleState,
    Suspect,
    blocks_since,
    floor_of,
    severity_of,
)
from detectors.likeness import NAMED_BLOCKS, Name
from detectors.moment import Item, Moment
from detectors.mutes import Mutes
from detectors.reports import Said, ScopeKey, Step
from detectors.rows import Stretch
from detectors.tally import Level
from detectors.usual_loss import LOSSES, About, Known, known_of
from detectors.watched import Loss, Watched
from detectors.windows import Archive
from schemas.events import AlertEvent, Evidence, LabelCounts


class Scope(Late):
    """State and logic of one monitor that watches."""

    retired = False

    def __init__(
        self, key: ScopeKey, config: ModelConfig, retraining: Retraining, number: int, archive: Archive, around: Around
    ) -> None:
        super().__init__(key, number, archive)
        self._config = config
        self._around = around
        self.collected = Collected()
        self._losses: list[Loss] = []
        self._watched = Watched(config, self._lifecycle, segment=key.segment is not None)
        self.allow_anew = self._watched.allow_anew
        self._awaited = Awaited(config)
        self.explainer = Explainer(key, self._watched, self._lifecycle, around)
        self._asker = Asker(retraining, self.explainer, self.reports)

    # -- state, between two batches ---------------------------------------------------------------------------------

    def state(self) -> ScopeState:
        return msgspec.structs.replace(
            super().state(),
            watched=self._watched.state(),
            last=self.collected.last,
            repeats=self.collected.repeats,
            awaited=self._awaited.state,
            basis=self.explainer.basis,
        )

    def restore(self, state: ScopeState) -> None:
        assert state.watched is not None, "it has been replaced, and watches no more"
        super().restore(state)
        self._watched.restore(state.watched)
        self.collected.last, self.collected.repeats = state.last, state.repeats
        self._awaited.state = state.awaited
        self.explainer.basis = state.basis

    def replaced(self) -> ScopeState:
        """What stays of it when another one comes: late labels have to be counted, alarms on the loss may be tried."""
        known = {signal: self.losses_known(About(signal)) for signal in LOSSES}
        return msgspec.structs.replace(
            super().state(),
            lifecycle=LifecycleState(self.alarms, {}),
            corrections=self._corrections.state() if self.alarms else [],
            losses={signal: losses for signal, losses in known.items() if losses is not None},
        )

    def start_from(self, learned: Learned) -> None:
        """A baseline that was recorded, where it has enough of this segment; before anything has come."""
        state = learned.start(self.key.segment)
        if state is not None:
            self._watched.start_from(state)
            self.explainer.given()
            self.reports.origin = learned.origin
            if self.key.segment is None:
                self._awaited.start(learned.kinds)

    # -- taking in ----------------------------------------------------------------------------------------------------

    def predicted(self, item: Item) -> None:
        self.seen_at, self.changed = item[1], True
        self.collected.add(item)

    def predicted_rows(self, rows: Stretch, start: int, stop: int) -> None:
        """Many at once."""
        self.seen_at, self.changed = rows.at(stop - 1)[0], True
        self.collected.add_rows(rows, start, stop)

    def joined(self, pairs: Sequence[Scored], rate: bool) -> Sequence[int]:
        """A weight of nothing says nothing to a detector."""
        if self._watched.rate_loss not in (None, rate):  # a recorded baseline took the labels for those of another task
            self._watched.forget_losses()
            self.explainer.forget_losses()
        self._watched.rate_loss = rate
        super().joined(pairs, rate)
        first, rows = self._watched.losses.rows, list[int]()
        for item, losses, label, entry in pairs:
            if label.weight > 0:
                rows.append(first + len(self._losses))
                self._losses.append(Loss(item, losses, label.label, entry.time, entry.offset))
            else:
                rows.append(NO_ROW)
        return rows

    # -- deciding -----------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        return bool(self.collected.waits or self._losses or self.labels.news)

    def unfit(self) -> Sequence[Decided]:
        """Where what was taken in since the last time does not come as a recorded baseline has it; before it is run."""
        missed = list(self._awaited.look(self.collected.waiting, self._watched.rows.rows))
        if not missed:
            return ()
        rows = self._config.baseline_rows
        return [
            self.reports.baseline(Moment.of(item), signal, rows, "not_reportable", why) for item, signal, why in missed
        ]

    def happenings(self, *, alone: bool) -> Iterator[Happening]:
        """Runs what was taken in since the last time through the detectors, in record order.

        ``alone``: nothing happens to any other monitor meanwhile.
        """
        if not self._losses:
            return self._run_rows(alone=alone)
        return merge(self._run_rows(), self._run_losses(), key=attrgetter("at"))  # stable: rows before losses

    def settle(self) -> None:
        self.collected.see(self.book.window)
        super().settle()
        self._watched.settle()
        self.explainer.judged = []
        self.collected.settle()

    def tick(self, moment: Moment, pending: int) -> Iterator[Decided]:
        """What the passing of time alone decides."""
        yield from self._retrain(moment, pending)

    def live(self, happening: Happening, pending: Level, mutes: Mutes) -> Iterable[Said]:
        """Lives through what one record made happen."""
        muted = partial(mutes.holds, self.key.segment or "")
        if happening.found is not None:
            return self._found(happening, happening.found, muted, pending.at(happening.at))
        happening.group.remember(happening.blocks, range(happening.block, happening.block + 1))
        return self._block(happening, muted, pending) if self._lifecycle.restless else ()

    def _run_rows(self, *, alone: bool = False) -> Iterator[Happening]:
        parts = self.collected.hand_out(self._watched.rows.rows)
        if parts:
            self.explainer.began(parts[0][0].at(0)[0])
        for rows, repeated in parts:
            yield from self._watched.predicted(rows, repeated, alone=alone)

    def _run_losses(self) -> Iterator[Happening]:
        losses, self._losses = self._losses, []
        if losses:
            self.explainer.judged = losses
            yield from self._watched.joined(losses)

    # -- living through it --------------------------------------------------------------------------------------------

    def _found(self, at: Happening, found: Found, muted: Callable[[str, int], bool], pending: int) -> Iterator[Said]:
        column, moment = at.group.columns[found.column], Moment.of(at.item)
        evidence = of_finding(at.group, found, at.row, at.timeline, self._config, moment)
        silent = muted(column.signal, moment.now)
        disposition = self._lifecycle.judge(column, found, evidence, silent, at.group)
        yield self.reports.signal(moment, at.row, column.signal, column.kind, found.detector, evidence, disposition)
        if disposition is Disposition.OPENED:
            since = max(1, at.group.rows_spanned(found.column, found.finding.since))
            cause = self._lifecycle.cause(found, at.row - since + 1, evidence)
            yield self._open(at, moment, found.column, cause, found.effect, evidence)
            yield from self._retrain(moment, pending)
        elif disposition in (Disposition.SUSPECTED, Disposition.MUTED):
            self._lifecycle.suspect(column, found, at.row, evidence)

    def _block(self, at: Happening, muted: Callable[[str, int], bool], pending: Level) -> Iterator[Said]:
        """What a block says while something is open or suspected."""
        lifecycle, group = self._lifecycle, at.group
        for index in lifecycle.restless_of(group):
            column, moment = group.columns[index], Moment.of(at.item)
            if column.signal in lifecycle.alarms:
                over = lifecycle.recovered(column, group, index, at.row)
                if over is not None:
                    alarm = lifecycle.alarms[column.signal]
                    shown = borne_out(group, index, alarm.evidence, over, alarm.spread)
                    shown = msgspec.structs.replace(shown, n=over.rows)
                    yield self.end(moment, column.signal, Closing.RECOVERED, shown, at.row)
                elif not muted(column.signal, moment.now):
                    yield from self._explained(at, moment, index)
            elif column.signal in lifecycle.suspects and not muted(column.signal, moment.now):
                confirmed = lifecycle.confirmed(column, group, index, at.row)
                if confirmed is not None:
                    suspect, recent = confirmed
                    evidence = borne_out(group, index, suspect.evidence, recent, suspect.spread)
                    name = self.explainer.name(at, index, suspect.row)
                    if name is not None:
                        evidence = named(group, index, evidence, name)
                    yield self._open(at, moment, index, suspect, recent.of(spread=suspect.spread), evidence, name)
        if self._asking(at.now):
            yield from self._retrain(Moment.of(at.item), pending.at(at.at))

    def _explained(self, at: Happening, moment: Moment, index: int) -> Iterator[Said]:
        """What an alarm looks like and where it comes from shows in the rows after it, and is told then."""
        column = at.group.columns[index]
        alarm = self._lifecycle.alarms[column.signal]
        blocks, before, name = blocks_since(alarm.opened_row, at.row), alarm.evidence.detail, None
        if blocks <= NAMED_BLOCKS and "looks_like" not in before:
            name = self.explainer.name(at, index, alarm.opened_row)
        if name is not None or blocks in LOOKS:
            cause = Suspect(alarm.detector, alarm.row, alarm.evidence, alarm.base, alarm.spread)
            alarm.evidence = self.explainer.more(at, index, cause, alarm.evidence)
        elif blocks > NAMED_BLOCKS:
            self._see_harm(alarm, column, moment)
        if name is not None:
            alarm.evidence = named(at.group, index, alarm.evidence, name)
        if name is not None or is_news(before, alarm.evidence.detail):
            yield self.reports.step(moment, AlertEvent.UPDATED, alarm, self._sentence(at, column, alarm, name))

    def _see_harm(self, alarm: Alarm, column: Column, moment: Moment) -> None:
        """Labels may come long after what they are of: they are waited for, and told of when it is over."""
        detail, began = alarm.evidence.detail, alarm.evidence.change_point
        if detail.get("harm") == NOT_KNOWN and began is not None:
            told = detail | self.explainer.harm(column, began.ts, moment.at)
            alarm.evidence = msgspec.structs.replace(alarm.evidence, detail=told)

    def _open(
        self,
        at: Happening,
        moment: Moment,
        index: int,
        suspect: Suspect,
        effect: float,
        evidence: Evidence,
        name: Name | None = None,
    ) -> Step:
        column = at.group.columns[index]
        evidence = self.explainer.more(at, index, suspect, evidence)
        alarm = self._lifecycle.open(
            column,
            suspect,
            severity_of(column, effect, floor_of(column, at.group.rate)),
            evidence,
            moment.now,
            at.row,
            self.labels.joined_at(moment.at) - self._labels_since(at, suspect, evidence),
            self.key.text,
            moment.position,
        )
        alarm.judged_until = self.explainer.judged_until(at)
        return self.reports.step(moment, AlertEvent.OPENED, alarm, self._sentence(at, column, alarm, name))

    def _labels_since(self, at: Happening, suspect: Suspect, evidence: Evidence) -> int:
        """How many labels there are since the change, where it is labels that showed it."""
        if at.timeline is not self._watched.losses:
            return 0
        labels, began = at.row - suspect.row + 1, evidence.change_point
        if "confirmed_by_rows" in evidence.detail and began is not None:  # it was suspected later than it began
            labels = max(labels, self._watched.losses.counted_since(began.ts, at.row)[0])
        return labels

    def _sentence(self, at: Happening, column: Column, alarm: Alarm, name: Name | None) -> str:
        looks = name.words if name is not None else ""
        return wording.opened(self.key.model, column, alarm.evidence, at.group.rate, looks)

    def end(
        self,
        moment: Moment,
        signal: str,
        why: Closing,
        shown: Evidence | None = None,
        row: int | None = None,
        summary: str | None = None,
    ) -> Step:
        # Labels of what was replaced come late, and as bad.
        if why not in REPLACED or self.alarms[signal].kind not in BY_LABELS:
            self._watched.watch_again(signal)
        return super().end(moment, signal, why, shown, row, summary)

    def losses_known(self, about: About) -> Known | None:
        return known_of(self.explainer, about)

    def _asking(self, now: int) -> Sequence[Alarm]:
        """The alarms that ask for a retrain."""
        if self.key.segment is not None or self.key.challenger:
            return ()
        return self._asker.asking(self._around.asking(self.number), now)

    def _retrain(self, moment: Moment, pending: int) -> Iterator[Decided]:
        alarms = self._asking(moment.now)
        if not alarms:
            return
        joined, delay_ms = self.labels.joined_at(moment.at), self.labels.median_delay_at(moment.at)
        labels = LabelCounts(joined=joined, pending=pending, median_delay_ms=delay_ms)
        newest, rows = self.collected.newest(moment.at, self._watched.rows.rows)
        yield from self._asker.ask(Here(moment, newest or moment.position, labels, rows), alarms)

    def close_window(self, moment: Moment, start: int, end: int, whole_model: dict[str, int]) -> Iterator[Decided]:
        self.collected.see(self.book.window, moment.at)
        yield from super().close_window(moment, start, end, whole_model)
