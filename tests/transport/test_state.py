"""What a state in memory keeps, sends again, and lets go."""

import pytest

from streams.errors import DriftlineError
from streams.state import MemoryState, MemoryStore
from tests.transport.chain import ChainEngine, Told


def told(event_id: str) -> Told:
    return Told("alerts", event_id, b"k", b"v")


def ids(effects) -> list[str]:
    return [effect.id for effect in effects]


def test_positions_move_with_a_commit_which_hands_out_everything_since_the_one_before():
    state = MemoryState(0, ChainEngine)
    state.took({"predictions": 5}, [told("a")])
    state.took({"outcomes": 2}, [told("b")])
    assert (state.positions, state.applied) == ({}, {"predictions": 5, "outcomes": 2})
    assert ids(state.commit()) == ["a", "b"]
    assert state.positions == {"predictions": 5, "outcomes": 2}
    assert not state.uncommitted


def test_a_rebuild_sends_only_what_is_not_on_the_topics_yet():
    state = MemoryState(0, ChainEngine)
    state.found("driftline.alerts", [("a", 0), ("b", 1)])
    state.took({}, [told("a"), told("c")])
    assert ids(state.commit()) == ["c"]
    state.took({}, [told("b"), told("d")])
    assert ids(state.commit()) == ["d"]
    assert state.already_sent == 2


def test_more_events_than_can_be_compared_are_refused_loudly():
    state = MemoryState(3, ChainEngine, already_sent_max=2)
    with pytest.raises(DriftlineError, match="partition 3: its output topics hold more than 2 events"):
        state.found("driftline.alerts", [("a", 0), ("b", 1), ("c", 2)])


def test_what_was_found_and_can_not_be_decided_any_more_is_forgotten():
    state = MemoryState(0, ChainEngine, already_sent_max=2)
    state.found("driftline.alerts", [("of another configuration", 0)])
    state.read_back_done({"predictions": 10})
    state.took({"predictions": 9}, [])
    state.commit()
    with pytest.raises(DriftlineError):
        state.found("driftline.alerts", [("a", 1), ("b", 2)])
    state.took({"predictions": 10}, [])
    state.commit()
    state.found("driftline.alerts", [("c", 3)])


async def test_a_partition_that_comes_straight_back_keeps_its_state():
    store = MemoryStore(ChainEngine)
    first = (await store.open([0], generation=4))[0]
    store.release(generation=4)
    assert (await store.open([0], generation=5))[0] is first


async def test_a_generation_that_begins_a_second_time_keeps_its_states():
    store = MemoryStore(ChainEngine)
    first = (await store.open([0], generation=4))[0]
    assert (await store.open([0], generation=4))[0] is first


async def test_a_partition_that_may_have_had_another_owner_is_rebuilt():
    store = MemoryStore(ChainEngine)
    first = (await store.open([0], generation=4))[0]
    store.release(generation=4)
    assert (await store.open([0], generation=6))[0] is not first


async def test_a_partition_that_went_to_another_worker_is_let_go():
    store = MemoryStore(ChainEngine)
    first = (await store.open([0, 1], generation=4))[0]
    store.release(generation=4)
    await store.open([1], generation=5)
    store.release(generation=5)
    assert (await store.open([0, 1], generation=6))[0] is not first


async def test_a_state_whose_work_must_not_count_is_never_used_again():
    store = MemoryStore(ChainEngine)
    first = (await store.open([0], generation=4))[0]
    store.abandon(0)
    store.release(generation=4)
    assert (await store.open([0], generation=5))[0] is not first
