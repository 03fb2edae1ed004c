"""Labels that turned out to be other ones, as far as they bear on an alarm about the loss."""

import math
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

NO_ROW = -1  # of a loss that no detector was shown
CORRECTIONS_MAX = 1_024  # of one monitor, the newest: as many as losses that an alarm can rest on


class Correction(NamedTuple):
    """By how much the losses of one prediction are other ones now; ``nan`` where it had none or has none any more."""

    predicted_at: int
    loss: float
    log_loss: float
    row: int | None = None  # of the loss that detectors saw; not known of one from before this was kept


class Corrections:
    def __init__(self, held: Iterable[Correction] = ()) -> None:
        self._held = deque(held, maxlen=CORRECTIONS_MAX)

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, correction: Correction) -> None:
        self._held.append(correction)

    def between(self, rows: tuple[int, int], times: tuple[int, int], loss: str) -> tuple[int, float]:
        """How many there are of these rows and those between them, and their sum, but for those without such a loss.

        Where no row is known, it is those of predictions between the times.
        """
        there = (getattr(one, loss) for one in self._held if _lies_between(one, rows, times))
        found = [change for change in there if not math.isnan(change)]
        return len(found), sum(found)

    def state(self) -> list[Correction]:
        return list(self._held)


def _lies_between(one: Correction, rows: tuple[int, int], times: tuple[int, int]) -> bool:
    place, (first, last) = (one.predicted_at, times) if one.row is None else (one.row, rows)
    return first <= place <= last
