"""The limit on what waits on a whole partition: the oldest of all models makes room."""

from detectors.config import ModelConfig, MonitorConfig
from schemas.sizes import MARK
from schemas.topics import VALUE_BYTES_MAX
from tests.detectors.events import Event, engine, of_feature, outcome, prediction, records, run, run_records, tick

CONFIG = MonitorConfig(defaults=ModelConfig(metrics_window="1m", label_horizon="1d"), pending_max=4)
MINUTE = 60_000


def waiting() -> list[Event]:
    return [
        prediction(f"{model}{number}", model=model, at=10 * number + turn)
        for number in range(4)
        for turn, model in enumerate(("a", "b", "c"))
    ]


def test_the_oldest_of_all_models_makes_room_and_its_outcome_is_late() -> None:
    working = engine(CONFIG)
    working.apply(records(waiting()))
    assert (working.stats.pending, working.stats.evicted) == (4, 8)
    labels = records([*waiting(), *[outcome(f"{m}{n}", model=m, at=100) for n in range(4) for m in "abc"]])[12:]
    counts = working.apply(labels).counts
    assert [(count.applied, count.late) for count in counts.values()] == [(4, 8)]


def test_where_batches_end_and_engines_begin_anew_makes_no_difference() -> None:
    events = [
        *waiting(),
        tick(MINUTE),
        *[outcome(f"a{n}", model="a", at=MINUTE + n) for n in range(4)],
        tick(3 * MINUTE),
    ]
    whole = run(events, CONFIG, (len(events),))
    assert whole.signals
    for sizes in ((1,), (5,), (7, 2)):
        assert run_records(records(events), CONFIG, sizes, restoring=True) == whole


def test_a_model_that_comes_after_the_limit_was_met_takes_part() -> None:
    working = engine(CONFIG)
    working.apply(records(waiting()))
    later = records([*waiting(), *[prediction(f"d{n}", model="d", at=100 + n) for n in range(6)]])[12:]
    working.apply(later)
    assert {model: monitor.joins[0].pending for model, monitor in working._monitors.items()} == {
        "a": 0,
        "b": 0,
        "c": 0,
        "d": 4,
    }


def test_an_alert_about_a_category_of_half_a_megabyte_fits_its_topic() -> None:
    """Its name stands in the signal and in the sentence."""
    plans = [("a" if row % 2 else "b") * 600_000 for row in range(60)] + ["a" * 600_000] * 60
    told = run(of_feature("plan", plans), ModelConfig(baseline_rows=50, rows_per_false_alarm=1_000))
    assert any(alert.evidence.detail.get(MARK) is True for alert in told.alerts)
    assert max(len(effect.value) for effect in told.effects) <= VALUE_BYTES_MAX
