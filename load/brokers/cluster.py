"""Three brokers that hold everything three times and take a write when two have it, as in production."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka.admin import AdminClient

from load.brokers.common import POLL_EVERY_S, READY_WITHIN_S, BrokerUnavailableError, free_port
from load.brokers.node import Node, Way, find_way, nodes

NUMBERS = (1, 2, 3)
ANSWERS_WITHIN_S = 20.0
QUORUM = "data/__cluster_metadata-0/quorum-state"


class Cluster:
    def __init__(self, members: Mapping[int, Node]) -> None:
        self.nodes = members
        self.bootstrap = ",".join(node.bootstrap for node in members.values())

    def controller(self) -> Node:
        """The one that leads the quorum, as soon as there is one."""
        until = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < until:
            states = [json.loads(text) for node in self.nodes.values() if (text := node.read(QUORUM))]
            leader = max(states, key=lambda state: state["leaderEpoch"], default={"leaderId": -1})["leaderId"]
            if leader in self.nodes:
                return self.nodes[leader]
            time.sleep(POLL_EVERY_S)
        raise BrokerUnavailableError(f"the cluster has no controller within {READY_WITHIN_S:.0f} s")

    def coordinator(self, group: str) -> Node:
        """The one that the members of a group report to."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})  # held: what it was asked goes with it
        described = admin.describe_consumer_groups([group])[group].result(ANSWERS_WITHIN_S)
        return self.nodes[described.coordinator.id]

    def leader(self, topic: str, partition: int) -> Node:
        metadata = AdminClient({"bootstrap.servers": self.bootstrap}).list_topics(topic, timeout=ANSWERS_WITHIN_S)
        return self.nodes[metadata.topics[topic].partitions[partition].leader]


@contextmanager
def cluster_of_three(way: Way | None = None) -> Iterator[Cluster]:
    """For as long as the block runs; each of the three can be stopped, killed, held still and started again."""
    ports = {number: (free_port(), free_port()) for number in NUMBERS}
    voters = ",".join(f"{number}@127.0.0.1:{controller}" for number, (_, controller) in ports.items())
    properties = {
        number: {
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.quorum.voters": voters,
            "default.replication.factor": "3",
            "min.insync.replicas": "2",
            "offsets.topic.replication.factor": "3",
            "transaction.state.log.replication.factor": "3",
            "transaction.state.log.min.isr": "2",
            "replica.lag.time.max.ms": "6000",  # a follower that hangs is not waited for longer
        }
        for number, (port, controller) in ports.items()
    }
    with nodes(properties, {}, way or find_way()) as members:
        yield Cluster(members)
