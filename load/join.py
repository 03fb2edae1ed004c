"""``python -m load join``: ten million predictions wait for their outcomes on disk.

The engine and its state run in this process, four partitions as a worker has them, without a broker: see
``load.pending`` for what the clock sees. Sixteen models with eight features each; ids are random; nothing drifts.

* ``joins_per_s``: outcomes of predictions drawn from all that wait, each for the first time. Nearly none of them is in
  memory. Only outcomes that were joined count. It is measured at every size, the one given is that of the largest.
* ``throughput_ratio``: predictions, and as many outcomes of the predictions shortly before, taken in by the partitions
  where so many wait, over the rate of partitions where only some ten thousand do. Both get the same records by turns,
  in rounds; the ratio is that of the medians. ``throughput_ratio_cold`` is the same with outcomes of old predictions on
  the one side. ``by_pending`` has both for each size on the way. ``throughput_ratio_reopened`` is that of the largest
  after its partitions were closed and opened again, as by a worker that was started anew.
* ``expiry_ratio``: predictions alone where for each that comes one passes its horizon and one is forgotten, over the
  rate of predictions alone where none does. In partitions of their own, with ``expiry_pending`` that wait.
* ``rss_mib``: the most that was resident at any time (``VmHWM``), of this whole process: both sets of partitions, the
  records that were made ahead, Python, numpy and numba.
"""

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from load.arguments import seed
from load.output import result, say
from load.pending import CHUNK, Events, Partitions, Rate, fill
from load.process import memory_mib
from load.recording import EVENT_EVERY_MS, MODELS
from load.site.disk import MIB
from schemas.records import Record
from streams.commands import Command
from streams.process import prepare

PENDING = 10_000_000
LEVELS = (0.0, 0.1, 0.2, 0.5, 1.0)  # of it, where rates are measured
WARM = 24_000  # predictions that give every model its baseline, and half as many again
SLICE = 20_000  # predictions of one round, and as many outcomes
LAG = 5_000  # predictions between one and its outcome, in the slices with recent outcomes
ROUNDS = 5
JOINS = 200_000
SEED = 1

Make = Callable[[int, int], list[list[Record]]]  # numbers from, to → records for the one side, and for the other


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pending", type=int, default=PENDING, help="predictions that wait, default: %(default)s")
    parser.add_argument("--expiry-pending", type=int, metavar="N", help="where some expire, default: a tenth of it")
    parser.add_argument("--joins", type=int, default=JOINS, help="outcomes at each size, default: %(default)s")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--seed", type=seed, default=SEED, help="of ids and values, default: %(default)s")
    parser.add_argument("--dir", type=Path, help="where the state is written, default: a temporary folder")


