"""Predictions that come as records decide the same, however many of them are taken in together as columns."""

import re
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from detectors.ahead import AHEAD_MIN
from detectors.collected import Collected
from detectors.config import ModelConfig, MonitorConfig
from detectors.engine import BLOCK, Engine
from detectors.gathered import WORTH_MIN, Worth, joined, stretch_of
from detectors.moment import Item
from detectors.rows import Items, Stretch
from schemas.codec import Decoder
from schemas.events import Prediction
from schemas.records import Record
from schemas.topics import VALUE_BYTES_MAX, Stream, TopicNames
from tests.detectors.kept import Memory

TOPICS = TopicNames()
START = 1_767_225_600_000  # 2026-01-01T00:00:00Z
RECORDS = 7_000
DEFAULTS = ModelConfig(baseline_rows=150, rows_per_false_alarm=20_000, false_pages_per_month=1.0)
EARLY_ENDS = msgspec.structs.replace(DEFAULTS, label_horizon="3m", metrics_window="1h", pending_max=400)
OFTEN = msgspec.structs.replace(DEFAULTS, metrics_window="5m", silence_after="10m")
CONFIGS = {
    "usual": MonitorConfig(defaults=DEFAULTS),
    "early ends": MonitorConfig(defaults=EARLY_ENDS),
    "windows": MonitorConfig(defaults=OFTEN),
    "segments": MonitorConfig(
        models={"churn": msgspec.structs.replace(DEFAULTS, segments=("country",))}, defaults=DEFAULTS
    ),
    "few models": MonitorConfig(defaults=DEFAULTS, models_max=2),
    "few that wait": MonitorConfig(defaults=DEFAULTS, pending_max=900),
}


def records(seed: int) -> list[Record]:
    """Whatever producers send: drifts, ids twice, clocks that step back, odd records, labels, deployments, ticks."""
    draw, number = Random(seed), np.random.default_rng(seed)
    values = number.normal(size=(RECORDS, 4)).tolist()
    told: list[Record] = []
    offsets = dict.fromkeys(TOPICS.inputs, 0)
    ids: list[tuple[str, str, bytes]] = []
    time, model = START, "churn"

    def tell(topic: str, key: str | None, value: bytes) -> None:
        told.append(Record(topic, 3, offsets[topic], max(0, time), key.encode() if key else None, value))
        offsets[topic] += draw.choice((1, 1, 1, 4))

    for row in range(RECORDS):
        time += draw.choice((0, 5, 900, 40_000)) if draw.random() > 0.002 else draw.choice((-90_000, 3 * 3_600_000))
        if draw.random() < (0.02, 0.4)[seed % 2]:  # models come in runs, or not
            model = draw.choice(("churn", "churn", "fraud", "eta"))
        fields = {
            "type": "prediction", "v": 1, "id": f"r{row}", "model": model,
            "ts": time - draw.choice((0, 0, 400_000)), **said(model, row, values[row], draw),
        }  # fmt: skip
        value = msgspec.json.encode(fields)
        if ids and draw.random() < 0.01:
            _, at, value = draw.choice(ids[-300:])
            tell(TOPICS.predictions, at, value if draw.random() < 0.5 else value.replace(b'"r', b'"r', 1)[:-1] + b" }")
            continue
        tell(TOPICS.predictions, model, value if draw.random() > 0.004 else odd(value, draw))
        ids.append((fields["id"], model, value))
        if row % 1_000 > 800 and draw.random() < 0.4:  # labels lie between them at times
            tell(TOPICS.outcomes, *label(ids, row, draw))
        if draw.random() < 0.002:
            tell(TOPICS.control, *word(row, time, draw))
    return told


def said(model: str, row: int, values: Sequence[float], draw: Random) -> dict[str, Any]:
    moved = 1.5 if row > RECORDS // 2 else 0.0
    if model == "churn":
        features: dict[str, Any] = {"age": values[0] + moved, "income": values[1], "visits": row % 7}
        version = "1" if row < 1_500 else "2"
        return {
            "features": features, "prediction": values[2], "score": draw.random(), "version": version,
            "trace": f"t{row}", "segments": {"country": draw.choice(("de", "fr"))},
        }  # fmt: skip
    if model == "fraud":
        features = {"amount": values[0], "plan": draw.choice(("a", "b", None)), "paid": values[1] > 0}
        if draw.random() < 0.1:
            features["amount"] = draw.choice((None, "many", True))
        if draw.random() < 0.05:
            features = dict(reversed(features.items())) | draw.choice(({}, {"new": 1.0}))
        more = (
            {"latency_ms": draw.random() * 300} if draw.random() < 0.5 else {"cost": draw.random(), "role": "champion"}
        )
        return {"features": features, "prediction": draw.choice(("yes", "no")), **more}
    shares = {"a": 0.2 + 0.1 * draw.random(), "b": 0.5, "c": 0.2}
    role = "challenger" if draw.random() < 0.05 else "champion"
    features = {f"f{place}": value for place, value in enumerate(values) if draw.random() < 0.9}
    more = {"score": 0.3} if draw.random() < 0.1 else {}
    return {"features": features, "prediction": "b", "scores": shares, "role": role, "latency_ms": row % 50, **more}


