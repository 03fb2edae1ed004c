"""The detector that keeps to a budget: the same however it is cut, and soon to find what it is to find."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors.banks.contract import Finding, StateError
from detectors.banks.packed import pack, unpack
from detectors.banks.shiryaev import ShiryaevBank
from detectors.banks.shiryaev_steps import FIRST, PHASE, TEMPER, N
from tests.detectors.banks.streams import EXTREME, Stream
from tests.detectors.banks.watched import bank, chances, clocked, delays, normal

ROWS = 40  # of the baseline, where nothing depends on how good it is
DAY = 24.0  # in rows


def plain(found: Sequence[Finding]) -> list[str]:
    """By time, then column; as text, so that each digit counts and ``nan`` equals ``nan``."""
    return [repr(each) for each in sorted(found, key=lambda each: (each.row, each.column))]


# -- cuts and restarts -------------------------------------------------------------------------------------------------


def changing(seed: int, rows: int, columns: int, *, bits: bool) -> Stream:
    """Each column with a change or two, some of them up, some down, some wider; AR(1) or with a daily pattern."""
    draw = np.random.default_rng(seed)
    stream = draw.standard_normal((rows, columns))
    for column in range(columns):
        if column % 3 == 1:
            for row in range(1, rows):
                stream[row, column] += 0.7 * stream[row - 1, column]
        if column % 3 == 2:
            stream[:, column] += 3.0 * np.sin(2 * np.pi * np.arange(rows) / DAY)
        first, second = sorted(draw.integers(rows // 4, rows, 2))
        stream[first:, column] = stream[first:, column] * draw.choice((0.5, 1.0, 3.0)) + draw.choice((-2.0, 0.0, 2.0))
        stream[second:, column] += draw.choice((-3.0, 3.0))
    if bits:
        stream = (stream > 1.0).astype(float)
    else:
        stream[draw.random(stream.shape) < 0.01] = draw.choice(EXTREME)
        stream[draw.random(stream.shape) < 0.1] = 1.0  # ties
    stream[draw.random(stream.shape) < 0.1] = np.nan
    return stream


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(0, 120), min_size=1, max_size=12),
    bits=st.booleans(),
    sided=st.booleans(),
    timed=st.booleans(),
    restoring=st.booleans(),
)
@example(seed=1, sizes=[1], bits=False, sided=False, timed=True, restoring=False)
@example(seed=2, sizes=[1], bits=True, sided=True, timed=False, restoring=True)
def test_rows_cut_anywhere_and_banks_restored_anywhere_give_the_same(
    seed: int, sizes: list[int], bits: bool, sided: bool, timed: bool, restoring: bool
) -> None:
    rows, columns = 600, 4
    stream = changing(seed, rows, columns, bits=bits)
    draw = np.random.default_rng(seed)
    clock = np.cumsum(draw.integers(0, 3, rows)).astype(float)
    measured = np.clip(stream, -12.0, 12.0)
    whole, cut = (bank(columns, bits=bits, rows=ROWS, asked=300.0, sided=sided, day=DAY) for _ in range(2))

    def told(watching: ShiryaevBank, start: int, stop: int) -> list[Finding]:
        part = slice(start, stop)
        given = {"clock": clock[part], "standardised": measured[part], "times": clock[part]} if timed else {}
        found = watching.update(stream[part], **given)
        return [each._replace(row=each.row + start) for each in found]

    expected, actual = told(whole, 0, rows), []
    start = turn = 0
    while start < rows:
        stop = min(rows, start + (sizes[turn % len(sizes)] or (turn % 2)))
        actual += told(cut, start, stop)
        start, turn = stop, turn + 1
        if restoring:
            before, cut = cut, bank(0, bits=bits, rows=ROWS, day=DAY)
            cut.restore(before.snapshot())
            assert cut.snapshot() == before.snapshot()
    assert plain(actual) == plain(expected)
    assert cut.snapshot() == whole.snapshot()


@pytest.mark.parametrize(("bits", "sided"), [(False, False), (False, True), (True, False), (True, True)])
def test_the_streams_of_this_suite_make_it_report(bits: bool, sided: bool) -> None:
    watching = bank(30, bits=bits, rows=ROWS, asked=300.0, sided=sided, day=DAY)
    assert {each.column for each in clocked(watching, changing(3, 600, 30, bits=bits))} > set(range(3))


@pytest.mark.parametrize("bits", [False, True])
def test_columns_do_not_know_of_one_another(bits: bool) -> None:
    stream = changing(5, 500, 4, bits=bits)
    together = clocked(bank(4, bits=bits, rows=ROWS, asked=200.0, day=DAY), stream)
    alone = [
        each._replace(column=column)
        for column in range(4)
        for each in clocked(bank(bits=bits, rows=ROWS, asked=200.0, day=DAY), stream[:, column : column + 1])
    ]
    assert together
    assert plain(together) == plain(alone)


def test_columns_added_in_mid_stream_are_fresh_and_disturb_nobody() -> None:
    stream = changing(6, 600, 3, bits=False)
    grown, straight, late = (bank(columns, rows=ROWS, asked=200.0) for columns in (2, 2, 1))
    first = clocked(grown, stream[:250, :2])
    grown.grow(3)
    grown.grow(1)  # fewer than there are: they are there already
    grown.allow(2, 200.0, 0.2, sided=False)
    rest = clocked(grown, stream[250:], 250)
    assert plain(first + [each for each in rest if each.column < 2]) == plain(clocked(straight, stream[:, :2]))
    assert plain([each for each in rest if each.column == 2]) == plain(
        [each._replace(column=2) for each in clocked(late, stream[250:, 2:], 250)]
    )


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_an_infinity_is_refused_and_nothing_has_changed(bad: float) -> None:
    watching, stream = bank(2, rows=ROWS), changing(1, 100, 2, bits=False)
    clocked(watching, stream)
    before = watching.snapshot()
    stream[50, 1] = bad
    with pytest.raises(ValueError, match="row 50, column 1 is infinite"):
        clocked(watching, stream)
    assert watching.snapshot() == before


# -- states that are refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [False, True])
@pytest.mark.parametrize("rows", [20, 400])
def test_bytes_of_another_length_are_refused_and_nothing_has_changed(bits: bool, rows: int) -> None:
    watching, other = bank(3, bits=bits, rows=ROWS), bank(2, bits=bits, rows=ROWS)
    clocked(watching, changing(4, rows, 3, bits=bits))
    good, before = watching.snapshot(), other.snapshot()
    numbers = unpack(good[8:])
    odd = [numbers[:-1], np.append(numbers, 0.0), numbers[:1], numbers[: len(numbers) // 2]]
    for bad in [
        b"",
        good[:7],
        good[:8],
        good[: len(good) // 2],
        good[:-1],
        good + b"\0",
        *(good[:8] + pack(o) for o in odd),
    ]:
        with pytest.raises(StateError):
            other.restore(bad)
        assert other.snapshot() == before
    other.restore(good)
    assert (other.columns, other.snapshot()) == (3, good)


@pytest.mark.parametrize(
    ("place", "value", "fed", "bits"),
    [
        (TEMPER, 5.0, 120, False),
        (TEMPER, -1.0, 120, True),
        (TEMPER, 0.5, 120, True),
        (TEMPER, np.nan, 120, False),
        (PHASE, 9.0, 120, False),
        (PHASE, FIRST, 120, True),  # bits have no cuts to be found
        (N, 20.0, 25, False),  # as many as there is room for
        (N, -1.0, 25, False),
        (N, 2.0**40, 25, False),
    ],
)
def test_no_odd_place_reaches_machine_code(place: int, value: float, fed: int, bits: bool) -> None:
    watching, other = bank(bits=bits, rows=ROWS), bank(bits=bits, rows=ROWS)
    clocked(watching, changing(4, fed, 1, bits=bits))
    good = watching.snapshot()
    numbers = unpack(good[8:]).copy()
    numbers[2 + place] = value  # behind the row and how many columns there are
    with pytest.raises(StateError, match="no state that there is"):
        other.restore(good[:8] + pack(numbers))
    other.restore(good)


@pytest.mark.parametrize("changed", [{"rows": ROWS + 1}, {"learn_max": 99}, {"day": 7.0}, {"bits": True}])
def test_the_state_of_other_parameters_is_refused(changed: dict[str, float]) -> None:
    with pytest.raises(StateError, match="taken with other parameters than"):
        bank(1, **{"rows": ROWS, **changed}).restore(bank(1, rows=ROWS).snapshot())  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", [False, True])
@pytest.mark.parametrize("fed", [10, 120])
def test_no_flipped_bit_lets_machine_code_run_astray(bits: bool, fed: int) -> None:
    """A checksum keeps them away. Should one come through, it is refused or is some state or other: never worse."""
    watching = bank(2, bits=bits, rows=ROWS, asked=1e4)
    clocked(watching, changing(1, fed, 2, bits=bits))
    good = watching.snapshot()
    for place in range(8 * 8, 8 * len(good), 3):
        at, bit = divmod(place, 8)
        other = ShiryaevBank(0, bits=bits, rows=ROWS, day=1e9)
        try:
            other.restore(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
        except StateError:
            continue
        assert other.columns < len(good)
        if other.columns == 2:
            clocked(other, np.zeros((ROWS, 2)))


# -- what it finds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shift", "within"), [(1.0, 60), (-1.0, 60), (2.0, 20)])
def test_a_shift_is_found_soon_and_dated(shift: float, within: int) -> None:
    stream = normal(1, 3_300, 40)
    stream[3_000:] += shift
    found = [each for each in clocked(bank(40), stream) if each.row >= 3_000]
    assert np.quantile(delays(found, 3_000, 40), 0.9) <= within
    assert np.median([each.mean_after for each in found]) == pytest.approx(shift, rel=0.15)
    assert np.median([each.row - each.since + 1 for each in found]) == pytest.approx(3_000, abs=4)
    assert np.median([each.spread for each in found]) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("factor", [2.0, 0.4])
def test_another_spread_is_found_soon(factor: float) -> None:
    stream = normal(2, 3_300, 40)
    stream[3_000:] *= factor
    found = [each for each in clocked(bank(40), stream) if each.row >= 3_000]
    assert np.quantile(delays(found, 3_000, 40), 0.9) <= 100
    assert np.median([each.spread for each in found]) == pytest.approx(factor, rel=0.15)
    assert np.median([each.mean_after for each in found]) == pytest.approx(0.0, abs=0.2)


@pytest.mark.parametrize(("share", "within"), [(0.3, 130), (0.6, 35)])
def test_a_share_that_rises_is_found_soon_and_dated(share: float, within: int) -> None:
    stream = np.concatenate((chances(3, 3_000, 0.1, 40), chances(4, 400, share, 40)))
    found = [each for each in clocked(bank(40, bits=True, sided=True), stream) if each.row >= 3_000]
    assert np.quantile(delays(found, 3_000, 40), 0.9) <= within
    assert np.median([each.mean_before for each in found]) == pytest.approx(0.1, abs=0.01)
    assert np.median([each.mean_after for each in found]) == pytest.approx(share, abs=0.08)
    assert np.median([each.row - each.since + 1 for each in found]) == pytest.approx(3_000, abs=10)


def test_what_was_never_seen_and_is_always_now_is_found_in_some_rows() -> None:
    """A feature that breaks: at once, and with most of it."""
    stream = np.concatenate((np.zeros((2_000, 1)), np.ones((50, 1))))
    (found,) = clocked(bank(bits=True, sided=True), stream)
    assert found.row < 2_005
    assert found.mean_after > 0.4


@pytest.mark.parametrize(("usual", "within"), [(0.0, 40), (0.001, 120)])
def test_what_is_nearly_always_so_is_watched_as_well_as_what_nearly_never_is(usual: float, within: int) -> None:
    """The first value comes after none, and a rare one or two do not show how those after them are."""
    rare = np.concatenate((chances(3, 3_000, usual, 40), chances(4, 400, 0.3, 40)))
    for stream in (rare, 1.0 - rare):
        found = clocked(bank(40, bits=True), stream)
        assert np.quantile(delays(found, 3_000, 40), 0.9) <= within
        assert np.median([each.row - each.since + 1 for each in found]) == pytest.approx(3_000, abs=10)


def test_where_little_is_wrong_and_very_wrong_it_is_a_rise_although_most_got_better() -> None:
    """The costs of a model that has become too sure of itself."""
    draw = np.random.default_rng(5)
    wrong = draw.random((3_000, 10)) < 0.2
    cost = np.where(wrong, np.where(np.arange(3_000)[:, None] < 2_000, 1.6, 6.9), 0.2)
    cost[2_000:][~wrong[2_000:]] = 0.001
    found = [each for each in clocked(bank(10, sided=True), cost) if each.row >= 2_000]
    assert delays(found, 2_000, 10).max() < 120
    assert np.median([each.mean_after for each in found]) > 1.0


def test_a_wider_loss_that_costs_less_in_the_mean_is_told_once_and_harm_is_found_after_it() -> None:
    stream = normal(6, 7_000, 20)
    stream[2_000:] = stream[2_000:] * 1.5 - 0.7
    stream[6_000:] += 1.5
    found = clocked(bank(20, sided=True), stream)
    better, worse = [[each for each in found if (each.mean_after > each.mean_before) is harm] for harm in (False, True)]
    assert {each.column for each in better if 2_000 <= each.row < 6_000} == set(range(20))
    assert sum(each.row >= 2_000 for each in better) < 2 * 20
    assert np.quantile(delays([each for each in worse if each.row >= 6_000], 6_000, 20), 0.8) < 100


@pytest.mark.parametrize("bits", [False, True])
def test_a_column_alarms_once_and_is_silent_until_it_is_reset(bits: bool) -> None:
    before, after = (
        (chances(7, 1_500, 0.1), chances(8, 1_000, 0.8)) if bits else (normal(7, 1_500), normal(8, 1_000) + 3)
    )
    watching = bank(bits=bits)
    assert [each.row < 1_540 for each in clocked(watching, np.concatenate((before, after[:500])))] == [True]
    assert clocked(watching, after[:300], 2_000) == []
    watching.reset(0)
    (again,) = clocked(watching, after[300:], 2_300)
    assert again.row < 2_340
    assert again.mean_before == pytest.approx(0.1 if bits else 0.0, abs=0.03)  # the baseline is the same


def test_better_is_the_new_baseline_once_there_is_as_much_of_it() -> None:
    """Of 30 % errors 5 % are left; then 15 % are harm, although that was fine once."""
    parts = chances(1, 2_000, 0.3), chances(2, 3_000, 0.05), chances(3, 500, 0.15)
    fall, rise = clocked(bank(bits=True, sided=True), np.concatenate(parts))
    assert 2_000 < fall.row < 2_060
    assert (fall.mean_before, fall.mean_after) == (pytest.approx(0.3, abs=0.03), pytest.approx(0.05, abs=0.08))
    assert 5_000 < rise.row < 5_350
    assert (rise.mean_before, rise.mean_after) == (pytest.approx(0.05, abs=0.02), pytest.approx(0.15, abs=0.06))


def test_a_loss_that_got_better_is_measured_from_there() -> None:
    """It fell by one standard deviation; half of one above that is harm, although it was fine once."""
    stream = normal(16, 6_000)
    stream[2_000:] -= 1.0
    stream[5_500:] += 0.8
    fall, rise = clocked(bank(sided=True), stream)
    assert 2_000 < fall.row < 2_080
    assert (fall.mean_before, fall.mean_after) == (0.0, pytest.approx(-1.0, abs=0.3))
    assert 5_500 < rise.row < 5_700
    assert (rise.mean_before, rise.mean_after) == (pytest.approx(-1.0, abs=0.3), pytest.approx(-0.2, abs=0.4))


def test_where_both_ways_matter_better_is_a_change_like_any() -> None:
    stream = np.concatenate((chances(1, 2_000, 0.3), chances(2, 3_000, 0.05)))
    (found,) = clocked(bank(bits=True), stream)
    assert found.row < 2_060


def test_a_share_that_is_known_is_learned_from_half_the_rows() -> None:
    briefly, whole = bank(bits=True), bank(bits=True)
    briefly.learn_from(0, 500)
    rows = np.concatenate((chances(9, 600, 0.1), chances(10, 200, 0.7)))
    (found,) = clocked(briefly, rows)
    assert 600 <= found.row < 630
    assert found.mean_before == pytest.approx(0.1, abs=0.03)
    assert clocked(whole, rows) == []


# -- taught elsewhere --------------------------------------------------------------------------------------------------


def correlated(seed: int, rows: int) -> Stream:
    values = normal(seed, rows)
    for row in range(1, rows):
        values[row] += 0.95 * values[row - 1]
    return values + 100.0


def begun(taught: Stream, rows: int = 1_000) -> ShiryaevBank:
    made = bank(rows=rows)
    made.update(taught, np.arange(len(taught), dtype=float), taught)
    made.begin()
    return made


def test_the_first_value_after_a_gap_is_held_against_no_other() -> None:
    """Held against the last one before the gap, or against none, it would be the wildest there ever was."""
    taught = correlated(17, 2_000)
    far, near = begun(taught), begun(taught)
    for watching, value in ((far, taught.min()), (near, taught[-1, 0])):
        assert clocked(watching, np.array([[value]])) == []
    assert (far._evidence == near._evidence).all()


def test_a_gap_is_no_time_that_passed_and_evidence_begins_anew() -> None:
    stream = normal(18, 1_500)
    stream[1_400:] += 0.6  # not enough to be found
    watching = begun(stream)
    assert clocked(watching, normal(19, 500), first=10**12) == []
    (found,) = clocked(watching, normal(20, 100) + 2.0, first=10**12 + 500)
    assert 500 <= found.row - 10**12 < 520


def test_one_that_has_alarmed_watches_again_and_one_that_has_not_learned_enough_learns_anew() -> None:
    stream = np.concatenate((normal(21, 1_200), normal(22, 400) + 3.0))
    assert clocked(begun(stream), normal(23, 60) + 3.0) != []
    assert clocked(begun(normal(24, 900) + 9.0), normal(25, 1_500)) == []
    (found,) = clocked(begun(normal(24, 900) + 9.0), np.concatenate((normal(25, 1_100), normal(26, 60) + 3.0)))
    assert found.row >= 1_100


@pytest.mark.parametrize("make", [normal, correlated])
def test_a_column_can_learn_from_fewer_values_all_of_which_count(make: Callable[[int, int], Stream]) -> None:
    made = bank(rows=5_000)
    made.learn_from(0, 300)
    made.update(make(27, 299))
    assert not made.ready(0)
    made.update(make(28, 1))
    assert made.ready(0)
