"""What each step of an incident comes to: whom it pages, whom it tells, or why nobody is paged.

An incident is muted, or told with another one, or waits for the digest, or is paged; all of it is on disk before
anything goes out. What is paged, and what is withheld, is told as a ``Decision`` with its reason.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from streams.durable import Disk
from streams.pager.budgets import Budgets, Waited, digest
from streams.pager.causes import Causes
from streams.pager.incidents import STEPS_KEPT, Incidents
from streams.pager.policy import Policy
from streams.pager.queues import Queues
from streams.pager.reasons import Reason
from streams.pager.rows import Cause, Changes, Delivery, Incident, Withheld
from streams.pager.shelf import Shelf
from streams.pager.steps import Action, First, Further, ShownAlert, read_alert


class Decision(NamedTuple):
    incident: str
    model: str
    reason: Reason
    by: str = ""  # the budget, or the incident that it is told with


class _Step(NamedTuple):
    """An alert at hand, and what it belongs to."""

    alert: ShownAlert
    value: bytes
    known: Incident
    now: float

    @property
    def first(self) -> First:
        return self.known.first or First.of(self.alert)


class Decisions:
    def __init__(self, disk: Disk, policy: Policy, queues: Queues, budgets: Budgets) -> None:
        self._routes_to, self._queues, self._budgets = policy.routes_to, queues, budgets
        self.incidents = Incidents(disk)
        self._shelf = Shelf(disk, policy.withheld_max)
        self._causes = Causes(disk, policy.upstreams)
        self._made: list[Decision] = []

    def made(self) -> Sequence[Decision]:
        """Since this was asked last."""
        made, self._made = self._made, []
        return made

    # A step.

    def step(self, alert: ShownAlert, value: bytes, now: float, changes: Changes) -> list[str]:
        """Returns the sinks at which a page was taken back, since it is over."""
        before = self.incidents.get(alert.incident)
        action = alert.action
        if before is None and alert.event in ("updated", "unmuted"):
            action = Action.TRIGGER  # its beginning is lost; rather a page too many
        over = before is not None and before.closed_at is not None
        known = self._met(alert, before, action, now)
        self.incidents.put(alert.incident, known, changes)
        step = _Step(alert, value, known, now)
        if action is Action.TRIGGER:
            self._page(step, None, changes)
        elif action is Action.RESOLVE and not over:
            return self._end(step, changes, unknown=before is None)
        elif not over and not self._mute_changes(step, action, changes, unknown=before is None):
            self._follow_up(step, before, action, changes)
        return []

    def _met(self, alert: ShownAlert, before: Incident | None, action: Action, now: float) -> Incident:
        known = before or Incident((), ())
        closed_at, sinks = known.closed_at, list(known.sinks)
        # A signal of another kind may be for others than those who know of it.
        joins = action is Action.UPDATE and known.first is not None and alert.kind != known.first.kind
        if before is None or action is Action.TRIGGER or (joins and closed_at is None):
            sinks += [sink for sink in self._routes_to(alert, now) if sink not in sinks]
        if action is Action.TRIGGER:
            closed_at = None
        elif action is Action.RESOLVE:
            closed_at = now
        steps = (*known.steps, alert.id)[-STEPS_KEPT:]
        first = known.first or First.of(alert)  # an outbox of an earlier release has none
        return msgspec.structs.replace(known, sinks=tuple(sinks), steps=steps, closed_at=closed_at, first=first)

    def _page(self, step: _Step, reason: Reason | None, changes: Changes) -> None:
        """Pages it, unless there is a reason not to."""
        incident, now = step.alert.incident, step.now
        if self._shelf.is_muted(incident) and reason not in (Reason.UNMUTED, Reason.MUTE_ENDED):
            self._shelf.news(incident, step.value, changes)
            return
        if not step.known.sinks:
            self._shelf.drop(incident, changes)
            return
        cause = self._cause_of(step)
        if cause is not None:
            why = Reason.SOURCE if cause.is_source else Reason.UPSTREAM
            before = self._shelf.get(incident)
            is_new = before is None or before.by != cause.key
            self.withhold(incident, Withheld(why, step.value, now, by=cause.key), step.alert.model, changes)
            if is_new and self._causes.join(cause, step.first.model, now, changes):
                self._tell_further(cause, now, changes)
            self._put(step, Action.UPDATE, changes)
            return
        waits = self._shelf.get(incident)
        if waits is not None and waits.reason is Reason.BUDGET:  # until it goes out
            self._shelf.put(incident, msgspec.structs.replace(waits, value=step.value, over=False), changes)
        else:
            self._shelf.drop(incident, changes)
        self._causes.lead(incident, step.first, step.alert, step.value, changes)
        self._put(step, Action.TRIGGER, changes, reason=reason)
        if reason is not None:
            self._made.append(Decision(incident, step.alert.model, reason))

    def _cause_of(self, step: _Step) -> Cause | None:
        if self._causes.leads(step.alert.incident) or self._shelf.is_full:
            return None

        def may_lead(lead: str) -> bool:
            """Whoever would be paged must be told with it, and it must not be muted."""
            return not self._shelf.is_muted(lead) and set(step.known.sinks) <= set(self.incidents.sinks(lead))

        return self._causes.find(step.alert.incident, step.first, step.alert.rank, may_lead)

    def _end(self, step: _Step, changes: Changes, *, unknown: bool) -> list[str]:
        incident = step.alert.incident
        further = self._causes.further(incident)
        cancelled = []
        for sink in step.known.sinks:
            wanted = Delivery(0, sink, incident, Action.RESOLVE, step.value, step.now, further=further)
            if not self._queues.put(wanted, changes, unknown=unknown):
                cancelled.append(sink)
        self._shelf.over(incident, changes)
        self._causes.over(incident, step.now, changes)
        return cancelled

    def _mute_changes(self, step: _Step, action: Action, changes: Changes, *, unknown: bool) -> bool:
        """Whether it was about that, or is muted still."""
        incident = step.alert.incident
        if action is Action.MUTE:
            held = Withheld(Reason.MUTED, step.value, step.now, until=step.alert.muted_until)
            self.withhold(incident, held, step.alert.model, changes)
            self._put(step, action, changes, unknown=unknown)
            self.not_told(incident, step.now, changes)
            return True
        muted = self._shelf.is_muted(incident)
        if muted and step.alert.event == "unmuted":
            self._page(step, Reason.UNMUTED, changes)
        elif muted:
            self._shelf.news(incident, step.value, changes)
            self._causes.news(incident, step.alert, step.value, changes)
        return muted

    def _follow_up(self, step: _Step, before: Incident | None, action: Action, changes: Changes) -> None:
        incident = step.alert.incident
        new = [sink for sink in step.known.sinks if before is not None and sink not in before.sinks]
        self._put(step, action, changes, unknown=before is None)
        if new and self._shelf.get(incident) is None:
            for sink in new:
                self._queues.put(Delivery(0, sink, incident, Action.TRIGGER, step.value, step.now), changes)
        self._shelf.news(incident, step.value, changes)
        self._causes.news(incident, step.alert, step.value, changes)

    def _put(
        self, step: _Step, action: Action, changes: Changes, *, reason: Reason | None = None, unknown: bool = False
    ) -> None:
        for sink in step.known.sinks:
            wanted = Delivery(0, sink, step.alert.incident, action, step.value, step.now, reason=reason)
            self._queues.put(wanted, changes, unknown=unknown)

    def withhold(self, incident: str, row: Withheld, model: str, changes: Changes) -> None:
        before = self._shelf.get(incident)
        if before is None or before.reason is not row.reason:
            by = row.by.rpartition("\0")[2]
            self._made.append(Decision(incident, model, row.reason, by))
        else:
            row = msgspec.structs.replace(row, since=before.since)
        self._shelf.put(incident, row, changes)

    def _tell_further(self, cause: Cause, now: float, changes: Changes) -> None:
        if self.incidents.is_over(cause.lead) or self._shelf.is_muted(cause.lead):
            return
        for sink in self.incidents.sinks(cause.lead):
            wanted = Delivery(0, sink, cause.lead, Action.UPDATE, cause.value, now, reason=Reason.FURTHER)
            self._queues.put(wanted, changes)

    def not_told(self, incident: str, now: float, changes: Changes) -> None:
        """Its page did not go out: where nobody knows of it, nobody would be told what goes with it."""
        for cause in self._led_unknown(incident):
            self._let_go(cause, now, changes)

    def held_with(self, incident: str, changes: Changes) -> Iterator[tuple[str, ShownAlert]]:
        """The same, where a summary tells it: by sink, what that has to count besides."""
        for cause in self._led_unknown(incident):
            self._causes.drop(cause, changes)
            for name, held in self._shelf.by(cause.key):
                self._shelf.drop(name, changes)
                for sink in self.incidents.sinks(name):
                    yield sink, read_alert(held.value)

    def _led_unknown(self, incident: str) -> Sequence[Cause]:
        if any(self._queues.will_know(sink, incident) for sink in self.incidents.sinks(incident)):
            return []
        return self._causes.led_by(incident)

    def _let_go(self, cause: Cause, now: float, changes: Changes) -> None:
        """What was told with it is judged anew: the first that is paged may lead the others."""
        self._causes.drop(cause, changes)
        for incident, held in self._shelf.by(cause.key):
            alert = read_alert(held.value)
            # Asked now, and not when it is about to go out: else each would lead all others for a moment.
            budget = self._budgets.spent(alert, "", now)
            if budget is not None:
                self.withhold(incident, Withheld(Reason.BUDGET, held.value, now, by=budget), alert.model, changes)
            else:
                self._page_after_all(incident, Reason.CAUSE_OVER, now, changes)

    # What time brings.

    def look(self, now: float, changes: Changes) -> None:
        for incident in self._shelf.mutes_ended(now):
            self._page_after_all(incident, Reason.MUTE_ENDED, now, changes)
        for cause in self._causes.released(now):
            self._let_go(cause, now, changes)
        for cause in self._causes.settled(now, changes):
            self._tell_further(cause, now, changes)
        self._digest(now, changes)

    def _page_after_all(self, incident: str, reason: Reason, now: float, changes: Changes) -> None:
        held, known = self._shelf.get(incident), self.incidents.get(incident)
        if held is not None and known is not None:
            self._page(_Step(read_alert(held.value), held.value, known, now), reason, changes)

    def _digest(self, now: float, changes: Changes) -> None:
        waiting: dict[str, list[tuple[str, Withheld]]] = {name: [] for name in self._budgets.names}
        for incident, row in self._shelf.waiting_for_digests():
            waiting.setdefault(row.by, []).append((incident, row))
        for budget, rows in waiting.items():
            if not self._budgets.digest_is_due(budget, now, changes):
                continue
            by_sink: dict[str, list[Waited]] = {}
            for incident, row in rows:
                for sink in self.incidents.sinks(incident):
                    waited = Waited(read_alert(row.value), row.since, row.over)
                    by_sink.setdefault(sink, []).append(waited)
                self._shelf.drop(incident, changes)
            for sink, all_waited in by_sink.items():
                alert = digest(budget, all_waited, now)
                wanted = Delivery(0, sink, alert.incident, Action.TRIGGER, msgspec.json.encode(alert), now)
                self._queues.put(wanted, changes)

    # What becomes of deliveries.

    def went_out(self, incident: str, changes: Changes) -> None:
        held = self._shelf.get(incident)
        if held is not None and held.reason is Reason.BUDGET:
            self._shelf.drop(incident, changes)

    def moved(self, delivery: Delivery, fallback: str, note: str, now: float, changes: Changes) -> None:
        """A page that a sink does not take is the fallback's, with all that follows."""
        incident = delivery.incident
        known = self.incidents.get(incident)
        if known is not None and (known.closed_at is not None or self._shelf.get(incident) is not None):
            return
        if known is not None:
            stays = self._queues.may_know(delivery.sink, incident)
            sinks = [sink for sink in known.sinks if sink != fallback and (stays or sink != delivery.sink)]
            self.incidents.put(incident, msgspec.structs.replace(known, sinks=(*sinks, fallback)), changes)
        if not self._queues.is_waiting(fallback, incident) and not self._queues.may_know(fallback, incident):
            wanted = msgspec.structs.replace(delivery, sink=fallback, since=now, tries=0, due=0.0, note=note)
            self._queues.put(wanted, changes)

    # What there is.

    def further(self, incident: str) -> Further:
        return self._causes.further(incident)

    def is_muted(self, incident: str) -> bool:
        return self._shelf.is_muted(incident)

    @property
    def may_withhold(self) -> bool:
        return not self._shelf.is_full

    def keep_only(self, sinks: Sequence[str], gone: Sequence[Delivery], now: float, changes: Changes) -> None:
        """What has not gone out to a sink that is gone goes where it would go today: nobody was paged for it."""
        for incident in self.incidents.keep_only(sinks, changes):
            held, known = self._shelf.get(incident), self.incidents.get(incident)
            if held is not None and known is not None:
                added = [sink for sink in self._routes_to(read_alert(held.value), now) if sink not in known.sinks]
                self.incidents.put(incident, msgspec.structs.replace(known, sinks=(*known.sinks, *added)), changes)
        for delivery in gone:
            if delivery.action is Action.TRIGGER:
                for sink in self._routes_to(read_alert(delivery.value), now):
                    note = f"{delivery.sink}, which it was for, is not configured any more"
                    self.moved(delivery, sink, note, now, changes)
        for cause in self._causes.not_configured():
            self._let_go(cause, now, changes)
        self._budgets.keep_only_configured(changes)

    def prune(self, now: float, changes: Changes) -> None:
        self.incidents.prune(now, self._is_needed, changes)

    def _is_needed(self, name: str, known: Incident) -> bool:
        waits = any(self._queues.is_waiting(sink, name) for sink in known.sinks)
        return waits or self._shelf.get(name) is not None
