"""Outcomes that come one after the other decide the same, however many of them are taken in together."""

import re
from collections.abc import Iterator, Sequence
from itertools import count
from random import Random
from typing import Any

import msgspec
import pytest

from detectors.columns import Places
from detectors.config import ModelConfig, MonitorConfig
from detectors.engine import Engine
from detectors.monitor import Monitor
from schemas.records import Record
from tests.detectors.test_gathered import CONFIGS, DEFAULTS, START, TOPICS, cut, records, run

EVERY = 350  # records between two runs of labels
RUN = 160  # labels
CONFIGS = CONFIGS | {
    "corrected": MonitorConfig(defaults=msgspec.structs.replace(DEFAULTS, metrics_window="30m", task="multiclass")),
}


def with_runs(seed: int) -> list[Record]:
    """Labels come in heaps, as from a job: of late and early predictions, provisional, weighed, corrected and twice."""
    draw, told = Random(seed), list[Record]()
    ids, offsets = list[tuple[str, str]](), dict.fromkeys(TOPICS.inputs, 0)

    def tell(record: Record) -> None:
        told.append(record._replace(offset=offsets[record.topic]))
        offsets[record.topic] += draw.choice((1, 1, 3))

    for place, record in enumerate(records(seed)[:4_500]):
        tell(record)
        if record.topic == TOPICS.predictions and record.key is not None:
            ids.append((f"r{len(ids)}", record.key.decode()))
        if place % EVERY == EVERY - 1:
            time, lately = record.timestamp, ids[-2 * EVERY :]
            for number in range(RUN):
                time += draw.choice((0, 1, 3, 20)) if draw.random() > 0.03 else draw.choice((-60_000, 400_000))
                if number == RUN // 2:
                    time += draw.choice((0, 0, 30 * 60_000, 26 * 3_600_000))
                tell(labelled(*draw.choice(lately[: draw.choice((30, len(lately)))]), time, draw, wrong=place > 2_500))
    return told


def labelled(name: str, model: str, time: int, draw: Random, *, wrong: bool) -> Record:
    fields: dict[str, Any] = {"type": "outcome", "v": 1, "id": name, "model": model, "ts": START}
    right = {"churn": draw.gauss(0.0, 1.0), "fraud": draw.choice(("yes", "no")), "eta": draw.choice("abb")}[model]
    fields["label"] = (9.5 if model == "churn" else "a") if wrong and draw.random() < 0.5 else right
    if draw.random() < 0.1:
        fields["revision"] = draw.choice((1, 1, 2))
    if draw.random() < 0.05:
        fields["weight"] = draw.choice((0.0, 2.5))
    if draw.random() < 0.05:
        fields["provisional"] = True
    if draw.random() < 0.02:
        fields["id"] = f"r{int(name[1:]) + draw.randrange(100, 900)}"  # before its prediction, or never
    return Record(TOPICS.outcomes, 3, 0, max(0, time), model.encode(), msgspec.json.encode(fields))


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "kept"])
@pytest.mark.parametrize("name", CONFIGS)
def test_many_together_decide_what_each_alone_does(name: str, kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seed, config, together = 11 + list(CONFIGS).index(name), CONFIGS[name], count()
    whole, alike = with_runs(seed), Monitor._alike

    def counted(monitor: Monitor, stamps: Places, row: int) -> int:
        stop = alike(monitor, stamps, row)
        for _ in range(row, stop):
            next(together)
        return stop

    def decided(sizes: Sequence[int]) -> Any:
        return run(config, cut(whole, Random(seed), sizes), kept=kept)

    monkeypatch.setattr(Monitor, "_alike", lambda monitor, stamps, row: row)
    singly = decided((1, 90, 600))
    monkeypatch.setattr(Monitor, "_alike", counted)
    assert decided((2_500,)) == singly
    assert next(together) > 600 or name == "few that wait"  # there each may push out one of another model
    assert decided((1, 90, 600, 1_500)) == singly
    said = b"".join(singly[0])
    for word in (rb'"kind":"concept_drift"', rb'"event":"opened"', rb'"corrected":[1-9]'):
        assert re.search(word, said)


def with_a_pause(labels: int) -> Iterator[Record]:
    """So many labels come one by one, all wrong since the 300th, and after four hours those of the meantime."""
    draw, time, offsets = Random(3), START, count()

    def tell(**fields: Any) -> Record:
        topic = TOPICS.outcomes if "label" in fields else TOPICS.predictions
        fields |= {"type": "outcome" if "label" in fields else "prediction", "v": 1, "model": "churn", "ts": time}
        return Record(topic, 3, next(offsets), time, b"churn", msgspec.json.encode(fields))

    for row in range(labels + 24):
        time += 600_000
        yield tell(id=f"r{row}", prediction=1.0, features={})
        if row < labels:
            yield tell(id=f"r{row}", label=0.0 if draw.random() < (0.05 if row < 300 else 1.0) else 1.0)
    for row in range(labels, labels + 24):
        yield tell(id=f"r{row}", label=0.0)


@pytest.mark.parametrize("labels", [304, 313])
def test_a_silence_of_labels_may_end_with_the_loss_that_tells_of_a_change(labels: int) -> None:
    """How many wait then is known, though nothing of this batch came before."""
    defaults = ModelConfig(baseline_rows=100, rows_per_false_alarm=1_000, task="binary", positive=1)
    whole, config = list(with_a_pause(labels)), MonitorConfig(defaults=defaults)
    by_size = []
    for size in (1, 50, 5_000):
        engine = Engine(3, config, TOPICS)
        applied = [engine.apply(whole[start : start + size]) for start in range(0, len(whole), size)]
        by_size.append([effect.value for batch in applied for effect in batch.effects])
    assert by_size[0] == by_size[1] == by_size[2]
    for word in (rb'"kind":"label_delay"', rb'"kind":"concept_drift"'):
        assert re.search(word, b"".join(by_size[0]))
