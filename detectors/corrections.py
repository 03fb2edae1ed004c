"""Labels that turned out to be other ones, as far as they bear on an alarm about the loss."""

import math
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

CORRECTIONS_MAX = 1_024  # of one monitor, the newest: as many as losses that an alarm can rest on


class Correction(NamedTuple):
    """By how much the losses of one prediction are other ones now; ``nan`` where it had none or has none any more."""

    predicted_at: int
    loss: float
    log_loss: float


class Corrections:
    def __init__(self, held: Iterable[Correction] = ()) -> None:
        self._held = deque(held, maxlen=CORRECTIONS_MAX)

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, correction: Correction) -> None:
        self._held.append(correction)

    def between(self, first: int, last: int, loss: str) -> tuple[int, float]:
        """How many there are of predictions between these times, and their sum, but for those without such a loss."""
        there = (getattr(one, loss) for one in self._held if first <= one.predicted_at <= last)
        found = [change for change in there if not math.isnan(change)]
        return len(found), sum(found)

    def state(self) -> list[Correction]:
        return list(self._held)
