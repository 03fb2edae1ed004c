"""What a state on disk is after each step of its life, and what comes of a life that was broken off there."""

import msgspec
import pytest

from detectors.banks.contract import StateError, StateVersionError
from detectors.kept import Changes, Kept
from detectors.sealing import seal
from schemas.records import Record
from schemas.topics import TopicNames
from streams import durable
from streams.durable import (
    FORMAT,
    FORMAT_VERSION,
    OUTBOX,
    POSITIONS,
    Belongs,
    DurableState,
    belongs,
    new_state,
    positions_of,
)
from streams.errors import CorruptStateError, UsageError
from streams.identity import Identity
from streams.merge import Reached
from streams.state import EffectLike, MemoryState
from tests.streams.disk import WHOSE, MemoryDisk, empty
from tests.transport.chain import ChainEngine, Told

ALERTS = "driftline.alerts"


class Counter:
    """Counts what it is handed and keeps the count."""

    def __init__(self, _partition: int, kept: Kept | None) -> None:
        (known,) = kept.read([b"count"]) if kept else [None]
        self.count = int(known or 0)

    def changes(self) -> Changes:
        return Changes([(b"count", b"%d" % self.count)], [])


def opened(disk: MemoryDisk, found: tuple[tuple[str, int], ...] = (), until: int = 1_000) -> DurableState:
    state = DurableState(disk, WHOSE, Counter)
    state.found(ALERTS, found)
    state.read_back_done({"predictions": until})
    return state


def told(*ids: str) -> list[EffectLike]:
    return [Told("alerts", event_id, b"k", b"v " + event_id.encode()) for event_id in ids]


def ids(effects) -> list[str]:
    return [effect.id for effect in effects]


def work(state: DurableState, position: int, *effects: str) -> None:
    state.engine.count += 1
    state.took({"predictions": position}, told(*effects))


def test_a_commit_is_one_write_of_the_engine_the_positions_and_the_effects():
    disk = empty()
    state = opened(disk)
    work(state, 5, "a")
    work(state, 9, "b")
    writes = len(disk.before)
    assert state.uncommitted
    assert ids(state.commit()) == ["a", "b"]
    assert len(disk.before) == writes + 1
    again = opened(disk)
    assert (again.engine.count, again.positions, again.applied) == (2, {"predictions": 9}, {"predictions": 9})


def test_what_was_not_committed_is_as_if_it_had_never_been():
    disk = empty()
    work(opened(disk), 5, "a")
    again = opened(disk)
    assert (again.engine.count, again.positions, again.uncommitted) == (0, {}, False)


def test_a_life_that_ends_between_commit_and_sending_sends_in_the_next_one():
    disk = empty()
    state = opened(disk)
    work(state, 5, "a", "b")
    state.commit()
    again = opened(disk)
    assert again.uncommitted, "there is something to send although nothing was applied"
    (first, second) = again.commit()
    assert (first.stream, first.id, first.key, first.value) == ("alerts", "a", b"k", b"v a")
    assert second.id == "b"


def test_a_life_that_ends_in_the_midst_of_sending_sends_only_what_is_missing():
    disk = empty()
    state = opened(disk)
    work(state, 5, "a", "b", "c")
    state.commit()
    again = opened(disk, found=(("a", 0), ("b", 1)))
    assert ids(again.commit()) == ["c"]
    assert again.already_sent == 2


def test_what_an_earlier_life_left_is_sent_before_what_this_one_decides_and_in_its_order():
    disk = empty()
    state = opened(disk)
    work(state, 5, *"abcdefghijk")
    state.commit()
    again = opened(disk)
    work(again, 6, "l")
    assert ids(again.commit()) == list("abcdefghijkl")


def test_what_was_sent_leaves_the_outbox_with_the_next_commit():
    disk = empty()
    state = opened(disk)
    work(state, 5, "a")
    state.commit()
    state.sent({ALERTS: 1})
    assert state.uncommitted
    assert state.commit() == []
    assert list(disk.scan(OUTBOX)) == []
    state.sent({})
    assert not state.uncommitted
    assert opened(disk).read_back_from == {ALERTS: 1}


def test_what_goes_ahead_of_a_commit_is_sent_once_and_leaves_what_was_acknowledged_before_alone():
    disk = empty()
    state = opened(disk)
    work(state, 5, "a")
    state.commit()
    state.sent({ALERTS: 1})
    work(state, 9, "order", "b")
    assert ids(state.ahead(lambda effect: effect.id == "order")) == ["order"]
    assert opened(disk).positions == {"predictions": 5}, "nothing of it is written"
    state.sent({ALERTS: 2})
    assert state.ahead(lambda effect: effect.id == "order") == []
    assert ids(state.commit()) == ["b"]
    assert [entry.effect.id for entry in durable._outbox(disk)] == ["b"]
    assert opened(disk).read_back_from == {ALERTS: 2}


