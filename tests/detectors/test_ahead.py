"""Predictions that are read ahead as columns decide and leave behind the same as when each goes through the parser."""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
import pytest

from detectors import ahead
from detectors.ahead import AHEAD_MIN, MODELS_MAX, PART_MIN, Reader, _sums_of
from detectors.config import MonitorConfig
from detectors.engine import Engine
from detectors.pieces import Merged, Piece, by_key
from detectors.scanning import SPARE
from schemas.codec import Decoder
from schemas.records import Record
from schemas.topics import VALUE_BYTES_MAX
from streams.sections import WorkerSettings
from tests.detectors.kept import Memory
from tests.detectors.lying import merged_of, piece_of
from tests.detectors.test_gathered import CONFIGS, START, TOPICS, cut, label, odd, word

ROWS = 6_000


def written(seed: int) -> list[Record]:
    """Producers that write as most do, each in its own way; now and then one of them does not."""
    draw, told, ids = Random(seed), list[Record](), list[tuple[str, str, bytes]]()
    values = np.random.default_rng(seed).normal(size=(ROWS, 4)).tolist()
    offsets, time, model = dict.fromkeys(TOPICS.inputs, 0), START, "churn"

    def tell(topic: str, key: str | None, value: bytes) -> None:
        told.append(Record(topic, 3, offsets[topic], time, None if key is None else key.encode(), value))
        offsets[topic] += 1

    for row in range(ROWS):
        time += draw.choice((0, 40, 900, 30_000)) if draw.random() > 0.001 else draw.choice((-90_000, 3 * 3_600_000))
        if draw.random() < (0.01, 0.6)[seed % 2]:  # models come in runs, or not
            model = draw.choice(("churn", "fraud", "eta"))
        value = _WAYS[model](row, time, values[row], draw)
        if ids and draw.random() < 0.003:  # once more, and once more with other bytes
            _, at, value = draw.choice(ids[-300:])
            value = value if draw.random() < 0.5 else value[:-1] + b" }"
            model = at
        elif draw.random() < 0.003:
            value = odd(value, draw)
        else:
            ids.append((f"r{row}", model, value))
        tell(TOPICS.predictions, model if draw.random() > 0.001 else draw.choice((None, "eta", "ünknown")), value)
        if row % 2_000 > 1_600 and draw.random() < 0.3:  # labels lie between them at times
            tell(TOPICS.outcomes, *label(ids, row, draw))
        if draw.random() < 0.001:
            tell(TOPICS.control, *word(row, time, draw))
    return told


