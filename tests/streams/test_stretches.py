"""Rows that come as columns decide what they would one by one, wherever they are cut."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from detectors.columns import WordCells
from detectors.config import ModelConfig, MonitorConfig
from detectors.engine import Engine
from detectors.rows import Stretch
from schemas.events import Control, ControlAction, Outcome
from schemas.parsed import Parsed
from schemas.records import Record
from schemas.topics import TopicNames
from streams.cli import main
from streams.embedded import run as run_all
from streams.errors import ContentError
from streams.history import Given, History
from streams.sections import Settings
from streams.sinks import FILES
from streams.table_files import TYPED_ROWS
from streams.time_order import TOGETHER_MIN
from tests.detectors.kept import Memory
from tests.streams.test_tables import START

DEFAULTS = ModelConfig(baseline_rows=200, rows_per_false_alarm=20_000, false_pages_per_month=1.0)
EARLY_ENDS = msgspec.structs.replace(
    DEFAULTS, label_horizon="3m", metrics_window="1h", pending_max=900, segments=("country",)
)
ROWS, PIECE = 9_000, 1_500


def written(path: Path, seed: int) -> None:
    """Several models and versions, drifts, ids that come twice, clocks that stop and leap, cells that are not there."""
    draw = np.random.default_rng(seed)
    pauses = draw.exponential(30_000, ROWS).astype(np.int64)
    pauses[draw.integers(0, ROWS, 5)] += 5 * 3_600_000
    pauses[2_000:2_100] = 0
    pauses[::PIECE] += 3 * 3_600_000
    moved = np.where(np.arange(ROWS) > ROWS // 2, 1.5, 0.0)
    ids = [f"r{number}" for number in range(ROWS)]
    for number in draw.integers(0, ROWS - 50, 12).tolist():
        ids[number + int(draw.integers(1, 50))] = ids[number]
    columns: dict[str, Any] = {
        "ts": START + np.cumsum(pauses),
        "id": ids,
        "model": draw.choice(["churn", "fraud", "eta"], ROWS, p=[0.8, 0.15, 0.05]),
        "age": draw.normal(size=ROWS) + moved,
        "rare": np.where(draw.random(ROWS) < 0.4, np.nan, draw.normal(size=ROWS)),
        "plan": [None if draw.random() < 0.1 else "abc"[int(draw.integers(0, 3))] for _ in range(ROWS)],
        "paid": draw.random(ROWS) < 0.3,
        "late": [None] * 3_000 + draw.normal(size=ROWS - 3_000).tolist(),
        "prediction": np.where(draw.random(ROWS) < 0.5, "yes", "no"),
        "score": draw.random(ROWS),
        "latency_ms": np.where(draw.random(ROWS) < 0.3, np.nan, draw.gamma(2.0, 60.0, ROWS)),
        "cost": draw.random(ROWS),
        "version": np.where(np.arange(ROWS) < 6_000, "1", "2"),
        "segment:country": draw.choice(["de", "fr"], ROWS),
    }
    parquet.write_table(pa.table(columns), path)


def stretches(path: Path, *, segments: tuple[str, ...] = ()) -> list[Stretch]:
    with History(Given((str(path),), segments=segments)) as history:
        found = list(history.stretches)
    assert all(isinstance(one, Stretch) for one in found)
    return found  # type: ignore[return-value]


def labels(rows: Stretch) -> list[Parsed]:
    """Of most of them, with the last one: right in the first half of all, and wrong in the second."""
    end, said = int(rows.stamps[-1]), list[Parsed]()
    for record in rows.records():
        event, right = record.event, record.offset < ROWS // 2
        if record.offset % 3:
            label = event.prediction if right else "no"
            outcome = Outcome(v=1, id=event.id, model=event.model, ts=end, label=label)
            said.append(Parsed("labels", 0, record.offset, end, outcome, record.offset))
    return said


def ends(rows: Stretch) -> list[Record]:
    """A word of an operator's, and a day in which nothing comes."""
    end = int(rows.stamps[-1])
    deploy = Control(v=1, id="c", ts=end, action=ControlAction.DEPLOY, model="churn", version="2")
    return [control(deploy, end), tick(end + 86_400_000)]


