"""Who gets which partition numbers: all input topics of a number go to one worker, and stay there where they can.

State moves with a partition number, so a rebalance should move as few as possible. Each member tells the group what it
had; the leader keeps that, as far as the shares stay even.
"""

from collections.abc import Iterable, Mapping

import msgspec
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

VERSION = 0  # of Kafka's consumer protocol
_numbers = msgspec.json.Decoder(list[int])


def shared_out(numbers: Iterable[int], owned: Mapping[str, Iterable[int]]) -> dict[str, list[int]]:
    """Partition numbers by member: even shares, and what a member had stays with it as far as that allows.

    >>> shared_out(range(4), {"a": [0, 1, 2, 3], "b": []})
    {'a': [0, 1], 'b': [2, 3]}
    """
    left = sorted(numbers)
    # Who had most may keep most: the shares that are one larger go to them.
    members = sorted(owned, key=lambda member: (-len(list(owned[member])), member))
    share, larger = divmod(len(left), len(members))
    room = {member: share + (rank < larger) for rank, member in enumerate(members)}
    shares: dict[str, list[int]] = {}
    for member in members:
        had = set(owned[member])
        shares[member] = [number for number in left if number in had][: room[member]]
        left = [number for number in left if number not in shares[member]]
    for member in members:
        missing = room[member] - len(shares[member])
        shares[member] = sorted(shares[member] + left[:missing])
        left = left[missing:]
    return shares


class CoPartitionedAssignor(AbstractPartitionAssignor):  # type: ignore[misc] # aiokafka is not typed for us
    """One object for a consumer: it remembers what this member has, to say so when the group meets again."""

    name = "driftline-co-partitioned"

    def __init__(self) -> None:
        self._owned: list[int] = []

    def assign(  # aiokafka calls it on the object it was given; its own assignors are classes
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        topics = sorted({topic for member in members.values() for topic in member.subscription})
        of_topic = {topic: cluster.partitions_for_topic(topic) or set() for topic in topics}
        numbers = set().union(*of_topic.values())
        shares = shared_out(numbers, {name: _told(member.user_data) for name, member in members.items()})
        return {
            name: ConsumerProtocolMemberAssignment(
                VERSION, [(topic, [n for n in share if n in of_topic[topic]]) for topic in topics], b""
            )
            for name, share in shares.items()
        }

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        return ConsumerProtocolMemberMetadata(VERSION, sorted(topics), msgspec.json.encode(self._owned))

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        self._owned = sorted({number for _, numbers in assignment.assignment for number in numbers})


def _told(user_data: bytes | None) -> list[int]:
    """What another member says it had. It is a hint: anything unreadable counts as nothing."""
    try:
        return _numbers.decode(user_data or b"[]")
    except msgspec.DecodeError:
        return []
