"""How a change came, whether it was there before, and how long it lasted."""

from collections import Counter

import numpy as np
import pytest

from detectors.baseline import BLOCK
from detectors.config import ModelConfig
from detectors.course import Course, course
from detectors.lifecycle import PAST_MAX, RECOVERED_ROWS, Lifecycle
from schemas.events import Alert, AlertEvent
from tests.detectors.events import SECOND, chances, normal, of_feature, run
from tests.detectors.test_lifecycle import AGE, opened

CONFIG = ModelConfig(baseline_rows=600, metrics_window="1d")
SEEDS = 60
WARM = 1_000


def courses(height: float, blocks: int, ramp: bool) -> Counter[str | None]:
    """Of means of blocks that change after 12, at once or along so many."""
    told: Counter[str | None] = Counter()
    for seed in range(SEEDS):
        levels = np.random.default_rng(seed).normal(0.0, BLOCK**-0.5, 12 + blocks)
        levels[12:] += height * (np.arange(blocks) + 0.5) / blocks if ramp else height
        levels[11] += 0.0 if ramp else height * (seed % 4) / 4.0  # in the middle of a block
        told[course(np.round(levels * 16) / 16, np.full(12 + blocks, float(BLOCK)))] += 1
    print(f"seeds 0 to {SEEDS - 1}, {height} over {blocks} blocks, ramp {ramp}: {told}")  # noqa: T201
    return told


@pytest.mark.parametrize(("height", "blocks"), [(0.5, 8), (1.0, 8), (1.0, 20), (4.0, 5)])
def test_a_step_is_sudden(height: float, blocks: int) -> None:
    told = courses(height, blocks, ramp=False)
    assert told[Course.SUDDEN] >= (0.2 if height < 1.0 else 0.9) * SEEDS
    assert told[Course.GRADUAL] == 0


@pytest.mark.parametrize(("height", "blocks"), [(1.0, 16), (2.0, 8), (2.0, 20), (6.0, 8)])
def test_a_ramp_is_gradual(height: float, blocks: int) -> None:
    told = courses(height, blocks, ramp=True)
    assert told[Course.GRADUAL] >= 0.7 * SEEDS
    assert told[Course.SUDDEN] <= 0.02 * SEEDS


def test_what_is_neither_or_has_too_few_blocks_is_not_told() -> None:
    assert course(np.full(7, 1.0), np.full(7, 32.0)) is None
    assert course(np.full(30, 1.0), np.zeros(30)) is None
    told = courses(0.25, 6, ramp=False)
    assert told[None] > 0.5 * SEEDS


def alarms(values: list[float]) -> list[Alert]:
    whole = run(of_feature("x", values), CONFIG)
    assert run(of_feature("x", values), CONFIG, (97, 310), restoring=True) == whole
    return whole.alerts


def test_a_large_change_is_known_to_be_sudden_as_it_opens() -> None:
    (alert,) = alarms([*normal(1, WARM), *normal(2, 200, 2.0)])
    assert alert.evidence.detail["change"] == "sudden"


def test_of_creeping_values_the_rows_after_the_alarm_show_that_they_do() -> None:
    changes: Counter[object] = Counter()
    for seed in range(12):
        creeping = [value + number / 600 for number, value in enumerate(normal(seed, 1_500))]
        last = alarms([*normal(100 + seed, WARM), *creeping])[-1]
        changes[last.evidence.detail.get("change")] += 1
    print(f"seeds 0 to 11: {changes}")  # noqa: T201
    assert changes["gradual"] >= 8
    assert changes["sudden"] == 0


def test_a_share_may_creep_as_well() -> None:
    creeping = [chances(number, 1, 0.1 + number / 700)[0] for number in range(600)]
    first, updated = run(of_feature("x", [*chances(1, WARM, 0.1), *creeping]), CONFIG).alerts
    assert "change" not in first.evidence.detail
    assert (updated.event, updated.evidence.detail["change"]) == (AlertEvent.UPDATED, "gradual")
    assert "share of x=true rose little by little from" in updated.summary


def test_what_was_there_before_and_went_by_itself_recurs() -> None:
    """Up for 400 rows, normal for 1,500, three times; then down, which is something else."""
    values = normal(1, WARM)
    for turn, shift in enumerate((2.0, 2.0, 2.0, -2.0)):
        values += [*normal(10 + turn, 400, shift), *normal(20 + turn, 1_500)]
    whole = run(of_feature("x", values), CONFIG)
    first = whole.began
    assert [alert.evidence.detail["change"] for alert in first] == ["sudden", "recurring", "recurring", "sudden"]
    assert [alert.evidence.detail.get("times_before") for alert in first] == [None, 1, 2, None]
    # It has come back, so it must stay away before it is over: two of the ends are none of the incident's.
    ends = [one.ts for one in whole.alerts if one.event is AlertEvent.RESOLVED]
    ends += [signal.ts for signal in whole.signals if signal.disposition == "over"]
    assert [alert.evidence.detail.get("last_ended") for alert in first] == [None, *ends[:2], None]


def test_what_is_over_says_how_long_it_lasted_and_whether_it_was_a_spike() -> None:
    (_, short), (_, long) = (
        alarms([*normal(1, WARM), *normal(2, rows, 2.0), *normal(3, 1_500)]) for rows in (300, 2_500)
    )
    for resolved, rows in ((short, 300), (long, 2_500)):
        lasted = resolved.evidence.detail["lasted_ms"]
        assert isinstance(lasted, int)
        assert (rows + RECOVERED_ROWS // 2) * SECOND < lasted < (rows + 1.2 * RECOVERED_ROWS) * SECOND
    assert (short.evidence.detail["change"], long.evidence.detail["change"]) == ("spike", "sudden")
    assert short.summary.startswith("churn: feature:x is back at its baseline, after 2")
    assert short.summary.endswith(" minutes.")


def test_of_many_signals_those_that_had_alarms_last_are_remembered() -> None:
    lifecycle = Lifecycle()
    (incident,) = opened(AGE).alarms.values()
    for number in range(PAST_MAX + 5):
        lifecycle.alarms[f"feature:f{number}"] = incident
        lifecycle.close(f"feature:f{number}", number, recovered=True)
    assert len(lifecycle.past) == PAST_MAX
    assert next(iter(lifecycle.past)) == "feature:f5"
    lifecycle.alarms["feature:g"] = incident
    lifecycle.close("feature:g", 1, recovered=False)
    assert "feature:g" not in lifecycle.past
