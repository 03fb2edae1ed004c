"""A file that stands under its name only when it is whole, and what is said where it cannot be written."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from streams.errors import SinkError

_LEVEL = 6  # of gzip: the usual one
PARTIAL = ".partial"  # after the name; a process that is killed leaves it, and the next one writes over it


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write it meanwhile. Left with an error, nothing remains of it."""
    partial = path.with_name(f"{path.name}{PARTIAL}")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        with suppress(OSError):  # there may be no such directory: what went wrong before says it
            partial.unlink()
        raise


@contextmanager
def whole_bytes(path: Path) -> Iterator[BinaryIO]:
    """Packed where its name ends so; without a name and a time in it, the same content is the same bytes."""
    with whole(path) as partial, partial.open("wb") as plain:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", _LEVEL, plain, mtime=0) as packed:
                yield packed  # type: ignore[misc]
        else:
            yield plain


@contextmanager
def writing(what: str, where: Path, advice: str) -> Iterator[None]:
    """An error of the system is told as one line: what cannot be written, where, why, and what to do."""
    try:
        yield
    except OSError as error:
        raise SinkError(
            f"{what} cannot be written: {error.strerror or error}", where=str(where), advice=advice
        ) from error
