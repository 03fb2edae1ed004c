"""What the detector that keeps to a budget leaves alone, and that it is wrong as rarely as was asked."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.banks.contract import Finding, Matrix
from detectors.banks.shiryaev import HEAD_SHARE, ShiryaevBank
from tests.detectors.banks.streams import Stream
from tests.detectors.banks.watched import bank, chances, clocked, delays, normal


@pytest.mark.parametrize("value", [0.0, 1.0, -7.5, 5e-324, 1e300, -1.7e308])
def test_a_constant_is_no_change(value: float) -> None:
    assert clocked(bank(), np.full((4_000, 1), value)) == []


@pytest.mark.parametrize("bits", [False, True])
def test_nothing_at_all_is_no_change(bits: bool) -> None:
    watching = bank(2, bits=bits)
    stream = np.full((3_000, 2), np.nan)
    stream[:, 1] = chances(1, 3_000, 0.3)[:, 0]
    assert clocked(watching, stream) == []


def test_one_reading_that_is_far_off_is_no_change() -> None:
    stream = normal(10, 4_000)
    stream[[2_000, 2_500, 3_000]] = 1e300
    assert clocked(bank(), stream) == []


@pytest.mark.parametrize("values", [(0.0, 1.0), (1.0, 2.0, 3.0), tuple(range(10))])
def test_values_of_which_there_are_few_are_watched_like_others(values: tuple[float, ...]) -> None:
    draw = np.random.default_rng(11)
    stream = draw.choice(values, (20_000, 5)).astype(float)
    assert clocked(bank(5, asked=1e7), stream) == []
    stream[15_000:] = np.maximum(stream[15_000:], draw.choice(values, (5_000, 5)))
    assert {each.column for each in clocked(bank(5, asked=1e7), stream) if 15_000 <= each.row < 15_300} == set(range(5))


def waves(seed: int, days: int, columns: int, rows: int = 500) -> tuple[Stream, NDArray[np.float64]]:
    """So many rows a day, and the time of each in days."""
    times = np.arange(days * rows) / rows
    pattern = 1.5 * np.sin(2 * np.pi * times) + 0.7 * np.cos(4 * np.pi * times)
    return normal(seed, days * rows, columns) + pattern[:, None], times


def told_by_day(stream: Stream, times: NDArray[np.float64], day: float) -> list[Finding]:
    watching = bank(stream.shape[1], rows=3_000, day=day)
    return watching.update(stream, np.arange(len(stream), dtype=float), stream, times)


def test_what_comes_back_each_day_is_learned_and_no_change() -> None:
    stream, times = waves(12, 20, 20)
    assert told_by_day(stream, times, 1.0) == []
    unknown = told_by_day(stream, times, 1e9)  # a day that never ends has no pattern
    assert len({each.column for each in unknown}) > 10


def shares_by_day(seed: int, days: int, columns: int, rows: int = 500) -> tuple[Stream, NDArray[np.float64]]:
    """Bits that are 1 three times as often at one time of the day as at another."""
    times = np.arange(days * rows) / rows
    draw = np.random.default_rng(seed)
    return (draw.random((len(times), columns)) < (0.2 + 0.1 * np.sin(2 * np.pi * times))[:, None]).astype(float), times


def bits_told_by_day(stream: Stream, times: NDArray[np.float64], day: float) -> list[Finding]:
    watching = bank(stream.shape[1], bits=True, rows=3_000, day=day)
    return watching.update(stream, np.arange(len(stream), dtype=float), None, times)


def test_a_share_that_comes_and_goes_each_day_is_learned_and_no_change() -> None:
    stream, times = shares_by_day(17, 60, 6)
    assert bits_told_by_day(stream, times, 1.0) == []
    assert {each.column for each in bits_told_by_day(stream, times, 1e9)} == set(range(6))


def test_a_share_that_rises_on_top_of_what_comes_back_each_day_is_found() -> None:
    stream, times = shares_by_day(18, 30, 6)
    more = np.random.default_rng(19).random((7_000, 6)) < 0.2
    stream[8_000:] = np.maximum(stream[8_000:], more)
    found = [each for each in bits_told_by_day(stream, times, 1.0) if each.row >= 8_000]
    assert {each.column for each in found} == set(range(6))
    assert max(each.row for each in found) < 8_400
    assert np.median([each.mean_after - each.mean_before for each in found]) == pytest.approx(0.16, abs=0.1)


def weekends(seed: int, weeks: int, columns: int, rows: int = 100) -> tuple[Stream, NDArray[np.float64]]:
    """So many rows a day on top of a daily pattern; a standard deviation and a half more on days 2 and 3 of a week."""
    stream, times = waves(seed, 7 * weeks, columns, rows)
    return stream + 1.5 * np.isin(times.astype(int) % 7, (2, 3))[:, None], times


def test_what_comes_back_each_weekend_is_learned_from_one_that_was_seen_and_no_change() -> None:
    stream, times = weekends(9, 20, 6)  # of rows that teach, the first half is of two weeks
    assert told_by_day(stream, times, 1.0) == []
    told = told_by_day(stream, times + 3.5, 1.0)  # as if weekends were in the middle of the week
    assert {each.column for each in told} == set(range(6))


def test_a_shift_that_is_there_on_working_days_too_is_found() -> None:
    stream, times = weekends(10, 20, 6)
    stream[7_000:] += 1.0
    found = [each for each in told_by_day(stream, times, 1.0) if each.row >= 7_000]
    assert {each.column for each in found} == set(range(6))
    assert max(each.row for each in found) < 7_200


def test_a_shift_is_found_on_top_of_what_comes_back_each_day() -> None:
    stream, times = waves(13, 20, 20)
    stream[8_000:] += 1.0
    found = [each for each in told_by_day(stream, times, 1.0) if each.row >= 8_000]
    assert np.quantile(delays(found, 8_000, 20), 0.9) <= 100


def repeating(seed: int, rows: int, columns: int, correlation: float) -> Stream:
    stream = normal(seed, rows, columns)
    for row in range(1, rows):
        stream[row] = correlation * stream[row - 1] + (1 - correlation**2) ** 0.5 * stream[row]
    return stream


def alarms(watching: ShiryaevBank, rows: int, stream: Matrix) -> float:
    """How many there are where a column that alarmed is watched again, for each that was asked for in so many rows."""
    count = 0
    for start in range(0, len(stream), 500):
        for each in clocked(watching, stream[start : start + 500], start):
            if watching.sided(each.column) and each.mean_after <= each.mean_before:
                continue  # better is no alarm
            count += 1
            watching.reset(each.column)
    watched = (len(stream) - 1_000) * stream.shape[1]
    return count / (watched / rows)


def test_values_that_follow_one_another_closely_raise_about_as_few_alarms() -> None:
    alone, together = (
        alarms(bank(100, asked=4_000.0), 4_000, repeating(14, 13_000, 100, correlation)) for correlation in (0.0, 0.8)
    )
    assert 0.3 < together / alone < 2.5


def test_bits_that_follow_one_another_closely_raise_not_many_more_alarms() -> None:
    """A bit is held against what is usual after one like the bit before it."""
    alone, together = (
        alarms(bank(100, bits=True, asked=4_000.0), 4_000, (repeating(14, 13_000, 100, correlation) > 1.0) * 1.0)
        for correlation in (0.0, 0.8)
    )
    assert 0.3 < together / alone < 4.0  # eight times, where a bit is held against no other


@pytest.mark.parametrize("sided", [False, True])
@pytest.mark.parametrize("bits", [False, True])
def test_it_is_as_rarely_wrong_as_was_asked(bits: bool, sided: bool) -> None:
    """2,000 rows for each false alarm of each of 200 columns: 1,000 alarms, where the promise is kept to the letter."""
    rows = 11_000
    stream = chances(15, rows, 0.2, 200) if bits else normal(15, rows, 200)
    measured = 1.0 / alarms(bank(200, bits=bits, sided=sided, asked=2_000.0), 2_000, stream)
    assert 0.7 < measured < 2.5


@pytest.mark.parametrize("rows", [30, 100, 300])
@pytest.mark.parametrize("bits", [False, True])
def test_what_a_short_baseline_is_wrong_by_is_no_change(bits: bool, rows: int) -> None:
    """Where a baseline was taken as true, one of 30 rows let 70 of 400 columns alarm, and one of 300 nine."""
    watching = ShiryaevBank(400, bits=bits, rows=rows).allow_all(1e9, 1e9 * HEAD_SHARE, sided=False)
    stream = chances(16, 5_000, 0.1, 400) if bits else normal(16, 5_000, 400)
    assert len(clocked(watching, stream)) <= 4


@pytest.mark.parametrize("shift", [0.1, 0.2])
def test_what_stays_doubtful_becomes_usual_and_what_changes_then_is_found(shift: float) -> None:
    """A baseline of 100 rows cannot tell such a shift from what it is wrong by itself, however long it lasts."""
    watching = ShiryaevBank(50, bits=False, rows=100).allow_all(1e9, 1.0, sided=False)
    stream = normal(17, 60_000, 50)
    stream[100:] += shift
    stream[50_000:] += 2.0
    found = [
        each for start in range(0, 60_000, 5_000) for each in clocked(watching, stream[start : start + 5_000], start)
    ]
    before = {each.column for each in found if each.row < 50_000}
    assert len(before) <= 2
    assert before | {each.column for each in found if 50_000 <= each.row < 50_030} == set(range(50))
