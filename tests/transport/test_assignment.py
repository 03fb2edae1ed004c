"""Who gets which partition numbers."""

from hypothesis import given
from hypothesis import strategies as st

from streams.assignment import CoPartitionedAssignor, shared_out

numbers = st.integers(0, 40)
groups = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.lists(numbers, max_size=20), min_size=1)


@given(count=numbers, owned=groups)
def test_every_number_has_one_owner_and_shares_are_even(count, owned):
    shares = shared_out(range(count), owned)
    assert sorted(number for share in shares.values() for number in share) == list(range(count))
    sizes = [len(share) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1


@given(count=numbers, members=st.integers(1, 8))
def test_a_group_that_meets_again_unchanged_moves_nothing(count, members):
    shares = shared_out(range(count), {f"m{n}": [] for n in range(members)})
    assert shared_out(range(count), shares) == shares


def test_a_member_that_joins_takes_only_its_share():
    assert shared_out(range(4), {"new": [], "old": [0, 1, 2, 3]}) == {"new": [2, 3], "old": [0, 1]}


def test_what_a_member_that_left_had_is_shared_out_and_the_rest_stays():
    assert shared_out(range(6), {"b": [2, 3], "c": [4, 5]}) == {"b": [0, 2, 3], "c": [1, 4, 5]}


class Cluster:
    """The part of aiokafka's metadata that an assignor reads."""

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return {0, 1, 2}


def test_all_topics_of_a_number_go_to_one_member_and_it_remembers_them():
    one, two = CoPartitionedAssignor(), CoPartitionedAssignor()
    topics = ["predictions", "outcomes"]
    members = {"one": one.metadata(topics), "two": two.metadata(topics)}
    assigned = one.assign(Cluster(), members)
    assert dict(assigned["one"].assignment) == {"outcomes": [0, 1], "predictions": [0, 1]}
    assert dict(assigned["two"].assignment) == {"outcomes": [2], "predictions": [2]}
    two.on_assignment(assigned["two"])
    assert two.metadata(topics).user_data == b"[2]"


def test_a_member_that_says_nonsense_counts_as_having_nothing():
    assignor = CoPartitionedAssignor()
    odd = assignor.metadata(["predictions"])
    odd.user_data = b"\xff"
    assert dict(assignor.assign(Cluster(), {"odd": odd})["odd"].assignment) == {"predictions": [0, 1, 2]}
