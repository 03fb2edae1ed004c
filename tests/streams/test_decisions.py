"""What is counted and logged of what the monitor has decided."""

import structlog

from detectors.config import ModelConfig
from schemas.events import AlertEvent
from streams.decisions import decisions
from tests.detectors.events import normal, prediction, run
from tests.detectors.test_checks import CONFIG, WORSE, deployed


def test_every_step_of_an_incident_and_every_finding_is_counted_by_its_reason() -> None:
    person = "anna@example.com"
    values = [*normal(1, 400), *normal(2, 100, 3.0)]
    events = [prediction(row, {"age": age}, segments={"who": person}) for row, age in enumerate(values)]
    told = run(events, ModelConfig(baseline_rows=200, segments=("who",)))
    with structlog.testing.capture_logs() as lines:
        counted = decisions(told.effects)
    assert counted["alert", "opened"] == len(told.opened) > 0
    assert sum(counted.values()) == len(told.alerts) + len(told.signals)
    assert {type for type, _ in counted} == {"alert", "signal"}
    assert [(line["step"], line["incident"]) for line in lines] == [(a.event, a.incident) for a in told.alerts]
    assert AlertEvent.OPENED in {line["step"] for line in lines}
    assert person in str([alert.segment for alert in told.began])
    assert person not in str(lines)


def test_retrains_and_rollbacks_are_counted_by_what_they_are_asked_for() -> None:
    counted = decisions(run(deployed(WORSE), CONFIG).effects)
    assert counted["retrain", "concept_drift_confirmed"] == counted["rollback", "worse_than_replaced"] == 1
