"""What comes in drifts: one alarm a cause, with its reasons, until it is over."""

from random import Random

import msgspec
import pytest

from detectors.banks.shiryaev import WATCH
from detectors.config import FeatureConfig, ModelConfig
from schemas.events import Kind, Severity
from tests.detectors.events import (
    SECOND,
    START,
    SUSPICIOUS,
    Run,
    chances,
    normal,
    of_feature,
    prediction,
    run,
    summary,
)

WARM = 1_000


# Age is 40 ± 5, then 45 from row 2,000 on, then 40 again from 3,000 on, and 45 again from 5,500 on.
AGE = [*normal(1, 2_000, 40, 5), *normal(2, 1_000, 45, 5), *normal(3, 2_500, 40, 5), *normal(4, 600, 45, 5)]


@pytest.fixture(scope="module", params=[ModelConfig(), SUSPICIOUS], ids=["watched", "suspected"])
def there_and_back_and_there(request: pytest.FixtureRequest) -> Run:
    return run(of_feature("age", AGE), request.param)


@pytest.fixture(scope="module")
def watched() -> Run:
    return run(of_feature("age", AGE))


def test_a_shift_opens_one_alarm_which_ends_after_the_return_and_a_second_shift_opens_it_again(
    there_and_back_and_there: Run,
) -> None:
    told = there_and_back_and_there
    opened, closed = ("opened", "feature:age"), ("resolved", "feature:age")
    assert summary(told.alerts) == [opened, closed, ("reopened", "feature:age")]
    first, back, second = told.alerts
    assert 2_000 < first.position.offset < 2_300
    assert 3_000 + 800 < back.position.offset < 5_500
    assert 5_500 < second.position.offset < 5_800
    assert first.incident == back.incident == second.incident
    assert back.evidence.detail["why"] == "recovered"
    assert back.evidence.detail["after"] == pytest.approx(40, abs=1)
    assert back.evidence.n == back.evidence.detail["confirmed_by_rows"] == 1_024


def test_an_alarm_explains_itself(there_and_back_and_there: Run) -> None:
    alert = there_and_back_and_there.alerts[0]
    evidence = alert.evidence
    assert (alert.kind, alert.severity, alert.model, alert.version, alert.segment) == (
        Kind.FEATURE_DRIFT,
        Severity.WARNING,
        "churn",
        None,
        None,
    )
    assert evidence.value is not None
    assert evidence.threshold is not None
    assert evidence.value > evidence.threshold
    assert evidence.threshold_origin in (
        "days without a change for each false alarm of this signal, which has 20.00% of 1 false pages a month",
        "ADWIN cut at the default delta",
        "default Page-Hinkley threshold on baseline standard deviations",
    )
    assert evidence.n >= 900
    assert evidence.baseline == pytest.approx(40, abs=0.5)
    assert evidence.effect == pytest.approx(1.0, abs=0.4)  # of 5
    assert evidence.detail["after"] == pytest.approx(45, abs=2)
    assert evidence.change_point is not None
    assert evidence.change_point.offset == pytest.approx(2_000, abs=60)
    assert evidence.change_point.ts == START + evidence.change_point.offset * SECOND
    assert (alert.position.topic, alert.ts) == ("driftline.predictions", START + alert.position.offset * SECOND)
    assert "feature age rose from 39.9" in alert.summary


def test_every_report_of_a_detector_is_a_signal_that_says_what_became_of_it() -> None:
    told = run(of_feature("age", AGE), SUSPICIOUS)
    before_first = [signal for signal in told.signals if signal.ts <= told.alerts[0].ts]
    assert {signal.disposition for signal in before_first} == {"suspected"}
    assert {signal.disposition for signal in told.signals} == {"suspected", "already_open"}


