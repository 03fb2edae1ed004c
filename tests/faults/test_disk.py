"""Disks that are full: the worker ends before its state could break and says where to make room, or does without."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from load.brokers.secure import SecureBroker
from load.site.site import Site
from load.site.workers import samples, wait_until
from tests.faults.small_disk import SmallDisk, small_disk
from tests.faults.trial import (
    PER_SECOND,
    Subject,
    flow,
    settle,
    site_on,
    traffic_on,
    wait_for_traffic,
    wait_for_work,
)

pytestmark = pytest.mark.fault

Start = Callable[..., Subject]
ENDS_WITHIN_S = 60.0
MEBIBYTES = 96  # four partitions' logs and tables, and as much again for what is made aside
LONG = pytest.mark.long_fault


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "small", MEBIBYTES) as disk:
        yield disk


def site_with_state_on(disk: SmallDisk, broker: SecureBroker, folder: Path) -> Site:
    """The least that is to stay free is so little that writes fail before it is noticed."""
    return site_on(broker.bootstrap, folder, state__dir=str(disk.folder / "state"), state__disk_free_min="1MiB")


def require_said(worker: Subject, place: Path) -> None:
    said = worker.ended(ENDS_WITHIN_S)
    assert str(place) in said, said
    assert "make room" in said or "disk is full" in said, said


def test_a_full_disk_ends_the_worker_and_it_goes_on_when_there_is_room(
    disk: SmallDisk, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_with_state_on(disk, broker, tmp_path)
    worker = start(site, within=disk.within)
    with flow(site, 1_000.0):
        wait_for_work(worker)
        disk.fill()
        require_said(worker, disk.folder)
    require_said(start(site, within=disk.within), disk.folder)
    disk.make_room()
    settle(site, [start(site, within=disk.within)])


@LONG
def test_a_disk_that_is_full_while_state_is_fetched_costs_nothing(
    disk: SmallDisk, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_with_state_on(disk, broker, tmp_path)
    first = start(site, "elsewhere", {"state.dir": str(tmp_path / "state-elsewhere")})
    traffic = traffic_on(site)
    traffic.send(20_000, PER_SECOND)
    wait_for_traffic([first])
    assert first.stop() == 0
    with (disk.inside / "ballast").open("wb") as ballast:
        ballast.write(bytes(disk.free_bytes - 2 * 1024 * 1024))  # past the look before the start, not enough for all
    require_said(start(site, within=disk.within), disk.folder)
    disk.make_room()
    traffic.send(4_000, PER_SECOND)
    settle(site, [start(site, within=disk.within)])


def test_a_disk_for_checkpoints_that_is_full_costs_checkpoints_and_nothing_else(
    disk: SmallDisk, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path, state__checkpoints=str(disk.folder / "checkpoints"))
    worker = start(site, within=disk.within)
    with flow(site, 1_000.0):
        wait_for_work(worker)
        disk.fill()
        wait_until(lambda: "checkpoint not saved" in worker.said, "it says that checkpoints fail")
        wait_for_work(worker)
        disk.make_room()
        before = checkpoints(worker)
        wait_until(lambda: checkpoints(worker) > before, "checkpoints are saved again")
    (reason, *_) = [line["reason"] for line in lines(worker) if line["event"] == "checkpoint not saved"]
    assert str(disk.folder) in reason
    settle(site, [worker])


def checkpoints(worker: Subject) -> float:
    return sum(value for _, value in samples(worker.page(), "driftline_checkpoint_seconds_count"))


def lines(worker: Subject) -> list[dict[str, str]]:
    return [json.loads(line) for line in worker.said.splitlines() if line.startswith("{")]
