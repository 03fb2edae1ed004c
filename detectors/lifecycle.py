"""From findings to alerts: one alarm a cause, until it is over.

A signal is in one of three states, and this is all that moves it::

    quiet ──── the one that keeps to the budget is certain of a large effect ──► open
    quiet ──── it reports otherwise, or another one where it is not wanted ────► suspect
    suspect ── the rows after it bear it out ─────► open
    suspect ── the rows after it are normal ──────► quiet
    open ───── recent rows are normal again, or an operator or a deployment says so ──► quiet

A detector picks the worst stretch out of thousands of rows, so the stretch that it reports always looks bad. The rows
that come after were not picked: their mean has the error that statistics say it has, and an alarm rests on them.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from detectors import together
from detectors.arrival import DUPLICATES, STALE
from detectors.banks.shiryaev import WATCH
from detectors.baseline import BLOCK
from detectors.effects import derived_id, place
from detectors.encoding import ONE_SIDED, Column
from detectors.group import Found, Group, Recent
from detectors.history import HISTORY
from schemas.events import Evidence, Kind, Position, Severity

# Smaller changes are real and not worth a page. Of a value: baseline standard deviations; of a rate: the difference.
VALUE_FLOOR = 0.25
TOGETHER_FLOOR = 0.5  # the distance follows what single features do, and names none: a small change of it says little
RATE_FLOORS = {Kind.DATA_QUALITY: 0.02, Kind.CONCEPT_DRIFT: 0.03}
SHARE_FLOOR = 0.05

# Standard errors that the rows after a report must lie from the baseline: by chance once in 290,000 looks. A detector
# reports a few times a day for nothing, each report is looked at up to 32 times: a false page of this kind in years.
CERTAIN = 4.5
RECOVERED_ROWS = BLOCK * HISTORY
PAST_MAX = 64  # signals of a scope of which it is remembered that they had alarms


# What may be explained by the next rows, or over with them: an alarm rests on these.
PATIENT = (together.SIGNAL, DUPLICATES, STALE)
# Whoever was cut off sends a lot at once and some of it twice. It is told where it goes on for so many blocks, and is
# on in the second half of them.
PASSING, GOES_ON = (DUPLICATES, STALE), 8


class Disposition(StrEnum):
    """What became of a finding, and why."""

    OPENED = "opened"  # the detector keeps to the budget, so it opens an alarm by itself
    SUSPECTED = "suspected"  # the rows that follow decide
    NOTED = "noted"  # a detector that knows no budget reports beside one that does
    ALREADY_OPEN = "already_open"
    IMPROVEMENT = "improvement"  # a falling loss harms nobody
    MUTED = "muted"  # suspected all the same, and looked at when the mute ends
    # Of an alarm, where no alert says it:
    GROUPED = "grouped"  # it has joined an incident
    SHOWN = "shown"  # more is known of one that has
    OVER = "over"  # it has ended, and its incident has not
    WAITING = "waiting"  # for having lasted as long as is asked for
    PASSED = "passed"  # it has not lasted that long


class Closing(StrEnum):
    """Why an alarm ended."""

    RECOVERED = "recovered"
    DEPLOYED = "deployed"
    ROLLED_BACK = "rolled_back"
    NEW_BASELINE = "new_baseline"
    REPLACED = "replaced"  # by newer versions: it is one too many to watch
    RECONFIGURED = "reconfigured"  # the configuration of the model is another one now
    BY_HAND = "resolved_by_hand"
    FALSE_ALARM = "false_alarm"  # a person has said so
    LABELS = "labels_corrected"  # what they say now shows no harm
    CURED = "cured"  # by a new version, as its labels show


# After these another version answers; what labels show of the one before is then of the past.
REPLACED = (Closing.DEPLOYED, Closing.ROLLED_BACK, Closing.CURED)
BY_LABELS = (Kind.CONCEPT_DRIFT, Kind.LABEL_DRIFT)


class Alarm(msgspec.Struct, array_like=True):
    """An open alarm."""

    id: str
    alert_id: str
    signal: str
    kind: Kind
    detector: str
    severity: Severity
    opened_ts: int
    opened_row: int  # of the group's rows
    opened_joined: int
    evidence: Evidence
    retrained: bool = False
    base: float = 0.0  # what was normal before, where it is not the baseline any more; in the unit of effects
    spread: bool = False  # it is the standard deviation that changed
    row: int = 0  # since when rows are of the new kind
    incident: str = ""  # of which it is a part
    judged_until: int = 0  # of a loss: when the prediction was made whose label opened it
    amended: float = 0.0  # what corrected labels have added to its effect
    uncured: bool = False  # a new version has not helped
    held: str = ""  # why no retrain was asked for, as it was told last


def begun(
    scope: str,
    signal: str,
    kind: Kind,
    detector: str,
    severity: Severity,
    evidence: Evidence,
    now: int,
    position: Position,
) -> Alarm:
    """An alarm that opens with a record: its id says whose it is, what it is about, and which record that was."""
    name = derived_id("incident", scope, signal, *place(position))
    return Alarm(
        id=name,
        alert_id="",
        signal=signal,
        kind=kind,
        detector=detector,
        severity=severity,
        opened_ts=now,
        opened_row=0,
        opened_joined=0,
        evidence=evidence,
    )


class Past(msgspec.Struct, array_like=True, frozen=True):
    """What is remembered of a signal whose alarms have ended by themselves, the last of them this way."""

    ended: int
    rising: bool
    spread: bool
    times: int  # one after the other, the same way


class Suspect(msgspec.Struct, array_like=True, frozen=True):
    """A finding that waits for the rows after it."""

    detector: str
    row: int
    evidence: Evidence
    base: float = 0.0
    spread: bool = False


def blocks_since(row: int, now: int) -> int:
    """How many whole blocks lie between the block of a row and the end of another one."""
    return (now + 1) // BLOCK - row // BLOCK - 1


def floor_of(column: Column, rate: bool) -> float:
    if not rate:
        return TOGETHER_FLOOR if column.signal == together.SIGNAL else VALUE_FLOOR
    return RATE_FLOORS.get(column.kind, SHARE_FLOOR)


def loss_floor(rate: bool) -> float:
    return RATE_FLOORS[Kind.CONCEPT_DRIFT] if rate else VALUE_FLOOR


def harmful(kind: Kind, effect: float) -> bool:
    """Only a worsening loss is damage, and only more missing values are trouble; other changes matter both ways.

    A detector that cannot say which way things went (``nan``) is believed until the rows after it have spoken.
    """
    return not effect <= 0 or kind not in ONE_SIDED


class LifecycleState(msgspec.Struct, array_like=True, frozen=True):
    alarms: dict[str, Alarm]
    suspects: dict[str, Suspect]
    past: dict[str, Past] = {}


class Lifecycle:
    """The signals of one monitor that are not quiet."""

    def __init__(self) -> None:
        self.alarms: dict[str, Alarm] = {}
        self.suspects: dict[str, Suspect] = {}
        self.past: dict[str, Past] = {}  # the one that ended last comes last

    @property
    def restless(self) -> bool:
        return bool(self.alarms or self.suspects)

    def judge(self, column: Column, found: Found, evidence: Evidence, muted: bool, group: Group) -> Disposition:
        if not harmful(column.kind, found.effect):
            return Disposition.IMPROVEMENT
        if column.signal in self.alarms:
            return Disposition.ALREADY_OPEN
        if found.detector != WATCH and group.watched:
            return Disposition.NOTED
        if muted:
            return Disposition.MUTED
        certain = found.detector == WATCH and _plain(evidence)
        if certain and abs(found.effect) >= floor_of(column, group.rate) and column.signal not in PATIENT:
            return Disposition.OPENED
        return Disposition.SUSPECTED

    def suspect(self, column: Column, found: Found, row: int, evidence: Evidence) -> None:
        """The newest report is the evidence; the rows are counted from the first that pointed the same way."""
        known = self.suspects.get(column.signal)
        if known is not None and ((known.evidence.effect or 0.0) > 0) is (found.effect > 0):
            row = known.row
        self.suspects[column.signal] = self.cause(found, row, evidence)

    @staticmethod
    def cause(found: Found, row: int, evidence: Evidence) -> Suspect:
        return Suspect(found.detector, row, evidence, found.base, found.spread)

    def open(
        self,
        column: Column,
        suspect: Suspect,
        severity: Severity,
        evidence: Evidence,
        now: int,
        row: int,
        joined: int,
        scope: str,
        position: Position,
    ) -> Alarm:
        opened = begun(scope, column.signal, column.kind, suspect.detector, severity, evidence, now, position)
        opened.opened_row, opened.opened_joined = row, joined
        opened.base, opened.spread, opened.row = suspect.base, suspect.spread, suspect.row
        self.suspects.pop(column.signal, None)
        self.alarms[column.signal] = opened
        return opened

    def close(self, signal: str, now: int, *, recovered: bool) -> Alarm:
        alarm = self.alarms.pop(signal)
        if recovered:
            rising, before = (alarm.evidence.effect or 0.0) > 0.0, self.past.pop(signal, None)
            again = before is not None and (before.rising, before.spread) == (rising, alarm.spread)
            times = before.times + 1 if again and before is not None else 1
            self.past[signal] = Past(now, rising, alarm.spread, times)
            if len(self.past) > PAST_MAX:
                del self.past[next(iter(self.past))]
        return alarm

    def before(self, signal: str, effect: float, *, spread: bool) -> Past | None:
        """The alarms of a signal that went the same way as this one and ended by themselves."""
        past = self.past.get(signal)
        return past if past is not None and (past.rising, past.spread) == (effect > 0.0, spread) else None

    # -- what a full block of rows shows ------------------------------------------------------------------------------

    def confirmed(self, column: Column, group: Group, index: int, row: int) -> tuple[Suspect, Recent] | None:
        """The suspicion and the rows after it that bear it out. One that came to nothing is dropped."""
        suspect = self.suspects[column.signal]
        if column.signal == together.SIGNAL and self._explained:
            return None
        fresh = blocks_since(suspect.row, row)
        recent = group.recent(index, min(fresh, HISTORY), suspect.base)
        if suspect.detector == WATCH and column.kind not in ONE_SIDED and not group.rate:
            # What follows may be another change than the one that was found, and the larger one is told.
            suspect = msgspec.structs.replace(suspect, spread=abs(recent.spread) > abs(recent.effect))
        floor, effect = floor_of(column, group.rate), recent.of(spread=suspect.spread)
        goes_on = column.signal not in PASSING or _goes_on(group, index, fresh, floor)
        if goes_on and harmful(column.kind, effect) and abs(effect) >= max(floor, _doubt(recent)):
            return suspect, recent
        if fresh >= HISTORY and abs(effect) < floor / 2:
            del self.suspects[column.signal]
            group.watch_again(index)
        return None

    @property
    def _explained(self) -> bool:
        """Whether a feature by itself shows what features show together."""
        single = (Kind.FEATURE_DRIFT, Kind.DATA_QUALITY)
        alone = any(alarm.kind in single for signal, alarm in self.alarms.items() if signal != together.SIGNAL)
        return alone or any(signal.startswith("feature:") for signal in self.suspects)

    def recovered(self, column: Column, group: Group, index: int, row: int) -> Recent | None:
        """The rows that say an alarm is over."""
        alarm = self.alarms[column.signal]
        if row - alarm.opened_row < RECOVERED_ROWS:
            return None
        recent, floor = group.recent(index, HISTORY, alarm.base), floor_of(column, group.rate)
        effect = recent.of(spread=alarm.spread)
        over = effect if column.kind in ONE_SIDED else abs(effect)
        if recent.rows < RECOVERED_ROWS / 4 or over >= floor / 2:
            return None
        # Nor is it over where the mean is back and the spread is not, or the other way round.
        another = 0.0 if group.rate or column.kind in ONE_SIDED else abs(recent.of(spread=not alarm.spread))
        return recent if another < floor else None

    def restless_of(self, group: Group) -> list[int]:
        """The columns of a group that are not quiet."""
        alarms, suspects = self.alarms, self.suspects
        return [i for i, column in enumerate(group.columns) if column.signal in alarms or column.signal in suspects]

    def changed(self, group: Group, row: int) -> Iterator[int]:
        """The columns of a group whose suspicion or alarm is at most so many rows from this one as end an alarm."""
        for index, column in enumerate(group.columns):
            alarm, suspect = self.alarms.get(column.signal), self.suspects.get(column.signal)
            known = alarm.opened_row if alarm else suspect.row if suspect else None
            if known is not None and abs(known - row) <= RECOVERED_ROWS:
                yield index

    def wanted(self, group: Group) -> int:
        """How many of a group's last blocks may still be asked for: those since its oldest suspicion or alarm."""
        if not self.restless:
            return 0
        signals = {column.signal for column in group.columns}
        rows = [suspect.row for signal, suspect in self.suspects.items() if signal in signals]
        rows += [alarm.opened_row for signal, alarm in self.alarms.items() if signal in signals]
        fresh = blocks_since(min(rows, default=group.baseline.rows), group.baseline.rows - 1)
        return max(0, min(fresh, HISTORY))

    def certain(self, groups: Sequence[Group], row: int) -> tuple[int, list[Group]]:
        """For so many rows from this one on, nothing that a watch has found can be over: it need not look again.

        But for what was found in the groups that are told with it: there it can at the end of each block.
        """
        certain, due = RECOVERED_ROWS, list[Group]()
        for group in groups:
            for signal in [group.columns[index].signal for index in self.restless_of(group)] if group.watched else ():
                suspect, alarm = self.suspects.get(signal), self.alarms.get(signal)
                began = min(suspect.row if suspect else row, alarm.opened_row if alarm else row)
                left = began + RECOVERED_ROWS - row
                if left > 0:
                    certain = min(certain, left)
                elif group not in due:
                    due.append(group)
        return certain, due

    def state(self) -> LifecycleState:
        return LifecycleState(self.alarms, self.suspects, self.past)

    def restore(self, state: LifecycleState) -> None:
        self.alarms, self.suspects, self.past = state.alarms, state.suspects, state.past


