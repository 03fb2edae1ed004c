"""Blobs in a directory, which several machines may share."""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn
from uuid import uuid4

from streams.blobs import BlobLost, BlobsError, Found

# What a writer that was killed leaves behind is cleared away when it is that old. No write of one file takes so long.
PARTIAL_KEPT_S = 24 * 3600.0
_PARTIAL = "partial"
_CHUNK = 1 << 20  # larger ones are no faster


class DirectoryBlobs:
    """Each blob is a file. It is written aside, made durable, and moved to its name."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()  # should the process change its directory
        self._partial = self.root / _PARTIAL
        with self._told():
            _make_folder(self._partial)
            self._clear_partial()
            self.now()  # a directory that cannot be written is found out now

    def put_file(self, name: str, path: Path) -> None:
        with path.open("rb") as source, self._writing(name) as target:
            shutil.copyfileobj(source, target, _CHUNK)

    def put_bytes(self, name: str, content: bytes) -> None:
        with self._writing(name) as target:
            target.write(content)

    def get_file(self, name: str, path: Path) -> None:
        with path.open("wb") as target:
            for chunk in self._chunks(name):
                target.write(chunk)

    def get_bytes(self, name: str) -> bytes:
        with self._told(name):
            return self._path(name).read_bytes()

    def exists(self, name: str) -> bool:
        with self._told():
            return self._path(name).is_file()

    def list(self, prefix: str) -> Iterator[Found]:
        """``prefix`` ends with a slash: a folder."""
        with self._told():
            for folder, below, files in os.walk(self._path(prefix), onerror=_unless_missing):
                if Path(folder) == self.root:
                    below[:] = [name for name in below if name != _PARTIAL]
                yield from filter(None, (self._found(Path(folder, file)) for file in files))

    def touch(self, name: str) -> bool:
        with self._told():
            try:
                os.utime(self._path(name))
            except FileNotFoundError:
                return False
            return True

    def delete(self, name: str) -> None:
        with self._told():
            self._path(name).unlink(missing_ok=True)

    def now(self) -> float:
        """By the file system's clock, which on a network is another machine's."""
        with self._told():
            probe = self._partial / uuid4().hex
            probe.touch()
            try:
                return probe.stat().st_mtime
            finally:
                probe.unlink()

    def _path(self, name: str) -> Path:
        assert not name.startswith("/"), name
        assert ".." not in PurePosixPath(name).parts, name
        return self.root / name

    def _chunks(self, name: str) -> Iterator[bytes]:
        with self._told(name), self._path(name).open("rb") as source:
            while chunk := source.read(_CHUNK):
                yield chunk

    def _found(self, path: Path) -> Found | None:
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None  # deleted since the folder was read
        return Found(path.relative_to(self.root).as_posix(), stat.st_size, stat.st_mtime)

    @contextmanager
    def _writing(self, name: str) -> Iterator[IO[bytes]]:
        target = self._path(name)
        aside = self._partial / uuid4().hex
        with self._told():
            try:
                with aside.open("xb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                _make_folder(target.parent)
                aside.replace(target)
                sync_folder(target.parent)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise

    def _clear_partial(self) -> None:
        too_old = time.time() - PARTIAL_KEPT_S
        for path in self._partial.iterdir():
            with suppress(FileNotFoundError):  # another worker clears it away, or has finished
                if path.stat().st_mtime < too_old:
                    path.unlink()

    @contextmanager
    def _told(self, name: str = "") -> Iterator[None]:
        """What the operating system says, as an error of ours. With a name, what is missing is that blob."""
        try:
            yield
        except OSError as error:
            if name and error.errno in (errno.ENOENT, errno.EIO):
                raise BlobLost(f"{name}: {error.strerror}", where=str(self.root)) from error
            self._refuse(error)

    def _refuse(self, error: OSError) -> NoReturn:
        advice = "state.checkpoints must be a directory that the worker may write to, with room left"
        place = f" ({error.filename})" if error.filename else ""
        what = f"cannot be used to keep checkpoints: {error.strerror or error}{place}"
        raise BlobsError(what, where=str(self.root), advice=advice) from error


def sync_folder(folder: Path) -> None:
    """Makes names durable: a file's own fsync does not cover the entry that names it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def _unless_missing(error: OSError) -> None:
    """A folder that nothing was put in is an empty one; any other trouble is told."""
    if not isinstance(error, FileNotFoundError):
        raise error