def test_what_went_ahead_of_a_commit_that_never_came_is_not_sent_again():
    disk = empty()
    work(opened(disk), 5, "order", "a")
    again = opened(disk, found=(("order", 0),))
    work(again, 5, "order", "a")
    assert again.ahead(lambda effect: effect.id == "order") == []
    assert ids(again.commit()) == ["a"]


def test_effects_that_were_left_out_leave_the_outbox_too():
    disk = empty()
    state = opened(disk)
    work(state, 5, "a")
    state.commit()
    again = opened(disk, found=(("a", 0),))
    assert again.commit() == []
    assert list(disk.scan(OUTBOX)) == []


def test_an_older_state_that_decides_again_sends_only_what_is_missing():
    disk = empty()
    old = MemoryDisk(disk.rows)
    state = opened(disk)
    work(state, 5, "a", "b")
    state.commit()
    again = opened(old, found=(("a", 0),))
    work(again, 2, "a")
    assert again.commit() == []
    work(again, 5, "b")
    assert ids(again.commit()) == ["b"]


def test_a_read_back_begins_no_later_than_what_may_still_be_decided_again():
    """An alert of this life's own comes between, such as that of a gap; a crash must not hide what lies before it."""
    old = empty()
    again = opened(old, found=(("a", 4), ("b", 5), ("c", 6)))
    work(again, 2, "gap", "a")
    assert ids(again.commit()) == ["gap"]
    again.sent({ALERTS: 8})
    again.commit()
    assert opened(old).read_back_from == {ALERTS: 5}
    again.sent({})
    work(again, 5, "b", "c")
    again.commit()
    assert opened(old).read_back_from == {ALERTS: 8}


def test_the_place_in_the_order_is_known_from_the_next_commit_on_and_stays_where_nothing_new_is_said():
    disk = empty()
    state = opened(disk)
    state.took({"predictions": 5}, [], Reached(70, 1))
    state.took({"predictions": 6}, [])
    assert opened(disk).reached is None
    state.commit()
    assert (state.reached, opened(disk).reached) == (Reached(70, 1), Reached(70, 1))


def test_the_topics_that_it_was_made_from_are_known_by_their_ids_from_the_next_commit_on():
    disk = empty()
    state = opened(disk)
    one, two, three = (Identity(name, 4) for name in ("one", "two", "three"))
    state.made_from({"predictions": one, "outcomes": two})
    assert opened(disk).topics == {}
    state.commit()
    again = opened(disk)
    again.made_from({"predictions": three})
    assert again.topics == {"predictions": three, "outcomes": two}
    assert opened(disk).topics == {"predictions": one, "outcomes": two}


def test_an_output_topic_that_was_made_anew_is_read_back_from_its_beginning():
    disk = empty()
    state = opened(disk)
    state.made_from({ALERTS: Identity("old", 1)})
    work(state, 5, "a", "b")
    state.commit()
    state.sent({ALERTS: 2})
    state.commit()
    again = DurableState(disk, WHOSE, Counter)
    assert again.read_back_from == {ALERTS: 2}
    again.made_from({ALERTS: Identity("new", 1)})
    assert again.read_back_from == {}
    again.read_back_done({})
    work(again, 6, "c")
    assert ids(again.commit()) == ["c"]
    again.sent({ALERTS: 1})
    again.commit()
    assert opened(disk).read_back_from == {ALERTS: 1}


