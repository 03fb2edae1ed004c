"""The owner of a partition and a worker that only believes to own it save at once; and savers that are killed."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from threading import Timer

import pytest

from streams.checkpoints import GRACE_S, Checkpoints
from tests.streams.checkpoints.rocks import ROWS, content, grown
from tests.streams.checkpoints.storage import Storage, Watched, directory

KILLS = 4


def keeper(storage: Storage, *, kept: int = 3) -> Checkpoints:
    return Checkpoints(storage.blobs(), group="driftline", kept=kept)


def test_the_newest_is_what_has_read_most_and_not_what_was_written_last(storage, tmp_path):
    owner, zombie = grown(tmp_path / "owner", 3), grown(tmp_path / "zombie", 2)
    ahead = keeper(storage).save(0, owner.checkpoint(), owner.positions)
    behind = keeper(storage).save(0, zombie.checkpoint(), zombie.positions)
    assert behind.made > ahead.made
    assert keeper(storage).candidates(0) == [ahead, behind]


def test_a_worker_that_is_behind_does_not_clear_away_what_is_ahead(tmp_path):
    storage = directory(tmp_path / "checkpoints")
    owner, zombie = grown(tmp_path / "owner", 3), grown(tmp_path / "zombie", 1)
    ahead = keeper(storage, kept=1).save(0, owner.checkpoint(), owner.positions)
    storage.age(GRACE_S + 5)
    behind = keeper(storage, kept=1).save(0, zombie.checkpoint(), zombie.positions)
    assert keeper(storage).candidates(0) == [ahead, behind]  # its own stays for now: it may not know better
    owner.step()
    newest = keeper(storage, kept=1).save(0, owner.checkpoint(), owner.positions)
    assert keeper(storage).candidates(0) == [newest]


@pytest.mark.parametrize("moment", ["before_manifest", "after_manifest"])
def test_content_that_is_named_again_after_long_is_not_deleted_by_another_meanwhile(storage, tmp_path, moment):
    """Its blobs are old and nobody names them any more when the save begins; the other clears away in its midst."""
    slow, quick = grown(tmp_path / "slow", 1), grown(tmp_path / "quick", 3)
    watched = Watched(storage.blobs())
    saving = Checkpoints(watched, group="driftline", kept=1)
    saving.save(0, slow.checkpoint(), slow.positions)
    keeper(storage, kept=1).save(0, quick.checkpoint(), quick.positions)
    storage.age(GRACE_S * 0.9)
    whole: list[bool] = []

    def meanwhile() -> None:
        storage.age(GRACE_S * 0.3)
        keeper(storage, kept=1).save(0, quick.checkpoint(), quick.positions)

    def look() -> None:
        whole.append(any(manifest.positions == slow.positions for manifest in keeper(storage).candidates(0)))

    quick.step()
    watched.after_manifest = look
    if moment == "before_manifest":
        watched.before_manifest = meanwhile
    else:
        watched.after_manifest = lambda: (look(), meanwhile())  # type: ignore[func-returns-value, assignment]
    watched.uploaded.clear()
    saving.save(0, tmp_path / "slow" / "checkpoint-1", slow.positions)
    assert whole == [True]
    assert watched.uploaded == []  # nothing had to be brought twice


def test_content_that_is_deleted_the_moment_after_it_was_found_is_brought_again(tmp_path):
    storage = directory(tmp_path / "checkpoints")
    state = grown(tmp_path, 1)
    watched = Watched(storage.blobs())
    saving = Checkpoints(watched, group="driftline", kept=1)
    saving.save(0, state.checkpoint(), state.positions)
    storage.age(GRACE_S)
    watched.after_touch = storage.blobs().delete
    saved = saving.save(0, tmp_path / "checkpoint-1", state.positions)
    assert keeper(storage).newest(0) == saved
    keeper(storage).fetch(saved, tmp_path / "fetched")
    assert content(tmp_path / "fetched") == state.content()


def test_many_saves_of_two_workers_at_once_leave_whole_checkpoints_only(tmp_path):
    storage = directory(tmp_path / "checkpoints")

    def work(name: str, first: int) -> None:
        state = grown(tmp_path / name, first)
        checkpoints = keeper(storage, kept=2)
        for _ in range(8):
            state.step()
            checkpoints.save(0, state.checkpoint(), state.positions)
            assert checkpoints.newest(0).positions["outcomes"] >= state.steps

    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(work, "owner", 2), pool.submit(work, "zombie", 0)]:
            done.result()
    candidates = keeper(storage).candidates(0)
    assert candidates[0].positions["outcomes"] == 10
    for manifest in candidates:
        keeper(storage).fetch(manifest, tmp_path / "fetched" / manifest.name)
        rows = content(tmp_path / "fetched" / manifest.name)
        assert len(rows) == manifest.positions["predictions"] + 1


SAVER = """
import sys
from pathlib import Path
from streams.blobs_places import open_blobs
from streams.checkpoints import Checkpoints
from tests.streams.checkpoints.rocks import grown

where, folder = sys.argv[1], Path(sys.argv[2])
checkpoints = Checkpoints(open_blobs(where), group="driftline", kept=2)
state = grown(folder, int(sys.argv[3]))
while True:
    state.step()
    if state.steps % 3 == 0:
        state.db.compact_range(None, None)
    checkpoints.save(0, state.checkpoint(), state.positions)
    print(state.steps, flush=True)
"""


def test_a_saver_that_is_killed_at_any_moment_leaves_the_newest_readable(storage, tmp_path):
    chance, reached = Random(7), 0
    for life in range(KILLS):
        reached = max(reached, life_of_a_saver(storage, tmp_path / f"life-{life}", reached, chance.uniform(0, 0.5)))
        newest = keeper(storage).newest(0)
        assert newest.positions["outcomes"] >= reached
        keeper(storage).fetch(newest, tmp_path / f"fetched-{life}")
        rows = content(tmp_path / f"fetched-{life}")
        assert (len(rows), rows[b"last"]) == (
            newest.positions["predictions"] + 1,
            b"%d" % (newest.positions["outcomes"] - 1),
        )
        assert len(rows) == newest.positions["outcomes"] * ROWS + 1


def life_of_a_saver(storage: Storage, folder: Path, steps: int, seconds: float) -> int:
    """How far it said it had come. It is killed so long after its first checkpoint."""
    folder.mkdir()
    command = [sys.executable, "-c", SAVER, storage.where, str(folder), str(steps)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as saver:
        said = [saver.stdout.readline()]
        Timer(seconds, saver.kill).start()
        said += saver.stdout.readlines()
    return max(int(line) for line in said if line.endswith("\n"))