def _churn(row: int, time: int, values: Sequence[float], draw: Random) -> bytes:
    """With a feature that is missing at times, a text that is new now and then, and a version that changes."""
    moved = 1.5 if row > ROWS // 2 else 0.0
    plan = (
        draw.choice(("gold", "blue", None)) if draw.random() > 0.002 else draw.choice((f"plan {row}", 7, True, "grün"))
    )
    features = {"age": values[0] + moved, "income": values[1] if draw.random() > 0.1 else None, "plan": plan}
    fields: dict[str, Any] = {"features": features, "prediction": draw.choice(("yes", "no")), "score": draw.random()}
    fields |= {"version": str(1 + row // 2_500), "segments": {"country": draw.choice(("de", "fr"))}, "trace": f"t{row}"}
    return _event(row, "churn", time, fields)


def _fraud(row: int, time: int, values: Sequence[float], draw: Random) -> bytes:
    """Some fields are left out where nothing is known, and some features are seldom told."""
    fields: dict[str, Any] = {"features": dict(zip("abcd", values, strict=True)), "prediction": values[0] > 0}
    fields |= draw.choice(({}, {"latency_ms": draw.random() * 300}, {"latency_ms": row % 90, "cost": values[1]}))
    if draw.random() < 0.003:
        fields["role"] = "challenger"
    if draw.random() < 0.005:
        fields["features"] = draw.choice(
            ({}, fields["features"] | {"e": 1.0}, dict(reversed(fields["features"].items())))
        )
    return _event(row, "fraud", time, fields)


def _eta(row: int, time: int, values: Sequence[float], draw: Random) -> bytes:
    """Another language: spaces, other digits, another order, probabilities of classes."""
    first, second = sorted((draw.random(), draw.random()))
    prediction = b'"prediction": %.3f, "scores": {"a": %.9f, "b": %.9f}' % (values[0], first, second - first)
    features = b'{"way": %.2e, "fast": %s}' % (values[1], draw.choice((b"true", b"false", b"null")))
    if draw.random() < 0.003:
        features = features.replace(b"}", b', "fast": 1}')
    head = b'{"v": 1, "type": "prediction", "ts": %d, "id": "r%d", "model": "eta", ' % (time - 5, row)
    return head + b'"attributions": {"way": %.1f}, "features": %s, %s}' % (values[2], features, prediction)


def _event(row: int, model: str, time: int, fields: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"type": "prediction", "v": 1, "id": f"r{row}", "model": model, "ts": time, **fields})


_WAYS: dict[str, Callable[[int, int, Sequence[float], Random], bytes]] = {"churn": _churn, "fraud": _fraud, "eta": _eta}


def run(
    config: MonitorConfig,
    whole: Sequence[Record],
    sizes: Sequence[int],
    seed: int,
    lying: Callable[[Sequence[Record]], Sequence[Any]] = list,
) -> tuple[Any, ...]:
    """All that an engine says, counts and keeps."""
    memory, told, counts = Memory(), list[bytes](), list[Any]()
    engine = Engine(3, config, TOPICS, kept=memory)
    for number, batch in enumerate(cut(whole, Random(seed), sizes)):
        applied = engine.apply(lying(batch))
        told += [effect.value for effect in applied.effects]
        counts.append({topic: msgspec.structs.astuple(count) for topic, count in applied.counts.items()})
        memory.take(engine.changes())
        if number % 3 == 2:
            engine = Engine(3, config, TOPICS, kept=memory)
    return told, counts, memory.records, engine.stats


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_read_ahead_decides_and_leaves_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = 1 + list(CONFIGS).index(name)
    whole, sizes, taken = written(seed), (400, 1_500, 2_500), list[int]()
    read = Reader.read

    def counted(reader: Reader, *given: Any) -> Any:
        found = read(reader, *given)
        taken.append(sum(len(own.rows) for own in found.values()))
        return found

    monkeypatch.setattr(Reader, "read", counted)
    together = run(CONFIGS[name], whole, sizes, seed)
    assert name == "few that wait" or sum(taken) > ROWS // 5
    of_records = sum(taken)
    for plain in ((), (TOPICS.outcomes,), (TOPICS.predictions,)):
        taken.clear()
        lying = run(CONFIGS[name], whole, sizes, seed, partial(merged_of, plain=plain))
        assert lying == together
        assert sum(taken) == of_records
    monkeypatch.setattr(Reader, "read", lambda *_: {})
    singly = run(CONFIGS[name], whole, sizes, seed)
    for ours, theirs in zip(together, singly, strict=True):
        assert ours == theirs
    said = b"".join(singly[0])
    for kind in (b'"event":"opened"', b'"type":"dead_letter"', b'"type":"audit"', b'"type":"metrics"'):
        assert kind in said


def test_of_records_that_never_are_alike_few_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = list[int]()
    read = ahead.Writing.read
    monkeypatch.setattr(ahead.Writing, "read", lambda *given: tried.append(1) or read(*given))  # type: ignore[func-returns-value]
    reader = Reader(Decoder(), TOPICS.predictions)
    for batch in range(100):
        values = [
            _event(row, "churn", START, {"features": {f"f{row}": 1.0}, "prediction": 1}) for row in range(AHEAD_MIN)
        ]
        told = [Record(TOPICS.predictions, 0, row, START + batch, b"churn", value) for row, value in enumerate(values)]
        assert reader.read(told, lambda _: True) == {}
    assert 2 < len(tried) < 10


def test_challengers_are_left_to_their_own_join() -> None:
    fields = {"features": {"a": 1.0}, "prediction": 1, "role": "challenger"}
    values = [_event(row, "churn", START, fields) for row in range(AHEAD_MIN)]
    told = [Record(TOPICS.predictions, 0, row, START, b"churn", value) for row, value in enumerate(values)]
    assert Reader(Decoder(), TOPICS.predictions).read(told, lambda _: True) == {}


def test_only_so_many_models_are_remembered() -> None:
    reader = Reader(Decoder(), TOPICS.predictions)
    for number in range(MODELS_MAX + 5):
        model = f"m{number}"
        values = [_event(row, model, START, {"features": {"a": 1.0}, "prediction": 1}) for row in range(AHEAD_MIN)]
        told = [Record(TOPICS.predictions, 0, row, START, model.encode(), value) for row, value in enumerate(values)]
        assert len(reader.read(told, lambda _: True)[model].rows) == AHEAD_MIN
    assert len(reader._known) == MODELS_MAX


def test_as_many_models_are_remembered_as_a_batch_of_the_worker_may_have() -> None:
    """One fewer, and of models in turn each would be forgotten before it comes again."""
    assert WorkerSettings().batch_records_max // AHEAD_MIN <= MODELS_MAX


def test_what_is_read_ahead_is_handed_out_at_its_place() -> None:
    values = [_event(row, "churn", START, {"features": {"a": 1.5}, "prediction": 1}) for row in range(2 * AHEAD_MIN)]
    told = [Record(TOPICS.predictions, 0, row, START + row, b"churn", value) for row, value in enumerate(values)]
    told[PART_MIN + 5] = told[PART_MIN + 5]._replace(value=b"{}")
    own = Reader(Decoder(), TOPICS.predictions).read(told, lambda _: True)["churn"]
    first, rest = own.before(50, START + 10), own.before(1_000, START + 10)
    assert first is not None
    assert rest is not None
    assert own.before(1_000, 0) is None
    assert len(first) + len(rest) == 2 * AHEAD_MIN - 1
    assert [item[0] for item in first.items()] == [row for row in range(50) if row != PART_MIN + 5]
    assert first.item(3)[:2] == (3, START + 10)
    assert first.item(12)[2] is told[12]
    assert first.stretch(START + 20).stamps.tolist()[19:22] == [START + 20, START + 20, START + 21]
    assert rest.stretch(0).numbers[0] == 50
    assert [(item[0], item[3].id) for item in rest.items()] == [(row, f"r{row}") for row in range(50, 2 * AHEAD_MIN)]


@pytest.mark.parametrize(
    "values",
    [[None] * AHEAD_MIN, [b""] * AHEAD_MIN, [b" " * (VALUE_BYTES_MAX + 1)] * AHEAD_MIN, [b"\xff\x00"] * AHEAD_MIN],
)
def test_what_is_no_prediction_is_left_to_the_parser(values: list[bytes | None]) -> None:
    told = [Record(TOPICS.predictions, 0, row, START, b"churn", value) for row, value in enumerate(values)]
    assert Reader(Decoder(), TOPICS.predictions).read(told, lambda _: True) == {}
    good = _event(1, "churn", START, {"features": {"a": 1.5}, "prediction": 1})
    told[5:5] = [Record(TOPICS.predictions, 0, 5, START, b"eta", good)] * AHEAD_MIN  # not its model's key
    assert Reader(Decoder(), TOPICS.predictions).read(told, lambda _: True) == {}


def test_checksums_are_those_of_zlib() -> None:
    draw, texts = Random(3), list[bytes]()
    for length in [*range(70), 354, 1_000, 4_097]:
        texts.append(draw.randbytes(length))
    text, ends = b"".join((*texts, SPARE)), np.cumsum(list(map(len, texts)))
    starts = ends - list(map(len, texts))
    assert _sums_of(text, starts, ends).tolist() == list(map(crc32, texts))
    assert gather_of(piece_of([Record("p", 0, row, 0, None, told) for row, told in enumerate(texts)])) == text


def gather_of(piece: Piece) -> bytes:
    """All values of a piece whose records have one key."""
    piece.spans[:2] = [[0], [3]]
    ((key, own),) = by_key(Merged([(np.arange(len(piece)), piece)]), piece.topic, 1)
    assert key == piece.text[:3]
    return own.values(SPARE)
