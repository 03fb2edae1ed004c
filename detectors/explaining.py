"""What an alarm tells of itself beside its size: what it looks like, how it came, what caused it, whom it harms.

All of it is looked up when an alarm opens, and again some rows later, as of the record in hand.
"""

from bisect import bisect_right
from typing import Protocol

import msgspec

from detectors.banks.shiryaev import WATCH
from detectors.causes import (
    HARMLESS,
    PARTS_MAX,
    Basis,
    Dated,
    Part,
    Turn,
    explained,
    harm,
    of_inputs,
    of_segments,
    of_turn,
    quiet,
    told,
    without,
)
from detectors.course import Course
from detectors.encoding import Column
from detectors.evidence import of_course
from detectors.happening import Happening
from detectors.history import HISTORY
from detectors.lifecycle import Alarm, Lifecycle, Suspect, blocks_since, loss_floor
from detectors.likeness import CHANGED_MAX, NAMED_BLOCKS, Name
from detectors.moment import Moment
from detectors.reports import ScopeKey
from detectors.watched import Loss, Watched
from detectors.wording import NONE_SEEN
from schemas.events import Evidence, JsonScalar, Kind

LOOKS = (NAMED_BLOCKS, 2 * NAMED_BLOCKS, HISTORY)  # blocks after it opened: others may show their change only then


class Around(Protocol):
    """What a monitor may know of the rest of its model."""

    turn: Turn | None

    def parts(self, of: ScopeKey) -> "list[Explainer]": ...

    def asking(self, number: int) -> list[Alarm]:
        """Alarms for which this monitor of a whole version may ask for a retrain."""
        ...


class Explainer:
    """Of one monitor. ``judged``: the losses of the batch at hand; ``basis``: what values are held against."""

    def __init__(self, key: ScopeKey, watched: Watched, lifecycle: Lifecycle, around: Around) -> None:
        self.judged: list[Loss] = []
        self.basis = Basis()
        self.key = key
        self.watched, self.lifecycle, self._around = watched, lifecycle, around

    def began(self, at: int) -> None:
        """The first prediction has come."""
        if self.basis.began is None:
            self.basis = msgspec.structs.replace(self.basis, began=at)

    def given(self) -> None:
        """What is known by now came from a recorded baseline."""
        known = self.watched.known()
        self.basis = Basis(given=[column.signal for column in known if explained(column)])

    def forget_losses(self) -> None:
        given = [signal for signal in self.basis.given if signal not in ("loss", "log_loss")]
        self.basis = msgspec.structs.replace(self.basis, given=given)

    def more(self, at: Happening, index: int, cause: Suspect, evidence: Evidence) -> Evidence:
        """The evidence, with how the change came, how far the distribution moved, whom it harms and what caused it."""
        detail, column = dict(evidence.detail), at.group.columns[index]
        if detail.get("change") != Course.RECURRING:
            past = None
            if column.signal not in self.lifecycle.alarms:
                past = self.lifecycle.before(column.signal, evidence.effect or 0.0, spread=cause.spread)
            detail |= of_course(at.group, index, evidence, past, cause.base, spread=cause.spread)
        if cause.detector == WATCH:  # which knows what it was like
            detail |= self.watched.distances(at.group, index, cause.row)
        began = evidence.change_point
        if began is not None:
            detail |= self.harm(column, began.ts, at.at)
            detail = without(detail) | self._causes(column, Dated.of(began, evidence), Moment.of(at.item))
        return msgspec.structs.replace(evidence, detail=detail)

    def harm(self, column: Column, since: int, at: int) -> dict[str, JsonScalar]:
        """What labels say of a change that came before them."""
        if column.kind not in HARMLESS:
            return {}
        rate = bool(self.watched.rate_loss)
        first, _ = self.losses_since(since, at)
        return {"harm": harm(self.watched.rise(first), loss_floor(rate), rate=rate)}

    def judged_until(self, at: Happening) -> int:
        """When the prediction was made whose loss made it happen; 0 where it was none."""
        if at.timeline is not self.watched.losses:
            return 0
        return self.judged[at.row - self.watched.losses.rows].predicted_at

    def losses_since(self, since: int, at: int) -> tuple[int, int]:
        """The first loss of a prediction since that time, and how many losses there were at this record."""
        rows = self._losses_by(at)
        return self.watched.losses.since(since, rows - 1), rows

    def labelled_since(self, since: int, at: int) -> tuple[int, int]:
        """How many losses there were at this record of predictions since that time, at least and at most."""
        return self.watched.losses.counted_since(since, self._losses_by(at) - 1)

    def _losses_by(self, at: int) -> int:
        return self.watched.losses.rows - len(self.judged) + bisect_right(self.judged, at, key=_place_of_loss)

    def _causes(self, column: Column, since: Dated, moment: Moment) -> dict[str, JsonScalar]:
        if not explained(column):
            return {}
        causes = of_inputs(column, self.lifecycle, since, moment.now)
        turn = self._around.turn
        if turn is not None and self.basis.older(turn, column.signal):
            causes += of_turn(turn, since.at)
        if column.signal == "loss":
            rate = bool(self.watched.rate_loss)
            parts = [part.part(since.at, moment.at) for part in self._around.parts(self.key)[:PARTS_MAX]]
            causes += of_segments(parts, loss_floor(rate), rate=rate)
        unseen = column.kind is Kind.CONCEPT_DRIFT and quiet(self.watched.watched_signals(), self.lifecycle)
        return told(causes, NONE_SEEN if unseen else None)

    def part(self, since: int, at: int) -> Part:
        """What the whole model has to know of this one's losses."""
        first, rows = self.losses_since(since, at)
        return Part(self.key.segment or "", first, rows - first, self.watched.usual_loss, self.watched.rise(first))

    def name(self, at: Happening, index: int, since: int) -> Name | None:
        blocks = blocks_since(since, at.row)
        changed = [each for each in self.lifecycle.changed(at.group, since) if each != index]
        changed = changed if len(changed) <= CHANGED_MAX else []
        return self.watched.name_of(at.group, index, blocks, changed, last=blocks >= NAMED_BLOCKS)


def _place_of_loss(loss: Loss) -> int:
    return loss.item[0]


def is_news(before: dict[str, JsonScalar], now: dict[str, JsonScalar]) -> bool:
    """Whether it has shown that a change came little by little, or what may have caused it."""
    gradual = "change" not in before and now.get("change") == Course.GRADUAL
    return gradual or (before.get("cause_1") in (None, NONE_SEEN) and now.get("cause_1") not in (None, NONE_SEEN))
