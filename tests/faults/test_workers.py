"""Workers that are killed, put to sleep, joined, left and starved: the topics read as if one had worked in peace."""

import random
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from load.brokers.secure import SecureBroker
from load.site.site import PARTITIONS
from load.site.workers import wait_until
from tests.faults.trial import (
    PER_SECOND,
    SEED,
    Subject,
    alive_or_started_again,
    flow,
    owned,
    settle,
    site_on,
    traffic_on,
    wait_for_traffic_or_end,
    wait_for_work,
)

pytestmark = pytest.mark.fault

Start = Callable[..., Subject]
SESSION_S = 6.0  # of these sites
UNDER_LOAD = 1_200.0  # predictions a second that two workers keep up with beside a broker on a small machine


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.long_fault)])
def test_kill_9_again_and_again_under_load_costs_nothing(
    kills: int, broker: SecureBroker, tmp_path: Path, start: Start
):
    site, chance = site_on(broker.bootstrap, tmp_path), random.Random(SEED)
    with flow(site, UNDER_LOAD):
        for _ in range(kills):
            worker = start(site)
            if chance.random() < 0.7:
                wait_for_work(worker)
            time.sleep(chance.random())
            worker.kill()
    settle(site, [start(site)])


@pytest.mark.long_fault
def test_sigterm_again_and_again_under_load_costs_nothing(broker: SecureBroker, tmp_path: Path, start: Start):
    site, chance = site_on(broker.bootstrap, tmp_path), random.Random(SEED)
    with flow(site, UNDER_LOAD):
        for _ in range(15):
            worker = start(site)
            wait_for_work(worker)
            time.sleep(chance.random())
            assert worker.stop() == 0
    settle(site, [start(site)])


@pytest.mark.parametrize("sessions", [1.5, pytest.param(6, marks=pytest.mark.long_fault)])
def test_a_worker_that_slept_through_its_session_wakes_up_and_repeats_nothing(
    sessions: float, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path)
    with flow(site, UNDER_LOAD):
        sleeper, other = start(site, "sleeper"), start(site, "other")
        wait_until(lambda: owned(sleeper) > 0 < owned(other), "both have partitions")
        wait_for_work(sleeper)
        assigned = _assignments(sleeper)
        sleeper.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: owned(other) == PARTITIONS, "the other one has taken over")
        time.sleep(max(0.0, sessions - 1.0) * SESSION_S)
        sleeper.process.send_signal(signal.SIGCONT)
        # Its gauges still show what it had.
        wait_until(lambda: sleeper.process.poll() is not None or _assignments(sleeper) > assigned, "it is told")
    settle(site, [alive_or_started_again(sleeper, start, site), other])


def _assignments(worker: Subject) -> int:
    return worker.said.count("partitions assigned")


def test_a_worker_that_joins_under_load_and_is_killed_costs_nothing(broker: SecureBroker, tmp_path: Path, start: Start):
    site = site_on(broker.bootstrap, tmp_path)
    with flow(site, UNDER_LOAD):
        first = start(site, "first")
        wait_for_work(first)
        second = start(site, "second")
        wait_until(lambda: owned(first) == owned(second) == PARTITIONS / 2, "they share")
        wait_for_work(second)
        second.kill()
        wait_until(lambda: owned(first) == PARTITIONS, "the first has all again")
    settle(site, [first])


@pytest.mark.long_fault
def test_workers_that_join_leave_and_are_killed_under_load_cost_nothing(
    broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path)
    with flow(site, UNDER_LOAD):
        first = start(site, "first")
        wait_for_work(first)
        second = start(site, "second")
        wait_until(lambda: owned(first) == owned(second) == PARTITIONS / 2, "they share")
        third = start(site, "third")
        wait_until(lambda: owned(third) > 0, "the third has a share")
        assert first.stop() == 0
        wait_until(lambda: owned(second) + owned(third) == PARTITIONS, "its share is taken over")
        second.kill()
        wait_until(lambda: owned(third) == PARTITIONS, "the last one has all")
    settle(site, [third])


@pytest.mark.long_fault
def test_more_workers_than_partitions_and_a_rolling_restart_cost_nothing(
    broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path)
    with flow(site, UNDER_LOAD):
        workers = {f"w{number}": start(site, f"w{number}") for number in range(PARTITIONS + 1)}
        wait_until(lambda: sum(map(owned, workers.values())) == PARTITIONS, "all are owned", 120.0)
        for name in list(workers):
            assert workers[name].stop() == 0
            workers[name] = start(site, name)
            wait_until(lambda: sum(map(owned, workers.values())) == PARTITIONS, "all are owned again", 120.0)
    settle(site, list(workers.values()), 120.0)


def test_a_worker_that_may_open_64_files_says_so_or_works(broker: SecureBroker, tmp_path: Path, start: Start):
    site = site_on(broker.bootstrap, tmp_path)
    traffic_on(site).send(8_000, PER_SECOND)
    worker = start(site)
    worker.limit(resource.RLIMIT_NOFILE, 64)
    wait_for_traffic_or_end(worker, 90.0)
    if worker.process.poll() is not None:
        assert "open files" in worker.ended(0)
        worker = start(site)
    settle(site, [worker])


@pytest.mark.long_fault
def test_a_worker_that_is_out_of_memory_ends_and_the_next_one_goes_on(
    broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path)
    traffic = traffic_on(site)
    worker = start(site)
    traffic.send(4_000, PER_SECOND)
    wait_for_work(worker)
    in_use = int(Path(f"/proc/{worker.process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    worker.limit(resource.RLIMIT_AS, in_use)
    traffic.send(20_000, PER_SECOND)
    wait_for_traffic_or_end(worker, 120.0)
    if worker.process.poll() is not None:
        assert worker.process.returncode != 0
        worker = start(site)
    settle(site, [worker])
