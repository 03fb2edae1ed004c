"""Between which values a change lies, is true 95 times in 100: also where it has become more uncertain than it was."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from detectors.banks.contract import Matrix
from detectors.budget import Allowance
from detectors.config import ModelConfig
from detectors.cure import TWO_SIDED_95
from detectors.encoding import Column
from detectors.evidence import borne_out
from detectors.group import Group
from detectors.rise import rise_of
from schemas.events import Evidence, Kind

LEARNED, ROWS, TRIALS = 992, 128, 250
ALLOWANCE = Allowance(share=1.0, time_per_alarm=1e6, head=1.0, in_rows=True)
EVIDENCE = Evidence(value=1.0, threshold=1.0, threshold_origin="", n=1, baseline=None, effect=1.0)

Draw = Callable[[np.random.Generator, int], Matrix]


def shares(share: float) -> Draw:
    return lambda draw, rows: (draw.random((rows, 1)) < share).astype(float)


def numbers(mean: float, sd: float) -> Draw:
    return lambda draw, rows: draw.normal(mean, sd, (rows, 1))


def losses(mean: float) -> Draw:
    return lambda draw, rows: draw.exponential(mean, (rows, 1))


def changed(before: Draw, after: Draw, *, rate: bool, rows: int = ROWS) -> Iterator[Group]:
    draw = np.random.default_rng(5)
    for _ in range(TRIALS):
        group = Group(ModelConfig(baseline_rows=LEARNED), (), rate=rate)
        group.grow([Column("loss", Kind.CONCEPT_DRIFT)], ALLOWANCE)
        for first, values in ((0, before(draw, LEARNED)), (LEARNED, after(draw, rows))):
            _, blocks = group.update(values, first, np.zeros(len(values)))
            group.remember(blocks, range(len(blocks.ends)))
        yield group


RATES = [(shares(0.02), shares(0.3), 0.28), (shares(0.3), shares(0.02), -0.28), (shares(0.02), shares(0.0), -0.02)]


@pytest.mark.parametrize(("before", "after", "effect"), RATES)
def test_where_a_share_lies_that_rows_bear_out(before: Draw, after: Draw, effect: float) -> None:
    inside = 0
    for group in changed(before, after, rate=True):
        detail = borne_out(group, 0, EVIDENCE, group.recent(0, ROWS // 32), spread=False).detail
        low, high = detail["effect_low"], detail["effect_high"]
        assert isinstance(low, float)
        assert isinstance(high, float)
        inside += low <= effect <= high
    assert inside >= 0.92 * TRIALS


def test_where_a_number_lies_that_varies_more_than_it_did() -> None:
    inside = 0
    for group in changed(numbers(0.0, 1.0), numbers(1.0, 3.0), rate=False):
        detail = borne_out(group, 0, EVIDENCE, group.recent(0, ROWS // 32), spread=False).detail
        low, high = detail["effect_low"], detail["effect_high"]
        assert isinstance(low, float)
        assert isinstance(high, float)
        mean, scale = group.baseline.mean[0], group.baseline.scale[0]
        inside += mean + low * scale <= 1.0 <= mean + high * scale
    assert inside >= 0.92 * TRIALS


@pytest.mark.parametrize(
    ("before", "after", "rise", "rate"),
    [(shares(0.02), shares(0.3), 0.28, True), (losses(0.5), losses(2.0), 1.5, False)],
)
def test_where_a_rise_of_the_loss_lies(before: Draw, after: Draw, rise: float, rate: bool) -> None:
    inside = 0
    for group in changed(before, after, rate=rate):
        told = rise_of(group, LEARNED)
        unit = 1.0 if rate else float(group.baseline.scale[0])
        reach = TWO_SIDED_95 * told.doubt
        assert told.values == ROWS
        inside += unit * (told.effect - reach) <= rise <= unit * (told.effect + reach)
    assert inside >= 0.92 * TRIALS


def test_what_decides_is_how_much_a_rise_is_by_chance() -> None:
    """However uncertain is how large it is."""
    group = next(changed(shares(0.1), shares(0.5), rate=True))
    rise, share = rise_of(group, LEARNED), float(group.baseline.mean[0])
    assert rise.error == pytest.approx((share * (1.0 - share) * (1.0 / ROWS + 1.0 / LEARNED)) ** 0.5)
    assert rise.doubt > rise.error


@pytest.mark.parametrize("usual", [7, 10, 16, 20])
@pytest.mark.parametrize("wrong", [0, 1, 31, 32])
def test_a_rise_of_errors_is_counted_as_they_came(usual: int, wrong: int) -> None:
    """Of 992; blocks keep their level in steps of an error, and what is usual lies between two of them."""
    group = Group(ModelConfig(baseline_rows=LEARNED), (), rate=True)
    group.grow([Column("loss", Kind.CONCEPT_DRIFT)], ALLOWANCE)
    rows = np.arange(LEARNED + 512)
    errors = np.where(rows < LEARNED, rows < usual, rows % 32 < wrong).astype(float)[:, None]
    _, blocks = group.update(errors, 0, np.zeros(len(rows)))
    group.remember(blocks, range(len(blocks.ends)))
    told = rise_of(group, LEARNED)
    assert told.effect == pytest.approx(wrong / 32 - usual / LEARNED, abs=1e-12)
    assert told.doubt > 0.0