def _plain(evidence: Evidence) -> bool:
    """Whether the effect is certain to be one: nothing lies outside its interval, of which one end may be unknown."""
    low, high = evidence.detail.get("effect_low"), evidence.detail.get("effect_high")
    return (isinstance(low, float) and low > 0) or (isinstance(high, float) and high < 0)


def _goes_on(group: Group, index: int, fresh: int, floor: float) -> bool:
    return fresh >= GOES_ON and group.recent(index, GOES_ON // 2).effect >= floor


def _doubt(recent: Recent) -> float:
    """The effect that chance alone may show: more for lopsided columns, one way (Cornish and Fisher's first term)."""
    lean = recent.skewness if recent.effect > 0 else -recent.skewness
    return recent.error * (CERTAIN + max(0.0, lean) * (CERTAIN * CERTAIN - 1.0) / 6.0)


def severity_of(column: Column, effect: float, floor: float) -> Severity:
    """Harm that labels have shown wakes people up, as does an input that is mostly broken. The rest can wait."""
    if column.kind is Kind.CONCEPT_DRIFT:
        return Severity.CRITICAL
    if column.kind is Kind.DATA_QUALITY and effect >= 0.2 and column.signal != DUPLICATES:  # each counts once
        return Severity.CRITICAL
    return Severity.WARNING if abs(effect) >= 2 * floor else Severity.INFO
