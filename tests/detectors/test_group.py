"""Columns with their baseline and detectors, over restarts and while columns come."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.banks.contract import Matrix, StateError
from detectors.banks.shiryaev import WATCH
from detectors.baseline import BLOCK, Blocks
from detectors.budget import Allowance
from detectors.config import ModelConfig
from detectors.encoding import Column
from detectors.group import Found, Group, GroupState
from detectors.history import HISTORY, History
from detectors.lifecycle import Lifecycle, Suspect
from schemas.events import Evidence, Kind

CONFIG = ModelConfig(baseline_rows=20)
COLUMNS = [Column(f"feature:f{number}", Kind.FEATURE_DRIFT) for number in range(4)]
DETECTORS = ("adwin", "page_hinkley", WATCH)
ALLOWANCE = Allowance(share=0.5, time_per_alarm=200.0, head=1.0, in_rows=True)
EVIDENCE = Evidence(value=1.0, threshold=1.0, threshold_origin="", n=1, baseline=0.0, effect=1.0)


def group(columns: int = 0, *, rate: bool = False) -> Group:
    made = Group(CONFIG, DETECTORS, rate=rate)
    made.grow(COLUMNS[:columns], ALLOWANCE)
    return made


def feed(into: Group, rows: Matrix) -> list[str]:
    """As text: equal where every digit is."""
    first = into.baseline.rows
    found, blocks = into.update(rows, first, np.arange(first, first + len(rows)) * 1_000.0)
    for number in range(len(blocks.ends)):
        into.remember(blocks, range(number, number + 1))
    return [repr(each) for each in found]


def through_bytes(state: GroupState) -> GroupState:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=GroupState)


def restored(before: Group, wanted: int = HISTORY, *, rate: bool = False) -> Group:
    after = Group(CONFIG, DETECTORS, rate=rate)
    after.restore(COLUMNS, through_bytes(before.state(wanted)))
    return after


BLOCKS = st.lists(
    st.tuples(st.integers(0, 3), st.floats(-100, 100), st.integers(0, BLOCK)), min_size=1, max_size=HISTORY + 10
)


@given(BLOCKS, st.integers(0, HISTORY + 5))
def test_the_last_blocks_are_remembered_and_come_back(given_blocks: list[Any], wanted: int) -> None:
    history, plain, width = History(), [], 1
    for more, total, count in given_blocks:
        width = max(width, more)
        block = Blocks.of([0], width)
        block.sums[0, 0], block.sums[0, 1], block.far[0, 0], block.far[0, 1] = total, total**2, total, abs(total)
        block.counts[0, 0], block.counts[0, 1], block.counts[0, 2] = count, round(total), count // 2
        history.add(block, range(1))
        plain.append((width, total, count))
    wanted = min(wanted, history.blocks, HISTORY)
    after = History.of(history.blocks, wanted, np.concatenate(history.numbers(wanted)))
    for column in range(width + 1):
        # A column that was not there yet has nothing in a block, or is not known at all.
        expected = [(total, total**2, count) if column < there else (0.0, 0.0, 0) for there, total, count in plain]
        expected = expected if column < width else []
        for blocks in (0, 1, wanted, HISTORY, HISTORY + 1):
            lately = expected[max(0, len(expected) - min(blocks, HISTORY)) :]
            assert list(history.last(column, blocks)) == lately
            assert [count for *_, count in after.last(column, blocks)] == [count for *_, count in lately]
            assert [line.tolist() for line in after.levels(column)] == [
                line.tolist() for line in history.levels(column)
            ]
        assert list(after.last(column, wanted)) == list(history.last(column, wanted))
        assert repr(after.seen(column, wanted)) == repr(history.seen(column, wanted))


@settings(max_examples=40)
@given(
    sizes=st.lists(st.integers(0, 150), min_size=1, max_size=12),
    widths=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    seed=st.integers(0, 2**32 - 1),
    rate=st.booleans(),
)
def test_a_restored_group_goes_on_as_the_one_before(sizes: list[int], widths: list[int], seed: int, rate: bool) -> None:
    """Single rows, none at all, columns that come later, values that are missing or huge."""
    draw = np.random.default_rng(seed)
    straight, cut, width = group(rate=rate), group(rate=rate), 0
    for number, size in enumerate([*sizes, 1]):
        width = max(width, widths[number % len(widths)])
        rows = draw.random((size, width)).round() if rate else draw.normal(3.0 * (number % 3 == 2), 1, (size, width))
        rows[draw.random(rows.shape) < 0.1] = np.nan
        if not rate:
            rows[draw.random(rows.shape) < 0.01] = 1e300
        cut = restored(cut, rate=rate)
        for each in (straight, cut):
            each.grow(COLUMNS[:width], ALLOWANCE)
            if width and number % 3 == 0:
                each.watch_again(0)
        assert feed(cut, rows) == feed(straight, rows)
        assert cut.state(HISTORY) == straight.state(HISTORY)
        for column in range(width):
            assert repr(cut.recent(column, 5)) == repr(straight.recent(column, 5))
            assert cut.rows_spanned(column, 100) == straight.rows_spanned(column, 100)


def test_sums_of_blocks_that_nobody_will_ask_for_are_not_written() -> None:
    watching = group(3)
    feed(watching, np.random.default_rng(1).normal(size=(BLOCK * HISTORY * 2, 3)))
    assert len(watching.state(HISTORY).numbers) - len(watching.state(0).numbers) >= HISTORY * 3 * 8
    after = restored(watching, 2)
    assert after.recent(0, 2) == watching.recent(0, 2)
    assert after.recent(0, 3) != watching.recent(0, 3)


def test_they_are_those_since_the_oldest_suspicion_of_a_column_of_the_group() -> None:
    lifecycle, watching = Lifecycle(), group(2)
    feed(watching, np.zeros((BLOCK * 10 + 5, 2)))
    assert lifecycle.wanted(watching) == 0
    lifecycle.suspects["loss"] = Suspect("adwin", 0, EVIDENCE)
    assert lifecycle.wanted(watching) == 0
    lifecycle.suspects["feature:f1"] = Suspect("adwin", BLOCK * 7 - 1, EVIDENCE)
    assert lifecycle.wanted(watching) == 3
    lifecycle.suspects["feature:f0"] = Suspect("adwin", BLOCK * 2, EVIDENCE)
    assert lifecycle.wanted(watching) == 7
    feed(watching, np.zeros((BLOCK * 50, 2)))
    assert lifecycle.wanted(watching) == HISTORY


def test_a_group_without_columns_is_next_to_nothing() -> None:
    idle = group()
    assert feed(idle, np.empty((70, 0))) == []
    assert len(msgspec.msgpack.encode(idle.state(0))) < 16
    later = restored(idle)
    later.grow(COLUMNS[:1], ALLOWANCE)
    feed(later, np.zeros((1, 1)))
    assert (later.baseline.rows, len(later.columns)) == (71, 1)


@pytest.mark.parametrize(
    "changed",
    [{"columns": 1}, {"columns": 3}, {"columns": -1}, {"columns": 5}, {"blocks": 7}, {"wanted": 1}, {"banks": []}],
)
def test_a_state_that_does_not_fit_is_refused(changed: dict[str, Any]) -> None:
    watching = group(2)
    feed(watching, np.zeros((100, 2)))
    state = msgspec.structs.replace(watching.state(0), **changed)
    with pytest.raises(ValueError):  # noqa: PT011 - whatever says so first; who restores makes one error of all
        group().restore(COLUMNS, state)


def test_columns_of_a_state_that_nobody_watches_are_refused() -> None:
    watching = group(2)
    with pytest.raises(StateError, match="2 columns"):
        group().restore(COLUMNS[:1], watching.state(0))


# -- the detector that keeps to the budget ----------------------------------------------------------------------------


def found_by_watch(rows: Matrix, *, rate: bool = False, columns: list[Column] | None = None) -> list[Found]:
    columns = COLUMNS[: rows.shape[1]] if columns is None else columns
    watching = Group(ModelConfig(baseline_rows=300), (WATCH,), rate=rate)
    watching.grow(columns, ALLOWANCE._replace(time_per_alarm=1e6, head=1e3))
    assert watching.watched
    return watching.update(rows, 0, np.arange(len(rows)) * 1_000.0)[0]


def test_a_finding_of_the_watch_is_in_the_signals_own_unit() -> None:
    draw = np.random.default_rng(1)
    (found,) = found_by_watch(np.concatenate((draw.normal(40, 5, (400, 1)), draw.normal(50, 5, (100, 1)))))
    assert (found.detector, found.spread) == (WATCH, False)
    assert found.before == pytest.approx(40, abs=1)
    assert found.effect == found.finding.mean_after - found.finding.mean_before == pytest.approx(2.0, abs=0.6)
    assert found.after - found.before == pytest.approx(5 * found.effect, rel=0.1)  # 5 is the standard deviation


def test_a_finding_of_another_spread_is_measured_by_how_much_it_grew() -> None:
    draw = np.random.default_rng(2)
    (found,) = found_by_watch(np.concatenate((draw.normal(40, 5, (400, 1)), draw.normal(40, 10, (100, 1)))))
    assert (found.spread, found.base) == (True, 0.0)
    assert found.effect == found.finding.spread - 1.0 == pytest.approx(1.0, abs=0.5)


def test_a_bit_that_was_given_its_share_learns_how_its_values_follow_one_another_from_half_the_rows() -> None:
    bits = np.repeat([0.0, 1.0], (150, 30))[:, None]
    (found,) = found_by_watch(bits, rate=True, columns=[Column("f", Kind.DATA_QUALITY, given_share=0.1)])
    assert found.before < 0.1
    assert 150 <= found.row < 170


def test_a_column_is_watched_again_once_that_is_said() -> None:
    zeros, ones = np.zeros((40, 1)), np.ones((40, 1))
    watching = Group(CONFIG, (WATCH,), rate=True)
    watching.grow([Column("f", Kind.DATA_QUALITY, given_share=0.1)], ALLOWANCE)
    counts = []
    for turn, bits in enumerate((zeros, ones, ones, ones)):
        counts.append(len(watching.update(bits, 40 * turn, np.arange(40) * 1_000.0)[0]))
        if turn == 2:
            watching.watch_again(0)
    assert counts == [0, 1, 0, 1]


def test_what_recent_rows_say_of_the_spread() -> None:
    watching = group(1)
    draw = np.random.default_rng(4)
    feed(watching, np.concatenate((draw.normal(0, 1, (BLOCK, 1)), draw.normal(0, 2, (BLOCK * 20, 1)))))
    recent = watching.recent(0, 20)
    assert recent.of(spread=True) == recent.spread == pytest.approx(1.0, abs=0.5)
    assert recent.of(spread=False) == recent.effect == pytest.approx(0.0, abs=0.5)
