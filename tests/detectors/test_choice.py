"""Control events choose a baseline by its name, at their place in the stream; another content is begun afresh."""

from collections.abc import Sequence
from functools import cache
from random import Random

import msgspec
import pytest

from detectors.config import ModelConfig, MonitorConfig
from detectors.learning import Recordings
from detectors.reports import Origin
from schemas.events import AlertEvent, Kind
from tests.detectors.events import (
    SECOND,
    START,
    Event,
    Run,
    balanced,
    chances,
    control,
    engine,
    normal,
    of_feature,
    outcome,
    prediction,
    records,
    run,
    summary,
)
from tests.detectors.kept import Memory
from tests.detectors.recordings import FROM_FILE, WARM, learned, recordings
from tests.detectors.traffic import CONFIG, traffic

Q1, Q2 = Origin("q1", "1" * 12), Origin("q2", "2" * 12)
STREAM = [*of_feature("x", normal(3, 300)), *of_feature("x", normal(4, 300, 5.0), 300)]


@cache
def both() -> Recordings:
    low, high = of_feature("x", normal(1, 1_000)), of_feature("x", normal(2, 1_000, 5.0))
    return recordings(learned(low, WARM, Q1), learned(high, WARM, Q2))


def switched(word: Event, config: ModelConfig = FROM_FILE, sizes: Sequence[int] = (1_000,)) -> Run:
    return run([*STREAM[:300], word | {"at": 300 * SECOND}, *STREAM[300:]], config, sizes, recordings=both())


def names(told: Run) -> list[object]:
    return [alert.evidence.detail["baseline_name"] for alert in told.opened]


def test_without_a_word_the_change_is_an_alarm() -> None:
    assert names(run(STREAM, FROM_FILE, recordings=both())) == ["q1"]


@pytest.mark.parametrize("action", ["baseline", "deploy", "rollback"])
def test_a_named_baseline_holds_from_its_place_in_the_stream_on(action: str) -> None:
    word = control(action, "c", baseline="q2", version="2")
    told = switched(word)
    assert told.opened == []
    assert switched(word, sizes=(1,)) == told
    wrong = switched(control(action, "c", baseline="q1", version="2"))
    assert names(wrong) == ["q1"]


def test_without_a_name_a_new_baseline_is_learned_from_the_stream() -> None:
    told = run(
        [
            *STREAM[:300],
            control("baseline", "c", at=300 * SECOND),
            *STREAM[300:],
            *of_feature("x", normal(5, 300, 5.0), 600),
            *of_feature("x", normal(6, 100, 9.0), 900),
        ],
        FROM_FILE,
        recordings=both(),
    )
    assert names(told) == ["warm-up"]


def test_without_a_name_a_deployment_begins_with_the_configured_one() -> None:
    assert names(switched(control("deploy", "c", version="2"))) == ["q1"]


def test_a_rollback_goes_back_to_the_baseline_that_the_version_was_deployed_with() -> None:
    words = [
        control("deploy", "a", version="1", baseline="q2", at=0),
        control("deploy", "b", version="2", at=0),
        control("rollback", "c", version="1", at=0),
    ]
    assert run([*words, *of_feature("x", normal(4, 300, 5.0))], FROM_FILE, recordings=both()).opened == []


@pytest.mark.parametrize("action", ["baseline", "deploy"])
def test_a_name_that_is_not_known_changes_nothing_and_is_told(action: str) -> None:
    told = switched(control(action, "c", version="2", baseline="q3"))
    (signal,) = [signal for signal in told.signals if signal.detector == "baseline"]
    assert (signal.kind, signal.disposition, signal.position.offset) == (Kind.SYSTEM, "unknown", 300)
    assert signal.evidence.detail["why"] == "there is no baseline 'q3': this model has warm-up, q1, q2"
    assert signal.evidence.detail["baseline_name"] == "q1"
    assert names(told) == ["q1"]


