"""To which sinks a page goes."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, tzinfo
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from streams.pager.steps import SEVERITIES, ShownAlert
from streams.sections import RouteSettings

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERYTHING = RouteSettings()  # what holds where no route is configured


def zone(name: str) -> tzinfo:
    """Raises ``ValueError`` or ``KeyError`` for one that this machine does not know; UTC needs no file."""
    return UTC if name == "UTC" else ZoneInfo(name)


class Routes:
    def __init__(self, routes: Mapping[str, RouteSettings], sinks: Sequence[str]) -> None:
        self._routes = list(routes.values()) or [EVERYTHING]
        self._sinks = sinks

    def sinks_for(self, alert: ShownAlert, now: float) -> list[str]:
        """Each once, in the order of the configuration. Every route that fits sends."""
        chosen = {sink for route in self._routes if _fits(route, alert, now) for sink in route.sinks or self._sinks}
        return [sink for sink in self._sinks if sink in chosen]


def _fits(route: RouteSettings, alert: ShownAlert, now: float) -> bool:
    return (
        alert.rank >= SEVERITIES.index(route.severity)
        and any(fnmatchcase(alert.model, glob) for glob in route.models)
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
