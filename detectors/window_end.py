"""When the windows of one model end; they are closed later, when what came before their ends is lived through."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from detectors.join import Course, Ended, Join, JoinCounts, told_limits
from detectors.moment import Moment


class WindowEnd(NamedTuple):
    """When it was, and what the join knew then of the champion and of its challengers."""

    moment: Moment
    end: int
    own: dict[str, int]
    of_challengers: dict[str, int]
    limits: list[Ended]


class WindowEnds:
    """``end``: of the window that is open; 0 before the first record. ``told``: of the ends that limits made."""

    def __init__(self, window_ms: int, joins: tuple[Join, Join]) -> None:
        self.window_ms = window_ms
        self.end = 0
        self.told = JoinCounts()
        self._joins = joins
        self._over: deque[WindowEnd] = deque()  # that ended between rows that wait to be decided

    @property
    def start(self) -> int:
        """Of the window that is open."""
        return self.end - self.window_ms

    @property
    def wait(self) -> bool:
        return bool(self._over)

    def over(self, moment: Moment, course: Course | None = None, after: int = 0) -> None:
        """One is over, after so many rows of a course. What was before the first record was none."""
        end = self.end
        self.end = moment.now - moment.now % self.window_ms + self.window_ms
        if end:
            own, challengers = self._joins
            later = 0 if course is None else int(course.evicted[-1] - course.evicted[after])
            limits = told_limits(self._joins, self.told, later)
            self._over.append(WindowEnd(moment, end, own.figures(course, after), challengers.figures(), limits))

    def until(self, at: float) -> Iterator[WindowEnd]:
        """Those that were over by this place in the batch."""
        while self._over and self._over[0].moment.at <= at:
            yield self._over.popleft()