def test_labels_of_another_task_in_the_file_teach_no_losses() -> None:
    """The stream has shown by then that answers are right or wrong; the file has quantities."""
    draw = Random(1)
    base = [event for n in range(1_000) for event in (prediction(n), outcome(n, draw.gauss(1.0, 0.1)))]
    stream = [*balanced(chances(1, 600, 0.1), score=0.5), control("baseline", "c", baseline="q1", at=600 * SECOND)]
    stream += balanced([*chances(2, 600, 0.1), *chances(3, 300, 0.5)], 600, score=0.5)
    told = run(stream, WARM, recordings=recordings(learned(base, WARM)))
    (alert,) = [alert for alert in told.began if alert.signal == "loss"]
    assert 1_200 * SECOND <= alert.ts - START < 1_300 * SECOND
    assert alert.evidence.baseline == pytest.approx(0.1, abs=0.05)


def test_an_unknown_name_leaves_open_alarms_open() -> None:
    stream = [*STREAM, control("baseline", "c", baseline="q3", at=600 * SECOND)]
    told = run(stream, FROM_FILE, recordings=both()).alerts
    assert {alert.event for alert in told} == {AlertEvent.OPENED, AlertEvent.UPDATED}
    assert len({alert.incident for alert in told}) == 1


# -- restarts, cuts, another content ----------------------------------------------------------------------------------


def test_however_it_is_cut_and_wherever_it_is_restored_the_bytes_are_the_same() -> None:
    base = [event for event in traffic(seed=9, rows=3_000) if isinstance(event, dict) and event.get("model") == "churn"]
    config = msgspec.structs.replace(CONFIG.defaults, baseline="q1", baselines={"q2": "x"})
    baselines = recordings(learned(base, config, Q1), learned(base[:900], config, Q2))
    stream = traffic(seed=4, rows=3_000)
    for place, name in ((700, "q2"), (2_000, "q1"), (2_500, "nobody's")):
        stream.insert(place, control("baseline", f"c{place}", baseline=name, at=0))
    models = MonitorConfig(defaults=config)
    whole = run(stream, models, (len(stream),), recordings=baselines)
    said = {event.evidence.detail.get("baseline_name") for event in (*whole.alerts, *whole.signals)}
    assert {"q1", "q2", "warm-up"} <= said
    assert {"not_reportable", "unknown"} <= {signal.disposition for signal in whole.signals}
    assert run(stream, models, (1, 7, 130), recordings=baselines) == whole
    assert run(stream, models, (61, 300), restoring=True, recordings=baselines) == whole


def test_what_was_chosen_outlives_a_restart_and_holds_for_versions_to_come() -> None:
    high = [event | {"version": "2"} for event in of_feature("x", normal(4, 200, 5.0), 200)]
    word = control("baseline", "c", baseline="q2", at=0)
    stream = [word, *of_feature("x", normal(5, 200, 5.0)), *high]
    assert run(stream, FROM_FILE, (50,), restoring=True, recordings=both()).opened == []


def restarted(before: Origin, after: Origin, config: ModelConfig = FROM_FILE) -> list[tuple[str, str]]:
    """An alarm is opened, and then the worker starts with another content under the same name."""
    kept = Memory()
    base = of_feature("x", normal(1, 1_000))
    events = records(of_feature("x", normal(2, 120, 3.0)))
    first = engine(FROM_FILE, kept, recordings(learned(base, FROM_FILE, before)))
    effects = first.apply(events[:60]).effects
    kept.take(first.changes())
    second = engine(config, kept, recordings(learned(base, config, after), learned(base, config, Q2)))
    return summary(Run([*effects, *second.apply(events[60:]).effects], {}).alerts)


def test_another_content_is_another_configuration() -> None:
    assert restarted(Q1, Q1) == [("opened", "feature:x")]
    assert restarted(Q1, Origin("q1", "9" * 12)) == [
        ("opened", "feature:x"),
        ("resolved", "feature:x"),
        ("opened", "feature:x"),
    ]


def test_a_baseline_that_nobody_has_chosen_can_be_added_while_all_goes_on() -> None:
    assert restarted(Q1, Q1, msgspec.structs.replace(FROM_FILE, baselines={"q2": "q2.csv"})) == [
        ("opened", "feature:x")
    ]
