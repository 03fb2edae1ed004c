"""The rows of one signal as people know them: the record, the cell it holds, and what the detector made of it."""

import math
from collections import Counter
from collections.abc import Sequence

import msgspec

from detectors.arrival import LATENCY
from detectors.encoded import LABEL
from detectors.shelf import Pending
from detectors.view import Glance
from schemas.events import JsonScalar, Outcome, Position, Prediction, Scalar

CATEGORIES_MAX = 12  # of a window that are told apart; the rest is counted together
REST = "*"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row. ``measured`` is in the signal's unit; ``statistic`` is what the detector stood at after it."""

    position: Position
    ts: int
    row: int  # from 0, of this signal
    id: str | None
    cell: JsonScalar  # what the record holds of the signal; a label, where the signal is about labels
    measured: float | None
    prediction: Scalar | None
    score: float | None
    statistic: float | None
    threshold: float | None
    reported: bool = False  # the detector reported with it


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows since the change were like."""

    first: Row
    rows: int
    from_change: bool  # whether the first is the one with which the change began
    all_rows: int  # how many there were: between the report and the alert not all are looked at
    values: int  # rows in which there was one
    mean: float | None
    spread: float | None
    lowest: float | None
    highest: float | None
    shares: dict[str, float]  # of the cells, where the signal is a share


def row_of(
    glance: Glance, position: Position, ts: int, event: object, signal: str, judged: Pending | None, *, reported: bool
) -> Row:
    """``judged``: the prediction that a label is of, with it; where the signal is about labels."""
    answer = event if isinstance(event, Prediction) else judged
    return Row(
        position=position,
        ts=ts,
        row=glance.rows - 1,
        id=event.id if isinstance(event, Prediction | Outcome) else None,
        cell=cell_of(signal, event) if judged is None else judged.label,
        measured=glance.value,
        prediction=answer.prediction if answer is not None else None,
        score=answer.score if answer is not None else None,
        statistic=glance.statistic,
        threshold=glance.threshold,
        reported=reported,
    )


def of_labels(signal: str) -> bool:
    """Whether a row is a prediction that has met its label, whichever of them came first."""
    return signal in ("loss", "log_loss") or signal.startswith(LABEL)


def cell_of(signal: str, event: object) -> JsonScalar:
    """What a prediction holds of a signal; nothing of what is about several cells, or about none."""
    if not isinstance(event, Prediction):
        return event.label if isinstance(event, Outcome) else None
    if signal.startswith(("feature:", "missing:")):
        return event.features.get(feature_of(signal, event.features))
    if signal.startswith("prediction"):
        return event.prediction
    if signal == "score":
        return event.score
    return event.latency_ms if signal == LATENCY else None


def feature_of(signal: str, features: dict[str, Scalar | None]) -> str:
    """The feature's name, which may hold what stands before a category."""
    name = signal.partition(":")[2]
    while name not in features and "=" in name:
        name = name.rpartition("=")[0]
    return name


def window_of(rows: Sequence[Row], changed: int, all_rows: int, *, is_share: bool) -> Window | None:
    """Of these rows, each by itself: no detector's sums, which clip and forget."""
    if not rows:
        return None
    values = [row.measured for row in rows if row.measured is not None]
    mean = math.fsum(values) / len(values) if values else None
    spread = None
    if mean is not None and len(values) > 1 and not is_share:
        spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return Window(
        first=rows[0],
        rows=len(rows),
        from_change=rows[0].row == changed,
        all_rows=max(all_rows, len(rows)),
        values=len(values),
        mean=mean,
        spread=spread,
        lowest=min(values, default=None),
        highest=max(values, default=None),
        shares=_shares(rows) if is_share else {},
    )


def _shares(rows: Sequence[Row]) -> dict[str, float]:
    counts = Counter("missing" if row.cell is None else str(row.cell) for row in rows)
    most = dict(counts.most_common(CATEGORIES_MAX))
    if rest := len(rows) - sum(most.values()):
        most[REST] = most.get(REST, 0) + rest
    return {name: count / len(rows) for name, count in most.items()}
