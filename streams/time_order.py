"""Several sources as one, by event time, each in its own order."""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import heappop, heappush, heapreplace
from typing import Any, Protocol

import numpy as np

from detectors.rows import Stretch
from schemas.records import RecordLike

TOGETHER_MIN = 256  # rows: fewer are done sooner as records, of which many make a batch


class Source(Protocol):
    """``starts``: no record is earlier, in epoch milliseconds. Before that time nothing is read of it."""

    @property
    def starts(self) -> int: ...
    def __iter__(self) -> Iterator[RecordLike]: ...


def in_order(sources: Sequence[Source]) -> Iterable[Any]:
    """Of records of one time, those of the source named first go first."""
    return sources[0] if len(sources) == 1 else together(sources)


class Table(Protocol):
    """A source whose rows come many at once, in order of time."""

    @property
    def starts(self) -> int: ...
    def stretches(self) -> Iterator[Stretch]: ...
    def records_of(self, rows: Stretch) -> Iterator[RecordLike]: ...


class Rows:
    """Those of a table."""

    def __init__(self, table: Table) -> None:
        self.starts = table.starts
        self._records_of = table.records_of
        self._stretches = table.stretches()
        self._rows: Stretch | None = None
        self._times: list[int] = []
        self._next = 0  # of these rows
        self._records: Iterator[RecordLike] | None = None  # from there on

    def time(self) -> int | None:
        """Of the next row; ``None`` where there is none."""
        if self._next == len(self._times):
            self._rows, self._next, self._records = next(self._stretches, None), 0, None
            self._times = self._rows.stamps.tolist() if self._rows is not None else []
        return self._times[self._next] if self._times else None

    def are_many(self, end: float) -> bool:
        """Whether so many come before a time that they are to stay together."""
        last = self._next + TOGETHER_MIN - 1
        return last < len(self._times) and self._times[last] < end

    def one(self) -> RecordLike:
        """The next row."""
        if self._records is None:
            assert self._rows is not None
            self._records = self._records_of(self._rows.taken(slice(self._next, None)))
        self._next += 1
        return next(self._records)

    def many(self, end: float) -> Stretch:
        """The next rows before a time."""
        assert self._rows is not None
        first, self._records = self._next, None
        self._next = bisect_left(self._times, end, first)
        numbers = np.arange(self._next - first, dtype=np.int64)
        return replace(self._rows.taken(slice(first, self._next)), numbers=numbers)


def together(sources: Sequence[Source | Rows]) -> Iterator[RecordLike | Stretch]:
    """In that order too, but many rows between which nothing of another source comes stay together."""
    waiting = deque(sorted(enumerate(sources), key=lambda numbered: (numbered[1].starts, numbered[0])))
    # By time and number, the next record of each source that has begun, and what gives the one after it. Of rows, the
    # next record is made when it is its turn.
    heads: list[tuple[int, int, RecordLike | None, Any]] = []
    while heads or waiting:
        while waiting and (not heads or waiting[0][1].starts <= heads[0][0]):
            number, source = waiting.popleft()
            head = _head(number, source if isinstance(source, Rows) else iter(source))
            if head is not None:
                heappush(heads, head)
        if not heads:
            continue
        _, number, record, rest = heads[0]
        if record is not None:
            yield record
        elif len(heads) > 1 and not rest.are_many(heads[1][0] + 1):  # nearly always, where each row has a label
            yield rest.one()
        else:
            end = _end(number, heads, waiting)
            yield rest.many(end) if rest.are_many(end) else rest.one()
        head = _head(number, rest)
        if head is not None:
            heapreplace(heads, head)
        else:
            heappop(heads)


def _head(number: int, rest: Any) -> tuple[int, int, RecordLike | None, Any] | None:
    if isinstance(rest, Rows):
        time = rest.time()
        return None if time is None else (time, number, None, rest)
    record = next(rest, None)
    return None if record is None else (record.timestamp, number, record, rest)


def _end(
    number: int, heads: Sequence[tuple[int, int, Any, Any]], waiting: Sequence[tuple[int, Source | Rows]]
) -> float:
    """Before which time the first of the heads has all to itself. Of one time the source named first goes first."""
    end = float(waiting[0][1].starts) if waiting else math.inf
    for time, other, *_ in heads[1:3]:  # the next one is among them
        end = min(end, time + (number < other))
    return end
