import io
import json
import random
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.codec import encode
from schemas.events import Alert, AlertEvent, ChangePoint, Evidence, Kind, Position, Severity
from streams import incident_list, incident_story
from streams.cli import main
from streams.commands import incidents as incidents_command
from streams.errors import UsageError
from streams.incident_story import next_steps, plots
from streams.incidents import AFTER, TEXT_CHARACTERS_MAX, Choice, Incidents, Status, Story
from streams.report import console_on
from streams.text import quoted
from tests.streams.events import START, file_of, prediction

HOUR = 3_600_000
SEED = 7
HOSTILE = "a\x1b[2J\x9b31m\u202e\n\x07[red]'$(id)`\\"


def alert(incident: str = "5d0c", event: str = "opened", ts: int = START, **more: Any) -> Alert:
    values: dict[str, Any] = {
        "id": f"{incident}-{event}-{ts}",
        "incident": incident,
        "event": AlertEvent(event),
        "severity": Severity.WARNING,
        "kind": Kind.FEATURE_DRIFT,
        "model": "churn",
        "version": "3",
        "signal": "feature:age",
        "detector": "shiryaev_roberts",
        "ts": ts,
        "evidence": evidence(),
        "position": Position(topic="driftline.predictions", partition=2, offset=48_903),
        "summary": f"churn: feature age {event}.",
    }
    return Alert(**(values | more))


def evidence(**more: Any) -> Evidence:
    values: dict[str, Any] = {
        "value": 14_400.0,
        "threshold": 950.0,
        "threshold_origin": "days without a change for each false alarm",
        "n": 1_376,
        "baseline": 30.0,
        "effect": 1.0,
        "detail": {"after": 40.0, "effect_low": 0.5, "effect_high": 1.5, "rows_since_change": 12},
        "change_point": ChangePoint(ts=START - HOUR, offset=48_211),
    }
    return Evidence(**(values | more))


def kept(*steps: Alert) -> Incidents:
    incidents = Incidents()
    for step in steps:
        incidents.add(step)
    return incidents


def ids(incidents: Incidents, choice: Choice) -> list[str]:
    return [incident.incident for incident in incidents.chosen(choice)]


def results(tmp_path: Path, *steps: Alert) -> list[str]:
    file_of(tmp_path / "alerts.jsonl", map(encode, steps))
    return ["--from", str(tmp_path)]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["incidents", *words]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    return shown.out


# -- how an incident stands


def test_every_step_says_how_an_incident_stands_after_it() -> None:
    assert set(AFTER) == set(AlertEvent)


@pytest.mark.parametrize(
    ("events", "status"),
    [
        (["opened"], Status.OPEN),
        (["opened", "updated", "escalated"], Status.OPEN),
        (["opened", "acknowledged", "escalated"], Status.ACKNOWLEDGED),
        (["opened", "acknowledged", "resolved"], Status.RESOLVED),
        (["opened", "resolved", "amended"], Status.RESOLVED),
        (["opened", "resolved", "amended", "retracted"], Status.RETRACTED),
        (["updated"], Status.OPEN),  # retention has taken what came before
    ],
)
def test_an_incident_stands_as_its_steps_say(events: Sequence[str], status: Status) -> None:
    (incident,) = kept(*(alert(event=event) for event in events)).chosen(Choice(over_too=True))
    assert incident.status is status


def test_the_sentence_is_the_last_that_says_what_it_is_about() -> None:
    steps = [alert(event=event) for event in ("opened", "escalated", "acknowledged")]
    (incident,) = kept(*steps).chosen(Choice())
    assert (incident.summary, incident.opened_ts) == ("churn: feature age escalated.", START)


def test_every_severity_can_be_asked_for() -> None:
    assert tuple(Severity) == incidents_command._SEVERITIES


