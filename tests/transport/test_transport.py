"""What the transport decides without a broker: where to read on, and what it refuses to join."""

import pytest
from faust.types import TP

from streams.errors import DriftlineError
from streams.gaps import Hole
from streams.reading import DataGapError, hole, seek_place, whole_numbers

INPUTS = ("control", "predictions", "outcomes")
PREDICTIONS = TP("predictions", 2)


def test_a_state_without_a_place_reads_from_the_beginning_that_is_left():
    assert seek_place(PREDICTIONS, None, first=40, end=100) == 40


def test_a_state_with_a_place_goes_on_there():
    assert seek_place(PREDICTIONS, 100, first=40, end=100) == 100


def test_what_retention_took_before_it_was_applied_is_passed_and_told_with_its_range():
    assert seek_place(PREDICTIONS, 30, first=40, end=100) == 40
    assert hole(PREDICTIONS, 30, 40) == Hole("predictions", 30, 39)


def test_a_state_without_a_place_misses_everything_before_what_is_left():
    assert hole(PREDICTIONS, None, 40) == Hole("predictions", 0, 39)


def test_a_place_that_is_still_there_leaves_no_hole():
    assert (hole(PREDICTIONS, None, 0), hole(PREDICTIONS, 40, 40)) == (None, None)


def test_a_topic_that_was_made_anew_is_not_taken_for_the_one_that_was_read():
    with pytest.raises(DataGapError, match=r"predictions\[2\]: ends at 7, but 99 was applied"):
        seek_place(PREDICTIONS, 100, first=0, end=7)


def test_a_partition_number_comes_with_all_its_topics():
    assigned = [TP(topic, number) for topic in INPUTS for number in (3, 1)]
    assert whole_numbers(assigned, INPUTS) == [1, 3]


def test_a_partition_number_that_lacks_a_topic_is_refused_by_name():
    assigned = [TP(topic, 1) for topic in ("predictions", "outcomes")]
    with pytest.raises(DriftlineError, match="partition 1: control did not come with outcomes, predictions"):
        whole_numbers(assigned, INPUTS)