def odd(value: bytes, draw: Random) -> bytes:
    return draw.choice(
        (
            value[: len(value) // 2],
            b"",
            value.replace(b'"v":1', b'"v":2'),
            re.sub(rb'"ts":\d+', b'"ts":"2026-01-01T00:00:00Z"', value),
            re.sub(rb'"ts":\d+', b'"ts":"1969-01-01T00:00:00Z"', value),
            b'{"type":"outcome","v":1,"id":"x","model":"churn","ts":1767225600000,"label":1}',
            value[:-1] + b" " * VALUE_BYTES_MAX + b"}",
            value[:-1] + b',"more":1}',
            value.replace(b'"model":"', b'"model":"x'),
            value.replace(b'"model":"', b'"model":"-'),
            value + b"," + value,
            b"[" + value + b"]",
        )
    )


def label(ids: list[tuple[str, str, bytes]], row: int, draw: Random) -> tuple[str, bytes]:
    name, model, value = draw.choice(ids[-200:])
    if draw.random() < 0.05:
        name = f"r{row + draw.randrange(1, 60)}"  # before its prediction
    right = msgspec.json.decode(value)["prediction"]
    fields = {
        "type": "outcome",
        "v": 1,
        "id": name,
        "model": model,
        "ts": START,
        "label": right if row < 5_000 else "no",
    }
    return model, msgspec.json.encode(fields)


def word(row: int, time: int, draw: Random) -> tuple[str | None, bytes]:
    model = draw.choice((None, "churn", "fraud"))
    more = {"model": model, "action": "deploy", "version": "2"} if model else {"action": "tick"}
    return model, msgspec.json.encode({"type": "control", "v": 1, "id": f"c{row}", "ts": time, **more})


def run(config: MonitorConfig, batches: Iterable[Sequence[Record]], *, kept: bool) -> tuple[list[bytes], Any]:
    """``kept``: now and then the engine goes on from what it has written."""
    memory = Memory() if kept else None
    engine = Engine(3, config, TOPICS, kept=memory)
    told: list[bytes] = []
    counts: dict[str, list[int]] = {}
    for number, batch in enumerate(batches):
        applied = engine.apply(batch)
        told += [effect.value for effect in applied.effects]
        for topic, of_topic in applied.counts.items():
            so_far = counts.setdefault(topic, [0] * 7)
            counts[topic] = [had + more for had, more in zip(so_far, msgspec.structs.astuple(of_topic), strict=True)]
        if memory is not None and number % 5 == 4:
            memory.take(engine.changes())
            engine = Engine(3, config, TOPICS, kept=memory)
    known = [engine.monitor(model) for model in ("churn", "fraud", "eta")]
    states = [msgspec.msgpack.encode(monitor.state()) for monitor in known if monitor is not None]
    return told, (counts, engine.stats, states)


def cut(whole: Sequence[Record], draw: Random, sizes: Sequence[int]) -> Iterator[Sequence[Record]]:
    start = 0
    while start < len(whole):
        stop = start + draw.choice(sizes)
        yield whole[start:stop]
        start = stop


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "kept"])
@pytest.mark.parametrize("name", CONFIGS)
def test_many_together_decide_what_each_alone_does(name: str, kept: bool) -> None:
    seed = 1 + list(CONFIGS).index(name)
    whole, config = records(seed), CONFIGS[name]
    singly = run(config, cut(whole, Random(seed), (1, AHEAD_MIN - 1)), kept=kept)  # never columns
    assert run(config, cut(whole, Random(seed), (2_500,)), kept=kept) == singly
    assert run(config, cut(whole, Random(seed), (1, 90, 600, 1_500)), kept=kept) == singly
    said = b"".join(singly[0])
    for word in (b'"event":"opened"', b'"type":"dead_letter"', b'"type":"audit"'):
        assert word in said
    assert said.count(b'"type":"metrics"') > 80
    assert b'"joined":0' in said
    assert b'"trace":"t' in said


def test_those_gathered_wait_before_one_of_another_model_pushes_out_the_oldest() -> None:
    told = [record for _, _, record, _ in items(1, "churn", BLOCK)]
    told += [record._replace(timestamp=START + BLOCK) for _, _, record, _ in items(2, "fraud", BLOCK)]
    engine = Engine(3, MonitorConfig(defaults=DEFAULTS, pending_max=BLOCK + 100), TOPICS)
    engine.apply(told)
    assert engine.stats.pending == BLOCK + 100
    waiting = {model: engine.monitor(model).joins[0].pending for model in ("churn", "fraud")}  # type: ignore[union-attr]
    assert waiting == {"churn": 100, "fraud": BLOCK}


