"""The audit log at the command line: who said what, and a chain that shows each way in which it can be meddled with."""

import json
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

import schemas
from schemas.chain import hash_of
from schemas.codec import encode
from schemas.events import Audit, Control, ControlAction, Position
from schemas.reasons import AuditResult
from schemas.records import Record
from schemas.signatures import HEADER, signature
from streams import audit, embedded, signing
from streams.audit import Break, Chain, Listing
from streams.cli import main
from streams.errors import SettingsError, UsageError
from streams.mlflow import running
from streams.secrets import Secret
from streams.sections import ControlSettings, KafkaSettings, KeySettings, Settings
from streams.settings import load
from streams.signing import Signer, keys_of, signer_of
from tests.streams.events import START, file_of

CANARY = "canary-of-a-secret-5c1"
MINUTE = 60_000


def chained(number: int, partition: int = 0, **fields: Any) -> list[Audit]:
    """So many entries of a partition, each a minute after the one before."""
    made: list[Audit] = []
    for seq in range(1, number + 1):
        entry = Audit(
            id=f"a{partition}-{seq}",
            seq=seq,
            previous=made[-1].hash if made else None,
            hash="",
            result=AuditResult.APPLIED,
            signed_by=None,
            control=f"c{seq}",
            action=ControlAction.MUTE,
            model=fields.get("model", "churn"),
            by=fields.get("by"),
            ts=START + seq * MINUTE,
            position=Position(topic="driftline.control", partition=partition, offset=seq),
        )
        made.append(msgspec.structs.replace(entry, hash=hash_of(encode(entry))))
    return made


def changed(entry: Audit, **fields: object) -> Audit:
    """By somebody who computes the hash anew."""
    entry = msgspec.structs.replace(entry, **fields)
    return msgspec.structs.replace(entry, hash=hash_of(encode(entry)))


def taken(entries: Iterable[Audit | bytes], *, cut_off: bool = False) -> Chain:
    chain = Chain(cut_off=cut_off)
    for offset, entry in enumerate(entries):
        chain.take(f"@{offset}", entry if isinstance(entry, bytes) else encode(entry))
    return chain


E = chained(6)


def fault(entries: Iterable[Audit | bytes], *, cut_off: bool = False) -> tuple[str, str] | None:
    found = taken(entries, cut_off=cut_off).fault
    return None if found is None else (str(found.kind), found.where)


# -- chains ------------------------------------------------------------------------------------------------------------


def test_a_whole_chain_is_whole() -> None:
    chain = taken(E)
    assert (chain.fault, chain.first, chain.last, chain.hash, chain.repeats) == (None, 1, 6, E[-1].hash, 0)
    assert taken([]).fault is None


def test_entries_that_come_again_are_nothing_strange() -> None:
    chain = taken([*E[:4], *E[1:4], E[3], *E[4:], E[0]])
    assert (chain.fault, chain.last, chain.repeats) == (None, 6, 5)


@pytest.mark.parametrize(
    ("lying", "expected"),
    [
        ([*E[:2], b"hello", *E[2:]], ("no_entry", "@2")),
        ([*E[:2], b"", *E[2:]], ("no_entry", "@2")),
        ([*E[:2], encode(E[2]).replace(b"mute", b"baseline"), *E[3:]], ("changed", "@2")),
        ([*E[:2], encode(E[2]) + b" ", *E[3:]], ("changed", "@2")),
        ([*E[:2], msgspec.structs.replace(E[2], hash=E[1].hash), *E[3:]], ("changed", "@2")),
        ([*E[:2], changed(E[2], by="eve"), *E[3:]], ("not_linked", "@3")),
        ([*E[:5], changed(E[5], previous=E[0].hash)], ("not_linked", "@5")),
        ([changed(E[0], previous=E[3].hash), *E[1:]], ("not_linked", "@0")),
        ([*E[:2], *E[3:]], ("missing", "@2")),
        (E[1:], ("missing", "@0")),
        ([E[0], *E[3:]], ("missing", "@1")),
        ([*E[:2], E[3], E[2], *E[4:]], ("out_of_order", "@3")),
        ([*E[1:], E[0]], ("out_of_order", "@5")),
        ([*E[:4], changed(E[1], by="eve"), *E[4:]], ("other_content", "@4")),
        ([*E, *chained(2, by="eve")], ("other_content", "@6")),
        ([*E[:2], b"hello", b"", *E[3:]], ("no_entry", "@2")),  # the first is told
    ],
)
def test_each_way_to_meddle_is_found_where_it_was_done(
    lying: Sequence[Audit | bytes], expected: tuple[str, str]
) -> None:
    assert fault(lying) == expected