def test_a_mark_that_others_writing_has_stopped_moves_again_after_a_look(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("streams.durable.READ_BACK_GAP", 2)
    disk = empty()
    state = opened(disk)

    def send(position: int, event_id: str, end: int) -> None:
        work(state, position, event_id)
        state.commit()
        state.sent({ALERTS: end})

    send(1, "a", 1)
    send(2, "b", 3)  # somebody else's record lies between
    assert not state.wants_read_back, "a little is read again at the next opening, and that is all"
    send(3, "c", 4)
    assert state.wants_read_back
    state.found(ALERTS, [("b", 2), ("c", 3)])
    state.read_back_done({"predictions": 3})
    send(4, "d", 5)
    state.commit()
    assert state.read_back_from == opened(disk).read_back_from == {ALERTS: 5}


def test_a_read_back_begins_before_what_others_wrote_while_this_one_slept():
    """The next owner has sent this effect and later ones, then the zombie's arrives behind them."""
    disk = empty()
    state = opened(disk, found=(("a", 0),))
    work(state, 5, "a", "b")
    state.commit()
    state.sent({ALERTS: 9})
    state.commit()
    assert opened(disk).read_back_from == {ALERTS: 1}


def test_what_another_configuration_decided_holds_the_read_back_up_only_until_its_input_is_passed():
    disk = empty()
    state = opened(disk, found=(("never again", 4),), until=10)
    work(state, 9)
    state.commit()
    state.sent({})
    assert state.read_back_from == {ALERTS: 4}
    work(state, 10)
    state.commit()
    assert opened(disk).read_back_from == {ALERTS: 5}


def test_a_commit_that_cannot_be_written_sends_nothing_and_leaves_the_last_one():
    disk = empty()
    state = opened(disk)
    work(state, 5, "a")
    state.commit()
    state.sent({ALERTS: 1})
    work(state, 7, "b")
    disk.full = True
    with pytest.raises(OSError, match="no space left"):
        state.commit()
    assert state.positions == {"predictions": 5}
    assert opened(disk).positions == {"predictions": 5}


def test_wherever_a_life_is_broken_off_every_effect_stands_once_and_in_order():
    """After each write and each record sent, alone and after one another."""
    for crashes in [(at,) for at in range(40)] + [(a, b) for a in range(1, 16, 3) for b in range(1, 16, 4)]:
        assert lived_through(list(crashes)) == lived_through([]), crashes


def lived_through(crashes: list[int]) -> list[str]:
    """The alerts topic after ten batches, with lives that end after so many steps."""

    class Crash(Exception):  # noqa: N818
        pass

    disk, topic = empty(), []
    while True:
        left = crashes.pop(0) if crashes else None

        def step() -> None:
            nonlocal left
            if left is not None:
                left -= 1
                if left < 0:
                    raise Crash

        try:
            state = DurableState(disk, WHOSE, Counter)
            start = state.read_back_from.get(ALERTS, 0)
            state.found(ALERTS, [(event_id, place) for place, event_id in enumerate(topic) if place >= start])
            state.read_back_done({"predictions": 10})
            while state.uncommitted or state.applied.get("predictions", 0) < 10:
                position = state.applied.get("predictions", 0) + 1
                if position <= 10:
                    work(state, position, f"{position}-{state.engine.count}", f"{position}!")
                if position % 3 == 0 or position > 9:
                    step()
                    effects = state.commit()
                    step()
                    for effect in effects:
                        topic.append(effect.id)
                        step()
                    state.sent({ALERTS: len(topic)} if effects else {})
            return topic
        except Crash:
            continue


def test_a_state_in_memory_hands_out_the_same_as_one_on_disk():
    def records(first: int) -> list[Record]:
        return [Record("p", 3, first + n, 0, None, b"%d" % n) for n in range(70)]

    memory = MemoryState(3, ChainEngine)
    disk = DurableState(empty(), WHOSE, ChainEngine)
    for state in (memory, disk):
        state.found(ALERTS, [("3-50", 0)])
        state.read_back_done({"p": 70})
    for first in range(0, 700, 70):
        handed_out = []
        for state in (memory, disk):
            state.took({"p": first + 70}, state.engine.apply(records(first)).effects)
            handed_out.append([tuple(effect) for effect in state.commit()])
            state.sent({})
        assert handed_out[0] == handed_out[1]
        assert (memory.positions, memory.already_sent) == (disk.positions, disk.already_sent)


@pytest.mark.parametrize("key", [FORMAT, b"\0belongs", POSITIONS, OUTBOX + bytes(8)])
@pytest.mark.parametrize("place", [0, 2, -1], ids=["version", "checksum", "content"])
def test_a_record_with_a_changed_bit_is_never_believed(key: bytes, place: int):
    disk = empty()
    state = opened(disk)
    work(state, 5, "a")
    state.commit()
    record = bytearray(disk.rows[key])
    record[place] ^= 4
    disk.rows[key] = bytes(record)
    with pytest.raises(CorruptStateError):
        DurableState(disk, WHOSE, Counter)


def test_a_disk_that_lost_everything_is_corrupt_and_not_new():
    with pytest.raises(CorruptStateError, match="partition 3: its format is not written anywhere"):
        DurableState(MemoryDisk(), WHOSE, Counter)


def test_an_engine_that_cannot_go_on_from_what_is_kept_makes_the_state_corrupt():
    def engine(_partition: int, _kept: object) -> Counter:
        raise StateError("made by another detector")

    with pytest.raises(CorruptStateError, match="partition 3: made by another detector"):
        DurableState(empty(), WHOSE, engine)


def version_of(disk: MemoryDisk, version: int) -> MemoryDisk:
    disk.rows[FORMAT] = seal(msgspec.msgpack.encode(version))
    return disk


def test_a_state_of_another_format_is_refused_with_what_to_do():
    with pytest.raises(UsageError, match="its format is 7, this release writes 2; run the release that"):
        DurableState(version_of(empty(), 7), WHOSE, Counter)


def test_a_state_of_an_older_format_is_migrated_step_by_step():
    def from_first(disk, _whose) -> None:
        disk.write([(b"count", b"41")], [])

    def from_second(disk, _whose) -> None:
        (count,) = disk.read([b"count"])
        disk.write([(b"count", b"%d" % (int(count) + 1))], [])

    disk = version_of(empty(), FORMAT_VERSION - 2)
    migrations = {FORMAT_VERSION - 2: from_first, FORMAT_VERSION - 1: from_second}
    assert DurableState(disk, WHOSE, Counter, migrations=migrations).engine.count == 42
    assert DurableState(disk, WHOSE, Counter).engine.count == 42, "and it is of this version from now on"


def test_a_migration_that_was_broken_off_is_done_again():
    class BrokenOff(Exception):  # noqa: N818
        pass

    def broken_off(disk, _whose) -> None:
        disk.write([(b"count", b"41")], [])
        raise BrokenOff

    disk = version_of(empty(), FORMAT_VERSION - 1)
    with pytest.raises(BrokenOff):
        DurableState(disk, WHOSE, Counter, migrations={FORMAT_VERSION - 1: broken_off})
    done = {FORMAT_VERSION - 1: lambda disk, _whose: disk.write([(b"count", b"42")], [])}
    assert DurableState(disk, WHOSE, Counter, migrations=done).engine.count == 42


AUDITED = belongs("driftline", TopicNames(), 3)


def of_before_the_audit_log(**changes: object) -> MemoryDisk:
    """As format 1 has it: the topics that it names are all that there were."""
    topics = {stream: name for stream, name in AUDITED.topics.items() if stream != "audit"}
    disk = MemoryDisk()
    new_state(disk, msgspec.structs.replace(AUDITED, **({"topics": topics} | changes)))
    return version_of(disk, 1)


def test_a_state_from_before_the_audit_log_gains_its_topic():
    disk = of_before_the_audit_log()
    DurableState(disk, AUDITED, Counter)
    disk = version_of(disk, 1)  # as if it had been broken off before the version was written
    DurableState(disk, AUDITED, Counter)
    other = belongs("driftline", TopicNames(audit="another"), 3)
    with pytest.raises(UsageError, match="partition 3: its state on disk is that of topics"):
        DurableState(disk, other, Counter)


def test_a_state_of_somebody_else_from_before_the_audit_log_is_left_as_it_is():
    disk = of_before_the_audit_log(group="other")
    before = dict(disk.rows)
    with pytest.raises(UsageError, match="group 'other' and not 'driftline'"):
        DurableState(disk, AUDITED, Counter)
    assert disk.rows == before


def test_an_engine_of_another_release_is_refused_and_not_taken_for_broken():
    def newer(_partition: int, _kept: Kept | None) -> Counter:
        raise StateVersionError("the state has version 3, this is version 2")

    with pytest.raises(UsageError, match="another release: the state has version 3"):
        DurableState(empty(), WHOSE, newer)


@pytest.mark.parametrize(
    ("whose", "said"),
    [
        (Belongs("other", 3, WHOSE.topics), "group 'driftline' and not 'other'"),
        (Belongs("driftline", 4, WHOSE.topics), "partition 3 and not 4"),
        (Belongs("driftline", 3, {"predictions": "p2"}), "topics {'predictions': 'driftline.predictions', .* and not"),
    ],
)
def test_a_state_of_somebody_else_is_refused(whose: Belongs, said: str):
    with pytest.raises(UsageError, match=said):
        DurableState(empty(), whose, Counter)


def test_how_far_a_state_is_can_be_seen_without_opening_it():
    disk = MemoryDisk()
    new_state(disk, WHOSE)
    assert positions_of(disk) == {}
    work(state := opened(disk), 5)
    state.commit()
    assert positions_of(disk) == {"predictions": 5}
