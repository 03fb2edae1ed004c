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
* A control event that is no tick has an entry in the audit log, with what became of it. One that is refused for its
  signature changes nothing.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from detectors.config import ModelConfig, MonitorConfig
from schemas.times import duration_ms
from tests.simulation.oracle_audit import Entry
from tests.simulation.oracle_waiting import Label, Room, Waiting
from tests.simulation.oracle_windows import Scope, Window, guess, values_of
from tests.simulation.signing import Door, Doorkeeper
from tests.simulation.traffic import TOPICS, Event, Lying

GUESSED_AFTER = 50  # scored pairs, where the configuration does not say what the task is

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
    entries: list[Entry]  # of the audit log, in order


class _Model:
    def __init__(self, name: str, config: ModelConfig, early_max: int) -> None:
        self.name = name
        self.config = config
        limits = (duration_ms(config.label_horizon), config.pending_max, early_max)
        self.champions, self.challengers = Room(*limits), Room(*limits)
        self.challenged = False
        self.now = 0
        self.span = duration_ms(config.metrics_window)
        self.start: int | None = None  # of the window that is open
        self.deployed: str | None = None
        self.scopes: list[Scope] = []  # all there ever were, in the order in which they were met
        self.current: dict[tuple[str | None, str | None, bool], Scope] = {}
        self.task: str | None = None if config.task == "auto" else config.task
        self.unscored: list[Waiting] = []
        self.mutes: dict[tuple[str | None, str | None], int | None] = {}

    # -- time ---------------------------------------------------------------------------------------------------------

    def passes(self, now: int) -> Iterator[Told]:
        """Closes the window that is open where it is over."""
        self.now = max(self.now, now)
        start = self.now - self.now % self.span
        if self.start is not None and start > self.start:
            for scope in self.scopes:
                yield from self._close(scope, self.start)
        self.start = start

    def _close(self, scope: Scope, start: int) -> Iterator[Told]:
        for earlier, window in sorted(scope.windows.items()):
            if window.amended and earlier != start:
                window.amended = False
                window.revision += 1
                yield self._told(scope, earlier, window)
        window = scope.windows.get(start, Window())
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

    def _told(self, scope: Scope, start: int, window: Window) -> Told:
        values = {**values_of(window, self.task), **window.whole_model}
        revision = window.revision or None
        return Told(self.name, scope.version, scope.segment, start, start + self.span, revision, values)

    # -- records ------------------------------------------------------------------------------------------------------

    def prediction(self, event: Event, value: bytes) -> str:
        challenger = event.get("role") == "challenger"
        self.challenged |= challenger
        room = self.challengers if challenger else self.champions
        room.look(self.now)
        one = Waiting(event["id"], self.now, event, value, [])
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
        label = Label(
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

    def control(self, event: Event) -> str | None:
        """A deployment makes its version's baseline void, a new baseline every version's: they are watched anew.

        Returned is what became of it; none where that depends on which incidents are open.
        """
        action = event["action"]
        if action in ("deploy", "rollback"):
            self.deployed = event["version"]
        if action in ("deploy", "rollback", "baseline"):
            for key in list(self.current):
                if action == "baseline" or key[0] == event["version"] or (key[0] is None and not key[2]):
                    del self.current[key]
        if action in ("mute", "unmute"):
            what = (event.get("segment"), event.get("signal"))
            end = self.mutes.pop(what, 0)
            if action == "mute":
                self.mutes[what] = event.get("until")
            elif end is not None and end <= self.now:
                return "not_muted"
        if "incident" in event:
            return "not_open" if event["incident"] == "nobody's" else None
        return "applied"

    def tick(self, now: int) -> Iterator[Told]:
        self.champions.look(now)
        self.challengers.look(now)
        yield from self.passes(now)

    @property
    def _open_start(self) -> int:
        assert self.start is not None
        return self.start

    def _scopes_of(self, event: Event, challenger: bool) -> list[Scope]:
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

    def _scope(self, version: str | None, segment: str | None, challenger: bool) -> Scope:
        key = (version, segment, challenger)
        if key not in self.current:
            self.current[key] = Scope(*key)
            self.scopes.append(self.current[key])
        return self.current[key]

    # -- scoring ------------------------------------------------------------------------------------------------------

    def _met(self, one: Waiting, label: Label) -> None:
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
                self.task = guess(self.unscored)
                for waited in self.unscored:
                    assert waited.unscored is not None
                    self._score(waited, waited.unscored)
        else:
            self._score(one, label)

    def _score(self, one: Waiting, label: Label) -> None:
        one.scored = (label, self._open_start)
        for scope in one.scopes:
            scope.window(self._open_start).pairs.append((one, label))


def recompute(ordered: Sequence[Lying], config: MonitorConfig, early_max: int, door: Door) -> Truth:
    """``ordered`` is everything on the input topics of one partition number, in the one order."""
    models: dict[str, _Model] = {}
    fates: dict[Place, str] = {}
    windows: list[Told] = []
    entries: list[Entry] = []
    doorkeeper = Doorkeeper(door)
    ticked = 0
    for record, event, unfit in ((one.record, one.event, one.refused) for one in ordered):
        now = max(record.timestamp, ticked)
        place = (record.topic, record.offset)
        if unfit is not None or event is None:
            fates[place] = unfit or "?"
            continue
        name = event.get("model")
        if name is None:
            ticked = now
            windows += [told for model in models.values() for told in model.tick(now)]
            fates[place] = "applied"
            continue
        is_word = record.topic == TOPICS.control
        signed_by, refused = doorkeeper.ask(record, event, now) if is_word else (None, None)
        if refused is None and name not in models and len(models) >= config.models_max:
            refused = "too_many_models"
        if refused is not None:
            fates[place] = refused
            entries += [Entry(record, event, now, signed_by, refused)] if is_word else []
            continue
        model = models.setdefault(name, _Model(name, config.of(name), early_max))
        windows += model.passes(now)
        if record.topic == TOPICS.predictions:
            fates[place] = model.prediction(event, record.value or b"")
        elif record.topic == TOPICS.outcomes:
            fates[place] = model.outcome(event)
        else:
            entries.append(Entry(record, event, now, signed_by, model.control(event)))
            fates[place] = "applied"
        _keep_to_the_partitions_limit(models, config.pending_max)
    return Truth(fates, windows, _standing(models), entries)


def _keep_to_the_partitions_limit(models: dict[str, _Model], pending_max: int) -> None:
    rooms = _rooms(models)
    while sum(len(place[2].waiting) for place in rooms) > pending_max:
        waiting = [place for place in rooms if place[2].waiting]
        _, _, room = min(waiting, key=lambda place: (place[2].waiting[0].since, place[0], place[1]))
        room.evict()


def _rooms(models: dict[str, _Model]) -> list[tuple[str, int, Room]]:
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
