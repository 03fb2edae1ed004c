"""After a deployment: whether the new version has cured what the one before was alarmed for.

Alarms about the loss stay open until labels have told. Each is a case: whose losses are compared, and how far it is.
What labels tell is decided between two records, so that no cut of a batch can change it.
"""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import msgspec

from detectors import wording
from detectors.asking import Retraining
from detectors.causes import Turn
from detectors.cure import LOOKS, REST, WRONG, Answer, Shown, Trial
from detectors.evidence import of_check
from detectors.explaining import Explainer
from detectors.late import Late
from detectors.lifecycle import Alarm, Closing
from detectors.loss import Losses
from detectors.moment import Moment
from detectors.reports import Said, ScopeKey
from detectors.retrain import began_at
from detectors.scope import Scope
from detectors.shelf import Pending
from detectors.usual_loss import About, known_of
from schemas.events import AlertEvent, Evidence, JsonScalar, Kind, Severity

MOST_LABELS = 0.9  # of the labels of a cohort that come at all
NO_ALARM = ""
CASES_MAX = 50  # of a model: alarms beyond that end with the deployment, as others do


class Case(msgspec.Struct, array_like=True):
    """One alarm about a loss, and the version that is to cure it."""

    scope: int  # the number of the alarmed monitor
    signal: str
    alarm: str
    segment: str | None
    replaced: str | None
    version: str | None
    since: int  # when what is wrong began
    trial: Trial
    answer: Answer | None = None
    shadow: tuple[str, float] | None = None  # the last prediction that the replaced version answered too, and its loss


class ChecksState(msgspec.Struct, array_like=True, frozen=True):
    cases: list[Case] = []
    failed: bool = False
    recommended: bool = False


class Monitors(Protocol):
    """Those of the model."""

    retraining: Retraining
    turn: Turn | None

    def __iter__(self) -> Iterator[Late]: ...

    @property
    def live(self) -> Iterable[Scope]: ...

    def numbered(self, number: int) -> Late | None: ...

    def of_entry(self, entry: Pending) -> Iterator[Late]: ...

    def parts(self, of: ScopeKey) -> list[Explainer]: ...