def test_records_of_several_files_stay_where_they_lie() -> None:
    draw, config = Random(7), CONFIGS["usual"]
    whole = [record._replace(topic=f"{number // 700 % 2}.jsonl") for number, record in enumerate(records(7))]

    def decided(sizes: Sequence[int]) -> list[bytes]:
        engine = Engine(3, config, TOPICS, any_stream=True)
        return [effect.value for batch in cut(whole, draw, sizes) for effect in engine.apply(batch).effects]

    assert decided((2_500,)) == decided((1, AHEAD_MIN - 1))


def items(seed: int, model: str, rows: int) -> list[Item]:
    draw, values = Random(seed), np.random.default_rng(seed).normal(size=(rows, 4)).tolist()
    found = []
    for row in range(rows):
        fields = {"type": "prediction", "v": 1, "id": f"r{row}", "model": model, "ts": START + row}
        value = msgspec.json.encode({**fields, **said(model, 20 * row, values[row], draw)})
        record = Record(TOPICS.predictions, 3, 2 * row, START + row, model.encode(), value)
        found.append((5 * row, record.timestamp, record, msgspec.json.decode(value, type=Prediction)))
    return found


def told(rows: Stretch | Items) -> list[Any]:
    """All that detectors and the join are told of them."""
    predictions, scores, features = rows.answers()
    answers = [list(predictions), list(scores), [list(cells.items()) for cells in features]]
    each = [
        (rows.item(row)[:2], rows.item(row)[3], rows.at(row), rows.place(row)[2].partition) for row in range(len(rows))
    ]
    more = [list(rows.latencies()) or [None] * len(rows), list(rows.costs()) or [None] * len(rows)]
    return [answers, each, more, list(rows.places()), rows.times().tolist(), rows.sent().tolist()]


@pytest.mark.parametrize("model", ["churn", "fraud", "eta"])
def test_columns_say_what_their_records_do_however_they_are_joined(model: str) -> None:
    whole = [
        (place, time, record, msgspec.structs.replace(event, attributions=None, role="champion", segments=None))
        for place, time, record, event in items(1, model, 90)
    ]
    expected = told(Items(whole))
    assert told(stretch_of(whole, START)) == expected
    parts = [whole[:30], whole[30:31], whole[31:60], *([item] for item in whole[60:])]
    mixed = [Items(part) if number == 1 else stretch_of(part, START) for number, part in enumerate(parts)]
    assert told(joined(mixed)) == expected
    assert told(joined([stretch_of([item], START) for item in whole])) == expected
    (place, time, record, event) = whole[0]
    turned = msgspec.structs.replace(event, features=dict(reversed(event.features.items())))
    both = [whole[0], (place + 1, time, record, turned)]
    assert told(joined([stretch_of([item], START) for item in both])) == told(Items(both))
    assert told(joined(mixed).taken(np.arange(3, 60))) == told(Items(whole[3:60]))


def test_time_does_not_go_back_in_columns() -> None:
    earlier = [(place, time - 40 * (place == 10), *rest) for place, time, *rest in items(1, "churn", 5)]
    assert (stretch_of(earlier, START + 1).stamps - START).tolist() == [1, 1, 1, 3, 4]


def test_parts_are_handed_out_as_one_with_what_came_again() -> None:
    collected, whole = Collected(), items(1, "churn", 60)
    first, second = stretch_of(whole[:30], START), stretch_of(whole[31:], START)
    collected.add_rows(first, 0, 10)
    collected.repeats = True
    collected.add_rows(first, 11, 30)
    collected.add(whole[30])
    collected.repeats = True
    collected.add_rows(second, 0, 29)
    ((rows, repeated),) = collected.hand_out(0)
    assert list(rows.places()) == [place for place, *_ in (*whole[:10], *whole[11:])]
    assert repeated == [10, 30]
    collected.settle()
    assert collected.last is not None
    assert collected.last.offset == whole[-1][2].offset


def test_rows_of_several_files_are_handed_out_with_the_names_of_their_own() -> None:
    whole = [
        (place, time, record._replace(topic="ab"[row > 3]), event)
        for row, (place, time, record, event) in enumerate(items(1, "churn", 9))
    ]
    collected = Collected()
    collected.add_rows(stretch_of(whole[:2], START), 0, 2)
    for item in whole[2:6]:
        collected.add(item)
    collected.add_rows(stretch_of(whole[6:], START), 0, 3)
    topics = [rows.place(row)[2].topic for rows, _ in collected.hand_out(0) for row in range(len(rows))]
    assert "".join(topics) == "aaaabbbbb"