def test_the_detector_that_keeps_to_the_budget_opens_at_once_and_the_others_are_noted(watched: Run) -> None:
    became = {(signal.detector == WATCH, signal.disposition) for signal in watched.signals}
    assert became <= {(True, "opened"), (False, "noted"), (False, "already_open")}
    opened = [signal for signal in watched.signals if signal.disposition == "opened"]
    assert [signal.ts for signal in opened] == [alert.ts for alert in watched.began]
    for signal, alert in zip(opened, watched.began, strict=True):
        assert signal.evidence.detail.items() <= alert.evidence.detail.items()
        assert msgspec.structs.replace(alert.evidence, detail=signal.evidence.detail) == signal.evidence
    assert {alert.detector for alert in watched.alerts} == {WATCH}


def test_an_alarm_says_how_long_it_is_between_false_ones_and_how_sure_its_effect_is(watched: Run) -> None:
    evidence = watched.alerts[0].evidence
    assert evidence.threshold == pytest.approx(30 / 0.2, rel=0.01)  # days
    low, high, since = (evidence.detail[name] for name in ("effect_low", "effect_high", "rows_since_change"))
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert evidence.effect is not None
    assert 0.0 < low < evidence.effect < high
    assert evidence.change_point is not None
    # Where rows lie in time is known roughly, so that it takes little memory.
    assert since == pytest.approx(watched.alerts[0].position.offset - evidence.change_point.offset, abs=64)
    assert "spread" not in evidence.detail


def test_the_budget_may_be_asked_for_in_rows() -> None:
    told = run(of_feature("age", AGE[:2_300]), ModelConfig(rows_per_false_alarm=100_000))
    (alert,) = told.alerts
    assert alert.evidence.threshold == pytest.approx(100_000 / 0.2, rel=0.01)
    assert alert.evidence.threshold_origin == (
        "rows without a change for each false alarm of this signal, which has 20.00% of one false alarm in 100,000 rows"
    )


def test_the_trace_of_the_record_that_decided_is_in_the_evidence() -> None:
    age = [*normal(1, 1_200), *normal(2, 300, 3.0)]
    told = run([prediction(number, {"age": value}, trace=f"t{number}") for number, value in enumerate(age)])
    assert [signal.evidence.trace for signal in told.signals] == [
        f"t{signal.position.offset}" for signal in told.signals
    ]


@pytest.mark.parametrize(("config", "became"), [(ModelConfig(), "noted"), (SUSPICIOUS, "suspected")])
def test_a_change_too_small_to_matter_is_a_signal_and_no_alarm(config: ModelConfig, became: str) -> None:
    told = run(of_feature("age", [*normal(1, 3_000), *normal(2, 6_000, 0.15)]), config)
    assert (told.alerts, {signal.disposition for signal in told.signals}) == ([], {became})


def test_an_outlier_is_no_drift() -> None:
    age = normal(5, 3_000)
    age[2_000] = 1e300
    assert run(of_feature("age", age)).alerts == []


def test_missing_values_are_a_matter_of_data_quality() -> None:
    gone = [*[False] * 2_000, *chances(2, 800, 0.1)]
    age = [None if missing else value for missing, value in zip(gone, normal(1, 2_800), strict=True)]
    (alert,) = run(of_feature("age", age)).alerts
    assert (alert.signal, alert.kind, alert.severity) == ("missing:age", Kind.DATA_QUALITY, Severity.WARNING)
    assert alert.evidence.effect == pytest.approx(0.1, abs=0.1)


def test_an_absent_feature_is_missing_like_a_null() -> None:
    there = of_feature("age", normal(1, 1_500))
    gone = [prediction(number) for number in range(1_500, 1_700)]
    assert summary(run([*there, *gone]).began) == [("opened", "missing:age")]


def test_text_in_a_column_of_numbers_is_a_matter_of_data_quality_and_critical() -> None:
    events = of_feature("age", [*normal(1, 1_500), *["40"] * 200])
    (alert,), (later,) = run(events).began, run(events, SUSPICIOUS).opened
    assert (alert.signal, alert.kind, alert.severity) == ("missing:age", Kind.DATA_QUALITY, Severity.CRITICAL)
    assert alert.position.offset < 1_505  # so soon that it need not be all of them
    assert (later.signal, later.severity, later.evidence.effect) == ("missing:age", Severity.CRITICAL, 1.0)


