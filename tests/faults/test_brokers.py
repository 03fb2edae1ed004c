"""Brokers that hang, die and come back: the worker waits, goes on by itself, and the topics show nothing of it."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from load.brokers.secure import SecureBroker
from streams.worker import EXIT_UNEXPECTED
from tests.faults.trial import (
    PER_SECOND,
    Subject,
    alive_or_started_again,
    settle,
    site_on,
    traffic_on,
    wait_for_traffic,
    wait_for_work,
)

pytestmark = pytest.mark.fault

Start = Callable[..., Subject]
LONG = pytest.mark.long_fault


def test_a_broker_that_hangs_for_less_than_a_session_is_waited_for(broker: SecureBroker, tmp_path: Path, start: Start):
    site = site_on(broker.bootstrap, tmp_path, kafka__session_timeout="20s")
    traffic = traffic_on(site)
    worker = start(site)
    traffic.send(4_000, PER_SECOND)
    wait_for_work(worker)
    with broker.node.hanging(5):
        pass
    traffic.send(4_000, PER_SECOND)
    settle(site, [worker], 120.0)


@LONG
@pytest.mark.parametrize("seconds", [40, 120])  # longer than a session; longer than a request may take
def test_a_broker_that_hangs_for_long_costs_nothing_but_a_start(
    seconds: int, broker: SecureBroker, tmp_path: Path, start: Start
):
    """Who has nothing under way waits; who does ends, because another worker could have sent it meanwhile."""
    site = site_on(broker.bootstrap, tmp_path, worker__watchdog_stall="60s")
    traffic = traffic_on(site)
    worker = start(site)
    traffic.send(4_000, PER_SECOND)
    wait_for_work(worker)
    with broker.node.hanging(seconds):
        pass
    traffic.send(4_000, PER_SECOND)
    settle(site, [alive_or_started_again(worker, start, site)], 120.0)


@LONG
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
    settle(site, [alive_or_started_again(second, start, site)], 180.0)


@pytest.mark.parametrize("times", [1, pytest.param(5, marks=LONG)])
def test_a_broker_that_is_killed_and_comes_back_costs_nothing(
    times: int, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path, kafka__session_timeout="30s", worker__watchdog_stall="60s")
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


@LONG
def test_a_stop_while_the_broker_hangs_has_an_end_and_costs_nothing(broker: SecureBroker, tmp_path: Path, start: Start):
    site = site_on(broker.bootstrap, tmp_path, kafka__session_timeout="45s")
    traffic = traffic_on(site)
    worker = start(site)
    traffic.send(4_000, PER_SECOND)
    wait_for_work(worker)
    with broker.node.hanging(0):
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(30.0) in (0, EXIT_UNEXPECTED), worker.said
    traffic.send(4_000, PER_SECOND)
    settle(site, [start(site)], 120.0)
