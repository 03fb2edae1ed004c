"""The end of a window that may be closed later, when what came before it is lived through."""

from typing import NamedTuple

from detectors.join import Ended
from detectors.moment import Moment


class WindowEnd(NamedTuple):
    """When it was, and what the join knew then of the champion and of its challengers."""

    moment: Moment
    end: int
    own: dict[str, int]
    of_challengers: dict[str, int]
    limits: list[Ended]
