"""The retrain rule as tables: what asks, and what holds it back."""

from typing import Any

import msgspec
import pytest

from detectors.config import RetrainConfig
from detectors.lifecycle import Alarm
from detectors.retrain import (
    MONTH_MS,
    Asked,
    DataWindow,
    Held,
    Known,
    Policy,
    Request,
    RetrainReason,
    request,
    why_held,
)
from schemas.events import ChangePoint, Evidence, JsonScalar, Kind, Severity

HOUR = 3_600_000
CONFIG = RetrainConfig(cooldown="24h", min_labels=200, feature_drift_lasts="6h")
POLICY = Policy.of(CONFIG)
HARM, LASTING, UNCURED = RetrainReason.CONCEPT_DRIFT, RetrainReason.LASTING_DRIFT, RetrainReason.NOT_CURED
NOW = 100 * HOUR


def alarm(kind: Kind, hours: int = 0, joined: int = 0, **more: Any) -> Alarm:
    """Open for so many hours, with so many labels joined before it."""
    detail: dict[str, JsonScalar] = {"change": change} if (change := more.pop("change", None)) else {}
    opened = NOW - hours * HOUR
    evidence = Evidence(
        value=1.0,
        threshold=1.0,
        threshold_origin="",
        n=1,
        baseline=0.0,
        effect=1.0,
        change_point=ChangePoint(ts=opened - HOUR, offset=7),
        detail=detail,
    )
    return Alarm(
        id=f"{kind}-{hours}",
        alert_id=f"{kind}-{hours}-opened",
        signal=kind,
        kind=kind,
        detector="adwin",
        severity=Severity.WARNING,
        opened_ts=opened,
        opened_row=0,
        opened_joined=joined,
        evidence=evidence,
        **more,
    )


def asked_for(
    alarms: list[Alarm],
    joined: int,
    asked: Asked | None = None,
    *,
    labelled: tuple[int, int] | None = None,
    **policy: Any,
) -> Request | None:
    """Where a thousand predictions have come since any time, and as many labels of these as have joined."""
    known = Known(joined, lambda _since: 1_000, lambda _since: labelled or (0, joined))
    config = msgspec.structs.replace(CONFIG, **policy)
    return request(Policy.of(config), alarms, NOW, known, asked or Asked())


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
    asked = asked_for(alarms, joined, Asked(last))
    assert (asked.reason if asked and asked.held is None else None) == reason


def test_a_retrain_answers_all_that_ask_and_its_data_begin_with_the_harm() -> None:
    harm, drift, broken = alarm(CONCEPT, joined=300), alarm(FEATURE, hours=7), alarm(QUALITY, hours=8)
    asked = asked_for([broken, drift, harm], 600)
    assert asked is not None
    assert (asked.alarms, asked.causes, asked.labels) == ([drift, harm], [harm], 300)


def test_labels_of_predictions_from_before_the_change_are_none_to_train_on() -> None:
    harm = alarm(CONCEPT, joined=300)
    few, enough = asked_for([harm], 600, labelled=(199, 199)), asked_for([harm], 600, labelled=(208, 208))
    assert few is not None
    assert few.held is Held.TOO_FEW_LABELS
    assert enough is not None
    assert (enough.held, enough.labels) == (None, 208)
    more = asked_for([harm], 600, labelled=(5_000, 5_000))
    assert more is not None
    assert more.labels == 300


@pytest.mark.parametrize(
    ("labelled", "labels"),
    [((0, 15), 0), ((250, 260), 250), ((290, 305), 300), ((300, 300), 300), ((320, 335), 320), ((600, 600), 600)],
)
def test_of_a_change_that_labels_did_not_show_only_those_count_that_are_of_predictions_since(
    labelled: tuple[int, int], labels: int
) -> None:
    for alarms in ([alarm(FEATURE, hours=6, joined=300)], [alarm(Kind.PREDICTION_DRIFT, hours=6, joined=300)]):
        wanted = asked_for(alarms, 600, labelled=labelled)
        assert wanted is not None
        assert wanted.labels == labels


def test_a_rule_changes_nothing_in_what_it_looks_at() -> None:
    one = alarm(CONCEPT)
    before = msgspec.to_builtins(one)
    asked_for([one], 1_000)
    assert msgspec.to_builtins(one) == before


