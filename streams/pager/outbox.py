"""What is still to be delivered, on disk: it changes in the same atomic write as the position on the alerts topic.

For one incident and sink, deliveries go out one after another. A resolve takes the place of all that waits before it,
and is itself left out where nothing can have arrived: nobody is paged for what is over.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import dropwhile
from typing import NamedTuple

import msgspec

from streams.durable import Disk
from streams.pager.answers import is_due
from streams.pager.rows import (
    DELIVERY,
    HELD,
    INCIDENT,
    INSTANCE,
    POSITIONS,
    STANDING,
    Belongs,
    Changes,
    Delivery,
    Held,
    Incident,
    Standing,
    Whose,
    all_of,
    delivery_key,
    read_row,
    require_ours,
    standing_key,
)
from streams.pager.steps import SEVERITIES, UNREADABLE, Action, ShownAlert, read_alert

STEPS_KEPT = 32  # ids of an incident's last steps: what a worker repeats follows closely
INCIDENTS_MAX = 100_000  # half a kilobyte each; past it, those that were over first are forgotten
CLOSED_KEPT_S = 7 * 86_400.0  # so long a repeated or late step of what is over is known for one
HELD_SHOWN_MAX = 20  # of the pages held back, those that the summary names

RoutesTo = Callable[[ShownAlert, float], Sequence[str]]


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


class Outbox:
    """Used by one event loop. Everything on disk is also held in memory."""

    def __init__(self, disk: Disk, whose: Belongs, routes_to: RoutesTo) -> None:
        self._disk, self._routes_to = disk, routes_to
        require_ours(disk, whose)
        self.instance = read_row(disk, INSTANCE, str)
        self.positions: Mapping[str, int] = read_row(disk, POSITIONS, dict[str, int]) or {}
        self._incidents = {key.decode(): row for key, row in all_of(disk, INCIDENT, Incident)}
        self._standings: dict[tuple[str, str], Standing] = {}
        for key, standing in all_of(disk, STANDING, Standing):
            sink, _, incident = key.partition(b"\0")
            self._standings[sink.decode(), incident.decode()] = standing
        self._held = {key.decode(): row for key, row in all_of(disk, HELD, Held)}
        self._waiting: dict[str, dict[str, list[Delivery]]] = {}
        for _, delivery in all_of(disk, DELIVERY, Delivery):
            self._queue(delivery.sink, delivery.incident).append(delivery)
        # By sink, whose turn it is: moment, sequence, incident. Some are out of date, and passed over when they come.
        self._turns: dict[str, list[tuple[float, int, str]]] = {}
        for queues in self._waiting.values():
            for queue in queues.values():
                self._take_turn(queue[0])
        self._next = 1 + max((delivery.sequence for delivery in self.waiting()), default=-1)
        self._under_way: dict[str, tuple[Delivery, bool]] = {}  # by sink, and whether something had arrived before

    # Taking what the topic says.

    def take(self, records: Iterable[Taken], now: float) -> Told:
        """One write for all of them, with the positions behind them."""
        changes, positions = Changes(), dict(self.positions)
        events, cancelled, unreadable, repeated = [], [], [], 0
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
            known = self._incidents.get(alert.incident)
            if known is not None and alert.id in known.steps:
                repeated += 1
                continue
            events.append(alert.event)
            cancelled += self._step(alert, record.value or b"", known, now, changes)
        if positions != self.positions:
            changes.put(POSITIONS, positions)
            changes.write(self._disk)
            self.positions = positions
        return Told(events, cancelled, repeated, unreadable)

    def _step(self, alert: ShownAlert, value: bytes, known: Incident | None, now: float, changes: Changes) -> list[str]:
        action = alert.action
        if known is None and action is Action.UPDATE and alert.event == "updated":
            action = Action.TRIGGER  # its beginning is lost; rather a page too many
        over = known is not None and known.closed_at is not None
        sinks = list(known.sinks if known else ())
        if action is Action.TRIGGER or known is None:
            sinks += [sink for sink in self._routes_to(alert, now) if sink not in sinks]
        cancelled = [
            sink
            for sink in (sinks if not over or action is Action.TRIGGER else ())
            if not self._enqueue(sink, alert.incident, action, value, now, changes, unknown=known is None)
        ]
        closed_at = known.closed_at if known else None
        if action is Action.TRIGGER:
            closed_at = None
        elif action is Action.RESOLVE:
            closed_at = now
        steps = (*(known.steps if known else ()), alert.id)[-STEPS_KEPT:]
        self._remember(alert.incident, Incident(tuple(sinks), steps, closed_at, alert.model), changes)
        return cancelled

    def _enqueue(
        self,
        sink: str,
        incident: str,
        action: Action,
        value: bytes,
        now: float,
        changes: Changes,
        *,
        unknown: bool = False,
        note: str = "",
    ) -> bool:
        """Whether no trigger was cancelled."""
        under_way = self._under_way.get(sink)
        queue = self._queue(sink, incident)
        if unknown and action in (Action.RESOLVE, Action.ACKNOWLEDGE):
            self._stand(sink, incident, Standing(), changes)  # an earlier outbox may have paged
        waiting = [one for one in queue if not under_way or one.sequence != under_way[0].sequence]
        arrived = (sink, incident) in self._standings or len(waiting) < len(queue)
        if action is Action.RESOLVE:
            for delivery in waiting:
                queue.remove(delivery)
                changes.delete(delivery_key(delivery.sequence))
            if not arrived:
                self._waiting[sink].pop(incident)
                return not waiting
        last = waiting[-1] if waiting and action is not Action.RESOLVE else None
        if last is not None and _covers(last.action, action):
            newer = msgspec.structs.replace(last, value=value, action=_stronger(last.action, action))
            queue[queue.index(last)] = newer
            changes.put(delivery_key(newer.sequence), newer)
        elif action is Action.TRIGGER or arrived or waiting:
            delivery = Delivery(self._next, sink, incident, action, value, now, note=note)
            self._next += 1
            queue.append(delivery)
            if queue[0] is delivery:
                self._take_turn(delivery)
            changes.put(delivery_key(delivery.sequence), delivery)
        else:
            self._waiting[sink].pop(incident)
        return True

    # Delivering.

    def due(self, sink: str, now: float) -> Delivery | None:
        """The first delivery of the incident whose turn it is; of several, the one that has waited longest."""
        first = self._first(sink)
        return first if first is not None and is_due(first.due, now) else None

    def next_due(self, sink: str) -> float | None:
        first = self._first(sink)
        return None if first is None else first.due

    def begin(self, delivery: Delivery) -> Standing:
        """Written before the attempt: after a crash in it nobody knows whether the page arrived."""
        place = (delivery.sink, delivery.incident)
        before = self._standings.get(place)
        self._under_way[delivery.sink] = (delivery, before is not None)
        if before is None:
            changes = Changes()
            self._stand(*place, Standing(), changes)
            changes.write(self._disk)
        return before or Standing()

    def delivered(self, delivery: Delivery, reference: str | None) -> None:
        place, changes = (delivery.sink, delivery.incident), Changes()
        before = self._standings.get(place, Standing())
        self._drop(delivery, changes)
        if delivery.action is Action.RESOLVE or delivery.incident not in self._incidents:  # a summary has no end
            self._forget_standing(*place, changes)
        else:
            acknowledged = delivery.action is Action.ACKNOWLEDGE or before.acknowledged
            told = Standing(delivery.value, reference or before.reference, acknowledged)
            self._stand(*place, told, changes)
        changes.write(self._disk)

    def again(self, delivery: Delivery, due: float, *, arrived: bool) -> None:
        """It is tried again. ``arrived``: whether this attempt may have been taken in."""
        changes = Changes()
        queue = self._queue(delivery.sink, delivery.incident)
        place = next(index for index, one in enumerate(queue) if one.sequence == delivery.sequence)
        later = msgspec.structs.replace(queue[place], tries=delivery.tries + 1, due=due)
        queue[place] = later
        changes.put(delivery_key(later.sequence), later)
        self._end_attempt(delivery, changes, arrived=arrived)
        self._settle(delivery, changes)
        changes.write(self._disk)

    def failed(self, delivery: Delivery, *, fallback: str | None, note: str, now: float, arrived: bool) -> None:
        """It is never tried again. A page goes to the fallback, and so does what follows it."""
        changes = Changes()
        self._drop(delivery, changes, arrived=arrived)
        known = self._incidents.get(delivery.incident)
        over = known is not None and known.closed_at is not None
        if delivery.action is Action.TRIGGER and fallback is not None and not over:
            if known is not None:
                stays = (delivery.sink, delivery.incident) in self._standings
                sinks = [sink for sink in known.sinks if sink != fallback and (stays or sink != delivery.sink)]
                self._remember(delivery.incident, msgspec.structs.replace(known, sinks=(*sinks, fallback)), changes)
            if (
                not self.is_waiting(fallback, delivery.incident)
                and (fallback, delivery.incident) not in self._standings
            ):
                self._enqueue(fallback, delivery.incident, Action.TRIGGER, delivery.value, now, changes, note=note)
        if delivery.action is Action.RESOLVE:
            self._forget_standing(delivery.sink, delivery.incident, changes)
        changes.write(self._disk)

    # What is above the rate of a sink.

    def hold(self, delivery: Delivery, alert: ShownAlert, now: float) -> None:
        """It does not go out by itself: the summary names or counts it. What follows it is new to the sink."""
        changes = Changes()
        self._drop(delivery, changes)
        held = self._held.get(delivery.sink) or Held(now, 0, {}, ())
        severity = SEVERITIES[alert.rank]
        by_severity = {**held.by_severity, severity: held.by_severity.get(severity, 0) + 1}
        summaries = (*held.summaries, alert.summary)[:HELD_SHOWN_MAX]
        self._held[delivery.sink] = Held(held.since, held.count + 1, by_severity, summaries)
        changes.put(HELD + delivery.sink.encode(), self._held[delivery.sink])
        changes.write(self._disk)

    def held(self, sink: str) -> Held | None:
        return self._held.get(sink)

    def summarise(self, sink: str, alert: ShownAlert, now: float) -> None:
        """Makes the summary a delivery of its own, in the write that forgets what it tells."""
        changes = Changes()
        del self._held[sink]
        changes.delete(HELD + sink.encode())
        self._enqueue(sink, alert.incident, Action.TRIGGER, msgspec.json.encode(alert), now, changes)
        changes.write(self._disk)

    # What there is.

    def whose(self, incident: str) -> Whose | None:
        known = self._incidents.get(incident)
        return None if known is None else Whose(known.model, over=known.closed_at is not None)

    def waiting(self, sink: str | None = None) -> Iterator[Delivery]:
        for name, queues in self._waiting.items():
            if sink is None or name == sink:
                for queue in queues.values():
                    yield from queue

    def standings(self, sink: str) -> Sequence[tuple[str, Standing]]:
        return [(incident, one) for (name, incident), one in self._standings.items() if name == sink]

    def is_waiting(self, sink: str, incident: str) -> bool:
        return bool(self._waiting.get(sink, {}).get(incident))

    def keep_only(self, sinks: Sequence[str]) -> int:
        """Forgets what is meant for sinks that are not configured any more; returns how many deliveries that were."""
        gone = [delivery for delivery in self.waiting() if delivery.sink not in sinks]
        changes = Changes()
        for delivery in gone:
            changes.delete(delivery_key(delivery.sequence))
        for sink, incident in [place for place in self._standings if place[0] not in sinks]:
            self._forget_standing(sink, incident, changes)
        for sink in [sink for sink in self._held if sink not in sinks]:
            del self._held[sink]
            changes.delete(HELD + sink.encode())
        for name, known in list(self._incidents.items()):
            if (left := tuple(sink for sink in known.sinks if sink in sinks)) != known.sinks:
                self._remember(name, msgspec.structs.replace(known, sinks=left), changes)
        self._waiting = {sink: queues for sink, queues in self._waiting.items() if sink in sinks}
        if changes.rows:
            changes.write(self._disk)
        return len(gone)

    def prune(self, now: float) -> None:
        """Forgets incidents that were over long ago, or first where there are too many."""
        closed = [
            (known.closed_at, name)
            for name, known in self._incidents.items()
            if known.closed_at is not None and not any(self.is_waiting(sink, name) for sink in known.sinks)
        ]
        closed.sort()
        too_many = max(len(self._incidents) - INCIDENTS_MAX, 0)
        changes = Changes()
        for index, (closed_at, name) in enumerate(closed):
            if index < too_many or now - closed_at > CLOSED_KEPT_S:
                del self._incidents[name]
                changes.delete(INCIDENT + name.encode())
        if changes.rows:
            changes.write(self._disk)

    # Pieces of a write.

    def _queue(self, sink: str, incident: str) -> list[Delivery]:
        return self._waiting.setdefault(sink, {}).setdefault(incident, [])

    def _first(self, sink: str) -> Delivery | None:
        turns = self._turns.get(sink, [])
        while turns:
            due, sequence, incident = turns[0]
            queue = self._waiting.get(sink, {}).get(incident)
            if queue and (queue[0].due, queue[0].sequence) == (due, sequence):
                return queue[0]
            heappop(turns)  # it went out, or its turn was moved
        return None

    def _take_turn(self, head: Delivery) -> None:
        heappush(self._turns.setdefault(head.sink, []), (head.due, head.sequence, head.incident))

    def _remember(self, name: str, incident: Incident, changes: Changes) -> None:
        self._incidents[name] = incident
        changes.put(INCIDENT + name.encode(), incident)

    def _stand(self, sink: str, incident: str, standing: Standing, changes: Changes) -> None:
        self._standings[sink, incident] = standing
        changes.put(standing_key(sink, incident), standing)

    def _forget_standing(self, sink: str, incident: str, changes: Changes) -> None:
        self._standings.pop((sink, incident), None)
        changes.delete(standing_key(sink, incident))

    def _drop(self, delivery: Delivery, changes: Changes, *, arrived: bool = True) -> None:
        queues = self._waiting[delivery.sink]
        queues[delivery.incident] = [one for one in queues[delivery.incident] if one.sequence != delivery.sequence]
        changes.delete(delivery_key(delivery.sequence))
        self._end_attempt(delivery, changes, arrived=arrived)
        self._settle(delivery, changes)

    def _end_attempt(self, delivery: Delivery, changes: Changes, *, arrived: bool) -> None:
        under_way = self._under_way.pop(delivery.sink, None)
        if under_way is not None and not under_way[1] and not arrived:
            self._forget_standing(delivery.sink, delivery.incident, changes)

    def _settle(self, delivery: Delivery, changes: Changes) -> None:
        """Once it shows that nothing arrived, what only follows up on a page is nobody's; an empty queue goes."""
        queues = self._waiting[delivery.sink]
        queue = queues.get(delivery.incident, [])
        if (delivery.sink, delivery.incident) not in self._standings:
            kept = _from_the_first_page(queue)
            for one in queue[: len(queue) - len(kept)]:
                changes.delete(delivery_key(one.sequence))
            queue = kept
        if queue:
            queues[delivery.incident] = queue
            self._take_turn(queue[0])
        else:
            queues.pop(delivery.incident, None)


def _from_the_first_page(queue: list[Delivery]) -> list[Delivery]:
    """What is left of it where the sink knows of nothing: no resolve, nor what lies before one, and a page first."""
    resolves = [index for index, one in enumerate(queue) if one.action is Action.RESOLVE]
    rest = queue[resolves[-1] + 1 :] if resolves else queue
    return list(dropwhile(lambda one: one.action is not Action.TRIGGER, rest))


def _covers(waiting: Action, new: Action) -> bool:
    """Whether one delivery can say both: what waits has not gone out, so it may as well show what is newer."""
    shows = (Action.TRIGGER, Action.UPDATE)
    return waiting in shows and new in shows


def _stronger(one: Action, other: Action) -> Action:
    return Action.TRIGGER if Action.TRIGGER in (one, other) else Action.UPDATE
