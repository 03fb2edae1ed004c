"""What waits for each sink, in order, and what each may know of an incident. It decides nothing: the outbox does.

For one incident and sink, deliveries go out one after another. A resolve takes the place of all that waits before it,
and is itself left out where nothing can have arrived: nobody is paged for what is over. So does a mute.
"""

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import dropwhile

import msgspec

from streams.durable import Disk
from streams.pager.answers import PAUSE_MAX_S, is_due
from streams.pager.rows import (
    DELIVERY,
    STANDING,
    Changes,
    Delivery,
    Standing,
    all_of,
    delivery_key,
    standing_key,
)
from streams.pager.steps import SILENT, Action


class Queues:
    def __init__(self, disk: Disk) -> None:
        self._standings: dict[tuple[str, str], Standing] = {}
        for key, standing in all_of(disk, STANDING, Standing):
            sink, _, incident = key.partition(b"\0")
            self._standings[sink.decode(), incident.decode()] = standing
        self._waiting: dict[str, dict[str, list[Delivery]]] = {}
        for _, delivery in all_of(disk, DELIVERY, Delivery):
            self._queue(delivery.sink, delivery.incident).append(delivery)
        self._next = 1 + max((delivery.sequence for delivery in self.waiting()), default=-1)
        # By sink, whose turn it is: moment, sequence, incident. Some are out of date, and passed over when they come.
        self._turns: dict[str, list[tuple[float, int, str]]] = {}
        self._under_way: dict[str, tuple[Delivery, bool]] = {}  # by sink, and whether something had arrived before
        changes = Changes()
        for place in [(sink, name) for sink, queues in self._waiting.items() for name in queues]:
            self.settle(*place, changes)  # an end or a mute may have come while a page was under way
        changes.write(disk)

    # Putting in.

    def put(self, wanted: Delivery, changes: Changes, *, unknown: bool = False) -> bool:
        """Whether no page was taken back. ``unknown``: an earlier outbox may have told the sink of the incident."""
        sink, incident, action = wanted.sink, wanted.incident, wanted.action
        if unknown and action in (*SILENT, Action.ACKNOWLEDGE):
            self.stand(sink, incident, Standing(), changes)
        queue = self._queue(sink, incident)
        waiting = self._not_under_way(sink, queue)
        needless = waiting if action in SILENT else []
        for delivery in needless:
            queue.remove(delivery)
            changes.delete(delivery_key(delivery.sequence))
        under_way = len(waiting) < len(queue) + len(needless)
        last = waiting[-1] if waiting and not needless else None
        is_open = (self.may_know(sink, incident) or under_way or last is not None) and not _ends(queue)
        if last is not None and _covers(last.action, action):
            newer = _both(last, wanted)
            queue[queue.index(last)] = newer
            changes.put(delivery_key(newer.sequence), newer)
        elif action is Action.TRIGGER or is_open:
            self._append(queue, wanted, changes)
        if not queue:
            self._waiting[sink].pop(incident)
        return not needless or bool(queue)

    def _append(self, queue: list[Delivery], wanted: Delivery, changes: Changes) -> None:
        delivery = msgspec.structs.replace(wanted, sequence=self._next)
        self._next += 1
        queue.append(delivery)
        if queue[0] is delivery:
            self._take_turn(delivery)
        changes.put(delivery_key(delivery.sequence), delivery)

    def quieten(self, incident: str, changes: Changes) -> None:
        """Pages of an incident that have not gone out: where it is known they become updates, else they go."""
        for sink in [sink for sink, queues in self._waiting.items() if incident in queues]:
            queue = self._waiting[sink][incident]
            for delivery in self._not_under_way(sink, queue):
                if delivery.action is not Action.TRIGGER or delivery.tries:
                    continue
                place = queue.index(delivery)
                if _ends(queue[:place]):
                    queue.remove(delivery)
                    changes.delete(delivery_key(delivery.sequence))
                    continue
                queue[place] = msgspec.structs.replace(delivery, action=Action.UPDATE)
                changes.put(delivery_key(delivery.sequence), queue[place])
            if not self.is_under_way(sink, incident):
                self.settle(sink, incident, changes)

    # Taking out.

    def due(self, sink: str, now: float, longest_s: float = PAUSE_MAX_S) -> Delivery | None:
        """The first delivery of the incident whose turn it is; of several, the one that has waited longest."""
        first = self._first(sink)
        return first if first is not None and is_due(first.due, now, longest_s) else None

    def next_due(self, sink: str) -> float | None:
        first = self._first(sink)
        return None if first is None else first.due

    def begin(self, delivery: Delivery, changes: Changes) -> Standing | None:
        """What the sink knew before. It is written before the attempt: after a crash nobody knows what arrived."""
        place = (delivery.sink, delivery.incident)
        before = self._standings.get(place)
        self._under_way[delivery.sink] = (delivery, before is not None)
        if before is None:
            self.stand(*place, Standing(), changes)
        return before

    def drop(self, delivery: Delivery, changes: Changes, *, arrived: bool = True) -> None:
        queues = self._waiting[delivery.sink]
        queues[delivery.incident] = [one for one in queues[delivery.incident] if one.sequence != delivery.sequence]
        changes.delete(delivery_key(delivery.sequence))
        self._end_attempt(delivery, changes, arrived=arrived)

    def later(self, delivery: Delivery, due: float, changes: Changes, *, arrived: bool) -> None:
        queue = self._queue(delivery.sink, delivery.incident)
        place = next(index for index, one in enumerate(queue) if one.sequence == delivery.sequence)
        queue[place] = msgspec.structs.replace(queue[place], tries=delivery.tries + 1, due=due)
        changes.put(delivery_key(delivery.sequence), queue[place])
        self._end_attempt(delivery, changes, arrived=arrived)

    def keep_only(self, sinks: Sequence[str], changes: Changes) -> Sequence[Delivery]:
        """Returns what was meant for others."""
        gone = [delivery for delivery in self.waiting() if delivery.sink not in sinks]
        for delivery in gone:
            changes.delete(delivery_key(delivery.sequence))
        for sink, incident in [place for place in self._standings if place[0] not in sinks]:
            self.forget_standing(sink, incident, changes)
        self._waiting = {sink: queues for sink, queues in self._waiting.items() if sink in sinks}
        return gone

    # What there is.

    def waiting(self, sink: str | None = None) -> Iterator[Delivery]:
        for name, queues in self._waiting.items():
            if sink is None or name == sink:
                for queue in queues.values():
                    yield from queue

    def standings(self, sink: str) -> Sequence[tuple[str, Standing]]:
        return [(incident, one) for (name, incident), one in self._standings.items() if name == sink]

    def is_waiting(self, sink: str, incident: str) -> bool:
        return bool(self._waiting.get(sink, {}).get(incident))

    def is_under_way(self, sink: str, incident: str) -> bool:
        return sink in self._under_way and self._under_way[sink][0].incident == incident

    def may_know(self, sink: str, incident: str) -> bool:
        return (sink, incident) in self._standings

    def will_know(self, sink: str, incident: str) -> bool:
        """Whether it is open there once all that waits has gone out."""
        queue = self._waiting.get(sink, {}).get(incident, [])
        return (self.may_know(sink, incident) or bool(queue)) and not _ends(queue)

    # Standings.

    def standing(self, sink: str, incident: str) -> Standing:
        return self._standings.get((sink, incident), Standing())

    def stand(self, sink: str, incident: str, standing: Standing, changes: Changes) -> None:
        self._standings[sink, incident] = standing
        changes.put(standing_key(sink, incident), standing)

    def forget_standing(self, sink: str, incident: str, changes: Changes) -> None:
        self._standings.pop((sink, incident), None)
        changes.delete(standing_key(sink, incident))

    # Pieces.

    def _queue(self, sink: str, incident: str) -> list[Delivery]:
        return self._waiting.setdefault(sink, {}).setdefault(incident, [])

    def _not_under_way(self, sink: str, queue: Iterable[Delivery]) -> list[Delivery]:
        under_way = self._under_way.get(sink)
        return [one for one in queue if not under_way or one.sequence != under_way[0].sequence]

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

    def _end_attempt(self, delivery: Delivery, changes: Changes, *, arrived: bool) -> None:
        under_way = self._under_way.pop(delivery.sink, None)
        if under_way is not None and not under_way[1] and not arrived:
            self.forget_standing(delivery.sink, delivery.incident, changes)
        self.settle(delivery.sink, delivery.incident, changes)

    def settle(self, sink: str, incident: str, changes: Changes) -> None:
        """What an end or a mute makes needless goes; where nothing arrived, all that follows up; and an empty queue."""
        queue = self._queue(sink, incident)
        kept = _from_the_last_silence(queue)
        if not self.may_know(sink, incident):
            kept = _from_the_first_page(kept)
        sequences = {one.sequence for one in kept}
        for one in queue:
            if one.sequence not in sequences:
                changes.delete(delivery_key(one.sequence))
        if kept:
            self._waiting[sink][incident] = kept
            self._take_turn(kept[0])
        else:
            self._waiting[sink].pop(incident, None)


def _ends(queue: Sequence[Delivery]) -> bool:
    """Whether nothing is open at the sink after all of these."""
    return bool(queue) and queue[-1].action is Action.RESOLVE


def _from_the_last_silence(queue: list[Delivery]) -> list[Delivery]:
    """What came before an end or a mute is not tried again: it would page for what is over or muted."""
    silences = [index for index, one in enumerate(queue) if one.action in SILENT]
    return queue[silences[-1] :] if silences else queue


def _from_the_first_page(queue: list[Delivery]) -> list[Delivery]:
    """What is left where the sink knows of nothing."""
    return list(dropwhile(lambda one: one.action is not Action.TRIGGER, queue))


def _covers(waiting: Action, new: Action) -> bool:
    """Whether one delivery can say both: what waits has not gone out, so it may as well show what is newer."""
    shows = (Action.TRIGGER, Action.UPDATE)
    return waiting in shows and new in shows


def _both(waiting: Delivery, new: Delivery) -> Delivery:
    """What is newest, in the place of what waits; a page that waits stays one, and for its reason."""
    page = waiting if waiting.action is Action.TRIGGER else new
    return msgspec.structs.replace(waiting, value=new.value, action=page.action, reason=page.reason)
