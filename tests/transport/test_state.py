"""What a state in memory keeps, sends again, and lets go."""

import pytest

from streams.errors import DriftlineError
from streams.state import MemoryState, MemoryStore
from tests.transport.chain import ChainEngine, Told


def told(event_id: str) -> Told:
    return Told("alerts", event_id, b"k", b"v")


def ids(effects) -> list[str]:
    return [effect.id for effect in effects]


def test_positions_move_only_when_the_effects_of_the_batch_are_sent():
    state = MemoryState(0, ChainEngine(0))
    state.decide({"predictions": 5}, [told("a")])
    assert state.positions == {}
    state.sent()
    assert state.positions == {"predictions": 5}


def test_a_rebuild_sends_only_what_is_not_on_the_topics_yet():
    state = MemoryState(0, ChainEngine(0))
    state.found(["a", "b"])
    assert ids(state.decide({}, [told("a"), told("c")])) == ["c"]
    assert ids(state.decide({}, [told("b"), told("d")])) == ["d"]


def test_more_events_than_can_be_compared_are_refused_loudly():
    state = MemoryState(3, ChainEngine(3), already_sent_max=2)
    with pytest.raises(DriftlineError, match="partition 3: its output topics hold more than 2 events"):
        state.found(["a", "b", "c"])


def test_a_partition_that_comes_straight_back_keeps_its_state():
    store = MemoryStore(ChainEngine)
    first = store.open(0, generation=4)
    store.release(generation=4)
    assert store.open(0, generation=5) is first


def test_a_partition_that_may_have_had_another_owner_is_rebuilt():
    store = MemoryStore(ChainEngine)
    first = store.open(0, generation=4)
    store.release(generation=4)
    assert store.open(0, generation=6) is not first


def test_a_partition_that_went_to_another_worker_is_let_go():
    store = MemoryStore(ChainEngine)
    first = store.open(0, generation=4)
    store.release(generation=4)
    store.retain([1])
    store.release(generation=5)
    assert store.open(0, generation=6) is not first


def test_a_state_whose_batch_must_not_count_is_never_used_again():
    store = MemoryStore(ChainEngine)
    first = store.open(0, generation=4)
    store.abandon(0)
    store.release(generation=4)
    assert store.open(0, generation=5) is not first
