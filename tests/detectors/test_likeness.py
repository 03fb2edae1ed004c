"""What sort of change an alarm names; and that it names none where it cannot know."""

import math
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from detectors.config import ModelConfig
from schemas.events import Alert, AlertEvent, Signal
from tests.detectors.events import SUSPICIOUS, Run, chances, normal, of_feature, prediction, run, summary

CONFIG = ModelConfig(baseline_rows=600, metrics_window="1d")
WARM, SINCE = 1_000, 400
BESIDE = ("grouped", "shown")  # signals that say what an alert would, were it not one of many


def told(run: Run) -> dict[str, Any]:
    """What each signal was last said to look like, in an alert or beside it."""
    known = [one for one in run.events if isinstance(one, Alert) or getattr(one, "disposition", "") in BESIDE]
    return {one.signal: one.evidence.detail.get("looks_like") for one in known if isinstance(one, Alert | Signal)}


def lasting(values: list[Any], config: ModelConfig = CONFIG) -> Alert:
    """The last word on the one alarm of a feature."""
    whole = run(of_feature("x", values), config)
    assert run(of_feature("x", values), config, (131,), restoring=True) == whole
    alerts = whole.alerts
    assert len({alert.incident for alert in alerts}) == 1
    return alerts[-1]


FACTORS = [10, 100, 1_000, 1e4, 1e5, 1e6, 60, 3_600, 24, 7, 2.54, 2.20462, 1.609344, 4.184]


@pytest.mark.parametrize("factor", [*FACTORS, *[1 / factor for factor in FACTORS]])
def test_another_unit_is_known_by_its_factor(factor: float) -> None:
    alert = lasting([*normal(1, WARM, 40, 6), *normal(2, SINCE, 40 * factor, 6 * factor)])
    assert (alert.event, alert.evidence.detail["looks_like"]) == (AlertEvent.UPDATED, "unit change")
    assert alert.evidence.detail["times"] == pytest.approx(factor, rel=1e-3)


def test_a_skewed_value_in_cents_and_no_longer_in_euros() -> None:
    draw = Random(5)
    euros = [math.exp(draw.gauss(3, 1)) for _ in range(WARM + SINCE)]
    alert = lasting([*euros[:WARM], *[100 * value for value in euros[WARM:]]])
    assert (alert.evidence.detail["looks_like"], alert.evidence.detail["times"]) == ("unit change", 100.0)
    assert "it looks like another unit, 100 times as much; look at what feeds it" in alert.summary
    assert alert.evidence.detail["after"] == pytest.approx(100 * math.exp(3.5), rel=0.3)  # though detectors clip it


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ((15, 5), (59, 9), "as from Celsius to Fahrenheit"),
        ((59, 9), (15, 5), "as from Fahrenheit to Celsius"),
        ((15, 5), (288.15, 5), "as from Celsius to kelvins"),
    ],
)
def test_a_temperature_on_another_scale(before: tuple[float, float], after: tuple[float, float], words: str) -> None:
    alert = lasting([*normal(1, WARM, *before), *normal(2, SINCE, *after)])
    assert alert.evidence.detail["looks_like"] == "unit change"
    assert words in alert.summary


def test_a_flipped_sign() -> None:
    assert lasting([*normal(1, WARM, 5, 2), *normal(2, SINCE, -5, 2)]).evidence.detail["looks_like"] == "sign flipped"


def test_a_value_that_has_stopped_moving() -> None:
    alert = lasting([*normal(1, WARM, 5, 2), *[4.2] * SINCE])
    assert alert.evidence.detail["looks_like"] == "constant"
    assert "it is always 4.2; look" in alert.summary


def test_values_beyond_all_that_was_seen_are_told_only_when_nothing_better_is_to_be_waited_for() -> None:
    values = [*normal(1, WARM, 40, 6), *normal(2, SINCE, 90, 4)]
    alert = lasting(values)
    assert alert.evidence.detail["looks_like"] == "out of range"
    assert WARM + 8 * 32 < alert.position.offset < WARM + 11 * 32
    assert summary(run(of_feature("x", values), CONFIG).alerts) == [("opened", "feature:x"), ("updated", "feature:x")]


