"""What corrected labels have changed of the losses that an alarm rests on, and which of them it rests on."""

import math

import msgspec

from detectors.corrections import AT_ONCE, KEPT, Correction, Corrections

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


def test_a_label_that_is_corrected_again_is_one_label_and_none_once_it_is_as_it_was() -> None:
    held = Corrections()
    for row, change in ((1, -1.0), (2, -1.0), (1, 1.0), (2, 1.0), (2, -1.0), (3, 0.0)):
        held.add(Correction(0, change, 0.0, row))
    assert held.between((0, 9), NONE, "loss") == (1, -1.0)
    assert Corrections(held.state()).between((0, 9), NONE, "loss") == (1, -1.0)


def test_what_an_open_alarm_rests_on_is_remembered_however_many_come_after_it() -> None:
    held = Corrections(Correction(0, -1.0, 0.0, row) for row in range(100))
    for row in range(100, 3 * KEPT):
        held.add(Correction(0, -1.0, 0.0, row))
        if row % KEPT == 0:
            held.forget([(40, 59)])
    assert held.between((0, 99), NONE, "loss") == (20, -20.0)
    assert held.forget([])
    assert not held.forget([])
    assert held.between((0, 3 * KEPT), NONE, "loss") == (KEPT, -KEPT)


def test_no_more_are_remembered_than_fit() -> None:
    held = Corrections()
    for row in range(3 * AT_ONCE):
        held.add(Correction(0, -1.0, 0.0, row))
    assert len(held.state()) <= AT_ONCE
