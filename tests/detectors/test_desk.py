"""The desk against a slow plain model of it, over whatever alarms, answers, ticks and restarts may come."""

from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from detectors.answers import answered
from detectors.config import IncidentConfig, ModelConfig
from detectors.desk import Desk, DeskState
from detectors.effects import Decided
from detectors.incident import TRANSITIONS, IllegalStepError, Incident, Stands
from detectors.lifecycle import Alarm, Closing, begun
from detectors.moment import Moment
from detectors.reports import Reports, ScopeKey, Step
from schemas.events import Alert, AlertEvent, ChangePoint, Control, ControlAction, Evidence, Kind, Position, Severity
from schemas.events import Verdict as Said
from schemas.reasons import AuditResult

MINUTE = 60_000
GRACE, LASTS = 60 * MINUTE, 10 * MINUTE
RANK = {"info": 0, "warning": 1, "critical": 2}
VERSIONS, SEGMENTS = (None, "1", "2"), (None, "country=de")
SIGNALS = {
    "feature:a": Kind.FEATURE_DRIFT,
    "feature:b": Kind.FEATURE_DRIFT,
    "missing:c": Kind.DATA_QUALITY,
    "loss": Kind.CONCEPT_DRIFT,
    "labels": Kind.LABEL_DELAY,
}


class Owner:
    """A monitor as the desk sees it."""

    def __init__(self, key: ScopeKey) -> None:
        self.key, self.alarms = key, dict[str, Alarm]()
        self.reports = Reports(key)

    def begin(self, moment: Moment, signal: str, severity: Severity, change: int) -> Step:
        shown = Evidence(
            value=None,
            threshold=None,
            threshold_origin="",
            n=0,
            baseline=None,
            effect=1.0,
            change_point=ChangePoint(ts=change, offset=0),
            detail={"change_point_low": change, "change_point_high": change},
        )
        alarm = begun(self.key.text, signal, SIGNALS[signal], "d", severity, shown, moment.now, moment.position)
        self.alarms[signal] = alarm
        return self.reports.step(moment, AlertEvent.OPENED, alarm, "began.")

    def tried(self, moment: Moment, signal: str, version: str, answer: str) -> Step:
        alarm = self.alarms[signal]
        detail = alarm.evidence.detail | {"new_version": version, "answer": answer}
        alarm.evidence = msgspec.structs.replace(alarm.evidence, detail=detail)
        if answer == "worse":
            alarm.severity = Severity.CRITICAL
        return self.reports.step(moment, AlertEvent.ESCALATED, alarm, "tried.")

    def end(self, moment: Moment, signal: str, why: Closing) -> Step:
        alarm = self.alarms.pop(signal)
        return self.reports.ended(moment, alarm, alarm.evidence, why)


class Plain:
    """What is known of one incident, said as simply as can be; ``on`` and ``seen`` are pairs of monitor and signal."""

    def __init__(self, **known: Any) -> None:
        self.__dict__.update(known)
        self.quiet = self.muted = self.until = self.ended = self.why = self.verdict = self.tried = None
        self.again, self.news_at, self.real = 0, 2, False