def test_fewer_missing_values_are_no_trouble() -> None:
    age = [None if gone else value for gone, value in zip(chances(1, 2_000, 0.3), normal(2, 2_000), strict=True)]
    told = run(of_feature("age", [*age, *normal(3, 1_000)]))
    assert (told.alerts, {signal.disposition for signal in told.signals}) == ([], {"improvement"})


def test_a_mix_of_categories_shifts() -> None:
    draw = Random(3)
    plans = [*draw.choices("abc", (6, 3, 1), k=2_000), *draw.choices("abc", (3, 6, 1), k=500)]
    opened = run(of_feature("plan", plans)).began
    assert {alert.signal for alert in opened} == {"feature:plan=a", "feature:plan=b"}
    effects = {alert.signal[-1]: alert.evidence.effect for alert in opened}
    assert effects["a"] == pytest.approx(-0.3, abs=0.12)
    assert effects["b"] == pytest.approx(0.3, abs=0.12)


def test_categories_never_seen_before_show_as_the_rest() -> None:
    draw = Random(4)
    plans = [*draw.choices("ab", k=1_500), *draw.choices("abz", k=500)]
    opened = run(of_feature("plan", plans)).began
    assert "feature:plan=*" in {alert.signal for alert in opened}


def test_a_share_of_yes_shifts() -> None:
    (alert,) = run(of_feature("paid", [*chances(1, 2_000, 0.2), *chances(2, 500, 0.5)])).alerts
    assert (alert.signal, alert.kind) == ("feature:paid=true", Kind.FEATURE_DRIFT)
    assert "share of paid=true rose from" in alert.summary


@pytest.mark.parametrize("field", ["prediction", "score"])
def test_what_the_model_answers_drifts(field: str) -> None:
    answers = [min(1.0, max(0.0, value)) for value in [*normal(1, 2_000, 0.3, 0.1), *normal(2, 400, 0.5, 0.1)]]
    (alert,) = run([prediction(number, **{field: answer}) for number, answer in enumerate(answers)]).alerts
    assert (alert.signal, alert.kind) == (field, Kind.PREDICTION_DRIFT)


def test_of_many_scores_it_is_watched_how_far_the_first_is_ahead() -> None:
    """The first as sure as ever, the second less far behind."""
    behind = [min(0.39, max(0.2, value)) for value in [*normal(1, 1_500, 0.26, 0.01), *normal(2, 400, 0.34, 0.01)]]
    events = [
        prediction(number, prediction="a", scores={"a": 0.6, "b": one, "c": 0.4 - one})
        for number, one in enumerate(behind)
    ]
    (alert,) = run(events).began
    assert (alert.signal, alert.evidence.baseline) == ("score", pytest.approx(0.34, abs=0.01))
    sure = [min(0.99, max(0.5, value)) for value in [*normal(1, 1_500, 0.9, 0.03), *normal(2, 400, 0.6, 0.03)]]
    events = [prediction(number, prediction="a", scores={"a": one, "b": 1 - one}) for number, one in enumerate(sure)]
    assert summary(run(events).began) == [("opened", "score")]


def test_values_that_never_were_like_the_given_baseline_open_an_alarm() -> None:
    given = ModelConfig(features={"age": FeatureConfig(mean=40, sd=2)})
    (alert,) = run(of_feature("age", normal(1, 600, 44, 2)), given).alerts
    assert (alert.signal, alert.detector, alert.evidence.baseline) == ("feature:age", "baseline", 40)
    assert alert.evidence.effect == pytest.approx(2.0, abs=0.5)
    assert alert.evidence.value is not None
    assert alert.position.offset < 200


def test_values_like_the_given_baseline_open_none() -> None:
    given = ModelConfig(features={"age": FeatureConfig(mean=40, sd=2)})
    assert run(of_feature("age", normal(1, 3_000, 40, 2)), given).alerts == []


