"""The directory of a worker's state: one process at a time, what is put aside, and how full it may be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streams.errors import StateDiskError, UsageError
from streams.state_dir import QUARANTINED_MAX, StateDir

REPOSITORY = Path(__file__).resolve().parents[2]

HOLDER = """
import sys
from pathlib import Path
from streams.state_dir import StateDir
with StateDir(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_directory_that_another_process_uses_is_refused_with_its_number(tmp_path: Path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdin
    assert holder.stdout
    with holder.stdin, holder.stdout:
        holder.stdout.readline()
        with pytest.raises(UsageError, match=f"another worker uses this directory, process {holder.pid}; give each"):
            StateDir(tmp_path).__enter__()
        holder.kill()
        holder.wait(10)
    with StateDir(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_directory_is_free_again_after_use(tmp_path: Path):
    for _ in range(2):
        with StateDir(tmp_path / "state"):
            pass


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path):
    """Asked as a user who owns nothing: the one who runs the tests may be allowed everything."""
    program = "import os, sys, streams.state_dir; os.getuid() or os.setuid(65534); exec(sys.argv.pop(1))"
    tmp_path.chmod(0o555)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    try:
        refused = subprocess.run(
            [sys.executable, "-c", program, HOLDER, str(tmp_path / "state")],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        tmp_path.chmod(0o755)
    assert "UsageError" in refused.stderr
    assert "cannot keep state: Permission denied; state.dir must be a directory that the worker may" in refused.stderr


def test_what_is_no_directory_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot keep state: Not a directory; state\.dir must be a directory"):
        StateDir(tmp_path / "file" / "state").__enter__()


def test_a_disk_with_too_little_room_is_refused_and_the_directory_is_free_again(tmp_path: Path):
    with pytest.raises(StateDiskError, match=r"are free on its disk, less than state\.disk_free_min, 1024\.0 TiB"):
        StateDir(tmp_path, free_min=1 << 50).__enter__()
    with StateDir(tmp_path):
        pass


def test_what_was_left_half_made_goes_at_the_next_start(tmp_path: Path):
    with StateDir(tmp_path) as folder:
        half_made = folder.aside(3)
        half_made.mkdir()
        assert folder.aside(3) != half_made
    with StateDir(tmp_path):
        assert not half_made.exists()


def test_a_partition_is_put_in_its_place_and_taken_out_again(tmp_path: Path):
    with StateDir(tmp_path) as folder:
        made = folder.aside(3)
        made.mkdir()
        (made / "CURRENT").write_text("x")
        folder.put_in_place(made, 3)
        assert folder.partitions() == [3]
        older = folder.set_aside(3)
        assert folder.partitions() == []
        folder.put_in_place(older, 3)
        assert (folder.place(3) / "CURRENT").read_text() == "x"


def test_of_what_is_in_quarantine_the_newest_are_kept(tmp_path: Path):
    with StateDir(tmp_path) as folder:
        targets = []
        for number in (9, 10, 2, 9, 1):
            folder.place(number).mkdir()
            targets.append(folder.quarantine(number))
        assert folder.quarantined() == targets[-QUARANTINED_MAX:]
        assert folder.partitions() == []
        assert [path.name.partition("-")[0] for path in folder.quarantined()] == ["2", "9", "1"]
