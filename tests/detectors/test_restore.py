"""What is kept is written at the worst of moments, and read back from bytes that are not always whole."""

from collections.abc import Sequence
from zlib import crc32

import msgspec
import pytest

from detectors import line, shelf
from detectors.banks.contract import StateError, StateVersionError
from detectors.config import ModelConfig, MonitorConfig
from detectors.engine import Engine
from detectors.sealing import VERSION, open_sealed, seal
from schemas.codec import decode_output
from schemas.events import Alert, AlertEvent
from schemas.topics import Stream
from tests.detectors.events import (
    HOUR,
    SECOND,
    TOPICS,
    Event,
    control,
    engine,
    labelled,
    normal,
    of_feature,
    outcome,
    prediction,
    records,
    run,
    tick,
)
from tests.detectors.kept import Memory
from tests.detectors.traffic import CONFIG, traffic


def everywhere(events: list[Event], config: ModelConfig) -> None:
    """The same bytes, though each single record meets an engine restored from bytes."""
    assert run(events, config, (1,), restoring=True) == run(events, config, (len(events),))


def test_just_after_a_feature_has_learned_its_categories() -> None:
    everywhere(of_feature("plan", "ab" * 40), ModelConfig(baseline_rows=20))


def test_just_after_labels_that_weigh_nothing() -> None:
    silent = [event | ({"weight": 0.0} if event["type"] == "outcome" else {}) for event in labelled([False] * 30)]
    everywhere([*silent, *labelled([True] * 60, first=100)], ModelConfig(baseline_rows=10, task="multiclass"))


def test_while_the_task_is_being_found_out() -> None:
    everywhere(labelled([False, True] * 40, score=0.25), ModelConfig(baseline_rows=10))


def test_in_the_middle_of_a_drift_and_its_confirmation() -> None:
    events = of_feature("age", [*normal(1, 150), *normal(2, 200, 2.0)])
    assert run(events, ModelConfig(baseline_rows=100)).opened
    everywhere(events, ModelConfig(baseline_rows=100))


@pytest.mark.parametrize("deployed", [None, "2"])
def test_while_some_name_their_version_and_some_name_it_as_nothing(deployed: str | None) -> None:
    versions = (None, "", "2")
    events = [prediction(number, {"age": 1.0}, version=versions[number % 3]) for number in range(90)]
    named = [control("deploy", "d", version=deployed)] if deployed else []
    everywhere([*named, *events], ModelConfig(baseline_rows=20, metrics_window="10s"))


def kept_of(events: Sequence[Event | bytes | None], config: ModelConfig | MonitorConfig) -> tuple[Engine, Memory]:
    kept = Memory()
    working = engine(config, kept)
    working.apply(records(events))
    kept.take(working.changes())
    return working, kept


def test_an_engine_over_what_another_kept_keeps_the_same() -> None:
    working, kept = kept_of(traffic(5, 800), CONFIG)
    before = dict(kept.records)
    restored = engine(CONFIG, kept)
    assert restored.stats == working.stats
    restored._unsaved = dict(restored._monitors)
    kept.take(restored.changes())
    assert kept.records == before


def test_what_has_not_changed_is_not_written_again() -> None:
    working, _ = kept_of([prediction(1, {"age": 1.0}), prediction(2, model="other")], ModelConfig())
    working.apply(records([prediction(3, {"age": 1.0})]))
    written = [key for key, _ in working.changes().puts]
    assert [key for key in written if key[:1] == b"M"] == [b"Mchurn"]
    assert len([key for key in written if key[:1] == b"J"]) == 1


def test_a_tick_writes_no_model_that_nothing_happened_to() -> None:
    working, _ = kept_of([prediction(1, at=0), tick(HOUR)], ModelConfig(metrics_window="1m"))
    working.apply(records([tick(2 * HOUR)]))
    assert [key for key, _ in working.changes().puts] == [b"E"]


def test_what_is_on_the_disk_need_not_be_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "HELD_MAX", 50)
    events = traffic(9, 1_500)
    whole = run(events, CONFIG, (len(events),))
    kept = Memory()
    working = engine(CONFIG, kept)
    effects = []
    lying = records(events)
    for start in range(0, len(lying), 40):
        effects += working.apply(lying[start : start + 40]).effects
        kept.take(working.changes())
        assert sum(shelf.held for shelf in working._room._shelves) <= 50 + 2 * 40
    assert effects == whole.effects