def test_a_given_baseline_needs_no_warm_up() -> None:
    age = [*normal(1, 200, 40, 2), *normal(2, 200, 44, 2)]
    given = ModelConfig(features={"age": FeatureConfig(mean=40, sd=2)})
    (alert,) = run(of_feature("age", age), given).alerts
    assert (alert.signal, alert.evidence.baseline) == ("feature:age", 40.0)
    assert run(of_feature("age", age)).alerts == []  # still learning what is normal


def test_values_out_of_range_count_as_unreadable() -> None:
    bounded = ModelConfig(features={"age": FeatureConfig(range=(0, 120))})
    age = [*normal(1, 1_200, 40, 5), *[400.0] * 100]
    assert summary(run(of_feature("age", age), bounded).began) == [("opened", "missing:age")]


def test_an_ignored_feature_is_not_looked_at() -> None:
    ignored = ModelConfig(features={"age": FeatureConfig(kind="ignore")})
    told = run(of_feature("age", [*normal(1, 1_200), *normal(2, 300, 9.0), *[None] * 200]), ignored)
    assert (told.alerts, told.signals) == ([], [])


def test_a_text_is_watched_by_its_length() -> None:
    draw = Random(1)
    notes = ["x" * draw.randrange(5, 15) for _ in range(1_200)] + ["x" * draw.randrange(25, 35) for _ in range(200)]
    config = ModelConfig(features={"note": FeatureConfig(kind="text-length")})
    (alert,) = run(of_feature("note", notes), config).alerts
    assert (alert.signal, alert.evidence.detail["after"]) == ("feature:note", pytest.approx(30, abs=8))
    assert alert.position.offset < 1_205  # it is the mean of very few
    (alert,) = run(of_feature("note", notes), msgspec.structs.replace(SUSPICIOUS, features=config.features)).alerts
    assert (alert.signal, alert.evidence.detail["after"]) == ("feature:note", pytest.approx(30, abs=2))


def test_a_number_that_is_a_code_can_be_a_category() -> None:
    draw = Random(2)
    codes = [*draw.choices([1, 2], (9, 1), k=1_500), *draw.choices([1, 2], (5, 5), k=300)]
    config = ModelConfig(features={"code": FeatureConfig(kind="categorical")})
    signals = {alert.signal for alert in run(of_feature("code", codes), config).began}
    assert signals == {"feature:code=1", "feature:code=2"}


def test_a_feature_that_appears_in_mid_stream_warms_up_on_its_own() -> None:
    both = [
        prediction(number, {"age": age, "new": new})
        for number, (age, new) in enumerate(
            zip(normal(1, 1_600), [*normal(2, 1_200, 7.0), *normal(3, 400, 9.0)], strict=True), WARM
        )
    ]
    told = run([*of_feature("age", normal(4, WARM)), *both])
    assert summary(told.alerts) == [("opened", "feature:new")]


def test_features_beyond_the_limit_are_left_out() -> None:
    shifted = [*normal(1, 300), *normal(2, 300, 5.0)]
    events = [prediction(number, {"a": value, "b": value, "c": value}) for number, value in enumerate(shifted)]
    told = run(events, ModelConfig(baseline_rows=200, features_max=2))
    assert {alert.signal for alert in told.began} == {"feature:a", "feature:b"}


def test_another_detector_can_be_asked_for() -> None:
    config = ModelConfig(detectors=("kswin",), baseline_rows=200, parameters={"kswin": {"alpha": 0.0001, "seed": 1}})
    (alert, *_) = run(of_feature("age", [*normal(1, 400), *normal(2, 250, 3.0)]), config).alerts
    assert (alert.detector, alert.signal) == ("kswin", "feature:age")


def test_the_change_of_a_feature_that_is_rarely_sent_is_dated_in_rows_and_not_in_values() -> None:
    age = [*normal(1, 8_000), *normal(2, 4_000, 1.5)]
    events = [prediction(number, {"age": value} if number % 20 == 0 else {}) for number, value in enumerate(age)]
    alert = run(events, ModelConfig(baseline_rows=100)).alerts[0]
    assert alert.evidence.change_point is not None
    assert alert.evidence.change_point.offset == pytest.approx(8_000, abs=400)
