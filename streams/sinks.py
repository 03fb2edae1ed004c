"""Results as files in a directory: a line is an event's exact bytes. A run that failed never looks like a whole one.

Everything is written in ``DIR/partial`` and moved up at the end, ``summary.json`` last: where it stands, all is there.
"""

import shutil
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from schemas.topics import CATALOGUE, Direction
from streams.errors import SinkError, UsageError
from streams.state import EffectLike
from streams.summary import Summary

SUMMARY = "summary.json"
PARTIAL = "partial"
FILES = {
    stream: f"{stream.value.replace('_', '-')}.jsonl"
    for stream, topic in CATALOGUE.items()
    if topic.direction is Direction.OUT
}
_OURS = frozenset({*FILES.values(), SUMMARY, PARTIAL})


class ResultFiles(AbstractContextManager["ResultFiles"]):
    """Takes effects; ``finish`` makes them visible. Left without it, nothing remains of the run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._partial = directory / PARTIAL
        self._files: dict[str, BinaryIO] = {}
        self._open = ExitStack()
        self._keep = False

    def __enter__(self) -> Self:
        _check_ours(self.directory)
        try:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial.mkdir(parents=True)
            for stream, name in FILES.items():
                self._files[stream] = self._open.enter_context((self._partial / name).open("wb"))
        except OSError as error:
            raise self._failure(error) from error
        except BaseException:  # an interrupt: there will be no exit, since there was no entry
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        if not self._keep:
            shutil.rmtree(self._partial, ignore_errors=True)

    def __call__(self, effect: EffectLike) -> None:
        try:
            self._files[effect.stream].write(effect.value + b"\n")
        except OSError as error:
            raise self._failure(error) from error

    def finish(self, summary: Summary) -> Path:
        """Where the results now stand: in the directory, or in its part for incomplete runs."""
        try:
            self._open.close()
            written = msgspec.json.format(msgspec.json.encode(summary), indent=2)
            (self._partial / SUMMARY).write_bytes(written + b"\n")
            self._keep = True
            return self._move_up() if summary.complete else self._partial
        except OSError as error:
            raise self._failure(error) from error

    def _move_up(self) -> Path:
        (self.directory / SUMMARY).unlink(missing_ok=True)
        for name in (*FILES.values(), SUMMARY):
            (self._partial / name).replace(self.directory / name)
        self._partial.rmdir()
        return self.directory

    def _failure(self, error: OSError) -> SinkError:
        what = f"the results cannot be written: {error.strerror}"
        return SinkError(what, where=str(self.directory), advice="name another directory with --out")


def _check_ours(directory: Path) -> None:
    """Results of an earlier replay may be replaced, other people's files not."""
    try:
        there = {entry.name for entry in directory.iterdir()} if directory.exists() else set()
    except OSError as error:
        raise UsageError(f"is no directory to write to: {error.strerror}", where=str(directory)) from error
    ours = not there or (there <= _OURS and not there.isdisjoint({SUMMARY, PARTIAL}))
    if not ours:
        stranger = min(there - _OURS, default=min(there))
        what = f"holds {stranger}, which is no result of a replay"
        raise UsageError(what, where=str(directory), advice="name an empty directory with --out")
