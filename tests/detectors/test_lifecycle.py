"""Quiet, suspect, open, quiet again: what moves a signal, and what does not."""

import math

import pytest

from detectors.arrival import ARRIVAL
from detectors.banks.contract import Finding
from detectors.banks.shiryaev import WATCH
from detectors.baseline import BLOCK, Blocks
from detectors.budget import Allowance
from detectors.config import ModelConfig
from detectors.encoding import Column
from detectors.group import Found, Group
from detectors.history import HISTORY
from detectors.lifecycle import (
    RECOVERED_ROWS,
    Alarm,
    Disposition,
    Lifecycle,
    Suspect,
    floor_of,
    harmful,
    severity_of,
)
from schemas.events import Evidence, JsonScalar, Kind, Position, Severity

AGE = Column("feature:age", Kind.FEATURE_DRIFT, given_mean=0.0, given_sd=1.0)
LOSS = Column("loss", Kind.CONCEPT_DRIFT, given_share=0.1)
GONE = Column("missing:age", Kind.DATA_QUALITY, given_share=0.1)
ALLOWANCE = Allowance(share=1.0, time_per_alarm=1e6, head=1e3, in_rows=True)


def group(column: Column, rate: bool = False, detectors: tuple[str, ...] = ("adwin",)) -> Group:
    made = Group(ModelConfig(), detectors, rate=rate)
    made.grow([column], ALLOWANCE)
    return made


def live(held: Group, mean: float, blocks: int = 1, sd: float = 1.0) -> None:
    """Blocks of standardised values with such a mean and such a standard deviation."""
    block = Blocks.of([0], 1)
    block.sums[0, :, 0] = mean * BLOCK, (mean**2 + sd**2) * BLOCK
    block.far[0, :, 0] = mean, sd
    block.counts[0, :, 0] = BLOCK, 0, 0
    for _ in range(blocks):
        held.remember(block, range(1))


def found(effect: float, detector: str = "adwin", *, base: float = 0.0, spread: bool = False) -> Found:
    finding = Finding(0, 0, 1.0, 1.0, 100, 0.0, effect, 10)
    return Found(0, 0, detector, finding, effect, effect, 0.0, base, spread)


def evidence(effect: float | None, **detail: JsonScalar) -> Evidence:
    return Evidence(value=1.0, threshold=1.0, threshold_origin="", n=100, baseline=0.0, effect=effect, detail=detail)


def suspicious(column: Column, effect: float, row: int = 0) -> Lifecycle:
    lifecycle = Lifecycle()
    lifecycle.suspect(column, found(effect), row, evidence(effect))
    return lifecycle


def opened(column: Column, row: int = 0, cause: Suspect | None = None) -> Lifecycle:
    lifecycle = suspicious(column, 1.0)
    if cause is None:
        cause = lifecycle.suspects[column.signal]
    place = Position(topic="t", partition=0, offset=row)
    lifecycle.open(column, cause, Severity.WARNING, evidence(1.0), 0, row, 0, "scope", place)
    return lifecycle


def end_of_block(number: int) -> int:
    return number * BLOCK - 1


# -- what a finding becomes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "effect", "muted", "disposition"),
    [
        (AGE, 1.0, False, Disposition.SUSPECTED),
        (AGE, -1.0, False, Disposition.SUSPECTED),
        (AGE, 1.0, True, Disposition.MUTED),
        (LOSS, 0.2, False, Disposition.SUSPECTED),
        (LOSS, -0.2, False, Disposition.IMPROVEMENT),
        (LOSS, -0.2, True, Disposition.IMPROVEMENT),
        (LOSS, math.nan, False, Disposition.SUSPECTED),
        (GONE, -0.1, False, Disposition.IMPROVEMENT),
    ],
)
def test_what_a_finding_becomes(column: Column, effect: float, muted: bool, disposition: Disposition) -> None:
    held = group(column, rate=column is not AGE)
    assert Lifecycle().judge(column, found(effect), evidence(effect), muted, held) is disposition


def test_a_finding_on_an_open_signal_is_no_second_alarm() -> None:
    age, loss = group(AGE), group(LOSS, rate=True)
    assert opened(AGE).judge(AGE, found(1.0), evidence(1.0), False, age) is Disposition.ALREADY_OPEN
    assert opened(LOSS).judge(LOSS, found(-1.0), evidence(-1.0), False, loss) is Disposition.IMPROVEMENT
    assert opened(AGE).judge(LOSS, found(1.0), evidence(1.0), False, loss) is Disposition.SUSPECTED


