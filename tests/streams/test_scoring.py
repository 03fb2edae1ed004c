"""Alarms against what is known to have changed."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from schemas.events import AlertEvent, Outcome, Prediction
from streams import truth
from streams.cli import main
from streams.errors import UsageError
from streams.river_defaults import RiverDefaults
from streams.scoring import ECHO_MS, ECHO_ROWS, Alarm, Score, Times, always, f1, of_results, score
from streams.truth import Change
from tests.streams.events import file_of
from tests.streams.test_incidents import alert
from tests.streams.test_injecting import history, inject

STEP = 1_000  # a prediction a second, and its label half a second later
ROWS = 20_000


def times(models: Sequence[str] = ("churn",)) -> dict[str, Times]:
    found = {model: Times() for model in models}
    for own in found.values():
        own.made.extend(range(0, ROWS * STEP, STEP))
        own.labelled.extend(range(500, ROWS * STEP, STEP))
    return found


def change(starts: int, ends: int | None = None, **more: object) -> Change:
    return Change(model="churn", starts=starts, ends=ends, signals=["feature:age"], **more)  # type: ignore[arg-type]


def alarm(ts: int, signal: str = "feature:age", **more: object) -> Alarm:
    return Alarm("churn", ts, signal, **more)  # type: ignore[arg-type]


def scored(changes: Sequence[Change], *alarms: Alarm) -> Score:
    return score(changes, alarms, times())


def test_the_first_alarm_about_it_finds_a_change() -> None:
    found = scored([change(10_000)], alarm(12_000), alarm(13_000))
    assert (found.found, found.missed, found.false, found.f1) == (1, 0, 0, 1.0)
    assert (found.delay_ms, found.delay_rows, found.labels) == (2_000, 3, 2)
    assert found.finds[0].signal == "feature:age"


def test_an_alarm_elsewhere_is_false_and_one_about_something_else_meanwhile_is_neither() -> None:
    found = scored([change(10_000)], alarm(9_000), alarm(11_000, "score"))
    assert (found.found, found.missed, found.false, found.f1) == (0, 1, 1, 0.0)
    assert (found.rows, found.rows_per_false_alarm) == (10, 10.0)
    assert score([change(10_000)], [Alarm("fraud", 12_000, "feature:age")], times(("churn", "fraud"))).false == 1


def test_shares_of_a_signal_are_the_signal() -> None:
    assert scored([change(10_000)], alarm(12_000, "feature:age=old")).found == 1
    assert scored([change(10_000)], alarm(12_000, "feature:ages")).found == 0


def test_without_signals_any_alarm_finds_it() -> None:
    assert scored([Change(model="churn", starts=10_000)], alarm(12_000, "score")).found == 1
    assert score([Change(model="*", starts=10_000)], [alarm(12_000)], times(("churn", "fraud"))).missed == 1


def test_an_alarm_of_another_segment_is_not_about_it() -> None:
    changes = [change(10_000, segment="country=de")]
    found = [scored(changes, alarm(12_000, segment=segment)).found for segment in (None, "country=de", "country=fr")]
    assert found == [1, 1, 0]


def test_for_a_while_after_it_an_alarm_is_an_echo() -> None:
    changes = [change(10_000, 20_000)]
    ends = max(20_000 + ECHO_MS, 20_000 + ECHO_ROWS * STEP)
    assert [scored(changes, alarm(ts)).false for ts in (20_000, ends - 1, ends)] == [0, 0, 1]
    assert [scored(changes, alarm(ts)).found for ts in (19_999, 20_000)] == [1, 0]


def test_where_predictions_are_few_the_echo_lasts_as_many_of_them() -> None:
    own = Times()
    own.made.extend(range(0, 5_000 * 60_000, 60_000))
    changes = [change(600_000, 1_200_000)]
    ends = 1_200_000 + ECHO_ROWS * 60_000
    assert [score(changes, [alarm(ts)], {"churn": own}).false for ts in (ends - 1, ends)] == [0, 1]


def test_an_alarm_that_joins_an_incident_calls_nobody() -> None:
    found = scored([change(10_000)], alarm(9_000, opens=False), alarm(12_000, opens=False))
    assert (found.found, found.false) == (1, 0)


def test_no_false_alarm_in_all_of_the_time_is_no_number() -> None:
    quiet = scored([change(10_000_000)])
    assert (quiet.rows, quiet.rows_per_false_alarm, quiet.days_per_false_alarm) == (10_000, None, None)
    busy = scored([change(10_000_000)], alarm(0), alarm(5))
    assert (busy.rows_per_false_alarm, busy.days_per_false_alarm) == (5_000.0, round(10_000 / 86_400 / 2, 3))


def test_what_always_fires_finds_all_and_is_worth_little() -> None:
    changes = [change(4_000_000, 5_000_000), change(10_000_000, 11_000_000)]
    every = score(changes, always(times()), times())
    assert (every.found, every.missed, every.f1 < 0.1) == (2, 0, True)
    assert (f1(0, 2, 0), f1(0, 0, 0), f1(2, 1, 1)) == (0.0, 1.0, 0.667)


def test_of_a_replay_each_signal_of_an_incident_counts_where_it_is_told_first() -> None:
    told = [
        alert("a", "opened", 1, signal="loss"),
        alert("a", "updated", 2, signal="feature:age"),
        alert("a", "updated", 3, signal="feature:age"),
        alert("a", "resolved", 4, signal="loss"),
        alert("a", "reopened", 5, signal="loss"),
    ]
    alarms = of_results(told, [])
    assert [(one.ts, one.signal, one.opens) for one in alarms] == [
        (1, "loss", True),
        (2, "feature:age", False),
        (5, "loss", True),
    ]
    assert told[4].event is AlertEvent.REOPENED


def test_rivers_defaults_watch_numbers_scores_and_losses() -> None:
    river = RiverDefaults()
    for row in range(4_000):
        after = row >= 2_000
        features = {"age": 100.0 if after else float(row % 3), "plan": "pro"}
        event = Prediction(v=1, id=str(row), model="m", ts=row, features=features, prediction="a", score=0.5)
        river.take(event, row)
        river.take(Outcome(v=1, id=str(row), model="m", ts=row, label="b" if after else "a"), row)
    assert set(river.alarms) == {"river_adwin", "river_page_hinkley"}
    for alarms in river.alarms.values():
        assert {one.signal for one in alarms} == {"feature:age", "loss"}
        assert min(one.ts for one in alarms) >= 2_000


# -- files and commands -----------------------------------------------------------------------------------------------


def test_a_drift_that_was_injected_is_found_and_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history(tmp_path, 4_000)
    inject(tmp_path, "shift:feature=age,size=2,from=3000")
    results, known = str(tmp_path / "results"), str(tmp_path / "drifted.truth.jsonl")
    assert main(["replay", str(tmp_path / "drifted.jsonl"), "--out", results]) == 0
    capsys.readouterr()
    assert main(["score", results, "--truth", known]) == 0
    said = capsys.readouterr().out
    assert "churn: shift age, size 2: found in feature:age after" in said
    assert main(["score", results, "--truth", known, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"driftline", "river_adwin", "river_page_hinkley", "always", "never"}
    assert (told["driftline"]["found"], told["driftline"]["false"], told["driftline"]["f1"]) == (1, 0, 1.0)
    assert told["driftline"]["delay_rows"] < 100
    assert (told["never"]["f1"], told["never"]["missed"]) == (0.0, 1)


def test_a_truth_of_ones_own_needs_the_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = history(tmp_path, 500)
    known = str(file_of(tmp_path / "known.jsonl", [b'{"model": "churn", "starts": "2026-01-01T05:00:00Z"}', b""]))
    assert main(["replay", source, "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    assert main(["score", str(tmp_path / "out"), "--truth", known]) == 2
    assert "names no history; name the files after the directory" in capsys.readouterr().err
    assert main(["score", str(tmp_path / "out"), source, "--truth", known]) == 0
    assert "2026-01-01 05:00:00Z churn: a change: missed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"model": "churn"}', "is no known change: Object missing required field `starts`"),
        (b'{"model": "churn", "starts": 5, "ends": 4}', "ends before it starts"),
        (b"{", "is no known change: "),
    ],
)
def test_a_truth_that_is_wrong_is_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        truth.read(tmp_path / "t.jsonl")
    assert said in str(caught.value)