def tick(time: int) -> Record:
    return control(Control(v=1, id="t", ts=time, action=ControlAction.TICK), time)


def control(said: Control, time: int) -> Record:
    return Record("control", 0, 0, time, None, msgspec.json.encode({"type": "control", **msgspec.to_builtins(said)}))


def run(config: MonitorConfig, batches: Iterator[Any], *, kept: bool) -> list[bytes]:
    """``kept``: now and then the engine goes on from what it has written."""
    memory = Memory() if kept else None
    engine = Engine(0, config, TopicNames(), any_stream=True, kept=memory)
    told: list[bytes] = []
    for number, batch in enumerate(batches):
        told += [effect.value for effect in engine.apply(batch).effects]
        if memory is None:
            continue
        memory.take(engine.changes())
        if number % 3 == 2:
            engine = Engine(0, config, TopicNames(), any_stream=True, kept=memory)
    return told


def cut(part: Stretch, draw: Random) -> Iterator[Stretch]:
    start = 0
    while start < len(part):
        stop = start + draw.choice((1, 7, 300, 2_000))
        yield part.taken(slice(start, stop))
        start = stop


def batches(rows: list[Stretch], into: Callable[[Stretch], Iterable[Any]]) -> Iterator[Any]:
    """Stretches as they are to come, each with its labels after it."""
    pieces = [part.taken(slice(start, start + PIECE)) for part in rows for start in range(0, len(part), PIECE)]
    for piece, after in pairwise([*pieces, None]):
        assert piece is not None
        yield from into(piece)
        yield labels(piece)
        later = int(piece.stamps[-1]) + 9_360_000
        if after is not None and after.stamps[0] > later:  # of a horizon of minutes nothing is known any more
            yield [tick(later)]
    yield ends(pieces[-1])


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "kept"])
@pytest.mark.parametrize("defaults", [DEFAULTS, EARLY_ENDS], ids=["usual", "early ends"])
@pytest.mark.parametrize("seed", [1, 2])
def test_columns_decide_what_rows_do(seed: int, defaults: ModelConfig, kept: bool, tmp_path: Path) -> None:
    written(tmp_path / "june.parquet", seed)
    segments = defaults.segments if seed == 1 else ()
    config = MonitorConfig(defaults=msgspec.structs.replace(defaults, segments=segments))
    rows = stretches(tmp_path / "june.parquet", segments=segments)
    singly = run(config, batches(rows, lambda part: [list(part.records())]), kept=kept)
    assert run(config, batches(rows, lambda part: [part]), kept=kept) == singly
    draw = Random(seed)
    assert run(config, batches(rows, lambda part: cut(part, draw)), kept=kept) == singly
    said = b"".join(singly)
    assert said.count(b'"event":"opened"') >= 3
    assert said.count(b'"type":"metrics"') > 100
    assert defaults is EARLY_ENDS or b'"type":"retrain"' in said
    assert b'"kind":"silence"' in said


def test_a_month_of_rows_says_what_each_would_have_said(tmp_path: Path) -> None:
    """How much comes shows after weeks; limits are met in many windows of one run."""
    written(tmp_path / "june.parquet", 3)
    (part, *_) = stretches(tmp_path / "june.parquet")
    pauses = np.random.default_rng(3).exponential(300_000, len(part))
    pauses[5_500:7_000] /= 12
    times = START + np.cumsum(pauses).astype(np.int64)
    one = WordCells(np.zeros(len(part), dtype=np.int64), ["churn"])
    rows = replace(part, stamps=times, models=one, versions=None)
    config = MonitorConfig(defaults=msgspec.structs.replace(DEFAULTS, pending_max=200, metrics_window="1h"))
    singly = run(config, iter([list(rows.records())]), kept=False)
    assert run(config, iter([rows]), kept=False) == singly
    said = b"".join(singly)
    assert said.count(b'"kind":"volume"') >= 2
    assert said.count(b'"evicted"') > 100


