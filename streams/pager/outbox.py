"""What is still to be delivered, on disk: it changes in the same atomic write as the position on the alerts topic.

What an alert asks for is decided as it is taken: who is paged, and where nobody is, for which reason. Only the page
budget is asked when a page is about to go out, since only what goes out counts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from schemas.codec import UNREADABLE
from streams.durable import Disk
from streams.pager.answers import PAUSE_MAX_S
from streams.pager.budgets import Budgets
from streams.pager.decisions import Decision, Decisions
from streams.pager.policy import Policy
from streams.pager.queues import Queues
from streams.pager.reasons import Reason
from streams.pager.rows import (
    HELD,
    INSTANCE,
    POSITIONS,
    Belongs,
    Changes,
    Delivery,
    Held,
    Standing,
    Whose,
    Withheld,
    all_of,
    read_row,
    require_ours,
)
from streams.pager.steps import SEVERITIES, Action, Page, ShownAlert, read_alert

HELD_SHOWN_MAX = 20  # of the pages held back, those that the summary names


class Taken(NamedTuple):
    """A record of the alerts topic."""

    partition: int
    offset: int
    value: bytes | None


class Told(NamedTuple):
    """What taking records came to, for metrics and logs."""

    events: Sequence[str]
    cancelled: Sequence[str]  # by sink: triggers that nobody needs any more
    repeated: int
    unreadable: Sequence[Taken]
    decisions: Sequence[Decision]


class Looked(NamedTuple):
    decisions: Sequence[Decision]
    changed: bool  # whether there may be something to deliver


class Outbox:
    """Used by one event loop. Everything on disk is also held in memory."""

    def __init__(self, disk: Disk, whose: Belongs, policy: Policy) -> None:
        self._disk, self._teams = disk, policy.teams
        require_ours(disk, whose)
        self.instance = read_row(disk, INSTANCE, str)
        self.positions: Mapping[str, int] = read_row(disk, POSITIONS, dict[str, int]) or {}
        self._held = {key.decode(): row for key, row in all_of(disk, HELD, Held)}
        self._queues = Queues(disk)
        self._budgets = Budgets(disk, policy.budgets, policy.teams)
        self._decisions = Decisions(disk, policy, self._queues, self._budgets)
        self._incidents = self._decisions.incidents

    # Taking what the topic says.

    def take(self, records: Iterable[Taken], now: float) -> Told:
        """One write for all of them, with the positions behind them."""
        changes, positions = Changes(), dict(self.positions)
        events, cancelled, unreadable, repeated = list[str](), list[str](), list[Taken](), 0
        for record in records:
            place = str(record.partition)
            if record.offset < positions.get(place, 0):
                continue
            positions[place] = record.offset + 1
            try:
                alert = read_alert(record.value)
            except UNREADABLE:
                unreadable.append(record)
                continue
            if self._incidents.has_seen(alert):
                repeated += 1
                continue
            events.append(alert.event)
            cancelled += self._decisions.step(alert, record.value or b"", now, changes)
        if positions != self.positions:
            changes.put(POSITIONS, positions)
            changes.write(self._disk)
            self.positions = positions
        return Told(events, cancelled, repeated, unreadable, self._decisions.made())

    def forget_positions(self, partitions: Iterable[int]) -> None:
        """They are taken from their beginning then; steps that were seen are still known."""
        gone, changes = set(map(str, partitions)), Changes()
        self.positions = {place: at for place, at in self.positions.items() if place not in gone}
        changes.put(POSITIONS, self.positions)
        changes.write(self._disk)

    def look(self, now: float) -> Looked:
        """What the time alone brings: mutes that end, causes that are over, digests."""
        changes = Changes()
        self._decisions.look(now, changes)
        changes.write(self._disk)
        return Looked(self._decisions.made(), bool(changes.rows))

    # Delivering.

    def due(self, sink: str, now: float, longest_s: float = PAUSE_MAX_S) -> Delivery | None:
        """``longest_s``: of its pauses."""
        return self._queues.due(sink, now, longest_s)

    def next_due(self, sink: str) -> float | None:
        return self._queues.next_due(sink)

    def spent(self, delivery: Delivery, alert: ShownAlert, now: float) -> str | None:
        """The budget, if one keeps this page from going out."""
        if not self._decisions.may_withhold:
            return None
        return self._budgets.spent(alert, _counted_as(delivery, alert), now)

    def withhold(self, delivery: Delivery, alert: ShownAlert, budget: str, now: float) -> None:
        """It waits for the digest, wherever it has not gone out."""
        changes = Changes()
        held = Withheld(Reason.BUDGET, delivery.value, now, by=budget)
        self._decisions.withhold(delivery.incident, held, alert.model, changes)
        self._queues.quieten(delivery.incident, changes)
        self._decisions.not_told(delivery.incident, now, changes)
        changes.write(self._disk)

    def begin(self, delivery: Delivery, now: float) -> Page:
        """What is to be said; written before the attempt: after a crash in it nobody knows whether the page arrived."""
        alert, changes = read_alert(delivery.value), Changes()
        page = _counted_as(delivery, alert)
        before = self._queues.begin(delivery, changes)
        if delivery.action is Action.TRIGGER and delivery.incident in self._incidents:
            self._budgets.count(alert, page, now, changes)
            self._decisions.went_out(delivery.incident, changes)
        changes.write(self._disk)
        is_page, is_end = delivery.action is Action.TRIGGER, delivery.action is Action.RESOLVE
        notes = (delivery.note, self._budgets.last_word(alert, page, now) if is_page else "")
        return self._page(delivery, alert, now)._replace(
            note="; ".join(note for note in notes if note),
            reference=(before or Standing()).reference or self._incidents.reference(delivery.incident, delivery.sink),
            further=delivery.further if is_end else self._decisions.further(delivery.incident),
            reason=delivery.reason,
            number=delivery.sequence,
        )

    def open_page(self, sink: str, incident: str, now: float) -> Page | None:
        """What an endpoint that forgets is to be told again, where anything is."""
        standing = self._queues.standing(sink, incident)
        if standing.value is None or self.is_waiting(sink, incident) or self._decisions.is_muted(incident):
            return None
        again = Delivery(0, sink, incident, Action.TRIGGER, standing.value, now)
        page = self._page(again, read_alert(standing.value), now)
        return page._replace(reference=standing.reference, further=self._decisions.further(incident))

    def _page(self, delivery: Delivery, alert: ShownAlert, now: float) -> Page:
        first = self._incidents.first(delivery.incident)
        teams = self._teams.of(alert.model)
        return Page(delivery.action, alert, delivery.value, now, began_with=first, teams=teams)

    def delivered(self, delivery: Delivery, reference: str | None) -> None:
        place, changes = (delivery.sink, delivery.incident), Changes()
        before = self._queues.standing(*place)
        self._queues.drop(delivery, changes)
        if delivery.action is Action.RESOLVE or delivery.incident not in self._incidents:  # a summary has no end
            self._queues.forget_standing(*place, changes)
            self._incidents.refer(delivery.incident, delivery.sink, reference or before.reference, changes)
        else:
            acknowledged = delivery.action is Action.ACKNOWLEDGE or before.acknowledged
            told = Standing(delivery.value, reference or before.reference, acknowledged)
            self._queues.stand(*place, told, changes)
        changes.write(self._disk)

    def again(self, delivery: Delivery, due: float, *, arrived: bool) -> None:
        """It is tried again. ``arrived``: whether this attempt may have been taken in."""
        changes = Changes()
        self._queues.later(delivery, due, changes, arrived=arrived)
        changes.write(self._disk)

    def failed(self, delivery: Delivery, *, fallback: str | None, note: str, now: float, arrived: bool) -> None:
        """It is never tried again. A page goes to the fallback, and so does what follows it."""
        changes = Changes()
        self._queues.drop(delivery, changes, arrived=arrived)
        if delivery.action is Action.TRIGGER:
            if fallback is not None:
                self._decisions.moved(delivery, fallback, note, now, changes)
            self._decisions.not_told(delivery.incident, now, changes)
        if delivery.action is Action.RESOLVE:
            self._queues.forget_standing(delivery.sink, delivery.incident, changes)
        changes.write(self._disk)

    # What is above the rate of a sink.

    def hold(self, delivery: Delivery, alert: ShownAlert, now: float) -> None:
        """It does not go out by itself: the summary names or counts it. What follows it is new to the sink."""
        changes = Changes()
        self._queues.drop(delivery, changes)
        self._hold(delivery.sink, alert, now)
        sinks = {delivery.sink}
        for sink, other in self._decisions.held_with(delivery.incident, changes):
            self._hold(sink, other, now)
            sinks.add(sink)
        for sink in sinks:
            changes.put(HELD + sink.encode(), self._held[sink])
        changes.write(self._disk)

    def _hold(self, sink: str, alert: ShownAlert, now: float) -> None:
        held = self._held.get(sink) or Held(now, 0, {}, ())
        severity = SEVERITIES[alert.rank]
        by_severity = {**held.by_severity, severity: held.by_severity.get(severity, 0) + 1}
        summaries = (*held.summaries, alert.summary)[:HELD_SHOWN_MAX]
        self._held[sink] = Held(held.since, held.count + 1, by_severity, summaries)

    def held(self, sink: str) -> Held | None:
        return self._held.get(sink)

    def summarise(self, sink: str, alert: ShownAlert, now: float) -> None:
        """Makes the summary a delivery of its own, in the write that forgets what it tells."""
        changes = Changes()
        del self._held[sink]
        changes.delete(HELD + sink.encode())
        self._queues.put(Delivery(0, sink, alert.incident, Action.TRIGGER, msgspec.json.encode(alert), now), changes)
        changes.write(self._disk)

    # What there is.

    def whose(self, incident: str) -> Whose | None:
        known = self._incidents.get(incident)
        if known is None:
            return None
        return Whose(known.first.model if known.first else "", over=known.closed_at is not None)

    def waiting(self, sink: str | None = None) -> Iterator[Delivery]:
        return self._queues.waiting(sink)

    def standings(self, sink: str) -> Sequence[tuple[str, Standing]]:
        return self._queues.standings(sink)

    def is_waiting(self, sink: str, incident: str) -> bool:
        return self._queues.is_waiting(sink, incident)

    def budgets_left(self, now: float) -> Mapping[str, int]:
        return self._budgets.left(now)

    def keep_only(self, sinks: Sequence[str], now: float) -> int:
        """Forgets what is not configured any more; returns how many deliveries were meant for it."""
        changes = Changes()
        gone = self._queues.keep_only(sinks, changes)
        for sink in [sink for sink in self._held if sink not in sinks]:
            del self._held[sink]
            changes.delete(HELD + sink.encode())
        self._decisions.keep_only(sinks, gone, now, changes)
        changes.write(self._disk)
        return len(gone)

    def prune(self, now: float) -> None:
        """Forgets incidents that were over long ago, or first where there are too many."""
        changes = Changes()
        self._decisions.prune(now, changes)
        changes.write(self._disk)


def _counted_as(delivery: Delivery, alert: ShownAlert) -> str:
    """A page is one, to however many sinks it goes."""
    return alert.id if delivery.reason is None else f"{alert.id}-{delivery.reason}"
