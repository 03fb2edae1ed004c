"""Copies of a partition's state away from the disk that it lives on, so that another worker can go on from them.

A checkpoint is a manifest and the blobs it names, one for each file, each under the hash of its content. RocksDB never
changes a table file, so a checkpoint shares most blobs with the one before it and only new ones are uploaded:

    <group>/<partition>/blobs/<hash of the content>
    <group>/<partition>/manifests/<positions>-<time>-<chance>.json

Nobody holds a lock. The owner of a partition and a worker that only believes to own it may save at once, and each
clears away what it finds superfluous. What makes this safe:

* A manifest is written last, under a name of its own. All that it names is there before it can be read.
* Whoever names a blob has seen it less than half the grace old, or has written or touched it, and has done so less than
  half the grace before. So a blob that a manifest names is younger than the grace when the manifest is written.
* A blob is deleted when it is older than the grace and no manifest names it, the manifests being listed after the
  blobs. A save that relies on it is then either done, and its manifest is seen, or has yet to touch it.
* What remains is a touch in the moment between that look and the deletion. A save looks again after its manifest
  is written and brings what is missing. Should all this fail, a reader sees in the listing that the manifest is not
  whole and takes the next older one, and the next save brings the blob again.

A ``CheckpointDamagedError`` says that an older checkpoint may be whole. A ``BlobsError`` (the storage) or a
``StateDiskError`` (the state's own disk) would meet any of them.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import rmtree
from time import monotonic
from types import MappingProxyType
from typing import NamedTuple

import structlog

from streams.blobs import BlobLost, Blobs, BlobsError, Found
from streams.blobs_directory import sync_folder
from streams.errors import DriftlineError, StateDiskError, UsageError
from streams.manifests import File, Manifest, ManifestError, ManifestTooNewError, decode, encode, hash_of_file, make

# Far longer than a save takes between two looks at the storage; its price is the room of that much superseded state.
GRACE_S = 600.0
_AT_ONCE = 4  # transfers: a bucket answers after tens of milliseconds, and most files are small
_LOOKS_MAX = 20  # at a save: so often it may outlast half the grace before the storage counts as too slow
_TABLE = ".sst"

log = structlog.get_logger(__name__)

Identity = tuple[str, int, int, int]  # of a table file: name, size, inode, time of its last change


class CheckpointDamagedError(DriftlineError):
    """This one cannot be had whole."""


class _Look(NamedTuple):
    """At what is there: not before ``at``, by the storage's clock."""

    at: float
    blobs: Mapping[str, Found]

    def whole(self, manifest: Manifest) -> bool:
        return all(self.has(file) for file in manifest.files)

    def has(self, file: File) -> bool:
        found = self.blobs.get(file.blob)
        return found is not None and found.size == file.size


