"""What must come of a log, recomputed slowly from the words of the contract: plain lists, searched from end to end.

Nothing here comes from the code it judges, except how events and configuration are spelled. The rules, in the order in
which they are needed:

* Records count in the order (append time, rank of the topic, offset). Time never goes back: not for a model, and for
  nobody behind a tick.
* A prediction waits for labels up to the horizon. Its id is known for one more horizon, but of at most ``pending_max``
  that no longer wait. The same id again meanwhile is a duplicate.
* The oldest stops waiting when its model has ``pending_max`` waiting already, or the partition more than its own.
* An outcome goes to the champion's prediction, and to the challengers' once there was a challenger. It joins, corrects
  (a higher revision), is a duplicate (an equal or lower one), is late (the prediction no longer waits) or waits as
  early, up to the horizon.
* The outcome that has waited longest as early is forgotten when there are ``early_max`` of them.
* What a model holds is looked at when something of the model comes, and at each tick. What is over by then ends then.
* The first final label of a prediction is scored in the window in which they met; a later final one amends that window.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from detectors.config import ModelConfig, MonitorConfig
from schemas.events import class_name
from schemas.times import duration_ms
from tests.simulation.traffic import TOPICS, Event, Lying

GUESSED_AFTER = 50  # scored pairs, where the configuration does not say what the task is
LEAST_CHANCE = 1e-6

Place = tuple[str, int]  # topic and offset


class Told(NamedTuple):
    """A metrics event."""

    model: str
    version: str | None
    segment: str | None
    start: int
    end: int
    revision: int | None
    values: dict[str, float | int | None]


class Standing(NamedTuple):
    """What is left at the end."""

    models: int
    pending: int
    early: int
    evicted: int
    early_evicted: int
    orphans: int


class Truth(NamedTuple):
    fates: dict[Place, str]  # applied, duplicate, conflict, late, or the reason of a dead letter
    windows: list[Told]
    standing: Standing


@dataclass(eq=False)
class _Label:
    value: Any
    revision: int
    weight: float
    provisional: bool


@dataclass(eq=False)
class _Waiting:
    key: str
    since: int
    event: Event
    value: bytes
    scopes: list["_Scope"]
    label: _Label | None = None  # the newest
    scored: tuple[_Label, int] | None = None  # the label that counts, and the window that counts it
    unscored: _Label | None = None  # final, while the task is not known


@dataclass(eq=False)
class _Early:
    key: str
    since: int
    label: _Label


@dataclass
class _Window:
    seen: list[Event] = field(default_factory=list)
    pairs: list[tuple[_Waiting, _Label]] = field(default_factory=list)  # by prediction, the label that counts
    corrected: int = 0
    whole_model: dict[str, int] = field(default_factory=dict)
    revision: int = 0
    amended: bool = False


@dataclass(eq=False)
class _Scope:
    version: str | None
    segment: str | None
    challenger: bool
    windows: dict[int, _Window] = field(default_factory=dict)

    def window(self, start: int) -> _Window:
        return self.windows.setdefault(start, _Window())


@dataclass(eq=False)
class _Room:
    """One model's predictions of one role, and the outcomes that wait for one."""

    horizon: int
    pending_max: int
    early_max: int
    waiting: list[_Waiting] = field(default_factory=list)
    past: list[_Waiting] = field(default_factory=list)
    early: list[_Early] = field(default_factory=list)
    unlabelled: int = 0
    orphans: int = 0
    evicted: int = 0
    early_evicted: int = 0

    def look(self, now: int) -> None:
        for one in [one for one in self.waiting if now - one.since > self.horizon]:
            self.end(one)
        self.past = [one for one in self.past if now - one.since <= 2 * self.horizon]
        self.orphans += sum(now - one.since > self.horizon for one in self.early)
        self.early = [one for one in self.early if now - one.since <= self.horizon]

    def end(self, one: _Waiting) -> None:
        self.waiting.remove(one)
        self.unlabelled += one.label is None
        self.past = [*self.past, one][-self.pending_max :]

    def evict(self) -> None:
        self.evicted += 1
        self.end(self.waiting[0])

    def predict(self, one: _Waiting) -> str:
        for known in (*self.waiting, *self.past):
            if known.key == one.key:
                return "duplicate" if known.value == one.value else "conflict"
        if len(self.waiting) == self.pending_max:
            self.evict()
        self.waiting.append(one)
        return "applied"

    def meet_early(self, one: _Waiting) -> _Label | None:
        for early in self.early:
            if early.key == one.key:
                self.early.remove(early)
                one.label = early.label
                return early.label
        return None

    def label(self, key: str, label: _Label, now: int) -> tuple[str, _Waiting | None]:
        for one in self.waiting:
            if one.key == key:
                if one.label is not None and label.revision <= one.label.revision:
                    return "duplicate", None
                one.label = label
                return "applied", one
        if any(one.key == key for one in self.past):
            return "late", None
        for early in self.early:
            if early.key == key:
                if label.revision <= early.label.revision:
                    return "duplicate", None
                early.label = label
                return "applied", None
        if len(self.early) == self.early_max:
            self.early_evicted += 1
            self.early = self.early[1:]
        self.early.append(_Early(key, now, label))
        return "applied", None


