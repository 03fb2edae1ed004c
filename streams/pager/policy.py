"""What the configuration says about whom is paged, and when not."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from streams.pager.routes import Routes, Teams
from streams.pager.steps import ShownAlert
from streams.sections import BudgetSettings, PagerSettings, UpstreamSettings

RoutesTo = Callable[[ShownAlert, float], Sequence[str]]


WITHHELD_MAX = 10_000  # incidents, some kilobytes each; above it one is paged after all


class Policy(NamedTuple):
    routes_to: RoutesTo
    teams: Teams
    budgets: Mapping[str, BudgetSettings]
    upstreams: Mapping[str, UpstreamSettings]
    withheld_max: int = WITHHELD_MAX


def policy(pager: PagerSettings, sinks: Sequence[str]) -> Policy:
    teams = Teams(pager.teams)
    return Policy(Routes(pager.routes, sinks, teams).sinks_for, teams, pager.budgets, pager.upstreams)
