"""``driftline check --calibration``: what a budget of false alarms means for one model, before it is lived with.

Thresholds follow from the budget. How soon a change is found at them is measured here on streams made for it, from one
seed, so that the same configuration always says the same.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from detectors.banks.contract import Matrix
from detectors.banks.shiryaev import DAY_MS, WATCH, ShiryaevBank
from detectors.budget import ARRIVAL_COLUMNS, LOSS_COLUMNS, MONTH_MS, Allowance, Family, allowance, asked
from detectors.config import ModelConfig

STREAMS = 60
SETTLED = 2_000  # rows that go well before the change: evidence starts higher than it then stands
LATEST = 20_000  # rows after a change that are looked at
SEED = 1
LABEL_COLUMNS = 2
ERRORS = ((0.1, 0.15), (0.1, 0.2), (0.1, 0.3))
SHIFTS = (0.5, 1.0, 2.0)  # standard deviations
SPREAD = 2.0
_CHUNK = 500


class Traffic(NamedTuple):
    """What is not in a configuration."""

    rows_per_month: float
    columns: int  # that features, prediction and score come to, shares of categories and of missing values included


def explained(name: str, config: ModelConfig, traffic: Traffic) -> Iterator[str]:
    """The lines about one model."""
    if WATCH not in config.detectors or WATCH not in config.loss_detectors:
        yield f"{name}: without {WATCH} among detectors and loss_detectors there is no budget to keep to"
        return
    at = "" if config.rows_per_false_alarm is not None else f", at {traffic.rows_per_month:,.0f} rows a month"
    yield f"{name}: {asked(config)}{at}"
    for family, columns, what in (
        (Family.LOSSES, LOSS_COLUMNS, "losses"),
        (Family.LABELS, LABEL_COLUMNS, "labels"),
        (Family.INPUTS, traffic.columns, "features, predictions and scores"),
        (Family.ARRIVAL, ARRIVAL_COLUMNS, "duplicate, stale and slow predictions"),
    ):
        own = allowance(config, family, columns, segment=False)
        each = f"{own.time_per_alarm:,.0f} rows" if own.in_rows else f"{own.time_per_alarm / DAY_MS:,.0f} days"
        yield f"  {what}: {columns} columns, each with {own.share:.2%} of the budget: a false alarm in {each}"
    rows = config.baseline_rows
    losses, inputs = (
        _in_rows(allowance(config, family, columns, segment=False), traffic)
        for family, columns in ((Family.LOSSES, LOSS_COLUMNS), (Family.INPUTS, traffic.columns))
    )
    yield f"  rows until a change is found, in the middle of {STREAMS} streams with {rows:,} rows of baseline:"
    for before, after in ERRORS:
        yield f"    errors {before:.0%} to {after:.0%}: {_said(_errors(before, after, losses, rows))}"
    for shift in SHIFTS:
        yield f"    a feature moves by {shift:g} standard deviations: {_said(_numbers(shift, 1.0, inputs, rows))}"
    yield f"    a feature spreads {SPREAD:g} times as wide: {_said(_numbers(0.0, SPREAD, inputs, rows))}"


def _in_rows(own: Allowance, traffic: Traffic) -> Allowance:
    if own.in_rows:
        return own
    scale = traffic.rows_per_month / MONTH_MS
    return own._replace(time_per_alarm=own.time_per_alarm * scale, head=own.head * scale, in_rows=True)


def _said(rows: float) -> str:
    if np.isnan(rows):
        return "false alarms come first"
    return f"{rows:,.0f}" if np.isfinite(rows) else f"more than {LATEST:,}"


def _errors(before: float, after: float, own: Allowance, rows: int) -> float:
    draw = np.random.default_rng(SEED)
    return _delay(
        _bank(own, rows, bits=True),
        (draw.random((rows + SETTLED, STREAMS)) < before).astype(float),
        lambda: (draw.random((_CHUNK, STREAMS)) < after).astype(float),
    )


def _numbers(shift: float, spread: float, own: Allowance, rows: int) -> float:
    draw = np.random.default_rng(SEED)
    return _delay(
        _bank(own, rows, bits=False),
        draw.standard_normal((rows + SETTLED, STREAMS)),
        lambda: shift + spread * draw.standard_normal((_CHUNK, STREAMS)),
    )


def _bank(own: Allowance, rows: int, *, bits: bool) -> ShiryaevBank:
    return ShiryaevBank(STREAMS, bits=bits, rows=rows).allow_all(own.time_per_alarm, own.head, sided=bits)


def _delay(bank: ShiryaevBank, baseline: Matrix, more: Callable[[], Matrix]) -> float:
    early = {each.column for each in bank.update(baseline)}  # by chance: such a stream says nothing of delays
    found = np.full(STREAMS, np.inf)
    for start in range(0, LATEST, _CHUNK):
        for each in bank.update(more()):
            if each.mean_after > each.mean_before or not bank.sided(each.column):
                found[each.column] = min(found[each.column], start + each.row + 1)
        if np.isfinite(found).sum() > STREAMS / 2:
            break
    told = np.delete(found, sorted(early))
    return float(np.median(told)) if len(told) else float("nan")
