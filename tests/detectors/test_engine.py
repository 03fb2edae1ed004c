"""What holds for the engine whatever comes in."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.batch import MODELS_AT_ONCE
from detectors.config import FeatureConfig, ModelConfig, MonitorConfig
from detectors.counts import Counts
from schemas.codec import decode_output
from schemas.events import Alert, DeadLetter, Signal
from schemas.reasons import DeadLetterReason
from schemas.records import Record
from tests.detectors.events import (
    START,
    TOPICS,
    Event,
    Run,
    control,
    engine,
    normal,
    of_feature,
    outcome,
    prediction,
    record,
    records,
    run,
    run_records,
    tick,
)
from tests.detectors.traffic import CONFIG, POISON, traffic
from tests.schemas.strategies import damage
from tests.schemas.strategies import events as any_events

DRIFT = ModelConfig(baseline_rows=100)
BAD = [value for value in POISON if value is not None]


def drifting() -> list[Event | bytes | None]:
    return [*of_feature("age", [*normal(1, 200), *normal(2, 200, 2.0)])]


def balanced(counts: dict[str, Counts]) -> bool:
    return all(one.consumed == one.applied + one.duplicate + one.late + one.dead_lettered for one in counts.values())


def without_positions(value: Any) -> Any:
    """An event with everything left out that depends on where its record lay."""
    if isinstance(value, dict):
        left_out = ("id", "incident", "offset", "alerts", "from_offset", "to_offset")
        return {name: without_positions(part) for name, part in value.items() if name not in left_out}
    return value


# -- every record ends once ----------------------------------------------------------------------------------------


def test_each_topic_counts_what_became_of_its_records() -> None:
    events: list[Event | bytes | None] = [
        prediction(1),
        prediction(1),
        prediction(1, prediction=0.0),
        outcome(1, at=5),
        outcome(1, at=6),
        outcome(2, at=7, extra="!"),
        prediction(3, at=40 * 86_400_000),
        outcome(1, at=40 * 86_400_000),
        b"{",
    ]
    counts = run(events).counts
    assert counts[TOPICS.predictions] == Counts(consumed=5, applied=2, duplicate=2, dead_lettered=1, conflicts=1)
    assert counts[TOPICS.outcomes] == Counts(consumed=4, applied=2, duplicate=1, late=1, unknown_fields=1)


@pytest.mark.parametrize("seed", [11, 12])
def test_consumed_is_the_sum_of_the_fates_for_any_traffic(seed: int) -> None:
    events = traffic(seed, 600)
    counts = run(events, CONFIG, (37,)).counts
    assert balanced(counts)
    assert sum(one.consumed for one in counts.values()) == len(events)


def test_unknown_fields_are_counted_and_never_refused() -> None:
    told = run([prediction(1, colour="blue"), outcome(1, shape="round"), control("tick", at=9, size="big")])
    assert {topic: (one.applied, one.unknown_fields) for topic, one in told.counts.items()} == {
        TOPICS.predictions: (1, 1),
        TOPICS.outcomes: (1, 1),
        TOPICS.control: (1, 1),
    }


def test_models_beyond_the_limit_are_dead_letters_and_the_others_are_served() -> None:
    events = [prediction(number, model=name) for number, name in enumerate("abcab")]
    told = run(events, MonitorConfig(models_max=2))
    assert [(letter.reason, letter.offset) for letter in told.dead_letters] == [(DeadLetterReason.TOO_MANY_MODELS, 2)]
    assert told.counts[TOPICS.predictions] == Counts(consumed=5, applied=4, dead_lettered=1)


def test_an_outcome_is_late_also_where_challengers_run() -> None:
    day = 86_400_000
    events = [
        prediction("old", at=0),
        prediction("new", at=1, role="challenger"),
        outcome("old", at=31 * day),
        outcome("new", at=31 * day),
    ]
    assert run(events).counts[TOPICS.outcomes] == Counts(consumed=2, applied=1, late=1)


def test_a_challenger_answers_under_the_same_id_without_being_a_duplicate() -> None:
    told = run([prediction(1), prediction(1, role="challenger"), outcome(1, at=2_000), outcome(1, at=3_000)])
    assert told.counts[TOPICS.predictions] == Counts(consumed=2, applied=2)
    assert told.counts[TOPICS.outcomes] == Counts(consumed=2, applied=1, duplicate=1)


# -- neighbours ----------------------------------------------------------------------------------------------------


def decided(told: Run) -> list[Any]:
    """All but the dead letters."""
    events = [event for event in told.events if not isinstance(event, DeadLetter)]
    return [without_positions(msgspec.to_builtins(event)) for event in events]


@pytest.mark.parametrize("poison", BAD)
def test_a_bad_record_does_not_touch_its_neighbours(poison: bytes) -> None:
    good = drifting()
    mixed = [*good[:150], poison, *good[150:260], poison, *good[260:]]
    assert decided(run(mixed, DRIFT)) == decided(run(good, DRIFT))
    assert len(run(mixed, DRIFT).dead_letters) == 2


def test_a_thousand_bad_records_in_a_row_do_not_either() -> None:
    good = drifting()
    bad = [BAD[number % len(BAD)] for number in range(1_000)]
    told = run([*good[:220], *bad, *good[220:]], DRIFT)
    assert decided(told) == decided(run(good, DRIFT))
    assert [letter.offset for letter in told.dead_letters] == list(range(220, 1_220))


def test_models_do_not_touch_each_other() -> None:
    ours = drifting()
    theirs = [event | {"model": "other", "id": f"o{event['id']}"} for event in of_feature("age", normal(9, 400))]
    both = [event for pair in zip(ours, theirs, strict=True) for event in pair]
    told = [event for event in decided(run(both, DRIFT)) if event["model"] == "churn"]
    assert told == decided(run(ours, DRIFT))


# -- what goes out -------------------------------------------------------------------------------------------------


def test_every_effect_can_be_read_back_and_ids_are_its_own_and_unique() -> None:
    told = run(traffic(21, 2_500), CONFIG)
    assert [decode_output(effect.value).id for effect in told.effects] == [effect.id for effect in told.effects]
    assert [name for name, times in Counter(effect.id for effect in told.effects).items() if times > 1] == []


def test_the_same_record_at_the_same_place_gives_the_same_ids() -> None:
    assert run(drifting(), DRIFT) == run(drifting(), DRIFT)


def test_another_place_gives_another_id() -> None:
    moved = [one._replace(offset=one.offset + 1_000) for one in records(drifting())]
    ids = {alert.id for alert in run(drifting(), DRIFT).alerts}
    assert ids.isdisjoint(alert.id for alert in run_records(moved, DRIFT).alerts)


def test_the_key_of_an_effect_is_the_model_and_of_a_dead_letter_the_key_it_had() -> None:
    lying = [*records(drifting()), Record(TOPICS.predictions, 0, 400, START, b"its own", b"{")]
    effects = run_records(lying, DRIFT).effects
    assert {effect.stream.value: effect.key for effect in effects} == {
        "alerts": b"churn",
        "signals": b"churn",
        "metrics": b"churn",
        "dead_letters": b"its own",
    }


def test_two_findings_on_one_record_have_two_ids() -> None:
    """The task is found out at the fiftieth label: then fifty losses are judged at one record."""
    config = ModelConfig(baseline_rows=5, parameters={"page_hinkley": {"threshold": 2.0, "min_instances": 1}})
    answers = ([0.5] * 10 + [9.5] * 10) * 3
    pairs = [(prediction(number, prediction=answer), outcome(number, 0.25)) for number, answer in enumerate(answers)]
    told = run([event for pair in pairs for event in pair], config)
    of_loss = [signal for signal in told.signals if signal.signal == "loss"]
    assert len(of_loss) > len({signal.position.offset for signal in of_loss})
    assert len({signal.id for signal in of_loss}) == len(of_loss)


def test_a_category_called_star_is_not_the_rest() -> None:
    config = ModelConfig(baseline_rows=100, categories_max=1)
    told = run(of_feature("plan", ["*", "*", "a", "b"] * 65 + ["a"] * 400), config)
    assert len({signal.id for signal in told.signals}) == len(told.signals)
    assert [alert.signal for alert in told.began] == ["feature:plan=*", "feature:plan=* (2)"]


# -- numbers at the rim --------------------------------------------------------------------------------------------

RIM = [1e308, -1e308, 5e-324, -5e-324, 0.0, -0.0, 1.7976931348623157e308, 2.0**53, 1e-300]


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(RIM) | st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=12),
    st.sampled_from(["absolute", "squared", "auto"]),
)
def test_numbers_at_the_rim_neither_crash_nor_show_as_no_numbers(values: list[float], loss: Any) -> None:
    config = ModelConfig(
        baseline_rows=8,
        loss=loss,
        task="regression",
        metrics_window="1m",
        features={"given": FeatureConfig(mean=0.0, sd=1e-300)},
    )
    events: list[Event] = []
    for number in range(200):
        value = values[number % len(values)]
        features = {"age": value, "given": value, "late": value} if number > 50 else {"age": value, "given": value}
        more = {"latency_ms": value, "cost": value}
        events += [prediction(number, features, prediction=value, **more), outcome(number, -value, weight=abs(value))]
    told = run([*events, tick(10_000_000)], config)
    assert told.metrics
    for effect in told.effects:
        assert b"NaN" not in effect.value
        assert b"Infinity" not in effect.value


def test_one_loss_that_overflows_leaves_the_mean_of_the_others() -> None:
    config = ModelConfig(task="regression", loss="squared", metrics_window="1m")
    pairs = [(1.0, 3.0), (1e200, -1e200), (1.0, 3.0)]
    events = [
        event
        for number, (answer, truth) in enumerate(pairs)
        for event in (prediction(number, prediction=answer), outcome(number, truth))
    ]
    (metrics,) = run([*events, tick(120_000)], config).metrics
    assert (metrics.values["joined"], metrics.values["loss_mean"]) == (3, 4.0)


@pytest.mark.parametrize("clock", [-1, -(2**63), 2**62, 2**63 - 1])
def test_a_nonsense_record_time_does_not_stop_anything(clock: int) -> None:
    lying = [one._replace(timestamp=clock) for one in records(drifting())]
    told = run_records(lying, DRIFT)
    assert [alert.signal for alert in told.began] == ["feature:age"]


def test_stream_time_never_goes_back() -> None:
    lying = records(drifting())
    stepped = [*lying[:200], *(one._replace(timestamp=one.timestamp - 3_600_000) for one in lying[200:])]
    told = run_records(stepped, DRIFT)
    assert {event.ts for event in told.events if isinstance(event, Signal | Alert)} == {lying[199].timestamp}


# -- anything at all -----------------------------------------------------------------------------------------------

ANY_RECORD = st.builds(
    Record,
    topic=st.sampled_from([*TOPICS.inputs, "nobody's", ""]),
    partition=st.integers(0, 9),
    offset=st.integers(0, 2**63 - 1),
    timestamp=st.integers(-1, 2**62),
    key=st.sampled_from([None, b"", b"churn", b"\xff"]),
    value=st.none() | st.binary(max_size=60) | damage,
    headers=st.just(()),
)


@settings(max_examples=60)
@given(st.lists(ANY_RECORD, max_size=20))
def test_no_bytes_raise_and_each_is_accounted_for(lying: list[Record]) -> None:
    told = run_records(lying, None, (7,))
    assert balanced(told.counts)
    assert sum(one.consumed for one in told.counts.values()) == len(lying)


@settings(max_examples=60)
@given(st.lists(any_events, min_size=1, max_size=20), st.sampled_from([CONFIG, None]))
def test_no_event_that_the_schemas_allow_raises(events: list[Event], config: MonitorConfig | None) -> None:
    one_model = [event | {"model": "churn", "at": number} for number, event in enumerate(events)]
    told = run(one_model * 5, config, (3,), restoring=True)
    assert balanced(told.counts)
    assert all(effect.id == decode_output(effect.value).id for effect in told.effects)


def test_an_empty_batch_is_nothing() -> None:
    assert engine().apply([]) == ([], {}, [])


def test_a_lone_tick_makes_no_model() -> None:
    working = engine()
    working.apply([record(tick(5), 0)])
    assert working.stats == (0,) * 7


def test_stats_count_models_and_what_waits() -> None:
    working = engine()
    working.apply(records([prediction(1), outcome(2), outcome(3, model="other")]))
    assert working.stats == (2, 1, 2, 0, 0, 0, 0)


def test_a_batch_of_many_models_and_a_tick_to_all_of_them_are_done_in_parts():
    models = 4 * MODELS_AT_ONCE
    working, many = engine(), [prediction(number, model=f"m{number}") for number in range(models)]
    parts = working.applying(records(many))
    assert len(list(parts)) >= 4 + 4  # taken in and decided
    both = working.applying(records([*(prediction(models + n, model=f"m{n}") for n in range(models)), tick(9)]))
    assert len(list(both)) >= 4 + 4