def test_no_rows_decide_nothing_and_places_are_those_of_the_batch(tmp_path: Path) -> None:
    written(tmp_path / "june.parquet", 4)
    (part, *_) = stretches(tmp_path / "june.parquet")
    engine = Engine(0, MonitorConfig(defaults=DEFAULTS, pending_max=100), TopicNames(), any_stream=True)
    assert engine.apply(part.taken(slice(0, 0))).effects == []
    odd = part.taken(np.arange(1, 1_000, 2))
    whole = Engine(0, MonitorConfig(defaults=DEFAULTS), TopicNames(), any_stream=True).apply(odd)
    places = engine.apply(odd).places
    assert places
    assert {place % 2 for place in (*places, *whole.places)} == {1}


def test_more_models_than_may_be_and_more_that_wait_than_may(tmp_path: Path) -> None:
    written(tmp_path / "june.parquet", 3)
    rows = stretches(tmp_path / "june.parquet")
    for config in (MonitorConfig(defaults=DEFAULTS, models_max=2), MonitorConfig(defaults=DEFAULTS, pending_max=1_500)):
        singly = run(config, iter([list(part.records()) for part in rows]), kept=False)
        assert run(config, iter(rows), kept=False) == singly


def test_the_same_cell_is_the_same_in_every_part_of_a_file(tmp_path: Path) -> None:
    """A row that comes twice is no conflict, though its column lacks a number in one of the parts only."""
    rows = TYPED_ROWS + 2
    numbers: list[int | None] = [7] * rows
    numbers[-2] = None
    ids = [f"r{number}" for number in range(rows - 1)] + ["r0"]
    times = [START] * rows
    table = pa.table({"ts": times, "id": ids, "whole": pa.array(numbers), "prediction": ["yes"] * rows})
    parquet.write_table(table, tmp_path / "june.parquet")
    parts = stretches(tmp_path / "june.parquet")
    assert len(parts) > 1
    assert parts[0].fingerprints[0] == parts[-1].fingerprints[-1] != parts[-1].fingerprints[-2]


@pytest.mark.parametrize(("name", "cells"), [("version", ["v" * 257]), ("segment:country", ["x" * 300])])
def test_names_that_no_event_may_have_are_refused(name: str, cells: list[str], tmp_path: Path) -> None:
    table = pa.table({"ts": [START], "id": ["a"], "prediction": ["yes"], name: cells})
    parquet.write_table(table, tmp_path / "june.parquet")
    with pytest.raises(ContentError, match=r"row 1, column .*: a name of"):
        stretches(tmp_path / "june.parquet", segments=("country",))


def test_bytes_are_text_where_they_are_and_refused_otherwise(tmp_path: Path) -> None:
    for wrong, ids in ((False, [b"a", b"b"]), (True, [b"a", b"\xff"])):
        table = pa.table({"ts": [START] * 2, "id": pa.array(ids, type=pa.binary()), "prediction": ["yes"] * 2})
        parquet.write_table(table, tmp_path / "june.parquet")
        if wrong:
            with pytest.raises(ContentError, match='column "id": holds bytes that are no text'):
                stretches(tmp_path / "june.parquet")
        else:
            assert stretches(tmp_path / "june.parquet")[0].ids == ["a", "b"]