class Checkpoints:
    """Everything blocks. Several partitions may be saved and fetched at once, from threads of their own."""

    def __init__(self, blobs: Blobs, *, group: str, kept: int, grace_s: float = GRACE_S) -> None:
        assert kept >= 1
        assert grace_s > 0
        if group in (".", ".."):
            raise UsageError(f"is no group that checkpoints can be kept for: {group}", where="kafka.group")
        self._blobs, self._group, self._kept, self._grace_s = blobs, group, kept, grace_s
        self._known: dict[int, Mapping[Identity, str]] = {}  # by partition, the hashes of table files met last
        self._read: dict[int, Mapping[str, Manifest]] = {}  # by partition, what the last save met: they never change
        self._told: set[str] = set()  # unreadable manifests that have had their line in the log

    def newest(self, partition: int) -> Manifest | None:
        """The one that has read most of the input; None where there is none."""
        return next(iter(self.candidates(partition)), None)

    def candidates(self, partition: int) -> Sequence[Manifest]:
        """Those that seem whole, newest first. A storage that does not answer is an error, never an empty list."""
        manifests = [manifest for _, manifest in self._manifests(partition) if isinstance(manifest, Manifest)]
        look = self._look(partition)
        for manifest in manifests:
            if not look.whole(manifest):
                self._tell(partition, manifest.name, "some of its files are missing or cut short")
        return sorted(filter(look.whole, manifests), key=lambda manifest: manifest.rank, reverse=True)

    def save(self, partition: int, folder: Path, positions: Mapping[str, int]) -> Manifest:
        """Keeps a RocksDB checkpoint. It is there for good when this returns."""
        with _disk(folder):
            files = self._hashed(partition, folder)
        manifest = make(partition, files, positions)
        content = encode(manifest)
        decode(content, name=manifest.name, partition=partition)  # nothing is written that could not be read
        self._bring(partition, folder, files)
        self._blobs.put_bytes(self._manifest_name(partition, manifest.name), content)
        try:
            self._clear_away(manifest, self._bring(partition, folder, files))
        except BlobsError as error:  # the checkpoint stands; the next one clears away for both
            log.warning("checkpoints_not_cleared_away", partition=partition, error=str(error))
        return manifest

    def fetch(self, manifest: Manifest, into: Path, moved: Callable[[], None] = lambda: None) -> None:
        """Makes the folder, whole and verified, or leaves nothing. ``into`` must not exist yet.

        ``moved`` is called after each file, from several threads.
        """
        assert not into.exists(), into
        aside = into.with_name(f"{into.name}.partial")
        with _disk(into):
            rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            try:
                _each(partial(self._fetch_file, manifest, aside, moved), manifest.files)
                sync_folder(aside)
                aside.rename(into)
            except BaseException:
                rmtree(aside, ignore_errors=True)
                raise
            sync_folder(into.parent)
            blobs = {file.name: file.blob for file in manifest.files}
            tables = (path for path in into.iterdir() if path.suffix == _TABLE)
            self._known[manifest.partition] = {_identity(path): blobs[path.name] for path in tables}

    def _hashed(self, partition: int, folder: Path) -> Sequence[File]:
        known = self._known.get(partition, {})
        tables: dict[Identity, str] = {}
        files = []
        for path in sorted(folder.iterdir()):
            identity = _identity(path)
            blob = known.get(identity) or hash_of_file(path)
            if path.suffix == _TABLE:
                tables[identity] = blob
            files.append(File(path.name, blob, identity[1]))
        self._known[partition] = tables
        return files

    def _bring(self, partition: int, folder: Path, files: Sequence[File]) -> _Look:
        """All of these files are there, each younger than the grace. Returned is what was there before."""
        distinct = list({file.blob: file for file in files}.values())
        for _ in range(_LOOKS_MAX):
            since = monotonic()
            look = self._look(partition)
            with _disk(folder):
                _each(partial(self._bring_file, partition, folder, look), distinct)
            if monotonic() - since < self._grace_s / 2:
                return look
        advice = "use one that is nearer, or less state a partition"
        raise BlobsError("the storage is too slow for this state", where=f"partition {partition}", advice=advice)

    def _bring_file(self, partition: int, folder: Path, look: _Look, file: File) -> None:
        name = self._blob_name(partition, file.blob)
        if look.has(file):
            young = look.blobs[file.blob].written > look.at - self._grace_s / 2
            if young or self._blobs.touch(name):
                return
        self._blobs.put_file(name, folder / file.name)

    def _clear_away(self, own: Manifest, look: _Look) -> None:
        """``look`` was before the manifests are listed: what was brought or named since stays."""
        too_old = look.at - self._grace_s
        read = self._read.get(own.partition, {})
        there = list(self._manifests(own.partition, {**read, own.name: own}))
        self._read[own.partition] = {each.name: each for _, each in there if isinstance(each, Manifest)}
        whole = [manifest for _, manifest in there if isinstance(manifest, Manifest) and look.whole(manifest)]
        newest = sorted(whole, key=lambda manifest: manifest.rank)[-self._kept :]
        kept = {own.name, *(manifest.name for manifest in newest)}
        superseded = {manifest.name for manifest in whole} - kept
        named: set[str] = set()
        for found, manifest in there:
            if isinstance(manifest, ManifestTooNewError):
                named.update(look.blobs)  # it may name any
            elif _last(found.name) in superseded or (_last(found.name) not in kept and found.written < too_old):
                self._blobs.delete(found.name)
            elif isinstance(manifest, Manifest):
                named.update(file.blob for file in manifest.files)
        for blob, found in look.blobs.items():
            if blob not in named and found.written < too_old:
                self._blobs.delete(found.name)

    def _manifests(
        self, partition: int, read: Mapping[str, Manifest] = MappingProxyType({})
    ) -> Iterator[tuple[Found, Manifest | DriftlineError]]:
        """All that are there, those that cannot be read as the reason why. Those in ``read`` are not read again."""
        for found in self._blobs.list(self._manifest_name(partition, "")):
            name = _last(found.name)
            try:
                yield found, read.get(name) or decode(self._blobs.get_bytes(found.name), name=name, partition=partition)
            except (ManifestError, ManifestTooNewError, BlobLost) as error:
                self._tell(partition, name, error.what)
                yield found, error

    def _tell(self, partition: int, name: str, why: str) -> None:
        if name not in self._told:
            self._told.add(name)
            log.warning("checkpoint_skipped", partition=partition, manifest=name, why=why)

    def _look(self, partition: int) -> _Look:
        at = self._blobs.now()
        found = self._blobs.list(self._blob_name(partition, ""))
        return _Look(at, {_last(blob.name): blob for blob in found})

    def _fetch_file(self, manifest: Manifest, aside: Path, moved: Callable[[], None], file: File) -> None:
        path = aside / file.name
        try:
            self._blobs.get_file(self._blob_name(manifest.partition, file.blob), path)
        except BlobLost as error:
            raise _damaged(manifest, f"the content of {file.name} is lost ({error.what})") from error
        if hash_of_file(path) != file.blob:
            raise _damaged(manifest, f"the content of {file.name} is not what was saved (blob {file.blob})")
        with path.open("rb") as written:
            os.fsync(written.fileno())
        moved()

    def _blob_name(self, partition: int, blob: str) -> str:
        return f"{self._group}/{partition}/blobs/{blob}"

    def _manifest_name(self, partition: int, name: str) -> str:
        return f"{self._group}/{partition}/manifests/{name}"


def _each(work: Callable[[File], None], files: Iterable[File]) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        deque(pool.map(work, files), maxlen=0)  # the first failure ends it


def _identity(path: Path) -> Identity:
    """Hard links of one file share it; another file of the same name does not."""
    stat = path.stat()
    return path.name, stat.st_size, stat.st_ino, stat.st_mtime_ns


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _damaged(manifest: Manifest, what: str) -> CheckpointDamagedError:
    where = f"partition {manifest.partition}, checkpoint {manifest.name}"
    return CheckpointDamagedError(what, where=where, advice="an older checkpoint may be whole")


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"cannot be read or written: {error.strerror or error}"
        advice = "state.dir must be a directory that the worker may write to, with room left"
        raise StateDiskError(what, where=str(error.filename or folder), advice=advice) from error
