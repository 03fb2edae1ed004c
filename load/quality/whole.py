"""The whole monitor on real rows: shuffled so that nothing changes, and then one drift put in, of each kind.

A naive Bayes classifier learns from the first quarter and is frozen. The rest is its production: predictions and labels
go through the monitor, which learns what is normal from the first of them and watches features, predictions and errors
together under one budget.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from detectors.config import ModelConfig
from detectors.effects import Decided
from detectors.lifecycle import Disposition
from detectors.monitor import Monitor
from load.output import say
from load.quality.data import Table, table
from load.quality.learning import errors
from load.quality.scoring import Score, always, never, score, summed
from schemas.events import Alert, AlertEvent, Outcome, Output, Prediction, Signal
from schemas.records import Record

Draw = np.random.Generator
Rows = NDArray[np.int64]

SEEDS = 20
ROWS_PER_ALARM = 1_000_000
BASELINE = 2_000
TRAINED = 0.25
BATCH = 2_000
GRADUAL = 2_500
STILL = {"sea_nodrift": "streams/sea_nodrift.csv.gz", "electricity_shuffled": "electricity/electricity.csv.gz"}


def electricity(folder: Path, seed: int, skipped: list[str], seeds: int = SEEDS) -> dict[str, Any]:
    path = folder / "electricity" / "electricity.csv.gz"
    if not path.exists():
        skipped.append("electricity: no electricity/electricity.csv.gz")
        return {}
    whole = table(path, leave_out=("date",))
    found: dict[str, Any] = {}
    kinds = {**KINDS, "gradual": KINDS["features_permuted"]}
    for kind, change in kinds.items():
        scores, spans = [], []
        for number in range(seeds):
            draw = np.random.default_rng([seed, number])
            stream, start, end = drifted(whole, draw, change, GRADUAL if kind == "gradual" else 1)
            spans.append((len(stream.labels), [(start, end)]))
            scores.append(score(alarms(stream), [(start, end)]))
        found[kind] = {"driftline": summed(scores), **_extremes(spans)}
        say(f"electricity, {kind}: {found[kind]['driftline']}")
    return found


def still(folder: Path, seed: int, skipped: list[str]) -> dict[str, Any]:
    """Nothing changes: every alarm is false."""
    found: dict[str, Any] = {}
    for name, file in STILL.items():
        if not (folder / file).exists():
            skipped.append(f"{name}: no {file}")
            continue
        whole = table(folder / file, leave_out=("date",) if "electricity" in name else ())
        order = np.random.default_rng([seed, 0]).permutation(len(whole.labels))
        stream = whole if name == "sea_nodrift" else _ordered(whole, order)
        told = alarms(stream)
        found[name] = {"false": len(told), "rows": len(stream.labels)}
        say(f"{name}: {found[name]}")
    return found


def alarms(stream: Table) -> list[int]:
    """The rows at which a fresh monitor of the frozen classifier opens alarms."""
    trained = int(TRAINED * len(stream.labels))
    guesses = errors(stream.values, stream.labels, stream.classes, trained)[:, 1]
    monitor = Monitor(
        "model", ModelConfig(task="multiclass", baseline_rows=BASELINE, rows_per_false_alarm=ROWS_PER_ALARM)
    )
    names = [f"f{column}" for column in range(stream.values.shape[1])]
    cells, labels, classes = stream.values.tolist(), stream.labels.tolist(), guesses.astype(int).tolist()
    opened: list[int] = []
    for start in range(trained, len(labels), BATCH):
        decided: list[Decided] = []
        for row in range(start, min(start + BATCH, len(labels))):
            _take(monitor, row, dict(zip(names, cells[row], strict=True)), classes[row], labels[row], decided)
        decided.extend(monitor.decide())
        for each in decided:
            event = each.event
            if _begins(event):
                opened.append(event.position.offset // 2)
    return sorted(opened)


def _begins(event: Output) -> TypeGuard[Alert | Signal]:
    """Whether an alarm begins with it, be it one of many of an incident."""
    if isinstance(event, Alert):
        return event.event in (AlertEvent.OPENED, AlertEvent.REOPENED)
    return isinstance(event, Signal) and event.disposition == Disposition.GROUPED


def _take(monitor: Monitor, row: int, features: dict[str, Any], guess: int, label: int, decided: list[Decided]) -> None:
    key, time = f"r{row}", row * 1_000
    made = Prediction(v=1, id=key, model="model", ts=time, features=features, prediction=f"c{guess}")
    known = Outcome(v=1, id=key, model="model", ts=time, label=f"c{label}")
    for place, event in enumerate((made, known)):
        record = Record("rows", 0, 2 * row + place, time, b"model", b"")
        monitor.take((2 * (row % BATCH) + place, time, record, event), decided)


def drifted(whole: Table, draw: Draw, change: Callable[[Table, Draw], Table], width: int) -> tuple[Table, int, int]:
    """The rows in another order, and from a row in 50 to 80 % on as the change makes them."""
    stream = _ordered(whole, draw.permutation(len(whole.labels)))
    start = int(draw.uniform(0.5, 0.8) * len(stream.labels))
    after = change(Table(stream.values[start:].copy(), stream.labels[start:].copy(), stream.classes), draw)
    rows = len(after.labels)
    if width > 1:  # ever more of the rows are of the new kind
        new = draw.random(rows) < np.minimum(np.arange(rows) / width, 1.0)
        old = stream.values[start : start + rows], stream.labels[start : start + rows]
        after = Table(np.where(new[:, None], after.values, old[0]), np.where(new, after.labels, old[1]), stream.classes)
    values = np.concatenate((stream.values[:start], after.values))
    labels = np.concatenate((stream.labels[:start], after.labels))
    return Table(values, labels, stream.classes), start, len(labels)  # it stays: later alarms are of the same drift


def _ordered(whole: Table, order: Rows) -> Table:
    return Table(whole.values[order], whole.labels[order], whole.classes)


def _permuted(part: Table, draw: Draw) -> Table:
    columns = np.arange(part.values.shape[1])
    order = draw.permutation(columns)
    return part._replace(values=part.values[:, np.roll(columns, 1) if (order == columns).all() else order])


def _rewritten(part: Table, draw: Draw) -> Table:
    """One label is called another."""
    one = int(draw.integers(part.classes))
    return part._replace(labels=np.where(part.labels == one, (one + 1) % part.classes, part.labels))


def _rarer(part: Table, draw: Draw) -> Table:
    """Three quarters of one label's rows never come."""
    kept = (part.labels != int(draw.integers(part.classes))) | (draw.random(len(part.labels)) >= 0.75)
    return Table(part.values[kept], part.labels[kept], part.classes)


def _halved(part: Table, draw: Draw) -> Table:
    """Rows above the median of one feature never come."""
    column = part.values[:, int(draw.integers(part.values.shape[1]))]
    kept = column <= np.median(column)
    return Table(part.values[kept], part.labels[kept], part.classes)


KINDS: dict[str, Callable[[Table, Draw], Table]] = {
    "features_permuted": _permuted,
    "label_rewritten": _rewritten,
    "label_rarer": _rarer,
    "above_median_dropped": _halved,
}


def _extremes(spans: Sequence[tuple[int, list[tuple[int, int]]]]) -> dict[str, Any]:
    fires: list[Score] = [always(rows, drifts) for rows, drifts in spans]
    return {"always": summed(fires), "never": summed([never(drifts) for _, drifts in spans])}
