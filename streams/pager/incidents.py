"""Incidents that the topic told of: where they are routed, what they began with, and which steps were seen."""

from collections.abc import Callable, Sequence

import msgspec

from streams.durable import Disk
from streams.pager.rows import INCIDENT, Changes, Incident, all_of
from streams.pager.steps import First, ShownAlert

STEPS_KEPT = 32  # ids of an incident's last steps: what a worker repeats follows closely
INCIDENTS_MAX = 100_000  # half a kilobyte each; past it, those that were over first are forgotten
CLOSED_KEPT_S = 7 * 86_400.0  # so long a repeated or late step of what is over is known for one


class Incidents:
    def __init__(self, disk: Disk) -> None:
        self._rows = {key.decode(): row for key, row in all_of(disk, INCIDENT, Incident)}

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def get(self, name: str) -> Incident | None:
        return self._rows.get(name)

    def has_seen(self, alert: ShownAlert) -> bool:
        known = self._rows.get(alert.incident)
        return known is not None and alert.id in known.steps

    def sinks(self, name: str) -> Sequence[str]:
        known = self._rows.get(name)
        return known.sinks if known else ()

    def is_over(self, name: str) -> bool:
        known = self._rows.get(name)
        return known is not None and known.closed_at is not None

    def first(self, name: str) -> First | None:
        known = self._rows.get(name)
        return known.first if known else None

    def reference(self, name: str, sink: str) -> str | None:
        known = self._rows.get(name)
        return known.references.get(sink) if known else None

    def refer(self, name: str, sink: str, reference: str | None, changes: Changes) -> None:
        """An incident may open again, and is then the same to the sink."""
        known = self._rows.get(name)
        if known is not None and reference is not None:
            references = {**known.references, sink: reference}
            self.put(name, msgspec.structs.replace(known, references=references), changes)

    def put(self, name: str, row: Incident, changes: Changes) -> None:
        self._rows[name] = row
        changes.put(INCIDENT + name.encode(), row)

    def keep_only(self, sinks: Sequence[str], changes: Changes) -> Sequence[str]:
        """Returns those that have others."""
        found = []
        for name, known in list(self._rows.items()):
            if (left := tuple(sink for sink in known.sinks if sink in sinks)) != known.sinks:
                self.put(name, msgspec.structs.replace(known, sinks=left), changes)
                found.append(name)
        return found

    def prune(self, now: float, is_needed: Callable[[str, Incident], bool], changes: Changes) -> None:
        """Forgets those that were over long ago, or first where there are too many."""
        closed = [
            (known.closed_at, name)
            for name, known in self._rows.items()
            if known.closed_at is not None and not is_needed(name, known)
        ]
        closed.sort()
        too_many = max(len(self._rows) - INCIDENTS_MAX, 0)
        for index, (closed_at, name) in enumerate(closed):
            if index < too_many or now - closed_at > CLOSED_KEPT_S:
                del self._rows[name]
                changes.delete(INCIDENT + name.encode())
