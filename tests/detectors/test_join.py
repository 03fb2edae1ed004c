"""Each end that a record or a waiting entry can have, one test each."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.columns import FeatureRows, WordCells
from detectors.join import Fate, Join, JoinCounts, JoinState, Labelled
from detectors.line import CHUNK
from detectors.rows import Stretch
from detectors.shelf import Pending, Room, Wanted
from detectors.shelf import pending as entry_of
from tests.detectors.joins import taken_in
from tests.detectors.kept import Memory

HORIZON = 1_000


def pending(time: int = 0, fingerprint: int = 1) -> Pending:
    return Pending(time, 0, fingerprint, 0, 1.0, None, None)


def label(time: int = 0, value: float = 1.0, revision: int = 0, provisional: bool = False) -> Labelled:
    return Labelled(time, value, revision, 1.0, provisional)


def joining(pending_max: int = 100) -> Join:
    return Join(HORIZON, pending_max)


def keeping() -> tuple[Memory, Room, Join]:
    kept = Memory()
    room = Room(kept)
    return kept, room, Join(HORIZON, 100, room=room)


def opened_again(kept: Memory, room: Room, join: Join) -> Join:
    """The join as it is found when everything was written and a new process reads it, with all ids at hand."""
    kept.take(room.changes())
    anew = Room(kept)
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(join.state()), type=JoinState)
    restored = Join(HORIZON, 100, room=anew, state=state)
    anew.fetch({restored.shelf: [key[5:].decode() for key, _ in kept.scan(b"J")]})
    return restored


def test_an_outcome_joins_the_prediction_with_its_id() -> None:
    join = joining()
    join.predict("a", pending(0))
    fate, entry = join.label("a", label(5))
    assert (fate, entry is not None and entry.prediction, join.counts) == (Fate.APPLIED, 1.0, JoinCounts(joined=1))


def test_the_same_prediction_again_is_a_duplicate() -> None:
    join = joining()
    join.predict("a", pending(0, 7))
    assert join.predict("a", pending(1, 7)) == (Fate.DUPLICATE, None)


def test_another_prediction_under_the_same_id_is_a_conflict_and_the_first_stands() -> None:
    join = joining()
    join.predict("a", pending(0, 7))
    assert join.predict("a", pending(1, 8)) == (Fate.CONFLICT, None)
    _, entry = join.label("a", label(2))
    assert entry is not None
    assert entry.fingerprint == 7


def test_an_outcome_without_a_prediction_waits_for_it() -> None:
    join = joining()
    assert join.label("a", label(0)) == (Fate.APPLIED, None)
    assert (join.early, join.predict("a", pending(1)), join.early) == (1, (Fate.APPLIED, label(1)), 0)
    assert join.counts == JoinCounts(joined=1)


def test_a_higher_revision_replaces_an_outcome_that_waits_and_an_equal_one_does_not() -> None:
    join = joining()
    join.label("a", label(0, 1.0, 1))
    assert join.label("a", label(1, 2.0, 1)) == (Fate.DUPLICATE, None)
    assert join.label("a", label(2, 3.0, 2)) == (Fate.APPLIED, None)
    assert join.predict("a", pending(3))[1] == label(3, 3.0, 2)


def test_a_revision_does_not_prolong_the_wait_of_an_early_outcome() -> None:
    kept, room, join = keeping()
    join.label("a", label(0, 1.0, 0))
    join.label("a", label(600, 2.0, 1))
    restored = opened_again(kept, room, join)
    for waiting in (join, restored):
        assert waiting.predict("a", pending(1_200)) == (Fate.APPLIED, None)
        assert waiting.counts.orphans == 1


def test_a_higher_revision_corrects_a_joined_outcome() -> None:
    join = joining()
    join.predict("a", pending(0))
    join.label("a", label(1))
    fate, entry = join.label("a", label(2, 0.0, 1))
    assert (fate, entry is not None, join.counts) == (Fate.APPLIED, True, JoinCounts(joined=1, corrected=1))


@pytest.mark.parametrize("revision", [0, 1])
def test_an_equal_or_lower_revision_is_a_duplicate(revision: int) -> None:
    join = joining()
    join.predict("a", pending(0))
    join.label("a", label(1, revision=1))
    assert join.label("a", label(2, revision=revision)) == (Fate.DUPLICATE, None)


def test_an_outcome_at_the_horizon_joins_and_one_past_it_is_late() -> None:
    join = joining()
    join.predict("a", pending(0))
    join.predict("b", pending(1))
    assert join.label("a", label(1_000))[0] is Fate.APPLIED
    assert join.label("b", label(1_002))[0] is Fate.LATE


def test_a_prediction_past_the_horizon_is_unlabelled_unless_it_was_joined() -> None:
    join = joining()
    join.predict("a", pending(0))
    join.predict("b", pending(0))
    join.label("a", label(10))
    join.expire(1_001)
    assert (join.pending, join.counts) == (0, JoinCounts(joined=1, unlabelled=1))


def test_late_is_forgotten_after_one_more_horizon() -> None:
    join = joining()
    join.predict("a", pending(0))
    join.expire(1_001)
    assert join.label("a", label(2_000))[0] is Fate.LATE
    assert join.label("a", label(2_001))[0] is Fate.APPLIED  # early, as far as anybody can remember


def test_an_early_outcome_past_the_horizon_is_an_orphan() -> None:
    join = joining()
    join.label("a", label(0))
    join.expire(1_001)
    assert (join.early, join.counts) == (0, JoinCounts(orphans=1))


def test_too_many_predictions_evict_the_oldest_and_its_outcome_is_late() -> None:
    join = joining(pending_max=2)
    for time, key in enumerate("abc"):
        join.predict(key, pending(time))
    assert join.pending == 2
    assert join.counts == JoinCounts(evicted=1, unlabelled=1)
    assert join.label("a", label(3))[0] is Fate.LATE


def test_ids_past_their_horizon_are_remembered_up_to_the_same_limit() -> None:
    join = joining(pending_max=2)
    for time, key in enumerate("abcde"):
        join.predict(key, pending(time))
    assert [join.label(key, label(5))[0] for key in "abc"] == [Fate.APPLIED, Fate.LATE, Fate.LATE]


def test_too_many_early_outcomes_drop_the_oldest() -> None:
    join = Join(HORIZON, pending_max=100, early_max=2)
    for time, key in enumerate("abc"):
        join.label(key, label(time))
    assert (join.early, join.counts) == (2, JoinCounts(early_evicted=1))
    assert [join.predict(key, pending(4))[1] is not None for key in "abc"] == [False, True, True]


def test_early_outcomes_that_met_their_prediction_leave_nothing_behind() -> None:
    join = joining(pending_max=10)
    for number in range(20_000):  # outcomes always first, well within a horizon
        join.label(str(number), label(0))
        join.predict(str(number), pending(0))
    assert len(join._early_line._chunks) * CHUNK <= 2 * CHUNK


def test_time_alone_ends_what_waits() -> None:
    join = joining()
    join.predict("a", pending(0))
    join.label("b", label(0))
    join.expire(1_000)
    assert (join.pending, join.early) == (1, 1)
    join.expire(1_001)
    assert (join.pending, join.early, join.counts) == (0, 0, JoinCounts(unlabelled=1, orphans=1))


def test_a_restored_join_continues_with_everything_that_waits() -> None:
    kept, room, join = keeping()
    join.predict("gone", pending(0))
    join.predict("a", pending(600))
    join.label("b", label(700))
    join.expire(1_100)
    restored = opened_again(kept, room, join)
    assert restored.state() == join.state()
    assert [restored.label(key, label(1_100))[0] for key in ("gone", "a", "b")] == [
        Fate.LATE,
        Fate.APPLIED,
        Fate.DUPLICATE,
    ]


def test_a_labelled_prediction_waits_on_for_corrections_and_is_no_longer_unanswered() -> None:
    kept, room, join = keeping()
    for key in "abc":
        join.predict(key, pending(0))
    join.label("a", label(1))
    join.label("b", label(1))
    join.label("b", label(2, revision=1))
    restored = opened_again(kept, room, join)
    assert (join.pending, join.unanswered, restored.unanswered) == (3, 1, 1)
    join.expire(1_001)
    assert (join.pending, join.unanswered) == (0, 0)


def test_a_prediction_whose_id_is_past_its_horizon_is_a_duplicate_still() -> None:
    join = joining()
    join.predict("a", pending(0, 7))
    join.expire(1_001)
    assert join.predict("a", pending(1_500, 7)) == (Fate.DUPLICATE, None)
    assert join.predict("a", pending(1_500, 8)) == (Fate.CONFLICT, None)
    assert join.predict("a", pending(2_001, 8)) == (Fate.APPLIED, None)


def test_an_id_that_was_let_go_is_gone_before_anybody_wrote_that_down() -> None:
    kept, room, join = keeping()
    join.predict("a", pending(0))
    kept.take(room.changes())
    join.expire(2_001)
    wanted: Wanted = {}
    join.shelf.want("a", wanted)
    room.fetch(wanted)
    assert join.predict("a", pending(2_002)) == (Fate.APPLIED, None)


def test_an_id_that_was_let_go_is_gone_also_where_all_of_a_run_are_fetched() -> None:
    kept, room, join = keeping()
    join.predict("a", pending(0))
    kept.take(room.changes())
    join.expire(2_001)
    room.fetch({join.shelf: ["a", "b"]})
    assert join.predict("a", pending(2_002)) == (Fate.APPLIED, None)


def test_nothing_is_left_of_what_was_forgotten() -> None:
    kept, room, join = keeping()
    for number in range(3 * CHUNK):
        join.predict(str(number), pending(number))
        join.label(f"early {number}", label(number))
        if number % 50 == 0:
            kept.take(room.changes())
    join.expire(10_000)
    kept.take(room.changes())
    assert {key[:1] for key in kept.records} <= {b"L", b"B"}
    assert len(kept.records) <= 4  # the newest part of each line, and its marks


def rows_at(times: list[int], ids: list[str]) -> Stretch:
    count = len(times)
    return Stretch(
        topic="june.parquet",
        numbers=np.arange(count),
        stamps=np.array(times, dtype=np.int64),
        offsets=np.arange(count),
        ids=ids,
        models=WordCells(np.zeros(count, dtype=np.int64), ["churn"]),
        predictions=["yes"] * count,
        features=FeatureRows({}, count),
        fingerprints=np.arange(count),
    )


def test_rows_are_taken_in_up_to_where_the_first_of_them_ends() -> None:
    rows = rows_at([0, 10, 20, 100, 101, 300], [f"p{number}" for number in range(6)])
    join = Join(100, 10)
    assert taken_in(join, rows, 0, 6) == 4
    assert taken_in(join, rows, 4, 6) == 5  # the first of all ends meanwhile
    assert (join.pending, join.counts.unlabelled) == (4, 1)


@given(
    parts=st.lists(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), min_size=1, max_size=25), max_size=8),
    horizon=st.integers(1, 80),
    most=st.integers(1, 12),
    labelled=st.integers(0, 30),
    kept=st.booleans(),
)
def test_rows_that_push_out_and_outlast_others_end_them_as_records_do(
    parts: list[list[tuple[int, int]]], horizon: int, most: int, labelled: int, kept: bool
) -> None:
    """``parts``: how long after the one before each comes, and its id."""
    rooms = [Room(Memory() if kept else None) for _ in range(2)]
    together, alone = (Join(horizon, most, room=room) for room in rooms)
    now = 0
    for part in parts:
        times, ids = [now := now + pause for pause, _ in part], [str(number) for _, number in part]
        rows, row = rows_at(times, ids), 0
        figures, expected = [together.figures()], [alone.figures()]
        for number, name in enumerate(ids):
            alone.predict(name, entry_of(rows, number, 0))
            expected.append(alone.figures())
        while row < len(ids):
            course = together.predict_rows(rows, slice(row, len(ids)), 0)
            if course is None:
                together.predict(ids[row], entry_of(rows, row, 0))
                row += 1
                figures.append(together.figures())
            else:
                figures += [together.figures(course, after) for after in range(1, course.stop - row + 1)]
                row = course.stop
        assert figures == expected
        for join in (together, alone):
            join.label(str(labelled), label(now))
        assert together.state() == alone.state()
        assert rooms[0].pending == rooms[1].pending
    assert [together.shelf.get(str(number)) for number in range(31)] == [
        alone.shelf.get(str(number)) for number in range(31)
    ]
