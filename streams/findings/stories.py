"""Alerts put together to incidents with all that they told, and the pages that people would have got."""

from array import array
from collections import Counter
from collections.abc import Callable

import msgspec

from schemas.events import Alert, AlertEvent, Severity, Signal
from schemas.times import UNIT_MS
from streams.incidents import AFTER, OVER, RANK, SAYS_WHO, Status
from streams.pager.steps import ACTIONS, Action

INCIDENTS_MAX = 500  # told one by one, the most severe first; of some 6 KB each
STEPS_MAX = 24  # of one incident: its first ones, and the newest
SIGNALS_MAX = 12  # of one incident that are named
BESIDE_MAX = 40  # alarms of one incident that no step told of
CELLS_MAX = 200_000  # hours with a page, of all models
MUTED_MAX = 10_000  # incidents muted at once
TIMES_MAX = 200_000  # of pages: what is drawn of them; all are counted
_FIRST_KEPT = STEPS_MAX // 2


Judge = Callable[[str, int], bool]


class Paging:
    """Which steps call a person, where nobody set up routes of his own: see docs/pager.md. Takes all in their order."""

    def __init__(self) -> None:
        self._muted: dict[str, None] = {}

    def calls(self, alert: Alert) -> bool:
        if alert.event is AlertEvent.MUTED:
            self._muted[alert.incident] = None
            if len(self._muted) > MUTED_MAX:
                del self._muted[next(iter(self._muted))]
        elif alert.event is AlertEvent.UNMUTED or AFTER[alert.event] in OVER:
            self._muted.pop(alert.incident, None)
        paging = ACTIONS.get(alert.event) is Action.TRIGGER and alert.severity is not Severity.INFO
        return paging and alert.incident not in self._muted


class Story(msgspec.Struct):
    """One incident from its first step to its last. Its steps may name different signals."""

    incident: str
    model: str
    opened_ts: int
    last_ts: int
    severity: Severity  # the worst it ever had
    status: Status
    summary: str  # of its worst alarm, as it was told last
    about: str  # the signal of that alarm
    over_ts: int | None = None
    pages: int = 0
    right: bool | None = None  # none: nothing is known to hold it against
    signals: dict[str, None] = {}
    kinds: dict[str, None] = {}
    steps: list[Alert] = []
    left_out: int = 0  # steps between the first ones and the newest
    beside: list[Signal] = []  # what became of alarms that are part of it, where no step says so
    beside_left_out: int = 0

    def add(self, alert: Alert) -> None:
        self.last_ts = alert.ts
        self.status = AFTER[alert.event] or self.status
        self.over_ts = alert.ts if self.status in OVER else None
        self._name(alert)
        worse = RANK[alert.severity] > RANK[self.severity]
        if worse:
            self.severity = alert.severity
        if worse or (alert.signal == self.about and alert.event not in SAYS_WHO):
            self.summary, self.about = alert.summary, alert.signal
        self.steps.append(alert)
        if len(self.steps) > STEPS_MAX:
            del self.steps[_FIRST_KEPT]
            self.left_out += 1

    def add_signal(self, told: Signal) -> None:
        self._name(told)
        if len(self.beside) < BESIDE_MAX:
            self.beside.append(told)
        else:
            self.beside_left_out += 1

    def _name(self, told: Alert | Signal) -> None:
        if len(self.signals) < SIGNALS_MAX:
            self.signals[told.signal] = None
            self.kinds[told.kind] = None

    @property
    def weight(self) -> tuple[int, int, int]:
        return RANK[self.severity], self.pages, self.opened_ts


class Stories:
    """Takes every alert in its order. What is counted is counted of all, what is kept is bounded."""

    def __init__(self, most: int = INCIDENTS_MAX, judge: Judge | None = None) -> None:
        """``judge`` says of a page, by model and time, whether it was right."""
        self.incidents: Counter[str] = Counter()  # by model
        self.pages: Counter[str] = Counter()  # by model
        self.right: Counter[str] = Counter()  # pages by model, where something is known to hold them against
        self.taken_back = 0  # pages of incidents that labels or a person have retracted
        self.by_event: Counter[str] = Counter()
        self.hours: Counter[tuple[str, int]] = Counter()  # pages by model and hour since 1970
        self.times, self.false_times = array("q"), array("q")  # of pages
        self.left_out = 0
        self._most, self._judge, self._paging = most, judge, Paging()
        self._stories: dict[str, Story] = {}

    def add(self, alert: Alert) -> None:
        self.by_event[alert.event] += 1
        page, right = self._paging.calls(alert), None
        if alert.event is AlertEvent.OPENED:
            self.incidents[alert.model] += 1
        if page:
            right = self._judge(alert.model, alert.ts) if self._judge is not None else None
            self._paged(alert, right)
        story = self._stories.get(alert.incident)
        if story is None:
            if alert.event is not AlertEvent.OPENED and self.left_out:
                return  # its beginning was let go
            story = self._stories[alert.incident] = Story(
                incident=alert.incident,
                model=alert.model,
                opened_ts=alert.ts,
                last_ts=alert.ts,
                severity=alert.severity,
                status=Status.OPEN,
                summary=alert.summary,
                about=alert.signal,
            )
        story.add(alert)
        if alert.event is AlertEvent.RETRACTED:
            self.taken_back += story.pages
        if page:
            story.pages += 1
            story.right = story.right if story.right else right
        if len(self._stories) > 2 * self._most:
            self._let_go()

    def add_signal(self, told: Signal) -> None:
        """One that is part of an incident names it."""
        story = self._stories.get(str(told.evidence.detail.get("incident")))
        if story is not None and story.model == told.model:
            story.add_signal(told)

    @property
    def kept(self) -> list[Story]:
        """The oldest first."""
        self._let_go()
        return sorted(self._stories.values(), key=lambda story: (story.opened_ts, story.incident))

    def _paged(self, alert: Alert, right: bool | None) -> None:
        self.pages[alert.model] += 1
        self.right[alert.model] += bool(right)
        if len(self.times) < TIMES_MAX:
            self.times.append(alert.ts)
            if right is False:
                self.false_times.append(alert.ts)
        cell = (alert.model, alert.ts // UNIT_MS["h"])
        if cell in self.hours or len(self.hours) < CELLS_MAX:
            self.hours[cell] += 1

    def _let_go(self) -> None:
        """Of more than so many those that are least severe go, and of these the oldest."""
        if len(self._stories) <= self._most:
            return
        ranked = sorted(self._stories.values(), key=lambda story: story.weight, reverse=True)
        self.left_out += len(ranked) - self._most
        self._stories = {story.incident: story for story in ranked[: self._most]}
