"""When and where old rows stood, in fixed space."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.banks.contract import StateError
from detectors.banks.packed import pack_steps
from detectors.timeline import STRIDE, Mark, Timeline


def extend(timeline: Timeline, rows: range) -> None:
    timeline.extend(len(rows), lambda some: [factor * rows[row] for row in some for factor in (10, 3)])


def filled(rows: int, sizes: tuple[int, ...] = (1_000,)) -> Timeline:
    """Row r came at 10 r and lies at offset 3 r."""
    timeline = Timeline()
    turn = 0
    while timeline.rows < rows:
        first = timeline.rows
        batch = range(first, min(rows, first + sizes[turn % len(sizes)]))
        timeline.extend(
            len(batch), lambda some, batch=batch: [factor * batch[row] for row in some for factor in (10, 3)]
        )
        timeline.settle()
        turn += 1
    return timeline


@pytest.mark.parametrize("rows", [50, 1_500, 20_000, 300_000])
def test_a_mark_is_never_after_the_row_and_within_a_tenth_of_its_age(rows: int) -> None:
    timeline = filled(rows)
    for age in sorted({0, 1, 15, 16, 17, 100, 999, 5_000, 40_000, 250_000, rows - 1}):
        row = rows - 1 - age
        if row < 0:
            continue
        mark = timeline.at(row, rows - 1)
        assert mark is not None
        assert 0 <= row - mark.row <= max(STRIDE, age / 10)
        assert (mark.time, mark.offset) == (10 * mark.row, 3 * mark.row)


def test_nothing_is_remembered_of_nothing() -> None:
    assert Timeline().at(0, 0) is None


def test_a_row_older_than_all_marks_gets_the_oldest_there_is() -> None:
    restored = Timeline.of(filled(200).state())
    (finest,) = restored._levels
    del finest[: 2 * 64 // STRIDE]
    mark = restored.at(3, 199)
    assert mark is not None
    assert mark.row == 64


def test_space_is_fixed() -> None:
    assert sum(len(level) // 2 for level in filled(300_000)._levels) <= 64 + 7 * 48


@settings(max_examples=30)
@given(
    rows=st.integers(1, 6_000),
    sizes=st.lists(st.integers(1, 3_000), min_size=1, max_size=5),
    ages=st.lists(st.integers(0, 6_000), min_size=1, max_size=5),
)
def test_what_is_known_as_of_a_row_does_not_depend_on_the_batches(rows: int, sizes: list[int], ages: list[int]) -> None:
    """Asked in the middle of a batch, as a finding is: rows further on in the batch must not show."""
    one_by_one = filled(rows, (1,))
    batched = Timeline()
    while batched.rows < rows:
        first = batched.rows
        batch = range(first, min(rows, first + sizes[first % len(sizes)]))
        batched.settle()
        batched.extend(
            len(batch), lambda some, batch=batch: [factor * batch[row] for row in some for factor in (10, 3)]
        )
    for age in ages:
        row = max(0, rows - 1 - age)
        assert batched.at(row, rows - 1) == one_by_one.at(row, rows - 1)


def test_a_later_row_of_the_batch_pushes_nothing_out_that_an_earlier_one_asks_for() -> None:
    batched, single = filled(2_000, (2_000,)), filled(2_000, (1,))
    extend(batched, range(2_000, 7_000))
    for row in (1_990, 1_500, 700, 10):
        assert batched.at(row, 1_999) == single.at(row, 1_999)


class Plain:
    """As said in words: each level keeps the 64 newest of its own marks."""

    def __init__(self, marks: list[Mark]) -> None:
        self._levels = [[mark for mark in marks if mark.row % (STRIDE * 4**level) == 0][-64:] for level in range(8)]

    def at(self, row: int) -> Mark:
        for level in self._levels:
            if level[0].row <= row:
                return [mark for mark in level if mark.row <= row][-1]
        return self._levels[-1][0]


@settings(max_examples=60)
@given(st.integers(1, 40_000), st.data())
def test_it_answers_as_if_each_level_kept_marks_of_its_own(rows: int, data: st.DataObject) -> None:
    timeline = filled(rows, (7_000,))
    plain = Plain([Mark(row, 10 * row, 3 * row) for row in range(0, rows, STRIDE)])
    for _ in range(20):
        row = data.draw(st.integers(0, rows - 1))
        assert timeline.at(row, rows - 1) == plain.at(row)


def labelled(rows: int, longest: int, seed: int) -> tuple[Timeline, list[int]]:
    """Of predictions at 10 a row, labels that take up to so many rows, in the order in which they come."""
    draw = np.random.default_rng(seed)
    predicted = np.argsort(np.arange(rows) + draw.uniform(0.0, longest, rows), kind="stable").tolist()
    timeline = Timeline()
    timeline.extend(rows, lambda some: [factor * predicted[row] for row in some for factor in (10, 3)])
    timeline.settle()
    return timeline, predicted


@pytest.mark.parametrize("rows", [1, 50, 1_500, 20_000])
def test_where_times_rise_a_row_is_its_own_time(rows: int) -> None:
    timeline = filled(rows)
    for row in range(0, rows, max(1, rows // 97)):
        own = timeline.at(row, rows - 1)
        last = timeline.at(rows - 1, rows - 1)
        assert own is not None
        assert last is not None
        assert timeline.parting(row, rows - 1) == own
        assert timeline.between(row, rows - 1, rows - 1) == (own.time, last.time)
        assert timeline.since(own.time, rows - 1) == own.row
        assert timeline.counted_since(own.time, rows - 1)[0] == rows - own.row
        fewest, most = timeline.counted_since(own.time + 1, rows - 1)
        assert 0 <= fewest <= rows - own.row - 1 <= most <= rows
    assert timeline.since(10 * rows, rows - 1) == rows, "none of them: there is none beyond the last"


@pytest.mark.parametrize("seed", range(5))
def test_where_labels_take_differently_long_many_of_them_date_a_row(seed: int) -> None:
    rows, longest, row = 6_000, 1_000, 5_200
    timeline, predicted = labelled(rows, longest, seed)
    mark = timeline.parting(row, rows - 1)
    assert mark is not None
    since = mark.time // 10
    newest = max(predicted[:row])
    assert newest - 0.6 * longest < since <= newest, "not earlier than most labels that had come by then"
    kept = sum(one >= since for one in predicted[row:])
    assert kept > 2 * sum(one >= since for one in predicted[:row]), "few of the old ones are taken for new"
    near = [10 * predicted[one] for one in range((row - 96) // STRIDE * STRIDE, row + 97, STRIDE)]
    assert timeline.between(row - 96, row + 96, rows - 1) == (min(near), max(near))
    fewest, most = timeline.counted_since(mark.time, rows - 1)
    assert fewest == most == pytest.approx(sum(one >= since for one in predicted), rel=0.25)
    first = timeline.since(mark.time, rows - 1)
    wrong = sum(one < since for one in predicted[first:]) + sum(one >= since for one in predicted[:first])
    assert abs(first - row) < longest / 2
    assert wrong < 0.35 * (rows - row)


@settings(max_examples=40)
@given(
    rows=st.one_of(st.integers(0, 100), st.integers(900, 1_200), st.integers(3_900, 20_000)),
    more=st.integers(0, 3_000),
)
def test_a_restored_timeline_knows_the_same(rows: int, more: int) -> None:
    timeline = filled(rows)
    restored = Timeline.of(timeline.state())
    assert restored.state() == timeline.state()
    for each in (timeline, restored):
        extend(each, range(rows, rows + more))
        each.settle()
    assert restored.state() == timeline.state()
    for row in range(0, rows + more, 97):
        assert restored.at(row, rows + more - 1) == timeline.at(row, rows + more - 1)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=2))
def test_clocks_and_offsets_may_be_anything_a_record_can_hold(numbers: list[int]) -> None:
    timeline = Timeline()
    timeline.extend(1, lambda _: numbers[:2])
    timeline.settle()
    assert Timeline.of(timeline.state()).at(0, 0) == Mark(0, *numbers)


def test_a_state_is_small() -> None:
    assert len(filled(300_000).state()) < 1_500


@pytest.mark.parametrize("numbers", [[], [1], [-1, 0], [0, 0, 5, 5], [16, 0], [17, 0, 5, 5], [2**62, 0, 5, 5]])
def test_numbers_that_are_no_timeline_are_refused(numbers: list[int]) -> None:
    with pytest.raises(StateError):
        Timeline.of(pack_steps(np.array(numbers, dtype=np.int64), 2))
