"""The audit log: one entry for each control event, in a chain that is the same whatever the batches; and signatures."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import mutes, signing
from detectors.config import ModelConfig, MonitorConfig
from detectors.engine import Engine
from detectors.signing import NO_KEYS, SPAN_MS, Keys
from schemas.chain import hash_of
from schemas.codec import encode
from schemas.events import Audit
from schemas.records import Record
from schemas.signatures import HEADER, signature
from schemas.topics import Stream
from tests.detectors.events import (
    SECOND,
    START,
    TOPICS,
    Run,
    control,
    normal,
    of_feature,
    outcome,
    prediction,
    record,
    records,
    run,
    tick,
)
from tests.detectors.kept import Memory
from tests.detectors.traffic import CONFIG, traffic

CANARY = "canary-of-a-secret-5c1"
KEYS = Keys({"ops": CANARY.encode(), "old": b"another secret"})
MUTE = {"reason": "backfill"}


def entries(told: Run) -> list[Audit]:
    return [event for event in told.events if isinstance(event, Audit)]


def results(told: Run) -> list[str]:
    return [str(entry.result) for entry in entries(told)]


def signed(lying: Record, name: str = "ops", secret: str = CANARY) -> Record:
    header = signature(name, secret.encode(), lying.key or b"", lying.value or b"")
    return lying._replace(headers=((HEADER, header),))


def guarded(
    lying: Sequence[Record], keys: Keys = KEYS, sizes: Sequence[int] = (1_000,), config: ModelConfig | None = None
) -> Run:
    """Each batch meets an engine restored from bytes where there are several."""
    kept, effects, counts, start, turn = Memory(), [], {}, 0, 0
    while start < len(lying):
        working = Engine(0, MonitorConfig(defaults=config or ModelConfig()), TOPICS, kept=kept, keys=keys)
        applied = working.apply(lying[start : start + sizes[turn % len(sizes)]])
        effects += applied.effects
        for topic, count in applied.counts.items():
            counts.setdefault(topic, type(count)()).add(count)
        kept.take(working.changes())
        start, turn = start + sizes[turn % len(sizes)], turn + 1
    assert not [content for content in kept.records.values() if CANARY.encode() in content]
    assert not [effect for effect in effects if CANARY.encode() in effect.value]
    return Run(effects, counts)


# -- the chain ---------------------------------------------------------------------------------------------------------


def is_chain(told: Run) -> bool:
    """Every entry follows from the one before, from the first on."""
    written = [(event, effect.value) for event, effect in zip(told.events, told.effects, strict=True)]
    chain = [(event, value) for event, value in written if isinstance(event, Audit)]
    previous = None
    for number, (entry, value) in enumerate(chain, 1):
        if (entry.seq, entry.previous, entry.hash) != (number, previous, hash_of(value)):
            return False
        previous = entry.hash
    return True


def test_every_control_event_but_ticks_has_one_entry_in_the_order_of_the_stream() -> None:
    events = traffic(1, 1_500)
    told = run(events, CONFIG)
    said = [
        offset
        for offset, event in enumerate(events)
        if isinstance(event, dict) and event["type"] == "control" and event["action"] != "tick"
    ]
    assert len(said) > 5
    assert [entry.position.offset for entry in entries(told)] == said
    assert is_chain(told)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 150), sizes=st.lists(st.integers(1, 99), min_size=1, max_size=6))
def test_the_chain_is_the_same_bytes_in_any_batches_and_over_restarts(seed: int, rows: int, sizes: list[int]) -> None:
    words = [control(("mute", "deploy", "verdict")[n % 3], f"w{n}", model="intent", version="2") for n in range(5)]
    events = [*words, *traffic(seed, rows), *words]
    for number, event in enumerate(events):
        if isinstance(event, dict) and event["id"].startswith("ew"):
            event["at"], event["id"] = number * SECOND, f"{event['id']}-{number}"
    whole = run(events, CONFIG, (len(events),))
    assert is_chain(whole)
    assert run(events, CONFIG, [*sizes, 20], restoring=True) == whole


def test_an_entry_says_what_the_event_said() -> None:
    event = control("mute", "m", by="ada", reason="backfill", signal="feature:age", segment="country=de")
    event |= {
        "until": "2026-01-01T01:00:00Z",
        "version": "7",
        "baseline": "q1",
        "incident": "i",
        "verdict": "true_alarm",
    }
    told = run([event])
    (entry,) = entries(told)
    fields = msgspec.structs.asdict(entry)
    assert {name: fields[name] for name in ("control", "action", "model", "by", "reason", "signal", "segment")} == {
        "control": "em",
        "action": "mute",
        "model": "churn",
        "by": "ada",
        "reason": "backfill",
        "signal": "feature:age",
        "segment": "country=de",
    }
    assert (entry.until, entry.version, entry.baseline) == (START + 3_600_000, "7", "q1")
    assert (entry.incident, entry.verdict, entry.signed_by, entry.previous) == ("i", "true_alarm", None, None)
    (effect,) = [effect for effect in told.effects if effect.stream == Stream.AUDIT]
    assert (effect.id, effect.key, effect.value) == (entry.id, b"churn", encode(entry))


def test_a_text_that_is_too_long_is_no_word_to_the_monitor() -> None:
    told = run([control("baseline", "b", by="x" * 4_096), control("baseline", "c", by="x" * 4_097)])
    assert [letter.reason for letter in told.dead_letters] == ["out_of_range"]
    assert [entry.by for entry in entries(told)] == ["x" * 4_096]


def alarm() -> str:
    return run(of_feature("age", AGE), WARM).alerts[0].incident


AGE = [*normal(1, 400), *normal(2, 200, 2.0)]
WARM = ModelConfig(baseline_rows=200, baselines={})


def test_what_became_of_it_is_said_by_name() -> None:
    words = [
        control("acknowledge", "a", incident=alarm()),
        control("acknowledge", "b", incident="another"),
        control("unmute", "awake", incident=alarm()),
        control("mute", "asleep", incident=alarm()),
        control("unmute", "asleep again", incident=alarm()),
        control("resolve", "c", incident=alarm()),
        control("resolve", "d", incident=alarm()),
        control("verdict", "e", incident=alarm(), verdict="false_alarm"),
        control("verdict", "nobody's", incident="another", verdict="false_alarm"),
        control("mute", "f", signal="feature:age"),
        control("unmute", "g", signal="feature:age"),
        control("unmute", "h", signal="feature:age"),
        control("mute", "ended", until=START + 600 * SECOND),
        control("unmute", "late"),
        control("baseline", "i", baseline="nowhere"),
        control("deploy", "j", version="2", baseline="nowhere"),
        control("deploy", "k", version="3"),
        control("rollback", "l", version="2"),
        control("baseline", "m"),
        tick(700 * SECOND),
        control("tick", "n", at=700 * SECOND),
    ]
    told = run([*of_feature("age", AGE), *(word | {"at": 700 * SECOND} for word in words)], WARM)
    assert results(told) == [
        "applied",
        "not_open",
        "not_muted",
        "applied",
        "applied",
        "applied",
        "not_open",
        "applied",
        "not_open",
        "applied",
        "applied",
        "not_muted",
        "applied",
        "not_muted",
        "unknown_baseline",
        "without_baseline",
        "applied",
        "applied",
        "applied",
    ]


def test_a_tick_that_names_a_model_and_an_incident_says_nothing_of_it() -> None:
    told = run([*of_feature("age", AGE), control("tick", "t", incident=alarm(), at=700 * SECOND)], WARM)
    assert (entries(told), told.dead_letters, len(told.opened)) == ([], [], 1)


def test_a_mute_or_a_model_that_is_one_too_many_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutes, "MUTES_MAX", 1)
    words = [control("mute", number, signal=f"feature:{number}") for number in range(2)]
    told = run([*words, control("mute", "o", model="other")], MonitorConfig(models_max=1))
    assert results(told) == ["applied", "too_many_mutes", "too_many_models"]
    assert [letter.offset for letter in told.dead_letters] == [2]


def test_what_is_no_control_event_has_a_dead_letter_and_no_entry() -> None:
    lying = record(control("mute", 1), 0)
    told = guarded([lying._replace(value=b"{"), lying._replace(key=b"other")], NO_KEYS)
    assert (len(told.dead_letters), entries(told)) == (2, [])


def test_a_state_from_before_the_audit_log_begins_one() -> None:
    kept = Memory()
    working = Engine(0, MonitorConfig(), TOPICS, kept=kept)
    working.apply(records([prediction(1), control("mute", 2)]))
    kept.take(working.changes())
    del kept.records[b"A"]
    applied = Engine(0, MonitorConfig(), TOPICS, kept=kept).apply(records([control("unmute", 3)]))
    assert [entry.seq for entry in entries(Run(applied.effects, {}))] == [1]


def test_the_log_is_written_when_there_is_an_entry_and_not_else() -> None:
    kept = Memory()
    working = Engine(0, MonitorConfig(), TOPICS, kept=kept)
    for event, written in ((prediction(1), False), (control("mute", 2), True), (tick(3 * SECOND), False)):
        working.apply(records([event]))
        changes = working.changes()
        kept.take(changes)
        assert (b"A" in {key for key, _ in changes.puts}) is written


# -- signatures --------------------------------------------------------------------------------------------------------


def at(number: int, action: str = "mute", **more: Any) -> Record:
    """A control event that was said and appended so many seconds after the start."""
    return record(control(action, number, **more), number)


def moved(lying: Record, seconds: int, offset: int = 99) -> Record:
    """The same bytes, appended another time."""
    return lying._replace(timestamp=START + seconds * SECOND, offset=offset)


def test_without_keys_nothing_is_asked_for() -> None:
    told = guarded([at(1), signed(at(2)), moved(signed(at(2)), 3)], NO_KEYS)
    assert (results(told), [entry.signed_by for entry in entries(told)]) == (["applied"] * 3, [None] * 3)


def test_a_signed_event_is_applied_and_its_key_named() -> None:
    told = guarded([signed(at(1)), signed(at(2), "old", "another secret")])
    assert [(str(entry.result), entry.signed_by) for entry in entries(told)] == [("applied", "ops"), ("applied", "old")]
    assert told.dead_letters == []


GOOD = signed(at(1))
((_, HEX),) = GOOD.headers


@pytest.mark.parametrize(
    ("lying", "reason"),
    [
        (at(1), "unsigned"),
        (GOOD._replace(headers=((HEADER, None),)), "unsigned"),  # Kafka allows it
        (GOOD._replace(headers=((HEADER.upper(), HEX),)), "unsigned"),
        (GOOD._replace(value=(GOOD.value or b"") + b" "), "bad_signature"),
        (signed(at(1), secret=CANARY + "x"), "bad_signature"),
        (signed(at(1), name="nobody"), "bad_signature"),
        (signed(at(1), name="old"), "bad_signature"),
        (GOOD._replace(headers=((HEADER, b""),)), "bad_signature"),
        (GOOD._replace(headers=((HEADER, b"ops"),)), "bad_signature"),
        (GOOD._replace(headers=((HEADER, HEX[:-1]),)), "bad_signature"),
        (GOOD._replace(headers=((HEADER, HEX + b"0"),)), "bad_signature"),
        (GOOD._replace(headers=((HEADER, HEX.upper()),)), "bad_signature"),
        (GOOD._replace(headers=((HEADER, b"\xff\x00:\xff"), (HEADER, HEX))), "bad_signature"),
        (signed(at(1)._replace(key=b"eta"))._replace(key=b"churn"), "bad_signature"),
    ],
)
def test_what_is_not_signed_or_not_rightly_is_refused_and_changes_nothing(lying: Record, reason: str) -> None:
    told = guarded([lying])
    ((entry,), (letter,)) = entries(told), told.dead_letters
    assert (str(entry.result), entry.signed_by, str(letter.reason)) == (reason, None, reason)
    assert (letter.key, told.counts[TOPICS.control].dead_lettered) == ("Y2h1cm4=", 1)


def test_a_refused_event_changes_nothing() -> None:
    """As if it had never come, but for its letter and its entry."""
    events = of_feature("age", AGE)
    forged = [
        record(control(action, "f", version="2", incident=alarm(), at=430 * SECOND), 0)
        for action in ("deploy", "baseline", "mute", "resolve", "acknowledge")
    ]
    lying = [record(event, offset) for offset, event in enumerate(events)]
    without, told = guarded(lying, config=WARM), guarded([*lying[:430], *forged, *lying[430:]], config=WARM)
    assert results(told) == ["unsigned"] * len(forged)
    others = [effect for effect in told.effects if effect.stream not in (Stream.AUDIT, Stream.DEAD_LETTERS)]
    assert others == without.effects


def test_predictions_outcomes_and_ticks_need_no_signature() -> None:
    told = guarded(records([prediction(1), outcome(1, at=2 * SECOND), tick(3 * SECOND)]))
    assert told.dead_letters == []


def test_where_it_is_not_required_what_is_unsigned_is_taken_and_a_wrong_signature_is_not() -> None:
    lenient = Keys({"ops": CANARY.encode()}, required=False)
    told = guarded([at(1), signed(at(2)), signed(at(3), "ops", "wrong")], lenient)
    assert [(str(entry.result), entry.signed_by) for entry in entries(told)] == [
        ("applied", None),
        ("applied", "ops"),
        ("bad_signature", None),
    ]


@pytest.mark.parametrize("sizes", [(1_000,), (1,)])
def test_a_key_that_has_ended_signs_nothing_more_and_what_it_signed_before_stays(sizes: Sequence[int]) -> None:
    ended = Keys({"ops": CANARY.encode(), "old": b"another secret"}, {"old": START + 3 * SECOND})
    events = [signed(at(number), "old", "another secret") for number in (1, 2, 3)]
    assert results(guarded([*events, signed(at(4))], ended, sizes)) == [
        "applied",
        "applied",
        "bad_signature",
        "applied",
    ]
    stepped_back = [events[0], signed(at(5)), moved(events[1], 2)]
    assert results(guarded(stepped_back, ended, sizes)) == ["applied", "applied", "bad_signature"]


@pytest.mark.parametrize("sizes", [(1_000,), (1,)])
def test_what_was_captured_and_is_sent_again_does_not_act_twice(sizes: Sequence[int]) -> None:
    event, minutes = signed(at(1)), SPAN_MS // SECOND
    again = [moved(event, seconds, 10 + seconds) for seconds in (1, 2, minutes, minutes + 1, minutes + 2, 9 * minutes)]
    told = guarded([event, *again], sizes=sizes)
    assert results(told) == ["applied", *["repeated"] * 4, "too_old", "too_old"]
    assert {entry.signed_by for entry in entries(told)} == {"ops"}


def test_what_is_forgotten_is_too_old_even_where_a_clock_steps_back() -> None:
    event, later = signed(at(1)), SPAN_MS // SECOND + 2
    told = guarded([event, signed(at(later, "unmute")), moved(event, 5)], sizes=(1,))
    assert results(told) == ["applied", "applied", "too_old"]


@pytest.mark.parametrize(
    ("seconds", "result"), [(0, "applied"), (-600, "applied"), (-601, "too_old"), (601, "too_old")]
)
def test_an_event_is_taken_within_ten_minutes_of_its_time(seconds: int, result: str) -> None:
    assert results(guarded([moved(signed(at(1_000)), 1_000 + seconds)])) == [result]


def test_a_time_in_words_counts_as_the_same_time() -> None:
    text = record(control("mute", 1) | {"ts": "2026-01-01T00:00:01Z"}, 1)
    assert results(guarded([signed(text), moved(signed(text), 700)])) == ["applied", "too_old"]


def test_an_id_is_one_of_its_model() -> None:
    events = [at(1, model=model) for model in ("churn", "eta", "churn")]
    assert results(guarded(list(map(signed, events)))) == ["applied", "applied", "repeated"]


@pytest.mark.parametrize("sizes", [(1_000,), (1,), (3,)])
def test_more_ids_than_are_remembered_do_not_let_an_old_one_act_twice(
    sizes: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "SEEN_MAX", 3)
    events = [signed(at(number)) for number in range(1, 6)]
    again = [moved(event, 10, 10 + number) for number, event in enumerate(events)]
    assert results(guarded([*events, *again], sizes=sizes)) == ["applied"] * 5 + ["too_old"] * 2 + ["repeated"] * 3


def test_a_forged_event_of_another_time_shuts_nobody_out() -> None:
    """Where producers say when they append, a record may come from the end of time."""
    forged = moved(at(1), 10**9)
    assert results(guarded([forged, signed(at(2))])) == ["unsigned", "applied"]


def test_what_was_refused_may_come_again_rightly_signed() -> None:
    assert results(guarded([at(1), signed(at(1))])) == ["unsigned", "applied"]


def test_keys_print_as_their_names() -> None:
    assert repr(KEYS) == "Keys(ops, old)"
