"""The engine over its state on disk, without a broker: what a worker's partitions do with records, and nothing around.

Records are made before the clock starts. What is measured is all that a worker does between reading and sending:
decode, join, detect, and commits at the worker's own pace, in the same RocksDB with the same options.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.config import ModelConfig, MonitorConfig
from detectors.engine import Engine
from detectors.kept import Kept
from load.output import say
from load.recording import EVENT_EVERY_MS, FEATURES, MODELS, PARTITIONS, POSITIVE_SHARE, STARTS_MS
from load.site.disk import bytes_in
from schemas.records import Record
from schemas.times import duration_ms
from schemas.topics import TopicNames
from streams.durable import DurableState, belongs, new_state
from streams.pace import Pace
from streams.rocks import Rocks, shared_cache
from streams.sections import StateSettings, WorkerSettings

TOPICS = TopicNames()
BATCH_RECORDS = WorkerSettings().batch_records_max
COMMIT_S = duration_ms(StateSettings().commit_interval) / 1000
CHUNK = 20_000  # records made at once: some ten megabytes
SHAPES = 4_096  # different feature values; making new ones for every prediction would take longer than all the rest
LABELS = 97  # a prime: whichever share of the numbers is drawn, as many of them are positive
Numbers = NDArray[np.uint64]
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB), np.uint64(0x9E3779B97F4A7C15))


class Rate(NamedTuple):
    records: int
    seconds: float
    applied: int

    @property
    def per_s(self) -> float:
        return self.records / self.seconds


class Events:
    """Predictions by number, and their outcomes.

    An id looks drawn and can be made again from its number, so that ten million of them need not be remembered here.
    """

    def __init__(self, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self._salt = np.uint64(draw.integers(1 << 63))
        values = draw.standard_normal((SHAPES, FEATURES)).tolist()
        scores = draw.random(SHAPES).tolist()
        self._shapes = [
            b'"features":{%s},"prediction":%d,"score":%.6f}'
            % (b",".join(b'"f%d":%.6f' % pair for pair in enumerate(row)), score > 1 - POSITIVE_SHARE, score)
            for row, score in zip(values, scores, strict=True)
        ]
        self._offset = 0

    def predictions(self, numbers: Sequence[int]) -> list[Record]:
        """Those come at their own time."""
        return [
            self._record(
                TOPICS.predictions,
                number,
                number,
                b'{"type":"prediction","v":1,"id":"%s","model":"m%d","version":"1","ts":%d,%s'
                % (key, number % MODELS, time_of(number), self._shapes[number * 7 % SHAPES]),
            )
            for number, key in zip(numbers, self._ids(numbers), strict=True)
        ]

    def outcomes(self, numbers: Sequence[int], now: int) -> list[Record]:
        """Those come at the time of the prediction with the number ``now``."""
        return [
            self._record(
                TOPICS.outcomes,
                number,
                now,
                b'{"type":"outcome","v":1,"id":"%s","model":"m%d","ts":%d,"label":%d}'
                % (key, number % MODELS, time_of(now), number % LABELS < LABELS * POSITIVE_SHARE),
            )
            for number, key in zip(numbers, self._ids(numbers), strict=True)
        ]

    def _record(self, topic: str, number: int, now: int, value: bytes) -> Record:
        self._offset += 1
        return Record(topic, partition_of(number), self._offset, time_of(now), b"m%d" % (number % MODELS), value)

    def _ids(self, numbers: Sequence[int]) -> Iterator[bytes]:
        halves = [_mixed(np.asarray(numbers, dtype=np.uint64) * np.uint64(2) + half + self._salt) for half in (0, 1)]
        text = np.stack(halves, axis=1).tobytes().hex().encode()
        for start in range(0, len(text), 32):
            key = text[start : start + 32]
            yield b"%s-%s-%s-%s-%s" % (key[:8], key[8:12], key[12:16], key[16:20], key[20:])


def time_of(number: int) -> int:
    return STARTS_MS + number * EVENT_EVERY_MS


def partition_of(number: int) -> int:
    """As many models each."""
    return number % MODELS % PARTITIONS


def _mixed(values: Numbers) -> Numbers:
    """splitmix64: each number to one that looks drawn, and no two to the same."""
    values = values * _MIX[2]
    values = (values ^ (values >> np.uint64(30))) * _MIX[0]
    values = (values ^ (values >> np.uint64(27))) * _MIX[1]
    return values ^ (values >> np.uint64(31))


class Partitions:
    """The partitions of a worker, each with its database."""

    def __init__(self, folder: Path, horizon_ms: int) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        most = 1 << 40  # the limits are not what is measured
        model = ModelConfig(label_horizon=f"{horizon_ms}ms", pending_max=most)
        self._config = MonitorConfig(defaults=model, pending_max=most)
        self._open(create=True)

    def _open(self, *, create: bool) -> None:
        cache = shared_cache()
        self._rocks = [Rocks(self.folder / str(number), cache, create=create) for number in range(PARTITIONS)]
        if create:
            for number, rocks in enumerate(self._rocks):
                new_state(rocks, belongs("load", TOPICS, number))
        self._states = [self._state(number) for number in range(PARTITIONS)]

    def open_again(self) -> None:
        """As a worker does that was started again."""
        self.close()
        self._open(create=False)

    def _state(self, number: int) -> DurableState:
        state = DurableState(self._rocks[number], belongs("load", TOPICS, number), self._engine)
        state.read_back_done({})
        return state

    def _engine(self, number: int, kept: Kept | None) -> Engine:
        return Engine(number, self._config, TOPICS, kept=kept)

    @property
    def pending(self) -> int:
        return self._stat("pending")

    @property
    def early(self) -> int:
        return self._stat("early")

    @property
    def open_incidents(self) -> int:
        return self._stat("open_incidents")

    def _stat(self, name: str) -> int:
        return sum(state.engine.stats._asdict()[name] for state in self._states)

    def take(self, records: Sequence[Record]) -> Rate:
        """Batch by batch, a partition after the other, as a worker does that is behind; all is committed at the end."""
        batches = _batches(records)
        paces = [Pace(COMMIT_S, sharers=lambda: len(self._states)) for _ in self._states]
        applied, start = 0, time.perf_counter()
        for batch in batches:
            number = batch[0].partition
            state, pace = self._states[number], paces[number]
            done = state.engine.apply(batch)
            applied += sum(count.applied for count in done.counts.values())
            state.took({batch[-1].topic: batch[-1].offset + 1}, done.effects)
            pace.took(len(batch), sum(len(effect.value) for effect in done.effects))
            if pace.due:
                self._commit(state, pace)
        for state, pace in zip(self._states, paces, strict=True):
            self._commit(state, pace)
        return Rate(len(records), time.perf_counter() - start, applied)

    def _commit(self, state: DurableState, pace: Pace) -> None:
        start = time.monotonic()
        state.commit()
        state.sent({})  # to nobody
        pace.committed(time.monotonic() - start)

    @property
    def disk_bytes(self) -> int:
        return bytes_in(self.folder)

    def close(self) -> None:
        for rocks in self._rocks:
            rocks.close()


def _batches(records: Sequence[Record]) -> list[list[Record]]:
    """Of one partition each, in order; partitions take turns."""
    shares: list[list[Record]] = [[] for _ in range(PARTITIONS)]
    for record in records:
        shares[record.partition].append(record)
    cut = [[share[at : at + BATCH_RECORDS] for at in range(0, len(share), BATCH_RECORDS)] for share in shares]
    turns = max(map(len, cut))
    return list(chain.from_iterable([share[turn] for share in cut if turn < len(share)] for turn in range(turns)))


def fill(partitions: Partitions, events: Events, first: int, end: int) -> float:
    """Predictions with the numbers from ``first`` to before ``end``; returns the seconds that taking them in took."""
    seconds = 0.0
    for start in range(first, end, CHUNK):
        seconds += partitions.take(events.predictions(range(start, min(start + CHUNK, end)))).seconds
        if start // CHUNK % 50 == 49:
            say(f"{start + CHUNK:,} predictions wait, {(start + CHUNK - first) / seconds:,.0f} a second")
    return seconds
