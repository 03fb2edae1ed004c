"""A monitor of a whole version asks for retrains, and says why where it does not."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from detectors.causes import LABELS_MIN
from detectors.cure import TWO_SIDED_95, around
from detectors.effects import Decided
from detectors.explaining import Explainer
from detectors.lifecycle import Alarm
from detectors.moment import Moment
from detectors.reports import Reports
from detectors.retrain import Asked, DataWindow, Known, Policy, asking, began_at, request, why_held
from schemas.events import ChangePoint, ExpectedGain, LabelCounts, Position


class Retraining:
    """Of a model: its policy, and what it was asked for, whichever version asked."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.asked = Asked()


class Here(NamedTuple):
    """What the monitor knows at the moment."""

    moment: Moment
    newest: Position  # the last prediction
    labels: LabelCounts  # of all that it has seen
    rows: int  # predictions it has seen


class Asker:
    def __init__(self, retraining: Retraining, explainer: Explainer, reports: Reports) -> None:
        self._retraining, self._explainer, self._reports = retraining, explainer, reports

    def asking(self, alarms: Iterable[Alarm], now: int) -> list[Alarm]:
        """Those of them that ask for a retrain by now."""
        return asking(self._retraining.policy, alarms, now)

    def ask(self, here: Here, alarms: Sequence[Alarm]) -> Iterator[Decided]:
        policy, asked, now = self._retraining.policy, self._retraining.asked, here.moment.now
        rows = self._explainer.watched.rows
        known = Known(
            here.labels.joined,
            lambda since: here.rows - rows.since(since, here.rows - 1),
            lambda since: self._explainer.labelled_since(since, here.moment.at),
        )
        wanted = request(policy, alarms, now, known, asked)
        if wanted is None:
            return
        if wanted.held is not None:
            if all(alarm.held != wanted.held for alarm in wanted.alarms):  # told once for each reason
                yield self._reports.held(here.moment, wanted, why_held(policy, asked, wanted))
            for alarm in wanted.alarms:
                alarm.held = wanted.held
            return
        asked.note(wanted.reason, now, policy)
        for alarm in wanted.alarms:
            alarm.retrained = True
        since, at = min(map(began_at, wanted.causes)), here.moment.at
        recent = self._recent(since, at) if wanted.window is DataWindow.RECENT else None
        window = DataWindow.SINCE_CHANGE if recent is None else DataWindow.RECENT
        changes = [self._change_of(alarm, here) for alarm in wanted.causes] if recent is None else [recent]
        joined = wanted.labels if recent is None else self._explainer.labelled_since(recent.ts, at)[0]
        labels, gain = msgspec.structs.replace(here.labels, joined=joined), self._gain(since, at, wanted.causes)
        yield self._reports.retrain(here.moment, wanted, here.newest, labels, window, changes, gain)

    def _change_of(self, alarm: Alarm, here: Here) -> ChangePoint:
        """Where its detector dates none, of the first predictions since it opened, as finely as they are remembered."""
        change, rows, now = alarm.evidence.change_point, self._explainer.watched.rows, here.rows - 1
        if change is not None:
            return change
        mark = rows.at(rows.since(alarm.opened_ts, now), now)
        if mark is None:
            return ChangePoint(ts=alarm.opened_ts, offset=here.newest.offset)
        return ChangePoint(ts=mark.time, offset=mark.offset)

    def _recent(self, since: int, at: int) -> ChangePoint | None:
        """Where the newer half of the labelled predictions since that time begins, or so many as are needed."""
        first, rows = self._explainer.losses_since(since, at)
        newer = max(self._retraining.policy.min_labels, (rows - first) // 2)
        mark = self._explainer.watched.losses.parting(max(first, rows - newer), rows - 1)
        return ChangePoint(ts=mark.time, offset=mark.offset) if mark is not None else None

    def _gain(self, since: int, at: int, causes: Sequence[Alarm]) -> ExpectedGain | None:
        """How much lower the loss would be, were it as before that time; where labels are sure that it is higher.

        Losses that lie beyond what detectors look at do not say by how much.
        """
        of_loss = [alarm for alarm in causes if alarm.signal == "loss"]
        before = min(of_loss, key=began_at).evidence.baseline if of_loss else None
        watched = self._explainer.watched
        first, _ = self._explainer.losses_since(since, at)
        rise, group = watched.rise(first, before), watched.of_loss
        if rise.values < LABELS_MIN or not rise.certain(0.0) or rise.at_least:
            return None
        unit = 1.0 if group.rate else float(group.baseline.scale[0])
        reach = TWO_SIDED_95 * rise.doubt
        low, high = (unit * end for end in around(rise.effect, reach, rate=group.rate))
        value = unit * rise.effect
        return ExpectedGain(value=value, low=low, high=high) if math.isfinite(low) and math.isfinite(high) else None