@pytest.mark.parametrize("any_stream", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_many_are_decoded_as_each_is(seed: int, any_stream: bool) -> None:
    together, alone, draw = Decoder(any_stream=any_stream), Decoder(any_stream=any_stream), Random(seed)
    whole = [record._replace(key=None) if draw.random() < 0.02 else record for record in records(seed)]
    whole[0] = whole[0]._replace(key=None)
    assert together.decode_all(Stream.PREDICTIONS, whole[:1]) == [alone.decode(Stream.PREDICTIONS, whole[0])]
    for topic, stream in TOPICS.inputs.items():
        of_topic = whole if any_stream else [record for record in whole if record.topic == topic]
        for batch in cut(of_topic, draw, (1, 100, 300)):
            assert together.decode_all(stream, batch) == [alone.decode(stream, record) for record in batch]
        assert together.unknown_fields == alone.unknown_fields
    assert together.unknown_fields


def with_a_pause(rows: int, before: int) -> Iterator[Record]:
    """A feature moves at row 600, and before one row nothing comes for eleven minutes."""
    draw, time = Random(1), START
    for row in range(rows):
        time += 660_000 if row == before else 1_000
        event = {
            "type": "prediction", "v": 1, "id": f"r{row}", "model": "churn", "ts": time,
            "features": {"x": draw.gauss(0, 1) + (2 if row >= 600 else 0)}, "prediction": 1.0,
        }  # fmt: skip
        yield Record(TOPICS.predictions, 3, row, time, b"churn", msgspec.json.encode(event))


@pytest.mark.parametrize("after", [1, 40])
def test_a_silence_that_ends_with_the_last_row_of_a_block_of_an_open_incident_is_lived_through(after: int) -> None:
    """How many wait then is known, though that a silence is over has been decided in between."""
    config = MonitorConfig(defaults=ModelConfig(baseline_rows=150, rows_per_false_alarm=20_000, silence_after="10m"))
    for before in range(760, 804):
        whole = list(with_a_pause(before + after, before))
        singly, together = (
            [
                effect.value
                for engine in [Engine(3, config, TOPICS)]
                for start in range(0, len(whole), size)
                for effect in engine.apply(whole[start : start + size]).effects
            ]
            for size in (40, 2_000)
        )
        assert together == singly, before


def test_a_limit_that_was_lowered_is_kept_to_at_once_and_what_it_ends_is_counted() -> None:
    usual, low = (
        MonitorConfig(defaults=ModelConfig(pending_max=most, metrics_window="1m", baseline_rows=50))
        for most in (1_000, 200)
    )
    whole = list(with_a_pause(1_300, 1_300))
    for size in (50, 1_000):
        kept = Memory()
        engine = Engine(3, usual, TOPICS, kept=kept)
        engine.apply(whole[:900])
        kept.take(engine.changes())
        engine = Engine(3, low, TOPICS, kept=kept)
        for start in range(900, 1_300, size):
            engine.apply(whole[start : start + size])
        assert (engine.stats.pending, engine.stats.evicted) == (200, 1_100)


def test_many_are_not_tried_for_again_soon_where_few_came() -> None:
    worth, tries = Worth(), []
    for row in range(300):
        tries += [row] * worth.trying()
        worth.came(1)
    assert tries == [0, 2, 6, 14, 30, 62, 126, 191, 256]
    worth = Worth()
    for _ in range(9):
        assert worth.trying()
        worth.came(WORTH_MIN)


@pytest.mark.parametrize("rows", [50, 100])
def test_ids_that_have_expired_and_come_again_before_anything_is_written_are_kept(rows: int) -> None:
    """What was forgotten is to be deleted, and what has come since is not."""
    config = MonitorConfig(defaults=msgspec.structs.replace(DEFAULTS, label_horizon="3m"))
    again = START + 600_000
    told = [record._replace(timestamp=START) for _, _, record, _ in items(1, "churn", rows)]
    tick = {"type": "control", "v": 1, "id": "c", "ts": again, "action": "tick"}
    later = [Record(TOPICS.control, 3, 0, again, None, msgspec.json.encode(tick))]
    later += [record._replace(timestamp=again, offset=record.offset + 1_000) for record in told]
    kept = Memory()
    engine = Engine(3, config, TOPICS, kept=kept)
    for batch in (told[:1], told[1:], later):
        engine.apply(batch)
        kept.take(engine.changes())
    assert engine.stats.pending == rows
    engine = Engine(3, config, TOPICS, kept=kept)
    (counts,) = engine.apply(later[1:]).counts.values()
    assert (counts.applied, counts.duplicate) == (0, rows)
