"""One desk per model: what its monitors' alarms mean to people.

It puts alarms of one cause together to an incident, says of it what is news, and ends it when nothing of it is on. Time
passes for it at ticks and where windows end, so that it decides the same wherever a batch was cut.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from detectors import wording
from detectors.causes import Dated
from detectors.config import ModelConfig
from detectors.cure import Answer
from detectors.effects import Decided
from detectors.incident import Incident, Stands, dated, of_incident
from detectors.lifecycle import Closing, Disposition
from detectors.moment import Moment
from detectors.reports import Said, Step, Told, beside
from detectors.severity import RANKS, Graded, graded
from schemas.events import AlertEvent, Control, ControlAction, JsonScalar, Kind
from schemas.times import duration_ms, to_ms

OVER_MAX = 16  # incidents of a model that are remembered when they are over; one more is forgotten before its time
TOLD_ALL = 4  # of so many signals people are told all that shows of each; of more, of the worst one alone

_BECAUSE = "severity_because"
# What comes back after these has come back. After the others there is nothing it could have come back to.
_MAY_COME_AGAIN = (Closing.RECOVERED, Closing.BY_HAND)


class DeskState(msgspec.Struct, array_like=True, frozen=True):
    incidents: list[Incident] = []
    over: list[Incident] = []


class Desk:
    """The incidents of one model: those that are not over, and those that may open again."""

    def __init__(self, model: str, config: ModelConfig) -> None:
        self.model = model
        self.incidents: dict[str, Incident] = {}
        self._over: dict[str, Incident] = {}
        self._config = config
        self._lasts_ms = duration_ms(config.incidents.lasts)
        self._grace_ms = duration_ms(config.incidents.reopen_within)

    @property
    def open(self) -> int:
        return sum(incident.open for incident in self.incidents.values())

    @property
    def remembered(self) -> int:
        """How many are over, and not forgotten."""
        return len(self._over)

    @property
    def waits(self) -> bool:
        """Whether time alone may change something."""
        return bool(self.incidents or self._over)

    # -- what monitors say --------------------------------------------------------------------------------------------

    def said(self, said: Iterable[Said]) -> Iterator[Decided]:
        """What is told of these, each before the next of them is asked for."""
        for one in said:
            if isinstance(one, Decided):
                yield one
            elif one.event is AlertEvent.OPENED:
                yield from self._began(one)
            elif one.event in (AlertEvent.UPDATED, AlertEvent.AMENDED):
                yield from self._shows_more(one)
            elif one.event is AlertEvent.ESCALATED:
                yield from self._worsened(one)
            else:
                yield from self._ended(one)

    def _began(self, step: Step) -> Iterator[Decided]:
        told, when = step.told, dated(step.told, step.alarm)
        grade = graded(self._config, told, step.alarm.severity)
        told = _with(told, {_BECAUSE: grade.because})
        incident = self._open_one(told, step.alarm.kind, when)
        if incident is not None:
            yield from self._joined(incident, step, told, when, grade)
            return
        before = self._ended_one(told.name, step.moment.now)
        if before is not None:
            yield from self._again(before, step, told, when, grade)
            return
        # Only the first of its alarms has its name.
        incident = Incident(step.alarm.id, Stands.WAITING, grade.severity, step.moment.now, told, when)
        self.incidents[incident.id] = incident
        self._join(incident, step, told, when)
        if self._lasts_ms:
            yield beside(step.moment, told, incident.id, Disposition.WAITING)
        else:
            yield self._open(incident, step.moment, step.summary)
            step.alarm.alert_id = incident.alert_id

    def _open_one(self, told: Told, kind: Kind, when: Dated) -> Incident | None:
        """The open incident that an alarm belongs to: it was part of it before, or comes of the same cause."""
        known = [incident for incident in self.incidents.values() if told.name in incident.seen]
        if known:
            return known[-1]
        near = [incident for incident in self.incidents.values() if incident.of_one_cause(told.key, kind, when)]
        return min(near, key=lambda incident: abs(incident.dated.at - when.at), default=None)

    def _ended_one(self, name: str, now: int) -> Incident | None:
        """The one that it was part of, where that has ended a short while ago."""
        ended = [one for one in self._over.values() if name in one.seen and one.stands is Stands.RESOLVED]
        known = [one for one in ended if one.why in _MAY_COME_AGAIN and now - one.ended <= self._grace_ms]
        return known[-1] if known else None

    def _join(self, incident: Incident, step: Step, told: Told, when: Dated) -> None:
        incident.join(told, step.alarm, when)
        step.alarm.incident, step.alarm.alert_id = incident.id, incident.alert_id

    def _joined(self, incident: Incident, step: Step, told: Told, when: Dated, grade: Graded) -> Iterator[Decided]:
        news = step.alarm.kind not in incident.kinds
        self._join(incident, step, told, when)
        yield beside(step.moment, told, incident.id, Disposition.GROUPED)
        worse = RANKS[grade.severity] > RANKS[incident.severity]
        if worse:
            incident.severity, incident.told = grade.severity, told
        if incident.stands is Stands.WAITING:
            return
        told = _with(told, incident.signals)
        if worse:
            yield self._tell(incident, step.moment, AlertEvent.ESCALATED, told, step.summary)
        elif news or len(incident.seen) >= incident.next_told:
            yield self._tell(incident, step.moment, AlertEvent.UPDATED, told, step.summary)
        while len(incident.seen) >= incident.next_told:
            incident.next_told *= 2

    def _again(self, incident: Incident, step: Step, told: Told, when: Dated, grade: Graded) -> Iterator[Decided]:
        del self._over[incident.id]
        self.incidents[incident.id] = incident
        ago = step.moment.now - incident.ended
        incident.reopened, incident.real = incident.reopened + 1, False
        incident.severity, incident.told, incident.why, incident.tried = grade.severity, told, None, None
        self._join(incident, step, told, when)
        detail: dict[str, JsonScalar] = {"reopened": incident.reopened, "was_over_ms": ago}
        summary = wording.reopened(step.summary, ago)
        reopened = self._tell(incident, step.moment, AlertEvent.REOPENED, _with(told, detail), summary)
        incident.alert_id = step.alarm.alert_id = reopened.event.id
        yield reopened

    def _shows_more(self, step: Step) -> Iterator[Decided]:
        incident, told = self.incidents[step.alarm.incident], step.told
        if told.name == incident.told.name:
            told = incident.told = _with(told, {_BECAUSE: incident.told.evidence.detail[_BECAUSE]})
        elif (len(incident.seen) > TOLD_ALL and step.event is AlertEvent.UPDATED) or incident.stands is Stands.WAITING:
            yield beside(step.moment, told, incident.id, Disposition.SHOWN)
            return
        if incident.stands is not Stands.WAITING:
            told = _with(told, incident.signals)
            yield self._tell(incident, step.moment, step.event, told, step.summary)

    def _worsened(self, step: Step) -> Iterator[Decided]:
        """A version that was to end it has not. That is told once, whichever of its signals shows it first."""
        incident, told = self.incidents[step.alarm.incident], step.told
        version, answer = (str(told.evidence.detail.get(name)) for name in ("new_version", "answer"))
        if incident.tried in ((version, answer), (version, Answer.WORSE)):
            yield beside(step.moment, told, incident.id, Disposition.SHOWN)
            return
        grade = graded(self._config, told, step.alarm.severity)
        incident.tried = version, answer
        incident.told = told = _with(told, {_BECAUSE: grade.because})
        if RANKS[grade.severity] > RANKS[incident.severity]:
            incident.severity = grade.severity
        if incident.stands is Stands.WAITING:
            yield beside(step.moment, told, incident.id, Disposition.SHOWN)
        else:
            told = _with(told, incident.signals)
            yield self._tell(incident, step.moment, AlertEvent.ESCALATED, told, step.summary)

    def _ended(self, step: Step) -> Iterator[Decided]:
        told = step.told
        incident, why = self.incidents[step.alarm.incident], step.why or Closing.RECOVERED
        del incident.on[step.alarm.id]
        if told.name == incident.told.name:
            incident.told = _with(told, {_BECAUSE: incident.told.evidence.detail[_BECAUSE]})
        if why is not Closing.LABELS:
            incident.real = True
        elif incident.real and not incident.on:  # this one alone is taken back, and not what was beside it
            why = Closing.RECOVERED
        if incident.on:
            yield beside(step.moment, told, incident.id, Disposition.OVER)
        elif incident.stands is Stands.WAITING:
            del self.incidents[incident.id]
            yield beside(step.moment, told, incident.id, Disposition.PASSED)
        elif why is Closing.RECOVERED and incident.hold_ms(self._grace_ms):
            incident.quiet_since = step.moment.now
            yield beside(step.moment, told, incident.id, Disposition.OVER)
        else:
            alone = told.name == incident.told.name and len(incident.seen) == 1
            cured = wording.with_others(step.summary, len(incident.seen) - 1) if why is Closing.CURED else None
            yield self._end(incident, step.moment, why, step.summary if alone else cured)

    # -- what time and people say -------------------------------------------------------------------------------------

    def tick(self, moment: Moment) -> Iterator[Decided]:
        """Time has passed."""
        now = moment.now
        for incident in list(self.incidents.values()):
            if incident.stands is Stands.WAITING and now - incident.opened_ts >= self._lasts_ms:
                lasted = now - incident.opened_ts
                summary = wording.lasts(*_named(incident), lasted, incident.told.evidence)
                yield self._open(incident, moment, wording.with_others(summary, len(incident.seen) - 1))
            if incident.muted and incident.muted_until is not None and now >= incident.muted_until:
                yield self.unmute(incident, moment)
            quiet = incident.quiet_since
            if quiet is not None and now - quiet >= incident.hold_ms(self._grace_ms):
                yield self._end(incident, moment, Closing.RECOVERED)
        for incident in [one for one in self._over.values() if now - one.ended > self._grace_ms]:
            del self._over[incident.id]

    def find(self, name: str | None) -> Incident | None:
        """One that people were told of and that is not over."""
        incident = self.incidents.get(name or "")
        return incident if incident is not None and incident.open else None

    def find_over(self, name: str | None, now: int) -> Incident | None:
        """One that is over, and not for longer than it is remembered: whether or not a tick has come since."""
        incident = self._over.get(name or "")
        return incident if incident is not None and now - incident.ended <= self._grace_ms else None

    def judged(self, event: Control, now: int) -> bool:
        """Whether the event is a verdict on one of them, and another one than before."""
        incident = self.find(event.incident) or self.find_over(event.incident, now)
        if incident is None or event.action is not ControlAction.VERDICT or event.verdict == incident.verdict:
            return False
        incident.verdict = event.verdict
        return True

    def acknowledge(self, incident: Incident, moment: Moment, event: Control) -> Decided:
        summary = wording.acknowledged(*_named(incident), event.by)
        return self._tell(incident, moment, AlertEvent.ACKNOWLEDGED, incident.told, summary)

    def mute(self, incident: Incident, moment: Moment, event: Control) -> Decided:
        incident.muted = True
        incident.muted_until = to_ms(event.until) if event.until is not None else None
        detail: dict[str, JsonScalar] = {"until": incident.muted_until, "reason": event.reason}
        summary = wording.muted(*_named(incident), incident.muted_until, event.reason)
        return self._tell(incident, moment, AlertEvent.MUTED, _with(incident.told, detail), summary)

    def unmute(self, incident: Incident, moment: Moment) -> Decided:
        incident.muted, incident.muted_until = False, None
        summary = wording.unmuted(*_named(incident))
        return self._tell(incident, moment, AlertEvent.UNMUTED, incident.told, summary)

    def end(self, incident: Incident, moment: Moment, why: Closing) -> Decided:
        """One of which nothing is on."""
        assert not incident.on, "its alarms are closed first, and then it is over by itself"
        return self._end(incident, moment, why)

    def retract(self, incident: Incident, moment: Moment, why: Closing) -> Decided:
        """One that is over was nothing."""
        incident.why = why
        told = _with(incident.told, {"why": str(why)})
        lasted = incident.ended - incident.opened_ts
        return self._tell(
            incident, moment, AlertEvent.RETRACTED, told, wording.resolved(*_named(incident), why, lasted)
        )

    # -- what is told -------------------------------------------------------------------------------------------------

    def _open(self, incident: Incident, moment: Moment, summary: str) -> Decided:
        opened = self._tell(incident, moment, AlertEvent.OPENED, _with(incident.told, incident.signals), summary)
        incident.alert_id = opened.event.id
        return opened

    def _end(self, incident: Incident, moment: Moment, why: Closing, summary: str | None = None) -> Decided:
        false = why in (Closing.FALSE_ALARM, Closing.LABELS)
        lasted = moment.now - incident.opened_ts
        incident.ended, incident.why, incident.quiet_since = moment.now, why, None
        incident.muted, incident.muted_until = False, None
        del self.incidents[incident.id]
        self._over[incident.id] = incident
        if len(self._over) > OVER_MAX:
            del self._over[next(iter(self._over))]
        model, signal = _named(incident)
        if summary is None or false:
            summary = wording.resolved(model, signal, why, lasted)
            summary = wording.with_others(summary, len(incident.seen) - 1)
        detail: dict[str, JsonScalar] = {"why": str(why), "lasted_ms": lasted}
        told = _with(incident.told, detail | incident.signals)
        event = AlertEvent.RETRACTED if false else AlertEvent.RESOLVED
        return self._tell(incident, moment, event, told, summary)

    def _tell(self, incident: Incident, moment: Moment, event: AlertEvent, told: Told, summary: str) -> Decided:
        incident.take(event)
        incident.steps += 1
        return Decided(moment.at, of_incident(moment, told, incident, event, summary))

    # -- state, between two batches -----------------------------------------------------------------------------------

    def state(self) -> DeskState:
        return DeskState(list(self.incidents.values()), list(self._over.values()))

    def restore(self, state: DeskState) -> None:
        self.incidents = {incident.id: incident for incident in state.incidents}
        self._over = {incident.id: incident for incident in state.over}


def _named(incident: Incident) -> tuple[str, str]:
    return incident.told.key.model, incident.told.words


def _with(told: Told, more: Mapping[str, JsonScalar]) -> Told:
    if not more:
        return told
    evidence = told.evidence
    return msgspec.structs.replace(told, evidence=msgspec.structs.replace(evidence, detail={**evidence.detail, **more}))