class DeskMachine(RuleBasedStateMachine):
    lasts = 0

    def __init__(self) -> None:
        super().__init__()
        times = {"lasts": f"{self.lasts}ms", "reopen_within": f"{GRACE}ms"}
        self.config = ModelConfig(incidents=IncidentConfig(**times))
        self.desk = Desk("m", self.config)
        self.owners = [Owner(ScopeKey("m", v, s, False)) for v in VERSIONS for s in SEGMENTS]
        self.owners.append(Owner(ScopeKey("m", "1", None, True)))
        self.now, self.offset = 100 * GRACE, 0
        self.plain: list[Plain] = []  # those that are not over, in the order in which they came to be so
        self.over: list[Plain] = []
        self.expected: list[tuple[str, str, str]] = []

    # -- what happens, and to the plain model -------------------------------------------------------------------------

    def moment(self) -> Moment:
        self.offset += 1
        return Moment(0, self.now, Position(topic="t", partition=0, offset=self.offset), None)

    def check(self, decided: list[Decided]) -> None:
        alerts = [each.event for each in decided if isinstance(each.event, Alert)]
        assert [(str(a.event), a.incident, str(a.severity)) for a in alerts] == self.expected
        assert len({alert.id for alert in alerts}) == len(alerts)
        self.expected = []

    def tell(self, plain: Plain, event: str) -> None:
        self.expected.append((event, plain.id, plain.severity))

    @rule(owner=st.integers(0, 6), signal=st.sampled_from(sorted(SIGNALS)), severity=st.sampled_from(list(Severity)),
          ago=st.sampled_from([0, 1, 5, 40, 90, 300]))  # fmt: skip
    def an_alarm_begins(self, owner: int, signal: str, severity: Severity, ago: int) -> None:
        at, change = self.owners[owner], self.now - ago * MINUTE
        if signal in at.alarms:
            return
        step = at.begin(self.moment(), signal, severity, change)
        self.plainly_begins(owner, signal, "info" if at.key.challenger else str(severity), change, step)
        self.check(list(self.desk.said([step])))

    def seen_before(self) -> list[tuple[int, str]]:
        known = [name for plain in (*self.plain, *self.over) for name in plain.seen]
        return sorted({name for name in known if name not in self.on()})

    @precondition(lambda self: self.seen_before())
    @rule(data=st.data(), severity=st.sampled_from(list(Severity)))
    def an_alarm_comes_back(self, data: st.DataObject, severity: Severity) -> None:
        owner, signal = data.draw(st.sampled_from(self.seen_before()))
        self.an_alarm_begins(owner, signal, severity, 0)

    def plainly_begins(self, owner: int, signal: str, severity: str, change: int, step: Step) -> None:
        name, key, kind = (owner, signal), self.owners[owner].key, SIGNALS[signal]
        known = [plain for plain in self.plain if name in plain.seen]
        near = [plain for plain in self.plain if self.belongs(plain, key, kind, change)]
        if known:
            self.plainly_joins(known[-1], name, kind, severity, change)
        elif near:
            self.plainly_joins(min(near, key=lambda plain: abs(plain.at - change)), name, kind, severity, change)
        else:
            back = [
                plain
                for plain in self.over
                if name in plain.seen
                and plain.state == "resolved"
                and plain.why in ("recovered", "resolved_by_hand")
                and self.now - plain.ended <= GRACE
            ]
            if back:
                plain = back[-1]
                self.over.remove(plain)
                self.plain.append(plain)
                plain.again, plain.real = plain.again + 1, False
                plain.state, plain.severity, plain.key, plain.why, plain.tried = "open", severity, key, None, None
                self.plainly_on(plain, name, kind, change)
                self.tell(plain, "reopened")
                return
            plain = Plain(id=step.alarm.id, state="waiting", severity=severity, key=key, began=self.now, at=change,
                          low=change, high=change, on=[], seen=[], kinds=[])  # fmt: skip
            self.plain.append(plain)
            self.plainly_on(plain, name, kind, change)
            if not self.lasts:
                plain.state = "open"
                self.tell(plain, "opened")

    def belongs(self, plain: Plain, key: ScopeKey, kind: Kind, change: int) -> bool:
        if plain.key.challenger != key.challenger:
            return False
        if plain.key.version != key.version and plain.key.version is not None and key.version is not None:
            return False
        if plain.low - MINUTE <= change <= plain.high + MINUTE and abs(change - plain.at) <= 10 * MINUTE:
            return True
        inputs, follows = {Kind.FEATURE_DRIFT, Kind.DATA_QUALITY}, Kind.CONCEPT_DRIFT
        near = abs(change - plain.at) <= 120 * MINUTE
        after = near and plain.low - MINUTE <= change <= plain.high + 60 * MINUTE
        before = near and plain.low - 60 * MINUTE <= change <= plain.high + MINUTE
        if kind == follows and inputs & set(plain.kinds) and after:
            return True
        return follows in plain.kinds and ((kind == follows and (after or before)) or (kind in inputs and before))

    def plainly_on(self, plain: Plain, name: tuple[int, str], kind: Kind, change: int) -> None:
        if not plain.on:
            plain.low = plain.at = plain.high = change
        plain.on.append(name)
        plain.quiet = None
        plain.low, plain.high = min(plain.low, change), max(plain.high, change)
        plain.kinds += [kind] if kind not in plain.kinds else []
        plain.seen += [name] if name not in plain.seen else []

    def plainly_joins(self, plain: Plain, name: tuple[int, str], kind: Kind, severity: str, change: int) -> None:
        news = kind not in plain.kinds
        self.plainly_on(plain, name, kind, change)
        worse = RANK[severity] > RANK[plain.severity]
        if worse:
            plain.severity, plain.key = severity, self.owners[name[0]].key
        if plain.state == "waiting":
            return
        if worse:
            plain.state = "open"
            self.tell(plain, "escalated")
        elif news or len(plain.seen) >= plain.news_at:
            self.tell(plain, "updated")
        while len(plain.seen) >= plain.news_at:
            plain.news_at *= 2

    def an_end(self, name: tuple[int, str], why: Closing) -> None:
        (plain,) = [plain for plain in self.plain if name in plain.on]
        plain.on.remove(name)
        if why is not Closing.LABELS:
            plain.real = True
        elif plain.real and not plain.on:
            why = Closing.RECOVERED
        if plain.on:
            return
        if plain.state == "waiting":
            self.plain.remove(plain)
        elif why is Closing.RECOVERED and plain.again:
            plain.quiet = self.now
        else:
            self.plainly_over(plain, why)

    def plainly_over(self, plain: Plain, why: Closing) -> None:
        plain.state = "retracted" if why in (Closing.FALSE_ALARM, Closing.LABELS) else "resolved"
        plain.ended, plain.why, plain.quiet, plain.muted, plain.until = self.now, str(why), None, None, None
        self.plain.remove(plain)
        self.over.append(plain)
        self.tell(plain, plain.state)

    def on(self) -> list[tuple[int, str]]:
        return [(number, signal) for number, owner in enumerate(self.owners) for signal in sorted(owner.alarms)]

    @precondition(lambda self: self.on())
    @rule(data=st.data(), why=st.sampled_from([Closing.RECOVERED, Closing.RECOVERED, Closing.DEPLOYED, Closing.LABELS]))
    def an_alarm_ends(self, data: st.DataObject, why: Closing) -> None:
        owner, signal = data.draw(st.sampled_from(self.on()))
        step = self.owners[owner].end(self.moment(), signal, why)
        self.an_end((owner, signal), why)
        self.check(list(self.desk.said([step])))

    @precondition(lambda self: self.on())
    @rule(data=st.data(), version=st.sampled_from("23"), answer=st.sampled_from(["not_cured", "worse"]))
    def a_version_has_not_helped(self, data: st.DataObject, version: str, answer: str) -> None:
        owner, signal = data.draw(st.sampled_from(self.on()))
        at = self.owners[owner]
        step = at.tried(self.moment(), signal, version, answer)
        (plain,) = [plain for plain in self.plain if (owner, signal) in plain.on]
        if plain.tried not in ((version, answer), (version, "worse")):
            severity = "info" if at.key.challenger else str(at.alarms[signal].severity)
            plain.tried, plain.key = (version, answer), at.key
            plain.severity = max(plain.severity, severity, key=lambda one: RANK[one])
            if plain.state != "waiting":
                plain.state = "open"
                self.tell(plain, "escalated")
        self.check(list(self.desk.said([step])))

    @rule(minutes=st.sampled_from([1, 10, 30, 60, 120, 1_500]))
    def time_passes(self, minutes: int) -> None:
        self.now += minutes * MINUTE
        for plain in list(self.plain):
            if plain.state == "waiting" and self.now - plain.began >= self.lasts:
                plain.state = "open"
                self.tell(plain, "opened")
            if plain.muted and plain.until is not None and self.now >= plain.until:
                plain.muted = plain.until = None
                self.tell(plain, "unmuted")
            hold = min(GRACE * 2 ** max(0, plain.again - 1), 24 * 60 * MINUTE)
            if plain.quiet is not None and self.now - plain.quiet >= hold:
                self.plainly_over(plain, Closing.RECOVERED)
        self.over = [plain for plain in self.over if self.now - plain.ended <= GRACE]
        self.check(list(self.desk.tick(self.moment())))

    @rule(data=st.data(), action=st.sampled_from(["acknowledge", "mute", "unmute", "resolve", "verdict"]),
          until=st.sampled_from([None, 20, 200]), verdict=st.sampled_from(list(Said)))  # fmt: skip
    def a_person_answers(self, data: st.DataObject, action: str, until: int | None, verdict: Said) -> None:
        names = [plain.id for plain in (*self.plain, *self.over)]
        name = data.draw(st.sampled_from([*names, "nobody's"]))
        end = self.now + until * MINUTE if until is not None else None
        event = Control(v=1, id="c", ts=0, action=ControlAction(action), model="m", incident=name, until=end,
                        verdict=verdict)  # fmt: skip
        moment = self.moment()
        self.plainly_answered(name, action, end, verdict)
        owners = [owner for owner in self.owners if owner.alarms]
        self.check(list(answered(self.desk, owners, moment, event)))
        assert self.desk.judged(event, self.now) is (action == "verdict" and self.plainly_judged(name, verdict))

    def plainly_answered(self, name: str, action: str, until: int | None, verdict: Said) -> None:
        found = [plain for plain in self.plain if plain.id == name and plain.state != "waiting"]
        late = [plain for plain in self.over if plain.id == name and plain.state == "resolved"]
        if not found:
            if late and action == "verdict" and verdict is Said.FALSE_ALARM:
                late[0].state, late[0].why = "retracted", "false_alarm"
                self.tell(late[0], "retracted")
            return
        (plain,) = found
        if action == "acknowledge":
            plain.state = "acknowledged"
            self.tell(plain, "acknowledged")
        elif action == "mute":
            plain.muted, plain.until = True, until
            self.tell(plain, "muted")
        elif action == "unmute" and plain.muted:
            plain.muted = plain.until = None
            self.tell(plain, "unmuted")
        elif action == "resolve" or (action == "verdict" and verdict is Said.FALSE_ALARM):
            plain.on = []
            self.plainly_over(plain, Closing.BY_HAND if action == "resolve" else Closing.FALSE_ALARM)

    def plainly_judged(self, name: str, verdict: Said) -> bool:
        told = [plain for plain in (*self.plain, *self.over) if plain.id == name and plain.state != "waiting"]
        if not told or told[0].verdict == verdict:
            return False
        told[0].verdict = verdict
        return True

    @rule()
    def it_starts_again(self) -> None:
        kept = msgspec.msgpack.encode(self.desk.state())
        self.desk = Desk("m", self.config)
        self.desk.restore(msgspec.msgpack.decode(kept, type=DeskState))

    # -- and what always holds ----------------------------------------------------------------------------------------

    @invariant()
    def they_agree(self) -> None:
        stands = [(one.id, str(one.stands), str(one.severity)) for one in self.desk.incidents.values()]
        assert stands == [(plain.id, plain.state, plain.severity) for plain in self.plain]
        assert self.desk.open == sum(plain.state != "waiting" for plain in self.plain)
        assert self.desk.waits is bool(self.plain or self.over)

    @invariant()
    def every_alarm_that_is_on_has_an_incident(self) -> None:
        own = {alarm.incident for owner in self.owners for alarm in owner.alarms.values()}
        assert own <= set(self.desk.incidents)


