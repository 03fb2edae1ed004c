"""What corrected labels have changed of the losses that an alarm rests on."""

import math

from detectors.corrections import Correction, Corrections

HELD = Corrections([Correction(5, -1.0, math.nan), Correction(6, -1.0, -2.0), Correction(7, math.nan, -0.5)])


def test_those_between_two_times_are_counted_and_added_up() -> None:
    assert HELD.between(5, 6, "loss") == (2, -2.0)
    assert HELD.between(8, 9, "loss") == (0, 0.0)


def test_a_loss_that_could_not_be_had_takes_nothing_from_the_others() -> None:
    """A prediction without a score has no logarithmic loss, and one that its label cannot be compared with has none."""
    assert HELD.between(0, 9, "loss") == (2, -2.0)
    assert HELD.between(0, 9, "log_loss") == (2, -2.5)
