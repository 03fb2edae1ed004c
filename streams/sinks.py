"""Results as files in a directory: a line is an event's exact bytes. A run that failed never looks like a whole one.

Everything is written in ``DIR/partial`` and moved up at the end, ``summary.json`` last: where it stands, all is there.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from detectors.effects import Effect
from schemas.topics import CATALOGUE, Direction, Stream
from streams.errors import SinkError, UsageError
from streams.state import EffectLike
from streams.summary import Summary

SUMMARY = "summary.json"
PARTIAL = "partial"
WHATIF = "whatif.json"  # policies of retraining compared, beside the results of the same history
STATE = "state"  # of a replay that may be gone on with, in the part for incomplete runs
FILES = {
    stream: f"{stream.value.replace('_', '-')}.jsonl"
    for stream, topic in CATALOGUE.items()
    if topic.direction is Direction.OUT
}
_OURS = frozenset({*FILES.values(), SUMMARY, PARTIAL, WHATIF})


class ResultFiles(AbstractContextManager["ResultFiles"]):
    """Takes effects; ``finish`` makes them visible. Left without it, nothing remains of the run.

    With ``goes_on`` what there is remains, to go on from: ``sizes`` are then those at which files are to be cut off.
    """

    def __init__(self, directory: Path, *, goes_on: bool = False, sizes: Mapping[str, int] | None = None) -> None:
        self.directory = directory
        self.partial = directory / PARTIAL
        self.goes_on = goes_on
        self._sizes = sizes
        self._files: dict[Stream, BinaryIO] = {}
        self._open = ExitStack()
        self._keep = goes_on

    def __enter__(self) -> Self:
        check_ours(self.directory)
        try:
            if self._sizes is None:
                shutil.rmtree(self.partial, ignore_errors=True)
                self.partial.mkdir(parents=True)
            for stream, name in FILES.items():
                mode = "wb" if self._sizes is None else "r+b"
                file: BinaryIO = self._open.enter_context((self.partial / name).open(mode))  # type: ignore[assignment]
                self._files[stream] = file
                if self._sizes is not None:
                    file.truncate(self._sizes[name])
                    file.seek(0, os.SEEK_END)
        except OSError as error:
            raise self._failure(error) from error
        except BaseException:  # an interrupt: there will be no exit, since there was no entry
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        if not self._keep:
            shutil.rmtree(self.partial, ignore_errors=True)

    def __call__(self, effect: EffectLike) -> None:
        try:
            self._files[Stream(effect.stream)].write(effect.value + b"\n")
        except OSError as error:
            raise self._failure(error) from error

    def told_before(self) -> Iterator[EffectLike]:
        """The alerts that stand there from before this run."""
        if self._sizes is not None:
            with (self.partial / FILES[Stream.ALERTS]).open("rb") as file:
                for line in file:
                    yield Effect(Stream.ALERTS, "", None, line.rstrip(b"\n"))

    def written(self) -> dict[str, int]:
        """The files with their sizes, all of it handed to the system."""
        sizes = {}
        for stream, file in self._files.items():
            file.flush()
            sizes[FILES[stream]] = file.tell()
        return sizes

    def finish(self, summary: Summary) -> Path:
        """Where the results now stand: in the directory, or in its part for incomplete runs."""
        try:
            self._open.close()
            shutil.rmtree(self.partial / STATE, ignore_errors=True)
            written = msgspec.json.format(msgspec.json.encode(summary), indent=2)
            (self.partial / SUMMARY).write_bytes(written + b"\n")
            self._keep = True
            return self._move_up() if summary.complete else self.partial
        except OSError as error:
            raise self._failure(error) from error

    def _move_up(self) -> Path:
        for name in (SUMMARY, WHATIF):  # what was compared there was compared on the history before
            (self.directory / name).unlink(missing_ok=True)
        for name in (*FILES.values(), SUMMARY):
            (self.partial / name).replace(self.directory / name)
        self.partial.rmdir()
        return self.directory

    def _failure(self, error: OSError) -> SinkError:
        what = f"the results cannot be written: {error.strerror}"
        return SinkError(what, where=str(self.directory), advice="name another directory with --out")


def check_ours(directory: Path) -> None:
    """Results of an earlier replay may be replaced, other people's files not."""
    try:
        there = {entry.name for entry in directory.iterdir()} if directory.exists() else set()
    except OSError as error:
        raise UsageError(f"is no directory to write to: {error.strerror}", where=str(directory)) from error
    ours = not there or (there <= _OURS and not there.isdisjoint({SUMMARY, PARTIAL, WHATIF}))
    if not ours:
        stranger = min(there - _OURS, default=min(there))
        what = f"holds {stranger}, which is no result of a replay"
        raise UsageError(what, where=str(directory), advice="name an empty directory with --out")
