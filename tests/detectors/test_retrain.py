"""The retrain rule as a table."""

import msgspec
import pytest

from detectors.config import RetrainConfig
from detectors.lifecycle import Alarm
from detectors.retrain import Policy, RetrainReason, request
from schemas.events import Evidence, Kind, Severity

HOUR = 3_600_000
POLICY = Policy.of(RetrainConfig(cooldown="24h", min_labels=200, feature_drift_lasts="6h"))
HARM, LASTING = RetrainReason.CONCEPT_DRIFT, RetrainReason.LASTING_DRIFT
NOW = 100 * HOUR


def alarm(kind: Kind, hours: int = 0, joined: int = 0, retrained: bool = False) -> Alarm:
    """Open for so many hours, with so many labels joined before it."""
    evidence = Evidence(value=1.0, threshold=1.0, threshold_origin="", n=1, baseline=0.0, effect=1.0)
    return Alarm(
        id=f"{kind}-{hours}",
        alert_id=f"{kind}-{hours}-opened",
        signal=kind,
        kind=kind,
        detector="adwin",
        severity=Severity.WARNING,
        opened_ts=NOW - hours * HOUR,
        opened_row=0,
        opened_joined=joined,
        evidence=evidence,
        retrained=retrained,
    )


CONCEPT, FEATURE, QUALITY = Kind.CONCEPT_DRIFT, Kind.FEATURE_DRIFT, Kind.DATA_QUALITY


@pytest.mark.parametrize(
    ("alarms", "joined", "last", "reason"),
    [
        ([], 1_000, {}, None),
        ([alarm(CONCEPT)], 200, {}, HARM),
        ([alarm(CONCEPT)], 199, {}, None),
        ([alarm(CONCEPT, joined=50)], 249, {}, None),
        ([alarm(CONCEPT, joined=50)], 250, {}, HARM),
        ([alarm(CONCEPT, retrained=True)], 1_000, {}, None),
        ([alarm(FEATURE, hours=5)], 1_000, {}, None),
        ([alarm(FEATURE, hours=6)], 1_000, {}, LASTING),
        ([alarm(Kind.PREDICTION_DRIFT, hours=6)], 1_000, {}, LASTING),
        ([alarm(Kind.LABEL_DRIFT, hours=5)], 1_000, {}, None),
        ([alarm(Kind.LABEL_DRIFT, hours=6)], 1_000, {}, LASTING),
        ([alarm(FEATURE, hours=6)], 199, {}, None),
        ([alarm(QUALITY, hours=99)], 1_000, {}, None),
        ([alarm(CONCEPT), alarm(FEATURE, hours=6)], 1_000, {}, HARM),
        ([alarm(CONCEPT, joined=900), alarm(FEATURE, hours=6)], 1_000, {}, None),
        ([alarm(CONCEPT)], 1_000, {HARM: NOW - 23 * HOUR}, None),
        ([alarm(CONCEPT)], 1_000, {HARM: NOW - 24 * HOUR}, HARM),
        ([alarm(CONCEPT)], 1_000, {LASTING: NOW - HOUR}, HARM),
        ([alarm(FEATURE, hours=6)], 1_000, {HARM: NOW - 23 * HOUR}, None),
        ([alarm(FEATURE, hours=6)], 1_000, {LASTING: NOW - 23 * HOUR}, None),
        ([alarm(FEATURE, hours=6)], 1_000, {HARM: NOW - 30 * HOUR, LASTING: NOW - 25 * HOUR}, LASTING),
    ],
)
def test_what_justifies_a_retrain(
    alarms: list[Alarm], joined: int, last: dict[RetrainReason, int], reason: RetrainReason | None
) -> None:
    asked = request(POLICY, alarms, NOW, joined, last)
    assert (asked.reason if asked else None) == reason


def test_a_retrain_answers_all_that_ask_and_its_data_begin_with_the_harm() -> None:
    harm, drift, broken = alarm(CONCEPT, joined=300), alarm(FEATURE, hours=7), alarm(QUALITY, hours=8)
    asked = request(POLICY, [broken, drift, harm], NOW, 600, {})
    assert asked is not None
    assert (asked.alarms, asked.causes, asked.labels) == ([drift, harm], [harm], 300)


def test_a_rule_changes_nothing_in_what_it_looks_at() -> None:
    one = alarm(CONCEPT)
    before = msgspec.to_builtins(one)
    request(POLICY, [one], NOW, 1_000, {})
    assert msgspec.to_builtins(one) == before
