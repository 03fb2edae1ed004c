"""The state of a replay on disk, beside its results so far: memory that does not grow, and a place to go on from.

Each commit is one atomic write: what the engine keeps, how many records it has seen, and how long the result files
were. What was written after it is cut off by whoever goes on.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import rmtree
from typing import Protocol

import msgspec

from detectors.banks.contract import StateError
from detectors.kept import Changes, Kept
from detectors.sealing import open_sealed, seal
from streams.errors import CorruptStateError, UsageError
from streams.rocks import Rocks, shared_cache
from streams.summary import Summary

# What is written of a model is worth it then. So many are seen again at most, and as many wait in memory: 10 MB.
COMMIT_RECORDS = 20_000
_REACHED = b"\0reached"
_NUMBER = 0  # of the partition of every file


class Reached(msgspec.Struct, frozen=True):
    """``of`` stands for everything that decides the results."""

    of: str
    so_far: Summary
    sizes: dict[str, int]  # of the result files, in bytes


class Written(Protocol):
    def written(self) -> Mapping[str, int]:
        """The result files with their sizes, all of it handed to the system."""


class Changing(Protocol):
    def changes(self) -> Changes: ...


def reached(folder: Path, of: str) -> Reached | None:
    """Where a replay of the same stopped; ``None`` where there is nothing to go on from."""
    if not (folder / str(_NUMBER)).is_dir():
        return None
    try:
        rocks = Rocks(folder / str(_NUMBER), shared_cache())
        try:
            (record,) = rocks.read([_REACHED])
        finally:
            rocks.close()
        found = None if record is None else msgspec.msgpack.decode(open_sealed(record), type=Reached)
    except (CorruptStateError, StateError, msgspec.MsgspecError) as error:
        raise UsageError(f"cannot be gone on with: {error}", where=str(folder), advice="leave --resume out") from None
    if found is not None and found.of != of:
        what = "was begun with other files, another mapping or another configuration"
        raise UsageError(what, where=str(folder), advice="leave --resume out to begin anew")
    return found


class Journal(AbstractContextManager["Journal"]):
    """``begins`` is where to go on; without it everything is made anew."""

    def __init__(self, folder: Path, of: str, files: Written, begins: Reached | None = None) -> None:
        self.begins = begins
        self._folder, self._of, self._files = folder, of, files
        self._rocks: Rocks | None = None
        self._since = 0

    def __exit__(self, *_: object) -> None:
        self._close()

    def kept(self, partition: int) -> Kept:
        """For the engine of the next partition number: of the one before nothing is needed any more."""
        self._close()
        own = self._folder / str(partition)
        if self.begins is None or partition != _NUMBER:
            rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
            self._rocks = Rocks(own, shared_cache(), create=True)
        else:
            self._rocks = Rocks(own, shared_cache())
        return self._rocks

    def took(self, records: int, engine: Changing, so_far: Summary) -> None:
        """Between two batches. Often enough it is written where the replay stands."""
        self._since += records
        if self._since >= COMMIT_RECORDS and self._rocks is not None:
            self._since = 0
            changes = engine.changes()
            mark = Reached(self._of, so_far, dict(self._files.written()))
            puts = [*changes.puts, (_REACHED, seal(msgspec.msgpack.encode(mark)))]
            self._rocks.write(puts, changes.deletes)

    def _close(self) -> None:
        if self._rocks is not None:
            self._rocks.close()
            self._rocks = None
