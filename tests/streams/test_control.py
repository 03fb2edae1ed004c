import json
import shlex
import time
from collections.abc import Sequence
from typing import Any

import pytest

from schemas.codec import ACTION_NEEDS, Decoder
from schemas.events import Control, ControlAction
from schemas.records import Record
from schemas.topics import Stream
from streams import terminal
from streams.cli import main
from streams.commands import control as command
from streams.control import Named, named
from streams.errors import UsageError
from streams.moments import when
from tests.streams.events import START

INCIDENT = ["--model", "churn", "--incident", "5d0c3f9a1b7e4c26"]
CALLS: dict[str, tuple[Sequence[str], dict[str, Any]]] = {
    "deploy": (["--model", "churn", "--version", "3"], {"version": "3"}),
    "rollback": (
        ["--model", "churn", "--version", "2", "--reason", "worse", "--baseline", "q1"],
        {"version": "2", "reason": "worse", "baseline": "q1"},
    ),
    "baseline": (["--model", "churn"], {}),
    "mute": (
        shlex.split(
            "--model churn --signal feature:age --segment country=de --until 2200-01-01T00:59:59+01:00 --reason redo"
        ),
        {"signal": "feature:age", "segment": "country=de", "until": 7_258_118_399_000, "reason": "redo"},
    ),
    "unmute": (["--model", "churn", "--signal", "feature:age"], {"signal": "feature:age"}),
    "acknowledge": (INCIDENT, {"incident": "5d0c3f9a1b7e4c26"}),
    "resolve": ([*INCIDENT, "--reason", "mended"], {"incident": "5d0c3f9a1b7e4c26", "reason": "mended"}),
    "verdict": (
        [*INCIDENT, "--verdict", "false_alarm"],
        {"incident": "5d0c3f9a1b7e4c26", "verdict": "false_alarm"},
    ),
}


def dry_run(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["control", *words, "--dry-run"]) == 0
    event: dict[str, Any] = json.loads(capsys.readouterr().out)
    return event


def test_every_action_of_the_contract_but_the_workers_own_can_be_said() -> None:
    assert set(command._ACTIONS) == set(CALLS) == set(ControlAction) - {ControlAction.TICK}


def test_what_an_action_needs_cannot_be_left_out() -> None:
    needed = {name: {option.removeprefix("--") for option in action.needs} for name, action in command._ACTIONS.items()}
    short = {name for name in needed if not needed[name] >= set(ACTION_NEEDS.get(ControlAction(name), ()))}
    assert short == set()


