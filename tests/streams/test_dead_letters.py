import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.events import DeadLetter
from schemas.reasons import DeadLetterReason
from streams.cli import main
from streams.dead_letters import RESENDS_MAX, RESENT_HEADER, Again, Choice, Kind, again, chosen, counted, in_file
from streams.errors import SourceError
from tests.streams.events import START, file_of

INPUTS = ("driftline.predictions", "driftline.outcomes")


def base64(raw: bytes) -> str:
    return b64encode(raw).decode()


def letter(number: int = 1, *, headers: Sequence[tuple[str, bytes]] = (), **more: Any) -> DeadLetter:
    values: dict[str, Any] = {
        "id": f"{number:032d}",
        "reason": DeadLetterReason.NOT_JSON,
        "detail": "no JSON: send one JSON object a record",
        "topic": "driftline.predictions",
        "partition": 3,
        "offset": number,
        "key": base64(b"churn"),
        "value": base64(b"bro\x1b[2Jken"),
        "value_bytes": 10,
        "truncated": False,
        "headers": [(name, base64(value)) for name, value in headers],
        "ts": START + number,
    }
    return DeadLetter(**(values | more))


def written(tmp_path: Path, letters: Sequence[DeadLetter]) -> Path:

    return file_of(tmp_path / "dead-letters.jsonl", [msgspec.json.encode(each) for each in letters])


def test_a_record_is_sent_again_as_it_was() -> None:
    assert again(letter(headers=[("trace", b"\x00\x01")]), INPUTS) == Again(
        "driftline.predictions",
        3,
        b"churn",
        b"bro\x1b[2Jken",
        [("trace", b"\x00\x01"), (RESENT_HEADER, b"1")],
    )


def test_the_header_counts_up_and_ends_the_round() -> None:
    said = []
    headers: list[tuple[str, bytes]] = []
    for _ in range(RESENDS_MAX):
        record = again(letter(headers=headers), INPUTS)
        assert isinstance(record, Again)
        headers = record.headers
        said.append(headers)
    assert said[-1] == [(RESENT_HEADER, str(RESENDS_MAX).encode())]
    assert again(letter(headers=headers), INPUTS) == "it was sent again 3 times already"


def test_a_record_that_was_cut_is_not_sent() -> None:
    assert again(letter(truncated=True), INPUTS) == "it was not kept whole; send it from its source"


def test_a_line_of_a_file_needs_a_topic_and_gets_its_models_name_as_key() -> None:
    value = b'{"type": "prediction", "model": "churn"}'
    line = letter(topic="june.jsonl", partition=0, key=None, value=base64(value))
    assert again(line, INPUTS) == "june.jsonl is no input topic; name one with --to"
    assert again(line, INPUTS, to="driftline.predictions") == Again(
        "driftline.predictions", None, b"churn", value, [(RESENT_HEADER, b"1")]
    )


async def test_letters_are_counted_by_reason_and_topic(tmp_path: Path) -> None:
    empty = letter(3, reason=DeadLetterReason.EMPTY, value=None)
    file = written(tmp_path, [letter(1), letter(2), empty])
    counts = await counted(in_file(file))
    assert {kind: (count.letters, count.first_ts, count.last_ts) for kind, count in counts.items()} == {
        Kind("not_json", "driftline.predictions"): (2, START + 1, START + 2),
        Kind("empty", "driftline.predictions"): (1, START + 3, START + 3),
    }


@pytest.mark.parametrize(
    ("choice", "numbers"),
    [
        (Choice(), [1, 2, 3]),
        (Choice(reason="empty"), [3]),
        (Choice(ids=[f"{2:032d}"]), [2]),
        (Choice(ids=["0"], reason="not_json"), [1, 2]),
    ],
)
async def test_letters_are_chosen(tmp_path: Path, choice: Choice, numbers: list[int]) -> None:
    file = written(tmp_path, [letter(1), letter(2), letter(3, reason=DeadLetterReason.EMPTY)])
    assert [each.offset async for each in chosen(in_file(file), choice)] == numbers


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({"type": "alert"}).encode(),
        b'{"type":"dead_letter","v":1,"id":"\xff"}',
        b'{"type":"dead_letter","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
)
async def test_a_file_of_something_else_is_told(tmp_path: Path, line: bytes) -> None:
    file = file_of(tmp_path / "x.jsonl", [line])
    with pytest.raises(SourceError, match=r"x\.jsonl line 1: is no dead letter"):
        await counted(in_file(file))


def test_list_shows_each_reason_with_its_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, [letter(1), letter(2)])
    assert main(["dead-letters", "list", "--file", str(file)]) == 0
    assert capsys.readouterr().out == (
        "        2  not_json  driftline.predictions  2026-01-01 00:00:00Z to 2026-01-01 00:00:00Z  "
        f"such as {1:032d}: no JSON: send one JSON object a record\n"
        "        2  dead letters\n"
    )


def test_show_decodes_the_value_and_keeps_it_harmless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, [letter(1), letter(2)])
    assert main(["dead-letters", "show", f"{2:032d}", "--file", str(file)]) == 0
    out = capsys.readouterr().out
    assert "position  driftline.predictions[3]@2\n" in out
    assert "key       churn\n" in out
    assert "          bro\\x1b[2Jken\n" in out


def test_without_confirmation_nothing_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, [letter(1), letter(2, truncated=True)])
    assert main(["dead-letters", "resend", "--all", "--file", str(file)]) == 0
    said = capsys.readouterr()
    assert said.out == "would send again: 1; not: 1. Nothing was sent; --yes sends\n"
    assert said.err == f"{2:032d}: it was not kept whole; send it from its source\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show"], "no letter was named"),
        (["show", "f" * 32], f"{'f' * 32}: there is no such letter"),
        (["resend"], "which letters?"),
        (["resend", "--all", "--to", "elsewhere"], "--to: elsewhere is no input topic"),
    ],
)
def test_a_wrong_call_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["dead-letters", *arguments, "--file", str(written(tmp_path, [letter()]))]) == 2
    assert capsys.readouterr().err.startswith(f"driftline: {said}")
