"""Pages are counted against what was asked for. When that is spent, all but critical ones wait for a digest."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import NamedTuple

from schemas.times import duration_ms
from streams.durable import Disk
from streams.pager.routes import Teams, zone
from streams.pager.rows import BUDGET, Budget, Changes, all_of
from streams.pager.steps import SEVERITIES, ShownAlert
from streams.sections import BudgetSettings

DIGESTS = "digest"  # how a digest's incident begins
COUNTED_MAX = 1_000  # pages of one budget: as many as it may allow; critical ones go out also above it
DIGEST_SHOWN_MAX = 10  # of the incidents of a digest, those that it names; the worst ones
_DAY = timedelta(days=1)


class Waited(NamedTuple):
    """An incident that waits for a digest."""

    alert: ShownAlert
    since: float
    over: bool


class Budgets:
    def __init__(self, disk: Disk, budgets: Mapping[str, BudgetSettings], teams: Teams) -> None:
        self._settings, self._teams = budgets, teams
        self._rows = {key.decode(): row for key, row in all_of(disk, BUDGET, Budget)}

    @property
    def names(self) -> Sequence[str]:
        return list(self._settings)

    # Counting.

    def spent(self, alert: ShownAlert, page: str, now: float) -> str | None:
        """The budget that keeps this page from going out. One that was counted may go to other sinks as well."""
        if alert.rank == len(SEVERITIES) - 1:
            return None
        for name in self._of(alert.model):
            counted = self._counted(name, now)
            if len(counted) >= self._settings[name].pages and page not in [one for _, one in counted]:
                return name
        return None

    def count(self, alert: ShownAlert, page: str, now: float, changes: Changes) -> None:
        for name in self._of(alert.model):
            counted = self._counted(name, now)
            if page not in [one for _, one in counted]:
                self._put(name, [*counted, (now, page)][-COUNTED_MAX:], self._digest_due(name, now), changes)

    def last_word(self, alert: ShownAlert, page: str, now: float) -> str:
        """What the page says with which a budget is spent."""
        for name in self._of(alert.model):
            settings = self._settings[name]
            counted = self._counted(name, now)
            if len(counted) >= settings.pages and counted[settings.pages - 1][1] == page:
                return (
                    f"the page budget {name} is spent ({settings.pages} in {settings.per}): until there is room again, "
                    f"what is not critical waits for the digest at {settings.digest_at} ({settings.timezone})"
                )
        return ""

    def left(self, now: float) -> Mapping[str, int]:
        return {
            name: max(settings.pages - len(self._counted(name, now)), 0) for name, settings in self._settings.items()
        }

    def _of(self, model: str) -> Sequence[str]:
        return [name for name, one in self._settings.items() if self._teams.counts(model, one.models, one.teams)]

    def _counted(self, name: str, now: float) -> Sequence[tuple[float, str]]:
        row, per_s = self._rows.get(name), duration_ms(self._settings[name].per) / 1000
        return [] if row is None else [(at, page) for at, page in row.pages if now - at < per_s]

    # Digests.

    def digest_is_due(self, name: str, now: float, changes: Changes) -> bool:
        """Once for each of its times. One that is not configured any more has no time to wait for."""
        if name not in self._settings:
            return True
        due, told = _last_time(self._settings[name], now), self._digest_due(name, now)
        if due > told or told > now:  # the clock was set back
            self._put(name, self._counted(name, now), due, changes)
        elif name not in self._rows:
            self._put(name, [], told, changes)
        return due > told

    def _digest_due(self, name: str, now: float) -> float:
        row = self._rows.get(name)
        return _last_time(self._settings[name], now) if row is None else row.digest_due

    def keep_only_configured(self, changes: Changes) -> None:
        for name in [name for name in self._rows if name not in self._settings]:
            del self._rows[name]
            changes.delete(BUDGET + name.encode())

    def _put(self, name: str, pages: Sequence[tuple[float, str]], digest_due: float, changes: Changes) -> None:
        self._rows[name] = Budget(tuple(pages), digest_due)
        changes.put(BUDGET + name.encode(), self._rows[name])


def _last_time(settings: BudgetSettings, now: float) -> float:
    """When the digest was due last; in local time, so that it is nine o'clock in summer and in winter."""
    there = zone(settings.timezone)
    today = datetime.fromtimestamp(now, there).date()
    days = (today, today - _DAY, today - 2 * _DAY)  # an island that changes sides of the date line leaves one out
    moments = (datetime.combine(day, time.fromisoformat(settings.digest_at), there) for day in days)
    return next(moment.timestamp() for moment in moments if moment.timestamp() <= now)


def digest(budget: str, waited: Sequence[Waited], now: float) -> ShownAlert:
    """One page for all that waited: how many, and the worst of them."""
    worst_first = sorted(waited, key=lambda one: (one.over, -one.alert.rank, one.since))
    over = sum(one.over for one in waited)
    ranks = [one.alert.rank for one in waited]
    counts = ", ".join(f"{ranks.count(rank)} {SEVERITIES[rank]}" for rank in sorted(set(ranks), reverse=True))
    models = len({one.alert.model for one in waited})
    named = worst_first[:DIGEST_SHOWN_MAX]
    ms = int(now * 1000)
    left_off = f", the {len(named)} worst of them below" if len(named) < len(waited) else ""
    return ShownAlert(
        id=f"{DIGESTS}-{budget}-{ms}",
        incident=f"{DIGESTS}-{budget}-{ms}",
        event="opened",
        severity=SEVERITIES[max(ranks)],
        model="*",
        kind="system",
        summary=(
            f"The page budget {budget} was spent, and {_incidents(len(waited))} of {_models(models)} waited for this "
            f"digest ({counts}; {over} over by now){left_off}. All stand on the alerts topic."
        ),
        ts=ms,
        evidence={"detail": {f"incident_{number}": _line(one) for number, one in enumerate(named, 1)}},
    )


def _line(one: Waited) -> str:
    state = "over" if one.over else one.alert.severity
    return f"[{state}] {one.alert.incident}: {one.alert.summary}"


def _incidents(count: int) -> str:
    return "1 incident" if count == 1 else f"{count} incidents"


def _models(count: int) -> str:
    return "1 model" if count == 1 else f"{count} models"
