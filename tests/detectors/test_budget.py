"""What each column may spend adds up to what was asked for, and is told in words."""

import pytest

from detectors.budget import ARRIVAL_COLUMNS, LOSS_COLUMNS, MONTH_MS, Family, allowance, in_unit, in_words
from detectors.config import ModelConfig

PLAIN = ModelConfig()
SEGMENTED = ModelConfig(segments=("country", "device"), segment_values_max=7)


def spent(config: ModelConfig, inputs: int, labels: int, *, segment: bool) -> float:
    """The shares of all columns that one monitor may have."""
    columns = {
        Family.INPUTS: inputs,
        Family.LOSSES: LOSS_COLUMNS,
        Family.LABELS: labels,
        Family.ARRIVAL: ARRIVAL_COLUMNS,
    }
    return sum(count * allowance(config, family, count, segment=segment).share for family, count in columns.items())


@pytest.mark.parametrize(("inputs", "labels"), [(1, 1), (7, 3), (1_000, 9), (0, 0), (3, 0)])
def test_the_columns_of_a_model_spend_no_more_than_all_of_it(inputs: int, labels: int) -> None:
    whole = spent(PLAIN, inputs, labels, segment=False)
    assert whole <= 1.0 + 1e-12
    if inputs and labels:
        assert whole == pytest.approx(1.0)


@pytest.mark.parametrize("inputs", [1, 40])
def test_a_model_and_all_its_segments_spend_no_more_than_all_of_it(inputs: int) -> None:
    """Of each segment name there are so many values, and one monitor for the rest."""
    monitors = len(SEGMENTED.segments) * (SEGMENTED.segment_values_max + 1)
    model, segment = (spent(SEGMENTED, inputs, 2, segment=each) for each in (False, True))
    assert model == pytest.approx(0.5)
    assert model + monitors * segment == pytest.approx(1.0)


def test_columns_of_a_family_have_the_same_part() -> None:
    one, ten = (allowance(PLAIN, Family.INPUTS, columns, segment=False) for columns in (1, 10))
    assert one.share == pytest.approx(10 * ten.share)
    assert ten.time_per_alarm == pytest.approx(10 * one.time_per_alarm)
    assert one.head == ten.head  # together they start with as much as one does


@pytest.mark.parametrize("pages", [0.1, 1.0, 4.0])
def test_a_month_is_shared_out_in_milliseconds(pages: float) -> None:
    config = ModelConfig(false_pages_per_month=pages)
    allowed = allowance(config, Family.LOSSES, 1, segment=False)
    assert not allowed.in_rows
    assert allowed.time_per_alarm == pytest.approx(MONTH_MS / pages / 0.25)
    assert in_unit(config, MONTH_MS) == pytest.approx(30.0)  # days


def test_rows_are_shared_out_as_they_are_and_come_before_months() -> None:
    config = ModelConfig(false_pages_per_month=7.0, rows_per_false_alarm=1_000.0)
    allowed = allowance(config, Family.LOSSES, 1, segment=False)
    assert allowed.in_rows
    assert allowed.time_per_alarm == pytest.approx(4_000.0)
    assert in_unit(config, 4_000.0) == 4_000.0


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            PLAIN,
            "days without a change for each false alarm of this signal, which has 5.00% of 1 false pages a month",
        ),
        (
            ModelConfig(false_pages_per_month=0.25),
            "days without a change for each false alarm of this signal, which has 5.00% of 0.25 false pages a month",
        ),
        (
            ModelConfig(rows_per_false_alarm=2_000_000),
            "rows without a change for each false alarm of this signal, "
            "which has 5.00% of one false alarm in 2,000,000 rows",
        ),
    ],
)
def test_a_threshold_says_where_it_comes_from(config: ModelConfig, said: str) -> None:
    assert in_words(config, 0.05) == said
