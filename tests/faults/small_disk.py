"""A disk so small that a test can fill it: a tmpfs in a mount namespace of its own, which needs no permission here."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MIB = 1024 * 1024
READY = b"ready\n"


class SmallDisk:
    """Seen at ``folder`` by what is started with ``within``, and by this process at ``inside``."""

    def __init__(self, folder: Path, holder: int) -> None:
        self.folder = folder
        self.within: Sequence[str] = (
            *("nsenter", "--target", str(holder), "--user", "--mount", "--preserve-credentials", "--"),
        )
        self.inside = Path(f"/proc/{holder}/root{folder}")

    def fill(self) -> None:
        """To the last byte, whoever else writes meanwhile."""
        with (self.inside / "ballast").open("ab", buffering=0) as ballast:
            for size in (MIB, 4096, 1):
                try:
                    while True:
                        ballast.write(bytes(size))
                except OSError:
                    continue

    def make_room(self) -> None:
        (self.inside / "ballast").unlink()

    @property
    def free_bytes(self) -> int:
        return shutil.disk_usage(self.inside).free


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[SmallDisk]:
    """For as long as the block runs; what is on it goes with it."""
    folder.mkdir(parents=True)
    script = f'mount -t tmpfs -o size={mebibytes}m tmpfs "$0" && echo ready && exec cat'
    holder = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        said = holder.stdout.readline()
        assert said == READY, "a small disk needs unshare (util-linux) and a system that lets users have namespaces"
        yield SmallDisk(folder, holder.pid)
    finally:
        holder.communicate()  # its standard input closes, and it ends
