"""A line between a worker and its broker that is cut, slow, or open one way only."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from load.brokers.secure import Door, SecureBroker
from load.site.site import PARTITIONS, Keys
from load.site.workers import wait_until
from tests.faults.detour import Detour
from tests.faults.trial import Subject, alive_or_started_again, flow, owned, settle, site_on, wait_for_work

pytestmark = pytest.mark.fault

Start = Callable[..., Subject]
UNDER_LOAD = 1_000.0
LONG = pytest.mark.long_fault


@pytest.fixture
def detour(broker: SecureBroker) -> Iterator[Detour]:
    detour = Detour(broker.detour, broker.at(Door.DETOUR))
    try:
        yield detour
    finally:
        detour.close()


def by(broker: SecureBroker) -> Keys:
    return {"kafka.bootstrap": f"127.0.0.1:{broker.detour}"}


@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=LONG)])
def test_a_line_that_is_cut_for_a_while_costs_nothing(
    seconds: int, detour: Detour, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path, worker__watchdog_stall="60s")
    worker = start(site, settings=by(broker))
    with flow(site, UNDER_LOAD):
        wait_for_work(worker)
        with detour.cut():
            time.sleep(seconds)  # the fault itself
        worker = alive_or_started_again(worker, start, site, by(broker))
        wait_for_work(worker, 90.0)
    settle(site, [worker], 120.0)


@LONG
def test_a_line_that_is_cut_again_and_again_costs_nothing(
    detour: Detour, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path, worker__watchdog_stall="60s")
    worker = start(site, settings=by(broker))
    with flow(site, UNDER_LOAD):
        wait_for_work(worker)
        for _ in range(20):
            with detour.cut():
                time.sleep(0.2)
            time.sleep(0.5)
        worker = alive_or_started_again(worker, start, site, by(broker))
        wait_for_work(worker, 90.0)
    settle(site, [worker], 120.0)


@pytest.mark.parametrize("way", ["to_worker", pytest.param("to_broker", marks=LONG)])
def test_a_line_open_one_way_only_costs_nothing_but_what_was_under_way_twice(
    way: str, detour: Detour, broker: SecureBroker, tmp_path: Path, start: Start
):
    """Another worker takes over meanwhile. What the first had handed to the line may come to the topic late: the same
    event under the same id."""
    site = site_on(broker.bootstrap, tmp_path, worker__watchdog_stall="60s")
    with flow(site, UNDER_LOAD):
        deaf, other = start(site, "deaf", by(broker)), start(site, "other")
        wait_until(lambda: owned(deaf) > 0 < owned(other), "both have partitions")
        wait_for_work(deaf)
        with getattr(detour, way).held():
            wait_until(lambda: owned(other) == PARTITIONS, "the other one has taken over")
            wait_for_work(other)
        deaf = alive_or_started_again(deaf, start, site, by(broker))
        wait_until(lambda: owned(deaf) > 0 < owned(other), "they share again", 120.0)
    settle(site, [deaf, other], 120.0, repeats_allowed=way == "to_broker")


@LONG
def test_a_line_that_is_slow_costs_time_and_nothing_else(
    detour: Detour, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path, worker__watchdog_stall="60s")
    detour.to_broker.delay_s = detour.to_worker.delay_s = 0.15
    worker = start(site, settings=by(broker))
    with flow(site, 300.0):
        wait_for_work(worker)
        time.sleep(10)
    settle(site, [worker], 120.0)