def test_a_beginning_that_retention_took_is_no_fault_and_a_hole_is_one() -> None:
    chain = taken(E[2:], cut_off=True)
    assert (chain.fault, chain.first, chain.last, chain.lacks_its_beginning) == (None, 3, 6, True)
    assert fault([E[2], E[4]], cut_off=True) == ("missing", "@1")
    assert fault([*E[2:], E[1]], cut_off=True) == ("out_of_order", "@4")
    assert not taken(E, cut_off=True).lacks_its_beginning


def test_repeats_are_known_as_far_back_as_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "REMEMBERED_MAX", 2)
    assert fault([*E, E[4]]) is None
    assert fault([*E, E[3]]) == ("out_of_order", "@6")


# -- the command -------------------------------------------------------------------------------------------------------


def results(tmp_path: Path, entries: Iterable[Audit]) -> list[str]:
    file_of(tmp_path / "audit.jsonl", map(encode, entries))
    return ["--from", str(tmp_path)]


def test_verify_says_how_each_partition_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = chained(2, 3)
    where = results(tmp_path, [*E, *other])
    assert main(["audit", "verify", *where]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"driftline.audit[0]: whole, entries 1 to 6; the last hash is {E[-1].hash}",
        f"driftline.audit[3]: whole, entries 1 to 2; the last hash is {other[-1].hash}",
    ]
    where = results(tmp_path, [*E[:2], E[3], *other])
    assert main(["audit", "verify", *where]) == 1
    assert capsys.readouterr().out.splitlines()[0] == (
        f"driftline.audit[0]: BROKEN (missing) at {tmp_path / 'audit.jsonl'} line 3: entry 3 is missing before entry 4"
    )
    assert main(["audit", "verify", "--json", *where]) == 1
    broken, whole = map(json.loads, capsys.readouterr().out.splitlines())
    assert (broken["partition"], broken["whole"], broken["last"], broken["fault"]["kind"]) == (0, False, 2, "missing")
    assert whole == {
        "partition": 3,
        "whole": True,
        "first": 1,
        "last": 2,
        "hash": other[-1].hash,
        "cut_off": False,
        "repeats": 0,
        "fault": None,
    }


