"""``python -m load detectors``: the banks against River's detectors, an update at a time against a batch.

The same values go through both in one run, rounds alternate, and the middle ratio counts. ``differences`` are decisions
that were not the same; of the incremental Kolmogorov-Smirnov distance, those that a full recomputation contradicts.
``state_bytes_per_feature`` is what is written of a numeric feature that every detector watches, by the rows so far; the
share of its missing values is part of it.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from river.drift import ADWIN, KSWIN, PageHinkley

from detectors.banks.adwin import AdwinBank
from detectors.banks.contract import Bank
from detectors.banks.ks import KsBank
from detectors.banks.page_hinkley import PageHinkleyBank
from detectors.banks.registry import warm_up
from detectors.banks.shiryaev import ShiryaevBank
from detectors.budget import Family, allowance
from detectors.config import ModelConfig
from detectors.encoding import Column
from detectors.group import Group
from detectors.history import HISTORY
from load.arguments import seed
from load.output import result, say
from schemas.events import Kind
from streams.commands import Command

Stream = NDArray[np.float64]

COLUMNS = 32
ROWS = 8_192
BATCH = 256
KSWIN_ROWS = 300  # of one column: it takes half a millisecond an update
ROUNDS = 5
SEED = 1
KS_WINDOW, KS_REFERENCE = 100, 500
EVERY_DETECTOR = ModelConfig(detectors=("shiryaev_roberts", "adwin", "page_hinkley", "ks"))
STATE_ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
STATE_BATCH, STATE_COLUMNS = 10_000, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default: %(default)s")
    parser.add_argument("--seed", type=seed, default=SEED, help="of the values, default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    warm_up()
    KsBank(1).update(np.zeros((1, 1)))
    draw = np.random.default_rng(arguments.seed)
    values = draw.normal(size=(ROWS, COLUMNS))
    values[ROWS // 2 :] += 0.5  # so that there is something to decide
    figures = {
        "adwin": _against(AdwinBank, ADWIN, values, values, arguments.rounds),
        "page_hinkley": _against(PageHinkleyBank, PageHinkley, values, values, arguments.rounds),
        "ks": _against(_ks, lambda: KSWIN(seed=1), values, values[:KSWIN_ROWS, :1], arguments.rounds),
        "shiryaev_roberts": {"ns_per_update": round(_watching(values, arguments.rounds) * 1e9, 1)},
    }
    figures["adwin"]["differences"] = _differences(AdwinBank(COLUMNS), ADWIN, values)
    figures["page_hinkley"]["differences"] = _differences(PageHinkleyBank(COLUMNS), PageHinkley, values)
    figures["ks"]["differences"] = _recomputed(values[:3_000, 0])
    figures["state_bytes_per_feature"] = _state_bytes(arguments.seed)
    result({**figures, "rows": ROWS, "columns": COLUMNS, "batch": BATCH, "seed": arguments.seed})
    return 0


def _ks(columns: int) -> KsBank:
    return KsBank(columns, reference=KS_REFERENCE, window=KS_WINDOW)


def _watch() -> ShiryaevBank:
    return ShiryaevBank(COLUMNS, bits=False).allow_all(1e9, 1e3, sided=False)


def _watching(values: Stream, rounds: int) -> float:
    """Seconds an update of the one that River has not."""
    return statistics.median(_spent(_watch(), values) for _ in range(rounds)) / values.size


def _against(
    bank: Callable[[int], Bank], detector: Callable[[], Any], values: Stream, slow: Stream, rounds: int
) -> dict[str, Any]:
    """Seconds an update: ours over a batch matrix, River's value by value."""
    ours, theirs = [], []
    for number in range(rounds):
        ours.append(_spent(bank(COLUMNS), values) / values.size)
        theirs.append(_spent_one_by_one(detector, slow) / slow.size)
        say(f"round {number + 1} of {rounds}: {ours[-1] * 1e9:,.1f} ns against {theirs[-1] * 1e9:,.1f} ns")
    return {
        "ratio": round(statistics.median(slow / quick for quick, slow in zip(ours, theirs, strict=True)), 1),
        "ns_per_update": round(statistics.median(ours) * 1e9, 1),
        "river_ns_per_update": round(statistics.median(theirs) * 1e9, 1),
    }


