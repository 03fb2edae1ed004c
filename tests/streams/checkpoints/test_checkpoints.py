"""Checkpoints of real RocksDB states, in a directory and in a bucket."""

import os

import pytest

from streams.checkpoints import GRACE_S, Checkpoints
from streams.errors import StateDiskError, UsageError
from tests.streams.checkpoints.rocks import ROWS, content, grown
from tests.streams.checkpoints.storage import Storage, Watched, directory


def keeper(storage: Storage, *, kept: int = 3) -> Checkpoints:
    return Checkpoints(storage.blobs(), group="driftline", kept=kept)


def names(storage: Storage, folder: str) -> set[str]:
    return {found.name.rpartition("/")[2] for found in storage.blobs().list(f"driftline/0/{folder}/")}


def blobs_of(*manifests) -> set[str]:
    return {file.blob for manifest in manifests for file in manifest.files}


def test_what_is_fetched_is_what_was_saved(storage, tmp_path):
    state = grown(tmp_path, 3)
    saved = keeper(storage).save(0, state.checkpoint(), state.positions)
    found = keeper(storage).newest(0)
    assert found == saved
    assert found.positions == state.positions
    keeper(storage).fetch(found, tmp_path / "elsewhere" / "0")
    assert content(tmp_path / "elsewhere" / "0") == state.content()
    assert os.listdir(tmp_path / "elsewhere") == ["0"]


def test_where_nothing_was_saved_there_is_nothing(storage, tmp_path):
    state = grown(tmp_path, 1)
    keeper(storage).save(1, state.checkpoint(), state.positions)
    assert keeper(storage).newest(0) is None
    assert keeper(storage).newest(11) is None  # nor is it taken for 1


def test_only_files_that_are_new_are_uploaded(storage, tmp_path):
    watched = Watched(storage.blobs())
    checkpoints = Checkpoints(watched, group="driftline", kept=3)
    state = grown(tmp_path, 1)
    first = checkpoints.save(0, state.checkpoint(), state.positions)
    assert sorted(watched.uploaded) == sorted(blobs_of(first))
    watched.uploaded.clear()
    state.step()
    second = checkpoints.save(0, state.checkpoint(), state.positions)
    assert sorted(watched.uploaded) == sorted(blobs_of(second) - blobs_of(first))
    shared = [file.name for file in second.files if file.blob in blobs_of(first)]
    assert any(name.endswith(".sst") for name in shared)


def test_a_state_that_has_not_changed_uploads_nothing_even_from_a_new_process(storage, tmp_path):
    state = grown(tmp_path, 2)
    folder = state.checkpoint()
    keeper(storage).save(0, folder, state.positions)
    watched = Watched(storage.blobs())
    Checkpoints(watched, group="driftline", kept=3).save(0, folder, state.positions)
    assert watched.uploaded == []


def test_a_table_file_that_was_met_before_is_not_read_again(tmp_path):
    checkpoints = keeper(directory(tmp_path / "checkpoints"))
    state = grown(tmp_path, 1)
    folder = state.checkpoint()
    first = checkpoints.save(0, folder, state.positions)
    table = next(folder.glob("*.sst"))
    times = table.stat()
    table.write_bytes(bytes(times.st_size))  # whoever reads it again finds another content
    os.utime(table, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert blobs_of(checkpoints.save(0, folder, state.positions)) == blobs_of(first)
    assert blobs_of(keeper(directory(tmp_path / "others")).save(0, folder, state.positions)) != blobs_of(first)


def test_files_that_were_fetched_count_as_met(tmp_path):
    storage = directory(tmp_path / "checkpoints")
    state = grown(tmp_path, 2)
    saved = keeper(storage).save(0, state.checkpoint(), state.positions)
    checkpoints = keeper(storage)
    checkpoints.fetch(saved, tmp_path / "fetched")
    for table in (tmp_path / "fetched").glob("*.sst"):
        times = table.stat()
        table.write_bytes(bytes(times.st_size))
        os.utime(table, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert blobs_of(checkpoints.save(0, tmp_path / "fetched", state.positions)) == blobs_of(saved)


def test_the_newest_are_kept_and_the_rest_goes_when_nobody_can_be_using_it(storage, tmp_path):
    checkpoints = keeper(storage, kept=2)
    saved = []
    state = grown(tmp_path, 0)
    for _ in range(4):
        state.step()
        state.db.compact_range(None, None)  # one new table file for all: the old ones are superseded
        saved.append(checkpoints.save(0, state.checkpoint(), state.positions))
    assert names(storage, "manifests") == {saved[2].name, saved[3].name}
    assert names(storage, "blobs") == blobs_of(*saved)  # someone may be about to name them again
    storage.age(GRACE_S + 5)
    state.step()
    saved.append(checkpoints.save(0, state.checkpoint(), state.positions))
    assert names(storage, "blobs") == blobs_of(saved[3], saved[4])
    assert [manifest.name for manifest in checkpoints.candidates(0)] == [saved[4].name, saved[3].name]


def test_many_kept_checkpoints_are_not_read_again_at_each_save(tmp_path):
    watched = Watched(directory(tmp_path / "checkpoints").blobs())
    checkpoints = Checkpoints(watched, group="driftline", kept=100)
    state = grown(tmp_path, 1)
    for _ in range(4):
        state.step()
        checkpoints.save(0, state.checkpoint(), state.positions)
    assert watched.manifests_read == 0
    assert len(checkpoints.candidates(0)) == watched.manifests_read == 4


def test_partitions_and_groups_do_not_touch_each_other(tmp_path):
    storage = directory(tmp_path / "checkpoints")
    state = grown(tmp_path, 1)
    folder = state.checkpoint()
    places = [(group, partition) for group in ("one", "two") for partition in (0, 1)]
    for group, partition in places:
        Checkpoints(storage.blobs(), group=group, kept=1).save(partition, folder, {"predictions": partition + ROWS})
    storage.age(GRACE_S + 5)
    Checkpoints(storage.blobs(), group="one", kept=1).save(0, folder, {"predictions": 2 * ROWS})
    found = [Checkpoints(storage.blobs(), group=group, kept=1).newest(partition) for group, partition in places]
    assert [manifest.positions["predictions"] for manifest in found] == [2 * ROWS, ROWS + 1, ROWS, ROWS + 1]


def test_what_a_fetch_that_was_killed_left_behind_is_not_in_the_way(tmp_path):
    storage = directory(tmp_path / "checkpoints")
    state = grown(tmp_path, 1)
    saved = keeper(storage).save(0, state.checkpoint(), state.positions)
    (tmp_path / "0.partial").mkdir()
    (tmp_path / "0.partial" / "CURRENT").write_bytes(b"half")
    keeper(storage).fetch(saved, tmp_path / "0")
    assert content(tmp_path / "0") == state.content()


def test_a_group_that_names_another_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"kafka\.group: is no group that checkpoints can be kept for: \.\."):
        Checkpoints(directory(tmp_path).blobs(), group="..", kept=1)


def test_a_folder_that_cannot_be_read_says_so(tmp_path):
    with pytest.raises(StateDiskError, match=r"nowhere: .*No such file or directory.*state\.dir"):
        keeper(directory(tmp_path / "checkpoints")).save(0, tmp_path / "nowhere", {})
