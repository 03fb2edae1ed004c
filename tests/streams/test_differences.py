"""What two histories told otherwise."""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from schemas.codec import encode
from schemas.events import Alert, ChangePoint, Kind, LabelCounts, Retrain, Severity, TrainingData
from streams import difference_report, differences
from streams.cli import main
from streams.differences import Difference, Side, compare
from streams.errors import UsageError
from streams.sinks import FILES
from tests.streams.events import START
from tests.streams.test_incidents import HOUR, alert


def life(incident: str, opened: int, *, hours: int = 6, **more: object) -> list[Alert]:
    change = ChangePoint(ts=opened - HOUR, offset=1)
    more = {"evidence": msgspec.structs.replace(alert().evidence, change_point=change), **more}
    return [alert(incident, "opened", opened, **more), alert(incident, "resolved", opened + hours * HOUR, **more)]


def retrain(ts: int, reason: str = "drift_lasts", **more: object) -> Retrain:
    data = TrainingData(from_ts=ts - 5 * HOUR, to_ts=ts, topic="p", partition=0, from_offset=1, to_offset=9)
    labels = LabelCounts(joined=1, pending=0, median_delay_ms=None)
    event = Retrain(id=f"r{ts}", model="churn", reason=reason, alerts=[], data=data, labels=labels, ts=ts)
    return msgspec.structs.replace(event, **more)


def of(a: Sequence[Alert], b: Sequence[Alert]) -> list[Difference]:
    return compare(Side(a, []), Side(b, [])).differences


def how(a: Sequence[Alert], b: Sequence[Alert]) -> list[list[str]]:
    return [[str(one) for one in difference.how] for difference in of(a, b)]


def test_the_same_is_no_difference_also_where_a_live_topic_repeats_itself() -> None:
    told = life("a", START) + life("b", START + 40 * HOUR)
    assert of(told, [told[0], *told]) == []


def test_what_stands_on_one_side_only() -> None:
    a, b = life("a", START), life("b", START, signal="feature:plan")
    assert how(a + b, a) == [["only_in_a"]]
    assert how(a, a + b) == [["only_in_b"]]
    (found,) = of(a, a + b)
    assert (found.signal, found.a, found.b is not None and found.b.id) == ("feature:plan", None, "b")


def test_the_same_trouble_may_be_told_at_another_time_and_with_another_severity() -> None:
    later = life("b", START + 2 * HOUR, severity=Severity.CRITICAL)
    assert how(life("a", START), later) == [["later", "other_severity"]]
    assert how(later, life("a", START)) == [["earlier", "other_severity"]]
    assert how(life("a", START), life("b", START, severity=Severity.INFO)) == [["other_severity"]]


def test_what_was_over_before_the_other_began_is_another_trouble() -> None:
    assert how(life("a", START), life("b", START + 40 * HOUR)) == [["only_in_a"], ["only_in_b"]]
    never_over = life("a", START)[:1]
    assert how(never_over, life("b", START + 40 * HOUR)) == [["later"]]


@pytest.mark.parametrize(
    "other", [{"model": "fraud"}, {"version": "4"}, {"segment": "country=de"}, {"signal": "score"}]
)
def test_of_another_model_version_segment_or_signal_is_another_trouble(other: dict[str, str]) -> None:
    assert how(life("a", START), life("b", START, **other)) == [["only_in_a"], ["only_in_b"]]


def test_one_signal_in_common_is_enough_where_an_incident_has_several() -> None:
    evidence = alert().evidence
    named = msgspec.structs.replace(evidence, detail={"signal_1": "loss", "signal_2": "feature:age", "signals": 2})
    several = life("b", START + HOUR, signal="loss", evidence=named)
    assert how(life("a", START), several) == [["later"]]


def test_the_nearest_of_several_is_the_one() -> None:
    a = life("a", START + 10 * HOUR, hours=50)
    near, far = life("near", START + 11 * HOUR), life("far", START + 30 * HOUR)
    assert [(one.how, one.b and one.b.id) for one in of(a, far + near)] == [(["later"], "near"), (["only_in_b"], "far")]


