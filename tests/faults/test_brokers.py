"""Brokers that hang, die and come back: the worker waits, goes on by itself, and the topics show nothing of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from load.brokers.secure import SecureBroker
from tests.faults.trial import PER_SECOND, Subject, settle, site_on, traffic_on, wait_for_traffic, wait_for_work

pytestmark = pytest.mark.fault

Start = Callable[..., Subject]
# The heartbeat's session of these sites is 6 s: 5 s keep it, 40 s lose it, 120 s also outlast a request.
HANGS = [5, pytest.param(40, marks=pytest.mark.long_fault), pytest.param(120, marks=pytest.mark.long_fault)]


@pytest.mark.parametrize("seconds", HANGS)
def test_a_broker_that_hangs_costs_nothing(seconds: int, broker: SecureBroker, tmp_path: Path, start: Start):
    site = site_on(broker.bootstrap, tmp_path, worker__watchdog_stall="60s")
    traffic = traffic_on(site)
    worker = start(site)
    traffic.send(4_000, PER_SECOND)
    wait_for_work(worker)
    with broker.node.hanging(seconds):
        pass
    traffic.send(4_000, PER_SECOND)
    settle(site, [worker], 120.0)


@pytest.mark.long_fault
def test_a_broker_that_hangs_while_state_is_opened_costs_nothing(broker: SecureBroker, tmp_path: Path, start: Start):
    site = site_on(broker.bootstrap, tmp_path, worker__watchdog_stall="60s")
    traffic = traffic_on(site)
    worker = start(site)
    traffic.send(8_000, PER_SECOND)
    wait_for_traffic([worker])
    worker.kill()
    traffic.send(4_000, PER_SECOND)
    second = start(site)
    with broker.node.hanging(100):
        pass
    if second.process.poll() is not None:  # it may have given up, loudly, and a supervisor starts it again
        second.ended(0)
        second = start(site)
    settle(site, [second], 180.0)


@pytest.mark.parametrize("times", [1, pytest.param(5, marks=pytest.mark.long_fault)])
def test_a_broker_that_is_killed_and_comes_back_costs_nothing(
    times: int, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path, worker__watchdog_stall="60s")
    traffic = traffic_on(site)
    worker = start(site)
    for _ in range(times):
        traffic.send(4_000, PER_SECOND)
        wait_for_work(worker)
        broker.node.kill()
        broker.node.start()
        broker.node.wait_until_ready()
        traffic.send(4_000, PER_SECOND)
    settle(site, [worker], 120.0)
