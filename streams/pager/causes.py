"""One cause for the incidents of several models: the first is paged, the others are told with it.

Incidents of the models of an upstream are of one cause where their changes began close to one another. While a source
of it is silent, or in trouble with its volume or its system, whatever begins at its models is of that cause.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from schemas.events import EVERY_MODEL, Kind
from schemas.times import duration_ms
from streams.durable import Disk
from streams.pager.routes import fits
from streams.pager.rows import CAUSE, Cause, Changes, all_of
from streams.pager.steps import First, Further, ShownAlert
from streams.sections import UpstreamSettings

SOURCE_KINDS = (Kind.SILENCE, Kind.VOLUME, Kind.SYSTEM)
SETTLED_S = 60.0  # after the last model that joined, how many there are is told, whatever their number
SETTLED_AGAIN_S = 3_600.0  # and for those that come later one by one not more often than that
OVER_TOO_MAX_S = 900.0  # so long at most what was told with an incident that is over may take to be over as well
FURTHER_MAX = 1_000  # models known of one cause; all are written with each that joins

Fits = Callable[[str], bool]


class Causes:
    def __init__(self, disk: Disk, upstreams: Mapping[str, UpstreamSettings]) -> None:
        self._upstreams = upstreams
        self._rows = {key.decode(): row for key, row in all_of(disk, CAUSE, Cause)}
        self._led: dict[str, list[str]] = {}  # by incident, the keys of the causes that it leads
        for key, row in self._rows.items():
            self._led.setdefault(row.lead, []).append(key)

    # Who goes with whom.

    def find(self, incident: str, first: First, rank: int, may_lead: Fits) -> Cause | None:
        """What it is told with. One that is worse than the first is told by itself."""
        if self._is_source_of(first) or first.model == EVERY_MODEL:
            return None
        fitting = [
            row
            for row in self._rows.values()
            if row.lead != incident
            and (row.is_source or row.rank >= rank)
            and (row.model != first.model or row.models)  # one model's incidents are not of one cause: so it was found
            and self._spans(row, first)
            and may_lead(row.lead)
        ]
        return min(fitting, key=lambda row: (not row.is_source, abs(row.began - first.began), row.key), default=None)

    def lead(self, incident: str, first: First, alert: ShownAlert, value: bytes, changes: Changes) -> None:
        """It is paged: from now on others may be told with it."""
        if incident in self._led:
            for row in self.led_by(incident):
                self._put(msgspec.structs.replace(row, value=value, rank=alert.rank, over_at=None), changes)
            return
        sources = self._is_source_of(first)
        for name, upstream in self._upstreams.items():
            is_source = name in sources
            if is_source or (not sources and first.model != EVERY_MODEL and fits(first.model, upstream.models)):
                row = Cause(name, incident, first.model, value, alert.rank, first.began, is_source=is_source)
                self._put(row, changes)
                self._led.setdefault(incident, []).append(row.key)

    def join(self, cause: Cause, model: str, now: float, changes: Changes) -> bool:
        """Whether it is told at once: at 2, 4, 8, 16 … models."""
        row = self._rows[cause.key]
        is_new = model != row.model and model not in row.models and len(row.models) < FURTHER_MAX
        models, incidents = (*row.models, *([model] if is_new else [])), row.incidents + 1
        tell = is_new and (1 + len(models)) & len(models) == 0
        told = incidents if tell else row.told
        self._put(msgspec.structs.replace(row, models=models, incidents=incidents, told=told, joined_at=now), changes)
        return tell

    def _spans(self, row: Cause, first: First) -> bool:
        upstream = self._upstreams.get(row.upstream)
        if upstream is None or not fits(first.model, upstream.models):
            return False
        after = first.began - row.began
        within = duration_ms(upstream.within)
        return -within <= after if row.is_source else abs(after) <= within

    def _is_source_of(self, first: First) -> Sequence[str]:
        if first.kind not in SOURCE_KINDS:
            return ()
        return [name for name, one in self._upstreams.items() if fits(first.model, one.sources)]

    # What becomes of a lead.

    def led_by(self, incident: str) -> Sequence[Cause]:
        return [self._rows[key] for key in self._led.get(incident, ())]

    def leads(self, incident: str) -> bool:
        return incident in self._led

    def news(self, incident: str, alert: ShownAlert, value: bytes, changes: Changes) -> None:
        for row in self.led_by(incident):
            self._put(msgspec.structs.replace(row, value=value, rank=max(row.rank, alert.rank)), changes)

    def over(self, incident: str, now: float, changes: Changes) -> None:
        """The others are given as long as they may have begun apart: what mends one often mends all."""
        for row in self.led_by(incident):
            self._put(msgspec.structs.replace(row, over_at=now), changes)

    def released(self, now: float) -> Sequence[Cause]:
        """Those that are over, and whose others have had their time."""
        return [row for row in self._in_order() if row.over_at is not None and self._has_had_time(row, now)]

    def _has_had_time(self, row: Cause, now: float) -> bool:
        since = now - (row.over_at or 0.0)
        grace = min(duration_ms(self._upstreams[row.upstream].within) / 1000, OVER_TOO_MAX_S)
        return since < 0 or since >= grace  # or the clock was set back

    def drop(self, cause: Cause, changes: Changes) -> None:
        del self._rows[cause.key]
        changes.delete(CAUSE + cause.key.encode())
        self._led[cause.lead].remove(cause.key)
        if not self._led[cause.lead]:
            del self._led[cause.lead]

    def not_configured(self) -> Sequence[Cause]:
        return [row for row in self._in_order() if row.upstream not in self._upstreams]

    # Telling.

    def further(self, incident: str) -> Further:
        led = self.led_by(incident)
        models = dict.fromkeys(model for row in led for model in row.models)
        return Further(tuple(models), sum(row.incidents for row in led))

    def settled(self, now: float, changes: Changes) -> Iterator[Cause]:
        """Causes of which more is known than was told, and that have been quiet since."""
        for row in self._in_order():
            quiet = row.over_at is None and now >= row.joined_at + SETTLED_S
            often = row.settled_at is not None and row.settled_at <= now < row.settled_at + SETTLED_AGAIN_S
            if row.incidents > row.told and quiet and not often:
                self._put(msgspec.structs.replace(row, told=row.incidents, settled_at=now), changes)
                yield row

    def _in_order(self) -> Sequence[Cause]:
        """The same in every life of the pager."""
        return sorted(self._rows.values(), key=lambda row: row.key)

    def _put(self, row: Cause, changes: Changes) -> None:
        self._rows[row.key] = row
        changes.put(CAUSE + row.key.encode(), row)
