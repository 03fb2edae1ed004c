"""What a person says of an incident: acknowledged, muted, resolved, a true or a false alarm."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from detectors.desk import Desk
from detectors.effects import Decided
from detectors.incident import Incident, Stands
from detectors.lifecycle import Alarm, Closing
from detectors.moment import Moment
from detectors.reports import Step, of_model
from schemas.events import Control, ControlAction, Verdict
from schemas.reasons import AuditResult

# After these what was usual is another thing: alarms end, and why.
CLOSINGS = {
    ControlAction.DEPLOY: Closing.DEPLOYED,
    ControlAction.ROLLBACK: Closing.ROLLED_BACK,
    ControlAction.BASELINE: Closing.NEW_BASELINE,
}


class Owner(Protocol):
    """Whoever watches the signals that alarms are about."""

    alarms: dict[str, Alarm]

    def end(self, moment: Moment, signal: str, why: Closing) -> Step: ...


class _Answer(NamedTuple):
    """A person's word for an open incident."""

    desk: Desk
    owners: Iterable[Owner]
    incident: Incident
    moment: Moment
    event: Control

    def acknowledged(self) -> Iterator[Decided]:
        yield self.desk.acknowledge(self.incident, self.moment, self.event)

    def muted(self) -> Iterator[Decided]:
        yield self.desk.mute(self.incident, self.moment, self.event)

    def unmuted(self) -> Iterator[Decided]:
        if self.incident.muted:
            yield self.desk.unmute(self.incident, self.moment)

    def resolved(self) -> Iterator[Decided]:
        return self._closed(Closing.BY_HAND)

    def judged(self) -> Iterator[Decided]:
        if self.event.verdict is Verdict.FALSE_ALARM:
            yield from self._closed(Closing.FALSE_ALARM)

    def _closed(self, why: Closing) -> Iterator[Decided]:
        """Ends every alarm of it, and so itself."""
        incident, moment = self.incident, self.moment
        if not incident.on:
            yield self.desk.end(incident, moment, why)
            return
        for owner in self.owners:
            for signal in sorted(signal for signal, alarm in owner.alarms.items() if alarm.incident == incident.id):
                yield from self.desk.said([owner.end(moment, signal, why)])


_ANSWERS: Mapping[ControlAction, Callable[[_Answer], Iterator[Decided]]] = {
    ControlAction.ACKNOWLEDGE: _Answer.acknowledged,
    ControlAction.MUTE: _Answer.muted,
    ControlAction.UNMUTE: _Answer.unmuted,
    ControlAction.RESOLVE: _Answer.resolved,
    ControlAction.VERDICT: _Answer.judged,
}


def answered(
    desk: Desk, owners: Iterable[Owner], moment: Moment, event: Control
) -> Generator[Decided, None, AuditResult]:
    """What follows from it, and what became of it; a signal where there is no such incident to take it."""
    incident, over = desk.find(event.incident), desk.find_over(event.incident, moment.now)
    if incident is not None:
        nothing_to_end = event.action is ControlAction.UNMUTE and not incident.muted
        yield from _ANSWERS[event.action](_Answer(desk, owners, incident, moment, event))
        return AuditResult.NOT_MUTED if nothing_to_end else AuditResult.APPLIED
    if event.action is ControlAction.VERDICT and over is not None:
        if over.stands is Stands.RESOLVED and event.verdict is Verdict.FALSE_ALARM:
            yield desk.retract(over, moment, Closing.FALSE_ALARM)
        return AuditResult.APPLIED
    yield of_model(desk.model).not_open(moment, event)
    return AuditResult.NOT_OPEN