def test_the_rows_that_bear_a_suspicion_out_name_it_as_it_opens() -> None:
    draw = Random(1)
    values = [*draw.choices("abc", (6, 3, 1), k=WARM), *draw.choices("ab", (6, 3), k=600)]
    (alert,) = run(of_feature("plan", values), msgspec.structs.replace(SUSPICIOUS, baseline_rows=600)).alerts
    assert (alert.signal, alert.event) == ("feature:plan=c", AlertEvent.OPENED)
    assert alert.evidence.detail["looks_like"] == "category vanished"


def test_two_features_that_were_swapped() -> None:
    draw = Random(7)
    events = []
    for number in range(WARM + SINCE):
        age, income = draw.gauss(40, 12), draw.gauss(65, 10)
        age, income = (income, age) if number >= WARM else (age, income)
        events.append(prediction(number, {"age": age, "income": income, "other": draw.gauss(0, 1)}))
    names = told(run(events, CONFIG))
    assert names["feature:age"] == "swapped with income"
    assert names["feature:income"] == "swapped with age"


def test_most_changes_have_no_name() -> None:
    """Moved by up to six and spread up to threefold, each a feature of its own; a few do look like another unit."""
    draw, features = np.random.default_rng(11), 300
    means, sds = draw.uniform(-20, 20, features), draw.uniform(1, 5, features)
    rows = draw.normal(means, sds, (WARM, features))
    shift, wider = draw.uniform(-6, 6, features), np.exp(draw.uniform(-1.1, 1.1, features))
    rows = np.concatenate((rows, draw.normal(means + shift * sds, sds * wider, (SINCE, features))))
    events = [
        prediction(number, {f"f{column}": float(value) for column, value in enumerate(row)})
        for number, row in enumerate(rows)
    ]
    names = told(run(events, CONFIG, (200,)))
    named = {signal: name for signal, name in names.items() if name not in (None, "out of range")}
    print(f"{len(named)} of {len(names)} were named: {sorted(named.values())}")  # noqa: T201
    assert len(names) > 0.8 * features
    assert len(named) <= 0.03 * features


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.5, "0.5"), (-999_999.0, "-999,999"), (12_345.678, "12,345.678"), (1e-3, "0.001")],
)
def test_a_constant_is_told_as_people_write_it_and_so_is_the_change(value: float, text: str) -> None:
    """Also where most of the rows since are of before, or beyond what detectors look at."""
    alert = lasting([*normal(1, WARM, 5.07, 1), *[value] * SINCE])
    assert alert.evidence.detail["after"] == value
    assert f" to {text} (" in alert.summary
    assert f"it is always {text}; look" in alert.summary
    before, effect = alert.evidence.baseline or 0.0, alert.evidence.effect or 0.0
    assert effect == pytest.approx(value - before, rel=0.1)  # of about one standard deviation


def test_a_count_that_is_always_zero_does_not_vary_any_more() -> None:
    alert = lasting([*[float(abs(value) > 1.9) for value in normal(1, 3 * WARM)], *[0.0] * 1_000])
    assert (alert.evidence.detail["after"], alert.evidence.detail["spread"], alert.evidence.effect) == (0.0, 0.0, -1.0)
    assert "does not vary any more since" in alert.summary
    assert ", it is always 0; look" in alert.summary


@pytest.mark.parametrize("after", [[-5.0, 2.0], [5.0 / 1.609344, 1.0 / 1.609344], [500.0, 200.0]])
def test_the_level_that_a_name_rests_on_is_the_level_that_is_told(after: list[float]) -> None:
    alert = lasting([*normal(1, WARM, 5, 1), *normal(2, SINCE, after[0], after[1])])
    assert "looks_like" in alert.evidence.detail
    assert alert.evidence.detail["after"] == pytest.approx(after[0], abs=0.5 * after[1])
    low, high = (alert.evidence.detail.get(name, alert.evidence.effect) for name in ("effect_low", "effect_high"))
    assert low <= alert.evidence.effect <= high  # type: ignore[operator]


