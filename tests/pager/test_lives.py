"""Random lives of incidents of several models, with all that keeps pages back at once: none is forgotten by anybody."""

import random

import pytest

from streams.pager.budgets import DIGESTS
from streams.pager.causes import SETTLED_AGAIN_S
from streams.pager.steps import Action, Further, Page, ShownAlert, read_alert
from streams.sections import BudgetSettings, PagerSettings, TeamSettings, UpstreamSettings
from tests.pager.steps import NOW, Box, alert

MODELS = ["fraud-eu", "fraud-us", "churn", "search", "feed-1"]
SINKS = ("one", "two")
PAGER = PagerSettings(
    teams={"risk": TeamSettings(models=("fraud-*",), sinks=("one",))},
    budgets={"few": BudgetSettings(models=("fraud-*", "churn"), pages=3, per="1d")},
    upstreams={"feed": UpstreamSettings(models=("fraud-*", "churn", "search"), within="5m", sources=("feed-*",))},
)
DAY = 86_400.0


class Told:
    """What the people behind one sink know."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.called: set[str] = set()  # incidents that they were called for since they were muted last
        self.digests: list[str] = []
        self.with_it: dict[str, Further] = {}  # by incident, what its newest page told with it

    def hears(self, page: Page) -> None:
        name = page.alert.incident
        if name.startswith(DIGESTS):
            self.digests.append(str(page.alert.evidence))
        elif page.action is Action.RESOLVE:
            self.open.discard(name)
            self.called.discard(name)
        elif page.action is Action.MUTE:
            self.called.discard(name)
        elif page.action is Action.TRIGGER:
            self.open.add(name)
            self.called.add(name)
        else:
            assert name in self.open, f"an update of {name}, which is not open there"
        self.with_it[name] = page.further


class Lives:
    def __init__(self, seed: int, *, dies: bool) -> None:
        self.chance, self.now, self.dies = random.Random(seed), NOW, dies
        self.box = Box(*SINKS, pager=PAGER)
        self.told = {sink: Told() for sink in SINKS}
        self.said: list[tuple[object, ...]] = []
        self.events: dict[str, str] = {}
        self.muted: dict[str, float | None] = {}
        self.count = 0

    def run(self) -> None:
        for _ in range(120):
            self.chance.choice([self.happens, self.happens, self.time_passes, self.deliver])()
            if self.dies:
                self.box.restart()
        for _ in range(6):
            self.pass_time(SETTLED_AGAIN_S)
        self.pass_time(DAY)

    def happens(self) -> None:
        model = self.chance.choice(MODELS)
        name = f"{model}/{self.chance.choice('ab')}"
        last = self.events.get(name)
        if last in (None, "resolved"):
            event = "opened" if last is None else "reopened"
        else:
            event = self.chance.choice(["updated", "escalated", "acknowledged", "resolved", "resolved", "muted"])
            event = "unmuted" if event == "muted" and name in self.muted else event
        until = self.chance.choice([None, self.now + 600])
        if event == "muted":
            self.muted[name] = until
        elif event in ("unmuted", "resolved"):
            self.muted.pop(name, None)
        self.events[name] = event
        self.count += 1
        evidence = {"detail": {"until": until and until * 1000}, "change_point": {"ts": self.began(), "offset": 1}}
        kind = "silence" if model.startswith("feed") else "feature_drift"
        severity = "critical" if event == "escalated" else self.chance.choice(["warning", "warning", "critical"])
        fields = {"model": model, "kind": kind, "severity": severity, "id": f"al-{self.count}", "evidence": evidence}
        self.box.take(alert(event, name, **fields), now=self.now)

    def began(self) -> int:
        return int((self.now - self.chance.choice([0, 60, 200, 500])) * 1000)

    def time_passes(self) -> None:
        self.pass_time(self.chance.choice([10, 100, 700]))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.muted = {name: until for name, until in self.muted.items() if until is None or until > self.now}
        self.box.look(self.now)
        self.deliver()

    def deliver(self) -> None:
        """As a courier does it, to an endpoint that is well."""
        outbox = self.box.outbox
        for sink in SINKS:
            while (delivery := outbox.due(sink, self.now)) is not None:
                shown = alert_of(delivery.value)
                ours = delivery.incident.startswith(DIGESTS)
                if delivery.action is Action.TRIGGER and not ours:
                    assert delivery.incident not in self.muted, "paged while it is muted"
                    if (budget := outbox.spent(delivery, shown, self.now)) is not None:
                        assert shown.severity != "critical"
                        outbox.withhold(delivery, shown, budget, self.now)
                        continue
                page = outbox.begin(delivery, self.now)
                self.told[sink].hears(page)
                self.said.append((sink, page.action, delivery.incident, page.reason, page.further, page.note))
                outbox.delivered(delivery, None)

    def is_known(self, sink: str, name: str) -> bool:
        told = self.told[sink]
        model = name.partition("/")[0]
        with_another = any(
            model in told.with_it[lead].models or (lead.startswith(model) and told.with_it[lead].incidents)
            for lead in told.open
        )
        return name in told.called or with_another or any(name in digest for digest in told.digests)


def alert_of(value: bytes) -> ShownAlert:

    return read_alert(value)


@pytest.mark.parametrize("seed", range(200))
def test_whoever_is_to_hear_of_an_incident_hears_of_it(seed: int) -> None:
    lives = Lives(seed, dies=seed % 2 == 0)
    lives.run()
    still_open = {name for name, event in lives.events.items() if event != "resolved"}
    for sink in SINKS:
        mine = {name for name in still_open if sink == "one" or not name.startswith("fraud")}
        assert {name for name in mine - set(lives.muted) if not lives.is_known(sink, name)} == set()
        assert lives.told[sink].open <= still_open
    assert list(lives.box.outbox.waiting()) == []


@pytest.mark.parametrize("seed", range(40))
def test_a_pager_that_dies_after_every_step_says_the_same(seed: int) -> None:
    one, other = Lives(seed, dies=False), Lives(seed, dies=True)
    one.run()
    other.run()
    assert one.said == other.said
