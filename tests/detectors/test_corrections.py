"""What corrected labels have changed of the losses that an alarm rests on, and which of them it rests on."""

import math

import msgspec

from detectors.corrections import Correction, Corrections

NONE = 0, 0
HELD = Corrections([Correction(5, -1.0, math.nan), Correction(6, -1.0, -2.0), Correction(7, math.nan, -0.5)])


def test_those_between_two_times_are_counted_and_added_up() -> None:
    assert HELD.between(NONE, (5, 6), "loss") == (2, -2.0)
    assert HELD.between(NONE, (8, 9), "loss") == (0, 0.0)


def test_a_loss_that_could_not_be_had_takes_nothing_from_the_others() -> None:
    """A prediction without a score has no logarithmic loss, and one that its label cannot be compared with has none."""
    assert HELD.between(NONE, (0, 9), "loss") == (2, -2.0)
    assert HELD.between(NONE, (0, 9), "log_loss") == (2, -2.5)


def test_those_count_whose_losses_lie_in_the_rows_whenever_their_predictions_were_made() -> None:
    held = Corrections([Correction(at, -1.0, -0.5, row) for at, row in ((9, 4), (1, 5), (5, 7), (5, 8))])
    assert held.between((5, 7), (5, 5), "loss") == (2, -2.0)
    assert held.between((5, 7), (5, 5), "log_loss") == (2, -1.0)


def test_of_one_from_before_rows_were_kept_the_time_of_its_prediction_tells() -> None:
    before = msgspec.msgpack.encode([[4, -1.0, 0.0], [5, -1.0, 0.0], [6, -1.0, 0.0]])
    held = Corrections(msgspec.msgpack.decode(before, type=list[Correction]))
    assert held.between((0, 0), (5, 6), "loss") == (2, -2.0)
