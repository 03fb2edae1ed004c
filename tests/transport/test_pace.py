"""When a commit is due: by time, by what the last one cost, and by what has piled up."""

import pytest

from streams.pace import EFFECT_BYTES_MAX, RECORDS_MAX, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def paced(clock: Clock) -> Pace:
    return Pace(0.2, clock)


def test_a_commit_is_due_an_interval_after_the_last_one():
    clock = Clock()
    pace = paced(clock)
    pace.took(10, 0)
    assert not pace.due
    clock.now += 0.2
    assert pace.due
    assert pace.committed(0.01) == 10
    assert not pace.due
    clock.now += 0.2
    assert pace.due


def test_commits_of_all_partitions_take_about_a_tenth_of_the_time():
    clock = Clock()
    pace = Pace(0.2, clock, sharers=lambda: 4)
    pace.committed(0.02)
    clock.now += 0.71
    assert not pace.due
    clock.now += 0.02
    assert pace.due


@pytest.mark.parametrize(("took_s", "rest_s"), [(0.2, 1.0), (2.0, 6.0)])
def test_a_slow_commit_holds_events_back_for_a_second_or_three_times_as_long_as_it_took(took_s: float, rest_s: float):
    clock = Clock()
    pace = paced(clock)
    pace.committed(took_s)
    clock.now += rest_s - 0.01
    assert not pace.due
    clock.now += 0.02
    assert pace.due


def test_the_rest_after_a_very_slow_commit_is_not_taken_for_a_stall():
    clock = Clock()
    pace = Pace(0.2, clock, sharers=lambda: 4, stall_s=60.0)
    pace.committed(5.0)
    clock.now += 9.9
    pace.took(1, 0, urgent=True)
    assert not pace.due
    clock.now += 0.2
    assert pace.due


def test_what_is_urgent_does_not_wait_for_the_interval():
    clock = Clock()
    pace = paced(clock)
    pace.took(1, 0, urgent=True)
    assert pace.due
    pace.committed(0)
    pace.took(1, 0)
    assert not pace.due, "what was urgent is out"
    pace.took(1, 0, urgent=True)
    pace.took(1, 0)
    assert pace.due


def test_commits_for_what_is_urgent_take_half_of_the_time_at_most():
    clock = Clock()
    pace = Pace(0.2, clock, sharers=lambda: 4)
    pace.committed(0.02)
    pace.took(1, 0, urgent=True)
    clock.now += 0.07
    assert not pace.due
    clock.now += 0.02
    assert pace.due


def test_many_records_or_large_effects_do_not_wait():
    clock = Clock()
    for records, size in ((RECORDS_MAX, 0), (1, EFFECT_BYTES_MAX)):
        pace = paced(clock)
        pace.took(records - 1, size // 2)
        assert not pace.due
        pace.took(1, size - size // 2)
        assert pace.due
        pace.committed(0)
        assert not pace.due
