"""Whose a model is, and to which sinks a page goes."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, tzinfo
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from streams.pager.steps import SEVERITIES, ShownAlert
from streams.sections import RouteSettings, TeamSettings

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERYTHING = RouteSettings()  # what holds where no route is configured


def zone(name: str) -> tzinfo:
    """Raises ``ValueError`` or ``KeyError`` for one that this machine does not know; UTC needs no file."""
    return UTC if name == "UTC" else ZoneInfo(name)


def fits(model: str, globs: Sequence[str]) -> bool:
    return any(fnmatchcase(model, glob) for glob in globs)


class Teams:
    def __init__(self, teams: Mapping[str, TeamSettings]) -> None:
        self._teams = teams

    def of(self, model: str) -> tuple[str, ...]:
        """In the order of the configuration; a model may be of several."""
        return tuple(name for name, team in self._teams.items() if fits(model, team.models))

    def sinks(self, model: str) -> set[str]:
        return {sink for name in self.of(model) for sink in self._teams[name].sinks}

    def counts(self, model: str, models: Sequence[str], teams: Sequence[str]) -> bool:
        """Whether a model is meant by what names models, and perhaps teams."""
        return fits(model, models) and (not teams or any(team in teams for team in self.of(model)))


class Routes:
    def __init__(self, routes: Mapping[str, RouteSettings], sinks: Sequence[str], teams: Teams) -> None:
        self._routes = list(routes.values()) or [EVERYTHING]
        self._sinks, self._teams = sinks, teams

    def sinks_for(self, alert: ShownAlert, now: float) -> list[str]:
        """Each once, in the order of the configuration. Every route that fits sends."""
        usual = self._teams.sinks(alert.model) or self._sinks
        chosen = {sink for route in self._routes if self._fits(route, alert, now) for sink in route.sinks or usual}
        return [sink for sink in self._sinks if sink in chosen]

    def _fits(self, route: RouteSettings, alert: ShownAlert, now: float) -> bool:
        return (
            alert.rank >= SEVERITIES.index(route.severity)
            and self._teams.counts(alert.model, route.models, route.teams)
            and (not route.kinds or alert.kind in route.kinds)
            and _in_hours(route, datetime.fromtimestamp(now, zone(route.timezone)))
        )


def _in_hours(route: RouteSettings, at: datetime) -> bool:
    """From ``after`` to just before ``before``; over midnight where ``before`` is the earlier of the two.

    The hours after midnight belong to the day on which they began.
    """
    start, end, clock = time.fromisoformat(route.after), time.fromisoformat(route.before), at.time()
    over_midnight = end <= start
    inside = (clock >= start or clock < end) if over_midnight else start <= clock < end
    began = at.weekday() - (1 if over_midnight and clock < end else 0)
    return inside and (not route.days or DAYS[began % 7] in route.days)