class Watched(Memory):
    """Looks at what the lines hold in memory whenever it is read, also in the middle of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.working: Engine | None = None
        self.most = 0  # parts in memory

    def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        self.look()
        return super().read(keys)

    def look(self) -> None:
        if self.working is not None:
            self.most = max(self.most, parts_held(self.working))


def parts_held(working: Engine) -> int:
    joins = [join for monitor in working._monitors.values() for join in monitor.joins]
    lines = [line for join in joins for line in (join._line, join._early_line)]
    return sum(len({*line._chunks, *line._read_back}) for line in lines)


def in_silence(events: list[Event], later: list[Event], config: MonitorConfig) -> tuple[Engine, Watched]:
    """The later ones come each in a batch of its own, to an engine that has written what it knows."""
    kept = Watched()
    working = engine(config, kept)
    working.apply(records(events))
    kept.take(working.changes())
    kept.working = working
    for event in later:
        working.apply(records([event]))
        kept.look()
        kept.take(working.changes())
    return working, kept


@pytest.mark.parametrize("ticks", [range(500, 1_500, 10), range(1_500, 1_501)], ids=["in time", "after a long sleep"])
def test_a_model_that_has_fallen_silent_is_not_read_into_memory(monkeypatch: pytest.MonkeyPatch, ticks: range) -> None:
    monkeypatch.setattr(line, "CHUNK", 8)
    both = [(prediction(number), outcome(f"early {number}", at=number * SECOND)) for number in range(400)]
    config = MonitorConfig(defaults=ModelConfig(label_horizon="500s"))
    working, kept = in_silence([event for pair in both for event in pair], [tick(at * SECOND) for at in ticks], config)
    assert (working.stats.pending, working.stats.early, working.stats.orphans) == (0, 0, 400)
    assert kept.most <= 2 * 3  # of each line the newest, and those where the oldest stand
    assert not [key for key in kept.records if key[:1] == b"J"]


def test_a_silent_model_that_makes_room_for_another_is_not_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "CHUNK", 8)
    others = [prediction(number, model="other") for number in range(400, 800)]
    config = MonitorConfig(pending_max=400)
    working, kept = in_silence([prediction(number) for number in range(400)], list(others), config)
    assert (working.stats.pending, working.stats.evicted) == (400, 400)
    assert kept.most <= 2 * 3


@pytest.mark.parametrize("key", [b"A", b"E", b"Mchurn", b"S" + bytes(8)])
@pytest.mark.parametrize("record", [b"", b"\x00", b"nonsense", b"\x02" + bytes(4), seal(b"\x93\x01\x02\x03")])
def test_bytes_that_are_no_state_are_refused(key: bytes, record: bytes) -> None:
    _, kept = kept_of([prediction(1, {"age": 1.0}), control("mute", 2)], ModelConfig())
    kept.records[key] = record
    with pytest.raises(StateError):
        engine(ModelConfig(), kept)


def test_a_state_that_lacks_the_record_of_a_monitor_is_refused() -> None:
    _, kept = kept_of([prediction(1, {"age": 1.0})], ModelConfig())
    del kept.records[b"S" + bytes(8)]
    with pytest.raises(StateError, match="monitor 0 of this state is missing"):
        engine(ModelConfig(), kept)


def test_one_flipped_bit_is_noticed() -> None:
    _, kept = kept_of([prediction(1, {"age": 1.0})], ModelConfig())
    for key, record in kept.records.items():
        damaged = record[:-1] + bytes([record[-1] ^ 1])
        with pytest.raises(StateError, match="checksum"):
            open_sealed(damaged)
        assert open_sealed(record), key


def test_a_state_of_another_version_is_refused_and_says_so() -> None:
    _, kept = kept_of([prediction(1, {"age": 1.0})], ModelConfig())
    kept.records[b"E"] = seal(msgspec.msgpack.encode([99, 0]))
    with pytest.raises(StateVersionError, match="version 99"):
        engine(ModelConfig(), kept)


def test_a_record_of_another_version_is_told_from_a_damaged_one() -> None:
    def sealed(version: bytes, content: bytes) -> bytes:
        return version + crc32(version + content).to_bytes(4, "big") + content

    assert open_sealed(sealed(VERSION, b"content")) == b"content"
    with pytest.raises(StateVersionError, match="version 02"):
        open_sealed(sealed(b"\x02", b"content"))
    with pytest.raises(StateError, match="checksum"):
        open_sealed(b"\x02" + seal(b"content")[1:])


def test_under_another_configuration_the_join_goes_on_and_the_detectors_begin_afresh() -> None:
    drifting = of_feature("age", [*normal(1, 150), *normal(2, 200, 2.0)])
    before = ModelConfig(baseline_rows=100, detectors=("adwin",))
    working, kept = kept_of([*drifting, prediction("waits", at=400 * SECOND)], before)
    assert working.stats.open_incidents == 1
    anew = engine(ModelConfig(baseline_rows=100), kept)
    later = [outcome("waits", at=401 * SECOND), prediction("b", at=402 * SECOND)]
    applied = anew.apply(records(later))
    (closed,) = [decode_output(effect.value) for effect in applied.effects if effect.stream == Stream.ALERTS]
    assert (closed.event, closed.evidence.detail["why"]) == (AlertEvent.RESOLVED, "reconfigured")  # type: ignore[union-attr]
    assert applied.counts[TOPICS.outcomes].applied == 1
    assert anew.stats.pending == working.stats.pending + 1
    kept.take(anew.changes())
    assert engine(ModelConfig(baseline_rows=100), kept).apply(records([prediction("c", at=403 * SECOND)])).effects == []


def test_alarms_of_a_configuration_before_are_resolved_although_the_model_only_made_room_for_another() -> None:
    drifting = of_feature("age", [*normal(1, 150), *normal(2, 200, 2.0)])
    before = ModelConfig(baseline_rows=100, detectors=("adwin",))
    _, kept = kept_of(drifting, before)
    config = MonitorConfig(defaults=ModelConfig(baseline_rows=100), pending_max=350)
    anew = engine(config, kept)
    assert anew.apply(records([prediction(400, model="other")])).effects == []
    assert anew.stats.evicted == 1
    kept.take(anew.changes())
    restored = engine(config, kept)
    assert restored.stats == anew.stats
    closed = [decode_output(effect.value) for effect in restored.apply(records([tick(401 * SECOND)])).effects]
    assert [alert.evidence.detail["why"] for alert in closed if isinstance(alert, Alert)] == ["reconfigured"]
    kept.take(restored.changes())
    assert engine(config, kept).apply(records([tick(402 * SECOND)])).effects == []


@pytest.mark.parametrize("window", ["1m", "7m"])
def test_under_another_configuration_the_closed_windows_of_the_one_before_are_gone(window: str) -> None:
    def windows() -> int:
        return len([key for key in kept.records if key[:1] == b"W"])

    same = ModelConfig(metrics_window="1m")
    others = [event | {"model": "other"} for event in labelled([False] * 300)]
    _, kept = kept_of([*labelled([False] * 600), *others], same)
    assert windows() == 9 + 4
    changed = ModelConfig(metrics_window=window, features_max=9)
    anew = engine(MonitorConfig(defaults=same, models={"churn": changed}), kept)
    kept.take(anew.changes())
    assert windows() == 4  # those of the model that goes on


def test_labels_held_back_and_corrected_before_the_task_was_known() -> None:
    events = [event for number in range(60) for event in (prediction(number), outcome(number, float(number % 2)))]
    fixed = [outcome(number, 1.0, revision=1) for number in (3, 4, 50, 4)]
    again = [outcome(number, 0.0, revision=2) for number in (3, 4, 50)]
    stream = [*events[:40], *fixed[:2], *events[40:], *fixed[2:], tick(HOUR), *again, tick(2 * HOUR), tick(3 * HOUR)]
    config = ModelConfig(baseline_rows=10, metrics_window="1m")
    corrected = [window.revision for window in run(stream, config).metrics]
    assert max(filter(None, corrected)) >= 1
    everywhere(stream, config)


def test_memory_holds_nothing_back_where_nothing_is_kept() -> None:
    working = engine(ModelConfig(label_horizon="10s"))
    working.apply(records([prediction(number, at=number * SECOND) for number in range(500)]))
    room, (join, _) = working._room, working._monitors["churn"].joins
    assert join.shelf.held <= 2 * 10 + 2
    assert not room._touched
    assert not join.shelf._changed
