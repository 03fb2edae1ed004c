"""Everything about one model on one partition: its join, its loss rule, its scopes, and what operators said of it."""

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

import msgspec
import numpy as np

from detectors.answers import CLOSINGS, answered
from detectors.columns import Places
from detectors.config import ModelConfig
from detectors.desk import Desk
from detectors.effects import Decided
from detectors.flow import Flow
from detectors.gathered import Bunch, Worth, fingerprint_of, rising
from detectors.join import Course, Fate, Join, JoinState
from detectors.late import Late
from detectors.learning import Learned
from detectors.lifecycle import Closing
from detectors.moment import Item, Moment
from detectors.monitor_state import MonitorState
from detectors.mutes import Mutes
from detectors.pairs import Pairs
from detectors.reports import Said, of_model
from detectors.rows import Stretch
from detectors.scope import Scope
from detectors.shelf import Pending, Room, Wanted
from detectors.tally import Level
from detectors.versions import Scopes
from detectors.window_end import WindowEnd, WindowEnds
from schemas.events import Control, ControlAction, Outcome, Prediction, Role
from schemas.reasons import AuditResult
from schemas.times import duration_ms

_CHALLENGER, _APPLIED = Role.CHALLENGER, Fate.APPLIED  # a look into an enum costs more than most of what a record needs


