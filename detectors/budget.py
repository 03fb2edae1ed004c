"""How many false alarms a user can bear, shared out over everything that could raise one.

A model has one budget: false pages a month of stream time, or rows for each. Where segments are declared, the model as
a whole has half of it and each segment an equal part of the rest. Within each, a quarter is the losses', a tenth the
labels', a twentieth that of how predictions come (twice, stale, slow), and the rest that of features, predictions and
scores. Every column of these has the same part. The parts are rates, so they hold at any time and add up to the budget,
however many columns there are and whenever they came.
"""

from enum import Enum
from typing import NamedTuple

from detectors.banks.shiryaev import DAY_MS, HEAD_SHARE
from detectors.config import ModelConfig

MONTH_MS = 30 * DAY_MS
LOSS_SHARE = 0.25
LOSS_COLUMNS = 2  # the loss and the log loss, at most
LABELS_SHARE = 0.1
ARRIVAL_SHARE = 0.05
ARRIVAL_COLUMNS = 3
SEGMENTS_SHARE = 0.5


class Allowance(NamedTuple):
    """What one column may spend. In rows or in milliseconds, as ``in_rows`` says."""

    share: float  # of the model's budget
    time_per_alarm: float
    head: float  # where evidence starts: the same part of the budget for all columns together, however many
    in_rows: bool
    stricter: int = 1  # so many times as long without a false alarm as was asked for, after verdicts


class Family(Enum):
    """Columns among which a part is shared out: those of one family must come in one order, whatever the batches."""

    INPUTS = 1.0 - LOSS_SHARE - LABELS_SHARE - ARRIVAL_SHARE
    ARRIVAL = ARRIVAL_SHARE
    LOSSES = LOSS_SHARE
    LABELS = LABELS_SHARE


def allowance(config: ModelConfig, family: Family, columns: int, *, segment: bool, stricter: int = 1) -> Allowance:
    """For each of so many columns of one family."""
    share = family.value / max(1, columns)
    if config.segments:
        scopes = len(config.segments) * (config.segment_values_max + 1)  # one is that of all other values
        share *= SEGMENTS_SHARE / scopes if segment else 1.0 - SEGMENTS_SHARE
    in_rows = config.rows_per_false_alarm is not None
    whole = config.rows_per_false_alarm or MONTH_MS / config.false_pages_per_month
    return Allowance(share, stricter * whole / share, HEAD_SHARE * whole, in_rows, stricter)


def in_unit(config: ModelConfig, time: float) -> float:
    """In the unit that ``in_words`` names."""
    return time if config.rows_per_false_alarm is not None else time / DAY_MS


def asked(config: ModelConfig) -> str:
    """The whole budget, as whoever set it would say it."""
    if config.rows_per_false_alarm is not None:
        return f"one false alarm in {config.rows_per_false_alarm:,.0f} rows"
    return f"{config.false_pages_per_month:g} false pages a month"


def in_words(config: ModelConfig, share: float, stricter: int = 1) -> str:
    """Where a threshold came from."""
    unit = "days" if config.rows_per_false_alarm is None else "rows"
    whole = asked(config) + (f", {stricter} times as strict after verdicts" if stricter > 1 else "")
    return f"{unit} without a change for each false alarm of this signal, which has {share:.2%} of {whole}"
