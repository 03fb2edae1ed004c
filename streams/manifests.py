"""What one checkpoint consists of, as bytes: a version, a checksum, and the body that the checksum is of.

Manifests of one partition stand in order of their positions when sorted by name. No two have the same name, so that no
writer replaces what another has written.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import msgspec

from streams.errors import DriftlineError

VERSION = 1
_DIGEST = 32  # bytes: nobody finds two contents with one hash


class ManifestError(DriftlineError):
    """It is damaged: nothing in it may be believed."""


class ManifestTooNewError(DriftlineError):
    """A later version of Driftline wrote it. It is left alone, and so is what it may name."""


# Plain names alone: whoever can write a manifest must not choose where on a worker's disk its files end.
_PlainName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
_Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class File(msgspec.Struct, frozen=True):
    name: _PlainName
    blob: _Hash  # of its content, which is also where it is kept
    size: int


class Manifest(msgspec.Struct, frozen=True):
    name: str
    partition: int
    positions: Mapping[str, int]  # by input topic, the next offset to apply
    files: tuple[File, ...]
    made: datetime

    @property
    def rank(self) -> tuple[int, datetime, str]:
        """Greater is newer.

        A partition's records are applied in one order wherever it lives. So of two states the one that read more is
        ahead, whichever was written later: a worker that lost the partition may still write an old one. The clock
        decides only between states at the same place, where it may be wrong without harm.
        """
        return sum(self.positions.values()), self.made, self.name

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


class _Envelope(msgspec.Struct):
    version: int
    checksum: str = ""
    body: msgspec.Raw = msgspec.Raw(b"null")


_envelopes = msgspec.json.Decoder(_Envelope)
_bodies = msgspec.json.Decoder(Manifest)


def make(partition: int, files: Sequence[File], positions: Mapping[str, int]) -> Manifest:
    made = datetime.now(UTC)
    # 19 digits hold every offset; the time is for people who look at a listing, the chance keeps two writers apart.
    name = f"{sum(positions.values()):019d}-{made:%Y%m%dT%H%M%SZ}-{uuid4().hex[:12]}.json"
    return Manifest(name, partition, dict(positions), tuple(files), made)


def encode(manifest: Manifest) -> bytes:
    body = msgspec.json.encode(manifest)
    return msgspec.json.encode(_Envelope(VERSION, hash_of(body), msgspec.Raw(body)))


def decode(content: bytes, *, name: str, partition: int) -> Manifest:
    """Name and partition say where it was found: one that was moved elsewhere is not believed either."""
    try:
        envelope = _envelopes.decode(content)
        if envelope.version > VERSION:
            what = f"is of version {envelope.version}; this Driftline reads up to {VERSION}"
            raise ManifestTooNewError(what, where=name)
        if envelope.checksum != hash_of(bytes(envelope.body)):
            raise ManifestError("its checksum does not fit", where=name)
        manifest = _bodies.decode(envelope.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot be read: {error}", where=name) from error
    if (manifest.name, manifest.partition) != (name, partition):
        raise ManifestError(f"belongs to partition {manifest.partition} as {manifest.name}", where=name)
    return manifest


def hash_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, _hasher).hexdigest()


def hash_of(content: bytes) -> str:
    return blake2b(content, digest_size=_DIGEST).hexdigest()


def _hasher() -> blake2b:
    return blake2b(digest_size=_DIGEST)
