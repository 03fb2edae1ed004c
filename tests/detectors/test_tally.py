"""Counts as they stood at one record of a batch."""

import numpy as np

from detectors.tally import DELAYS, Labels, Level


def test_labels_count_up_to_and_with_the_record() -> None:
    labels = Labels()
    for index in (2, 2, 5):
        labels.add([index], [1])
    assert [labels.joined_at(index) for index in (0, 1, 2, 4, 5, 9)] == [0, 0, 2, 2, 3, 3]


def test_labels_of_earlier_batches_stand_in_every_record_of_this_one() -> None:
    labels = Labels()
    labels.add([7], [1])
    labels.settle()
    labels.add([3], [1])
    assert (labels.joined_at(0), labels.joined_at(3)) == (1, 2)


def test_the_median_delay_sees_only_what_came_before() -> None:
    labels = Labels()
    assert labels.median_delay_at(9) is None
    for index, delay in enumerate((100, 1, 2)):
        labels.add([index], [delay])
    assert [labels.median_delay_at(index) for index in range(3)] == [100, 100, 2]


def test_the_median_is_of_the_newest_delays() -> None:
    labels = Labels()
    for index in range(3 * DELAYS):
        labels.add([index], [index])
    newest = 3 * DELAYS - 1
    assert labels.median_delay_at(newest) == newest - DELAYS // 2
    labels.settle()
    assert labels.median_delay_at(0) == newest - DELAYS // 2
    assert Labels.of(labels.joined, list(labels.delays)).median_delay_at(0) == newest - DELAYS // 2


def test_a_level_is_what_was_noted_last_at_or_before_the_record() -> None:
    level = Level()
    level.note(1, 10)
    level.note(4, 20)
    assert [level.at(index) for index in (1, 3, 4, 9)] == [10, 10, 20, 20]


def test_a_level_is_noted_at_each_of_a_run_of_records() -> None:
    level = Level()
    level.note(1, 10)
    level.note_all(np.array([3, 5, 6]), np.array([20, 21, 19]))
    level.note(9, 7)
    assert [level.at(index) for index in (1, 3, 4, 5, 6, 8, 9)] == [10, 20, 20, 21, 19, 19, 7]
    level.settle()
    level.note(0, 1)
    assert level.at(3) == 1
