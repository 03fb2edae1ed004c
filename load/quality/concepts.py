"""The literature's protocol: a classifier learns on the way, and it and its detector are rebuilt at each alarm."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from load.output import say
from load.quality.data import Table, table
from load.quality.learning import errors
from load.quality.optimum import Row, change_at, optimum
from load.quality.scoring import always, never, score, summed
from load.quality.watching import FirstAlarm, all_of

ROWS_PER_ALARM = 1_000_000
BASELINE = 300  # errors that the detector learns from after each rebuild
FOUND_WITHIN = 5_000
DIGITS_ROWS = 30_000
SETTLED = 2_000  # rows after the start of a change: it is over, and a classifier that is rebuilt sees the new concept


class Concept(NamedTuple):
    """Streams of one kind, and where their concept begins to change."""

    files: str
    starts: tuple[int, ...] = ()
    rows: int = 0  # over which errors rise evenly, and then stay; 0 where the classifier learns meanwhile


CONCEPTS = {
    "sine1": Concept("tornado/sine1_*.csv.gz", (20_000, 40_000, 60_000, 80_000), 50),
    "mixed": Concept("tornado/mixed_*.csv.gz", (20_000, 40_000, 60_000, 80_000), 50),
    "circles": Concept("tornado/circles_*.csv.gz", (25_000, 50_000, 75_000)),
    "sea": Concept("streams/sea_50k.csv.gz", (12_500, 25_000, 37_500), 1),
    "sea_nodrift_errors": Concept("streams/sea_nodrift.csv.gz"),
}


def concepts(folder: Path, skipped: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, concept in CONCEPTS.items():
        tables = [table(path) for path in sorted(folder.glob(concept.files))]
        if not tables:
            skipped.append(f"{name}: no {concept.files}")
            continue
        drifts = [(start, start + FOUND_WITHIN) for start in concept.starts]
        found[name] = {
            detector: summed([score(rebuilt(each, first_alarm), drifts) for each in tables])
            for detector, first_alarm in all_of(ROWS_PER_ALARM, BASELINE).items()
        }
        found[name]["always"] = summed([always(len(each.labels), drifts) for each in tables])
        found[name]["never"] = summed([never(drifts) for _ in tables])
        if concept.rows:
            settled = [start + SETTLED - 1 for start in concept.starts]
            change = change_at([relearned(each, settled) for each in tables], concept.starts, concept.rows)
            found[name]["told_all_but_when"] = {"delay": optimum(change, ROWS_PER_ALARM)}
        say(f"{name}: {found[name]['driftline']}")
    return found


def rebuilt(stream: Table, first_alarm: FirstAlarm) -> list[int]:
    """The rows of all alarms, each of which begins everything anew."""
    alarms: list[int] = []
    start = 0
    while start < len(stream.labels):
        wrong = errors(stream.values[start:], stream.labels[start:], stream.classes, len(stream.labels))[:, 0]
        at = first_alarm(wrong)
        if at is None:
            return alarms
        alarms.append(start + at)
        start += at + 1
    return alarms


def accuracy(stream: Table, restarts: Sequence[int]) -> float:
    """Of the classifier that is rebuilt after these rows."""
    return 1.0 - float(relearned(stream, restarts).mean())


def relearned(stream: Table, restarts: Sequence[int]) -> Row:
    """The errors of the classifier that is rebuilt after these rows."""
    starts = [0, *(row + 1 for row in restarts), len(stream.labels)]
    parts = [slice(*pair) for pair in pairwise(starts)]
    each = [errors(stream.values[p], stream.labels[p], stream.classes, len(stream.labels))[:, 0] for p in parts]
    return np.concatenate(each)


def improvement(seed: int, streams: int = 10) -> dict[str, Any]:
    """Noise comes and goes on seven-segment digits: what gets better is no damage, and rebuilding costs accuracy."""
    figures: dict[str, list[float]] = {}
    damage: dict[str, int] = {}
    for number in range(streams):
        stream, starts, worse = _digits(np.random.default_rng([seed, number]))
        exact = accuracy(stream, [start - 1 for start in starts])
        for name, first_alarm in all_of(ROWS_PER_ALARM, BASELINE).items():
            alarms = rebuilt(stream, first_alarm)
            spans = [(start, start + FOUND_WITHIN) for start in worse]
            damage[name] = damage.get(name, 0) + sum(not any(a <= row < b for a, b in spans) for row in alarms)
            figures.setdefault(name, []).append(100.0 * (accuracy(stream, alarms) - exact))
    said: dict[str, Any] = {
        name: {"accuracy_points_from_exact": round(float(np.mean(points)), 2), "alarms_without_damage": damage[name]}
        for name, points in figures.items()
    }
    return {**said, "alarms_that_the_budget_allows": round(streams * DIGITS_ROWS / ROWS_PER_ALARM, 2)}


def _digits(draw: np.random.Generator) -> tuple[Table, list[int], list[int]]:
    """LED: noise 20 %, then 10 %, and then four segments swapped: the last is damage, the one before is not."""
    codes = (119, 36, 93, 109, 46, 107, 123, 37, 127, 111)
    segments = np.array([[int(bit) for bit in f"{code:07b}"] for code in codes])
    rows, starts = DIGITS_ROWS, [10_000, 20_000]
    labels = draw.integers(0, 10, rows)
    values = segments[labels].astype(float)
    noise = np.where(np.arange(rows) < starts[0], 0.2, 0.1)
    values = np.abs(values - (draw.random(values.shape) < noise[:, None]))
    values[starts[1] :, [0, 1, 2, 3]] = values[starts[1] :, [3, 2, 1, 0]]
    return Table(values, labels.astype(np.int64), 10), starts, [starts[1]]
