"""Drives the engine over recorded events, without a broker: the same engine, records in, effects out."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from detectors.engine import Engine
from detectors.rows import Stretch
from detectors.signing import NO_KEYS
from schemas.records import RecordLike
from streams import baselines, loops
from streams.errors import SourceError
from streams.journal import Journal
from streams.sections import Settings
from streams.signing import keys_of
from streams.state import EffectLike, EngineFactory
from streams.summary import Summary, Tally, budgets, partition_of

BATCH_RECORDS = 4_000  # enough for detectors that work on whole columns, few enough for a progress bar that moves

Sink = Callable[[EffectLike], object]
Advance = Callable[[int], object]


def engines(settings: Settings, *, any_stream: bool, say: loops.Say = loops.on_terminal) -> EngineFactory:
    """``any_stream``: records of a file, where predictions, outcomes and control events are mixed.

    Whoever has the file could have written anything into it, so no signature is asked for. Baselines are read here, so
    that every way to run begins with them, or not at all.
    """
    recordings = baselines.load(settings, say)
    keys = NO_KEYS if any_stream else keys_of(settings.control)
    return lambda partition, kept: Engine(
        partition,
        settings.monitor,
        settings.kafka.topics,
        any_stream=any_stream,
        kept=kept,
        recordings=recordings,
        keys=keys,
    )


def run(
    records: Iterable[RecordLike | Stretch],
    settings: Settings,
    *,
    sinks: Sequence[Sink] = (),
    progress: Advance = lambda records: None,
    any_stream: bool = True,
    engine_of: EngineFactory | None = None,
    batch_records: int = BATCH_RECORDS,
    clock: Callable[[], float] = time.perf_counter,
    journal: Journal | None = None,
) -> Summary:
    """Applies all records, partition number by partition number as they come, and hands each effect to every sink.

    A source that fails half-way ends the run early: what was read is applied, and the summary says that it is not all.
    With a journal, the state is kept there, and the records that it has seen are passed over.
    """
    engine_of = engine_of or engines(settings, any_stream=any_stream)
    tally, error, start = Tally(), None, clock()
    if journal is not None and journal.begins is not None:
        so_far = journal.begins.so_far
        tally, start = Tally.of(so_far), start - so_far.seconds
        records = _after(records, so_far.records)
    partition, engine = -1, None
    try:
        for batch in _batches(records, batch_records):
            if engine is None or partition_of(batch) != partition:
                # One engine at a time: records come one partition number after the other.
                partition = partition_of(batch)
                engine = engine_of(partition, journal.kept(partition) if journal is not None else None)
            applied = engine.apply(batch)
            tally.batch(batch, applied.counts)
            for effect in applied.effects:
                tally.effect(effect)
                for sink in sinks:
                    sink(effect)
            if journal is not None:
                journal.took(len(batch), engine, tally.summary(seconds=clock() - start, error="not finished"))
            progress(len(batch))
    except SourceError as failure:
        error = str(failure)
    return tally.summary(seconds=clock() - start, error=error, budgets=budgets(settings.monitor))


def _after(records: Iterable[RecordLike | Stretch], passed: int) -> Iterator[RecordLike | Stretch]:
    """Without so many of the first."""
    for record in records:
        if not passed:
            yield record
        elif not isinstance(record, Stretch):
            passed -= 1
        elif len(record) <= passed:
            passed -= len(record)
        else:
            yield record.taken(slice(passed, None))
            passed = 0


def _batches(records: Iterable[RecordLike | Stretch], most: int) -> Iterator[list[RecordLike] | Stretch]:
    """Runs of one partition number. When the source fails, what came before is handed out first."""
    batch: list[RecordLike] = []
    try:
        for record in records:
            if isinstance(record, Stretch):
                if batch:
                    yield batch
                    batch = []
                yield record
                continue
            if batch and (len(batch) == most or record.partition != batch[0].partition):
                yield batch
                batch = []
            batch.append(record)
    except SourceError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
