"""State that is damaged, lost, old, of somebody else or in use: put aside and made good, or refused in one line."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from load.brokers.secure import SecureBroker
from load.site.site import Site
from streams.durable import FORMAT
from tests.faults.rocks import edit_state
from tests.faults.trial import PER_SECOND, Subject, settle, site_on, traffic_on, wait_for_traffic

pytestmark = pytest.mark.fault

Start = Callable[..., Subject]
ENDS_WITHIN_S = 60.0
LONG = pytest.mark.long_fault
NAME = "worker"


def partitions(site: Site, name: str = NAME) -> Iterator[Path]:
    """The state of each partition number that holds something."""
    for folder in sorted((site.state_dir(name) / "partitions").iterdir()):
        if folder.name.isdecimal():
            yield folder


def places(checkpoints: bool) -> dict[str, str]:
    return {} if checkpoints else {"state__checkpoints": ""}


def delete_current(state: Path) -> None:
    (state / "CURRENT").unlink()


def truncate_manifest(state: Path) -> None:
    for manifest in state.glob("MANIFEST-*"):
        manifest.write_bytes(manifest.read_bytes()[: manifest.stat().st_size // 2])


def flip_tables(state: Path) -> None:
    """One bit in the middle of every table file; a state that has none yet has all it knows in the log."""
    tables = list(state.glob("*.sst")) or list(state.glob("*.log"))
    for table in tables:
        flip(table)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    if content:
        content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def remove_a_table(state: Path) -> None:
    for table in sorted(state.glob("*.sst"))[:1]:
        table.unlink()


def truncate_log(state: Path) -> None:
    """What was written last is gone: an older state, but a whole one."""
    for log in state.glob("*.log"):
        log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])


def remove_log(state: Path) -> None:
    for log in state.glob("*.log"):
        log.unlink()


def empty_every_file(state: Path) -> None:
    for path in state.iterdir():
        path.write_bytes(b"")


SHORT = (delete_current, flip_tables, truncate_log, empty_every_file)  # one for each partition number
DAMAGES = [pytest.param(each, marks=LONG) for each in (*SHORT, truncate_manifest, remove_a_table, remove_log)]


def damaged(site: Site, worker: Subject, damage: Callable[[int, Path], None], clean: bool) -> None:
    wait_for_traffic([worker])
    if clean:
        assert worker.stop() == 0
    else:
        worker.kill()
    for number, state in enumerate(partitions(site)):
        damage(number, state)


@pytest.mark.parametrize("checkpoints", [True, pytest.param(False, marks=LONG)])
def test_files_damaged_in_different_ways_are_put_aside_and_made_good(
    checkpoints: bool, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path, **places(checkpoints))
    traffic = traffic_on(site)
    worker = start(site)
    traffic.send(6_000, PER_SECOND)
    damaged(site, worker, lambda number, state: SHORT[number](state), clean=False)
    traffic.send(4_000, PER_SECOND)
    second = start(site)
    settle(site, [second])
    assert len(list((site.state_dir(NAME) / "quarantine").iterdir())) >= 2
    assert "quarantine" in second.said


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_damaged_in_every_partition_is_made_good(
    damage: Callable[[Path], None], clean: bool, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path)
    traffic = traffic_on(site)
    worker = start(site)
    traffic.send(6_000, PER_SECOND)
    damaged(site, worker, lambda _, state: damage(state), clean)
    traffic.send(4_000, PER_SECOND)
    settle(site, [start(site)])


@pytest.mark.parametrize("checkpoints", [pytest.param(True, marks=LONG), False])
def test_a_state_directory_that_is_lost_is_made_good(
    checkpoints: bool, broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path, **places(checkpoints))
    traffic = traffic_on(site)
    worker = start(site)
    traffic.send(6_000, PER_SECOND)
    wait_for_traffic([worker])
    worker.kill()
    shutil.rmtree(site.state_dir(NAME))
    traffic.send(4_000, PER_SECOND)
    settle(site, [start(site)])


@pytest.mark.parametrize("checkpoints", [pytest.param(True, marks=LONG), False])
def test_an_old_copy_of_the_state_repeats_nothing(
    checkpoints: bool, broker: SecureBroker, tmp_path: Path, start: Start
):
    """With checkpoints, one of them is further and takes its place."""
    site = site_on(broker.bootstrap, tmp_path, **places(checkpoints))
    traffic = traffic_on(site)
    worker = start(site)
    traffic.send(4_000, PER_SECOND)
    wait_for_traffic([worker])
    assert worker.stop() == 0
    copy = tmp_path / "copy"
    shutil.copytree(site.state_dir(NAME), copy)
    second = start(site)
    traffic.send(4_000, PER_SECOND)
    wait_for_traffic([second])
    assert second.stop() == 0
    shutil.rmtree(site.state_dir(NAME))
    copy.rename(site.state_dir(NAME))
    traffic.send(2_000, PER_SECOND)
    settle(site, [start(site)])


def test_states_that_were_mixed_up_between_partitions_are_refused_and_good_where_they_belong(
    broker: SecureBroker, tmp_path: Path, start: Start
):
    site = site_on(broker.bootstrap, tmp_path)
    worker = start(site)
    traffic_on(site).send(8_000, PER_SECOND)
    wait_for_traffic([worker])
    assert worker.stop() == 0
    first, second, *_ = partitions(site)
    swap(first, second)
    assert "is that of partition" in start(site).ended(ENDS_WITHIN_S)
    swap(first, second)
    settle(site, [start(site)])


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def test_a_state_of_another_format_is_refused_and_left_as_it_is(broker: SecureBroker, tmp_path: Path, start: Start):
    site = site_on(broker.bootstrap, tmp_path)
    worker = start(site)
    traffic_on(site).send(3_000, PER_SECOND)
    wait_for_traffic([worker])
    assert worker.stop() == 0
    state = next(partitions(site))
    edit_state(state, FORMAT, 999)
    said = start(site).ended(ENDS_WITHIN_S)
    assert "999" in said
    assert list((site.state_dir(NAME) / "quarantine").iterdir()) == []


def test_two_workers_cannot_use_one_directory(broker: SecureBroker, tmp_path: Path, start: Start):
    site = site_on(broker.bootstrap, tmp_path)
    first = start(site)
    traffic = traffic_on(site)
    traffic.send(4_000, PER_SECOND)
    wait_for_traffic([first])
    said = start(site, "other", {"state.dir": str(site.state_dir(NAME))}).ended(ENDS_WITHIN_S)
    assert str(first.process.pid) in said
    assert str(site.state_dir(NAME)) in said
    traffic.send(4_000, PER_SECOND)
    settle(site, [first])
