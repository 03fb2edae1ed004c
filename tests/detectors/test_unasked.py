"""Ids that are known by their hashes: none that came is ever taken for a new one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.unasked import Unasked, hashes_of

NAMES = st.lists(st.lists(st.integers(0, 400).map(str), max_size=60), max_size=12)


@settings(max_examples=100)
@given(runs=NAMES)
def test_so_many_are_new_as_a_set_would_say(runs: list[list[str]]) -> None:
    unasked, known, place = Unasked(), dict[str, int](), 0
    for names in runs:
        new = unasked.enter(hashes_of(names))
        assert not known.keys() & set(names[:new])
        assert len(set(names[:new])) == new
        assert new == len(names) or names[new] in known or names[new] in names[:new]  # no hash is another's here
        unasked.put(names[:new], place)
        known |= {name: place + number for number, name in enumerate(names[:new])}
        place += new
    assert bool(unasked.many) is bool(known)
    assert dict(unasked.taken()) == known
    assert not unasked.many


def test_what_was_taken_is_new_again() -> None:
    """It is for the dictionary to know."""
    unasked = Unasked()
    assert unasked.enter(hashes_of(["a", "b"])) == 2
    unasked.put(["a", "b"], 0)
    assert unasked.enter(hashes_of(["c", "a"])) == 1
    unasked.put(["c"], 2)
    assert list(unasked.taken()) == [("a", 0), ("b", 1), ("c", 2)]
    assert unasked.enter(hashes_of(["a"])) == 1


def test_whose_hash_is_forgotten_is_still_there_for_whoever_asks_for_it() -> None:
    unasked = Unasked()
    unasked.enter(hashes_of(["a", "b"]))
    unasked.put(["a", "b"], 0)
    unasked.forget_hashes()
    assert (unasked.many, unasked.enter(hashes_of(["a", "c"]))) == (2, 2)
    unasked.put(["c"], 2)
    assert dict(unasked.taken()) == {"a": 0, "b": 1, "c": 2}
    assert not unasked.many


def test_many_ids_are_held_in_room_for_twice_as_many() -> None:
    unasked = Unasked()
    for first in range(0, 50_000, 777):
        names = [f"id-{number}" for number in range(first, first + 777)]
        assert unasked.enter(hashes_of(names)) == 777
        unasked.put(names, first)
    assert unasked.enter(hashes_of(["id-31"])) == 0
    assert len(unasked._table) < 8 * 50_000