class _Model:
    def __init__(self, name: str, config: ModelConfig, early_max: int) -> None:
        self.name = name
        self.config = config
        limits = (duration_ms(config.label_horizon), config.pending_max, early_max)
        self.champions, self.challengers = _Room(*limits), _Room(*limits)
        self.challenged = False
        self.now = 0
        self.span = duration_ms(config.metrics_window)
        self.start: int | None = None  # of the window that is open
        self.deployed: str | None = None
        self.scopes: list[_Scope] = []  # all there ever were, in the order in which they were met
        self.current: dict[tuple[str | None, str | None, bool], _Scope] = {}
        self.task = None if config.task == "auto" else config.task
        self.unscored: list[_Waiting] = []

    # -- time ---------------------------------------------------------------------------------------------------------

    def passes(self, now: int) -> Iterator[Told]:
        """Closes the window that is open where it is over."""
        self.now = max(self.now, now)
        start = self.now - self.now % self.span
        if self.start is not None and start > self.start:
            for scope in self.scopes:
                yield from self._close(scope, self.start)
        self.start = start

    def _close(self, scope: _Scope, start: int) -> Iterator[Told]:
        for earlier, window in sorted(scope.windows.items()):
            if window.amended and earlier != start:
                window.amended = False
                window.revision += 1
                yield self._told(scope, earlier, window)
        window = scope.windows.get(start, _Window())
        window.amended = False
        if window.seen or window.pairs or window.corrected:
            room = self.challengers if scope.challenger else self.champions
            if scope.segment is None:
                window.whole_model = {
                    "pending": sum(one.label is None for one in room.waiting),
                    "unlabelled_total": room.unlabelled,
                    "orphans_total": room.orphans,
                    "evicted_total": room.evicted + room.early_evicted,
                }
            yield self._told(scope, start, window)

    def _told(self, scope: _Scope, start: int, window: _Window) -> Told:
        values = {**_values(window, self._losses), **window.whole_model}
        revision = window.revision or None
        return Told(self.name, scope.version, scope.segment, start, start + self.span, revision, values)

    # -- records ------------------------------------------------------------------------------------------------------

    def prediction(self, event: Event, value: bytes) -> str:
        challenger = event.get("role") == "challenger"
        self.challenged |= challenger
        room = self.challengers if challenger else self.champions
        room.look(self.now)
        one = _Waiting(event["id"], self.now, event, value, [])
        fate = room.predict(one)
        if fate == "applied":
            one.scopes = self._scopes_of(event, challenger)
            for scope in one.scopes:
                scope.window(self._open_start).seen.append(event)
            label = room.meet_early(one)
            if label is not None:
                self._met(one, label)
        return fate

    def outcome(self, event: Event) -> str:
        label = _Label(
            event["label"], event.get("revision", 0), event.get("weight", 1.0), event.get("provisional", False)
        )
        self.champions.look(self.now)
        fate, met = self.champions.label(event["id"], label, self.now)
        if self.challenged:
            self.challengers.look(self.now)
            _, shadow = self.challengers.label(event["id"], label, self.now)
            if shadow is not None:
                self._met(shadow, label)
                fate = "applied"
        if met is not None:
            self._met(met, label)
        return fate

    def control(self, event: Event) -> None:
        """A deployment makes its version's baseline void, a new baseline every version's: they are watched anew."""
        action = event["action"]
        if action in ("deploy", "rollback"):
            self.deployed = event["version"]
        if action in ("deploy", "rollback", "baseline"):
            for key in list(self.current):
                if not key[2] and (action == "baseline" or key[0] in (None, event["version"])):
                    del self.current[key]

    def tick(self, now: int) -> Iterator[Told]:
        self.champions.look(now)
        self.challengers.look(now)
        yield from self.passes(now)

    @property
    def _open_start(self) -> int:
        assert self.start is not None
        return self.start

    def _scopes_of(self, event: Event, challenger: bool) -> list[_Scope]:
        version = event.get("version")
        if version is None and not challenger:
            version = self.deployed
        found = [self._scope(version, None, challenger)]
        version = version if version is not None else self.deployed
        for name in self.config.segments:
            value = event.get("segments", {}).get(name)
            if value is None:
                continue
            segment = f"{name}={value}"
            mine = [key for key in self.current if (key[0], key[2]) == (version, challenger) and key[1] is not None]
            own = [key for key in mine if not str(key[1]).endswith("=*")]
            if (version, segment, challenger) not in mine and len(own) >= self.config.segment_values_max:
                segment = f"{name}=*"
            found.append(self._scope(version, segment, challenger))
        return found

    def _scope(self, version: str | None, segment: str | None, challenger: bool) -> _Scope:
        key = (version, segment, challenger)
        if key not in self.current:
            self.current[key] = _Scope(*key)
            self.scopes.append(self.current[key])
        return self.current[key]

    # -- scoring ------------------------------------------------------------------------------------------------------

    def _met(self, one: _Waiting, label: _Label) -> None:
        if label.provisional:
            return
        if one.scored is not None:
            _, start = one.scored
            for scope in one.scopes:
                window = scope.window(start)
                window.corrected += 1
                window.amended = True
                window.pairs = [(other, label if other is one else counts) for other, counts in window.pairs]
            one.scored = (label, start)
        elif self.task is None:
            if one.unscored is None:
                self.unscored.append(one)
            one.unscored = label
            if len(self.unscored) == GUESSED_AFTER:
                self.task = _guess(self.unscored)
                for waited in self.unscored:
                    assert waited.unscored is not None
                    self._score(waited, waited.unscored)
        else:
            self._score(one, label)

    def _score(self, one: _Waiting, label: _Label) -> None:
        one.scored = (label, self._open_start)
        for scope in one.scopes:
            scope.window(self._open_start).pairs.append((one, label))

    def _losses(self, one: _Waiting, label: _Label) -> tuple[float | None, float | None]:
        """The loss and the log loss, None where there is none."""
        answer, truth = one.event["prediction"], label.value
        if self.task == "regression":
            return (None if isinstance(truth, str) else abs(float(answer) - float(truth))), None
        wrong = 0.0 if _same(answer, truth) else 1.0
        scores, score = one.event.get("scores"), one.event.get("score")
        if scores:
            return wrong, _surprise(scores.get(class_name(_as_read(truth)), 0.0))
        if score is None or self.task != "binary":
            return wrong, None
        return wrong, _surprise(score if _same(truth, True) else 1.0 - score)


