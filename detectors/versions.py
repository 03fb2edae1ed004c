"""The monitors of one model: one of each version as a whole, and one of each of its declared segment values."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import repeat
from weakref import proxy

import msgspec

from detectors.asking import Retraining
from detectors.causes import Turn
from detectors.checks import Checks, ChecksState
from detectors.choice import Choice, checksum
from detectors.config import WARM_UP, ModelConfig
from detectors.effects import Decided
from detectors.explaining import Explainer
from detectors.happening import Happening
from detectors.late import Late
from detectors.learning import Learned
from detectors.lifecycle import Alarm
from detectors.loss import LossRule
from detectors.moment import Moment
from detectors.reports import FROM_STREAM, Reports, ScopeKey, of_model
from detectors.retrain import Asked, Policy
from detectors.scope import Scope
from detectors.scope_records import Records
from detectors.shelf import Pending, Room
from detectors.windows import Archive, clear_all
from schemas.events import NAME_CHARACTERS_MAX, Control, Prediction, Verdict
from schemas.times import duration_ms

OTHER = "*"  # the segment values beyond the limit share one monitor
STRICTER_MAX = 16  # times the budget: false alarms a person reports shall not silence a model
VERSIONS_MAX = 20  # of one model and role on one partition: a new one replaces the one not asked for longest
RETIRED_MAX = 200  # monitors kept for late labels: those of four deployments with fifty segment values
SCOPES_MAX = 2_000  # versions times segment values; beyond it only the whole model is watched


class ScopesState(msgspec.Struct, array_like=True, frozen=True):
    scopes: list[int]  # their numbers: each has a record of its own
    opened: int
    segment_values: list[tuple[tuple[str | None, str, bool], int]]
    deployed: str | None
    choice: Choice = Choice()
    turn: Turn | None = None
    stricter: int = 1
    asked: Asked = msgspec.field(default_factory=Asked)
    checks: ChecksState = ChecksState()


class Scopes:
    """Every one has a number, by which what is kept of a prediction names it."""

    def __init__(
        self, model: str, config: ModelConfig, room: Room, number: int, recorded: Mapping[str, Learned] | None = None
    ) -> None:
        self.deployed: str | None = None
        self.choice = Choice()  # of their baselines
        self.recorded = recorded or {}
        assert config.baseline == WARM_UP or config.baseline in self.recorded, "a baseline was not loaded"
        self.turn: Turn | None = None  # when that was
        self._stricter = 1  # so many times as long as was asked for without a false alarm
        self._model = model
        self._config = config
        self.retraining = Retraining(Policy.of(config.retrain))
        self._room = room
        self._model_number = number
        self._window_ms, self._horizon_ms = duration_ms(config.metrics_window), duration_ms(config.label_horizon)
        self._by_key: dict[ScopeKey, Scope] = {}
        self._by_number: dict[int, Late] = {}  # with those retired
        self._busy: list[Late] = []
        self._records = Records(room, number)
        self._opened = 0
        self._segment_values: dict[tuple[str | None, str, bool], int] = {}
        # What most predictions share is looked up once: the scopes of a version without segments.
        self._usual: dict[str | None, Scope] = {}
        self.checks = Checks(proxy(self), next(iter(config.segments), None), self._horizon_ms)

    def __iter__(self) -> Iterator[Late]:
        return iter(self._by_number.values())

    @property
    def live(self) -> Iterable[Scope]:
        """Those that watch, by number too."""
        return self._by_key.values()

    # -- deciding -----------------------------------------------------------------------------------------------------

    def unfit(self) -> list[Decided]:
        """Of those that have taken anything in, what does not come as a recorded baseline has it."""
        self._busy = [scope for scope in self if scope.busy]  # of many segments, few
        return [event for scope in self._busy if isinstance(scope, Scope) for event in scope.unfit()]

    def happenings(self) -> Iterable[tuple[Scope, Happening]]:
        """What that makes happen: to all scopes together, record by record.

        So each may ask what the others have seen before the same record, wherever a batch was cut.
        """
        scopes = [scope for scope in self._busy if isinstance(scope, Scope)]
        lives = [zip(repeat(scope), scope.happenings(alone=len(scopes) == 1)) for scope in scopes]
        return merge(*lives, key=_at) if len(lives) != 1 else lives[0]  # stable: scopes by number

    def settle(self) -> None:
        """All of it has been lived through."""
        for scope in self._busy:
            scope.settle()
        self._busy = []

    def turned(self, version: str | None, at: int, *, back: bool) -> None:
        """Another version is the deployed one."""
        self.deployed, self.turn = version, Turn(at, version, back)

    def judged(self, moment: Moment, verdict: Verdict | None) -> Iterator[Decided]:
        """A person found an alarm to be a true one or a false one: the budget is kept to more strictly, or less so."""
        before = self._stricter
        after = min(2 * before, STRICTER_MAX) if verdict is Verdict.FALSE_ALARM else max(before // 2, 1)
        if after == before:
            return
        self._stricter = after
        for scope in self.live:
            scope.allow_anew(after)
            scope.changed = True
        yield of_model(self._model).stricter(moment, after, STRICTER_MAX)

    def parts(self, of: ScopeKey) -> list[Explainer]:
        """The segments of a whole model."""
        own = [(key, scope) for key, scope in self._by_key.items() if key.segment is not None]
        return [scope.explainer for key, scope in own if msgspec.structs.replace(key, segment=None) == of]

    def asking(self, number: int) -> list[Alarm]:
        """Alarms for which this monitor of a whole version may ask for a retrain."""
        return self.checks.asking(self._by_number[number])

    # -- finding one --------------------------------------------------------------------------------------------------

    def usual(self, version: str | None, challenger: bool) -> Scope | None:
        """The quick way to the monitor of a champion's version that was met before."""
        return None if challenger else self._usual.get(self.deployed if version is None else version)

    def whole(self, version: str | None, challenger: bool) -> Scope:
        """The monitor of a version as a whole."""
        key = self._key(version, challenger)
        scope = self._by_key.get(key) or self._open(key)
        if not challenger:
            self._usual[key.version] = scope
        return scope

    def to_make_room(self, version: str | None, challenger: bool) -> list[Scope]:
        """Where the version would be one too many: the monitors of the one that has not been asked for longest.

        It is the one least likely to be live.
        """
        if self._key(version, challenger) in self._by_key:
            return []
        wholes = [s for key, s in self._by_key.items() if key.segment is None and key.challenger is challenger]
        if len(wholes) < VERSIONS_MAX:
            return []
        oldest = min(wholes, key=lambda scope: (scope.seen_at, scope.number)).key.version
        return [s for key, s in self._by_key.items() if key.version == oldest and key.challenger is challenger]

    def segments(self, event: Prediction, challenger: bool) -> list[Scope]:
        """Those of the event's declared segment values."""
        found = []
        for name in self._config.segments:
            value = (event.segments or {}).get(name)
            if value is None:
                continue
            key = self._segment_key(event.version, name, value, challenger)
            scope = self._by_key.get(key)
            if scope is None:
                if len(self._by_key) >= SCOPES_MAX:
                    continue
                scope = self._open(key)
            found.append(scope)
        return found

    def numbered(self, number: int) -> Late | None:
        return self._by_number.get(number)

    def of_entry(self, entry: Pending) -> Iterator[Late]:
        for number in entry.monitors:
            scope = self._by_number.get(number)
            if scope is not None:  # else it was retired long ago
                yield scope

    def _key(self, version: str | None, challenger: bool) -> ScopeKey:
        if version is None and not challenger:
            version = self.deployed
        return ScopeKey(self._model, version, None, challenger)

    def _segment_key(self, version: str | None, name: str, value: str, challenger: bool) -> ScopeKey:
        version = version if version is not None else self.deployed
        key = ScopeKey(self._model, version, f"{name}={value}", challenger)
        if key in self._by_key:
            return key
        values = self._segment_values.get((version, name, challenger), 0)
        if values < self._config.segment_values_max:
            self._segment_values[version, name, challenger] = values + 1
            return key
        return ScopeKey(self._model, version, f"{name}={OTHER}", challenger)

    # -- their baselines ----------------------------------------------------------------------------------------------

    @property
    def rule(self) -> LossRule | None:
        """What the labels of the configured baseline show of the task."""
        learned = self.recorded.get(self._config.baseline)
        return learned.rule if learned else None

    def checksum(self, choice: Choice | None = None) -> int:
        """Of all that they are made from but the stream; ``choice``: had they this one."""
        return checksum(self._config, self.recorded, choice or self.choice)

    def unknown(self, moment: Moment, name: str | None) -> list[Decided]:
        """That there is no baseline of that name, which there are, and which one stays."""
        if name is None or self._knows(name):
            return []
        known = ", ".join((WARM_UP, *sorted(self.recorded)))
        why = f"there is no baseline {name[:NAME_CHARACTERS_MAX]!r}: this model has {known}"
        key = ScopeKey(self._model, None, None, False)
        stays = self.choice.of(key, self._config.baseline)
        origin = self.recorded[stays].origin if stays in self.recorded else FROM_STREAM
        return [Reports(key, origin).baseline(moment, "baseline", 0, "unknown", why)]

    def choose(self, event: Control) -> None:
        """The baseline that the event names is that of the monitors to be opened."""
        name = event.baseline
        self.choice = self.choice.after(event, name if name is not None and self._knows(name) else None)

    def _knows(self, name: str) -> bool:
        return name == WARM_UP or name in self.recorded

    # -- opening and retiring -----------------------------------------------------------------------------------------

    def _open(self, key: ScopeKey) -> Scope:
        scope = self._by_key[key] = self._by_number[self._opened] = self._new(key, self._opened)
        learned = self.recorded.get(self.choice.of(key, self._config.baseline))
        if learned is not None:
            scope.start_from(learned)
        self._opened += 1
        return scope

    def _new(self, key: ScopeKey, number: int) -> Scope:
        scope = Scope(key, self._config, self.retraining, number, self._archive(number), proxy(self))
        scope.allow_anew(self._stricter)
        return scope

    def _archive(self, number: int) -> Archive:
        return Archive(self._room, self._model_number, number, self._window_ms, self._horizon_ms)

    def retire(self, gone: Callable[[str | None], bool], challenger: bool = False) -> None:
        """Versions that are met anew, and their segment values counted anew. The old monitors stay for late labels."""
        for key, scope in list(self._by_key.items()):
            if key.challenger is challenger and gone(key.version):
                late = self._by_number[scope.number] = Late(key, scope.number, self._archive(scope.number))
                late.restore(scope.replaced())
                late.changed = True
                del self._by_key[key]
        self._usual.clear()
        counted = self._segment_values.items()
        self._segment_values = {
            name: count for name, count in counted if name[2] is not challenger or not gone(name[0])
        }
        retired = [number for number, scope in self._by_number.items() if scope.retired and not scope.alarms]
        for number in retired[: max(0, len(retired) - RETIRED_MAX)]:
            self._by_number.pop(number).book.archive.clear()
            self._records.delete(number)

    # -- state, between two batches -----------------------------------------------------------------------------------

    def state(self) -> ScopesState:
        """The monitors themselves are put beside it."""
        self._records.put(self._by_number)
        return ScopesState(
            list(self._by_number),
            self._opened,
            list(self._segment_values.items()),
            self.deployed,
            self.choice,
            self.turn,
            self._stricter,
            self.retraining.asked,
            self.checks.state,
        )

    def restore(self, state: ScopesState) -> None:
        self._stricter = state.stricter
        for number, held in self._records.read(state.scopes):
            if held.watched is None:
                self._by_number[number] = Late(held.key, number, self._archive(number))
            else:
                self._by_number[number] = self._by_key[held.key] = self._new(held.key, number)
            self._by_number[number].restore(held)
        self._opened = state.opened
        self._segment_values = dict(state.segment_values)
        self.deployed, self.turn = state.deployed, state.turn
        self.choice = state.choice
        self.retraining.asked, self.checks.state = state.asked, state.checks

    def start_afresh(self, state: ScopesState) -> Sequence[Late]:
        """Under another configuration nothing is known of what is normal. Returned are those with open alarms."""
        self._opened, self._stricter = state.opened, state.stricter
        self.deployed, self.turn = state.deployed, state.turn
        self.choice = state.choice.without(self.recorded)
        self.retraining.asked = state.asked
        clear_all(self._room, self._model_number)  # what they count is amended no more
        self._records.gone = state.scopes
        held = [one for one in self._records.read(state.scopes) if one[1].lifecycle.alarms]
        return [Late(one.key, number, self._archive(number)).with_alarms_of(one) for number, one in held]


def _at(life: tuple[Scope, Happening]) -> int:
    return life[1].at
