"""What is written of rows that came as columns is, to the byte, what is written of each that comes alone."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from detectors import shelf
from detectors.blocks import Block, Blocks, records
from detectors.columns import FeatureRows, NumberCells, WordCells
from detectors.join import Fate, Join, Labelled
from detectors.rows import Stretch
from detectors.sealing import open_sealed, seal
from detectors.shelf import Pending, Room, Wanted, pending
from tests.detectors.joins import taken_in
from tests.detectors.kept import Memory

PREFIX = b"J\x00\x00\x01\xff"
EDGES = [edge + by for bits in (5, 7, 8, 15, 16, 31, 32, 62) for edge in (1 << bits, -(1 << bits)) for by in (-1, 0, 1)]
NAMES = ("", "a", "an id of some length", "é", "日本", "\ud800", "\x00", "\U0001f600")


def stretch(ids: Sequence[str], **columns: Any) -> Stretch:
    rows = len(ids)
    given = {
        "stamps": np.arange(rows) + 1_767_225_600_000,
        "offsets": np.arange(rows),
        "predictions": NumberCells(np.arange(rows) / 3),
        "fingerprints": np.arange(rows) * 77_777,
        **columns,
    }
    numbers, features = np.arange(rows), FeatureRows({}, rows)
    models = WordCells(np.zeros(rows, dtype=np.int64), ["churn"])
    return Stretch(topic="june", numbers=numbers, ids=ids, models=models, features=features, **given)


def numbers(draw: Random, rows: int) -> NumberCells:
    return NumberCells(np.array([draw.choice([0.0, -0.0, 1e300, np.inf, np.nan, draw.random()]) for _ in range(rows)]))


def columns_of_a_matrix(draw: Random, rows: int) -> NumberCells:
    return NumberCells(np.array([[draw.random(), 0.0] for _ in range(rows)])[:, 0])


def words(draw: Random, rows: int) -> WordCells:
    kinds = ["yes", "no", "", True, 2.5, "x" * 300]
    return WordCells(np.array([draw.randrange(-1, len(kinds)) for _ in range(rows)]), kinds)


def anything(draw: Random, rows: int) -> list[Any]:
    return [draw.choice([True, False, 1, 1.0, -7, 1 << 40, "yes", "日本" * 90, None]) for _ in range(rows)]


def classes(draw: Random, rows: int) -> list[Any]:
    return [draw.choice([None, {}, {"yes": 0.25, "no": 0.75}]) for _ in range(rows)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("predictions", [numbers, columns_of_a_matrix, words, anything])
@pytest.mark.parametrize("scores", [None, numbers, anything])
def test_every_row_is_written_as_if_it_had_come_alone(
    predictions: Callable[[Random, int], Any], scores: Callable[[Random, int], Any] | None, seed: int
) -> None:
    draw, blocks, place, expected = Random(seed), list[Block](), draw_place(seed), dict[bytes, bytes]()
    left_out = {"2-a7", "1-a0", "not there"}
    for number in range(3):
        count = draw.choice((1, 30, 200))
        rows = stretch(
            [f"{number}-{draw.choice(NAMES)}{row}" for row in range(count)],
            stamps=np.array([draw.choice(EDGES) for _ in range(count)]),
            offsets=np.array([draw.choice(EDGES) for _ in range(count)]),
            predictions=predictions(draw, count),
            scores=None if scores is None else scores(draw, count),
            classes=classes(draw, count) if draw.random() < 0.5 else None,
        )
        first, scope = draw.randrange(count), draw.choice((0, 200, 70_000))
        blocks.append(Block(place, scope, rows, first, count))
        for row in range(first, count):
            if rows.ids[row] not in left_out:
                entry = pending(rows, row, scope, place + row - first)
                key = PREFIX + rows.ids[row].encode("utf-8", "surrogatepass")
                expected[key] = seal(msgspec.msgpack.encode(entry))
        place += count - first
    written = records(PREFIX, blocks, left_out)
    assert dict(written) == expected
    assert len(written) == len(expected)


def draw_place(seed: int) -> int:
    return (0, 100, 65_500, (1 << 32) - 10)[seed]


def test_nothing_is_written_where_no_row_is_left() -> None:
    rows = stretch(["a", "b"])
    assert records(PREFIX, [], ()) == records(PREFIX, [Block(0, 0, rows, 0, 2)], {"a", "b"}) == []


def test_keys_come_in_their_order_where_their_first_bytes_differ() -> None:
    draw = Random(1)
    keys = [
        key
        for key, _ in records(PREFIX, [Block(0, 0, stretch([draw.randbytes(8).hex() for _ in range(99)]), 0, 99)], ())
    ]
    assert keys == sorted(keys)


def test_blocks_are_found_until_the_second_rotation_after_they_came() -> None:
    blocks, rows = Blocks(), [stretch([f"{block}{row}" for row in range(5)]) for block in range(3)]
    for number, part in enumerate(rows):
        blocks.rotate()
        blocks.add(Block(5 * number, number, part, 0, 5))
    found = [blocks.find(place) for place in (5, 9, 10)]
    assert [(part.ids[row], scope) for part, row, scope in found] == [("10", 1), ("14", 1), ("20", 2)]
    assert len(blocks._blocks) == 2


@pytest.mark.parametrize("together", [1, 1_000], ids=["as columns", "one by one"])
def test_rows_are_joined_whether_they_are_held_let_go_or_never_written(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "HELD_MAX", 10)
    monkeypatch.setattr(shelf, "TOGETHER_MIN", together)
    kept = Memory()
    room = Room(kept)
    join = Join(1 << 40, 1_000, room=room)
    rows = stretch([f"r{row}" for row in range(240)], scores=NumberCells(np.arange(240) / 240))
    expected = [(row / 3, row / 240, row) for row in range(240)]
    found: list[tuple[Any, ...]] = []

    def labelled(row: int) -> None:
        wanted: Wanted = {}
        join.shelf.want([f"r{row}"], wanted)
        room.fetch(wanted)
        fate, entry = join.label(f"r{row}", Labelled(int(rows.stamps[-1]), True, 0, 1.0, False))
        assert (fate, entry is not None) == (Fate.APPLIED, True)
        assert entry is not None
        found.append((entry.prediction, entry.score, entry.place))

    for start in range(0, 240, 30):
        room.fetch({join.shelf: rows.ids[start : start + 30]})
        assert taken_in(join, rows, start, start + 30) == start + 30
        labelled(start + 7)  # before it is written
        kept.take(room.changes())
        labelled(start + 8)
        labelled(max(start - 30, 0) + 9 + start // 30)
    assert sorted(found) == sorted(expected[place] for *_, place in found)
    unanswered = [row for row in range(240) if row not in {place for *_, place in found}]
    stored = {row: open_sealed(kept.records[join.shelf._prefix + b"r%d" % row]) for row in unanswered}
    told = {row: msgspec.msgpack.decode(content, type=Pending) for row, content in stored.items()}
    assert {row: (entry.prediction, entry.score, entry.place) for row, entry in told.items()} == {
        row: expected[row] for row in unanswered
    }


def test_an_id_that_is_known_ends_the_run_wherever_it_is_known_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "HELD_MAX", 0)
    kept = Memory()
    room = Room(kept)
    join = Join(1 << 40, 1_000, room=room)

    def taken(ids: list[str]) -> int:
        room.fetch({join.shelf: ids})
        return taken_in(join, stretch(ids), 0, len(ids))

    assert taken(["a", "b", "é"]) == 3
    assert taken(["c", "b"]) == 1  # held
    kept.take(room.changes())
    assert taken(["d", "é"]) == 1  # held since before
    kept.take(room.changes())
    kept.take(room.changes())
    assert taken(["e", "a"]) == 1  # on the disk
    assert taken(["f", "f"]) == 1
    assert join.pending == 7


@pytest.mark.parametrize("together", [1, 1_000], ids=["as columns", "one by one"])
@pytest.mark.parametrize("held", [0, 40_000])
def test_rows_that_nobody_has_asked_for_are_written_and_found_again(
    held: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "HELD_MAX", held)
    monkeypatch.setattr(shelf, "TOGETHER_MIN", together)
    kept = Memory()
    room = Room(kept)
    join = Join(1 << 40, 1_000, room=room)
    rows = stretch([f"r{row}" for row in range(90)])
    for start in range(0, 90, 30):
        assert taken_in(join, rows, start, start + 30) == start + 30
        kept.take(room.changes())
    assert len([key for key in kept.records if key[:1] == b"J"]) == 90
    for row in (3, 40, 89):
        wanted: Wanted = {}
        join.shelf.want([f"r{row}"], wanted)
        room.fetch(wanted)
        fate, entry = join.label(f"r{row}", Labelled(int(rows.stamps[-1]), True, 0, 1.0, False))
        assert (fate, entry is not None and entry.place) == (Fate.APPLIED, row)
    assert join.shelf.held <= (4 if held == 0 else 90)