def _as_read(value: Any) -> Any:
    """All numbers of an event are doubles."""
    return float(value) if type(value) is int else value


def _same(one: Any, other: Any) -> bool:
    """True is 1 and false is 0; otherwise classes are the same when they are spelled the same."""
    if not isinstance(one, str) and not isinstance(other, str):
        return float(one) == float(other)
    return class_name(_as_read(one)) == class_name(_as_read(other))


def _surprise(chance: float) -> float:
    return -math.log(min(max(chance, LEAST_CHANCE), 1.0))


def _guess(pairs: Sequence[_Waiting]) -> str:
    """Two classes are a binary task, more a multiclass one. The traffic gives a model nothing else to be guessed."""
    values = [value for one in pairs if one.unscored for value in (one.event["prediction"], one.unscored.value)]
    return "binary" if len({class_name(_as_read(value)) for value in values}) <= 2 else "multiclass"


def _values(window: _Window, losses: Any) -> dict[str, float | int | None]:
    scored = [(losses(one, label), label.weight) for one, label in window.pairs]
    latencies = [event["latency_ms"] for event in window.seen if event.get("latency_ms") is not None]
    costs = [event["cost"] for event in window.seen if event.get("cost") is not None]
    return {
        "predictions": len(window.seen),
        "joined": len(window.pairs),
        "corrected": window.corrected,
        "loss_mean": _mean([(loss, weight) for (loss, _), weight in scored if loss is not None]),
        "log_loss_mean": _mean([(loss, weight) for (_, loss), weight in scored if loss is not None]),
        "latency_ms_mean": sum(latencies) / len(latencies) if latencies else None,
        "latency_ms_max": max(latencies, default=None),
        "cost_sum": sum(costs) if costs else None,
    }


