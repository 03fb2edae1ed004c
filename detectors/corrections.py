"""Labels that turned out to be other ones, as far as they bear on an alarm about the loss."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

NO_ROW = -1  # of a loss that no detector was shown
KEPT = 1_024  # of one monitor, the newest, and as many that open alarms rest on
AT_ONCE = 4 * KEPT  # until a window ends
_NEVER = 1, 0


class Correction(NamedTuple):
    """By how much the losses of one prediction are other ones now; ``nan`` where it had none or has none any more."""

    predicted_at: int
    loss: float
    log_loss: float
    row: int | None = None  # of the loss that detectors saw; not known of one from before this was kept


class Corrections:
    """One for each row, however often its label was corrected; and those of which no row is known one by one."""

    def __init__(self, held: Iterable[Correction] = ()) -> None:
        self._held: list[Correction] = []
        self._places: dict[int, int] = {}
        self._hold(held)

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, correction: Correction) -> None:
        """What leaves the losses as they are is none."""
        place = self._places.get(correction.row) if correction.row is not None else None
        if place is not None:
            before = self._held[place]
            loss, log_loss = before.loss + correction.loss, before.log_loss + correction.log_loss
            self._held[place] = before._replace(loss=loss, log_loss=log_loss)
        elif correction.loss or correction.log_loss:
            if correction.row is not None:
                self._places[correction.row] = len(self._held)
            self._held.append(correction)
            if len(self._held) > AT_ONCE:
                self._hold(self._held[KEPT:])

    def forget(self, rests_on: Sequence[tuple[int, int]]) -> bool:
        """As a window ends, the old ones, but for those of rows that an open alarm rests on. Whether there were any."""
        old, new = self._held[:-KEPT], self._held[-KEPT:]
        needed = [one for one in old if any(_lies_between(one, rows, _NEVER) for rows in rests_on)][-KEPT:]
        if len(needed) == len(old):
            return False
        self._hold([*needed, *new])
        return True

    def between(self, rows: tuple[int, int], times: tuple[int, int], loss: str) -> tuple[int, float]:
        """How many there are of these rows and those between them, and their sum, but for those without such a loss.

        Where no row is known, it is those of predictions between the times.
        """
        there = (getattr(one, loss) for one in self._held if _lies_between(one, rows, times))
        found = [change for change in there if change and not math.isnan(change)]
        return len(found), sum(found)

    def state(self) -> list[Correction]:
        return list(self._held)

    def _hold(self, held: Iterable[Correction]) -> None:
        self._held = list(held)
        self._places = {one.row: place for place, one in enumerate(self._held) if one.row is not None}


def _lies_between(one: Correction, rows: tuple[int, int], times: tuple[int, int]) -> bool:
    place, (first, last) = (one.predicted_at, times) if one.row is None else (one.row, rows)
    return first <= place <= last
