"""Three brokers, of which one dies, hangs or is stopped: that of a partition, of the group, or of the whole cluster."""

from collections.abc import Callable
from pathlib import Path

import pytest

from load.brokers.cluster import Cluster
from load.brokers.node import Node
from load.site.site import Keys, Site
from schemas.topics import Stream
from tests.faults.trial import (
    PER_SECOND,
    Subject,
    alive_or_started_again,
    flow,
    settle,
    site_on,
    traffic_on,
    wait_for_work,
)

pytestmark = pytest.mark.fault

Start = Callable[..., Subject]
Role = Callable[[Cluster, Site], Node]


def leader_of_alerts(cluster: Cluster, site: Site) -> Node:
    return cluster.leader(site.topic(Stream.ALERTS), 0)


def leader_of_input(cluster: Cluster, site: Site) -> Node:
    return cluster.leader(site.topic(Stream.PREDICTIONS), 0)


def coordinator(cluster: Cluster, site: Site) -> Node:
    return cluster.coordinator(site.prefix)


def controller(cluster: Cluster, site: Site) -> Node:
    return cluster.controller()


def dies(node: Node) -> None:
    node.kill()


def is_stopped(node: Node) -> None:
    node.stop()


LONG = pytest.mark.long_fault
# What is under way is waited for as long as it takes to find another leader.
SETTINGS: Keys = {"kafka__replication": 3, "kafka__session_timeout": "20s", "worker__watchdog_stall": "60s"}
CASES = [
    (controller, dies),
    pytest.param(leader_of_alerts, dies, marks=LONG),
    pytest.param(leader_of_input, dies, marks=LONG),
    pytest.param(coordinator, dies, marks=LONG),
    pytest.param(controller, is_stopped, marks=LONG),
    pytest.param(leader_of_alerts, is_stopped, marks=LONG),
    pytest.param(coordinator, is_stopped, marks=LONG),
]


@pytest.mark.parametrize(("role", "falls"), CASES)
def test_one_of_three_brokers_is_away_under_load_and_comes_back(
    role: Role, falls: Callable[[Node], None], cluster: Cluster, tmp_path: Path, start: Start
):
    site = site_on(cluster.bootstrap, tmp_path, **SETTINGS)
    worker = start(site)
    with flow(site, 1_200.0):
        wait_for_work(worker)
        node = role(cluster, site)
        falls(node)
        wait_for_work(worker, 90.0)  # with two of three
        node.start()
        node.wait_until_ready()
    settle(site, [worker], 120.0)


@pytest.mark.parametrize("seconds", [pytest.param(15, marks=LONG), pytest.param(60, marks=LONG)])
@pytest.mark.parametrize("role", [leader_of_alerts, controller])
def test_one_of_three_brokers_hangs_under_load(
    role: Role, seconds: int, cluster: Cluster, tmp_path: Path, start: Start
):
    site = site_on(cluster.bootstrap, tmp_path, **SETTINGS)
    worker = start(site)
    with flow(site, 1_200.0):
        wait_for_work(worker)
        with role(cluster, site).hanging(seconds):
            pass
        worker = alive_or_started_again(worker, start, site)
    settle(site, [worker], 180.0)


@LONG
def test_with_one_of_three_brokers_left_nothing_is_written_and_nothing_lost(
    cluster: Cluster, tmp_path: Path, start: Start
):
    site = site_on(cluster.bootstrap, tmp_path, **SETTINGS)
    traffic = traffic_on(site)
    worker = start(site)
    traffic.send(4_000, PER_SECOND)
    wait_for_work(worker)
    keeps = leader_of_alerts(cluster, site)
    away = [node for node in cluster.nodes.values() if node is not keeps]
    for node in away:
        node.kill()
    for node in away:
        node.start()
    for node in away:
        node.wait_until_ready()
    worker = alive_or_started_again(worker, start, site)
    traffic.send(4_000, PER_SECOND)
    settle(site, [worker], 180.0)