def _mean(pairs: Sequence[tuple[float, float]]) -> float | None:
    weight = sum(weight for _, weight in pairs)
    return sum(loss * weight for loss, weight in pairs) / weight if weight > 0 else None


def recompute(ordered: Sequence[Lying], config: MonitorConfig, early_max: int) -> Truth:
    """``ordered`` is everything on the input topics of one partition number, in the one order."""
    models: dict[str, _Model] = {}
    fates: dict[Place, str] = {}
    windows: list[Told] = []
    ticked = 0
    for record, event, refused in ((one.record, one.event, one.refused) for one in ordered):
        now = max(record.timestamp, ticked)
        place = (record.topic, record.offset)
        if refused is not None or event is None:
            fates[place] = refused or "?"
            continue
        name = event.get("model")
        if name is None:
            ticked = now
            windows += [told for model in models.values() for told in model.tick(now)]
            fates[place] = "applied"
            continue
        if name not in models and len(models) >= config.models_max:
            fates[place] = "too_many_models"
            continue
        model = models.setdefault(name, _Model(name, config.of(name), early_max))
        windows += model.passes(now)
        if record.topic == TOPICS.predictions:
            fates[place] = model.prediction(event, record.value or b"")
        elif record.topic == TOPICS.outcomes:
            fates[place] = model.outcome(event)
        else:
            model.control(event)
            fates[place] = "applied"
        _keep_to_the_partitions_limit(models, config.pending_max)
    return Truth(fates, windows, _standing(models))


def _keep_to_the_partitions_limit(models: dict[str, _Model], pending_max: int) -> None:
    rooms = _rooms(models)
    while sum(len(room.waiting) for _, _, room in rooms) > pending_max:
        _, _, oldest = min((room.waiting[0].since, place, room) for *place, room in map(tuple, rooms) if room.waiting)
        oldest.evict()


def _rooms(models: dict[str, _Model]) -> list[tuple[str, int, _Room]]:
    return [
        (name, role, room)
        for name, model in models.items()
        for role, room in enumerate((model.champions, model.challengers))
    ]


def _standing(models: dict[str, _Model]) -> Standing:
    rooms = [room for _, _, room in _rooms(models)]
    return Standing(
        len(models),
        sum(len(room.waiting) for room in rooms),
        sum(len(room.early) for room in rooms),
        sum(room.evicted for room in rooms),
        sum(room.early_evicted for room in rooms),
        sum(room.orphans for room in rooms),
    )
