"""Several sources as one, by event time, each in its own order."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush, heapreplace
from typing import Any, Protocol

from schemas.records import RecordLike


class Source(Protocol):
    """``starts``: no record is earlier, in epoch milliseconds. Before that time nothing is read of it."""

    @property
    def starts(self) -> int: ...
    def __iter__(self) -> Iterator[RecordLike]: ...


def in_order(sources: Sequence[Source]) -> Iterable[Any]:
    """Of records of one time, those of the source named first go first."""
    return sources[0] if len(sources) == 1 else _merged(sources)


def _merged(sources: Sequence[Source]) -> Iterator[RecordLike]:
    waiting = deque(sorted(enumerate(sources), key=lambda numbered: (numbered[1].starts, numbered[0])))
    # By time and number, the next record of each source that has begun, and what gives the one after it.
    heads: list[tuple[int, int, RecordLike, Iterator[RecordLike]]] = []
    while heads or waiting:
        while waiting and (not heads or waiting[0][1].starts <= heads[0][0]):
            number, source = waiting.popleft()
            rest = iter(source)
            for record in rest:
                heappush(heads, (record.timestamp, number, record, rest))
                break
        if not heads:
            continue
        _, number, record, rest = heads[0]
        yield record
        for record in rest:
            heapreplace(heads, (record.timestamp, number, record, rest))
            break
        else:
            heappop(heads)
