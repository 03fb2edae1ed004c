"""The directory that one worker keeps its state in: who may use it, what lies where, and what is put aside.

lock                               held by the one process that uses the directory; its number is written there
partitions/<number>/               the RocksDB of a partition number
quarantine/<number>-<utc time>/    what could not be opened or read, for whoever wants to know why
aside/                             what is being made, copied or replaced; emptied at every start
"""

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path
from shutil import disk_usage, rmtree
from types import TracebackType
from typing import Self

from streams.blobs_directory import sync_folder
from streams.byte_sizes import in_words
from streams.errors import StateDiskError, UsageError

QUARANTINED_MAX = 3  # each may be as large as a state; the newest tell most

IN_USE = {"worker": "another worker uses this directory", "pager": "another pager uses this directory"}


class StateDir:
    """Use it as a context: within it, the directory is this process's alone."""

    def __init__(self, root: Path, *, free_min: int = 0, setting: str = "state.dir", user: str = "worker") -> None:
        self._setting, self._user = setting, user  # for what is said when it cannot be used
        self.root = root.absolute()  # should the process change its directory
        self._free_min = free_min
        self._partitions = self.root / "partitions"
        self._quarantine = self.root / "quarantine"
        self._aside = self.root / "aside"
        self._lock: int | None = None
        self._made = 0

    def __enter__(self) -> Self:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
            try:
                rmtree(self._aside, ignore_errors=True)
                for folder in (self._partitions, self._quarantine, self._aside):
                    folder.mkdir(exist_ok=True)
                self.check_room()
            except BaseException:
                self._unlock()
                raise
        except OSError as error:
            advice = f"{self._setting} must be a directory that the {self._user} may write to"
            where = str(error.filename or self.root)
            raise UsageError(f"cannot keep state: {error.strerror}", where=where, advice=advice) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unlock()

    def place(self, partition: int) -> Path:
        return self._partitions / str(partition)

    def partitions(self) -> list[int]:
        """The partition numbers of which there is something."""
        return sorted(int(folder.name) for folder in self._partitions.iterdir() if folder.name.isdecimal())

    def aside(self, partition: int) -> Path:
        """A name of its own for something that does not exist yet, on the same disk as the state."""
        self._made += 1
        return self._aside / f"{partition}-{self._made}"

    def set_aside(self, partition: int) -> Path:
        """Takes what there is of a partition out of its place, to be deleted or put back."""
        target = self.aside(partition)
        self.place(partition).rename(target)
        return target

    def put_in_place(self, made: Path, partition: int) -> None:
        """Whole or not at all, also where the machine dies now."""
        made.rename(self.place(partition))
        sync_folder(self._partitions)

    def quarantine(self, partition: int) -> Path:
        """Moves what there is of a partition out of the way; returns where it is now."""
        when = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        target = self._quarantine / f"{partition}-{when}"
        self.place(partition).rename(target)
        for old in self.quarantined()[:-QUARANTINED_MAX]:
            rmtree(old, ignore_errors=True)
        return target

    def quarantined(self) -> list[Path]:
        """Oldest first."""
        return sorted(self._quarantine.iterdir(), key=lambda folder: folder.name.partition("-")[2])

    def check_room(self) -> None:
        """A disk that is nearly full ends the work while files can still be closed in order."""
        free = disk_usage(self.root).free
        if free < self._free_min:
            raise StateDiskError(
                f"{in_words(free)} are free on its disk, less than state.disk_free_min, {in_words(self._free_min)}",
                where=str(self.root),
                advice="make room; the next start goes on from the last whole write",
            )

    def _locked(self) -> int:
        path = self.root / "lock"
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise UsageError(
                f"{IN_USE[self._user]}, process {holder}",
                where=str(self.root),
                advice=f"give each {self._user} a {self._setting} of its own",
            ) from error
        except OSError:
            os.close(handle)
            raise
        os.ftruncate(handle, 0)
        os.pwrite(handle, b"%d\n" % os.getpid(), 0)
        return handle

    def _unlock(self) -> None:
        """The system also does it for a process that dies."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