def test_other_words_or_steps_at_the_same_time_are_told() -> None:
    told = life("a", START)
    assert how(told, told[:1]) == [["other_details"]]
    assert how(told, [told[0], msgspec.structs.replace(told[1], summary="otherwise")]) == [["other_details"]]


def test_the_monitors_own_troubles_are_left_out() -> None:
    assert of(life("a", START, kind=Kind.SYSTEM, model="*"), []) == []


def test_retrains_are_paired_by_their_reason_and_data() -> None:
    a, b = Side([], [retrain(START)]), Side([], [retrain(START + HOUR), retrain(START + 90 * HOUR)])
    assert [one.how for one in compare(a, b).differences] == [["later"], ["only_in_b"]]
    other = Side([], [retrain(START, "expired", id="other")])
    assert [one.how for one in compare(a, other).differences] == [["only_in_a"], ["only_in_b"]]
    assert compare(a, a).differences == []


def test_too_many_events_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "EVENTS_MAX", 2)
    assert differences.bounded(iter("ab"), "x") == ["a", "b"]
    with pytest.raises(UsageError, match="x: holds more than 2 events; compare shorter histories"):
        differences.bounded(iter("abc"), "x")


# -- the command ------------------------------------------------------------------------------------------------------


def results(folder: Path, alerts: Sequence[Alert], retrains: Sequence[Retrain] = ()) -> str:
    folder.mkdir()
    for name, events in ((FILES["alerts"], alerts), (FILES["retrain"], retrains)):
        (folder / name).write_bytes(b"".join(encode(event) + b"\n" for event in events))
    return str(folder)


def test_the_status_says_whether_they_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = results(tmp_path / "a", life("a", START), [retrain(START)])
    b = results(tmp_path / "b", life("b", START + 2 * HOUR, severity=Severity.CRITICAL), [])
    assert main(["diff", a, a + "/."]) == 0
    same = "1 incident, 1 to retrain or to go back"
    assert capsys.readouterr().out == f"No difference. {a}: {same}; {a}/.: {same}\n"
    assert main(["diff", a, b]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"Only in {a}: 1",
        "  2026-01-01 00:00:00Z churn retrain: drift_lasts",
        f"Later in {b}: 1",
        "  2026-01-01 00:00:00Z warning and 2026-01-01 02:00:00Z critical, 2 hours apart: "
        "churn version 3 incident feature:age",
        f"They differ. {a}: 1 incident, 1 to retrain or to go back; {b}: 1 incident, 0 to retrain or to go back",
    ]


def test_for_programs_it_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = results(tmp_path / "a", life("a", START))
    b = results(tmp_path / "b", [])
    assert main(["diff", a, b, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["incidents"], [one["how"] for one in said["differences"]]) == ([1, 0], [["only_in_a"]])
    assert main(["diff", a, b, "--json", "--from", "2026-01-02T00:00:00Z"]) == 0


def test_hostile_text_stays_on_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = results(tmp_path / "a", life("a", START, summary="x\x1b[2J\ny"))
    assert main(["diff", a, results(tmp_path / "b", [])]) == 1
    assert "x\\x1b[2J\\ny" in capsys.readouterr().out


def test_many_of_a_kind_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(difference_report, "SHOWN_MAX", 2)
    told = [step for number in range(5) for step in life(f"i{number}", START + 99 * number * HOUR)]
    lines = list(difference_report.lines(compare(Side(told, []), Side([], [])), "a", "b"))
    assert lines[0] == "Only in a: 5"
    assert lines[3] == "  … and 3 more; --json has all"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x", "x"], "x: A and B are the same; name two"),
        (["x", "y"], "x/alerts.jsonl: cannot be read: No such file or directory"),
        (["x", "y", "--from", "2h"], "--from: '2h' is no time"),
    ],
)
def test_a_wrong_call_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *words]) == 2
    assert capsys.readouterr().err.startswith(f"driftline: {said}")