class Checks:
    """Of one model."""

    def __init__(self, monitors: Monitors, by: str | None, horizon_ms: int) -> None:
        self.ready = False  # there are labels enough to look
        self._monitors = monitors
        self._by = by  # the segment name by which traffic is compared
        self._horizon_ms = horizon_ms
        self._cases: list[Case] = []
        self._failed = False  # counted as a retrain that did not help; once a deployment
        self._recommended = False  # a rollback, once a deployment

    @property
    def state(self) -> ChecksState:
        return ChecksState(self._cases, self._failed, self._recommended)

    @state.setter
    def state(self, state: ChecksState) -> None:
        self._cases, self._failed, self._recommended = state.cases, state.failed, state.recommended

    @property
    def tries(self) -> bool:
        """Whether a version is on trial."""
        return bool(self._cases)

    # -- what operators and pipelines say -----------------------------------------------------------------------------

    def turned(self, moment: Moment, version: str | None, why: Closing) -> Iterator[Said]:
        """Alarms of champions end, and of the challenger that is one now.

        But where a version was deployed, those about a champion's loss wait for what labels say.
        """
        before = {case.alarm: case for case in self._cases}
        self._cases, self.ready, self._failed, self._recommended = [], False, False, False
        for scope in self._monitors:
            if scope.key.challenger:
                if why is Closing.NEW_BASELINE or scope.key.version == version:  # it is none any more, or begins anew
                    yield from scope.end_all(moment, why)
                continue
            for signal, alarm in sorted(scope.alarms.items()):
                case = before.get(alarm.id) or self._case(scope, alarm, moment) if why is Closing.DEPLOYED else None
                if case is None or len(self._cases) >= CASES_MAX:
                    yield scope.end(moment, signal, why)
                    continue
                case.version, case.answer, case.shadow = version, None, None
                case.trial.begin(moment.now)
                alarm.uncured = False
                self._cases.append(case)
        if why is Closing.DEPLOYED and self._was_asked and all(case.segment is not None for case in self._cases):
            self._cases += self._without_alarm(version, moment)

    def _case(self, scope: Late, alarm: Alarm, moment: Moment) -> Case | None:
        if alarm.kind is not Kind.CONCEPT_DRIFT:
            return None
        key, signal, since = scope.key, alarm.signal, began_at(alarm)
        trial = self._trial(scope, About(signal, alarm.base, since, moment.at, alarm.row))
        return Case(scope.number, signal, alarm.id, key.segment, key.version, None, since, trial) if trial else None

    def _without_alarm(self, version: str | None, moment: Moment) -> Iterator[Case]:
        """After a retrain that was asked for without harm: the new version may be worse than the one before."""
        wholes = [scope for scope in self._monitors if scope.key.segment is None and not scope.key.challenger]
        live = [scope for scope in wholes if not scope.retired and scope.key.version != version] or wholes
        scope = max(live, key=lambda one: (one.seen_at, one.number), default=None)
        trial = self._trial(scope, About("loss", 0.0, 0, moment.at)) if scope is not None else None
        if scope is not None and trial is not None:
            trial.begin(moment.now)
            yield Case(scope.number, "loss", NO_ALARM, None, scope.key.version, version, 0, trial)

    @property
    def _was_asked(self) -> bool:
        """Whether there was a retrain since the deployment before."""
        turn = self._monitors.turn
        return any(turn is None or when > turn.at for when in self._monitors.retraining.asked.last.values())

    def _trial(self, scope: Late, about: About) -> Trial | None:
        """What is known by now, by segment: what was usual, and what the losses are since the change."""
        own = scope.losses_known(about)
        if own is None:
            return None
        parts = self._monitors.parts(scope.key) if scope.key.segment is None and self._by is not None else []
        of_part = about.of_part(own.unit.rate)
        known = {part.key.segment: known_of(part, of_part) for part in parts if self._names(part.key)}
        sides = {str(segment): one for segment, one in known.items() if one is not None} or {REST: own}
        usual = {REST: own.usual, **{segment: one.usual for segment, one in sides.items()}}
        lately = {segment: one.lately for segment, one in sides.items()}
        return Trial(own.unit, usual, lately, scope.labels.delay(MOST_LABELS))

    def _names(self, key: ScopeKey) -> bool:
        return key.segment is not None and key.segment.startswith(f"{self._by}=")

    # -- what labels tell ---------------------------------------------------------------------------------------------

    def lost(self, key: str, entry: Pending, scored: Losses, now: int) -> None:
        """A prediction of this id met its label."""
        if not self._cases:
            return
        scopes = list(self._monitors.of_entry(entry))
        stratum = next((str(scope.key.segment) for scope in scopes if self._names(scope.key)), REST)
        for case in self._cases:
            loss = scored.loss if case.signal == "loss" else scored.log_loss
            own = next((scope for scope in scopes if scope.key.segment == case.segment), None)
            if case.answer is None and own is not None and not math.isnan(loss):
                self._add(case, key, entry.time, now, own, stratum if case.segment is None else REST, loss)

    def _add(self, case: Case, key: str, made: int, now: int, scope: Late, stratum: str, loss: float) -> None:
        trial = case.trial
        if scope.number == case.scope:
            if made >= case.since:
                trial.add_old(stratum, loss)
        elif scope.key.challenger:
            if scope.key.version == case.replaced and case.replaced not in (None, case.version):
                case.shadow = key, loss
        elif scope.key.version == case.version and made >= trial.begun:
            old = case.shadow[1] if case.shadow is not None and case.shadow[0] == key else None
            trial.add_new(stratum, loss, made, now, old)
            self.ready = self.ready or trial.due

    def look(self, moment: Moment) -> Iterator[Said]:
        """Everything up to this record has been lived through."""
        self.ready = False
        for case in list(self._cases):
            if case.answer is None and case.trial.due:
                shown = case.trial.judge()
                if shown.answer is not None:
                    yield from self._tell(case, shown, moment)

    def due(self, moment: Moment, pending: int) -> Iterator[Said]:
        """What the passing of time alone decides."""
        for case in list(self._cases):
            if case.answer is None and moment.now - case.trial.begun > self._horizon_ms + case.trial.wait_ms:
                case.trial.ripen(moment.now)  # no label may have come since they have had time
                shown = case.trial.judge() if case.trial.due else case.trial.shown()
                yield from self._tell(case, shown._replace(answer=shown.answer or Answer.NOT_SHOWN), moment)
        versions = {case.version for case in self._cases if case.answer is Answer.NOT_CURED}
        for scope in self._monitors.live if versions else ():
            if scope.key.version in versions:
                yield from scope.tick(moment, pending)

    def asking(self, scope: Late) -> list[Alarm]:
        """Its own, but for those under trial; and those of other versions that it was to cure and has not."""
        tried = {case.alarm for case in self._cases if case.scope == scope.number}
        alarms = [alarm for alarm in scope.alarms.values() if alarm.id not in tried]
        for case in self._cases:
            if case.answer is Answer.NOT_CURED and case.segment is None and case.version == scope.key.version:
                known = self._open(case)
                alarms += [known.alarm] if known is not None and case.scope != scope.number else []
        return alarms

    # -- saying it ----------------------------------------------------------------------------------------------------

    def _open(self, case: Case) -> "_Open | None":
        """Whoever has the alarm, unless it has ended by other ways."""
        scope = self._monitors.numbered(case.scope)
        alarm = scope.alarms.get(case.signal) if scope is not None else None
        return _Open(scope, alarm) if scope is not None and alarm is not None and alarm.id == case.alarm else None

    def _tell(self, case: Case, shown: Shown, moment: Moment) -> Iterator[Said]:
        by = self._by if case.segment is None else None
        detail = of_check(case.version, by, shown, rate=case.trial.unit.rate)
        known = self._open(case)
        if known is None:
            self._cases.remove(case)
            scope = self._monitors.numbered(case.scope)
            if case.alarm == NO_ALARM and shown.answer is Answer.WORSE and scope is not None:
                self._count_failure()
                yield from self._recommend(scope, case, moment, _of_rollback(moment, detail, shown))
            return
        scope, alarm = known
        before = {name: what for name, what in alarm.evidence.detail.items() if not name.startswith("loss_")}
        evidence = msgspec.structs.replace(alarm.evidence, detail=before | detail)
        summary = wording.checked(scope.key.model, alarm.signal, case.version, shown, rate=case.trial.unit.rate)
        if shown.answer in (Answer.CURED, Answer.NOT_SHOWN):
            self._cases.remove(case)
            why = Closing.CURED if shown.answer is Answer.CURED else Closing.DEPLOYED
            yield scope.end(moment, alarm.signal, why, evidence, summary=summary)
            whole = [each for each in self._cases if each.segment is None and self._open(each) is not None]
            if shown.answer is Answer.CURED and case.segment is None and not whole:
                self._monitors.retraining.asked.failures = 0  # all of the model that it was to cure
            return
        case.answer, alarm.evidence = shown.answer, evidence
        if alarm.retrained:
            self._count_failure()
        if shown.answer is Answer.WORSE:
            alarm.severity = Severity.CRITICAL
        else:  # labels count from the deployment on: what came before taught the version that did not help
            alarm.uncured, alarm.retrained, alarm.opened_joined = True, False, 0
        yield scope.reports.step(moment, AlertEvent.ESCALATED, alarm, summary)
        if shown.answer is Answer.WORSE:
            yield from self._recommend(scope, case, moment, _of_rollback(moment, detail, shown))

    def _recommend(self, scope: Late, case: Case, moment: Moment, evidence: Evidence) -> Iterator[Said]:
        """To go back, once a deployment, whichever case shows it first."""
        if not self._recommended:
            self._recommended = True
            yield scope.reports.rollback(moment, case.version, self._incidents(), evidence)

    def _incidents(self) -> list[str]:
        """What the version was to cure, and is still on."""
        known = [self._open(case) for case in self._cases]
        return list(dict.fromkeys(one.alarm.incident for one in known if one is not None))

    def _count_failure(self) -> None:
        if not self._failed:
            self._failed = True
            self._monitors.retraining.asked.failures += 1


class _Open(NamedTuple):
    scope: Late
    alarm: Alarm


def _of_rollback(moment: Moment, detail: dict[str, JsonScalar], shown: Shown) -> Evidence:
    """Of losses that are cut it is known that they are higher, and by how much at least where the others are not."""
    if shown.now.at_least and not shown.during.at_least:
        detail = {**detail, "at_least": True}
    return Evidence(
        value=shown.change.mean / shown.change.error if shown.change.error else None,
        threshold=shown.certain,
        threshold_origin=f"standard errors: {WRONG:.0%} of trials of nothing, looked at {len(LOOKS)} times",
        n=shown.now.labels,
        baseline=shown.during.mean,
        effect=None if shown.during.at_least else shown.change.mean,
        detail=detail,
        trace=moment.trace,
    )