@pytest.mark.parametrize(
    ("column", "effect", "low", "high", "disposition"),
    [
        (AGE, 0.3, 0.1, 0.5, Disposition.OPENED),
        (AGE, -0.3, -0.5, -0.1, Disposition.OPENED),
        (AGE, 0.24, 0.1, 0.4, Disposition.SUSPECTED),  # too small to be worth a page
        (AGE, 0.3, -0.1, 0.7, Disposition.SUSPECTED),  # it may be nothing
        (AGE, 0.3, None, 0.7, Disposition.SUSPECTED),
        (LOSS, 0.03, 0.01, 0.05, Disposition.OPENED),
        (LOSS, 0.02, 0.01, 0.03, Disposition.SUSPECTED),
        (LOSS, -0.3, -0.4, -0.2, Disposition.IMPROVEMENT),
    ],
)
def test_a_finding_that_keeps_to_the_budget_opens_by_itself_where_it_is_large_and_certain(
    column: Column, effect: float, low: float | None, high: float | None, disposition: Disposition
) -> None:
    shown = evidence(effect, effect_low=low, effect_high=high)
    held = group(column, rate=column is LOSS, detectors=(WATCH, "adwin"))
    assert Lifecycle().judge(column, found(effect, WATCH), shown, False, held) is disposition


@pytest.mark.parametrize("shown", [{}, {"effect_low": 0.5, "effect_high": 1.5}])
def test_a_detector_that_knows_no_budget_is_noted_beside_one_that_does(shown: dict[str, JsonScalar]) -> None:
    held, seen = group(AGE, detectors=(WATCH, "adwin")), evidence(1.0, **shown)
    assert Lifecycle().judge(AGE, found(1.0), seen, False, held) is Disposition.NOTED
    assert Lifecycle().judge(AGE, found(1.0), seen, True, held) is Disposition.NOTED
    assert Lifecycle().judge(AGE, found(1.0, WATCH), seen, True, held) is Disposition.MUTED
    assert Lifecycle().judge(AGE, found(1.0), seen, False, group(AGE)) is Disposition.SUSPECTED


@pytest.mark.parametrize(
    ("kind", "effect", "harm"),
    [
        (Kind.CONCEPT_DRIFT, 0.1, True),
        (Kind.CONCEPT_DRIFT, 0.0, False),
        (Kind.CONCEPT_DRIFT, -0.1, False),
        (Kind.DATA_QUALITY, -0.1, False),
        (Kind.FEATURE_DRIFT, -0.1, True),
        (Kind.PREDICTION_DRIFT, -0.1, True),
    ],
)
def test_what_harms(kind: Kind, effect: float, harm: bool) -> None:
    assert harmful(kind, effect) is harm


@pytest.mark.parametrize(
    ("column", "rate", "effect", "severity"),
    [
        (AGE, False, 0.3, Severity.INFO),
        (AGE, False, -0.5, Severity.WARNING),
        (LOSS, True, 0.031, Severity.CRITICAL),
        (GONE, True, 0.03, Severity.INFO),
        (GONE, True, 0.04, Severity.WARNING),
        (GONE, True, 0.2, Severity.CRITICAL),
        (ARRIVAL[0], True, 0.2, Severity.WARNING),
        (ARRIVAL[1], True, 0.2, Severity.CRITICAL),
    ],
)
def test_how_bad_it_is(column: Column, rate: bool, effect: float, severity: Severity) -> None:
    assert severity_of(column, effect, floor_of(column, rate)) is severity


# -- suspicion ---------------------------------------------------------------------------------------------------------


def test_rows_after_the_report_bear_it_out() -> None:
    lifecycle, held = suspicious(AGE, 1.0, row=3), group(AGE)
    live(held, 1.0)  # the block in which the report fell says nothing
    assert lifecycle.confirmed(AGE, held, 0, end_of_block(1)) is None
    live(held, 1.0)
    confirmed = lifecycle.confirmed(AGE, held, 0, end_of_block(2))
    assert confirmed is not None
    suspect, recent = confirmed
    assert (suspect.detector, recent.effect, recent.rows) == ("adwin", 1.0, BLOCK)


@pytest.mark.parametrize(("mean", "blocks"), [(0.7, 1), (0.24, 40)])
def test_what_is_uncertain_or_small_is_not_borne_out(mean: float, blocks: int) -> None:
    lifecycle, held = suspicious(AGE, 1.0), group(AGE)
    live(held, mean, blocks + 1)
    assert lifecycle.confirmed(AGE, held, 0, end_of_block(blocks + 1)) is None
    assert lifecycle.restless


def test_a_suspicion_that_came_to_nothing_is_dropped() -> None:
    lifecycle, held = suspicious(AGE, 1.0), group(AGE)
    live(held, 0.0, HISTORY)
    assert lifecycle.confirmed(AGE, held, 0, end_of_block(HISTORY)) is None
    assert lifecycle.restless
    live(held, 0.0)
    assert lifecycle.confirmed(AGE, held, 0, end_of_block(HISTORY + 1)) is None
    assert not lifecycle.restless


def test_a_falling_loss_is_not_borne_out_as_harm() -> None:
    lifecycle, held = suspicious(LOSS, 0.2), group(LOSS, rate=True)
    live(held, -0.1, 10)
    assert lifecycle.confirmed(LOSS, held, 0, end_of_block(10)) is None


def test_a_second_report_the_same_way_does_not_start_the_wait_again_and_one_the_other_way_does() -> None:
    lifecycle = suspicious(AGE, 1.0, row=10)
    lifecycle.suspect(AGE, found(2.0), 90, evidence(2.0))
    assert (lifecycle.suspects["feature:age"].row, lifecycle.suspects["feature:age"].evidence.effect) == (10, 2.0)
    lifecycle.suspect(AGE, found(-1.0), 95, evidence(-1.0))
    assert lifecycle.suspects["feature:age"].row == 95