@pytest.mark.parametrize("action", CALLS)
def test_an_action_is_one_event_with_its_fields(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, fields = CALLS[action]
    before = int(time.time() * 1000)
    event = dry_run(capsys, action, *words, "--by", "ada@example.org")
    assert before <= event.pop("ts") <= int(time.time() * 1000)
    assert len(event.pop("id")) == 36
    expected = {"type": "control", "v": 1, "action": action, "model": "churn", "by": "ada@example.org", **fields}
    assert event == expected


@pytest.mark.parametrize("action", CALLS)
def test_a_worker_takes_what_an_action_is_written_as(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    value = json.dumps(dry_run(capsys, action, *CALLS[action][0])).encode()
    taken = Decoder().decode(Stream.CONTROL, Record("control", 0, 0, START, b"churn", value))
    assert isinstance(taken, Control)


def test_the_systems_user_says_it_where_nobody_else_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    assert dry_run(capsys, "baseline", "--model", "churn")["by"] == "grace"
    assert terminal.user() == "grace"


def test_a_dry_run_is_ascii_whatever_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    reason = "\x1b[2J\x9b31m\u202e é"
    assert main(["control", "baseline", "--model", "churn", "--reason", reason, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert (out.isascii(), json.loads(out)["reason"]) == (True, reason)


def test_two_calls_have_two_ids(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("baseline", "--model", "churn")
    assert dry_run(capsys, *words)["id"] != dry_run(capsys, *words)["id"]


def test_a_mute_ends_so_long_from_now(capsys: pytest.CaptureFixture[str]) -> None:
    event = dry_run(capsys, "mute", "--model", "churn", "--until", "2h", "--reason", "backfill")
    assert event["until"] - event["ts"] == 2 * 3_600_000


def test_a_mute_without_an_end_is_asked_for_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    event = dry_run(capsys, "mute", "--model", "churn", "--for-ever", "--reason", "retired")
    assert "until" not in event


def test_a_mute_may_be_of_one_incident(capsys: pytest.CaptureFixture[str]) -> None:
    event = dry_run(capsys, "mute", "--model", "churn", "--incident", "i", "--for-ever", "--reason", "known")
    assert (event["incident"], event["model"]) == ("i", "churn")


MUTE = ["mute", "--model", "churn", "--reason", "x"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: ACTION; see driftline control --help"),
        (["tick"], "argument ACTION: invalid choice: 'tick'"),
        (
            ["deploy", "--model", "churn"],
            "the following arguments are required: --version; see driftline control deploy",
        ),
        (["deploy", "--version", "3"], "the following arguments are required: --model"),
        (["deploy", "--model", "churn", "--version", " "], "argument --version: is empty"),
        (["baseline", "--model", "churn", "--version", "3"], "unrecognized arguments: --version 3"),
        (["baseline", "--model", "chu rn"], "model is 'chu rn': [A-Za-z0-9]"),
        (["baseline", "--model", "*"], "model is '*': [A-Za-z0-9]"),
        (["baseline", "--model", "a\x1b[2J"], "model is 'a\\x1b[2J': "),
        (["baseline", "--model", "churn", "--by", "\udcff"], "cannot be written: "),
        (["baseline", "--model", "churn", "--reason", "x" * 5_000], "argument --reason: has 5,000 characters"),
        (["mute", "--model", "churn", "--until", "2h"], "the following arguments are required: --reason"),
        (MUTE, "one of the arguments --until --for-ever is required"),
        ([*MUTE, "--until", "2h", "--for-ever"], "argument --for-ever: not allowed with argument --until"),
        ([*MUTE, "--until", "soon"], "--until: 'soon' is neither a duration such as 2h nor a time such as 2026-"),
        ([*MUTE, "--until", "2099-01-01T00:00:00"], "--until: '2099-01-01T00:00:00' has no zone; end it with Z"),
        ([*MUTE, "--until", "9000-01-01T00:00:00Z"], "--until: '9000-01-01T00:00:00Z' is out of range"),
        ([*MUTE, "--until", "1999-01-01T00:00:00Z"], "--until: '1999-01-01T00:00:00Z' is over already"),
        ([*MUTE, "--until", "0s"], "--until: '0s' is over already"),
        ([*MUTE, "--until", "9999d"], "--until: '9999d' is neither"),
        (["acknowledge", "--model", "churn"], "the following arguments are required: --incident"),
        (["verdict", *INCIDENT], "the following arguments are required: --verdict"),
        (["verdict", *INCIDENT, "--verdict", "maybe"], "argument --verdict: invalid choice: 'maybe'"),
    ],
)
def test_a_wrong_call_is_one_line_and_status_2(
    words: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["control", *words, "--dry-run"] if words else ["control"]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert shown.err.startswith(f"driftline: {said}")


@pytest.mark.parametrize("words", [CALLS["unmute"][0], INCIDENT[2:]])
def test_brokers_that_do_not_answer_are_one_line_and_status_1(
    words: Sequence[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTLINE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    action = "resolve" if "--incident" in words else "unmute"
    assert main(["control", action, *words]) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert shown.err.startswith("driftline: 127.0.0.1:1: does not answer")


def test_a_password_is_not_sent_in_the_clear(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    login = {"PROTOCOL": "sasl_plaintext", "SASL_MECHANISM": "plain", "USERNAME": "ada", "PASSWORD": "secret"}
    for name, value in login.items():
        monkeypatch.setenv(f"DRIFTLINE_KAFKA__{name}", value)
    assert main(["control", "baseline", "--model", "churn"]) == 2
    assert "would send the password without TLS" in capsys.readouterr().err


@pytest.mark.parametrize("action", CALLS)
def test_each_actions_help_has_an_example_that_runs(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control", action, "--help"]) == 0
    example = capsys.readouterr().out.rpartition("example: driftline ")[2]
    words = shlex.split(example)
    if "--model" not in words:
        words += ["--model", "churn"]  # without it the incident is looked up on the brokers
    assert main([*words, "--dry-run"]) == 0


def test_a_distance_goes_either_way_and_a_moment_stays() -> None:
    assert (when("2h", "x").before(START), when("2h", "x").after(START)) == (START - 7_200_000, START + 7_200_000)
    moment = when("2026-01-01T00:00:00Z", "x")
    assert (moment.before(0), moment.after(0)) == (START, START)
    with pytest.raises(UsageError, match="--since: 'x' is neither"):
        when("x", "--since")


def test_an_incident_is_known_by_how_its_id_begins() -> None:
    assert named("5d", {"5d0c": "churn"}) == Named("5d0c", "churn")
    assert named("5d0c", {"5d0c": "churn", "5d0cff": "eta"}) == Named("5d0c", "churn")
    with pytest.raises(UsageError, match="5d: several incidents begin so: 5d0c, 5dff; give more of it"):
        named("5d", {"5dff": "churn", "5d0c": "eta"})
    with pytest.raises(UsageError, match="5d0c: is of every model of a partition: no control event can name it"):
        named("5d", {"5d0c": "*"})
