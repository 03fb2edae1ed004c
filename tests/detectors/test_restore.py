"""A snapshot is taken at the worst of moments, and read back from bytes that are not always one."""

import msgspec
import pytest

from detectors.banks.contract import StateError
from detectors.config import ModelConfig, MonitorConfig
from tests.detectors.events import Event, control, engine, labelled, normal, of_feature, prediction, records, run
from tests.detectors.traffic import CONFIG, traffic


def everywhere(events: list[Event], config: ModelConfig) -> None:
    """The same bytes, though each single record meets an engine restored from bytes."""
    assert run(events, config, (1,), restoring=True) == run(events, config, (len(events),))


def test_just_after_a_feature_has_learned_its_categories() -> None:
    everywhere(of_feature("plan", "ab" * 40), ModelConfig(baseline_rows=20))


def test_just_after_labels_that_weigh_nothing() -> None:
    silent = [event | ({"weight": 0.0} if event["type"] == "outcome" else {}) for event in labelled([False] * 30)]
    everywhere([*silent, *labelled([True] * 60, first=100)], ModelConfig(baseline_rows=10, task="multiclass"))


def test_while_the_task_is_being_found_out() -> None:
    everywhere(labelled([False, True] * 40, score=0.25), ModelConfig(baseline_rows=10))


def test_in_the_middle_of_a_drift_and_its_confirmation() -> None:
    events = of_feature("age", [*normal(1, 150), *normal(2, 200, 2.0)])
    assert run(events, ModelConfig(baseline_rows=100)).opened
    everywhere(events, ModelConfig(baseline_rows=100))


@pytest.mark.parametrize("deployed", [None, "2"])
def test_while_some_name_their_version_and_some_name_it_as_nothing(deployed: str | None) -> None:
    versions = (None, "", "2")
    events = [prediction(number, {"age": 1.0}, version=versions[number % 3]) for number in range(90)]
    named = [control("deploy", "d", version=deployed)] if deployed else []
    everywhere([*named, *events], ModelConfig(baseline_rows=20, metrics_window="10s"))


def test_a_snapshot_read_back_gives_the_same_snapshot() -> None:
    working = engine(CONFIG)
    working.apply(records(traffic(5, 800)))
    restored = engine(CONFIG)
    restored.restore(working.snapshot())
    assert (restored.snapshot(), restored.stats) == (working.snapshot(), working.stats)


def test_a_state_of_another_version_is_refused_and_says_so() -> None:
    with pytest.raises(StateError, match="version 99"):
        engine().restore(msgspec.msgpack.encode([99, {}]))


@pytest.mark.parametrize("state", [b"", b"\x00", b"nonsense", msgspec.msgpack.encode([1, {"churn": 7}])])
def test_bytes_that_are_no_state_are_refused(state: bytes) -> None:
    with pytest.raises(StateError):
        engine().restore(state)


def test_a_refused_state_changes_nothing() -> None:
    working = engine()
    working.apply(records([prediction(1, {"age": 1.0})]))
    before = working.snapshot()
    with pytest.raises(StateError):
        working.restore(before[: len(before) // 2])
    assert working.snapshot() == before


def test_a_state_of_another_configuration_is_refused() -> None:
    working = engine(ModelConfig(detectors=("adwin",)))
    working.apply(records([prediction(1, {"age": 1.0})]))
    with pytest.raises(StateError):
        engine(MonitorConfig(defaults=ModelConfig(detectors=("adwin", "page_hinkley")))).restore(working.snapshot())