class PatientDeskMachine(DeskMachine):
    lasts = LASTS


CAREFUL = settings(max_examples=80, stateful_step_count=50)
TestDesk = DeskMachine.TestCase
TestDesk.settings = CAREFUL
TestPatientDesk = PatientDeskMachine.TestCase
TestPatientDesk.settings = CAREFUL


@pytest.mark.parametrize("event", list(AlertEvent))
@pytest.mark.parametrize("stands", list(Stands))
def test_what_the_table_does_not_have_raises_and_changes_nothing(stands: Stands, event: AlertEvent) -> None:
    owner = Owner(ScopeKey("m", None, None, False))
    moment = Moment(0, 0, Position(topic="t", partition=0, offset=0), None)
    step = owner.begin(moment, "loss", Severity.INFO, 0)
    desk = Desk("m", ModelConfig())
    list(desk.said([step]))
    (incident,) = desk.incidents.values()
    incident.stands = stands
    before = msgspec.msgpack.encode(incident)
    if (stands, event) in TRANSITIONS:
        incident.take(event)
        assert incident.stands is TRANSITIONS[stands, event]
        return
    with pytest.raises(IllegalStepError, match=f"is {stands}: it cannot be {event}"):
        incident.take(event)
    assert msgspec.msgpack.decode(before, type=Incident) == incident