def test_incidents_are_chosen() -> None:
    incidents = kept(
        alert("a", ts=START),
        alert("b", ts=START + HOUR, severity=Severity.CRITICAL),
        alert("c", ts=START + 2 * HOUR, severity=Severity.INFO),
        alert("d", ts=START - HOUR),
        alert("d", "resolved", ts=START + 3 * HOUR),
        alert("a", "acknowledged", ts=START + 4 * HOUR),
    )
    assert ids(incidents, Choice()) == ["a", "b", "c"]
    assert ids(incidents, Choice(over_too=True)) == ["d", "a", "b", "c"]
    assert ids(incidents, Choice(severity=Severity.WARNING)) == ["a", "b"]
    assert ids(incidents, Choice(over_too=True, since=START + 2 * HOUR)) == ["d", "a", "c"]
    assert [Choice(model=name).might_include(alert()) for name in ("churn", "eta")] == [True, False]


def test_where_there_are_too_many_those_that_are_over_go_first() -> None:
    incidents = Incidents(most=3)
    for step in (alert("a"), alert("b"), alert("b", "resolved"), alert("c"), alert("d")):
        incidents.add(step)
    assert (ids(incidents, Choice(over_too=True)), incidents.left_out) == (["a", "c", "d"], 1)
    incidents.add(alert("e"))
    assert (ids(incidents, Choice(over_too=True)), incidents.left_out) == (["c", "d", "e"], 2)


def test_long_texts_are_kept_short() -> None:
    (incident,) = kept(alert(summary="x" * 10_000, signal="y" * 10_000)).chosen(Choice())
    assert (len(incident.summary), len(incident.signal)) == (TEXT_CHARACTERS_MAX, TEXT_CHARACTERS_MAX)


# -- one's story


def story(beginning: str, *steps: Alert, most: int = 500) -> Story:
    told = Story(beginning, most)
    for step in steps:
        told.add(step)
    return told


def test_a_story_has_each_step_of_one_incident_once() -> None:
    mine = [alert("5d0c", event) for event in ("opened", "acknowledged")]
    assert story("5d", mine[0], alert("ffff"), mine[1], mine[0]).steps() == mine


def test_a_beginning_that_fits_several_is_refused_and_a_whole_id_is_not() -> None:
    both = (alert("5d0c"), alert("5d0cff"))
    assert story("5d0c", *both).steps() == [both[0]]
    with pytest.raises(UsageError, match="5d: several incidents begin so: 5d0c, 5d0cff; give more of it"):
        story("5d", *both).steps()


def test_of_a_long_story_the_beginning_and_the_end_are_kept() -> None:
    steps = [alert(event="updated", ts=START + number) for number in range(10)]
    told = story("5d0c", *steps, most=4)
    assert (told.steps(), told.left_out) == ([steps[0], *steps[-3:]], 6)


def test_a_story_is_told_with_numbers_and_plots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = (alert(segment="country=de"), alert(event="acknowledged", ts=START + HOUR, segment="country=de"))
    assert said(capsys, "show", "5d", *results(tmp_path, *steps)) == (
        "incident   5d0c  acknowledged\n"
        "model      churn, version 3, segment country=de\n"
        "signal     feature:age (feature_drift)\n"
        "time       2026-01-01 00:00:00Z to 2026-01-01 01:00:00Z, 2 steps\n"
        "\n"
        "2026-01-01 00:00:00Z  opened  warning\n"
        "  churn: feature age opened.\n"
        "  decided    by shiryaev_roberts at driftline.predictions[2]@48903\n"
        "  value      14,400, threshold 950\n"
        "  threshold  days without a change for each false alarm\n"
        "  values     1,376\n"
        "  since      2025-12-31 23:00:00Z, offset 48211\n"
        "  detail     rows_since_change 12\n"
        "  before     │─────────────────────────────●──────────  30\n"
        "  after      │───────────────────────────────────────●  40\n"
        "  effect     │────────────├─────────────●────────────┤  1 (0.5 to 1.5)\n"
        "\n"
        "2026-01-01 01:00:00Z  acknowledged  warning\n"
        "  churn: feature age acknowledged.\n"
        "  decided    by shiryaev_roberts at driftline.predictions[2]@48903\n"
        "  evidence   as before\n"
    )


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"baseline": None, "effect": None, "detail": {}}, []),
        ({"effect": None, "detail": {}}, ["before     30"]),
        ({"baseline": None, "detail": {}}, ["effect     1"]),
        ({"baseline": None, "detail": {"after": True, "effect_low": "x", "effect_high": 2}}, ["effect     1"]),
        (
            {"baseline": 0.0, "effect": None, "detail": {"after": 0.0}},
            [
                "before     ●────────────────────────────────────────  0",
                "after      ●────────────────────────────────────────  0",
            ],
        ),
        (
            {"baseline": -1.0, "effect": None, "detail": {"after": 1.0}},
            [
                "before     ●───────────────────│────────────────────  -1",
                "after      ────────────────────│───────────────────●  1",
            ],
        ),
    ],
)
def test_what_is_known_is_drawn(given: dict[str, Any], lines: list[str]) -> None:
    assert list(plots(evidence(**given))) == lines


