"""What detectors said of each signal: normal against what came, how large the change is, value over threshold."""

from collections.abc import Iterable
from math import isfinite
from typing import NamedTuple

from detectors.lifecycle import Disposition
from schemas.events import Alert, AlertEvent, Evidence, JsonScalar, Kind, Signal
from streams.findings.series import Grid

COURSES_MAX = 48  # signals of one model that are drawn: those that opened an alarm first
COURSES_HELD_MAX = 400  # before it is known which these are
POINTS_MAX = 40  # of one signal
DETECTORS_MAX = 12  # of one model in the figure of its statistics
# Of a report that was an alarm, be it an incident's first or one that joined another.
ALARMS = frozenset({Disposition.OPENED, Disposition.GROUPED})
DISTANCES = ("psi", "psi_by_chance", "jensen_shannon", "wasserstein", "chi_square_p")


# Steps with a detector's word in them; the others say what somebody did, or that it is over.
_TELLS = frozenset({AlertEvent.OPENED, AlertEvent.UPDATED, AlertEvent.ESCALATED, AlertEvent.REOPENED})


class Point(NamedTuple):
    """One detector's word on one signal."""

    ts: int
    since: int | None
    baseline: float | None
    after: float | None
    effect: float | None
    low: float | None
    high: float | None
    value: float | None
    threshold: float | None
    n: int
    detector: str
    disposition: str
    distances: tuple[float | None, ...]

    @property
    def opened(self) -> bool:
        return self.disposition in ALARMS


class Statistic(NamedTuple):
    """How far beyond its threshold a detector was."""

    ts: int
    times: float
    signal: str
    disposition: str


class Course:
    """One signal of one model, of all its versions."""

    def __init__(self, signal: str, segment: str | None, kind: Kind) -> None:
        self.signal, self.segment, self.kind = signal, segment, kind
        self.points: list[Point] = []
        self.left_out = 0
        self.opened = 0

    def add(self, point: Point) -> None:
        """What is told twice, as a report and as the alarm that came of it, is one point: the alarm."""
        for at, known in enumerate(self.points):
            if (known.ts, known.detector) == (point.ts, point.detector):
                if point.opened and not known.opened:
                    self.points[at] = point
                    self.opened += 1
                return
        self.points.append(point)
        self.opened += point.opened
        if len(self.points) > POINTS_MAX:
            # What was an alarm stays, as long as there is something else; of these the oldest go.
            gone = next((at for at, each in enumerate(self.points) if not each.opened), 0)
            del self.points[gone]
            self.left_out += 1

    @property
    def largest(self) -> float:
        return max((abs(point.effect) for point in self.points if point.effect is not None), default=0.0)


class Courses:
    """All signals of one model."""

    def __init__(self, over: Grid) -> None:
        self.left_out = 0
        self._grid = over
        self._courses: dict[tuple[str, str | None], Course] = {}
        self._statistics: dict[str, dict[int, Statistic]] = {}  # by detector and stretch, the largest

    def add_signal(self, told: Signal) -> None:
        if told.disposition != Disposition.OVER and told.kind != Kind.SYSTEM:  # which has no level
            self._add(told, told.evidence, told.disposition)
        times = _ratio(told.evidence)
        if times is None or (told.detector not in self._statistics and len(self._statistics) >= DETECTORS_MAX):
            return
        largest, place = self._statistics.setdefault(told.detector, {}), self._grid.place(told.ts)
        if place not in largest or times > largest[place].times:
            largest[place] = Statistic(told.ts, times, told.signal, told.disposition)

    def add_alert(self, step: Alert) -> None:
        """Not every alarm is a signal too: of some detectors the rows that follow decide."""
        if step.event in _TELLS:
            self._add(step, step.evidence, step.event)

    def _add(self, told: Signal | Alert, evidence: Evidence, disposition: str) -> None:
        key = told.signal, told.segment
        course = self._courses.get(key)
        if course is None:
            if len(self._courses) >= COURSES_HELD_MAX:
                self.left_out += 1
                return
            course = self._courses[key] = Course(told.signal, told.segment, told.kind)
        course.add(_point(told, evidence, disposition))

    @property
    def drawn(self) -> list[Course]:
        """Those with most alarms first, the points of each in their order."""
        ranked = sorted(self._courses.values(), key=lambda course: (-course.opened, -course.largest, course.signal))
        for course in ranked:
            course.points.sort(key=lambda point: point.ts)
        return ranked[:COURSES_MAX]

    @property
    def undrawn(self) -> int:
        return self.left_out + max(0, len(self._courses) - COURSES_MAX)

    @property
    def statistics(self) -> dict[str, Iterable[Statistic]]:
        return {detector: largest.values() for detector, largest in sorted(self._statistics.items())}


def _point(told: Signal | Alert, evidence: Evidence, disposition: str) -> Point:
    detail = evidence.detail
    return Point(
        ts=told.ts,
        since=evidence.change_point.ts if evidence.change_point is not None else None,
        baseline=finite(evidence.baseline),
        after=finite(detail.get("after")),
        effect=finite(evidence.effect),
        low=finite(detail.get("effect_low")),
        high=finite(detail.get("effect_high")),
        value=finite(evidence.value),
        threshold=finite(evidence.threshold),
        n=evidence.n,
        detector=told.detector,
        disposition=disposition,
        distances=tuple(finite(detail.get(name)) for name in DISTANCES),
    )


def _ratio(evidence: Evidence) -> float | None:
    value, threshold = finite(evidence.value), finite(evidence.threshold)
    if value is None or threshold is None or threshold <= 0 or value <= 0:
        return None
    return finite(value / threshold)


def finite(value: JsonScalar) -> float | None:
    """A number that can be drawn."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or abs(value) > 1e300:
        return None
    return float(value)