def run(arguments: argparse.Namespace) -> int:
    prepare()
    with tempfile.TemporaryDirectory(prefix="driftline-join-", dir=arguments.dir) as folder:
        trial = _Trial(Path(folder), arguments.pending, arguments.joins, arguments.rounds, arguments.seed)
        figures = trial.run()
        expiring = arguments.expiry_pending or max(arguments.pending // 10, 2 * WARM)
        figures |= {"expiry_ratio": trial.expiry(expiring), "expiry_pending": expiring}
    result(figures | {"rss_mib": memory_mib("VmHWM"), "rounds": arguments.rounds, "seed": arguments.seed})
    return 0


class JoinFailedError(RuntimeError):
    """The engine did something else with the records than what was to be measured."""


class _Trial:
    def __init__(self, folder: Path, pending: int, joins: int, rounds: int, seed: int) -> None:
        self._folder, self._pending, self._joins, self._rounds = folder, pending, joins, rounds
        self._events, self._draw = Events(seed), np.random.default_rng(seed)
        self._measured = (len(LEVELS) * 2 + 1) * rounds * SLICE  # predictions that come for being measured
        self._next = 0  # the number of the next prediction
        self._filled: list[range] = []  # the numbers that nothing but a drawn outcome labels

    def run(self) -> dict[str, Any]:
        """Fills, and measures on the way."""
        by_pending: list[dict[str, Any]] = []
        fill_s = 0.0
        with self._partitions("full", WARM + self._pending + self._measured) as full:
            for share in LEVELS:
                fill_s += self._fill(full, max(WARM, int(self._pending * share)) - full.pending)
                by_pending.append(self._at(full, len(by_pending)))
            disk = full.disk_bytes
            full.open_again()
            with self._few() as few:
                reopened = _ratio(self._by_turns(full, few, SLICE, self._recent))
        last = by_pending[-1]
        return {
            **last,
            "throughput_ratio_reopened": reopened,
            "by_pending": by_pending,
            "fill_s": round(fill_s, 1),
            "disk_mib": round(disk / MIB),
            "bytes_per_pending": round(disk / last["pending"]),
        }

    def expiry(self, pending: int) -> float:
        """Predictions alone, where as many pass their horizon and are forgotten as come, over where none does."""
        all_of_them = self._next + 4 * pending + self._measured
        with self._partitions("expiring", pending) as expiring, self._partitions("none", all_of_them) as none:
            self._fill(expiring, 2 * pending + WARM)
            fill(none, self._events, self._next - WARM, self._next)
            before = expiring.pending
            rates = self._by_turns(expiring, none, SLICE, self._predictions)
            # A prediction stays for the moment of its horizon, in each model.
            if not before == expiring.pending <= pending + MODELS:
                raise JoinFailedError(f"{expiring.pending} wait where {pending} should, {before} before")
            return _ratio(rates)

    def _fill(self, partitions: Partitions, more: int) -> float:
        numbers = range(self._next, self._next + max(more, 0))
        self._filled.append(numbers)
        self._next = numbers.stop
        return fill(partitions, self._events, numbers.start, numbers.stop)

    def _at(self, full: Partitions, level: int) -> dict[str, Any]:
        """Rates with as many as wait now."""
        figures: dict[str, Any] = {"pending": full.pending}
        joined = self._join(full, self._drawn(2 * level))
        figures["joins_per_s"] = round(joined.applied / joined.seconds)
        cold = self._drawn(2 * level + 1)
        size = min(SLICE, len(cold) // self._rounds)
        with self._few() as few:
            recent = self._by_turns(full, few, SLICE, self._recent)
            old = self._by_turns(full, few, size, lambda first, end: self._old_and_recent(first, end, cold))
        if full.early:
            raise JoinFailedError(f"{full.early} outcomes did not meet their prediction")
        if full.open_incidents:  # their upkeep would be measured, and on the one side alone
            raise JoinFailedError(f"{full.open_incidents} incidents are open where nothing drifts")
        figures |= {
            "throughput_ratio": _ratio(recent),
            "throughput_ratio_cold": _ratio(old),
            "records_per_s": round(statistics.median(recent[0])),
            "rss_now_mib": memory_mib("VmRSS"),
        }
        say(", ".join(f"{name} {figure}" for name, figure in figures.items()))
        return figures

    def _join(self, full: Partitions, numbers: Sequence[int]) -> Rate:
        rates = [
            full.take(self._events.outcomes(numbers[start : start + CHUNK], self._next))
            for start in range(0, min(self._joins, len(numbers)), CHUNK)
        ]
        return Rate(*map(sum, zip(*rates, strict=True)))

    def _drawn(self, share: int) -> list[int]:
        """Of the numbers that were filled in, one in ten, in no order. No two shares have any in common."""
        ends = np.cumsum([len(numbers) for numbers in self._filled])
        places = np.arange(share, ends[-1], 2 * len(LEVELS))
        self._draw.shuffle(places)
        piece = np.searchsorted(ends, places, side="right")
        starts = np.array([numbers.start for numbers in self._filled])
        befores = np.concatenate(([0], ends[:-1]))
        numbers: list[int] = (starts[piece] + places - befores[piece]).tolist()
        return numbers

    def _by_turns(self, full: Partitions, few: Partitions, size: int, make: Make) -> tuple[list[float], list[float]]:
        """Rates of both over the same rounds; who begins changes."""
        rates: tuple[list[float], list[float]] = ([], [])
        for turn in range(self._rounds):
            records = make(self._next, self._next + size)
            self._next += size
            for side in (0, 1) if turn % 2 else (1, 0):
                rates[side].append((full, few)[side].take(records[side]).per_s)
        return rates

    def _predictions(self, first: int, end: int) -> list[list[Record]]:
        records = self._events.predictions(range(first, end))
        return [records, records]

    def _recent(self, first: int, end: int) -> list[list[Record]]:
        """Both get predictions and the outcomes of those shortly before."""
        records = []
        for start in range(first, end, LAG):
            stop = min(start + LAG, end)
            records += self._events.predictions(range(start, stop))
            records += self._events.outcomes(range(start - LAG, stop - LAG), stop - 1)
        return [records, records]

    def _old_and_recent(self, first: int, end: int, cold: list[int]) -> list[list[Record]]:
        """As many outcomes on both sides; the one side gets those of old predictions."""
        recent = self._recent(first, end)[0]
        old = [cold.pop() for _ in range(first, end)]
        mixed = []
        for start in range(first, end, LAG):
            stop = min(start + LAG, end)
            mixed += self._events.predictions(range(start, stop))
            mixed += self._events.outcomes(old[start - first : stop - first], stop - 1)
        return [mixed, recent]

    @contextmanager
    def _few(self) -> Iterator[Partitions]:
        """Where hardly any wait. What is recent elsewhere is recent here."""
        with self._partitions("few", self._next + self._measured) as few:
            fill(few, self._events, self._next - WARM, self._next)
            yield few

    @contextmanager
    def _partitions(self, name: str, numbers: int) -> Iterator[Partitions]:
        """Where a prediction waits while so many others come."""
        partitions = Partitions(self._folder / name, horizon_ms=numbers * EVENT_EVERY_MS)
        try:
            yield partitions
        finally:
            partitions.close()
            shutil.rmtree(partitions.folder)


def _ratio(rates: tuple[Sequence[float], Sequence[float]]) -> float:
    full, few = map(statistics.median, rates)
    return round(full / few, 3)


command = Command(
    "join",
    "ten million pending predictions on disk: joins a second, memory, throughput",
    add_arguments,
    run,
    "python -m load join --json",
)
