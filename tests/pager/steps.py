"""Alerts as they come from the topic, and an outbox on a disk in memory."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import orjson

from streams.pager.decisions import Decision
from streams.pager.outbox import Outbox, Taken, Told
from streams.pager.policy import WITHHELD_MAX, Policy, policy
from streams.pager.rows import Belongs, Delivery
from streams.pager.steps import Action
from streams.sections import PagerSettings
from tests.streams.disk import MemoryDisk

WHOSE = Belongs("driftline-pager", "driftline.alerts")
NOW = 1_767_225_600.0

_ids = count()


def alert(event: str, incident: str = "inc-1", **fields: Any) -> bytes:
    content = {
        "type": "alert",
        "v": 1,
        "id": f"al-{next(_ids)}",
        "incident": incident,
        "event": event,
        "severity": "warning",
        "kind": "feature_drift",
        "model": "churn",
        "version": "7",
        "segment": "country=de",
        "signal": "feature:age",
        "detector": "adwin",
        "ts": int(NOW * 1000) - 5_000,
        "evidence": {"value": 0.41, "threshold": 0.2, "threshold_origin": "x", "n": 9, "baseline": 0.1, "effect": 0.3},
        "position": {"topic": "driftline.predictions", "partition": 0, "offset": 1},
        "summary": "churn: age shifted; look at what feeds it.",
        **fields,
    }
    return orjson.dumps(content)


class Box:
    """An outbox whose process may end at any time."""

    def __init__(self, *sinks: str, disk: MemoryDisk | None = None, pager: PagerSettings | None = None) -> None:
        self.disk = disk or MemoryDisk()
        self.sinks: Sequence[str] = sinks or ("one",)
        self.pager = pager or PagerSettings()
        self.withheld_max = WITHHELD_MAX
        self.offset = 0
        self.decided: list[Decision] = []
        self.restart()

    def restart(self) -> None:
        self.outbox = Outbox(self.disk, WHOSE, self.policy())

    def policy(self) -> Policy:
        """Everything goes to every sink, unless there are routes or teams."""
        made = policy(self.pager, list(self.sinks))._replace(withheld_max=self.withheld_max)
        if self.pager.routes or self.pager.teams:
            return made
        return made._replace(routes_to=lambda alert, now: self.sinks)

    def take(self, *values: bytes, now: float = NOW) -> Told:
        records = [Taken(0, self.offset + index, value) for index, value in enumerate(values)]
        self.offset += len(values)
        told = self.outbox.take(records, now)
        self.decided += told.decisions
        return told

    def look(self, now: float) -> None:
        self.decided += self.outbox.look(now).decisions

    @property
    def reasons(self) -> Sequence[tuple[str, str]]:
        """What was decided so far."""
        return [(one.incident, one.reason.value) for one in self.decided]

    def waiting(self, sink: str = "one") -> Sequence[Action]:
        return [delivery.action for delivery in sorted(self.outbox.waiting(sink), key=lambda one: one.sequence)]

    def begin(self, sink: str = "one", now: float = NOW) -> Delivery:
        delivery = self.outbox.due(sink, now)
        assert delivery is not None
        self.page = self.outbox.begin(delivery, now)
        return delivery

    def deliver(self, sink: str = "one", reference: str | None = None, now: float = NOW) -> Delivery:
        delivery = self.begin(sink, now)
        self.outbox.delivered(delivery, reference)
        return delivery