def test_times_among_the_details_are_dates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bounds = {"change_point_low": START, "change_point_high": START + HOUR}
    more: dict[str, Any] = {"last_ended": START - HOUR, "lasted_ms": 3 * HOUR, "n": START, "odd": True}
    told = said(capsys, "show", "5d0c", *results(tmp_path, alert(evidence=evidence(detail=bounds | more))))
    assert "  detail     change_point_high 2026-01-01 01:00:00Z, change_point_low 2026-01-01 00:00:00Z, " in told
    assert f", last_ended 2025-12-31 23:00:00Z, lasted 3 hours, n {START}, odd True\n" in told
    foreign = evidence(detail={"last_ended": "soon", "lasted_ms": None, "change_point_low": 10**18})
    told = said(capsys, "show", "5d0c", *results(tmp_path, alert(evidence=foreign)))
    assert f"  detail     change_point_low {10**18} ms, last_ended soon, lasted_ms None\n" in told


@pytest.mark.parametrize("extreme", [1e308, -1e308, 5e-324, 10**400])
def test_no_number_breaks_a_plot(extreme: float) -> None:
    drawn = evidence(baseline=1.0, effect=1.0, detail={"after": extreme, "effect_low": -1e300, "effect_high": extreme})
    assert all(len(line) < 100 for line in plots(drawn))


# -- what is shown, and what it must not do


def test_open_incidents_are_lines_that_grep_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = (alert("a"), alert("b"), alert("a", "resolved"))
    assert said(capsys, "list", *results(tmp_path, *steps)) == (
        "b 2026-01-01 00:00:00Z warning open churn feature_drift: churn: feature age opened.\n"
        "1 open incident; driftline incidents show ID tells of one\n"
    )
    assert said(capsys, "list", "--model", "eta", *results(tmp_path, *steps)) == "No incident is open.\n"


def test_of_recorded_history_a_distance_goes_back_from_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = (alert("a"), alert("b", ts=START + 2 * HOUR), alert("c", "resolved", ts=START + 3 * HOUR))
    out = said(capsys, "list", "--since", "1h", "--json", *results(tmp_path, *steps))
    assert [json.loads(line)["incident"] for line in out.splitlines()] == ["b"]


def test_the_end_of_recorded_history_is_that_of_every_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = (alert("a"), alert("b", ts=START + 3 * HOUR, model="eta"))
    out = said(capsys, "list", "--since", "2h", "--model", "churn", *results(tmp_path, *steps))
    assert out == "No incident is open.\n"


def test_for_programs_an_incident_is_one_line_of_ascii(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "list", "--json", *results(tmp_path, alert(signal=HOSTILE)))
    assert out.isascii()
    assert json.loads(out) == {
        "incident": "5d0c",
        "status": "open",
        "severity": "warning",
        "kind": "feature_drift",
        "model": "churn",
        "version": "3",
        "segment": None,
        "signal": HOSTILE,
        "opened_ts": START,
        "last_ts": START,
        "summary": "churn: feature age opened.",
    }
    shown = said(capsys, "show", "5d0c", "--json", *results(tmp_path, alert(signal=HOSTILE)))
    assert shown.isascii()
    assert json.loads(shown) == json.loads(encode(alert(signal=HOSTILE)))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
