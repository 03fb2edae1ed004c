"""When and where old rows stood, in fixed space."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.timeline import STRIDE, Mark, Timeline


def extend(timeline: Timeline, rows: range) -> None:
    timeline.extend(len(rows), lambda row: Mark(rows[row], 10 * rows[row], 3 * rows[row]))


def filled(rows: int, sizes: tuple[int, ...] = (1_000,)) -> Timeline:
    """Row r came at 10 r and lies at offset 3 r."""
    timeline = Timeline()
    turn = 0
    while timeline.rows < rows:
        first = timeline.rows
        batch = range(first, min(rows, first + sizes[turn % len(sizes)]))
        timeline.extend(len(batch), lambda row, batch=batch: Mark(batch[row], 10 * batch[row], 3 * batch[row]))
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
    for level in restored._levels:
        while level and level[0].row < 64:
            level.popleft()
    mark = restored.at(3, 199)
    assert mark is not None
    assert mark.row == 64


def test_space_is_fixed() -> None:
    assert sum(len(level) for level in filled(300_000)._levels) <= 8 * 64


@settings(max_examples=30, deadline=None)
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
        batched.extend(len(batch), lambda row, batch=batch: Mark(batch[row], 10 * batch[row], 3 * batch[row]))
    for age in ages:
        row = max(0, rows - 1 - age)
        assert batched.at(row, rows - 1) == one_by_one.at(row, rows - 1)


def test_a_later_row_of_the_batch_pushes_nothing_out_that_an_earlier_one_asks_for() -> None:
    batched, single = filled(2_000, (2_000,)), filled(2_000, (1,))
    extend(batched, range(2_000, 7_000))
    for row in (1_990, 1_500, 700, 10):
        assert batched.at(row, 1_999) == single.at(row, 1_999)


def test_a_restored_timeline_knows_the_same() -> None:
    timeline = filled(5_000)
    restored = Timeline.of(timeline.state())
    assert restored.state() == timeline.state()
    assert restored.at(1_234, 4_999) == timeline.at(1_234, 4_999)