@pytest.mark.parametrize(
    ("factor", "text"),
    [(1_000.0, "rose from 170.2 to at least 28"), (0.001, "fell from 170.2 to at most 5"), (-3.0, "to at most 5")],
)
def test_a_change_that_is_larger_than_detectors_look_is_at_least_so_large_until_it_has_a_name(
    factor: float, text: str
) -> None:
    values = [*normal(1, 3 * WARM, 170, 10), *[factor * value for value in normal(3, SINCE, 170, 10)]]
    opened, updated = run(of_feature("x", values), CONFIG).alerts
    assert text in opened.summary
    assert "(at least 11 standard deviations)" in opened.summary
    assert opened.evidence.detail["at_least"] is True
    rising, effect = factor > 1, opened.evidence.effect or 0.0
    assert ("effect_low" in opened.evidence.detail, "effect_high" in opened.evidence.detail) == (rising, not rising)
    assert abs(float(opened.evidence.detail["effect_low" if rising else "effect_high"])) < abs(effect)  # type: ignore[arg-type]
    assert "at_least" not in updated.evidence.detail
    assert updated.evidence.detail["after"] == pytest.approx(170 * factor, rel=0.02)
    assert " at least " not in updated.summary


def test_a_change_within_what_detectors_look_at_is_as_large_as_it_is_told() -> None:
    alerts = run(of_feature("x", [*normal(1, WARM, 40, 6), *normal(2, SINCE, 80, 6)]), CONFIG).alerts
    assert all("at_least" not in alert.evidence.detail for alert in alerts)
    assert all("effect_high" in alert.evidence.detail for alert in alerts[:1])


def test_a_spread_that_is_larger_than_detectors_look_is_at_least_so_large() -> None:
    opened, *_ = run(of_feature("x", [*normal(1, WARM), *normal(2, SINCE, 0.0, 500.0)]), CONFIG).alerts
    assert "x has at least " in opened.summary
    assert opened.evidence.detail["at_least"] is True


def test_rows_that_bear_out_a_change_beyond_all_say_how_large_it_is_at_least() -> None:
    opened, *_ = run(of_feature("x", [*normal(1, WARM), *normal(2, SINCE, 90.0, 40.0)]), SUSPICIOUS).alerts
    assert opened.evidence.detail["at_least"] is True
    assert " to at least 1" in opened.summary


@pytest.mark.parametrize("always", [True, False])
def test_yes_or_no_that_is_always_the_same(always: bool) -> None:
    alert = lasting([*chances(1, WARM, 0.4), *[always] * SINCE])
    assert alert.evidence.detail["looks_like"] == "constant"
    assert f" to {float(always):.1%}" in alert.summary
    assert f"it is always {str(always).lower()}" in alert.summary


def test_a_feature_that_is_gone() -> None:
    whole = run(of_feature("x", [*normal(1, WARM), *[None] * SINCE]), CONFIG)
    assert told(whole) == {"missing:x": "all missing"}
    assert "all of it is missing" in whole.alerts[-1].summary


PLANS = ("free", "pro", "team")


def plans(before: tuple[float, ...], after: tuple[float, ...], names: tuple[str, ...]) -> dict[str, Any]:
    draw = Random(13)
    values = [*draw.choices(PLANS, before, k=WARM), *draw.choices(names, after, k=SINCE)]
    return told(run(of_feature("plan", values), CONFIG))


def test_a_category_that_was_never_seen() -> None:
    names = plans((5, 3, 2), (5, 3, 2, 2), (*PLANS, "new"))
    assert names["feature:plan=*"] == "new category"
    assert set(names.values()) <= {"new category", None}


def test_a_category_that_is_gone() -> None:
    names = plans((5, 3, 2), (5, 0, 5), PLANS)
    assert names["feature:plan=pro"] == "category vanished"
    assert names["feature:plan=team"] is None


def test_a_category_that_has_another_name_now() -> None:
    names = plans((5, 3, 2), (5, 3, 2), ("free", "Pro", "team"))
    assert names == {"feature:plan=pro": "renamed", "feature:plan=*": "renamed"}


def test_categories_that_all_have_other_names_now() -> None:
    assert set(plans((5, 3, 2), (5, 3, 2), ("FREE", "PRO", "TEAM")).values()) == {"renamed"}


def test_a_mix_of_known_categories_has_no_name() -> None:
    assert set(plans((5, 3, 2), (2, 3, 5), PLANS).values()) == {None}
