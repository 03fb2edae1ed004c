"""No event is larger than its topic takes, whatever strings were in the records that caused it."""

from base64 import b64decode
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import decode_output, encode
from schemas.events import (
    Alert,
    AlertEvent,
    DeadLetter,
    Evidence,
    Kind,
    LabelCounts,
    Metrics,
    Output,
    Position,
    Retrain,
    Rollback,
    Severity,
    Signal,
    TrainingData,
)
from schemas.reasons import DeadLetterReason
from schemas.sizes import LIMIT_MIN, MARK, fit
from schemas.topics import VALUE_BYTES_MAX

T = TypeVar("T")


def made(make: Callable[..., T], *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[T]:
    """``st.builds`` would write megabytes down for its report."""
    return st.tuples(*parts).map(lambda drawn: make(*drawn))


# Texts of producers, long ones from a short pattern: quotes and control characters grow sixfold in JSON.
hostile = made(
    lambda text, times: text * times,
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.sampled_from(["\x00", '"\\', "\U0001f525", "…~"]),
    st.sampled_from([1, 40, 3_000, 40_000]),
)
scalars = hostile | st.floats() | st.integers(-(2**53), 2**53) | st.booleans() | st.none()
many = st.integers(0, 3_000)


@st.composite
def details(draw: st.DrawFn) -> dict[str, object]:
    name, value = draw(hostile), draw(scalars)
    return {f"{name}{number}": value for number in range(draw(many) if len(name) < 1_000 else 20)}


evidences = made(
    lambda detail, trace: Evidence(
        value=1.0, threshold=0.5, threshold_origin="set", n=9, baseline=None, effect=None, detail=detail, trace=trace
    ),
    details(),
    st.none() | hostile,
)
position = Position(topic="driftline.predictions", partition=3, offset=2**53)
alerts = made(
    lambda evidence, version, segment, signal, summary: Alert(
        id="a1",
        incident="i1",
        event=AlertEvent.OPENED,
        severity=Severity.CRITICAL,
        kind=Kind.FEATURE_DRIFT,
        model="m" * 64,
        version=version,
        segment=segment,
        signal=signal,
        detector="adwin",
        ts=1,
        evidence=evidence,
        position=position,
        summary=summary,
    ),
    evidences,
    st.none() | hostile,
    st.none() | hostile,
    hostile,
    hostile,
)
signals = made(
    lambda evidence, version, signal: Signal(
        id="s1",
        model="m",
        version=version,
        signal=signal,
        detector="adwin",
        kind=Kind.FEATURE_DRIFT,
        ts=1,
        evidence=evidence,
        position=position,
        disposition="held",
    ),
    evidences,
    st.none() | hostile,
    hostile,
)
metrics = made(
    lambda version, segment, name, count: Metrics(
        id="x1",
        model="m",
        version=version,
        segment=segment,
        ts=1,
        window_start=0,
        window_end=1,
        values={f"{number}{name}": 0.5 for number in range(count if len(name) < 1_000 else 20)},
    ),
    st.none() | hostile,
    st.none() | hostile,
    hostile,
    many,
)
retrains = made(
    lambda version, count: Retrain(
        id="r1",
        model="m",
        version=version,
        reason="performance",
        alerts=["a" * 24] * count,
        data=TrainingData(from_ts=0, to_ts=1, topic="t", partition=0, from_offset=0, to_offset=1),
        labels=LabelCounts(joined=1, pending=1, median_delay_ms=None),
        ts=1,
        incidents=["i" * 24] * count,
    ),
    st.none() | hostile,
    st.integers(0, 60_000),
)
rollbacks = made(
    lambda version, count, evidence: Rollback(
        id="b1",
        model="m",
        version=version,
        to_version=version,
        reason="worse_than_replaced",
        incidents=["i" * 24] * count,
        evidence=evidence,
        ts=1,
        position=position,
    ),
    st.none() | hostile,
    st.integers(0, 60_000),
    evidences,
)
dead_letters = made(
    lambda detail, value, header, count: DeadLetter(
        id="d1",
        reason=DeadLetterReason.NOT_JSON,
        detail=detail,
        topic="t",
        partition=0,
        offset=1,
        key=None,
        value="QUJD" * value,
        value_bytes=1,
        truncated=False,
        headers=[(header, "QUJD")] * count,
        ts=1,
    ),
    hostile,
    st.integers(0, 30_000),
    hostile,
    st.integers(0, 30),
)
events: st.SearchStrategy[Output] = alerts | signals | metrics | retrains | rollbacks | dead_letters


@settings(max_examples=60)  # events of megabytes
@given(events, st.sampled_from([LIMIT_MIN, 40_000, VALUE_BYTES_MAX]))
def test_whatever_is_in_it_an_event_fits_and_is_still_that_event(event: Output, limit: int) -> None:
    fitted = fit(event, limit)
    assert len(encode(fitted)) <= limit
    assert decode_output(encode(fitted)).id == event.id
    assert fit(fitted, limit) is fitted
    if len(encode(event)) <= limit:
        assert fitted is event
    else:
        assert encode(fit(event, limit)) == encode(fitted)


def an_alert(**changes: object) -> Alert:
    evidence = Evidence(value=1.0, threshold=0.5, threshold_origin="set", n=9, baseline=None, effect=None)
    alert = Alert(
        id="a1",
        incident="i1",
        event=AlertEvent.OPENED,
        severity=Severity.CRITICAL,
        kind=Kind.FEATURE_DRIFT,
        model="churn",
        signal="feature:age",
        detector="adwin",
        ts=1,
        evidence=evidence,
        position=position,
        summary="It moved.",
    )
    return msgspec.structs.replace(alert, **changes)


def test_a_trace_of_a_megabyte_is_cut_and_everything_else_stays() -> None:
    alert = an_alert()
    traced = msgspec.structs.replace(alert.evidence, trace="t" * VALUE_BYTES_MAX, detail={"low": 1.5})
    fitted = fit(an_alert(evidence=traced), VALUE_BYTES_MAX)
    assert isinstance(fitted, Alert)
    assert fitted.evidence.detail == {"low": 1.5, MARK: True}
    assert (fitted.evidence.trace or "").startswith("t" * 4_000)
    rest = msgspec.structs.replace(fitted, evidence=alert.evidence)
    assert rest == alert


def test_texts_that_differ_only_where_they_are_cut_still_differ() -> None:
    one, other = (fit(an_alert(version="v" * VALUE_BYTES_MAX + end), VALUE_BYTES_MAX) for end in "ab")
    assert isinstance(one, Alert)
    assert isinstance(other, Alert)
    assert one.version != other.version
    assert one.version is not None
    assert len(one.version) == 4_096


def test_of_thousands_of_values_the_first_by_name_are_kept_and_the_cut_is_marked() -> None:
    values: dict[str, float | int | None] = {f"feature-{number:06}": 0.5 for number in range(60_000)}
    event = Metrics(id="x", model="m", ts=1, window_start=0, window_end=1, values=values)
    fitted = fit(event, VALUE_BYTES_MAX)
    assert isinstance(fitted, Metrics)
    assert (len(fitted.values), fitted.values[MARK], "feature-000999" in fitted.values) == (1_001, 1, True)


def test_a_retrain_event_says_that_it_was_asked_for_by_more_alerts_than_it_names() -> None:
    event = Retrain(
        id="r",
        model="m",
        reason="performance",
        alerts=[f"{number:024}" for number in range(60_000)],
        data=TrainingData(from_ts=0, to_ts=1, topic="t", partition=0, from_offset=0, to_offset=1),
        labels=LabelCounts(joined=1, pending=1, median_delay_ms=None),
        ts=1,
    )
    fitted = fit(event, VALUE_BYTES_MAX)
    assert isinstance(fitted, Retrain)
    assert (len(fitted.alerts), fitted.alerts[-1]) == (1_000, "…")


def test_what_is_kept_of_a_dead_letter_still_decodes() -> None:
    event = DeadLetter(
        id="d",
        reason=DeadLetterReason.NOT_JSON,
        detail="not JSON",
        topic="t",
        partition=0,
        offset=1,
        key="QUJD" * 300,
        value="QUJD" * 5_000,
        value_bytes=15_000,
        truncated=False,
        headers=[("a", "QUJD")],
        ts=1,
    )
    fitted = fit(event, LIMIT_MIN)
    assert isinstance(fitted, DeadLetter)
    assert (fitted.truncated, fitted.value_bytes, fitted.headers) == (True, 15_000, [("a", "QUJD")])
    assert set(b64decode(fitted.value or "")) == set(b"ABC")


def test_a_limit_that_no_event_could_keep_is_refused() -> None:
    with pytest.raises(ValueError, match="no event can be cut to 100 bytes"):
        fit(an_alert(), 100)
