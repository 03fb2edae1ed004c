"""Alerts as they come from the topic, and an outbox on a disk in memory."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import orjson

from streams.pager.outbox import Outbox, Taken, Told
from streams.pager.rows import Belongs, Delivery
from streams.pager.steps import Action
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

    def __init__(self, *sinks: str, disk: MemoryDisk | None = None) -> None:
        self.disk = disk or MemoryDisk()
        self.sinks = sinks or ("one",)
        self.offset = 0
        self.restart()

    def restart(self) -> None:
        self.outbox = Outbox(self.disk, WHOSE, lambda alert, now: self.sinks)

    def take(self, *values: bytes, now: float = NOW) -> Told:
        records = [Taken(0, self.offset + index, value) for index, value in enumerate(values)]
        self.offset += len(values)
        return self.outbox.take(records, now)

    def waiting(self, sink: str = "one") -> Sequence[Action]:
        return [delivery.action for delivery in sorted(self.outbox.waiting(sink), key=lambda one: one.sequence)]

    def begin(self, sink: str = "one", now: float = NOW) -> Delivery:
        delivery = self.outbox.due(sink, now)
        assert delivery is not None
        self.outbox.begin(delivery)
        return delivery

    def deliver(self, sink: str = "one", reference: str | None = None) -> Delivery:
        delivery = self.begin(sink)
        self.outbox.delivered(delivery, reference)
        return delivery