def _spent(bank: Bank, values: Stream) -> float:
    began = time.perf_counter()
    for start in range(0, len(values), BATCH):
        bank.update(values[start : start + BATCH])
    return time.perf_counter() - began


def _spent_one_by_one(detector: Callable[[], Any], values: Stream) -> float:
    columns = values.T.tolist()
    began = time.perf_counter()
    for column in columns:
        one = detector()
        for value in column:
            one.update(value)
            one.drift_detected  # noqa: B018 - as whoever uses it would look
    return time.perf_counter() - began


def _differences(bank: Bank, detector: Callable[[], Any], values: Stream) -> int:
    found: set[tuple[int, int]] = set()
    for start in range(0, len(values), BATCH):
        found |= {(start + each.row, each.column) for each in bank.update(values[start : start + BATCH])}
    expected = set()
    for column in range(values.shape[1]):
        one = detector()
        for row, value in enumerate(values[:, column].tolist()):
            one.update(value)
            if one.drift_detected:
                expected.add((row, column))
    return len(found ^ expected)


def _recomputed(values: Stream) -> int:
    """After each value, the distance of all kept values anew."""
    bank = _ks(1)
    wrong, since = 0, 0
    for row, value in enumerate(values):
        reported = bool(bank.update(np.array([[value]])))
        if row + 1 - since >= KS_REFERENCE + KS_WINDOW:
            reference = values[since : since + KS_REFERENCE]
            distance = _distance(reference, values[row + 1 - KS_WINDOW : row + 1])
            wrong += reported is not (distance > bank.threshold)
        else:
            wrong += reported
        since = row + 1 if reported else since
    return int(wrong)


def _distance(one: Stream, other: Stream) -> float:
    at = np.concatenate((one, other))
    first = np.searchsorted(np.sort(one), at, side="right") / len(one)
    second = np.searchsorted(np.sort(other), at, side="right") / len(other)
    return float(np.abs(first - second).max())


def _state_bytes(seed: int) -> dict[str, int]:
    draw = np.random.default_rng(seed)
    numbers, shares = (Group(EVERY_DETECTOR, EVERY_DETECTOR.detectors, rate=rate) for rate in (False, True))
    allowed = allowance(EVERY_DETECTOR, Family.INPUTS, 2 * STATE_COLUMNS, segment=False)
    numbers.grow([Column(f"feature:{name}", Kind.FEATURE_DRIFT) for name in range(STATE_COLUMNS)], allowed)
    shares.grow([Column(f"missing:{name}", Kind.DATA_QUALITY) for name in range(STATE_COLUMNS)], allowed)
    found: dict[str, int] = {}
    for first in range(0, STATE_ROWS[-1], STATE_BATCH):
        times = np.arange(first, first + STATE_BATCH, dtype=np.float64) * 1_000.0
        numbers.update(draw.normal(size=(STATE_BATCH, STATE_COLUMNS)), first, times)
        shares.update((draw.random((STATE_BATCH, STATE_COLUMNS)) < 0.01).astype(float), first, times)
        rows = first + STATE_BATCH
        if rows in STATE_ROWS:
            states = [msgspec.msgpack.encode(group.state(HISTORY)) for group in (numbers, shares)]
            found[str(rows)] = sum(map(len, states)) // STATE_COLUMNS
            say(f"state: {found[str(rows)]:,} bytes a feature after {rows:,} rows")
    return found


command = Command(
    "detectors",
    "the banks against River's detectors: the same decisions, how much faster",
    add_arguments,
    run,
    "python -m load detectors --json",
)