def test_what_cannot_be_read_and_wrong_calls_have_their_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTLINE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    assert main(["audit", "verify", "--from", str(tmp_path / "nowhere")]) == 2
    assert main(["audit", "verify"]) == main(["audit", "list"]) == 1
    assert main(["audit"]) == main(["audit", "list", "--since", "soon"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 5)
    file_of(tmp_path / "audit.jsonl", [b"{}"])
    assert main(["audit", "verify", "--from", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"driftline: {tmp_path / 'audit.jsonl'} line 1: is no audit entry: ")


def test_list_says_who_did_what_when_and_what_came_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = chained(2, 1, by="ada@example.org")
    second = msgspec.structs.replace(second, signed_by="ops", reason="back\nfill", result=AuditResult.NOT_OPEN)
    (other,) = chained(1, 0, model="eta")
    where = results(tmp_path, [other, first, second, first])
    assert main(["audit", "list", *where]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2026-01-01 00:01:00Z eta mute by nobody named (unsigned): applied",
        "2026-01-01 00:01:00Z churn mute by ada@example.org (unsigned): applied",
        "2026-01-01 00:02:00Z churn mute by ada@example.org (signed with ops): back\\nfill: not_open",
        "3 control events; driftline audit verify says whether the log is whole",
    ]
    assert main(["audit", "list", "--json", "--model", "churn", "--since", "30s", *where]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert msgspec.json.decode(line, type=Audit) == second
    assert main(["audit", "list", "--model", "nobody", *where]) == 0
    assert capsys.readouterr().out == "There is no entry.\n"


def test_of_too_many_entries_the_newest_are_kept() -> None:
    listing = Listing(most=2)
    for entry in [*chained(3), *chained(2, 1)]:
        listing.add(entry)
    assert ([entry.id for entry in listing.since(0)], listing.left_out) == (["a1-2", "a0-3"], 3)


# -- from a replay -----------------------------------------------------------------------------------------------------


def control(number: int, **more: object) -> bytes:
    event = {"type": "control", "v": 1, "id": f"c{number}", "model": "churn", "ts": START, "action": "mute", **more}
    return json.dumps(event).encode()


def test_a_replay_of_files_writes_a_log_that_is_whole_and_asks_for_no_signature(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTLINE_CONTROL__KEYS__OPS__SECRET", CANARY)
    file = file_of(
        tmp_path / "events.jsonl", [control(1), control(2, action="verdict", incident="i", verdict="true_alarm")]
    )
    assert main(["replay", str(file), "--out", str(tmp_path / "out")]) == 0
    assert main(["audit", "verify", "--from", str(tmp_path / "out")]) == 0
    assert main(["audit", "list", "--json", "--from", str(tmp_path / "out")]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"action"')]
    assert [(entry["control"], entry["result"], entry["signed_by"]) for entry in listed] == [
        ("c1", "applied", None),
        ("c2", "not_open", None),
    ]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if CANARY.encode() in path.read_bytes()]


def test_records_of_topics_are_checked() -> None:
    settings = Settings(control=ControlSettings(keys={"ops": KeySettings(secret=Secret(CANARY))}))
    engine = embedded.engines(settings, any_stream=False)(0, None)
    signer = Signer("ops", Secret(CANARY))
    lying = [
        Record("driftline.control", 0, offset, START, b"churn", control(offset), headers)
        for offset, headers in enumerate([(), signer.headers(b"churn", control(1))])
    ]
    told = [json.loads(effect.value) for effect in engine.apply(lying).effects if effect.stream == "audit"]
    assert [(entry["result"], entry["signed_by"]) for entry in told] == [("unsigned", None), ("applied", "ops")]


# -- keys in the configuration -----------------------------------------------------------------------------------------


def keys(*names: str, sign_with: str | None = None) -> ControlSettings:
    return ControlSettings(
        keys={name: KeySettings(secret=Secret(name + CANARY)) for name in names}, sign_with=sign_with
    )


def test_what_is_signed_with_is_the_only_key_or_the_one_that_is_named() -> None:
    assert signer_of(ControlSettings(), START) is None
    assert signer_of(keys("ops"), START) == Signer("ops", Secret("ops" + CANARY))
    assert signer_of(keys("ops", "old", sign_with="old"), START) == Signer("old", Secret("old" + CANARY))
    with pytest.raises(UsageError, match=r"control\.sign_with: there are several keys; say which signs: old, ops"):
        signer_of(keys("ops", "old"), START)


async def test_an_intention_of_mlflow_that_waited_is_signed_as_of_when_it_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[tuple[Control, object]] = []

    async def send(_kafka: object, event: Control, signer: object) -> None:
        sent.append((event, signer))

    monkeypatch.setattr(running.control, "send", send)
    intended = msgspec.json.decode(control(1), type=Control)
    signer = signer_of(keys("ops"), START)
    for of in (None, signer):
        await running.ControlTopic(KafkaSettings(), lambda of=of: of).send(intended)
    (unsigned, nobody), (signed, somebody) = sent
    assert (unsigned, nobody, somebody) == (intended, None, signer)
    assert isinstance(signed.ts, int)
    assert time.time() * 1000 - MINUTE < signed.ts
    assert msgspec.structs.replace(signed, ts=START) == intended


def test_whoever_signs_for_long_is_told_when_its_key_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = ControlSettings(keys={"ops": KeySettings(secret=Secret("ops" + CANARY), until="2026-02-01T00:00:00Z")})
    now = [START / 1000]
    monkeypatch.setattr(signing, "time", lambda: now[0])
    signer = signing.signers(ends)
    assert signer() == Signer("ops", Secret("ops" + CANARY))
    now[0] += 40 * 86_400
    with pytest.raises(UsageError, match=r"control\.keys\.ops: signs nothing any more"):
        signer()
    with pytest.raises(UsageError, match="signs nothing any more"):
        signing.signers(ends)


def test_a_signers_header_is_the_signature() -> None:
    header = (HEADER, signature("ops", b"ops" + CANARY.encode(), b"churn", b"{}"))
    signer = signer_of(keys("ops"), START)
    assert signer is not None
    assert signer.headers(b"churn", b"{}") == [header]
    assert CANARY not in repr(signer) + repr(keys_of(keys("ops"))) + repr(keys("ops"))


PAGE = (Path(schemas.__file__).parents[1] / "docs" / "audit.md").read_text(encoding="utf-8")


def test_the_page_signs_as_this_program_does() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102 - it stands in this repository
    assert names["signature"]("ops", CANARY, b"churn", b"{}") == signature("ops", CANARY.encode(), b"churn", b"{}")


def test_the_pages_example_is_a_configuration(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    for name in ("control", "pipeline"):
        (tmp_path / f"driftline-{name}").write_text(name + CANARY)
    config = tmp_path / "driftline.toml"
    config.write_text(example.replace("/run/secrets", str(tmp_path)))
    assert signer_of(load(config, {}).control, START) == Signer("ops-2026", Secret("control" + CANARY))


def test_every_way_to_meddle_and_to_be_refused_stands_in_the_page() -> None:
    refused = {"unsigned", "bad_signature", "too_old", "repeated"}
    assert {str(kind) for kind in Break} | refused <= set(re.findall(r"`([^`\n]+)`", PAGE))


def test_keys_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"file{CANARY}\n")
    config = tmp_path / "driftline.toml"
    config.write_text(f'[control]\nsign_with = "ops"\nkeys.file.secret_file = "{tmp_path / "key"}"\nkeys.ops = {{}}\n')
    control = load(config, {"DRIFTLINE_CONTROL__KEYS__OPS__SECRET": CANARY}).control
    assert control.required
    assert {name: key.secret for name, key in control.keys.items()} == {
        "file": Secret(f"file{CANARY}"),
        "ops": Secret(CANARY),
    }


def test_a_key_may_have_an_end(tmp_path: Path) -> None:
    config = tmp_path / "driftline.toml"
    config.write_text(f'[control.keys.ops]\nsecret = "{CANARY}"\nuntil = "2026-01-01T00:00:01Z"\n')
    record = Record("driftline.control", 0, 0, START, b"churn", control(1))
    header = signature("ops", CANARY.encode(), b"churn", control(1))
    loaded = keys_of(load(config, {}).control)
    assert [loaded.signer(header, record, START + late) for late in (999, 1_000)] == ["ops", None]
    assert signer_of(load(config, {}).control, START) is not None
    with pytest.raises(UsageError, match=r"control\.keys\.ops: signs nothing any more"):
        signer_of(load(config, {}).control, START + 1_000)
    config.write_text(f'[control.keys.ops]\nsecret = "{CANARY}"\nuntil = "soon"\n')
    with pytest.raises(SettingsError, match='until = "soon": must be a time with a zone, such as "2026-03-01T00:00'):
        load(config, {})


def test_mistakes_in_keys_are_told_without_them(tmp_path: Path) -> None:
    config = tmp_path / "driftline.toml"
    config.write_text(
        f"""
        [control]
        sign_with = "nobody"
        [control.keys]
        empty = {{}}
        short = {{ secret = "hunter2" }}
        "with:colon" = {{ secret = "{CANARY}" }}
        twice = {{ secret = "{CANARY}", secret_file = "{config}" }}
        """
    )
    with pytest.raises(SettingsError) as caught:
        load(config, {})
    assert [line.replace(f"{config}: ", "") for line in caught.value.lines] == [
        "control.keys.twice.secret_file: stands beside control.keys.twice.secret; keep one of them",
        "control.keys.empty.secret: must be set, or secret_file",
        "control.keys.short.secret: must have at least 16 characters; openssl rand -hex 32 makes one",
        'control.keys."with:colon": is no name for a key: 1 to 200 letters, digits, dots, underscores or dashes',
        'control.sign_with = "nobody": must be one of empty, short, twice, with:colon',
    ]
    config.write_text('[control]\nsign_with = "ops"\n')
    with pytest.raises(SettingsError, match=r"must be one of control\.keys; there are none"):
        load(config, {})


def test_check_does_not_show_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "driftline.toml"
    config.write_text(f'[control.keys.ops]\nsecret = "{CANARY}"\n')
    assert main(["check", str(config)]) == main(["check", "--explain", "control"]) == 0
    assert main(["control", "baseline", "--model", "churn", "--dry-run", "--config", str(config)]) == 0
    said = capsys.readouterr()
    assert CANARY not in said.out + said.err