@pytest.mark.parametrize("shown", ["list", "story", "step"])
def test_no_name_steers_a_terminal(shown: str, kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")  # so that there is no colour of our own
    names = dict.fromkeys(("incident", "model", "version", "segment", "signal", "detector", "summary"), HOSTILE)
    words = evidence(threshold_origin=HOSTILE, trace=HOSTILE, detail={HOSTILE: HOSTILE})
    where = Position(topic=HOSTILE, partition=0, offset=0)
    step = msgspec.structs.replace(alert(ts=10**18, evidence=words, position=where), **names)
    stream = kind()
    if shown == "list":
        incident_list.show(kept(step).chosen(Choice()), over_too=False, stream=stream)
    elif shown == "story":
        incident_story.show([step], 0, console_on(stream), ())
    else:
        incident_list.print_step(step, console_on(stream))
    assert stream.getvalue().replace("\n", "").isprintable()
    assert "\\x1b" in stream.getvalue()


def test_what_to_do_next_is_commands_that_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "drift line.toml"
    config.write_text("")
    (stands,) = kept(alert(signal="feature:it's", segment="country=de")).chosen(Choice())
    commands = [line.strip() for line in next_steps(stands, ("--config", str(config))) if line.startswith("  ")]
    actions = [command.split()[2] for command in commands]
    assert actions == ["acknowledge", "mute", "rollback", "deploy", "resolve", "baseline", "verdict", "verdict"]
    for command in commands:
        assert main([*shlex.split(command)[1:], "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[1])["signal"] == "feature:it's"


@pytest.mark.parametrize("kind", [Kind.SILENCE, Kind.LABEL_DELAY, Kind.VOLUME])
def test_for_what_does_not_come_no_version_and_no_baseline_is_blamed(kind: Kind) -> None:
    (stands,) = kept(alert(kind=kind, signal="predictions")).chosen(Choice())
    commands = [line for line in next_steps(stands, ()) if line.startswith("  ")]
    actions = [command.split()[2] for command in commands]
    assert actions == ["acknowledge", "mute", "resolve", "verdict", "verdict"]
    assert "--until 4h" in commands[1]


def test_commands_with_values_that_begin_with_a_dash_run_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-c.toml").write_text("")
    (stands,) = kept(alert("-5d0c", signal="-x 'y", segment="--country=de")).chosen(Choice())
    commands = [line.strip() for line in next_steps(stands, ("--config", "-c.toml")) if line.startswith("  ")]
    for command in commands:
        assert main([*shlex.split(command)[1:], "--dry-run"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (events[0]["incident"], events[1]["signal"], events[1]["segment"]) == ("-5d0c", "-x 'y", "--country=de")
    (foreign,) = kept(alert(model="-x")).chosen(Choice())
    assert "  driftline control acknowledge --model=-x --incident 5d0c" in next_steps(foreign, ())


def test_a_command_is_one_line_on_any_terminal() -> None:
    stream = Terminal()
    incident_story.show([alert("5d0c" * 20)], 0, console_on(stream), ())
    assert f"  driftline control acknowledge --model churn --incident {'5d0c' * 20}\n" in stream.getvalue()


def test_a_person_is_told_how_to_see_what_the_detector_saw() -> None:
    for model, told in (("churn", ["  driftline why 5d0c kafka: --config 'a b.toml'\n"]), ("*", [])):
        stream = Terminal()
        incident_story.show([alert(model=model)], 0, console_on(stream), ("--config", "a b.toml"))
        assert [line for line in stream.getvalue().splitlines(keepends=True) if "driftline why" in line] == told


def test_of_what_is_over_only_a_verdict_is_asked() -> None:
    (stands,) = kept(alert(), alert(event="resolved")).chosen(Choice(over_too=True))
    commands = [line for line in next_steps(stands, ()) if line.startswith("  ")]
    assert [command.split()[2] for command in commands] == ["verdict", "verdict"]


def test_no_command_is_proposed_for_what_is_of_every_model() -> None:
    (stands,) = kept(alert(model="*", kind=Kind.SYSTEM)).chosen(Choice())
    assert list(next_steps(stands, ())) == ["It is of every model of a partition: no command closes it."]


@pytest.mark.parametrize("word", [HOSTILE, "plain", "two words", "it's", "\x1b\\'", "", "ä€"])
def test_a_quoted_word_is_for_bash_what_it_was(word: str) -> None:
    done = subprocess.run(["bash", "-c", f"printf %s {quoted(word)}"], capture_output=True, check=True)
    assert (done.stdout.decode(), quoted(word).isprintable()) == (word, True)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "the following arguments are required: ACTION"),
        (["show"], "the following arguments are required: ID"),
        (["show", "", "--from", "."], "no incident was named"),
        (["show", "5d0c", "--from", "{}"], "5d0c: there is no such incident; driftline incidents list --all"),
        (["list", "--since", "yesterday", "--from", "{}"], "--since: 'yesterday' is neither a duration such as 2h"),
        (["list", "--severity", "loud"], "argument --severity: invalid choice: 'loud'"),
        (["list", "--from", "{}/nowhere"], "{}/nowhere/alerts.jsonl: cannot be read: No such file"),
        (["follow", "--from", "{}"], "unrecognized arguments: --from {}"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(
    words: Sequence[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results(tmp_path, alert("ffff"))
    assert main(["incidents", *(word.format(tmp_path) for word in words)]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert shown.err.startswith(f"driftline: {what.format(tmp_path)}")


def test_a_file_of_something_else_is_told_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file_of(tmp_path / "alerts.jsonl", [encode(alert()), prediction(1)])
    assert main(["incidents", "list", "--from", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"driftline: {tmp_path / 'alerts.jsonl'} line 2: is no alert: ")


@pytest.mark.parametrize("words", [["list"], ["show", "5d0c"], ["follow"]])
def test_brokers_that_do_not_answer_are_one_line_and_status_1(
    words: Sequence[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTLINE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    assert main(["incidents", *words]) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert shown.err.startswith("driftline: 127.0.0.1:1: does not answer")


@pytest.mark.parametrize("words", [["list"], ["show", "a" * 24]])
def test_whoever_stops_reading_hears_no_complaint(words: Sequence[str], tmp_path: Path) -> None:
    steps = [alert("a" * 24, ts=START + number) for number in range(100)]
    command = [sys.executable, "-m", "streams.cli", "incidents", *words, *results(tmp_path, *steps)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == b""
    assert process.wait() == 141


# -- the results of a real replay


def test_the_results_of_a_replay_are_listed_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(SEED)
    drifting = [chance.gauss(30 if number < 1_500 else 40, 5) for number in range(2_500)]
    events = [prediction(number, features={"age": value}) for number, value in enumerate(drifting)]
    config = tmp_path / "driftline.toml"
    config.write_text("[defaults]\nbaseline_rows = 500\n")
    out = tmp_path / "results"
    file = file_of(tmp_path / "june.jsonl", events)
    assert main(["replay", str(file), "--config", str(config), "--out", str(out)]) == 0
    capsys.readouterr()

    lines = said(capsys, "list", "--all", "--json", "--from", str(out)).splitlines()
    written = [json.loads(line) for line in (out / "alerts.jsonl").read_bytes().splitlines()]
    assert {json.loads(line)["incident"] for line in lines} == {step["incident"] for step in written} != set()
    age = next(step for step in written if step["signal"] == "feature:age")
    told = said(capsys, "show", age["incident"][:8], "--from", str(out))
    assert f"incident   {age['incident']}  open\n" in told
    assert f"  {age['summary']}\n" in told
    assert [line.split()[0] for line in told.splitlines() if "●" in line] == ["before", "after", "effect"]
