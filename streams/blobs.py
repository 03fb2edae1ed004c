"""Files under names, whole or not there at all: what every place for checkpoints promises.

A name is parts with slashes between. Every put may be repeated and leaves what was put last. Nothing that can be listed
or read is half written: a reader sees a blob whole or not at all, whatever happened to its writer.

BlobsError       the storage cannot be reached, refuses or is full; trying again may help
└── BlobLost     there is nothing of that name, or the disk does not give it back
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from streams.errors import DriftlineError

S3 = "s3://"


class BlobsError(DriftlineError):
    pass


class BlobLost(BlobsError):  # noqa: N818 - it may be no error to who asks
    pass


class Found(NamedTuple):
    name: str
    size: int
    written: float  # seconds since 1970 by the storage's clock: compare it with ``now()`` alone


class Blobs(Protocol):
    """All of it blocks, and may be called from several threads and processes at once."""

    def put_file(self, name: str, path: Path) -> None: ...
    def put_bytes(self, name: str, content: bytes) -> None: ...
    def get_file(self, name: str, path: Path) -> None: ...
    def get_bytes(self, name: str) -> bytes: ...
    def exists(self, name: str) -> bool: ...
    def list(self, prefix: str) -> Iterator[Found]: ...

    def touch(self, name: str) -> bool:
        """Makes it as if written now, without moving its content; False where there is none."""

    def delete(self, name: str) -> None:
        """What is not there is deleted already."""

    def now(self) -> float:
        """The time by the clock that ``Found.written`` is read from."""
