"""A file that stands under its name only when it is whole."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