# -- opening and closing -----------------------------------------------------------------------------------------------


def test_opening_ends_the_suspicion_and_names_the_incident_by_its_place() -> None:
    first, again, elsewhere = (opened(AGE, row).alarms["feature:age"] for row in (5, 5, 6))
    assert first == again
    assert first.id != elsewhere.id
    assert opened(AGE).suspects == {}


def test_an_incident_is_over_when_a_thousand_rows_are_as_usual_again() -> None:
    lifecycle, held = opened(AGE), group(AGE)
    live(held, 0.1, HISTORY)
    assert lifecycle.recovered(AGE, held, 0, RECOVERED_ROWS - 1) is None
    recent = lifecycle.recovered(AGE, held, 0, RECOVERED_ROWS)
    assert recent is not None
    assert recent.effect == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("column", "mean", "over"),
    [(AGE, 0.13, False), (AGE, -0.13, False), (AGE, -0.12, True), (LOSS, 0.016, False), (LOSS, -0.3, True)],
)
def test_an_incident_stays_open_while_the_rows_are_not_as_usual(column: Column, mean: float, over: bool) -> None:
    lifecycle, held = opened(column), group(column, rate=column is LOSS)
    live(held, mean, HISTORY)
    assert (lifecycle.recovered(column, held, 0, RECOVERED_ROWS) is not None) is over


def test_of_a_spread_it_is_the_spread_of_the_rows_that_bears_it_out_and_ends_it() -> None:
    lifecycle, held = Lifecycle(), group(AGE)
    lifecycle.suspect(AGE, found(1.0, spread=True), 0, evidence(1.0))
    live(held, 1.0, 2)
    assert lifecycle.confirmed(AGE, held, 0, end_of_block(2)) is None  # another mean is not another spread
    live(held, 0.0, 8, sd=2.0)
    confirmed = lifecycle.confirmed(AGE, held, 0, end_of_block(9))
    assert confirmed is not None
    suspect, recent = confirmed
    assert recent.of(spread=suspect.spread) > 0.7
    incident = opened(AGE, cause=suspect)
    live(held, 0.0, HISTORY - 1, sd=2.0)
    assert incident.recovered(AGE, held, 0, RECOVERED_ROWS) is None
    live(held, 1.0, HISTORY)
    assert incident.recovered(AGE, held, 0, RECOVERED_ROWS) is None  # the mean is another now
    live(held, 0.1, HISTORY)
    assert incident.recovered(AGE, held, 0, RECOVERED_ROWS) is not None


def test_where_things_had_got_better_a_rise_is_measured_from_there() -> None:
    """Errors were 10 % at first, then 2 %, and now they are at 9 %: over only when they are at 2 % again."""
    lifecycle, held = Lifecycle(), group(LOSS, rate=True)
    lifecycle.suspect(LOSS, found(0.07, WATCH, base=-0.08), 0, evidence(0.07))
    live(held, -0.01, 20)
    confirmed = lifecycle.confirmed(LOSS, held, 0, end_of_block(20))
    assert confirmed is not None
    incident = opened(LOSS, cause=confirmed[0])
    live(held, -0.01, HISTORY)
    assert incident.recovered(LOSS, held, 0, RECOVERED_ROWS) is None
    live(held, -0.08, HISTORY)
    assert incident.recovered(LOSS, held, 0, RECOVERED_ROWS) is not None


def test_what_may_be_over_is_known_a_thousand_rows_ahead() -> None:
    held = group(AGE, detectors=(WATCH,))
    assert Lifecycle().certain([held], 77) == (RECOVERED_ROWS, [])
    lifecycle, other = opened(AGE, row=100), group(LOSS, rate=True, detectors=(WATCH,))
    assert lifecycle.certain([held], 200) == (RECOVERED_ROWS - 100, [])
    assert lifecycle.certain([other, held], 100 + RECOVERED_ROWS) == (RECOVERED_ROWS, [held])
    lifecycle.suspect(LOSS, found(0.07, WATCH), 400, evidence(0.07))
    assert lifecycle.certain([other, held], 100 + RECOVERED_ROWS) == (300, [held])
    assert lifecycle.certain([group(AGE)], 5_000) == (RECOVERED_ROWS, [])  # no watch there that would see anything anew


def test_an_incident_on_a_column_that_fell_silent_stays_open() -> None:
    assert opened(AGE).recovered(AGE, group(AGE), 0, 10 * RECOVERED_ROWS) is None


def test_closing_leaves_it_quiet_and_a_restored_lifecycle_is_as_restless() -> None:
    lifecycle = opened(AGE)
    restored = Lifecycle()
    restored.restore(lifecycle.state())
    assert (restored.restless, restored.alarms == lifecycle.alarms) == (True, True)
    assert isinstance(lifecycle.close("feature:age", 5, recovered=True), Alarm)
    assert not lifecycle.restless
