"""The best that a detector can do must be what theory says of it, or it would excuse what it should measure."""

import numpy as np

from load.quality.optimum import Change, change_at, optimum


def test_it_takes_as_long_as_the_evidence_for_so_rare_an_alarm() -> None:
    change = Change(0.1, 0.5, 1)
    said_by_a_row = 0.5 * np.log(0.5 / 0.1) + 0.5 * np.log(0.5 / 0.9)
    for rows in (1e4, 1e6):
        assert 0.5 <= optimum(change, rows) / (np.log(rows) / said_by_a_row) <= 1.1


def test_a_change_that_comes_slowly_or_is_small_takes_longer() -> None:
    sudden = optimum(Change(0.14, 0.86, 1), 1e6)
    assert sudden < optimum(Change(0.14, 0.86, 50), 1e6) < optimum(Change(0.14, 0.86, 200), 1e6)
    assert sudden < optimum(Change(0.14, 0.3, 1), 1e6)


def test_the_change_is_what_the_streams_show() -> None:
    errors = np.concatenate((np.zeros(2_000), np.full(50, 0.5), np.ones(2_000)))
    assert change_at([errors, errors], [2_000], 50) == Change(0.0, 1.0, 50)
