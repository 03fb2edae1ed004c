"""Incidents that are not paged by themselves, each with its reason."""

from collections.abc import Sequence

import msgspec

from streams.durable import Disk
from streams.pager.reasons import Reason
from streams.pager.rows import WITHHELD, Changes, Withheld, all_of


class Shelf:
    def __init__(self, disk: Disk, most: int) -> None:
        self._most = most
        self._rows = {key.decode(): row for key, row in all_of(disk, WITHHELD, Withheld)}

    @property
    def is_full(self) -> bool:
        return len(self._rows) >= self._most

    def get(self, incident: str) -> Withheld | None:
        return self._rows.get(incident)

    def is_muted(self, incident: str) -> bool:
        held = self._rows.get(incident)
        return held is not None and held.reason is Reason.MUTED

    def put(self, incident: str, row: Withheld, changes: Changes) -> None:
        self._rows[incident] = row
        changes.put(WITHHELD + incident.encode(), row)

    def news(self, incident: str, value: bytes, changes: Changes) -> None:
        if incident in self._rows:
            self.put(incident, msgspec.structs.replace(self._rows[incident], value=value), changes)

    def drop(self, incident: str, changes: Changes) -> None:
        if self._rows.pop(incident, None) is not None:
            changes.delete(WITHHELD + incident.encode())

    def over(self, incident: str, changes: Changes) -> None:
        """What waits for a digest is told in it all the same."""
        held = self._rows.get(incident)
        if held is not None and held.reason is Reason.BUDGET:
            self.put(incident, msgspec.structs.replace(held, over=True), changes)
        else:
            self.drop(incident, changes)

    def mutes_ended(self, now: float) -> Sequence[str]:
        muted = [(row.until, incident) for incident, row in self._rows.items() if row.reason is Reason.MUTED]
        return [
            incident
            for _, incident in sorted((until, name) for until, name in muted if until is not None and until <= now)
        ]

    def by(self, cause: str) -> Sequence[tuple[str, Withheld]]:
        """What is told with an incident, in the order in which it came."""
        found = [(name, row) for name, row in self._rows.items() if row.by == cause]
        return sorted(found, key=lambda one: (one[1].since, one[0]))

    def waiting_for_digests(self) -> Sequence[tuple[str, Withheld]]:
        return [(incident, row) for incident, row in self._rows.items() if row.reason is Reason.BUDGET]