class Monitor:
    """One model. Its records are taken in one by one, and what they say is decided a batch at a time.

    ``number`` is its own in the room: what it keeps there is found under it.
    """

    def __init__(
        self,
        model: str,
        config: ModelConfig,
        room: Room | None = None,
        number: int = 0,
        joins: tuple[JoinState | None, JoinState | None] = (None, None),
        recorded: Mapping[str, Learned] | None = None,
    ) -> None:
        self.model = model
        self.number = number
        self._config = config
        room = room or Room()
        horizon = duration_ms(config.label_horizon)
        self._join = Join(horizon, config.pending_max, room=room, number=2 * number, state=joins[0])
        self._challengers = Join(horizon, config.pending_max, room=room, number=2 * number + 1, state=joins[1])
        self._challenged = False
        self._windows = WindowEnds(duration_ms(config.metrics_window), self.joins)
        self._scopes = Scopes(model, config, room, number, recorded)
        self._checks = self._scopes.checks
        self._pairs = Pairs(config, self.joins, self._scopes, self._checks, self._windows)
        self._mutes = Mutes()
        self._flow = Flow(model, config)
        self._desk = Desk(model, config)
        self._now = 0
        self._waiting = Level()
        self._orphaned: Sequence[Late] = ()  # with alarms opened under another configuration
        self._before: MonitorState | None = None  # what was read under it, as long as they are not resolved

    @property
    def joins(self) -> tuple[Join, Join]:
        """Of the champion, and of its challengers."""
        return self._join, self._challengers

    @property
    def scopes(self) -> Iterable[Scope]:
        """Those that watch."""
        return self._scopes.live

    @property
    def open_incidents(self) -> int:
        return self._desk.open

    # -- the way of a record ------------------------------------------------------------------------------------------

    def want(self, labelled: Sequence[str], challengers: Sequence[str], wanted: Wanted) -> None:
        """Adds the ids that must be at hand before outcomes, or predictions of challengers, are taken in."""
        self._join.shelf.want(labelled, wanted)
        self._challengers.shelf.want([*labelled, *challengers] if self._challenged else challengers, wanted)

    def take(self, item: Item, decided: list[Decided]) -> Fate:
        """Says how the next record ended. What can be decided at once goes to ``decided``, the rest waits."""
        index, time, record, event = item
        if self._windows.wait:
            decided.extend(self.decide())  # what comes now belongs to no window that is over
        if time >= self._now:
            self._now = time
        else:  # a broker's clock may step back, stream time does not
            item = (index, self._now, record, event)
        if self._orphaned or self._flow.orphaned:
            decided.extend(self._reconfigured(item))
        if self._now >= self._windows.end:
            decided.extend(self._close_windows(item))
        kind = type(event)
        if kind is Prediction:
            fate = self._predicted(item, event, decided)
        elif kind is Outcome:
            fate = self._pairs.labelled(item, challenged=self._challenged)
        else:
            decided.extend(self.decide())
            decided.extend(self._controlled(Moment.of(item), event))
            return _APPLIED
        self._waiting.note(index, self._join.unanswered)
        if kind is Outcome:  # where that says anything, its loss is lived through
            self._tell(self._flow.labelled(item, self._mutes), decided)
        if self._checks.ready:
            self._tell(self._checks.look(Moment.of(item)), decided)
        return fate

    @property
    def takes_columns(self) -> bool:
        return not (self._config.segments or self._checks.ready)

    def take_bunch(self, bunch: Bunch, decided: list[Decided]) -> Mapping[Fate, int]:
        """Outcomes together, and predictions as columns where that is worth it."""
        if len(bunch) == 1:  # as nearly always where labels alternate with predictions
            return {self.take(bunch.item(0), decided): 1}
        if bunch.kind is Outcome:
            return self._take_outcomes(bunch.items(), decided)
        if not bunch.many or not self.takes_columns:
            return Counter([self.take(item, decided) for item in bunch.items()])
        return self.take_rows(bunch.stretch(self._now), decided, bunch.item)

    def take_rows(
        self, rows: Stretch, decided: list[Decided], item_of: Callable[[int], Item] | None = None
    ) -> Counter[Fate]:
        """Takes in rows in order: many at once where nothing comes between them, else one by one by their item."""
        fates: Counter[Fate] = Counter()
        item_of, kept, worth, row = item_of or rows.item, rows.waiting(), Worth(), 0
        while row < len(rows):
            stop = self._take_together(rows, kept, row, decided) if worth.trying() else row
            worth.came(stop - row)
            if stop > row:
                fates[_APPLIED] += stop - row
            else:
                fates[self.take(item_of(row), decided)] += 1
            row = max(stop, row + 1)
        return fates

    def _take_together(self, rows: Stretch, kept: Stretch, row: int, decided: list[Decided]) -> int:
        """Takes in as many rows from this one on as can be, as ``take`` would one by one. Returns the next one."""
        if self._orphaned or self._flow.orphaned or self._checks.ready or rows.stamps[row] < self._now:
            return row
        version = None if rows.versions is None else rows.versions[row]
        scope = self._scopes.usual(version, challenger=False)
        if scope is None or (rows.segments is not None and self._config.segments):
            return row
        end = rows.of_one_version(row)
        if self._checks.tries or any(scope.is_corrected for scope in self._scopes):  # more than rows matters at its end
            end = min(end, int(np.searchsorted(rows.stamps, self._windows.end)))
        course = self._join.predict_rows(kept, slice(row, end), scope.number)
        if course is None:
            return row
        self._live_through(rows, row, course, scope, decided)
        return course.stop

    def _take_outcomes(self, items: Sequence[Item], decided: list[Decided]) -> Counter[Fate]:
        """Takes in outcomes in order: many at once where nothing happens between them but that they are joined."""
        fates: Counter[Fate] = Counter()
        times, row = [item[1] for item in items], 0
        stamps = rising(times, self._now)
        if stamps.tolist() != times:
            items = [(item[0], now, *item[2:]) for item, now in zip(items, stamps.tolist(), strict=True)]
        while row < len(items):
            fates[self.take(items[row], decided)] += 1
            start, row = row + 1, self._alike(stamps, row + 1)
            if row > start:
                fates += self._label_together(items[start:row])
        return fates

    def _alike(self, stamps: Places, row: int) -> int:
        """The place after the outcomes that can be taken in together, from this one on; one was just taken in."""
        if row == len(stamps) or self._challenged or self._pairs.rule is None or self._checks.tries:
            return row
        end = int(np.searchsorted(stamps, self._windows.end))
        return self._flow.labels_as_usual(stamps[:end], row) if end > row else row

    def _label_together(self, items: Sequence[Item]) -> Counter[Fate]:
        fates, waiting = self._pairs.labelled_all(items)
        _, self._now, record, _ = items[-1]
        self._waiting.note_each([item[0] for item in items], waiting)
        self._flow.labelled_usually(len(items), (self._now, record.offset))
        return fates

    def _live_through(self, rows: Stretch, row: int, course: Course, scope: Scope, decided: list[Decided]) -> None:
        """Rows that the join has taken in. Windows that end between them are closed once detectors have come so far."""
        at, done, waiting = row, row, course.waiting[1:]
        while at < course.stop:
            if rows.stamps[at] >= self._windows.end:
                self._windows.over(Moment.of(rows.place(at)), course, at - row)
            stop = min(course.stop, int(np.searchsorted(rows.stamps, self._windows.end)))
            at, said = self._flow.predicted_rows(rows, at, stop, self._mutes)
            if said:
                self._saw(rows, done, at - 1, waiting[done - row :], scope)
                self._tell(said, decided)
                done = at - 1
        self._saw(rows, done, course.stop, waiting[done - row :], scope)

    def _saw(self, rows: Stretch, start: int, stop: int, waiting: Places, scope: Scope) -> None:
        if stop > start:
            self._waiting.note_all(rows.numbers[start:stop], waiting)
            self._now = int(rows.stamps[stop - 1])
            scope.predicted_rows(rows, start, stop)

    def decide(self) -> list[Decided]:
        """What the records taken in since the last time say, in their order: many rows at once, as columns."""
        decided, unfit = list[Decided](), self._scopes.unfit()
        for scope, happening in self._scopes.happenings():
            decided.extend(self._closed_until(happening.at))
            decided.extend(self._desk.said(scope.live(happening, self._waiting, self._mutes)))
        decided.extend(self._closed_until(math.inf))
        self._scopes.settle()
        self._waiting.settle()
        return decided + unfit

    def _tell(self, said: Iterable[Said], decided: list[Decided]) -> None:
        """What the desk makes of it, after all that came before it."""
        if said:
            decided.extend(self.decide())
            decided.extend(self._desk.said(said))

    def _close_windows(self, item: Item) -> Iterator[Decided]:
        yield from self.decide()
        self._windows.over(Moment.of(item))
        yield from self._closed_until(math.inf)

    def _closed_until(self, at: float) -> Iterator[Decided]:
        """The windows that were over by this place in the batch."""
        for closing in self._windows.until(at):
            yield from self._closed(closing)

    def _closed(self, closing: WindowEnd) -> Iterator[Decided]:
        moment, end, own, of_challengers, limits = closing
        yield from self._desk.tick(moment)
        yield from self._desk.said(step for scope in self._scopes for step in scope.amended(moment))
        for name, ended, most in limits:
            yield of_model(self.model).limit(moment, name, ended, most)
        yield from self._desk.said(self._checks.due(moment, self._join.unanswered))
        for scope in self._scopes:
            figures = of_challengers if scope.key.challenger else own
            yield from scope.close_window(moment, end - self._windows.window_ms, end, figures)

    def _predicted(self, item: Item, event: Prediction, decided: list[Decided]) -> Fate:
        _, now, record, _ = item
        challenger = event.role is _CHALLENGER
        self._challenged = self._challenged or challenger
        join = self._challengers if challenger else self._join
        scope = self._scopes.usual(event.version, challenger) or self._scope(item, event.version, challenger, decided)
        known = fingerprint_of(record), scope.number, event.prediction, event.score, event.scores
        entry = Pending(now, record.offset, *known)
        fate, label = join.predict(event.id, entry)
        if fate is not _APPLIED:
            if fate is not Fate.LATE:
                scope.collected.repeats = scope.changed = True
            return fate
        if not challenger:
            self._tell(self._flow.predicted(item, self._mutes), decided)
        scope.predicted(item)
        if event.segments and self._config.segments:
            segments = self._scopes.segments(event, challenger)
            for segment in segments:
                segment.predicted(item)
            entry.segments = tuple(segment.number for segment in segments)
        if label is not None:
            self._pairs.met(item, event.id, challenger, entry, label)
        return fate

    def _scope(self, item: Item, version: str | None, challenger: bool, decided: list[Decided]) -> Scope:
        """The monitor of a whole version; where it is one too many, the oldest one makes room."""
        gone = self._scopes.to_make_room(version, challenger)
        if gone:
            oldest = gone[0].key.version
            decided.extend(self.decide())
            moment = Moment.of(item)
            decided.extend(self._desk.said(step for s in gone for step in s.end_all(moment, Closing.REPLACED)))
            self._scopes.retire(lambda version: version == oldest, challenger)
        return self._scopes.whole(version, challenger)

    def tick(self, item: Item) -> tuple[list[Decided], bool]:
        """Time has passed on the partition, whether or not this model was asked anything.

        Says too whether anything but the time is another now: of thousands of models, most have nothing to write.
        """
        _, now, record, event = item
        expired, remembered = [join for join in self.joins if now > join.due], self._desk.remembered
        for join in expired:
            join.expire(now)
        closes = now >= self._windows.end and any(scope.book.has_news for scope in self._scopes)
        due = self._flow.due(now, self._mutes)
        if not closes and not self._desk.waits and not self._orphaned and not due:
            return [], bool(expired)
        self._now = max(self._now, now)
        item = (item[0], self._now, record, event)
        decided = self._reconfigured(item)
        moment = Moment.of(item)
        decided.extend(self._desk.said(self._flow.tick(item, self._mutes)))
        decided.extend(self._desk.tick(moment))
        if closes:
            decided.extend(self._close_windows(item))
        decided.extend(self._desk.said(self._checks.due(moment, self._join.unanswered)))
        for scope in self._scopes.live:
            decided.extend(scope.tick(moment, self._join.unanswered))
        return decided, due or bool(expired or decided) or self._desk.remembered != remembered

    # -- state, between two batches ---------------------------------------------------------------------------------

    def state(self) -> MonitorState:
        if self._before is not None:  # nothing has happened but that predictions made room for those of other models
            return msgspec.structs.replace(self._before, join=self._join.state(), challengers=self._challengers.state())
        return MonitorState(
            self.number,
            self._scopes.checksum(),
            self._join.state(),
            self._challengers.state(),
            self._windows.told,
            self._challenged,
            self._windows.end,
            self._scopes.state(),
            self._pairs.rule,
            self._pairs.held,
            self._mutes.state(),
            self._flow.state(),
            self._desk.state(),
            self._now,
        )

    @classmethod
    def of(
        cls, model: str, config: ModelConfig, state: MonitorState, room: Room, recorded: Mapping[str, Learned]
    ) -> "Monitor":
        monitor = cls(model, config, room, state.number, (state.join, state.challengers), recorded)
        monitor._challenged = state.challenged
        monitor._windows.told, monitor._windows.end = state.told, state.window_end
        monitor._mutes, monitor._now = Mutes(state.mutes), state.now
        monitor._flow.restore(state.flow)  # what comes is the same under another configuration
        monitor._desk.restore(state.desk)
        if state.config != monitor._scopes.checksum(state.scopes.choice):
            monitor._orphaned = monitor._scopes.start_afresh(state.scopes)
            monitor._before = state if monitor._orphaned else None
            return monitor
        monitor._scopes.restore(state.scopes)
        monitor._pairs.rule, monitor._pairs.held = state.rule, state.held
        return monitor

    # -- what operators say -------------------------------------------------------------------------------------------

    def _controlled(self, moment: Moment, event: Control) -> Iterator[Decided]:
        action, self.answer = event.action, AuditResult.APPLIED
        if action is ControlAction.VERDICT:
            self._scopes.retraining.asked.failures = 0  # somebody has looked
        if action in CLOSINGS:
            self.answer = yield from self._start_afresh(moment, event, CLOSINGS[action])
        elif event.incident is not None and action is not ControlAction.TICK:
            owners = [owner for owner in (self._flow, *self._scopes) if owner.alarms]
            self.answer = yield from answered(self._desk, owners, moment, event)
            if self._desk.judged(event, moment.now):
                yield from self._scopes.judged(moment, event.verdict)
        elif action is not ControlAction.TICK:
            self.answer = self._mutes.heard(event, moment.now)

    def _reconfigured(self, item: Item) -> list[Decided]:
        """Alarms of the configuration before: their thresholds are no more."""
        orphaned, self._orphaned, self._before = self._orphaned, (), None
        moment = Moment.of(item)
        ended = [step for scope in orphaned for step in scope.end_all(moment, Closing.RECONFIGURED)]
        return list(self._desk.said([*ended, *self._flow.reconfigured(moment)]))

    def _start_afresh(self, moment: Moment, event: Control, why: Closing) -> Generator[Decided, None, AuditResult]:
        """What was normal for the version before says nothing of the one now."""
        every = event.action is ControlAction.BASELINE
        unknown = self._scopes.unknown(moment, event.baseline)
        yield from unknown
        if unknown and every:
            return AuditResult.UNKNOWN_BASELINE
        yield from self._desk.said(self._checks.turned(moment, event.version, why))
        if every:
            self._scopes.retraining.asked.failures = 0
            yield from self._desk.said(self._flow.start_afresh(moment, why))
        else:
            self._scopes.turned(event.version, moment.now, back=event.action is ControlAction.ROLLBACK)
        self._scopes.choose(event)
        self._scopes.retire(lambda version: every or version in (None, event.version))
        self._scopes.retire(lambda version: every or version == event.version, challenger=True)
        return AuditResult.WITHOUT_BASELINE if unknown else AuditResult.APPLIED
