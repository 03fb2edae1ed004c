"""Everything about one model on one partition: its join, its loss rule, its scopes, and what operators said of it."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from zlib import crc32

import msgspec

from detectors.config import ModelConfig
from detectors.effects import Decided
from detectors.join import Fate, Join, Labelled, Pending
from detectors.lifecycle import Closing
from detectors.loss import EVIDENCE, LossRule, Pair, configured, found_out, losses
from detectors.moment import Item, Moment
from detectors.reports import ScopeKey
from detectors.retrain import Policy
from detectors.scope import Scope, ScopeState
from detectors.tally import Level
from schemas.events import Control, ControlAction, Outcome, Prediction, Role
from schemas.times import duration_ms, to_ms

OTHER = "*"  # the segment values beyond the limit share one monitor
VERSIONS_MAX = 20  # of one model and role on one partition: a new one replaces the one not asked for longest
RETIRED_MAX = 200  # monitors kept for late labels: those of four deployments with fifty segment values
MUTES_MAX = (
    1_000  # of one model: people set them by hand; a further one is not heard: it pages too much, not too little
)
SCOPES_MAX = 2_000  # versions times segment values; beyond it only the whole model is watched

_CHALLENGER, _APPLIED = Role.CHALLENGER, Fate.APPLIED  # a look into an enum costs more than most of what a record needs

_CLOSINGS = {
    ControlAction.DEPLOY: Closing.DEPLOYED,
    ControlAction.ROLLBACK: Closing.ROLLED_BACK,
    ControlAction.BASELINE: Closing.NEW_BASELINE,
}


class _Held(msgspec.Struct, array_like=True, frozen=True):
    """A joined pair that waits for the task to be known."""

    entry: Pending
    label: Labelled


class MonitorState(msgspec.Struct, array_like=True, frozen=True):
    join: bytes
    challengers: bytes
    challenged: bool
    window_end: int
    scopes: list[tuple[int, ScopeState]]
    scopes_opened: int
    segment_values: list[tuple[tuple[str | None, str, bool], int]]
    deployed: str | None
    rule: LossRule | None
    held: list[_Held]
    mutes: list[tuple[tuple[str, str], int | None]]
    now: int


class Monitor:
    """One model. Its records are taken in one by one, and what they say is decided a batch at a time."""

    def __init__(self, model: str, config: ModelConfig) -> None:
        self.model = model
        self._config = config
        self._policy = Policy.of(config.retrain)
        horizon = duration_ms(config.label_horizon)
        self._join = Join(horizon, config.pending_max)
        self._challengers = Join(horizon, config.pending_max)
        self._challenged = False
        self._window_ms = duration_ms(config.metrics_window)
        self._window_end = 0
        self._scopes: dict[ScopeKey, Scope] = {}
        self._segment_values: dict[tuple[str | None, str, bool], int] = {}
        self._by_number: dict[int, Scope] = {}  # with those retired
        self._scopes_opened = 0
        self._deployed: str | None = None
        self._rule: LossRule | None = configured(config)
        self._held: list[_Held] = []
        self._mutes: dict[tuple[str, str], int | None] = {}  # segment and signal, "" for all of them, to its end
        self._now = 0
        self._waiting = Level()
        # What most predictions share is looked up once: the scopes of a version without segments.
        self._usual: dict[str | None, tuple[int, Scope]] = {}

    @property
    def pending(self) -> int:
        return self._join.pending + self._challengers.pending

    @property
    def early(self) -> int:
        return self._join.early + self._challengers.early

    @property
    def open_incidents(self) -> int:
        return sum(len(scope.incidents) for scope in self._by_number.values())

    # -- the way of a record ------------------------------------------------------------------------------------------

    def take(self, item: Item, decided: list[Decided]) -> Fate:
        """Takes in the next record and says how it ended. What can be decided at once goes to ``decided``.

        Each record is taken in as soon as it is decoded, while it is at hand. Its numbers wait for ``decide``.
        """
        index, time, record, event = item
        if time >= self._now:
            self._now = time
        else:  # a broker's clock may step back, stream time does not
            item = (index, self._now, record, event)
        if self._now >= self._window_end:
            decided.extend(self._close_windows(item))
        kind = type(event)
        if kind is Prediction:
            fate = self._predicted(item, event, decided)
        elif kind is Outcome:
            fate = self._outcome(item, event)
        else:
            decided.extend(self.decide())
            decided.extend(self._controlled(Moment.of(item), event))
            return _APPLIED
        self._waiting.note(index, self._join.unanswered)
        return fate

    def decide(self) -> list[Decided]:
        """What the records taken in since the last time say, in their order: many rows at once, as columns."""
        decided = [
            event
            for scope in self._by_number.values()
            for event in scope.decide(self._waiting, partial(self._muted, scope.key.segment or ""))
        ]
        self._waiting.settle()
        if len(self._by_number) > 1:
            decided.sort(key=lambda event: event.at)  # stable: scopes by their number
        return decided

    def _close_windows(self, item: Item) -> Iterator[Decided]:
        yield from self.decide()
        now, end = item[1], self._window_end
        self._window_end = now - now % self._window_ms + self._window_ms
        if not end:
            return
        moment = Moment.of(item)
        for scope in self._by_number.values():
            join = self._challengers if scope.key.challenger else self._join
            closed = scope.close_window(moment, end - self._window_ms, end, join.unanswered, join.counts.unlabelled)
            if closed is not None:
                yield closed

    def _predicted(self, item: Item, event: Prediction, decided: list[Decided]) -> Fate:
        _, now, record, _ = item
        challenger = event.role is _CHALLENGER
        if challenger:
            self._challenged = True
        join = self._challengers if challenger else self._join
        usual = None if challenger else self._usual.get(self._deployed if event.version is None else event.version)
        number, scope = usual or self._scope(item, event.version, challenger, decided)
        entry = Pending(
            now, record.offset, crc32(record.value or b""), number, event.prediction, event.score, event.scores
        )
        fate, label = join.predict(event.id, entry)
        if fate is not _APPLIED:
            return fate
        scope.predicted(item)
        if event.segments and self._config.segments:
            entry.segments = self._segments(item, event, challenger)
        if label is not None:
            self._met(item, entry, label)
        return fate

    def _outcome(self, item: Item, event: Outcome) -> Fate:
        label = Labelled(item[1], event.label, event.revision, event.weight, event.provisional)
        fate, entry = self._join.label(event.id, label)
        if self._challenged:
            _, shadow = self._challengers.label(event.id, label)
            if shadow is not None:
                self._met(item, shadow, label)
                fate = Fate.APPLIED  # whatever the champion's join says of it
        if entry is not None:
            self._met(item, entry, label)
        return fate

    def _met(self, item: Item, entry: Pending, label: Labelled) -> None:
        """A prediction and its label have met. The first final label is scored; a later one corrects the counts."""
        if label.provisional:
            return
        if entry.scored:
            for scope in self._scopes_of(entry):
                scope.corrected()
            return
        entry.scored = True
        if self._rule is None:
            self._held.append(_Held(entry, label))
            if len(self._held) < EVIDENCE:
                return
            self._rule = found_out(self._config, [Pair(held.entry, held.label.label) for held in self._held])
            held, self._held = self._held, []
            for pair in held:
                self._lose(item, pair.entry, pair.label, self._rule)
            return
        self._lose(item, entry, label, self._rule)

    def _lose(self, item: Item, entry: Pending, label: Labelled, rule: LossRule) -> None:
        scored = losses(rule, Pair(entry, label.label))
        for scope in self._scopes_of(entry):
            scope.joined(item, scored, rule.is_rate, label.weight, entry.time, entry.offset)

    def tick(self, item: Item) -> list[Decided]:
        """Time has passed on the partition, whether or not this model was asked anything."""
        _, time, record, event = item
        self._now = max(self._now, time)
        item = (item[0], self._now, record, event)
        self._join.expire(self._now)
        self._challengers.expire(self._now)
        decided = list(self._close_windows(item)) if self._now >= self._window_end else []
        moment = Moment.of(item)
        for scope in self._by_number.values():
            decided.extend(scope.tick(moment, self._join.unanswered))
        return decided

    # -- scopes -------------------------------------------------------------------------------------------------------

    def _scopes_of(self, entry: Pending) -> Iterator[Scope]:
        for number in (entry.scope, *entry.segments):
            scope = self._by_number.get(number)
            if scope is not None:  # else it was retired long ago
                yield scope

    def _scope(self, item: Item, version: str | None, challenger: bool, decided: list[Decided]) -> tuple[int, Scope]:
        if version is None and not challenger:
            version = self._deployed
        key = ScopeKey(self.model, version, None, challenger)
        if key not in self._scopes and len(self._whole(challenger)) >= VERSIONS_MAX:
            self._give_up_oldest(item, challenger, decided)
        scope = self._open_scope(key)
        if not challenger:
            self._usual[version] = scope
        return scope

    def _whole(self, challenger: bool) -> list[Scope]:
        """The monitors of whole versions, of one role."""
        return [s for key, s in self._scopes.items() if key.segment is None and key.challenger is challenger]

    def _give_up_oldest(self, item: Item, challenger: bool, decided: list[Decided]) -> None:
        """The version that has not been asked for longest makes room: it is the one least likely to be live."""
        decided.extend(self.decide())
        oldest = min(self._whole(challenger), key=lambda scope: (scope.seen_at, scope.number)).key.version
        for key, scope in self._scopes.items():
            if key.version == oldest and key.challenger is challenger:
                decided.extend(scope.resolve_all(Moment.of(item), Closing.REPLACED))
        self._retire(lambda version: version == oldest, challenger)

    def _open_scope(self, key: ScopeKey) -> tuple[int, Scope]:
        scope = self._scopes.get(key)
        if scope is None:
            scope = Scope(key, self._config, self._policy, self._scopes_opened)
            self._scopes[key] = self._by_number[scope.number] = scope
            self._scopes_opened += 1
        return scope.number, scope

    def _segments(self, item: Item, event: Prediction, challenger: bool) -> tuple[int, ...]:
        numbers = []
        for name in self._config.segments:
            value = (event.segments or {}).get(name)
            if value is None:
                continue
            key = self._segment_key(event.version, name, value, challenger)
            if key not in self._scopes and len(self._scopes) >= SCOPES_MAX:
                continue
            number, scope = self._open_scope(key)
            scope.predicted(item)
            numbers.append(number)
        return tuple(numbers)

    def _segment_key(self, version: str | None, name: str, value: str, challenger: bool) -> ScopeKey:
        version = version if version is not None else self._deployed
        key = ScopeKey(self.model, version, f"{name}={value}", challenger)
        if key in self._scopes:
            return key
        values = self._segment_values.get((version, name, challenger), 0)
        if values < self._config.segment_values_max:
            self._segment_values[version, name, challenger] = values + 1
            return key
        return ScopeKey(self.model, version, f"{name}={OTHER}", challenger)

    # -- state, between two batches ---------------------------------------------------------------------------------

    def state(self) -> MonitorState:
        return MonitorState(
            self._join.snapshot(),
            self._challengers.snapshot(),
            self._challenged,
            self._window_end,
            [(number, scope.state()) for number, scope in self._by_number.items()],
            self._scopes_opened,
            list(self._segment_values.items()),
            self._deployed,
            self._rule,
            self._held,
            list(self._mutes.items()),
            self._now,
        )

    @classmethod
    def of(cls, model: str, config: ModelConfig, state: MonitorState) -> "Monitor":
        monitor = cls(model, config)
        monitor._join.restore(state.join)
        monitor._challengers.restore(state.challengers)
        monitor._challenged = state.challenged
        monitor._window_end = state.window_end
        monitor._scopes_opened = state.scopes_opened
        for number, held in state.scopes:
            scope = Scope(held.key, config, monitor._policy, number)
            scope.restore(held)
            monitor._by_number[number] = scope
            if not held.retired:
                monitor._scopes[held.key] = scope
        monitor._segment_values = dict(state.segment_values)
        monitor._deployed, monitor._rule, monitor._held = state.deployed, state.rule, state.held
        monitor._mutes, monitor._now = dict(state.mutes), state.now
        return monitor

    # -- what operators say -------------------------------------------------------------------------------------------

    def _muted(self, segment: str, signal: str, now: int) -> bool:
        for name in product(("", segment), ("", signal)):
            if name in self._mutes:
                until = self._mutes[name]
                if until is None or now < until:
                    return True
        return False

    def _mute(self, moment: Moment, event: Control) -> None:
        self._mutes = {name: end for name, end in self._mutes.items() if end is None or moment.now < end}
        name = (event.segment or "", event.signal or "")
        if name in self._mutes or len(self._mutes) < MUTES_MAX:
            self._mutes[name] = to_ms(event.until) if event.until is not None else None

    def _controlled(self, moment: Moment, event: Control) -> Iterator[Decided]:
        action = event.action
        if action in _CLOSINGS:
            yield from self._start_afresh(moment, event, _CLOSINGS[action])
        elif action is ControlAction.MUTE:
            self._mute(moment, event)
        elif action is ControlAction.UNMUTE:
            self._mutes.pop((event.segment or "", event.signal or ""), None)
        elif action in (ControlAction.ACKNOWLEDGE, ControlAction.RESOLVE):
            yield from self._by_hand(moment, event)

    def _start_afresh(self, moment: Moment, event: Control, why: Closing) -> Iterator[Decided]:
        """What was normal for the version before says nothing of the one now."""
        for scope in self._by_number.values():
            if not scope.key.challenger:
                yield from scope.resolve_all(moment, why)
        if event.action is not ControlAction.BASELINE:
            self._deployed = event.version
        every = event.action is ControlAction.BASELINE
        self._retire(lambda version: every or version in (None, event.version))

    def _retire(self, gone: Callable[[str | None], bool], challenger: bool = False) -> None:
        """Versions that are met anew, and their segment values counted anew. The old monitors stay for late labels."""
        for key, scope in list(self._scopes.items()):
            if key.challenger is challenger and gone(key.version):
                scope.retired = True
                del self._scopes[key]
        self._usual.clear()
        counted = self._segment_values.items()
        self._segment_values = {
            name: count for name, count in counted if name[2] is not challenger or not gone(name[0])
        }
        retired = [number for number, scope in self._by_number.items() if scope.retired]
        for number in retired[: max(0, len(retired) - RETIRED_MAX)]:
            del self._by_number[number]

    def _by_hand(self, moment: Moment, event: Control) -> Iterator[Decided]:
        for scope in self._by_number.values():
            for incident in list(scope.incidents.values()):
                if incident.id != event.incident:
                    continue
                if event.action is ControlAction.ACKNOWLEDGE:
                    yield scope.acknowledge(moment, incident, event.by)
                else:
                    yield scope.resolve(moment, incident.signal, Closing.BY_HAND)
