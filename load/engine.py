"""``python -m load engine``: what a record costs the engine alone, and to be unpacked before, without a broker.

Predictions lie in Kafka's batches, as a broker would send them. They are unpacked at once and go to an engine in
batches of a worker's size; beside it stands what the same records cost where each is an object that aiokafka makes and
the decoder parses. State is in memory. Figures are microseconds of processor time a record, medians over batches once
the baselines are learned; both ways take turns.
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from detectors.config import MonitorConfig
from detectors.engine import Engine
from load.arguments import seed
from load.output import result, say
from load.recording import EVENT_EVERY_MS, STARTS_MS, prediction
from schemas.topics import TopicNames
from streams import process
from streams.commands import Command
from streams.fetched import runs_of, unpacked

RECORDS = 60_000
SEED = 1
MODELS_OF_A_PARTITION = 4  # every fourth of the sixteen of a recording
BATCH = 2_000  # records, as a worker takes them
FETCH_RECORDS = 4 * BATCH
NAMES = TopicNames()
SOURCE = TopicPartition(NAMES.predictions, 0)
SPACE = 64 << 20  # a batch of Kafka's has room for any
WARM_SHARE = 0.4
WORDS = ("card", "transfer", "cash", "invoice")


class Workload(NamedTuple):
    features: int
    words: int = 0  # of the features


WORKLOADS: Mapping[str, Workload] = {
    "numbers_8": Workload(8),
    "words_2_of_8": Workload(8, words=2),
    "numbers_100": Workload(100),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=int, default=RECORDS, help="of each workload, default: %(default)s")
    parser.add_argument("--seed", type=seed, default=SEED, help="of the values, default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    process.prepare()
    figures = {name: _measured(each, arguments.records, arguments.seed) for name, each in WORKLOADS.items()}
    for name, each in figures.items():
        say(f"{name}: {each}")
    result({**figures, "records": arguments.records, "batch": BATCH, "seed": arguments.seed})
    return 0


def _measured(workload: Workload, records: int, seed: int) -> dict[str, Any]:
    fetches = list(_fetches(workload, records, seed))
    lying, parsed = _Way(at_once=True), _Way(at_once=False)
    for fetch in fetches:
        for way in (lying, parsed):
            way.take(fetch)
    return {"as_they_lie": lying.figures(), "one_by_one": parsed.figures(), "bytes": len(fetches[0]) // FETCH_RECORDS}


class _Way:
    """An engine, how records come to it, and what they have cost."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once
        self._engine = Engine(0, MonitorConfig(), NAMES)
        if not at_once:
            self._engine._reader = None  # as where records have no key: each goes through the decoder
        self._unpacking, self._applying = list[float](), list[float]()

    def take(self, fetch: bytes) -> None:
        began = time.process_time()
        records = PartitionRecords(SOURCE, MemoryRecords(fetch), [], 0, None, None, True, READ_UNCOMMITTED)
        (whole,) = runs_of(list(unpacked(records, fetch) if self._at_once else records))
        self._unpacking.append((time.process_time() - began) / len(whole))
        for start in range(0, len(whole), BATCH):
            began = time.process_time()
            self._engine.apply(whole[start : start + BATCH])
            self._applying.append((time.process_time() - began) / BATCH)

    def figures(self) -> dict[str, float]:
        return {
            "unpack_us": _median_us(self._unpacking),
            "engine_us": _median_us(self._applying),
        }


def _median_us(each: Sequence[float]) -> float:
    return round(1e6 * statistics.median(each[int(WARM_SHARE * len(each)) :]), 2)


def _fetches(workload: Workload, records: int, seed: int) -> Iterator[bytes]:
    """What a broker would send at once, again and again."""
    draw = np.random.default_rng(seed)
    for first in range(0, records, FETCH_RECORDS):
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, SPACE)
        for row in range(FETCH_RECORDS):
            key, value = _event(workload, first + row, draw)
            appended = STARTS_MS + (first + row) * MODELS_OF_A_PARTITION * EVENT_EVERY_MS  # when it happened
            builder.append(row, appended, key, value, [])
        batch = builder.build()
        batch[:8] = first.to_bytes(8, "big")  # its offset, which no checksum covers
        yield bytes(batch)


def _event(workload: Workload, number: int, draw: np.random.Generator) -> tuple[bytes, bytes]:
    features = draw.standard_normal(workload.features).tolist()
    model, value = prediction(number * MODELS_OF_A_PARTITION, features, draw.random())
    if workload.words:
        fields = orjson.loads(value)
        chosen = draw.choice(WORDS, workload.words).tolist()
        fields["features"].update((f"f{place}", word) for place, word in enumerate(chosen))
        value = orjson.dumps(fields)
    return model.encode(), value


command = Command(
    "engine",
    "what a record costs the engine, read as it lies and parsed, without a broker",
    add_arguments,
    run,
    "python -m load engine --json",
)