# -- what holds it back ------------------------------------------------------------------------------------------------

HARMED = [alarm(CONCEPT)]


@pytest.mark.parametrize(
    ("joined", "asked", "policy", "held"),
    [
        (1_000, Asked(), {}, None),
        (199, Asked(), {}, Held.TOO_FEW_LABELS),
        (1_000, Asked({HARM: NOW - HOUR}), {}, Held.COOLDOWN),
        (1_000, Asked({UNCURED: NOW - HOUR}), {}, Held.COOLDOWN),
        (299, Asked(), {"labels_share": 0.3}, Held.IMMATURE_LABELS),
        (300, Asked(), {"labels_share": 0.3}, None),
        (1_000, Asked(times=[NOW - HOUR]), {"per_month": 1}, Held.BUDGET_SPENT),
        (1_000, Asked(times=[NOW - MONTH_MS]), {"per_month": 1}, None),
        (1_000, Asked(times=[NOW - HOUR]), {"per_month": 2}, None),
        (1_000, Asked(failures=2), {}, None),
        (1_000, Asked(failures=3), {}, Held.CIRCUIT_OPEN),
        (1_000, Asked(failures=9), {"give_up_after": 0}, None),
        (0, Asked({HARM: NOW}, [NOW], 3), {"per_month": 1}, Held.CIRCUIT_OPEN),  # what lasts longest is told
        (0, Asked({HARM: NOW}, [NOW]), {"per_month": 1}, Held.BUDGET_SPENT),
        (0, Asked({HARM: NOW}), {}, Held.COOLDOWN),
    ],
)
def test_what_holds_a_retrain_back(joined: int, asked: Asked, policy: dict[str, Any], held: Held | None) -> None:
    wanted = asked_for(HARMED, joined, asked, **policy)
    assert wanted is not None
    assert wanted.held is held


def test_labels_are_waited_for_and_not_for_ever() -> None:
    waits = {"labels_share": 0.5, "labels_wait": "10h"}
    for hours, held in ((9, Held.IMMATURE_LABELS), (10, None)):
        wanted = asked_for([alarm(CONCEPT, hours=hours)], 400, **waits)
        assert wanted is not None
        assert wanted.held is held


def test_only_kinds_that_are_named_ask() -> None:
    assert asked_for([alarm(FEATURE, hours=9)], 1_000, on=("concept_drift",)) is None
    assert asked_for(HARMED, 1_000, on=("feature_drift",)) is None
    assert asked_for(HARMED, 1_000, on=()) is None


def test_a_retrain_that_did_not_cure_is_asked_for_again_as_such() -> None:
    again = asked_for([alarm(CONCEPT, uncured=True)], 1_000)
    both = asked_for([alarm(CONCEPT, uncured=True), alarm(CONCEPT, hours=1)], 1_000)
    assert (again and again.reason, both and both.reason) == (UNCURED, HARM)


@pytest.mark.parametrize(
    ("changes", "window"),
    [
        (["gradual"], DataWindow.RECENT),
        (["gradual", "gradual"], DataWindow.RECENT),
        (["gradual", "sudden"], DataWindow.SINCE_CHANGE),
        ([None], DataWindow.SINCE_CHANGE),
    ],
)
def test_what_came_little_by_little_is_trained_on_its_newest_rows(
    changes: list[str | None], window: DataWindow
) -> None:
    wanted = asked_for([alarm(CONCEPT, hours=n, change=change) for n, change in enumerate(changes)], 1_000)
    assert wanted is not None
    assert wanted.window is window


def test_the_budget_remembers_as_many_times_as_it_has() -> None:
    asked, policy = Asked(), Policy.of(RetrainConfig(per_month=2))
    for when in (1, 2, 3):
        asked.note(HARM, when, policy)
    assert (asked.times, asked.last) == ([2, 3], {HARM: 3})
    asked.note(HARM, 4, Policy.of(RetrainConfig()))
    assert asked.times == [2, 3]


@pytest.mark.parametrize("held", list(Held))
def test_every_reason_says_in_words_what_ends_it(held: Held) -> None:
    wanted = Request(HARM, HARMED, HARMED, 10, held)
    said = why_held(POLICY, Asked(failures=3), wanted)
    assert said
    assert len({why_held(POLICY, Asked(failures=3), wanted._replace(held=each)) for each in Held}) == len(Held)
