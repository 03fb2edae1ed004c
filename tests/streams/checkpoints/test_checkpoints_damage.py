"""Whatever is damaged is passed over with a word, and the next older checkpoint counts."""

from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from streams.blobs import Blobs
from streams.checkpoints import GRACE_S, CheckpointDamagedError, Checkpoints
from streams.manifests import Manifest, encode
from tests.streams.checkpoints.rocks import State, content, grown
from tests.streams.checkpoints.storage import Storage, Watched, directory


@pytest.fixture
def storage(tmp_path) -> Storage:
    return directory(tmp_path / "checkpoints")


@pytest.fixture
def state(tmp_path) -> State:
    return grown(tmp_path, 1)


def keeper(storage: Storage) -> Checkpoints:
    return Checkpoints(storage.blobs(), group="driftline", kept=3)


def two(storage: Storage, state: State) -> tuple[Manifest, Manifest]:
    """An older and a newer one that have no table file in common."""
    older = keeper(storage).save(0, state.checkpoint(), state.positions)
    state.step()
    state.db.compact_range(None, None)
    return older, keeper(storage).save(0, state.checkpoint(), state.positions)


def place(storage: Storage, manifest: Manifest) -> Path:
    return Path(storage.where, "driftline", "0", "manifests", manifest.name)


def table(storage: Storage, manifest: Manifest) -> Path:
    blob = next(file.blob for file in manifest.files if file.name.endswith(".sst"))
    return Path(storage.where, "driftline", "0", "blobs", blob)


def flip(path: Path) -> None:
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe" * 100)


def one_digit(path: Path) -> None:
    """It still reads well."""
    content = path.read_bytes()
    assert b'"outcomes":2' in content
    path.write_bytes(content.replace(b'"outcomes":2', b'"outcomes":9'))


def of_another_partition(path: Path) -> None:
    path.write_bytes(encode(msgspec.structs.replace(msgspec.json.decode(_body(path), type=Manifest), partition=1)))


def under_another_name(path: Path) -> None:
    path.rename(path.with_name("9" + path.name[1:]))


def that_leads_out_of_the_folder(path: Path) -> None:
    manifest = msgspec.json.decode(_body(path), type=Manifest)
    file = msgspec.structs.replace(manifest.files[0], name="../CURRENT")
    path.write_bytes(encode(msgspec.structs.replace(manifest, files=(file,))))


def _body(path: Path) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(path.read_bytes())["body"])


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        one_digit,
        cut,
        empty,
        no_text,
        of_another_partition,
        under_another_name,
        that_leads_out_of_the_folder,
        Path.unlink,
    ],
)
def test_a_damaged_manifest_is_passed_over(storage, state, damage):
    older, newer = two(storage, state)
    assert keeper(storage).newest(0) == newer
    damage(place(storage, newer))
    with capture_logs() as lines:
        assert keeper(storage).candidates(0) == [older]
    assert [line["event"] for line in lines] == ["checkpoint_skipped"] * (damage is not Path.unlink)


@pytest.mark.parametrize("damage", [cut, empty, Path.unlink])
def test_a_checkpoint_without_all_its_content_is_passed_over(storage, state, damage):
    older, newer = two(storage, state)
    damage(table(storage, newer))
    with capture_logs() as lines:
        assert keeper(storage).candidates(0) == [older]
    assert lines == [
        {
            "event": "checkpoint_skipped",
            "log_level": "warning",
            "partition": 0,
            "manifest": newer.name,
            "why": "some of its files are missing or cut short",
        }
    ]


@pytest.mark.parametrize(("damage", "what"), [(flip, "is not what was saved"), (Path.unlink, "is lost")])
def test_content_that_is_found_damaged_by_fetching_leaves_nothing_and_an_older_one_may_be_whole(
    storage, state, tmp_path, damage, what
):
    before = state.content()
    older, newer = two(storage, state)
    assert keeper(storage).candidates(0) == [newer, older]
    damage(table(storage, newer))
    with pytest.raises(CheckpointDamagedError, match=rf"partition 0, checkpoint {newer.name}: .*sst {what}"):
        keeper(storage).fetch(newer, tmp_path / "to" / "0")
    assert list((tmp_path / "to").iterdir()) == []
    keeper(storage).fetch(older, tmp_path / "to" / "0")
    assert content(tmp_path / "to" / "0") == before


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_content_that_was_lost_is_brought_again_by_the_next_save(storage, state, damage):
    checkpoints = keeper(storage)
    first = checkpoints.save(0, state.checkpoint(), state.positions)
    damage(table(storage, first))
    state.step()
    second = checkpoints.save(0, state.checkpoint(), state.positions)
    assert checkpoints.candidates(0) == [second, first]


def test_damaged_checkpoints_neither_count_nor_stay(storage, state):
    older, newer = two(storage, state)
    flip(place(storage, newer))
    storage.age(GRACE_S + 5)
    state.step()
    newest = Checkpoints(storage.blobs(), group="driftline", kept=2).save(0, state.checkpoint(), state.positions)
    assert {found.name for found in place(storage, newer).parent.iterdir()} == {older.name, newest.name}
    assert keeper(storage).candidates(0) == [newest, older]


def test_what_a_later_version_wrote_is_passed_over_and_left_alone(storage, state):
    _, newer = two(storage, state)
    path = place(storage, newer)
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2'))
    storage.age(GRACE_S + 5)
    checkpoints = Checkpoints(storage.blobs(), group="driftline", kept=1)
    with capture_logs() as lines:
        for _ in range(2):
            state.step()
            state.db.compact_range(None, None)  # what is saved now has no table file in common with it
            newest = checkpoints.save(0, state.checkpoint(), state.positions)
    assert checkpoints.newest(0) == newest
    assert (path.exists(), table(storage, newer).exists()) == (True, True)
    assert [(line["event"], line["why"]) for line in lines] == [
        ("checkpoint_skipped", "is of version 2; this Driftline reads up to 1")
    ]


def test_what_is_no_manifest_of_ours_is_passed_over(storage, state):
    older, newer = two(storage, state)
    place(storage, newer).with_name("notes.txt").write_text("by hand")
    assert keeper(storage).candidates(0) == [newer, older]


def test_a_save_whose_manifest_is_not_written_changes_nothing(storage, state):
    def stop() -> None:
        raise KeyboardInterrupt

    older, newer = two(storage, state)
    watched: Blobs = Watched(storage.blobs())
    watched.before_manifest = stop
    state.step()
    with pytest.raises(KeyboardInterrupt):
        Checkpoints(watched, group="driftline", kept=1).save(0, state.checkpoint(), state.positions)
    assert keeper(storage).candidates(0) == [newer, older]