def result_of(desk: Desk, owner: Owner, moment: Moment, event: Control) -> AuditResult:
    words = answered(desk, [owner], moment, event)
    while True:
        try:
            assert isinstance(next(words).event, Alert)
        except StopIteration as end:
            return AuditResult(end.value)


def test_a_verdict_that_moves_thresholds_is_one_that_was_applied() -> None:
    """Also where it takes back the one before, by which the incident was retracted."""
    owner, desk = Owner(ScopeKey("m", None, None, False)), Desk("m", ModelConfig())
    moment = Moment(0, 0, Position(topic="t", partition=0, offset=0), None)
    list(desk.said([owner.begin(moment, "loss", Severity.INFO, 0)]))
    (name,) = desk.incidents
    for verdict in (Said.FALSE_ALARM, Said.TRUE_ALARM):
        event = Control(v=1, id="c", ts=0, action=ControlAction.VERDICT, model="m", incident=name, verdict=verdict)
        assert result_of(desk, owner, moment, event) is AuditResult.APPLIED
        assert desk.judged(event, 0)


def test_what_was_real_is_not_retracted_with_what_corrected_labels_take_back() -> None:
    owner, desk = Owner(ScopeKey("m", None, None, False)), Desk("m", ModelConfig())
    moment = Moment(0, 0, Position(topic="t", partition=0, offset=0), None)
    list(desk.said([owner.begin(moment, "feature:a", Severity.INFO, 0), owner.begin(moment, "loss", Severity.INFO, 0)]))
    ends = [owner.end(moment, "feature:a", Closing.RECOVERED), owner.end(moment, "loss", Closing.LABELS)]
    (told,) = [each.event for each in desk.said(ends) if isinstance(each.event, Alert)]
    assert (told.event, told.evidence.detail["why"]) == (AlertEvent.RESOLVED, "recovered")


def test_what_comes_and_goes_takes_in_nothing_that_began_in_between() -> None:
    owner, desk, now = Owner(ScopeKey("m", None, None, False)), Desk("m", ModelConfig()), 100 * GRACE
    for offset in range(3):
        moment = Moment(0, now + offset * 50 * MINUTE, Position(topic="t", partition=0, offset=offset), None)
        list(desk.said([owner.begin(moment, "feature:a", Severity.INFO, moment.now)]))
        list(desk.said([owner.end(moment, "feature:a", Closing.RECOVERED)]))
    list(desk.said([owner.begin(moment, "feature:b", Severity.INFO, now + 70 * MINUTE)]))
    assert len(desk.incidents) == 2
