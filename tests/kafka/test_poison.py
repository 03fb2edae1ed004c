"""Ten thousand bad records among good ones: each a dead letter with its reason, and no good one the worse for it."""

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from load.site.workers import running, wait_until_read
from schemas.reasons import DeadLetterReason as Reason
from schemas.topics import Stream
from tests.commands import NearSite
from tests.kafka.live import fates_add_up, live_equals_replay

pytestmark = pytest.mark.broker

POISON, GOOD = 10_000, 20_000
MODEL = "amber"


def good(number: int, **changes: object) -> dict[str, object]:
    event = {"type": "prediction", "v": 1, "id": f"p{number}", "model": MODEL, "ts": 1_760_000_000_000}
    return {**event, "features": {"age": 40 + number % 7}, "prediction": True, "score": 0.5, **changes}


def as_json(event: dict[str, object]) -> bytes:
    return json.dumps(event).encode()


def without(number: int, name: str) -> bytes:
    return as_json({key: value for key, value in good(number).items() if key != name})


KINDS: dict[Reason, Callable[[int], bytes | None]] = {
    Reason.EMPTY: lambda _: None,
    Reason.NOT_UTF8: lambda n: as_json(good(n)).replace(b"amber", b"\xff\xfe"),
    Reason.NOT_JSON: lambda n: as_json(good(n))[:-9],
    Reason.NOT_FINITE: lambda n: as_json(good(n)).replace(b"0.5", b"NaN"),
    Reason.TOO_DEEP: lambda _: b"[" * 20_000 + b"]" * 20_000,
    Reason.NOT_AN_OBJECT: lambda n: b"[%d]" % n,
    Reason.MISSING_TYPE: lambda n: without(n, "type"),
    Reason.UNKNOWN_TYPE: lambda n: as_json(good(n, type="prophecy")),
    Reason.WRONG_TOPIC: lambda n: as_json({**good(n), "type": "outcome", "label": True}),
    Reason.UNKNOWN_VERSION: lambda n: as_json(good(n, v=2)),
    Reason.MISSING_FIELD: lambda n: without(n, "prediction"),
    Reason.WRONG_TYPE: lambda n: as_json(good(n, features=[1, 2])),
    Reason.BAD_ID: lambda n: as_json(good(n, id="")),
    Reason.BAD_TIME: lambda n: as_json(good(n, ts="yesterday")),
    Reason.TIME_WITHOUT_ZONE: lambda n: as_json(good(n, ts="2026-01-01T00:00:00")),
    Reason.OUT_OF_RANGE: lambda n: as_json(good(n, score=1.5)),
    Reason.BAD_MODEL: lambda n: as_json(good(n, model="../etc")),
    Reason.WRONG_KEY: lambda n: as_json(good(n, model="birch")),
}


def test_poison_is_set_aside_once_with_its_reason_and_good_records_are_all_applied(bootstrap: str, tmp_path: Path):
    site, chance = NearSite(bootstrap, tmp_path).create_topics(), random.Random(10_000)
    wanted: Counter[str] = Counter()
    with running() as start:
        worker = start(site)
        kinds = list(KINDS)
        order = [True] * GOOD + [False] * POISON
        chance.shuffle(order)
        for number, is_good in enumerate(order):
            if is_good:
                site.send(Stream.PREDICTIONS, MODEL, as_json(good(number)))
            else:
                reason = kinds[number % len(kinds)]
                wanted[reason.value] += 1
                site.send(Stream.PREDICTIONS, MODEL, KINDS[reason](number))
        site.flush()
        wait_until_read([worker])
        fates = fates_add_up(worker)
        assert sum(ends["applied"] for ends in fates.values()) == GOOD
        assert sum(ends["dead_lettered"] for ends in fates.values()) == POISON
        assert worker.stop() == 0
    letters = [json.loads(value) for events in site.read(Stream.DEAD_LETTERS).values() for _, value in events]
    assert Counter(letter["reason"] for letter in letters) == wanted
    assert len({(letter["topic"], letter["partition"], letter["offset"]) for letter in letters}) == POISON
    live_equals_replay(site)
