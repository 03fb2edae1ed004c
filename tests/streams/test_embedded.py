from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

from detectors.counts import Counts
from detectors.effects import Effect
from schemas.records import Record, RecordLike
from schemas.topics import Stream
from streams import embedded
from streams.errors import SourceError
from streams.settings import Settings
from streams.state import EffectLike
from streams.summary import Span
from tests.streams.events import START, outcome, prediction, records


class Applied(NamedTuple):
    effects: list[Effect]
    counts: dict[str, Counts]


class Engine:
    """Takes everything and remembers how it was handed over."""

    def __init__(self, partition: int, seen: list[tuple[int, list[int]]]) -> None:
        self._partition, self._seen = partition, seen

    def apply(self, batch: Sequence[RecordLike]) -> Applied:
        self._seen.append((self._partition, [record.offset for record in batch]))
        return Applied([], {batch[0].topic: Counts(consumed=len(batch), applied=len(batch))})


def seconds() -> Iterator[float]:
    return iter(map(float, count()))


def test_every_partition_number_has_its_own_engine_and_batches_end_with_it() -> None:
    seen: list[tuple[int, list[int]]] = []
    source = records([b"x"] * 5, "t", 0) + records([b"x"] * 2, "t", 3)
    summary = embedded.run(source, Settings(), engine_of=lambda number, _kept: Engine(number, seen), batch_records=2)
    assert seen == [(0, [0, 1]), (0, [2, 3]), (0, [4]), (3, [0, 1])]
    assert {number: counts.consumed for number, counts in summary.partitions["t"].items()} == {"0": 5, "3": 2}


def test_every_record_is_accounted_for() -> None:
    late = START + 40 * 24 * 3600 * 1000
    values = [prediction(1), prediction(1), b"broken", outcome(1, START + 5000), prediction(2), outcome(2, late)]
    effects: list[EffectLike] = []
    clock = seconds()
    summary = embedded.run(records(values), Settings(), sinks=[effects.append], clock=lambda: next(clock))
    counts = summary.partitions["events.jsonl"]["0"]
    assert (counts.consumed, counts.applied, counts.duplicate, counts.dead_lettered) == (6, 4 - counts.late, 1, 1)
    assert counts.consumed == counts.applied + counts.duplicate + counts.late + counts.dead_lettered
    assert summary.dead_letters == {"not_json": 1}
    assert summary.effects["dead_letters"] == len([e for e in effects if e.stream == Stream.DEAD_LETTERS])
    assert (summary.records, summary.records_per_second) == (6, 6.0)
    assert summary.time_range == Span(START, START + 5)


def test_how_records_are_cut_into_batches_changes_no_byte() -> None:
    values = [prediction(number) for number in range(300)]
    results = []
    for most in (1, 7, 300):
        effects: list[EffectLike] = []
        embedded.run(records(values), Settings(), sinks=[effects.append], batch_records=most)
        results.append(effects)
    assert results[0] == results[1] == results[2]


def test_of_a_source_that_fails_half_way_what_was_read_counts() -> None:
    def source() -> Iterator[Record]:
        yield from records([prediction(1), prediction(2)])
        raise SourceError("torn", where="a.gz")

    progressed: list[int] = []
    summary = embedded.run(source(), Settings(), progress=progressed.append)
    assert (summary.complete, summary.error, summary.records) == (False, "a.gz: torn", 2)
    assert progressed == [2]


def test_nothing_at_all_is_a_whole_run() -> None:
    summary = embedded.run([], Settings())
    assert (summary.complete, summary.records, summary.time_range, summary.partitions) == (True, 0, None, {})
