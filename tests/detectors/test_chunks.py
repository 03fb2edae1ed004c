"""However records are cut into batches, and wherever an engine is replaced by a restored one: the same bytes."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from detectors.config import ModelConfig
from schemas.topics import CATALOGUE, Direction
from tests.detectors.events import TOPICS, Event, Run, balanced, chances, normal, of_feature, prediction, run
from tests.detectors.traffic import CONFIG, traffic

ROWS = 6_000


@pytest.fixture(scope="module")
def long() -> list[Event | bytes | None]:
    return traffic(seed=2, rows=ROWS)


@pytest.fixture(scope="module")
def whole(long: list[Event | bytes | None]) -> Run:
    return run(long, CONFIG, (len(long),))


def test_the_long_example_has_everything_in_it(whole: Run) -> None:
    streams = Counter(effect.stream for effect in whole.effects)
    closings = {event.evidence.detail.get("why") for event in (*whole.alerts, *whole.signals)}
    counts = whole.counts[TOPICS.predictions]
    assert set(streams) == {topic.stream for topic in CATALOGUE.values() if topic.direction is Direction.OUT}
    assert closings >= {None, "deployed"}
    names = {alert.evidence.detail.get("looks_like") for alert in whole.alerts}
    told = {name for alert in whole.alerts for name in alert.evidence.detail}
    assert names >= {None, "unit change"}
    assert told >= {
        "psi",
        "wasserstein",
        "change",
        "change_point_low",
        "lasted_ms",
        "harm",
        "cause_1",
        "cause_3",
        "times",
    }
    assert {signal.disposition for signal in whole.signals} >= {
        "suspected",
        "already_open",
        "improvement",
        "grouped",
        "over",
    }
    assert {alert.segment for alert in whole.began} > {None, "country=*"}
    assert {str(alert.kind) for alert in whole.began} >= {"feature_drift", "concept_drift", "data_quality"}
    assert "too_many_models" in {letter.reason for letter in whole.dead_letters}
    assert min(counts.applied, counts.duplicate, counts.conflicts, counts.dead_lettered) > 0
    assert whole.counts[TOPICS.outcomes].late > 0


def test_every_detail_that_evidence_has_stands_in_the_page_of_events(whole: Run) -> None:
    page = (Path(schemas.__file__).parents[1] / "docs" / "events.md").read_text()
    told = {name for event in (*whole.alerts, *whole.signals) for name in event.evidence.detail}
    assert told <= set(re.findall(r"`([^`\n]+)`", page))


@pytest.mark.parametrize("size", [1, 7, 64, 1_000])
def test_a_long_stream_gives_the_same_bytes_in_batches_of(
    size: int, long: list[Event | bytes | None], whole: Run
) -> None:
    assert run(long, CONFIG, (size,)) == whole


@pytest.mark.parametrize("sizes", [(499,), (1, 900, 2, 333)])
def test_a_long_stream_gives_the_same_bytes_when_every_batch_meets_a_restored_engine(
    sizes: tuple[int, ...], long: list[Event | bytes | None], whole: Run
) -> None:
    assert run(long, CONFIG, sizes, restoring=True) == whole


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(1, 500),
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=8),
    restoring=st.booleans(),
)
def test_any_traffic_gives_the_same_bytes_in_any_batches(
    seed: int, rows: int, sizes: list[int], restoring: bool
) -> None:
    events = traffic(seed, rows)
    assert run(events, CONFIG, [*sizes, 20], restoring) == run(events, CONFIG, (len(events),))


def test_rows_and_labels_of_one_long_batch_are_lived_through_in_the_order_in_which_they_came() -> None:
    """No window closes and no tick comes in between: nothing else would make the batch shorter."""
    config = ModelConfig(baseline_rows=300, metrics_window="1d")
    ages = [*normal(1, 900), *normal(2, 1_200, 2.0)]
    events: list[Event] = []
    answers = balanced([*chances(3, 900, 0.1), *chances(4, 1_200, 0.4)])
    for asked, told, age in zip(answers[::2], answers[1::2], ages, strict=True):
        events += [asked | {"features": {"age": age}}, told]
    whole = run(events, config, (len(events),))
    assert len(whole.retrains) == 1
    assert {alert.signal for alert in whole.began} == {"feature:age", "loss"}
    assert run(events, config, (1,)) == whole


@pytest.mark.parametrize("size", [1, 100, 2_600])
def test_what_is_over_in_a_long_batch_is_watched_again_from_there_on(size: int) -> None:
    """Found, over and found again in one batch: the detector of the second time must not have slept through it."""
    age = [*normal(1, 400), *normal(2, 300, 2.0), *normal(3, 1_300), *normal(4, 600, 2.0)]
    config = ModelConfig(baseline_rows=200, metrics_window="1d")
    told = run(of_feature("age", age), config, (size,))
    assert [str(alert.event) for alert in told.alerts] == ["opened", "resolved", "reopened"]
    assert 2_000 <= told.alerts[-1].position.offset < 2_030
    assert told == run(of_feature("age", age), config, (64,), restoring=True)


def test_a_finding_has_the_share_of_the_budget_that_its_signal_had_then_and_not_at_the_end_of_the_batch() -> None:
    events = of_feature("age", [*normal(1, 300), *normal(2, 100, 3.0)])
    events += [prediction(number, {"age": 3.0, "new": 1.0}) for number in range(400, 420)]
    config = ModelConfig(baseline_rows=200, metrics_window="1d")
    (alert,) = run(events, config, (len(events),)).alerts
    assert "which has 20.00% of" in alert.evidence.threshold_origin  # of the feature, what is missing of it, the answer
    assert run(events, config, (len(events),)) == run(events, config, (1,))
