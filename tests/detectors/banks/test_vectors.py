"""Vectors are to the bit what their loops are, and machine code of an older text of them is never run."""

from pathlib import Path
from typing import Any
from zlib import crc32

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.banks import shiryaev_steps, vectors

Row = NDArray[np.float64]
AWAY = (0.0, 1.5, -2.25, 1e-300, 1e300)  # such as make what is nearly nothing, and what is infinite


@pytest.mark.parametrize(("many", "moments"), [(16, 3), (12, 4), (2, 2)])
def test_weighing_is_its_loop(many: int, moments: int) -> None:
    weigh = _compiled(vectors.weighing(many, moments))
    draw = np.random.default_rng(many)
    likelier = np.exp(draw.normal(size=(5, many)))
    up, down = draw.random(size=(2, many))
    own = draw.random(moments * many)
    expected = own.copy()
    for row, away in enumerate(AWAY * 40):
        cell, passed = row % 5, float(row % 3)
        sums = weigh(own, likelier, cell, passed, away, up, down)
        with np.errstate(all="ignore"):
            wanted = _weighed(expected.reshape(moments, many), likelier[cell], passed, away, up, down)
        assert own.tobytes() == expected.tobytes()
        assert np.array(sums).tobytes() == np.array(wanted).tobytes()


def _compiled(weigh: Any) -> Any:
    def run(own: Any, likelier: Any, cell: Any, passed: Any, away: Any, up: Any, down: Any) -> Any:
        return weigh(own, likelier, cell, passed, away, up, down)

    return numba.njit(run)


def _weighed(own: Any, factor: Row, passed: float, away: float, up: Row, down: Row) -> list[float]:
    more = own[0] + passed
    own[0] = more * factor
    for moment in range(1, len(own)):
        own[moment] = (own[moment] + more) * factor
        more = more * away
    totals = []
    for weights in (up, down):
        one = other = np.float64(0.0)
        for k in range(0, len(weights), 2):
            one, other = one + weights[k] * own[0, k], other + weights[k + 1] * own[0, k + 1]
        totals.append(one + other)
    return totals


def test_a_rank_is_a_count_of_the_cuts_below() -> None:
    rank = vectors.ranking(23)

    @numba.njit  # type: ignore[untyped-decorator]
    def ranked(cuts: Any, value: Any) -> Any:
        return rank(cuts, value)

    cuts = np.sort(np.random.default_rng(1).normal(size=23))
    for value in (*cuts.tolist(), -np.inf, np.inf, 0.0, -0.0, 1e-9, np.nan):
        assert ranked(cuts, value) == int((value > cuts).sum())


def test_kernels_say_which_text_they_are_compiled_with() -> None:
    """numba keeps machine code as long as the kernels' own file stays as it is."""
    assert f"{crc32(Path(vectors.__file__).read_bytes()):08x}" == shiryaev_steps.VECTORS
