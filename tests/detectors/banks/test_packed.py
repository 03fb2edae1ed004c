"""Numbers to bytes and back, to the last bit."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.banks.contract import StateError
from detectors.banks.packed import pack, pack_steps, unpack, unpack_steps

FLOATS = st.one_of(
    st.floats(width=64),
    st.integers(-(2**60), 2**60).map(float),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 63.0, 64.0, -64.0, -65.0, 0.5, 2.0**48, 2.0**48 - 1, -(2.0**48)]),
)
INTEGERS = st.integers(-(2**63), 2**63 - 1)


def bits(values: NDArray[np.float64]) -> list[int]:
    """Tells one NaN from another, and the zeros apart."""
    return list(values.view(np.uint64).tolist())


@given(st.lists(FLOATS, max_size=70))
@example([float("nan"), float("inf"), -float("inf"), -0.0, 5e-324])
@example([])
def test_floats_come_back_as_they_were(values: list[float]) -> None:
    given_values = np.array(values, dtype=np.float64)
    assert bits(unpack(pack(given_values))) == bits(given_values)


def test_every_nan_comes_back_as_itself() -> None:
    odd = np.array([0x7FF8000000000001, 0xFFF0000000000123], dtype=np.uint64).view(np.float64)
    assert bits(unpack(pack(odd))) == bits(odd)


@given(st.lists(INTEGERS, max_size=70), st.integers(1, 3))
@example([2**63 - 1, -(2**63), 2**63 - 1], 1)
def test_integers_come_back_as_they_were(values: list[int], apart: int) -> None:
    given_values = np.array(values, dtype=np.int64)
    assert unpack_steps(pack_steps(given_values, apart), apart).tolist() == values


def test_counts_are_short_and_other_numbers_cost_what_they_hold() -> None:
    assert len(pack(np.full(80, 32.0))) == 4 + 10 + 80
    assert len(pack(np.full(80, 0.1))) == 4 + 10 + 80 * 8


def test_times_that_rise_together_with_offsets_cost_their_steps() -> None:
    rising = np.array([[1_700_000_000_000 + 1_000 * row, 7_000_000 + 16 * row] for row in range(100)], dtype=np.int64)
    assert len(pack_steps(rising.ravel(), 2)) < 4 + 100 * (2 + 1) + 12


@given(st.binary(max_size=80))
def test_no_bytes_do_worse_than_being_refused(data: bytes) -> None:
    for back in (unpack, unpack_steps):
        with suppress(StateError):
            assert len(back(data)) <= len(data)


@given(st.lists(FLOATS, min_size=1, max_size=20), st.integers(0, 10))
def test_what_was_cut_off_or_added_to_is_refused(values: list[float], at: int) -> None:
    whole = pack(np.array(values))
    steps = pack_steps(np.arange(len(values), dtype=np.int64))
    for data, back in ((whole, unpack), (steps, unpack_steps)):
        for bad in (data[: at % len(data)], data + bytes(at + 1)):
            with pytest.raises(StateError):
                back(bad)