@pytest.mark.parametrize("labels", ["-", "pipe"])
@pytest.mark.parametrize("command", ["replay --processes 2", "inject --out copy.jsonl --spec flip", "tune"])
def test_what_can_be_read_but_once_is_refused_where_it_is_read_more_often(
    command: str, labels: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("june.jsonl").touch()
    first, *more = command.split()
    assert main([first, "june.jsonl", "--labels", labels, *more]) == 2
    assert "so it must lie in files" in capsys.readouterr().err


def several(folder: Path, seed: int) -> tuple[list[str], str]:
    """Tables of one time and of times that overlap, lines between their rows, and labels that come a day's at once."""
    draw, names, made = np.random.default_rng(seed), list[str](), list[tuple[str, int]]()
    for number, (first, step) in enumerate([(0, 500), (0, 500), (300_000, 1_000), (5_000_000, 1_000)]):
        rows = 2_000
        times = START + first + step * np.sort(draw.integers(0, rows, rows))
        columns: dict[str, Any] = {
            "ts": times,
            "id": [f"{number}-{row}" for row in range(rows)],
            "model": draw.choice(["churn", "fraud"], rows),
            "age": draw.normal(size=rows) + (first > 0),
            "prediction": np.where(draw.random(rows) < 0.5, "yes", "no"),
        }
        made += zip(columns["id"], times.tolist(), strict=True)
        parquet.write_table(pa.table(columns), folder / f"{number}.parquet")
        names.append(str(folder / f"{number}.parquet"))
    words = [
        control(Control(v=1, id=f"c{at}", ts=at, action=ControlAction.TICK), at) for at in (START, START + 500_000)
    ]
    (folder / "words.jsonl").write_bytes(b"\n".join(word.value or b"" for word in words))
    said = {"id": [key for key, _ in made], "ts": [time - time % 600_000 + 600_000 for _, time in made]}
    labels = pa.table({**said, "label": draw.choice(["yes", "no"], len(made))}).sort_by("ts")
    models = {key: model for name in names for key, model in zip(*_ids_of(name), strict=True)}
    labels = labels.append_column("model", pa.array([models[key] for key in labels["id"].to_pylist()]))
    parquet.write_table(labels, folder / "labels.parquet")
    return [*names, str(folder / "words.jsonl")], str(folder / "labels.parquet")


def _ids_of(name: str) -> tuple[list[str], list[str]]:
    table = parquet.read_table(name, columns=["id", "model"])
    return table["id"].to_pylist(), table["model"].to_pylist()


def placed(items: Iterable[Any]) -> Iterator[tuple[str, int, int]]:
    for item in items:
        for record in item.records() if isinstance(item, Stretch) else [item]:
            yield record.topic, record.offset, record.timestamp


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_rows_of_several_files_stay_together_and_in_their_order(seed: int, labelled: bool, tmp_path: Path) -> None:
    names, labels = several(tmp_path, seed)
    given = Given(names, labels=labels if labelled else None)
    with History(given) as history:
        found = list(history.stretches)
    with History(given) as history:
        assert list(placed(found)) == list(placed(history.records))
    long = [len(item) for item in found if isinstance(item, Stretch)]
    assert sum(long) > 3_000
    assert min(long) >= TOGETHER_MIN
    assert all(item.numbers.tolist() == list(range(len(item))) for item in found if isinstance(item, Stretch))


def test_of_one_time_rows_of_the_file_named_first_go_first(tmp_path: Path) -> None:
    for name, times in (("a", [0] + [1_000] * 400), ("b", [1] * 300 + [1_000] * 400)):
        columns = {"ts": [START + time for time in times], "id": [f"{name}{row}" for row in range(len(times))]}
        table = pa.table({**columns, "prediction": ["yes"] * len(times)})
        parquet.write_table(table, tmp_path / f"{name}.parquet")
    with History(Given([str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")])) as history:
        found = list(history.stretches)
        assert list(placed(found)) == list(placed(history.records))
    assert [len(item) if isinstance(item, Stretch) else 1 for item in found] == [1, 300, 400, 400]


def test_several_files_decide_what_their_rows_do_one_by_one(tmp_path: Path) -> None:
    names, labels = several(tmp_path, 3)
    settings = Settings(monitor=MonitorConfig(defaults=DEFAULTS))
    told: list[list[bytes]] = []
    for way in ("records", "stretches"):
        told.append([])
        with History(Given(names, labels=labels)) as history:
            run_all(getattr(history, way), settings, sinks=(lambda effect: told[-1].append(effect.value),))
    assert told[0] == told[1]
    assert b"".join(told[0]).count(b'"event":"opened"') >= 1


def test_two_processes_decide_of_several_files_what_one_does(tmp_path: Path) -> None:
    names, labels = several(tmp_path, 4)
    for number in (1, 2):
        words = ["replay", *names, "--labels", labels, "--out", str(tmp_path / f"by{number}")]
        assert main([*words, "--processes", str(number)]) == 0
    for file in FILES.values():
        assert (tmp_path / "by1" / file).read_bytes() == (tmp_path / "by2" / file).read_bytes()
