"""Recorded events in files: JSON lines, plain or gzipped, from a path or from standard input, in bounded memory."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import msgspec

from schemas.records import Record
from schemas.times import TS_END, TS_MIN, to_ms
from schemas.topics import VALUE_BYTES_MAX
from streams.errors import ContentError, UsageError

STANDARD_INPUT = "-"
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # editors on Windows put it before the first line
_LINE_MAX = VALUE_BYTES_MAX + len(b"\r\n")
_SKIP_BYTES = 64 * 1024  # how much of an overlong line is looked at at once
_BUFFER_BYTES = 256 * 1024  # gzip hands out blocks of 128 KiB; two of them

_UNREADABLE = (OSError, EOFError, zlib.error)


class _Stamp(msgspec.Struct):
    """All that the order needs of an event."""

    ts: int | datetime | None = None


_stamp = msgspec.json.Decoder(_Stamp).decode


class JsonLines(AbstractContextManager["JsonLines"]):
    """One file: records of partition 0 of a topic with the file's name, their offsets the line numbers from 0."""

    starts = 0  # its lines need not be in order

    def __init__(self, topic: str, file: io.BufferedReader, size: int | None = None) -> None:
        self.topic = topic
        self.size = size
        self.blank_lines = 0
        self._file = file
        self._lines = _unpacked(topic, file)

    @classmethod
    def open(cls, source: str, topic: str) -> Self:
        if source == STANDARD_INPUT:
            return cls(topic, open(sys.stdin.fileno(), "rb", closefd=False))
        path = Path(source)
        try:
            return cls(topic, path.open("rb"), path.stat().st_size)
        except OSError as error:
            raise UsageError(f"cannot be read: {error.strerror}", where=source) from error

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def bytes_read(self) -> int:
        """Of the file as it lies there, packed or not."""
        return self._file.tell() if self.size is not None and not self._file.closed else 0

    def __iter__(self) -> Iterator[Record]:
        latest = 0
        for offset, value in enumerate(self._values()):
            if value is None:
                self.blank_lines += 1
                continue
            latest = max(latest, _time_of(value))
            yield Record(self.topic, 0, offset, latest, None, value)

    def _values(self) -> Iterator[bytes | None]:
        """Lines without their ends; ``None`` for a blank one; an overlong one is cut, yet too long to be taken."""
        number = 0
        try:
            while line := self._lines.readline(_LINE_MAX):
                if len(line) == _LINE_MAX and not line.endswith(b"\n"):
                    self._skip_line()
                value = line.removesuffix(b"\n").removesuffix(b"\r")
                if number == 0:
                    value = value.removeprefix(_BYTE_ORDER_MARK)
                number += 1
                yield value if value.strip() else None
        except _UNREADABLE as error:
            what = f"cannot be read on after line {number}: {_reason(error)}"
            raise ContentError(what, where=self.topic, advice="what came before it counts") from error

    def _skip_line(self) -> None:
        while (rest := self._lines.readline(_SKIP_BYTES)) and not rest.endswith(b"\n"):
            pass


def refuse_once(names: Sequence[str], why: str) -> None:
    """Of what can be read but once: standard input, topics and pipes."""
    for name in names:
        path, once = Path(name), name == STANDARD_INPUT or name.startswith("kafka:")
        if once or (path.exists() and not (path.is_file() or path.is_dir())):
            where = "standard input" if name == STANDARD_INPUT else name
            raise UsageError(f"{why}, so it must lie in files", where=where, advice="write it into a file first")


@contextmanager
def open_files(sources: Sequence[str]) -> Iterator[list[JsonLines]]:
    """Opens all of them before anything is read, so that a wrong name does not show after an hour."""
    if len(set(sources)) < len(sources):
        raise UsageError("a source is named twice", where=", ".join(sources))
    with ExitStack() as stack:
        named = zip(sources, topics_of(sources), strict=True)
        yield [stack.enter_context(JsonLines.open(source, topic)) for source, topic in named]


def topics_of(sources: Sequence[str]) -> list[str]:
    """The files' names, or their paths where names are alike: a topic and an offset must mean one record."""
    names = ["stdin" if source == STANDARD_INPUT else Path(source).name for source in sources]
    return [source if names.count(name) > 1 else name for source, name in zip(sources, names, strict=True)]


def _unpacked(name: str, file: io.BufferedReader) -> io.BufferedReader:
    try:
        packed = file.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=name) from error
    if not packed:
        return file
    inner: Any = gzip.GzipFile(fileobj=file)  # a raw stream in all but its declared type
    return io.BufferedReader(inner, _BUFFER_BYTES)


def _time_of(value: bytes) -> int:
    """The event's time in epoch milliseconds; 0, which moves nothing, where it has none that makes sense."""
    try:
        ts = _stamp(value).ts
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0
    if ts is None or (isinstance(ts, datetime) and ts.tzinfo is None):
        return 0
    milliseconds = to_ms(ts)
    return milliseconds if TS_MIN <= milliseconds < TS_END else 0


def _reason(error: BaseException) -> str:
    if isinstance(error, EOFError):
        return "the gzip data ends too early"
    return str(getattr(error, "strerror", None) or error)
